"""The policy of slab caches: which slot is handed out next, and which slabs are kept.

It picks the arguments of `Cache`'s steps and is not trusted: a wrong choice is refused there. It chooses
as SLUB does: the slot freed last, the slab in use before the others, some empty slabs kept.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from kmem_model.frames import Frames
from kmem_model.layout import objects_per_slab, slab_order, slot_size
from kmem_model.slab import Cache
from kmem_spec.gfp import DMA, DMA32, HIGHMEM
from kmem_spec.table import DictTable
from kmem_spec.units import NULL, PAGE_SHIFT

ZONES: Final = DMA | DMA32 | HIGHMEM


class FreeLists:
    """The free slots of one cache, slab by slab, each a stack.

    active    base of the slab that serves next, NULL for none
    partial   the other slabs with a free slot, a stack too
    """

    __slots__ = ("_frames", "_slab_at", "active", "cache", "gfp", "min_partial", "partial", "waiting")

    def __init__(self, cache: Cache, frames: Frames, slab_at: dict[int, FreeLists], gfp: int = 0) -> None:
        """Begin without a slab; `gfp` says which zone the slabs come from, whatever a call's mask says."""
        self.cache = cache
        self.gfp = gfp
        self.active = NULL
        self.partial: dict[int, None] = {}
        self.waiting: dict[int, list[int]] = {}
        self.min_partial = max(5, min(10, (cache.slot.bit_length() - 1) // 2))
        self._frames = frames
        self._slab_at = slab_at

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
            self.cache.grow(base)
            self.waiting[base] = list(range(self.cache.objects - 1, -1, -1))
            self._slab_at[base] = self
        self.active = base
        return base

    def _discard(self, base: int) -> None:
        """Give an empty slab back to the page allocator."""
        self.cache.shrink(base)
        del self.waiting[base]
        del self._slab_at[base]
        self._frames.give(base, self.cache.order)


@dataclass(slots=True)
class Caches:
    """All slab caches, and the way from an address to its cache.

    owners    number of each page of a slab, and the slab's base
    slab_at   base of each slab, and the free lists of its cache
    """

    frames: Frames
    owners: DictTable[int] = field(default_factory=DictTable)
    slab_at: dict[int, FreeLists] = field(default_factory=dict)
    every: list[FreeLists] = field(default_factory=list)

    def create(self, name: str, size: int, align: int, gfp: int = 0) -> FreeLists | None:
        """Return a new cache of objects of `size` bytes, or None where no block of pages holds one.

        Units    size and align in bytes
        Needs    size > 0, align a power of two not below 8
        Source   mm/slab_common.c: create_cache
        """
        slot = slot_size(size, align)
        order = slab_order(slot)
        if order is None:
            return None
        objects = objects_per_slab(slot, order)
        cache = Cache(name, size, align, slot, order, objects, owners=self.owners)
        lists = FreeLists(cache, self.frames, self.slab_at, gfp)
        self.every.append(lists)
        return lists

    def find(self, address: int) -> tuple[FreeLists, int, int] | None:
        """Return the free lists of the object at `address`, its slab's base and its index.

        Gives    None for what is not the address of a live object of any cache
        """
        base = self.owners.get(address >> PAGE_SHIFT, NULL)
        if base == NULL:
            return None
        lists = self.slab_at[base]
        cache = lists.cache
        if cache.live.get(address, NULL) == NULL:
            return None
        return lists, base, (address - base) // cache.slot

    def shrink(self) -> bool:
        """Give back every empty slab of every cache, and say whether there was one."""
        return sum(lists.shrink() for lists in self.every) > 0
