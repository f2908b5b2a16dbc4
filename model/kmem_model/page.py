"""The page allocator: a policy over zones. It picks; the steps of `Zone` decide.

Nothing here is trusted: a wrong pick is refused by a step, and the most that this file can do wrong
is to find no block where there is one. Tests enumerate a small machine to show that it does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import pairwise
from typing import Final

from kmem_model.zone import ZONE_NAMES, Zone
from kmem_spec.gfp import (
    DIRECT_RECLAIM,
    DMA,
    DMA32,
    HIGH,
    HIGHMEM,
    MEMALLOC,
    NOFAIL,
    NOMEMALLOC,
    highest_zone,
)
from kmem_spec.table import Refused
from kmem_spec.units import MAX_ORDER, PAGE_SIZE
from kmem_spec.watermark import marks_of, to_leave

__all__ = ["Pages", "Zone", "machine"]

DMA_PAGES: Final = (16 << 20) // PAGE_SIZE
DMA32_PAGES: Final = (4 << 30) // PAGE_SIZE
ORDERS: Final = range(MAX_ORDER + 1)
# The bits that decide where a request is served from; the others change nothing here.
DECIDING: Final = DMA | HIGHMEM | DMA32 | HIGH | DIRECT_RECLAIM | NOFAIL | MEMALLOC | NOMEMALLOC


@dataclass(slots=True)
class Shelf:
    """A zone with its free heads by order, least first.

    A head stays in its heap when its block merges, and is dropped when it comes up; `queued` has the
    heads of each heap, so that none is ever in it twice.
    """

    zone: Zone
    heaps: list[list[int]] = field(default_factory=lambda: [[] for _ in ORDERS])
    queued: list[set[int]] = field(default_factory=lambda: [set() for _ in ORDERS])

    def queue(self, head: int, order: int) -> None:
        """Note a free block."""
        if head not in self.queued[order]:
            self.queued[order].add(head)
            heappush(self.heaps[order], head)

    def take(self, order: int, floor: int) -> int | None:
        """Hand out the least block of the smallest size that will do, split down; None if there is none."""
        zone = self.zone
        for found in range(order, MAX_ORDER + 1):
            heap = self.heaps[found]
            while heap:
                head = heappop(heap)
                self.queued[found].discard(head)
                if zone.free.get(head, 0) == 1 << found:
                    for half in range(found - 1, order - 1, -1):
                        zone.split(head, 2 << half)
                        self.queue(head + (1 << half), half)
                    zone.take(head, 1 << order, floor)
                    return head
        return None

    def put(self, head: int, pages: int) -> None:
        """Take a block back and merge it."""
        zone = self.zone
        zone.put(head, pages)
        head, pages = zone.settle(head, pages)
        self.queue(head, pages.bit_length() - 1)


Tries = tuple[list[tuple[Zone, Shelf, int]], list[tuple[Zone, Shelf, int]]]


class Pages:
    """Allocate and free blocks of pages.

    total_pages   how many there are, free or in use
    """

    def __init__(self, zones: Sequence[Zone]) -> None:
        self.zones = tuple(sorted(zones, key=lambda zone: zone.start))
        self.total_pages = sum(zone.end - zone.start for zone in self.zones)
        self._shelves = [Shelf(zone) for zone in self.zones]
        for shelf in self._shelves:
            zone, head = shelf.zone, shelf.zone.start
            while head < zone.end:
                free = zone.free.get(head, 0)
                if free:
                    shelf.queue(head, free.bit_length() - 1)
                head += free or zone.used.get(head, 0)
        self._tries_by_mask: dict[int, Tries] = {}

    @property
    def free_pages(self) -> int:
        """The count of free pages in all zones."""
        return sum(zone.nfree for zone in self.zones)

    def alloc(self, order: int, gfp: int) -> int | None:
        """Return the page frame number of a block, or None where the watermarks or the order forbid one.

        Units    order in log2 pages; the result in pages
        Needs    zone_is_legal(gfp)
        Source   mm/page_alloc.c: __alloc_pages, get_page_from_freelist
        """
        pfn = self.alloc_at_first(order, gfp)
        return self.alloc_at_last(order, gfp) if pfn is None else pfn

    def alloc_at_first(self, order: int, gfp: int) -> int | None:
        """Do as `alloc`, above the low mark.

        Source   mm/page_alloc.c: __alloc_pages
        """
        tries = self._tries_by_mask.get(gfp & DECIDING) or self._learn(gfp)
        return _take_from(tries[0], order)

    def alloc_at_last(self, order: int, gfp: int) -> int | None:
        """Do as `alloc`, down to the floor of the mask.

        Source   mm/page_alloc.c: __alloc_pages_slowpath
        """
        tries = self._tries_by_mask.get(gfp & DECIDING) or self._learn(gfp)
        return _take_from(tries[1], order)

    def free(self, pfn: int, order: int) -> None:
        """Take back the block that begins at page `pfn`.

        Clause   CALLER-FREE, CALLER-ORDER
        Needs    a block given by `alloc` with the same order, not freed since
        Source   mm/page_alloc.c: __free_pages
        """
        if not 0 <= order <= MAX_ORDER:
            raise Refused("CALLER-ORDER")
        self._shelf_of(pfn).put(pfn, 1 << order)

    def divide(self, pfn: int, order: int) -> None:
        """Make single pages, each to be freed by itself, of the block in use that begins at page `pfn`.

        Clause   CALLER-FREE, CALLER-ORDER
        Needs    a block given by `alloc` with the same order, not freed since
        Source   mm/page_alloc.c: split_page
        """
        zone = self._shelf_of(pfn).zone
        for larger in range(order, 0, -1):
            for head in range(pfn, pfn + (1 << order), 1 << larger):
                zone.divide(head, 1 << larger)

    def _shelf_of(self, pfn: int) -> Shelf:
        """Return the shelf of the zone that has the page."""
        for shelf in self._shelves:
            if shelf.zone.start <= pfn < shelf.zone.end:
                return shelf
        raise Refused("CALLER-FREE")

    def _learn(self, gfp: int) -> Tries:
        """Note where to look under a mask, and what to leave: all zones at the low mark; all at the floor.

        Source   mm/page_alloc.c: __alloc_pages (first try), __alloc_pages_slowpath
        """
        highest = highest_zone(gfp)
        usable = [shelf for shelf in reversed(self._shelves) if shelf.zone.rank <= highest]
        marks = [(shelf, shelf.zone.marks, shelf.zone.marks.reserve[highest]) for shelf in usable]
        first = [(shelf.zone, shelf, mark.low + reserve) for shelf, mark, reserve in marks]
        last = [(shelf.zone, shelf, to_leave(mark.min, reserve, gfp)) for shelf, mark, reserve in marks]
        self._tries_by_mask[gfp & DECIDING] = (first, last)
        return first, last


def _take_from(tries: list[tuple[Zone, Shelf, int]], order: int) -> int | None:
    """Return the head of a block from the first zone that has one and may give it, or None."""
    if not 0 <= order <= MAX_ORDER:
        return None
    pages = 1 << order
    for zone, shelf, floor in tries:
        if zone.nfree - pages >= floor:
            head = shelf.take(order, floor)
            if head is not None:
                return head
    return None


def machine(size: int) -> Pages:
    """Return the page allocator of a machine with `size` bytes of memory, page 0 at address 0.

    Zones are DMA to 16 MiB, DMA32 to 4 GiB, NORMAL above; a small machine has not all of them.

    Source   arch/x86/mm/init.c: zone_sizes_init
    """
    end = size // PAGE_SIZE
    bounds = [0, min(end, DMA_PAGES), min(end, DMA32_PAGES), end]
    sizes = [stop - start for start, stop in pairwise(bounds)]
    marks = marks_of(sizes)
    return Pages(
        [
            Zone.filled(name, bounds[rank], bounds[rank + 1], marks[rank])
            for rank, name in enumerate(ZONE_NAMES)
            if sizes[rank]
        ]
    )
