"""Rules of mempools."""

from __future__ import annotations

from typing import Final

from hypothesis import strategies as st
from tests.machines.cache_rules import CacheRules
from tests.machines.machine import masks, picks
from tests.machines.player import Home
from tests.machines.sizes import LARGEST
from tests.machines.steps import start, step, task

from kmem_oracle.language.script import ID_NULL
from kmem_spec.gfp import DIRECT_RECLAIM, GFP_KERNEL, GFP_NOWAIT, NOFAIL, ZERO
from kmem_spec.liveness import RETRIES
from kmem_spec.slab import CLASS_SIZES

MANY: Final = 160  # elements of the widest class: more than the zones have besides their largest blocks


class PoolRules(CacheRules):
    """mempool_create over kmalloc and over caches, mempool_alloc, mempool_free, resize, destroy."""

    @start(number=st.integers(1, 3), size=st.sampled_from([1, 100, 9000]))
    def begin_pools(self, number: int, size: int) -> None:
        for _ in range(2):
            self.hold_pool(self.play("mempool_create", number, 1, 1, size).result, size)
        self.play("mempool_alloc", self.player.made(), GFP_KERNEL, home=self.player.made())

    @step(when=task, number=st.integers(0, 4), size=st.sampled_from([1, 64, 100, 3000, 9000]))
    def create_pool(self, number: int, size: int) -> None:
        self.hold_pool(self.play("mempool_create", number, 1, 1, size).result, size)

    @step(when=lambda self: task(self) and self.plain_caches() != [], pick=picks, number=st.integers(1, 4))
    def create_slab_pool(self, pick: int, number: int) -> None:
        cache = self.pick(self.plain_caches(), pick)
        made = self.play("mempool_create_slab_pool", number, cache).result
        self.hold_pool(made, self.homes[cache].size, cache)

    @step(
        when=lambda self: task(self) and self.plain_caches() != [] and self.has("fail_nth"),
        pick=picks,
        nth=st.integers(1, 2),
    )
    def create_slab_pool_in_need(self, pick: int, nth: int) -> None:
        self.arm(nth)
        cache = self.pick(self.plain_caches(), pick)
        made = self.play("mempool_create_slab_pool", 40, cache).result
        self.hold_pool(made, self.homes[cache].size, cache)

    @step(when=lambda self: self.pools() != [], pick=picks, gfp=masks, n=st.integers(1, 3))
    def take_elements(self, pick: int, gfp: int, n: int) -> None:
        pool = self.pick(self.pools(), pick)
        for _ in range(n):
            self.play("mempool_alloc", pool, self.pool_mask(pool, gfp), home=pool)

    @step(when=lambda self: self.own_pools() != [], pick=picks)
    def use_reserve(self, pick: int) -> None:
        """Take more than the pool keeps while its allocator fails; the last one is waited for."""
        pool = self.pick(self.own_pools(), pick)
        self.play("mempool_fail", pool, 1)
        for gfp in (GFP_NOWAIT, GFP_NOWAIT, GFP_NOWAIT, GFP_NOWAIT, GFP_KERNEL):
            self.play("mempool_alloc", pool, self.pool_mask(pool, gfp), home=pool)
        self.play("mempool_fail", pool, 0)

    @step(when=lambda self: self.live("pool"), pick=picks)
    def give_element(self, pick: int) -> None:
        identifier = self.one(pick, "pool")
        self.play("mempool_free", identifier, self.player.things[identifier].home)

    @step(when=lambda self: self.pools() != [], pick=picks)
    def give_nothing(self, pick: int) -> None:
        self.play("mempool_free", ID_NULL, self.pick(self.pools(), pick))

    @step(when=lambda self: task(self) and self.pools() != [], pick=picks, number=st.integers(1, 6))
    def resize_pool(self, pick: int, number: int) -> None:
        self.play("mempool_resize", self.pick(self.pools(), pick), number)

    @step(when=lambda self: self.own_pools() != [], pick=picks, failing=st.booleans())
    def let_pool_fail(self, pick: int, failing: bool) -> None:
        pool = self.pick(self.own_pools(), pick)
        self.play("mempool_fail", pool, int(failing))

    @step(when=lambda self: task(self) and self.unused_pools() != [], pick=picks)
    def destroy_pool(self, pick: int) -> None:
        pool = self.pick(self.unused_pools(), pick)
        self.end_home(pool, self.homes[pool])

    @step(when=task)
    def destroy_no_pool(self) -> None:
        self.play("mempool_destroy", ID_NULL)

    @step(when=lambda self: task(self) and self.errs() and self.live("pool"), pick=picks)
    def destroy_pool_in_use(self, pick: int) -> None:
        home = self.player.things[self.one(pick, "pool")].home
        assert self.mistake("mempool_destroy", self.homes[home].handle) == "CALLER-DESTROY"

    @step(when=lambda self: task(self) and self.errs() and self.pools() != [], pick=picks)
    def resize_to_nothing(self, pick: int) -> None:
        assert (
            self.mistake("mempool_resize", self.homes[self.pick(self.pools(), pick)].handle, 0)
            == "CALLER-POOL"
        )

    @step(
        when=lambda self: task(self) and self.errs() and self.live("pool") and len(self.pools()) > 1,
        pick=picks,
    )
    def give_to_another(self, pick: int) -> None:
        start, _, home = self.player.things[self.one(pick, "pool")]
        for pool in self.pools():
            if pool != home:
                assert self.mistake("mempool_free", start, self.homes[pool].handle) == "CALLER-CACHE"

    @step(when=lambda self: task(self) and self.errs() and self.constructed() != [], pick=picks)
    def pool_of_constructed(self, pick: int) -> None:
        handle = self.homes[self.pick(self.constructed(), pick)].handle
        assert self.mistake("mempool_create_slab_pool", 1, handle) == "CALLER-CREATE"

    def hold_pool(self, handle: int, size: int, cache: int = 0) -> None:
        """Hold a new pool, if there is one."""
        if handle:
            self.homes[self.player.made()] = Home(handle, pool=True, size=size, cache=cache)

    def pools(self) -> list[int]:
        """Return the ids of all pools."""
        return [identifier for identifier, home in self.homes.items() if home.pool]

    def own_pools(self) -> list[int]:
        """Return the ids of the pools whose elements come from a function of the driver."""
        return [identifier for identifier in self.pools() if not self.homes[identifier].cache]

    def unused_pools(self) -> list[int]:
        """Return the ids of the pools that may be destroyed."""
        used = {thing.home for thing in (*self.player.things.values(), *self.player.aside.values())}
        return [pool for pool in self.pools() if pool not in used]

    def constructed(self) -> list[int]:
        """Return the ids of the caches with a constructor."""
        return [cache for cache in self.caches() if self.homes[cache].constructed]

    def plain_caches(self) -> list[int]:
        """Return the ids of the other caches."""
        return [cache for cache in self.caches() if not self.homes[cache].constructed]

    def pool_mask(self, pool: int, gfp: int) -> int:
        """Return the mask that one may ask a pool with; of a library nobody asks to wait for ever."""
        mask = self.mask(gfp) & ~ZERO
        judge, handle = self.player.first, self.homes[pool].handle
        if self.player.subject.name == "model" or judge.has_reserve(handle, judge.pools[handle]):
            return mask
        return mask & ~(DIRECT_RECLAIM | NOFAIL)

    def round_of_pools(self) -> None:
        """Create a pool that leaves too little for what was served before; create one, use it, destroy it."""
        self._largest_object()
        if self.play("mempool_create", MANY, 1, 1, CLASS_SIZES[-1]).result:
            pool = self.player.made()
            for _ in range(RETRIES):
                self._largest_object()
            self.play("mempool_destroy", pool)
        if not self.play("mempool_create", 2, 1, 1, 100).result:
            return
        pool = self.player.made()
        taken = []
        for _ in range(2):
            if self.play("mempool_alloc", pool, GFP_KERNEL, home=pool).result:
                taken.append(self.player.made())
        for element in taken:
            self.play("mempool_free", element, pool)
        self.play("mempool_destroy", pool)

    def _largest_object(self) -> None:
        """Allocate an object as large as there are, and free it."""
        if self.play("kmalloc", LARGEST, GFP_KERNEL).result:
            self.play("kfree", self.player.made())
