"""The calls of the page family: blocks of pages, and pages by the byte."""

from __future__ import annotations

from typing import Final

from kmem_model.core import Block, Core
from kmem_spec.gfp import COMP, HIGHMEM, ZERO, has
from kmem_spec.table import Refused, require
from kmem_spec.units import ADDRESS_BITS, MAX_BLOCK, MAX_ORDER, NULL, PAGE_SHIFT, PAGE_SIZE, pages_for
from kmem_spec.units import get_order as order_for

SINGLE: Final = Block("page", 0)


class PageCalls(Core):
    """Calls of blocks: alloc_pages and its kin, their frees, split_page. Calls by the byte: the exact ones.

    Units    order in log2 pages, sizes in bytes; a page is its address in the direct map
    Errors   Refused under a CALLER clause for the caller's mistakes; then nothing has changed
    """

    def get_free_pages(self, gfp: int, order: int) -> int:
        """Return the address of 2**order pages, or 0.

        Clause   CALLER-GFP, CALLER-CONTEXT
        Gives    0 above the largest order
        Source   mm/page_alloc.c: __get_free_pages
        """
        self.may_ask(gfp)
        if order > MAX_ORDER:
            return NULL
        return self.take_block("page", order, gfp & ~HIGHMEM)

    def get_zeroed_page(self, gfp: int) -> int:
        """Return the address of a page of zeroes, or 0.

        Source   mm/page_alloc.c: get_zeroed_page
        """
        return self.get_free_pages(gfp | ZERO, 0)

    def alloc_pages(self, gfp: int, order: int) -> int:
        """Do as __get_free_pages: on 64 bits there is no memory without an address for __GFP_HIGHMEM.

        Source   mm/page_alloc.c: alloc_pages
        """
        return self.get_free_pages(gfp, order)

    def free_pages(self, address: int, order: int) -> None:
        """Free a block of pages; nothing to do for address 0.

        Clause   CALLER-FREE, CALLER-DOUBLE-FREE, CALLER-FAMILY, CALLER-ORDER
        Source   mm/page_alloc.c: free_pages
        """
        if address == NULL:
            return
        self._own_block(address, order, freeing=True)
        self.give_block(address, order)

    def free_pages_of(self, page: int, order: int) -> None:
        """Do as free_pages, for a page and not an address: NULL is none. This is __free_pages.

        Clause   CALLER-FREE, CALLER-DOUBLE-FREE, CALLER-FAMILY, CALLER-ORDER
        Source   mm/page_alloc.c: __free_pages
        """
        self._own_block(page, order, freeing=True)
        self.give_block(page, order)

    def alloc_pages_bulk(self, gfp: int, count: int) -> list[int]:
        """Return pages, as many of `count` as there are to be had, each to be freed by itself.

        Clause   CALLER-GFP, CALLER-CONTEXT
        Source   mm/page_alloc.c: alloc_pages_bulk_noprof
        """
        self.may_ask(gfp)
        pages: list[int] = []
        while len(pages) < count and (page := self.take_block("page", 0, gfp & ~HIGHMEM)) != NULL:
            pages.append(page)
        return pages

    def split_page(self, page: int, order: int) -> None:
        """Make single pages of a block, each to be freed by itself.

        Clause   CALLER-FREE, CALLER-FAMILY, CALLER-ORDER
        Source   mm/page_alloc.c: split_page
        """
        self._own_block(page, order, freeing=False)
        self.frames.divide(page, order)
        self.blocks.release(page)
        for each in range(page, page + (PAGE_SIZE << order), PAGE_SIZE):
            self.hold(each, PAGE_SIZE, SINGLE)

    def alloc_pages_exact(self, size: int, gfp: int) -> int:
        """Return the address of the pages that hold `size` bytes, or NULL.

        Clause   CALLER-GFP, CALLER-CONTEXT
        Gives    NULL for nothing, and for more than the largest block
        Source   mm/page_alloc.c: alloc_pages_exact, make_alloc_exact
        """
        self.may_ask(gfp)
        pages = pages_for(size)
        if not 0 < pages <= MAX_BLOCK:
            return NULL
        order = order_for(size)
        address = self.frames.take(order, gfp & ~(HIGHMEM | COMP))
        if address != NULL:
            self.frames.trim(address, order, pages)
            self.hold(address, pages * PAGE_SIZE, Block("exact", 0, size))
            if has(gfp, ZERO):
                self.memory.zero(address, pages * PAGE_SIZE)
        return address

    def free_pages_exact(self, address: int, size: int) -> None:
        """Free what alloc_pages_exact gave for `size`; NULL is none of it.

        Clause   CALLER-FREE, CALLER-DOUBLE-FREE, CALLER-FAMILY, CALLER-SIZE
        Source   mm/page_alloc.c: free_pages_exact
        """
        block = self.block_at(address)
        if block.family != "exact":
            self.refuse(address, freeing=True)
        require(size == block.size, "CALLER-SIZE")
        self.let_go(address)
        for page in range(pages_for(size)):
            self.frames.give(address + page * PAGE_SIZE, 0)

    def get_order(self, size: int) -> int:
        """Return the least order whose block holds `size` bytes; for 0, of which nothing is promised, 52.

        Source   include/asm-generic/getorder.h: get_order
        """
        return order_for(size) if size else ADDRESS_BITS - PAGE_SHIFT

    def _own_block(self, address: int, order: int, *, freeing: bool) -> None:
        """Refuse what is not the address of a block that the page calls gave, of that order.

        Clause   CALLER-FREE, CALLER-DOUBLE-FREE, CALLER-FAMILY, CALLER-ORDER
        """
        block = self.block_at(address)
        if block.family != "page":
            self.refuse(address, freeing=freeing)
        if order != block.order:
            raise Refused("CALLER-ORDER")
