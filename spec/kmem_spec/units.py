"""Units of the allocators and their arithmetic, as plain functions of integers.

Python's integers have no width, so a sum or product here never wraps; where the kernel's would,
the rule says so (`array_size`). Every function runs unchanged under the proofs' symbolic integers:
shifts and masks by constants, `//`, `%`, comparisons, nothing else.
"""

from __future__ import annotations

from typing import Final, NewType

Bytes = NewType("Bytes", int)
Pages = NewType("Pages", int)
Order = NewType("Order", int)  # log2 of pages
Pfn = NewType("Pfn", int)  # page frame number
Address = NewType("Address", int)

PAGE_SHIFT: Final = 12
PAGE_SIZE: Final = 1 << PAGE_SHIFT
MAX_ORDER: Final = 10  # inclusive, as since Linux 6.4; include/linux/mmzone.h
MAX_BLOCK: Final = 1 << MAX_ORDER  # pages
ADDRESS_BITS: Final = 64
SIZE_MAX: Final = (1 << ADDRESS_BITS) - 1
NULL: Final = 0
ZERO_SIZE_PTR: Final = 16  # include/linux/slab.h
MAX_ERRNO: Final = 4095  # addresses above SIZE_MAX - MAX_ERRNO are error codes; include/linux/err.h


def round_up(value: int, step: int) -> int:
    """Return the least multiple of `step` that is not below `value`.

    Needs    step > 0
    Source   include/linux/math.h: round_up
    """
    return (value + step - 1) // step * step


def pages_for(size: int) -> int:
    """Return how many pages hold `size` bytes."""
    return (size + PAGE_SIZE - 1) // PAGE_SIZE


def get_order(size: int) -> int:
    """Return the least order whose block of pages holds `size` bytes.

    Needs    1 <= size <= SIZE_MAX; size 0 is undefined by contract, and gives 0 here
    Source   include/asm-generic/getorder.h: get_order
    """
    for order in range(ADDRESS_BITS - PAGE_SHIFT):
        if size <= PAGE_SIZE << order:
            return order
    return ADDRESS_BITS - PAGE_SHIFT


def power_of_two_divisor(value: int) -> int:
    """Return the largest power of two that divides `value`.

    Needs    1 <= value <= SIZE_MAX
    Source   Documentation/core-api/memory-allocation.rst (6.12), on the alignment of kmalloc
    """
    divisor = 1
    for _ in range(ADDRESS_BITS):
        if value % (divisor * 2) != 0:
            return divisor
        divisor = divisor * 2
    return divisor


def is_power_of_two(value: int) -> bool:
    """Say whether `value` is 2**k for some k from 0 to 63."""
    for shift in range(ADDRESS_BITS):
        if value <= 1 << shift:
            return value == 1 << shift
    return False


def array_size(count: int, size: int) -> int | None:
    """Return count * size, or None where the product does not fit size_t.

    Needs    0 <= count, size <= SIZE_MAX
    Source   include/linux/overflow.h: check_mul_overflow, as kmalloc_array and kcalloc use it
    """
    if size != 0 and count > SIZE_MAX // size:
        return None
    return count * size


def buddy_of(pfn: int, pages: int) -> int:
    """Return the head of the block that the block of `pages` at `pfn` may merge with.

    Needs    pages is a power of two, pfn a multiple of it
    Gives    a block of the same size, apart from this one, in the same block of twice the size
    Source   mm/internal.h: __find_buddy_pfn
    """
    return pfn ^ pages


def merged_head(pfn: int, pages: int) -> int:
    """Return the head of the block that the block at `pfn` makes together with its buddy.

    Source   mm/page_alloc.c: __free_one_page
    """
    return pfn & ~pages
