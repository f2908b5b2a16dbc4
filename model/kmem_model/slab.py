"""One slab cache: the guarded steps by which its slabs and objects change; six with a constructor, else four.

Which slab, which slot and when to give a slab back is not decided here, see `caches`: a step takes any
choice that keeps the rules of `kmem_spec.cache` and `kmem_spec.construct`, and refuses the others before
it changes anything.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from kmem_spec.cache import NO_SLAB
from kmem_spec.construct import NOBODY
from kmem_spec.table import DictTable, Table, require
from kmem_spec.units import NULL, PAGE_SIZE


@dataclass(slots=True)
class Cache:
    """Slabs, each of 2**order pages, cut into `objects` slots of `slot` bytes.

    `owners` is shared by all caches; the other tables are as in `kmem_spec.cache.Slabs`.
    """

    name: str
    size: int
    align: int
    slot: int
    order: int
    objects: int
    owners: Table[int]
    slabs: Table[int] = field(default_factory=DictTable)
    live: Table[int] = field(default_factory=DictTable)

    @property
    def slab_bytes(self) -> int:
        """Return the bytes of one slab."""
        return PAGE_SIZE << self.order

    def grow(self, base: int) -> None:
        """Make a slab of the block of pages at `base`.

        Clause   SLAB-PAGES
        Units    base an address
        Needs    the block is aligned to its size, none of its pages in a slab of any cache; the caller
                 has it from the page allocator
        Source   mm/slub.c: allocate_slab
        """
        first, pages = base // PAGE_SIZE, 1 << self.order
        unowned = self.owners.vacant(first, pages)
        require((base > NULL) & (base % self.slab_bytes == 0) & unowned, "SLAB-PAGES")
        self.owners.fill(first, pages, base)
        self.slabs.put(base, 0)

    def alloc(self, base: int, index: int) -> int:
        """Hand out the object in slot `index` of the slab at `base`, and return its address.

        Clause   SLAB-INSIDE, SLAB-LIVE
        Needs    the slab is the cache's, the slot is one of it, the object is free; a slab with a free
                 object counts fewer than it has, which is asked all the same: it spares the proof a sum
        Source   mm/slub.c: ___slab_alloc
        """
        count = self.slabs.get(base, NO_SLAB)
        require((count >= 0) & (index >= 0) & (index < self.objects), "SLAB-INSIDE")
        address = base + index * self.slot
        require((self.live.get(address, NULL) == NULL) & (count < self.objects), "SLAB-LIVE")
        self.live.put(address, base)
        self.slabs.put(base, count + 1)
        return address

    def free(self, base: int, index: int) -> None:
        """Take the object in slot `index` of the slab at `base` back.

        Clause   SLAB-INSIDE, SLAB-LIVE
        Needs    the slab is the cache's, the object is live
        Source   mm/slub.c: __slab_free
        """
        count = self.slabs.get(base, NO_SLAB)
        require((count >= 0) & (index >= 0) & (index < self.objects), "SLAB-INSIDE")
        address = base + index * self.slot
        require(self.live.get(address, NULL) == base, "SLAB-LIVE")
        self.live.drop(address)
        self.slabs.put(base, count - 1)

    def shrink(self, base: int) -> None:
        """Give up the slab at `base`, whose pages then go back to the page allocator.

        Clause   SLAB-EMPTY
        Needs    the slab is the cache's, none of its objects is live
        Source   mm/slub.c: discard_slab
        """
        require(self.slabs.get(base, NO_SLAB) == 0, "SLAB-EMPTY")
        self.owners.wipe(base // PAGE_SIZE, 1 << self.order)
        self.slabs.drop(base)


@dataclass(slots=True)
class BuiltCache(Cache):
    """A cache with a constructor: of a slab that was made, every slot is constructed before one is used.

    `constructed` is shared by all caches; the tables are as in `kmem_spec.construct.Construction`.
    """

    number: int = NOBODY
    constructed: Table[int] = field(default_factory=DictTable)
    built: Table[int] = field(default_factory=DictTable)

    def grow(self, base: int) -> None:
        """Do as Cache.grow; no slot of the new slab is constructed yet."""
        Cache.grow(self, base)  # super() does not find its class where that has slots
        self.built.put(base, 0)

    def alloc(self, base: int, index: int) -> int:
        """Do as Cache.alloc.

        Clause   CACHE-CONSTRUCTED
        Needs    every slot of the slab is constructed
        """
        require(self.built.get(base, 0) == self.objects, "CACHE-CONSTRUCTED")
        return Cache.alloc(self, base, index)

    def shrink(self, base: int) -> None:
        """Do as Cache.shrink.

        Clause   CACHE-DESTRUCTED
        Needs    no slot of the slab is constructed
        """
        require(self.built.get(base, NO_SLAB) == 0, "CACHE-DESTRUCTED")
        Cache.shrink(self, base)
        self.built.drop(base)

    def construct(self, base: int) -> int:
        """Note that the next slot of the slab at `base` is constructed, and return its address.

        Clause   SLAB-INSIDE, CACHE-CONSTRUCTED
        Needs    the slab is the cache's and has such a slot, which is constructed by nobody
        Source   mm/slub.c: setup_object
        """
        index = self.built.get(base, 0)
        require((self.slabs.get(base, NO_SLAB) >= 0) & (index >= 0) & (index < self.objects), "SLAB-INSIDE")
        address = base + index * self.slot
        require(self.constructed.get(address, NOBODY) == NOBODY, "CACHE-CONSTRUCTED")
        self.constructed.put(address, self.number)
        self.built.put(base, index + 1)
        return address

    def destruct(self, base: int) -> int:
        """Note that the last constructed slot of the slab at `base` is so no more, and return its address.

        Clause   SLAB-EMPTY, CACHE-DESTRUCTED
        Needs    the slab is the cache's, none of its objects is live; the slot was constructed by the cache
        Source   mm/slab.c of 2.6.12: slab_destroy
        """
        require(self.slabs.get(base, NO_SLAB) == 0, "SLAB-EMPTY")
        index = self.built.get(base, 0) - 1
        address = base + index * self.slot
        require((index >= 0) & (self.constructed.get(address, NOBODY) == self.number), "CACHE-DESTRUCTED")
        self.constructed.drop(address)
        self.built.put(base, index)
        return address
