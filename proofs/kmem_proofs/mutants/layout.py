"""Faults of the arithmetic of layouts."""

from __future__ import annotations

from typing import Final

from kmem_model import layout
from kmem_spec import kmem_cache, slab, units
from kmem_spec.units import PAGE_SIZE, SIZE_MAX, round_up


def product(one: int, other: int) -> int:
    """Multiply: no fault, but what the claim is about."""
    return one * other


def product_less_one(one: int, other: int) -> int:
    """Multiply, all but."""
    return one * other - one % 2


def objects_too_many(slot: int, order: int) -> int:
    """Take a part of a slot for one."""
    return min((PAGE_SIZE << order) // slot + 1, layout.MAX_OBJECTS)


def objects_too_few(slot: int, order: int) -> int:
    """Leave the last slot out."""
    return min(((PAGE_SIZE << order) - 1) // slot, layout.MAX_OBJECTS)


def pointer_within(size: int, align: int, *, pointer_outside: bool = False) -> int:
    """Lay the free pointer into the object."""
    return layout.slot_size(size, align, pointer_outside=False)


def word_slots(size: int, align: int, *, pointer_outside: bool = False) -> int:
    """Forget the alignment."""
    return layout.slot_size(size, 8, pointer_outside=pointer_outside)


def any_class(size: int, smallest: int = 8) -> int:
    """Take classes that are no multiple of the smallest."""
    return slab.size_class(size)


def next_class(size: int, smallest: int = 8) -> int:
    """Ask for a byte more than was asked for."""
    return slab.size_class(size + 1, smallest)


def class_of_72(size: int) -> int:
    """Serve sizes above 32 from a class that is a multiple of 8 alone."""
    return 72 if 32 < size <= 72 else slab.size_class(size)


def pages_only(size: int, smallest: int = 8) -> int:
    """Round to pages."""
    return units.pages_for(size) * PAGE_SIZE


def line_wins(size: int, align: int, flags: int, cache_line: int, minimum: int) -> int:
    """Forget what the caller asked for."""
    return kmem_cache.alignment(size, 0, flags, cache_line, minimum)


def no_minimum(size: int, align: int, flags: int, cache_line: int, minimum: int) -> int:
    """Forget what the machine asks for."""
    return kmem_cache.alignment(size, align, flags, cache_line, 1)


def halves_too_often(size: int, align: int, flags: int, cache_line: int, minimum: int) -> int:
    """Halve a line that just holds the object."""
    return kmem_cache.alignment(size // 2 + 1, align, flags, cache_line, minimum)


def halves_never(size: int, align: int, flags: int, cache_line: int, minimum: int) -> int:
    """Take the whole line for the least object, too."""
    return kmem_cache.alignment(cache_line, align, flags, cache_line, minimum)


def always_the_line(size: int, align: int, flags: int, cache_line: int, minimum: int) -> int:
    """Align to the line in any case."""
    return kmem_cache.alignment(size, align, kmem_cache.HWCACHE_ALIGN, cache_line, minimum)


def round_up_wraps(value: int, step: int) -> int:
    """Wrap at 2^64."""
    return round_up(value, step) % (SIZE_MAX + 1)


def pages_wrap(size: int) -> int:
    """Wrap at 2^64."""
    return (size + PAGE_SIZE - 1) % (SIZE_MAX + 1) // PAGE_SIZE


FAULTS: Final[dict[str, list[tuple[str, object]]]] = {
    "UNITS/objects_per_slab/exact": [
        ("one more is said to fit", objects_too_many),
        ("one is left out", objects_too_few),
    ],
    "CACHE-ALIGN/slot_size/exact": [
        ("the pointer lies within", pointer_within),
        ("slots are aligned to words", word_slots),
    ],
    "SLAB-CLASS/size_class_of/exact": [
        ("classes that are no multiple count", any_class),
        ("a class is left out", next_class),
    ],
    "SLAB-CLASS/large_of/exact": [("it is rounded to pages, not to a block", pages_only)],
    "SLAB-ALIGN-POWER/size_class/exact": [("a class of 72 takes them as well", class_of_72)],
    "SLAB-ALIGN-DIVISOR/size_class/exact": [("a class of 72 takes them as well", class_of_72)],
    "CACHE-ALIGN/alignment/exact": [
        ("the line wins over the caller", line_wins),
        ("the machine's minimum is forgotten", no_minimum),
    ],
    "CACHE-ALIGN/line/exact": [
        ("a line is halved too often", halves_too_often),
        ("a line is not halved", halves_never),
        ("the flag is not asked", always_the_line),
    ],
    "UNITS/round_up/refines": [("it wraps", round_up_wraps)],
    "VM-MAX/pages_for/exact": [("it wraps", pages_wrap)],
}
