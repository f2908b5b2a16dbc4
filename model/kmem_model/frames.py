"""Blocks of pages by address: the page allocator as the other families ask it, and failures on request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from kmem_model.memory import address_of, pfn_of
from kmem_model.page import Pages
from kmem_spec.gfp import DIRECT_RECLAIM, NOFAIL
from kmem_spec.units import MAX_ORDER, NULL, PAGE_SIZE


def nothing_to_spare() -> bool:
    """Say that no page could be given back."""
    return False


@dataclass(slots=True)
class Frames:
    """Take and give blocks of pages.

    fail_nth   the n-th request from now on that may fail does, as under fault injection; 0 means none
    slept      whether a request could not be met at once and its mask let it wait for reclaim; whoever
               wants to know sets it to False before
    reclaim    asked once when pages ran out, to give back what is kept without need
    """

    pages: Pages
    fail_nth: int = 0
    slept: bool = False
    reclaim: Callable[[], bool] = nothing_to_spare

    @property
    def total_pages(self) -> int:
        """How many pages the machine has."""
        return self.pages.total_pages

    def take(self, order: int, gfp: int) -> int:
        """Return the address of a block of 2**order pages, or NULL.

        Needs    a legal mask
        Source   mm/page_alloc.c: __alloc_pages, __alloc_pages_slowpath, should_fail_alloc_page
        """
        if order > MAX_ORDER:
            return NULL
        if self.fail_nth > 0 and not gfp & NOFAIL and self.fails():
            return NULL
        pfn = self.pages.alloc_at_first(order, gfp)
        if pfn is None:
            if gfp & DIRECT_RECLAIM:
                self.slept = True
            pfn = self.pages.alloc_at_last(order, gfp)
        if pfn is None and self.reclaim():
            pfn = self.pages.alloc(order, gfp)
        return NULL if pfn is None else address_of(pfn)

    def fails(self) -> bool:
        """Count a request, and say whether it is the one that was to fail."""
        if self.fail_nth > 0:
            self.fail_nth -= 1
            return self.fail_nth == 0
        return False

    def give(self, address: int, order: int) -> None:
        """Give a block back.

        Needs    a block from `take`, its order
        """
        self.pages.free(pfn_of(address), order)

    def divide(self, address: int, order: int) -> None:
        """Make single pages of a block, each to be given back by itself.

        Needs    a block from `take`, its order
        """
        self.pages.divide(pfn_of(address), order)

    def trim(self, address: int, order: int, pages: int) -> None:
        """Make single pages of a block and give back all but the first `pages`.

        Needs    a block from `take`, its order
        Source   mm/page_alloc.c: make_alloc_exact
        """
        self.divide(address, order)
        for page in range(pages, 1 << order):
            self.give(address + page * PAGE_SIZE, 0)
