"""Rules of slab caches."""

from __future__ import annotations

from typing import Final

from hypothesis import strategies as st
from tests.machines.machine import Machine, masks, picks
from tests.machines.player import Home, Thing
from tests.machines.steps import start, step, task

from kmem_oracle.language.script import ID_NULL
from kmem_spec.gfp import GFP_KERNEL, ZERO
from kmem_spec.slab_flags import ACCOUNT, HWCACHE_ALIGN, RECLAIM_ACCOUNT, RED_ZONE, TYPESAFE_BY_RCU

WORD: Final = 8
object_sizes = st.one_of(
    st.sampled_from([1, 8, 24, 40, 64, 96, 100, 192, 200, 1000, 4096, 5000, 9000, 5 << 20]),
    st.integers(1, 600),
)
alignments = st.sampled_from([0, 0, 0, 8, 16, 64, 128, 4096])
flags = st.sampled_from([0, 0, HWCACHE_ALIGN, RECLAIM_ACCOUNT, ACCOUNT, RED_ZONE, TYPESAFE_BY_RCU, 1])


class CacheRules(Machine):
    """kmem_cache_create in both forms, kmem_cache_alloc and its kin, shrink, destroy."""

    @start(size=st.integers(1, 600), align=alignments, functions=st.integers(0, 2))
    def begin_caches(self, size: int, align: int, functions: int) -> None:
        for ctor, dtor in ((0, 0), (int(functions > 0), functions // 2)):
            answer = self.play("kmem_cache_create_26", 1, size, align, 0, ctor, dtor)
            self.hold_cache(answer.result, size, ctor=ctor > 0)
            cache = self.player.made()
            self.play("kmem_cache_alloc_bulk", cache, GFP_KERNEL, 3, 0, home=cache)

    @step(when=task, size=object_sizes, align=alignments, flag=flags, ctor=st.booleans())
    def create(self, size: int, align: int, flag: int, ctor: bool) -> None:
        answer = self.play("kmem_cache_create", 1, size, align, flag, int(ctor))
        self.hold_cache(answer.result, size, ctor=ctor)

    @step(when=task, size=object_sizes, align=alignments, functions=st.integers(0, 2))
    def create_26(self, size: int, align: int, functions: int) -> None:
        answer = self.play("kmem_cache_create_26", 1, size, align, 0, int(functions > 0), functions // 2)
        self.hold_cache(answer.result, size, ctor=functions > 0)

    @step(when=lambda self: self.caches() != [], pick=picks, gfp=masks, zeroed=st.booleans())
    def allocate_object(self, pick: int, gfp: int, zeroed: bool) -> None:
        cache, mask = self.cache_and_mask(pick, gfp)
        plain = self.homes[cache].constructed or not zeroed
        self.play("kmem_cache_alloc" if plain else "kmem_cache_zalloc", cache, mask, home=cache)

    @step(when=lambda self: self.caches() != [], pick=picks, gfp=masks, n=st.integers(1, 20))
    def allocate_objects(self, pick: int, gfp: int, n: int) -> None:
        cache, mask = self.cache_and_mask(pick, gfp)
        self.play("kmem_cache_alloc_bulk", cache, mask, n, 0, home=cache)

    @step(
        when=lambda self: self.caches() != [] and self.has("fail_nth"),
        pick=picks,
        n=st.integers(8, 64),
        nth=st.integers(1, 2),
    )
    def allocate_objects_in_need(self, pick: int, n: int, nth: int) -> None:
        self.arm(nth)
        cache, mask = self.cache_and_mask(pick, GFP_KERNEL)
        self.play("kmem_cache_alloc_bulk", cache, mask, n, 0, home=cache)

    @step(when=lambda self: task(self) and self.has("fail_nth"), size=object_sizes, zeroed=st.booleans())
    def first_object_in_need(self, size: int, zeroed: bool) -> None:
        """No page is to be had for the first slab of a cache."""
        self.hold_cache(self.play("kmem_cache_create", 1, size, 0, 0, 0).result, size, ctor=False)
        cache = self.player.made()
        if cache in self.homes:
            self.arm(1)
            self.play("kmem_cache_zalloc" if zeroed else "kmem_cache_alloc", cache, GFP_KERNEL, home=cache)

    @step(when=lambda self: self.live("cache"), pick=picks)
    def free_object(self, pick: int) -> None:
        identifier = self.one(pick, "cache")
        self.play("kmem_cache_free", self.player.things[identifier].home, identifier)

    @step(when=lambda self: self.live("cache"), pick=picks, most=st.integers(1, 20))
    def free_objects(self, pick: int, most: int) -> None:
        home = self.player.things[self.one(pick, "cache")].home

        def fits(thing: Thing) -> bool:
            return thing.asked.family == "cache" and thing.home == home

        first, count = self.row(pick, most, fits)
        self.play("kmem_cache_free_bulk", home, count, first)

    @step(when=lambda self: task(self) and self.caches() != [], pick=picks)
    def shrink(self, pick: int) -> None:
        self.play("kmem_cache_shrink", self.pick(self.caches(), pick))

    @step(when=lambda self: self.caches() != [], pick=picks)
    def size_of(self, pick: int) -> None:
        """Ask a cache for its size, and again after one of larger objects was made: they may be one."""
        cache = self.pick(self.caches(), pick)
        self.play("kmem_cache_size", cache)
        size = self.homes[cache].size
        for larger in () if self.atomic else (size + 1, size + WORD):
            answer = self.play("kmem_cache_create", 1, larger, 0, 0, 0)
            self.hold_cache(answer.result, larger, ctor=False)
            if answer.result:
                made = self.player.made()
                self.play("kmem_cache_size", made)
                self.end_home(made, self.homes[made])

    @step(when=lambda self: task(self) and self.unused_caches() != [], pick=picks)
    def destroy(self, pick: int) -> None:
        cache = self.pick(self.unused_caches(), pick)
        self.end_home(cache, self.homes[cache])

    @step(when=task)
    def destroy_nothing(self) -> None:
        self.play("kmem_cache_destroy", ID_NULL)

    @step(
        when=lambda self: task(self) and self.errs(),
        wrong=st.sampled_from([(0, 8, 0), (1, 0, 0), (1, 8, 24)]),
        old=st.booleans(),
    )
    def create_wrongly(self, wrong: tuple[int, int, int], old: bool) -> None:
        if old:
            assert self.mistake("kmem_cache_create_26", 1, 8, 0, 0, 0, 1) == "CALLER-CREATE"
        assert self.mistake("kmem_cache_create", *wrong, 0, 0) == "CALLER-CREATE"

    @step(when=lambda self: task(self) and self.errs() and self.live("cache"), pick=picks)
    def destroy_in_use(self, pick: int) -> None:
        handle = self.homes[self.player.things[self.one(pick, "cache")].home].handle
        if sum(each.handle == handle for each in self.homes.values()) == 1:
            assert self.mistake("kmem_cache_destroy", handle) == "CALLER-DESTROY"

    @step(
        when=lambda self: task(self) and self.errs() and self.live("cache") and len(self.caches()) > 1,
        pick=picks,
    )
    def free_to_another(self, pick: int) -> None:
        start, _, home = self.player.things[self.one(pick, "cache")]
        own = self.homes[home].handle
        for handle in [self.homes[cache].handle for cache in self.caches()]:
            if handle != own:
                assert self.mistake("kmem_cache_free", handle, start) == "CALLER-CACHE"

    @step(
        when=lambda self: (
            task(self) and self.errs() and any(each.constructed for each in self.homes.values())
        ),
        pick=picks,
    )
    def ask_zeroes_of_constructed(self, pick: int) -> None:
        handle = self.pick([each.handle for each in self.homes.values() if each.constructed], pick)
        assert self.mistake("kmem_cache_zalloc", handle, GFP_KERNEL) == "CALLER-CTOR-ZERO"
        assert self.mistake("kmem_cache_alloc_bulk", handle, GFP_KERNEL | ZERO, 2, 0) == "CALLER-CTOR-ZERO"

    def hold_cache(self, handle: int, size: int, *, ctor: bool) -> None:
        """Hold a new cache, if there is one. One with a constructor is no other cache besides."""
        twins = [each for each in self.homes.values() if each.handle == handle and not each.pool]
        assert not any(ctor or each.constructed for each in twins)
        if handle:
            self.homes[self.player.made()] = Home(handle, pool=False, size=size, constructed=ctor)

    def caches(self) -> list[int]:
        """Return the ids of all caches."""
        return [identifier for identifier, home in self.homes.items() if not home.pool]

    def unused_caches(self) -> list[int]:
        """Return the ids of the caches that may be destroyed."""
        used = {thing.home for thing in (*self.player.things.values(), *self.player.aside.values())}
        used |= {home.cache for home in self.homes.values()}
        handles = {self.homes[home].handle for home in used if home in self.homes}
        return [cache for cache in self.caches() if self.homes[cache].handle not in handles]

    def cache_and_mask(self, pick: int, gfp: int) -> tuple[int, int]:
        """Return a cache and the mask that one may ask it with."""
        cache = self.pick(self.caches(), pick)
        mask = self.mask(gfp)
        return cache, mask & ~ZERO if self.homes[cache].constructed else mask

    def round_of_caches(self) -> None:
        """Create a cache, use it, destroy it."""
        if not self.play("kmem_cache_create_26", 1, 200, 0, 0, 1, 1).result:
            return
        cache = self.player.made()
        if self.play("kmem_cache_alloc", cache, GFP_KERNEL, home=cache).result:
            self.play("kmem_cache_free", cache, self.player.made())
        self.play("kmem_cache_destroy", cache)
