"""A third opinion on the pure functions: contracts for CrossHair, which runs the functions by itself.

`crosshair check kmem_proofs.contracts --analysis_kind=PEP316 --report_all` says of each whether it holds on
all paths. That is evidence beside the proofs and counts for none of them. CrossHair is strong where there
are `//`, `*`, comparisons and small tables, and weak where a symbolic integer meets `^`, `&` or `~`, or a
loop of 64 rounds: what it does not confirm is listed in `NOT_CONFIRMED`, with the reason, and the test
fails if that list is not true.
"""

from __future__ import annotations

from typing import Final

from kmem_spec import expect, gfp, kmem_cache, slab, units, watermark
from kmem_spec.gfp import DIRECT_RECLAIM, HIGH, MEMALLOC, NOFAIL, NOMEMALLOC
from kmem_spec.slab_flags import HWCACHE_ALIGN
from kmem_spec.units import PAGE_SIZE, SIZE_MAX  # noqa: F401  # the contracts name them

NOT_CONFIRMED: Final = {
    "buddy_of": "^ of a symbolic integer",
    "merged_head": "& ~ of a symbolic integer",
    "has": "& of a symbolic integer",
    "min_free_kib": "isqrt makes the integer a plain one",
}


def round_up(value: int, step: int) -> int:
    """Round up.

    pre: 0 <= value <= SIZE_MAX and 1 <= step <= SIZE_MAX
    post: value <= _ < value + step and _ % step == 0
    """
    return units.round_up(value, step)


def pages_for(size: int) -> int:
    """Count pages.

    pre: 0 <= size <= SIZE_MAX
    post: _ * PAGE_SIZE >= size and (_ - 1) * PAGE_SIZE < size
    """
    return units.pages_for(size)


def get_order(size: int) -> int:
    """Find the order of a block that there may be.

    pre: 1 <= size <= PAGE_SIZE << 10
    post: size <= PAGE_SIZE << _ and (_ == 0 or size > PAGE_SIZE << (_ - 1))
    """
    return units.get_order(size)


def get_order_of_any(size: int) -> int:
    """Find the order of any size.

    pre: 1 <= size <= SIZE_MAX
    post: size <= PAGE_SIZE << _ and (_ == 0 or size > PAGE_SIZE << (_ - 1))
    """
    return units.get_order(size)


def power_of_two_divisor(value: int) -> int:
    """Divide a value of 12 bits.

    pre: 1 <= value < 4096
    post: value % _ == 0 and value % (2 * _) != 0
    """
    return units.power_of_two_divisor(value)


def is_power_of_two(value: int) -> bool:
    """Tell the powers of two below 2^64.

    pre: value < 1 << 64
    post: not _ or value > 0
    """
    return units.is_power_of_two(value)


def array_size(count: int, size: int) -> int | None:
    """Multiply.

    pre: 0 <= count <= SIZE_MAX and 0 <= size <= SIZE_MAX
    post: _ == (None if count * size > SIZE_MAX else count * size)
    """
    return units.array_size(count, size)


def buddy_of(pfn: int) -> int:
    """Find the buddy of a block of 8 pages.

    pre: 0 <= pfn < 1 << 52 and pfn % 8 == 0
    post: _ == (pfn + 8 if pfn % 16 == 0 else pfn - 8)
    """
    return units.buddy_of(pfn, 8)


def merged_head(pfn: int) -> int:
    """Find the head of a block of 8 pages and its buddy.

    pre: 0 <= pfn < 1 << 52 and pfn % 8 == 0
    post: _ == pfn // 16 * 16
    """
    return units.merged_head(pfn, 8)


def has(mask: int) -> bool:
    """Tell whether a mask has a bit.

    pre: 0 <= mask < 1 << 24
    post: _ == (mask // 32 % 2 == 1)
    """
    return gfp.has(mask, HIGH)


def may_sleep(sleeps: bool, other: bool) -> bool:
    """Tell whether a mask of two bits may sleep.

    post: _ == sleeps
    """
    return gfp.may_sleep((DIRECT_RECLAIM if sleeps else 0) | (HIGH if other else 0))


def ignores_watermarks(memalloc: bool, nomemalloc: bool) -> bool:
    """Tell whether a mask of two bits takes the last page.

    post: _ == (memalloc and not nomemalloc)
    """
    return gfp.ignores_watermarks((MEMALLOC if memalloc else 0) | (NOMEMALLOC if nomemalloc else 0))


def mask_is_legal(dma: bool, dma32: bool, nofail: bool, sleeps: bool) -> bool:
    """Tell which of these masks are legal.

    post: _ == (not (dma and dma32) and (not nofail or sleeps))
    """
    zones = (gfp.DMA if dma else 0) | (gfp.DMA32 if dma32 else 0)
    return gfp.mask_is_legal(zones | (NOFAIL if nofail else 0) | (DIRECT_RECLAIM if sleeps else 0))


def highest_zone(dma: bool, dma32: bool) -> int:
    """Find the zone of a mask.

    post: _ == (0 if dma else 1 if dma32 else 2)
    """
    return gfp.highest_zone((gfp.DMA if dma else 0) | (gfp.DMA32 if dma32 else 0))


def floor_of(mark: int, high: bool, sleeps: bool, memalloc: bool) -> int:
    """Find the floor of a request.

    pre: 0 <= mark <= SIZE_MAX
    post: 0 <= _ <= mark and (_ == mark or high or memalloc) and (_ == 0 or not memalloc)
    """
    mask = (HIGH if high else 0) | (DIRECT_RECLAIM if sleeps else 0) | (MEMALLOC if memalloc else 0)
    return watermark.floor_of(mark, mask)


def passes(free: int, pages: int, floor: int, reserve: int) -> bool:
    """Compare free pages with what must be left.

    pre: free >= 0 and pages >= 1 and floor >= 0 and reserve >= 0
    post: _ == (free - pages >= floor + reserve)
    """
    return watermark.passes(free, pages, floor, reserve)


def to_leave(mark: int, reserve: int) -> int:
    """Add the reserve.

    pre: mark >= 0 and reserve >= 0
    post: _ == mark + reserve
    """
    return watermark.to_leave(mark, reserve, gfp.GFP_KERNEL)


def min_free_kib(lowmem_pages: int) -> int:
    """Find min_free_kbytes.

    pre: 0 <= lowmem_pages < 1 << 20
    post: 128 <= _ <= 262144 and (_ in (128, 262144) or _ * _ <= lowmem_pages * 64 < (_ + 1) * (_ + 1))
    """
    return watermark.min_free_kib(lowmem_pages)


def alignment(size: int, minimum: int) -> int:
    """Align the objects of a cache to its line of 64 bytes.

    pre: 1 <= size <= 1 << 22 and minimum in (8, 16, 32, 64, 128)
    post: _ >= minimum and _ % 8 == 0 and (size <= 32 or _ >= 64) and (_ == minimum or _ < 2 * size)
    """
    return kmem_cache.alignment(size, 0, HWCACHE_ALIGN, 64, minimum)


def size_class(size: int) -> int:
    """Find the class of a size.

    pre: 1 <= size <= 8192
    post: _ in slab.CLASS_SIZES and all(slot >= _ or slot < size for slot in slab.CLASS_SIZES) and size <= _
    """
    return slab.size_class(size)


def large_size_class(size: int) -> int:
    """Find the block for a large size.

    pre: 8192 < size <= PAGE_SIZE << 10
    post: size <= _ < 2 * size and _ % PAGE_SIZE == 0
    """
    return slab.size_class(size)


def earned(size: int) -> tuple[int, int, int]:
    """Find what a size of 10 bits earns.

    pre: 1 <= size < 1024
    post: size % _[1] == 0 and _[0] in (1, size) and (_[0] == 1 or _[1] == size) and size <= _[2]
    """
    return expect._earned.__wrapped__(size, 8)


def earned_by_nothing(size: int) -> tuple[int, int, int]:
    """Find what no size earns.

    pre: size <= 0 or size > SIZE_MAX
    post: _ == (1, 1, 0)
    """
    return expect._earned.__wrapped__(size, 8)
