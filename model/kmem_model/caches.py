"""All slab caches of a machine: made, found by the address of an object, given up."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from kmem_model.frames import Frames
from kmem_model.free_lists import FreeLists, Hook
from kmem_model.layout import objects_per_slab, slab_order, slot_size
from kmem_model.slab import BuiltCache, Cache
from kmem_spec.calls import Family
from kmem_spec.table import DictTable
from kmem_spec.units import NULL, PAGE_SHIFT

__all__ = ["Caches", "FreeLists", "Hook"]

HANDLES: Final = 0xFFFF_E900_0000_0000  # a hole of the map of x86-64: Documentation/x86/x86_64/mm.rst
HANDLE_BYTES: Final = 64


@dataclass(slots=True)
class Caches:
    """All slab caches, and the way from an address to its cache.

    owners        number of each page of a slab, and the slab's base
    constructed   address of each constructed slot, and the number of its cache
    slab_at       base of each slab, and the free lists of its cache
    """

    frames: Frames
    owners: DictTable[int] = field(default_factory=DictTable)
    constructed: DictTable[int] = field(default_factory=DictTable)
    slab_at: dict[int, FreeLists] = field(default_factory=dict)
    every: list[FreeLists] = field(default_factory=list)
    handles: int = 0

    def new_handle(self) -> int:
        """Return an address that no cache and no pool ever had, where there is no memory."""
        self.handles += 1
        return HANDLES + self.handles * HANDLE_BYTES

    def create(
        self,
        name: str,
        size: int,
        align: int,
        gfp: int = 0,
        *,
        family: Family = "kmalloc",
        pointer_outside: bool = False,
        ctor: Hook | None = None,
        dtor: Hook | None = None,
    ) -> FreeLists | None:
        """Return a new cache of objects of `size` bytes, or None where no block of pages holds one.

        Units    size and align in bytes
        Needs    size > 0, align a power of two not below 8; pointer_outside if there is a constructor
        Source   mm/slab_common.c: create_cache
        """
        slot = slot_size(size, align, pointer_outside=pointer_outside)
        order = slab_order(slot)
        if order is None:
            return None
        objects = objects_per_slab(slot, order)
        handle = self.new_handle()
        if ctor is None:
            cache = Cache(name, size, align, slot, order, objects, self.owners)
        else:
            cache = BuiltCache(
                name,
                size,
                align,
                slot,
                order,
                objects,
                self.owners,
                number=handle,
                constructed=self.constructed,
            )
        lists = FreeLists(cache, self.frames, self.slab_at, gfp, family)
        lists.handle, lists.ctor, lists.dtor = handle, ctor, dtor
        self.every.append(lists)
        return lists

    def destroy(self, lists: FreeLists) -> None:
        """Give back every slab of a cache, and forget the cache.

        Needs    none of its objects is live
        Source   mm/slab_common.c: kmem_cache_destroy
        """
        lists.shrink()
        self.every.remove(lists)

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
