"""The calls of the kmalloc family."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from kmem_model.caches import FreeLists
from kmem_model.core import Core
from kmem_spec.gfp import DMA, DMA32, HIGHMEM, ZERO
from kmem_spec.slab import CLASS_SIZES, MAX_CACHE_SIZE, size_class
from kmem_spec.table import require
from kmem_spec.units import (
    MAX_ORDER,
    NULL,
    PAGE_SIZE,
    ZERO_SIZE_PTR,
    array_size,
    get_order,
    power_of_two_divisor,
)

KMALLOC_MAX_SIZE: Final = PAGE_SIZE << MAX_ORDER
STRIPPED: Final = DMA32 | HIGHMEM  # no slab memory comes from there; mm/slab_common.c: kmalloc_fix_flags
# The place in CLASS_SIZES of each size that has a class, by its words, rounded up.
CLASS_OF: Final = [
    CLASS_SIZES.index(size_class(max(words, 1) * 8)) for words in range(MAX_CACHE_SIZE // 8 + 1)
]


class KmallocCalls(Core):
    """kmalloc kzalloc kmalloc_array kcalloc krealloc krealloc_array kfree and its kin, ksize and its kin.

    Units    sizes in bytes, pointers as addresses
    Errors   Refused under a CALLER clause for the caller's mistakes; then nothing has changed
    """

    def __init__(self, memory_bytes: int = 4 << 30) -> None:
        """Make the caches of all classes, for memory from everywhere and for DMA."""
        super().__init__(memory_bytes)
        self._normal = [self._kmalloc_cache("kmalloc", size, 0) for size in CLASS_SIZES]
        self._dma = [self._kmalloc_cache("dma-kmalloc", size, DMA) for size in CLASS_SIZES]

    def kmalloc(self, size: int, gfp: int) -> int:
        """Return the address of `size` bytes, ZERO_SIZE_PTR for none, NULL for too many or in need.

        Clause   CALLER-GFP, CALLER-CONTEXT
        Gives    the whole slot zeroed under __GFP_ZERO
        Source   mm/slab_common.c: __kmalloc, __kmalloc_large_node
        """
        self.may_ask(gfp)
        if size > MAX_CACHE_SIZE:
            if size > KMALLOC_MAX_SIZE:
                return NULL
            return self.take_block("kmalloc", get_order(size), gfp & ~STRIPPED)
        if size == 0:
            return ZERO_SIZE_PTR
        lists = (self._dma if gfp & DMA else self._normal)[CLASS_OF[(size + 7) >> 3]]
        address = lists.alloc(gfp)
        if address != NULL:
            self.freed.discard(address)
            if gfp & ZERO:
                self.memory.zero(address, lists.cache.slot)
        return address

    def kzalloc(self, size: int, gfp: int) -> int:
        """Do as kmalloc, zeroed.

        Source   include/linux/slab.h: kzalloc
        """
        return self.kmalloc(size, gfp | ZERO)

    def kmalloc_array(self, n: int, size: int, gfp: int) -> int:
        """Do as kmalloc for n * size bytes; NULL where that does not fit size_t.

        Source   include/linux/slab.h: kmalloc_array
        """
        self.may_ask(gfp)
        product = array_size(n, size)
        return NULL if product is None else self.kmalloc(product, gfp)

    def kcalloc(self, n: int, size: int, gfp: int) -> int:
        """Do as kmalloc_array, zeroed.

        Source   include/linux/slab.h: kcalloc
        """
        return self.kmalloc_array(n, size, gfp | ZERO)

    def krealloc(self, p: int, size: int, gfp: int) -> int:
        """Resize an object: in its place if that holds `size`, else a new one with the old bytes.

        Clause   CALLER-FREE, CALLER-FAMILY, CALLER-GFP, CALLER-CONTEXT
        Gives    NULL where no memory was to be had, and the old object as it was; ZERO_SIZE_PTR for
                 size 0, and the old object freed
        Source   mm/slab_common.c: krealloc, __do_krealloc
        """
        held = self.ksize(p)
        self.may_ask(gfp)
        if p <= ZERO_SIZE_PTR:
            return self.kmalloc(size, gfp)
        if size == 0:
            self.kfree(p)
            return ZERO_SIZE_PTR
        if size <= held:
            if gfp & ZERO and size < held:
                self.memory.zero(p + size, held - size)
            return p
        new = self.kmalloc(size, gfp)
        if new != NULL:
            self.memory.copy(p, new, held)
            self.kfree(p)
        return new

    def krealloc_array(self, p: int, n: int, size: int, gfp: int) -> int:
        """Do as krealloc for n * size bytes; NULL, and nothing done, where that does not fit size_t.

        Source   include/linux/slab.h: krealloc_array
        """
        product = array_size(n, size)
        if product is not None:
            return self.krealloc(p, product, gfp)
        self.ksize(p)
        self.may_ask(gfp)
        return NULL

    def kfree(self, p: int) -> None:
        """Free an object; nothing to do for NULL and ZERO_SIZE_PTR.

        Clause   CALLER-FREE, CALLER-DOUBLE-FREE, CALLER-FAMILY
        Source   mm/slab_common.c: kfree, free_large_kmalloc
        """
        if p <= ZERO_SIZE_PTR:
            return
        found = self._own(p, freeing=True)
        if found is None:
            self.give_block(p, self.block_at(p).order)
            return
        lists, base, index = found
        lists.free(base, index)
        self.freed.add(p)

    def kfree_sensitive(self, p: int) -> None:
        """Do as kfree, after every byte of the object was made zero.

        Clause   CALLER-FREE, CALLER-DOUBLE-FREE, CALLER-FAMILY
        Source   mm/slab_common.c: kfree_sensitive
        """
        if p > ZERO_SIZE_PTR:
            self._own(p, freeing=True)
            self.memory.zero(p, self.room_at(p))
            self.kfree(p)

    def kfree_bulk(self, count: int, objects: Sequence[int]) -> None:
        """Free the first `count` of some objects, last first; all or, if one may not be freed, none.

        Clause   CALLER-FREE, CALLER-DOUBLE-FREE, CALLER-FAMILY
        Needs    no NULL among them
        Source   mm/slub.c: kmem_cache_free_bulk, build_detached_freelist
        """
        seen: set[int] = set()
        for p in objects[:count]:
            self._own(p, freeing=True)
            require(p not in seen, "CALLER-DOUBLE-FREE")
            seen.add(p)
        for p in reversed(objects[:count]):
            self.kfree(p)

    def ksize(self, p: int) -> int:
        """Return how many bytes an object really has, 0 for NULL and ZERO_SIZE_PTR.

        Clause   CALLER-FREE, CALLER-FAMILY
        Source   mm/slab_common.c: ksize, __ksize
        """
        if p <= ZERO_SIZE_PTR:
            return 0
        found = self._own(p, freeing=False)
        return PAGE_SIZE << self.block_at(p).order if found is None else found[0].cache.slot

    def kmalloc_size_roundup(self, size: int) -> int:
        """Return how many bytes an object of `size` would really have; `size` where there can be none.

        Source   mm/slab_common.c of 6.12: kmalloc_size_roundup
        """
        return size_class(size) if 0 < size <= KMALLOC_MAX_SIZE else size

    def _own(self, p: int, *, freeing: bool) -> tuple[FreeLists, int, int] | None:
        """Return where an object of the family lies among the slabs; None for one of whole pages.

        Clause   CALLER-FREE, CALLER-DOUBLE-FREE, CALLER-FAMILY
        """
        found = self.caches.find(p)
        family = self.block_at(p).family if found is None else found[0].family
        if family != "kmalloc" or p in self.lent:
            self.refuse(p, freeing=freeing)
        return found

    def _kmalloc_cache(self, kind: str, size: int, gfp: int) -> FreeLists:
        """Make the cache of a class, aligned as 6.12 does, which is enough for 6.1.

        Source   mm/slab_common.c: create_kmalloc_caches, create_boot_cache
        """
        shown = f"{size // 1024}k" if size >= 1024 else str(size)
        lists = self.caches.create(f"{kind}-{shown}", size, power_of_two_divisor(size), gfp)
        assert lists is not None  # the largest class is two pages
        return lists
