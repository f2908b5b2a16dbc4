"""The calls of mempools: a reserve of elements behind an allocator that may fail."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from kmem_model.kmem_cache import CacheCalls
from kmem_spec.gfp import (
    DIRECT_RECLAIM,
    GFP_KERNEL,
    NAMES_6_1,
    NOFAIL,
    NOMEMALLOC,
    NORETRY,
    NOWARN,
    ZERO,
    may_sleep,
)
from kmem_spec.table import Refused, require
from kmem_spec.units import NULL

Give = Callable[[int], int | None]  # of a mask, an element or NULL
TakeBack = Callable[[int], object]
ENOMEM: Final = 12
POLLS: Final = 8  # how often a caller that waits asks the allocator again, before it counts as for ever
HARD: Final = DIRECT_RECLAIM | NOFAIL | NAMES_6_1["__GFP_IO"]  # what the first try goes without


@dataclass(slots=True, eq=False)
class Pool:
    """A pool as its callers know it.

    least     elements that it keeps in reserve if it can
    reserve   addresses of elements, the last to be handed out first
    out       addresses of elements in callers' hands
    """

    least: int
    give: Give
    take_back: TakeBack
    reserve: list[int] = field(default_factory=list)
    out: set[int] = field(default_factory=set)


class PoolCalls(CacheCalls):
    """mempool_create, mempool_create_slab_pool and what is done with what they give.

    Units    numbers of elements; pools and elements as addresses, a pool's being in no memory
    Errors   Refused under a CALLER clause for the caller's mistakes; then nothing has changed
    """

    def __init__(self, memory_bytes: int = 4 << 30) -> None:
        """Begin without a pool."""
        super().__init__(memory_bytes)
        self.pools: dict[int, Pool] = {}

    def mempool_create(self, least: int, alloc_fn: Give, free_fn: TakeBack, _size: int) -> int:
        """Return a new pool with `least` elements from `alloc_fn` in reserve, or NULL.

        Clause   CALLER-CONTEXT
        Needs    elements that are live until they go to `free_fn`; their size changes nothing here
        Source   mm/mempool.c: mempool_create_node, mempool_init_node
        """
        self.may_wait()
        if self.frames.fails():  # memory for the descriptor
            return NULL
        pool = Pool(least, alloc_fn, free_fn)
        if not self._fill(pool):
            self._drain(pool, 0)
            return NULL
        handle = self.caches.new_handle()
        self.pools[handle] = pool
        return handle

    def mempool_create_slab_pool(self, least: int, cache: int) -> int:
        """Return a new pool of objects of a cache, or NULL.

        Clause   CALLER-HANDLE, CALLER-CREATE, CALLER-CONTEXT
        Source   include/linux/mempool.h: mempool_create_slab_pool; mm/mempool.c: mempool_alloc_slab
        """
        known = self._known(cache)
        require(known.lists.ctor is None, "CALLER-CREATE")
        return self.mempool_create(
            least,
            lambda gfp: self.kmem_cache_alloc(cache, gfp),
            lambda p: self.kmem_cache_free(cache, p),
            known.size,
        )

    def mempool_alloc(self, handle: int, gfp: int) -> int:
        """Return an element: the allocator's if it has one at once, else the reserve's, else by waiting.

        Clause   CALLER-HANDLE, CALLER-GFP, CALLER-CONTEXT, CALLER-POOL
        Gives    NULL only where the mask may not sleep
        Errors   who would wait for ever is refused, as nobody else is there to free an element; of what
                 the tries changed, failures that were armed stay spent and empty slabs gone
        Source   mm/mempool.c: mempool_alloc
        """
        pool = self._pool(handle)
        require(not gfp & ZERO, "CALLER-GFP")
        self.may_ask(gfp)
        mask = gfp | NOMEMALLOC | NORETRY | NOWARN
        element = pool.give(mask & ~HARD) or NULL
        if element == NULL and pool.reserve:
            element = pool.reserve.pop()
        if element == NULL and mask & HARD:
            element = pool.give(mask) or NULL
        if element == NULL and may_sleep(mask):
            element = self._wait(pool, mask)
        if element != NULL:
            pool.out.add(element)
            self.lent[element] = "pool"
            self.freed.discard(element)
        return element

    def mempool_free(self, element: int, handle: int) -> None:
        """Give an element back: to the reserve if that lacks one, else to the allocator; not NULL.

        Clause   CALLER-FREE, CALLER-DOUBLE-FREE, CALLER-FAMILY, CALLER-CACHE
        Source   mm/mempool.c: mempool_free
        """
        if element == NULL:
            return
        if self.lent.get(element) != "pool":
            self.refuse(element, freeing=True)
        pool = self.pools.get(handle)
        if pool is None or element not in pool.out:
            raise Refused("CALLER-CACHE")
        pool.out.remove(element)
        self._keep(pool, element)
        self._drain(pool, pool.least)

    def mempool_resize(self, handle: int, least: int) -> int:
        """Let a pool keep another number of elements; return 0, or -12 where it cannot grow.

        Clause   CALLER-HANDLE, CALLER-POOL, CALLER-CONTEXT
        Gives    0 also where there was no memory for all that the reserve should have
        Source   mm/mempool.c: mempool_resize
        """
        pool = self._pool(handle)
        require(least > 0, "CALLER-POOL")
        self.may_wait()
        if least <= pool.least:
            pool.least = least
            self._drain(pool, least)
            return 0
        if self.frames.fails():  # memory for the longer list
            return -ENOMEM
        pool.least = least
        self._fill(pool)
        return 0

    def mempool_destroy(self, handle: int) -> None:
        """Give a pool up with its reserve; nothing to do for NULL.

        Clause   CALLER-HANDLE, CALLER-DESTROY, CALLER-CONTEXT
        Source   mm/mempool.c: mempool_destroy, mempool_exit
        """
        if handle == NULL:
            return
        pool = self._pool(handle)
        require(not pool.out, "CALLER-DESTROY")
        self.may_wait()
        self._drain(pool, 0)
        del self.pools[handle]

    def _pool(self, handle: int) -> Pool:
        """Return the pool with that address.

        Clause   CALLER-HANDLE
        """
        pool = self.pools.get(handle)
        if pool is None:
            raise Refused("CALLER-HANDLE")
        return pool

    def _wait(self, pool: Pool, mask: int) -> int:
        """Ask the allocator again and again, as a caller that may sleep does.

        Clause   CALLER-POOL
        """
        self.slept = True
        for _ in range(POLLS):
            element = pool.give(mask)
            if element:
                return element
        raise Refused("CALLER-POOL")

    def _keep(self, pool: Pool, element: int) -> None:
        """Put an element into the reserve, where it counts as freed."""
        pool.reserve.append(element)
        self.lent[element] = None
        self.freed.add(element)

    def _fill(self, pool: Pool) -> bool:
        """Fill the reserve up, and say whether there was memory for that."""
        while len(pool.reserve) < pool.least:
            element = pool.give(GFP_KERNEL)
            if not element:
                return False
            self._keep(pool, element)
        return True

    def _drain(self, pool: Pool, most: int) -> None:
        """Give back what the reserve has beyond `most`, last first."""
        while len(pool.reserve) > most:
            element = pool.reserve.pop()
            del self.lent[element]
            pool.take_back(element)
