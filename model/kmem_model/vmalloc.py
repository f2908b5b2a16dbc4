"""The calls of the vmalloc family: areas of pages that are together in addresses alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from kmem_model.core import Block, Core, is_legal
from kmem_spec.area import is_vmalloc_addr
from kmem_spec.calls import Family
from kmem_spec.gfp import DMA, DMA32, GFP_KERNEL, HIGHMEM, ZERO, may_sleep
from kmem_spec.table import require
from kmem_spec.units import NULL, PAGE_SHIFT, PAGE_SIZE, array_size, pages_for

ZONES: Final = DMA | DMA32 | HIGHMEM


class VmallocCalls(Core):
    """vmalloc and its kin, vrealloc, vfree; vmap, vunmap; vmalloc_to_page, is_vmalloc_addr.

    Units    sizes in bytes; a page is its address in the direct map
    Errors   Refused under a CALLER clause for the caller's mistakes; then nothing has changed
    """

    def vmalloc(self, size: int) -> int:
        """Return the start of an area that holds `size` bytes; NULL for none, for too many, or in need.

        Clause   CALLER-CONTEXT
        Source   mm/vmalloc.c: vmalloc
        """
        return self.make_area(size, GFP_KERNEL)

    def vzalloc(self, size: int) -> int:
        """Do as vmalloc, zeroed.

        Source   mm/vmalloc.c: vzalloc
        """
        return self.make_area(size, GFP_KERNEL | ZERO)

    def vmalloc_user(self, size: int) -> int:
        """Do as vzalloc: for user space to see.

        Source   mm/vmalloc.c: vmalloc_user
        """
        start = self.make_area(size, GFP_KERNEL | ZERO)
        if start != NULL:
            self._relabel(start, self.block_at(start)._replace(user=True))
        return start

    def vmalloc_32(self, size: int) -> int:
        """Do as vmalloc, with pages below 4 GiB.

        Source   mm/vmalloc.c: vmalloc_32, GFP_VMALLOC32
        """
        return self.make_area(size, GFP_KERNEL | DMA32)

    def vmalloc_array(self, n: int, size: int) -> int:
        """Do as vmalloc for n * size bytes; NULL where that does not fit size_t.

        Source   mm/util.c: __vmalloc_array
        """
        return self._make_array(n, size, GFP_KERNEL)

    def vcalloc(self, n: int, size: int) -> int:
        """Do as vmalloc_array, zeroed.

        Source   mm/util.c: __vcalloc
        """
        return self._make_array(n, size, GFP_KERNEL | ZERO)

    def vmalloc_gfp(self, size: int, gfp: int) -> int:
        """Do as vmalloc, under a mask of the caller's. This is __vmalloc.

        Clause   CALLER-GFP, CALLER-CONTEXT
        Source   mm/vmalloc.c: __vmalloc
        """
        self.may_wait()
        self._may_map(gfp)
        return self.make_area(size, gfp)

    def vrealloc(self, p: int, size: int, gfp: int) -> int:
        """Resize an area: in its place if its pages hold `size`, else a new one with the old bytes.

        Clause   CALLER-FREE, CALLER-FAMILY, CALLER-GFP, CALLER-CONTEXT
        Gives    NULL for size 0, and the area freed; NULL where no memory was to be had, and the area as
                 it was; under __GFP_ZERO, zeroes from a smaller size to the one before
        Source   mm/vmalloc.c: vrealloc, 6.12
        """
        self.may_wait()
        if p != NULL:
            self._own_area(p, "vmalloc", freeing=False)
        self._may_map(gfp)
        return self.resize_area(p, size, gfp)

    def vfree(self, p: int) -> None:
        """Free an area; nothing to do for NULL.

        Clause   CALLER-FREE, CALLER-DOUBLE-FREE, CALLER-FAMILY, CALLER-CONTEXT
        Source   mm/vmalloc.c: vfree
        """
        self.may_wait()
        if p != NULL:
            self._own_area(p, "vmalloc", freeing=True)
            self.end_area(p)

    def vmap(self, pages: Sequence[int], count: int, flags: int, prot: int) -> int:
        """Return the start of an area that shows `count` pages, which stay the caller's; or NULL.

        Clause   CALLER-FREE, CALLER-FAMILY, CALLER-CONTEXT
        Needs    each page is the first of a block that the page calls gave; `flags` and `prot` change
                 nothing here
        Gives    NULL for no page, and for more than there is memory
        Source   mm/vmalloc.c: vmap
        """
        self.may_wait()
        if count > self.frames.total_pages:
            return NULL
        for page in pages[:count]:
            if self.block_at(page).family != "page":
                self.refuse(page, freeing=False)
        start = self.space.show(pages[:count]) if count > 0 else NULL
        if start != NULL:
            self.hold(start, count * PAGE_SIZE, Block("vmap", 0, count * PAGE_SIZE))
        return start

    def vunmap(self, p: int) -> None:
        """End an area that vmap made; nothing to do for NULL.

        Clause   CALLER-FREE, CALLER-DOUBLE-FREE, CALLER-FAMILY, CALLER-CONTEXT
        Source   mm/vmalloc.c: vunmap
        """
        self.may_wait()
        if p != NULL:
            self._own_area(p, "vmap", freeing=True)
            self.let_go(p)
            self.space.hide(p)

    def vmalloc_to_page(self, address: int) -> int:
        """Return the page behind an address of the vmalloc space, NULL where none is mapped.

        Clause   CALLER-FREE, CALLER-FAMILY
        Source   mm/vmalloc.c: vmalloc_to_page
        """
        if not is_vmalloc_addr(address):
            self.refuse(address, freeing=False)
        return self.view.frame_at(address) or NULL

    def is_vmalloc_addr(self, address: int) -> int:
        """Return 1 for an address of the vmalloc space, mapped or not, else 0.

        Source   mm/vmalloc.c: is_vmalloc_addr
        """
        return int(is_vmalloc_addr(address))

    def make_area(self, size: int, gfp: int) -> int:
        """Return the start of a new area for a caller, its whole pages zeroed under __GFP_ZERO, or NULL.

        Clause   CALLER-CONTEXT
        Source   mm/vmalloc.c: __vmalloc_node_range
        """
        self.may_wait()
        if size == 0 or size >> PAGE_SHIFT > self.frames.total_pages:
            return NULL
        pages = pages_for(size)
        start = self.space.make(pages, gfp)
        if start != NULL:
            self.hold(start, pages * PAGE_SIZE, Block("vmalloc", 0, size))
            if gfp & ZERO:
                self.view.zero(start, pages * PAGE_SIZE)
        return start

    def resize_area(self, p: int, size: int, gfp: int) -> int:
        """Do what vrealloc does.

        Needs    p NULL or an area of vmalloc
        """
        if p == NULL:
            return self.make_area(size, gfp)
        if size == 0:
            self.end_area(p)
            return NULL
        block, room = self.block_at(p), self.space.mapped(p) * PAGE_SIZE
        asked = block.size
        if size <= room:
            if gfp & ZERO and size < asked:
                self.view.zero(p + size, asked - size)
            self._relabel(p, block._replace(size=size))
            return p
        new = self.make_area(size, gfp)
        if new != NULL:
            self.view.copy(p, new, asked)
            self.end_area(p)
        return new

    def end_area(self, p: int) -> None:
        """Free an area of vmalloc.

        Needs    p the start of one
        """
        self.let_go(p)
        self.space.end(p)

    def _relabel(self, p: int, block: Block) -> None:
        """Enter something else about an area in a caller's hands."""
        self.blocks.release(p)
        self.hold(p, self.space.mapped(p) * PAGE_SIZE, block)

    def _make_array(self, n: int, size: int, gfp: int) -> int:
        product = array_size(n, size)
        if product is None:
            self.may_wait()
            return NULL
        return self.make_area(product, gfp)

    def _may_map(self, gfp: int) -> None:
        """Refuse a mask that vmalloc does not take: one that names a zone, or that may not sleep.

        Clause   CALLER-GFP
        """
        require(may_sleep(gfp) and not gfp & ZONES and is_legal(gfp), "CALLER-GFP")

    def _own_area(self, p: int, family: Family, *, freeing: bool) -> None:
        """Refuse what is not the start of an area that `family` gave."""
        if self.block_at(p).family != family or p in self.lent:
            self.refuse(p, freeing=freeing)
