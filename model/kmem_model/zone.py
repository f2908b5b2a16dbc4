"""The steps by which a zone of pages changes. They are proved; who calls them, and with what, is not trusted.

Each step checks its guard and refuses before any change. The same code runs on dicts here and on
unbounded symbolic tables in the proofs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

from kmem_spec.table import require
from kmem_spec.units import MAX_BLOCK, buddy_of, merged_head
from kmem_spec.watermark import NO_MARKS, Marks
from kmem_spec.zone import ZoneState, is_natural

ZONE_NAMES: Final = ("DMA", "DMA32", "NORMAL")  # by rank, see kmem_spec.gfp.highest_zone


@dataclass(slots=True)
class Zone(ZoneState):
    """A zone with its steps and its watermarks."""

    marks: Marks = NO_MARKS

    @classmethod
    def filled(cls, name: str, start: int, end: int, marks: Marks = NO_MARKS) -> Self:
        """Return a zone with all pages free, in blocks as large as their places allow.

        Units    pages
        Source   mm/memblock.c: __free_pages_memory
        """
        zone = cls(name, start, start, marks=marks)
        while zone.end < end:
            pages = MAX_BLOCK
            while zone.end % pages != 0 or zone.end + pages > end:
                pages //= 2
            zone.settle(zone.extend(pages), pages)
        return zone

    @property
    def rank(self) -> int:
        """The number of the zone, lowest addresses first."""
        return ZONE_NAMES.index(self.name)

    def extend(self, pages: int) -> int:
        """Add a free block at the end of the zone and return its head.

        Clause   PAGE-HEAD
        Needs    pages a legal size of a block, and the zone's end a multiple of it
        Source   mm/page_alloc.c: __free_pages_core
        """
        head = self.end
        require((self.start <= head) & is_natural(head, pages), "PAGE-HEAD")
        self.end = head + pages
        self.free.put(head, pages)
        self.nfree = self.nfree + pages
        return head

    def split(self, head: int, pages: int) -> None:
        """Make two halves of a free block.

        Clause   PAGE-APART, PAGE-HEAD
        Needs    a free block of `pages` at `head`, more than one page
        Source   mm/page_alloc.c: expand
        """
        require(self.free.get(head, 0) == pages, "PAGE-APART")
        require(pages > 1, "PAGE-HEAD")
        half = pages // 2
        self.free.put(head, half)
        self.free.put(head + half, half)

    def merge(self, head: int, pages: int) -> int:
        """Make one block of two free buddies and return its head.

        Clause   PAGE-APART, PAGE-HEAD
        Needs    free blocks of `pages` at `head` and at its buddy, below the largest size
        Source   mm/page_alloc.c: __free_one_page
        """
        require((pages > 0) & (pages < MAX_BLOCK), "PAGE-HEAD")
        require(self.free.get(head, 0) == pages, "PAGE-APART")
        buddy = buddy_of(head, pages)
        require(self.free.get(buddy, 0) == pages, "PAGE-APART")
        whole = merged_head(head, pages)
        self.free.drop(head)
        self.free.drop(buddy)
        self.free.put(whole, 2 * pages)
        return whole

    def take(self, head: int, pages: int, floor: int = 0) -> None:
        """Hand out a free block, if `floor` pages are left then.

        Clause   PAGE-APART, PAGE-WATERMARK
        Needs    a free block of `pages` at `head`
        Source   mm/page_alloc.c: rmqueue, __zone_watermark_ok
        """
        require((pages > 0) & (self.free.get(head, 0) == pages), "PAGE-APART")
        require(self.nfree - pages >= floor, "PAGE-WATERMARK")
        self.free.drop(head)
        self.used.put(head, pages)
        self.nfree = self.nfree - pages

    def put(self, head: int, pages: int) -> None:
        """Take a block back.

        Clause   CALLER-FREE, CALLER-ORDER
        Needs    a block of `pages` in use at `head`
        Source   mm/page_alloc.c: __free_pages_ok
        """
        require(self.used.get(head, 0) > 0, "CALLER-FREE")
        require(self.used.get(head, 0) == pages, "CALLER-ORDER")
        self.used.drop(head)
        self.free.put(head, pages)
        self.nfree = self.nfree + pages

    def divide(self, head: int, pages: int) -> None:
        """Make two halves of a block in use, each to be given back by itself.

        Clause   CALLER-FREE, CALLER-ORDER, PAGE-HEAD
        Needs    a block of `pages` in use at `head`, more than one page
        Source   mm/page_alloc.c: split_page
        """
        require(self.used.get(head, 0) > 0, "CALLER-FREE")
        require(self.used.get(head, 0) == pages, "CALLER-ORDER")
        require(pages > 1, "PAGE-HEAD")
        half = pages // 2
        self.used.put(head, half)
        self.used.put(head + half, half)

    def mergeable(self, head: int, pages: int) -> bool:
        """Say whether the free block of `pages` at `head` has a free buddy to merge with.

        Source   mm/internal.h: page_is_buddy
        """
        return pages < MAX_BLOCK and self.free.get(buddy_of(head, pages), 0) == pages

    def settle(self, head: int, pages: int) -> tuple[int, int]:
        """Merge the free block at `head` as far as it goes; return the head and size that it comes to.

        Source   mm/page_alloc.c: __free_one_page, its loop
        """
        while self.mergeable(head, pages):
            head = self.merge(head, pages)
            pages = 2 * pages
        return head, pages
