"""The free slots of one slab cache: which is handed out next, and which slabs are kept.

It picks the arguments of `Cache`'s steps and is not trusted: a wrong choice is refused there. It chooses
as SLUB does: the slot freed last, the slab in use before the others, some empty slabs kept.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kmem_model.frames import Frames
from kmem_model.slab import BuiltCache, Cache
from kmem_spec.calls import Family
from kmem_spec.gfp import DMA, DMA32, HIGHMEM
from kmem_spec.units import NULL

ZONES: Final = DMA | DMA32 | HIGHMEM
Hook = Callable[[int], object]  # a constructor or destructor, of an object's address


class FreeLists:
    """The free slots of one cache, slab by slab, each a stack.

    handle    address that callers know the cache by
    family    of the objects: kmalloc's, or the cache's own
    ctor      runs for each slot when its slab is made, in the context of the call that needs it
    dtor      runs for each slot when its slab goes
    active    base of the slab that serves next, NULL for none
    partial   the other slabs with a free slot, a stack too
    """

    __slots__ = (
        "_frames",
        "_slab_at",
        "active",
        "cache",
        "ctor",
        "dtor",
        "family",
        "gfp",
        "handle",
        "min_partial",
        "partial",
        "waiting",
    )

    def __init__(
        self,
        cache: Cache,
        frames: Frames,
        slab_at: dict[int, FreeLists],
        gfp: int = 0,
        family: Family = "kmalloc",
    ) -> None:
        """Begin without a slab; `gfp` says which zone the slabs come from, whatever a call's mask says."""
        self.cache = cache
        self.gfp = gfp
        self.family = family
        self.handle = NULL
        self.ctor: Hook | None = None
        self.dtor: Hook | None = None
        self.active = NULL
        self.partial: dict[int, None] = {}
        self.waiting: dict[int, list[int]] = {}
        self.min_partial = max(5, min(10, (cache.slot.bit_length() - 1) // 2))
        self._frames = frames
        self._slab_at = slab_at

    def watch(self, slab_at: dict[int, FreeLists]) -> None:
        """Enter slabs into another table from now on.

        Needs    no slab yet
        """
        self._slab_at = slab_at

    @property
    def unused(self) -> bool:
        """Whether no object is live."""
        return self.cache.live.every(lambda *_: False)

    def alloc(self, gfp: int) -> int:
        """Return the address of an object, or NULL.

        Source   mm/slub.c: slab_alloc_node, ___slab_alloc, get_partial_node
        """
        base = self.active
        waiting = self.waiting.get(base)
        if not waiting:
            base = self._next_slab(gfp)
            if base == NULL:
                return NULL
            waiting = self.waiting[base]
        address = self.cache.alloc(base, waiting[-1])
        waiting.pop()
        return address

    def alloc_bulk(self, gfp: int, count: int) -> list[int]:
        """Return the addresses of `count` objects, or of none.

        Gives    where memory runs out everything as it was, but that empty slabs may have gone
        Source   mm/slub.c: kmem_cache_alloc_bulk
        """
        first = self.active
        given: list[int] = []
        while len(given) < count:
            address = self.alloc(gfp)
            if address == NULL:
                self._undo(given, first)
                return []
            given.append(address)
        return given

    def free(self, base: int, index: int) -> None:
        """Take an object back; give its slab back if that is empty and enough others have room.

        Source   mm/slub.c: __slab_free
        """
        cache = self.cache
        cache.free(base, index)
        waiting = self.waiting[base]
        waiting.append(index)
        if base == self.active:
            return
        if len(waiting) == cache.objects and len(self.partial) > self.min_partial:
            self.partial.pop(base, None)
            self._discard(base)
        elif len(waiting) == 1:
            self.partial[base] = None

    def shrink(self) -> int:
        """Give back every empty slab, and return how many there were.

        Source   mm/slub.c: __kmem_cache_shrink
        """
        empty = [base for base, free in self.waiting.items() if len(free) == self.cache.objects]
        for base in empty:
            self.partial.pop(base, None)
            if base == self.active:
                self.active = NULL
            self._discard(base)
        return len(empty)

    def _next_slab(self, gfp: int) -> int:
        """Make a slab with a free slot the active one and return its base; NULL if no page can be had."""
        if self.partial:
            base, _ = self.partial.popitem()
        else:
            base = self._frames.take(self.cache.order, (gfp & ~ZONES) | self.gfp)
            if base == NULL:
                return NULL
            self._make(base)
        self.active = base
        return base

    def _make(self, base: int) -> None:
        """Make a slab of a block of pages, with its objects constructed."""
        cache = self.cache
        cache.grow(base)
        self._slab_at[base] = self
        if isinstance(cache, BuiltCache) and self.ctor is not None:
            for _ in range(cache.objects):
                self.ctor(cache.construct(base))
        self.waiting[base] = list(range(cache.objects - 1, -1, -1))

    def _discard(self, base: int) -> None:
        """Give an empty slab back to the page allocator, with its objects destructed."""
        cache = self.cache
        del self.waiting[base]
        if isinstance(cache, BuiltCache):
            for _ in range(cache.objects):
                address = cache.destruct(base)
                if self.dtor is not None:
                    self.dtor(address)
        cache.shrink(base)
        del self._slab_at[base]
        self._frames.give(base, cache.order)

    def _undo(self, given: list[int], first: int) -> None:
        """Take back what `alloc` has just given, last first; `first` was the active slab before."""
        cache = self.cache
        for address in reversed(given):
            base = cache.live.get(address, NULL)
            self._go_back_to(base)
            index = (address - base) // cache.slot
            cache.free(base, index)
            self.waiting[base].append(index)
        self._go_back_to(first)

    def _go_back_to(self, base: int) -> None:
        """Make the slab active that was so before; what was used since goes to where it came from."""
        left, self.active = self.active, base
        if left in (NULL, base):
            return
        if len(self.waiting[left]) == self.cache.objects:
            self._discard(left)
        else:
            self.partial[left] = None
