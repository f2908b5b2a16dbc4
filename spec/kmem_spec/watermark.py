"""Watermarks: how many pages a request must leave in a zone, as pure arithmetic.

Highatomic, CMA and boost terms are left out: each of them only ever adds to what must be left, and a
correct allocator may do without. Division is integer division throughout, as in the kernel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt
from typing import Final

from kmem_spec.gfp import HIGH, NOFAIL, NOMEMALLOC, has, ignores_watermarks, may_sleep
from kmem_spec.units import PAGE_SIZE

KIB_PER_PAGE: Final = PAGE_SIZE // 1024
LEAST_KIB: Final = 128
MOST_KIB: Final = 262144
SCALE: Final = 10  # watermark_scale_factor, in parts of 10,000
RESERVE_RATIO: Final = (256, 256, 32)  # DMA, DMA32, NORMAL; vm.lowmem_reserve_ratio


@dataclass(frozen=True, slots=True)
class Marks:
    """The watermarks of a zone in pages, and its reserve against requests, by the highest zone of each."""

    min: int = 0
    low: int = 0
    high: int = 0
    reserve: tuple[int, ...] = (0, 0, 0)


NO_MARKS: Final = Marks()


def min_free_kib(lowmem_pages: int) -> int:
    """Return min_free_kbytes as the kernel sets it at boot.

    Source   mm/page_alloc.c: calculate_min_free_kbytes
    """
    return min(max(isqrt(lowmem_pages * KIB_PER_PAGE * 16), LEAST_KIB), MOST_KIB)


def marks_of(managed: Sequence[int]) -> tuple[Marks, ...]:
    """Return the watermarks of the zones DMA, DMA32 and NORMAL.

    Units    managed in pages, 0 for a zone that is not there
    Source   mm/page_alloc.c: __setup_per_zone_wmarks, setup_per_zone_lowmem_reserve
    """
    lowmem = sum(managed)
    pages_min = min_free_kib(lowmem) // KIB_PER_PAGE
    marks = []
    for rank, pages in enumerate(managed):
        least = pages_min * pages // lowmem if lowmem else 0
        gap = max(least // 4, pages * SCALE // 10000)
        reserve = tuple(
            sum(managed[rank + 1 : highest + 1]) // RESERVE_RATIO[rank] if pages else 0
            for highest in range(len(managed))
        )
        marks.append(Marks(least, least + gap, least + 2 * gap, reserve))
    return tuple(marks)


def floor_of(mark: int, mask: int) -> int:
    """Return what is left of the min mark for a request under `mask`.

    Units    pages
    Needs    mark >= 0
    Gives    GFP_KERNEL, GFP_USER, GFP_NOWAIT: the mark; with __GFP_HIGH: half; GFP_ATOMIC: three eighths
    Source   mm/page_alloc.c: gfp_to_alloc_flags, __zone_watermark_ok
    """
    if ignores_watermarks(mask):
        return 0
    left = mark
    if has(mask, HIGH) or (has(mask, NOFAIL) and may_sleep(mask)):  # ALLOC_MIN_RESERVE
        left = left - left // 2
        if not may_sleep(mask) and not has(mask, NOMEMALLOC):  # ALLOC_NON_BLOCK
            left = left - left // 4
    return left


def to_leave(mark: int, reserve: int, mask: int) -> int:
    """Return how many pages a request under `mask` must leave in a zone.

    Units    pages; `reserve` is the zone's lowmem reserve against the request
    Source   mm/page_alloc.c: __zone_watermark_ok, ALLOC_NO_WATERMARKS
    """
    if ignores_watermarks(mask):
        return 0
    return floor_of(mark, mask) + reserve


def passes(free: int, pages: int, floor: int, reserve: int) -> bool:
    """Say whether a zone with `free` pages may serve a block of `pages`: the kernel's test as it is written.

    Units    pages
    Source   mm/page_alloc.c: __zone_watermark_ok, without the search for a free block
    """
    unusable = pages - 1
    return not free - unusable <= floor + reserve
