"""Blocks of pages by address: the page allocator as the other families ask it, and failures on request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from kmem_model.memory import address_of, pfn_of
from kmem_model.page import Pages
from kmem_spec.units import NULL


def nothing_to_spare() -> bool:
    """Say that no page could be given back."""
    return False


@dataclass(slots=True)
class Frames:
    """Take and give blocks of pages.

    fail_nth   the n-th request from now on fails, as under fault injection; 0 means none
    reclaim    asked once when pages ran out, to give back what is kept without need
    """

    pages: Pages
    fail_nth: int = 0
    reclaim: Callable[[], bool] = nothing_to_spare

    def take(self, order: int, gfp: int) -> int:
        """Return the address of a block of 2**order pages, or NULL.

        Needs    a legal mask
        Source   mm/page_alloc.c: __alloc_pages, should_fail_alloc_page
        """
        if self.fail_nth > 0:
            self.fail_nth -= 1
            if self.fail_nth == 0:
                return NULL
        pfn = self.pages.alloc(order, gfp)
        if pfn is None and self.reclaim():
            pfn = self.pages.alloc(order, gfp)
        return NULL if pfn is None else address_of(pfn)

    def give(self, address: int, order: int) -> None:
        """Give a block back.

        Needs    a block from `take`, its order
        """
        self.pages.free(pfn_of(address), order)
