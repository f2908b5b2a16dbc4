"""Faults of the arithmetic of sizes and orders."""

from __future__ import annotations

from typing import Final

from kmem_spec import slab, units
from kmem_spec.units import ADDRESS_BITS, PAGE_SHIFT, PAGE_SIZE, SIZE_MAX


def order_below(wanted: int) -> int:
    """Give a size that just fits the next order."""
    for order in range(ADDRESS_BITS - PAGE_SHIFT):
        if wanted < PAGE_SIZE << order:
            return order
    return ADDRESS_BITS - PAGE_SHIFT


def pages_and_one(wanted: int) -> int:
    """Give whole pages one more."""
    return wanted // PAGE_SIZE + 1


def rounds_multiples_too(value: int, step: int) -> int:
    """Round a multiple to the next."""
    return (value + step) // step * step


def divides_an_even_number_of_times(value: int) -> int:
    """Find powers of four."""
    divisor = 1
    while value % (divisor * 4) == 0 and divisor < 1 << 62:
        divisor = divisor * 4
    return divisor


def even_is_enough(value: int) -> bool:
    """Take any even number for a power of two."""
    return value == 1 or value % 2 == 0


def wraps(count: int, each: int) -> int | None:
    """Lose what does not fit."""
    return count * each % (SIZE_MAX + 1)


def rejects_the_limit(count: int, each: int) -> int | None:
    """Refuse the largest count."""
    if each != 0 and count >= SIZE_MAX // each:
        return None
    return count * each


def without_96(wanted: int) -> int:
    """Leave a class out."""
    for slot in slab.CLASS_SIZES:
        if wanted <= slot and slot != 96:
            return slot
    return slab.MAX_CACHE_SIZE


def one_byte_short(wanted: int) -> int:
    """Let a class take a byte too many."""
    for slot in slab.CLASS_SIZES:
        if wanted <= slot + 1:
            return slot
    return slab.MAX_CACHE_SIZE


def pages_only(wanted: int) -> int:
    """Round to pages, not to a block."""
    return units.pages_for(wanted) * PAGE_SIZE


def the_next_block(pfn: int, pages: int) -> int:
    """Take the next block for the buddy."""
    return pfn + pages


def the_upper_head(pfn: int, pages: int) -> int:
    """Begin the whole at the upper block."""
    return pfn | pages


FAULTS: Final[dict[str, list[tuple[str, object]]]] = {
    "UNITS/get_order/exact": [("a size that just fits gets the next order", order_below)],
    "UNITS/pages_for/exact": [("whole pages get one more", pages_and_one)],
    "UNITS/round_up/exact": [("a multiple is rounded to the next", rounds_multiples_too)],
    "SLAB-ALIGN-DIVISOR/power_of_two_divisor/exact": [
        ("it finds powers of four", divides_an_even_number_of_times)
    ],
    "SLAB-ALIGN-POWER/is_power_of_two/exact": [("any even number will do", even_is_enough)],
    "SLAB-ARRAY/array_size/exact": [("it wraps", wraps), ("the largest count is refused", rejects_the_limit)],
    "SLAB-CLASS/size_class/exact": [
        ("there is no class of 96", without_96),
        ("a class takes a byte too many", one_byte_short),
    ],
    "SLAB-CLASS/large/exact": [("it is rounded to pages, not to a block", pages_only)],
    "PAGE-MERGED/buddy_of/exact": [("the buddy is always the next block", the_next_block)],
    "PAGE-MERGED/merged_head/exact": [("the whole begins at the upper block", the_upper_head)],
}
