"""A small kernel: every call of the API under its kernel name, on a machine of its own."""

from __future__ import annotations

from collections.abc import Callable

from kmem_model.core import Core, is_legal
from kmem_model.kmalloc import KmallocCalls
from kmem_spec.gfp import HIGHMEM, ZERO
from kmem_spec.table import require
from kmem_spec.units import MAX_ORDER, NULL


class PageCalls(Core):
    """__get_free_pages get_zeroed_page free_pages.

    Units    order in log2 pages, addresses as numbers
    Errors   Refused under a CALLER clause for the caller's mistakes; then nothing has changed
    """

    def get_free_pages(self, gfp: int, order: int) -> int:
        """Return the address of 2**order pages, or 0.

        Clause   CALLER-GFP
        Gives    0 above the largest order
        Source   mm/page_alloc.c: __get_free_pages
        """
        require(is_legal(gfp), "CALLER-GFP")
        if order > MAX_ORDER:
            return NULL
        return self.take_block("page", order, gfp & ~HIGHMEM)

    def get_zeroed_page(self, gfp: int) -> int:
        """Return the address of a page of zeroes, or 0.

        Source   mm/page_alloc.c: get_zeroed_page
        """
        return self.get_free_pages(gfp | ZERO, 0)

    def free_pages(self, address: int, order: int) -> None:
        """Free a block of pages; nothing to do for address 0.

        Clause   CALLER-FREE, CALLER-DOUBLE-FREE, CALLER-FAMILY, CALLER-ORDER
        Source   mm/page_alloc.c: free_pages
        """
        if address == NULL:
            return
        block = self.block_at(address)
        if block.family != "page":
            self.refuse(address, freeing=True)
        require(order == block.order, "CALLER-ORDER")
        self.give_block(address, order)


class Kernel(KmallocCalls, PageCalls):
    """The calls of all families, in Python and by name.

    A call that is refused changes nothing. A call that fails, which is one that gives NULL, changes no
    object and no byte; but slabs without an object may have gone back to the page allocator.
    """

    def __init__(self, memory_bytes: int = 4 << 30) -> None:
        """Start a machine with `memory_bytes` of memory, nothing allocated."""
        super().__init__(memory_bytes)
        self.api: dict[str, Callable[..., int | None]] = {
            "kmalloc": self.kmalloc,
            "kzalloc": self.kzalloc,
            "kmalloc_array": self.kmalloc_array,
            "kcalloc": self.kcalloc,
            "krealloc": self.krealloc,
            "kfree": self.kfree,
            "ksize": self.ksize,
            "__get_free_pages": self.get_free_pages,
            "get_zeroed_page": self.get_zeroed_page,
            "free_pages": self.free_pages,
        }

    def call(self, api: str, args: tuple[int, ...]) -> int:
        """Make the call of that kernel name; calls that return nothing give 0.

        Errors   KeyError for a name that is not in `api`
        """
        return self.api[api](*args) or 0
