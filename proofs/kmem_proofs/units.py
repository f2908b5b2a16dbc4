"""Obligations of the arithmetic: each function exact for every input that it may be given."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from kmem_proofs.case import Case, Values
from kmem_proofs.mutants import units as mutants
from kmem_proofs.obligations import Obligation, Rows, listed
from kmem_proofs.zones import SIZES
from kmem_spec import slab, units
from kmem_spec.units import ADDRESS_BITS, PAGE_SIZE, SIZE_MAX

Function = Callable[[int], int]
Function2 = Callable[[int, int], int]
POWERS: Final = tuple(1 << shift for shift in range(ADDRESS_BITS))


def size(case: Case, name: str, least: int = 0) -> int:
    """Return any size_t from `least` on."""
    value = case.number(name)
    case.assume((value >= least) & (value <= SIZE_MAX))
    return value


def order_is_least(case: Case, code: Function) -> Sequence[bool]:
    """The block of the order holds the size, and that of the order below does not."""
    wanted = size(case, "size", least=1)
    order = case.call(code, wanted)
    enough = wanted <= PAGE_SIZE << order
    return [enough, (order == 0) | (wanted > (PAGE_SIZE << order) // 2)]


def pages_are_least(case: Case, code: Function) -> Sequence[bool]:
    """The pages hold the size, and one page less does not."""
    wanted = size(case, "size")
    pages = case.call(code, wanted)
    return [pages * PAGE_SIZE >= wanted, (pages - 1) * PAGE_SIZE < wanted]


def rounds_to_least_multiple(case: Case, code: Function2) -> Sequence[bool]:
    """The result is a multiple, not below the value, and the multiple before it is below."""
    value, step = size(case, "value"), size(case, "step", least=1)
    rounded = case.call(code, value, step)
    return [rounded >= value, rounded - step < value, rounded == rounded // step * step]


def divisor_is_greatest(case: Case, code: Function) -> Sequence[bool]:
    """The result is a power of two that divides the value, and none that is greater does.

    Every greater power of two is a multiple of twice the result, so that what it divides is, too.
    """
    value, times = size(case, "value", least=1), case.number("times")
    divisor = case.call(code, value)
    is_power = False
    for power in POWERS:
        is_power = is_power | (divisor == power)
    return [is_power, value % divisor == 0, value != 2 * divisor * times]


def says_what_is_a_power(case: Case, code: Callable[[int], bool]) -> Sequence[bool]:
    """The answer is yes for the 64 powers and no for every other integer, of any sign or size."""
    value = case.number("value")
    answer = case.call(code, value)
    is_power = False
    for power in POWERS:
        is_power = is_power | (value == power)
    return [answer == is_power]


def product_is_exact(case: Case, code: Callable[[int, int], int | None]) -> Sequence[bool]:
    """The product where it fits size_t, None where it does not, over all of 2^64 x 2^64."""
    count, each = size(case, "count"), size(case, "size")
    product = case.call(code, count, each)
    if product is None:
        return [count * each > SIZE_MAX]
    return [product == count * each, product <= SIZE_MAX]


def class_is_least(case: Case, code: Function) -> Sequence[bool]:
    """The class holds the size, is one that exists, and no class below it holds the size."""
    wanted = size(case, "size", least=1)
    case.assume(wanted <= slab.MAX_CACHE_SIZE)
    given = case.call(code, wanted)
    exists, least = False, True
    for slot in slab.CLASS_SIZES:
        exists = exists | (given == slot)
        least = least & ((given <= slot) | (wanted > slot))
    return [exists, wanted <= given, least]


def large_class_is_least_block(case: Case, code: Function) -> Sequence[bool]:
    """Above the largest class it is the least block of pages that holds the size, natural in length."""
    wanted = size(case, "size", least=slab.MAX_CACHE_SIZE + 1)
    given = case.call(code, wanted)
    natural = given == SIZE_MAX + 1
    for power in POWERS:
        natural = natural | (given == power)
    return [natural, wanted <= given, given // 2 < wanted]


def block(case: Case) -> tuple[int, int]:
    """Return any block below the largest size."""
    index, pages = case.number("index"), case.choose("pages", SIZES[:-1])
    case.assume(index >= 0)
    return index * pages, pages  # every multiple; cvc5 does not come to an end with "pfn % pages == 0"


def buddies_make_a_block(case: Case, code: Function2) -> Sequence[bool]:
    """The buddy is next to the block, in the same block of twice the size, and its buddy is the block."""
    pfn, pages = block(case)
    buddy = case.call(code, pfn, pages)
    lower = case.either(pfn < buddy, pfn, buddy)
    return [
        (buddy == pfn + pages) | (buddy == pfn - pages),
        lower % (2 * pages) == 0,
        case.call(code, buddy, pages) == pfn,
    ]


def head_is_the_lower(case: Case, code: Function2) -> Sequence[bool]:
    """The whole begins at the lower of the two buddies."""
    pfn, pages = block(case)
    head = case.call(code, pfn, pages)
    buddy = units.buddy_of(pfn, pages)
    return [head == case.either(pfn < buddy, pfn, buddy), head % (2 * pages) == 0]


ROWS: Final[Rows] = {
    "UNITS/get_order/exact": (order_is_least, units.get_order),
    "UNITS/pages_for/exact": (pages_are_least, units.pages_for),
    "UNITS/round_up/exact": (rounds_to_least_multiple, units.round_up),
    "SLAB-ALIGN-DIVISOR/power_of_two_divisor/exact": (divisor_is_greatest, units.power_of_two_divisor),
    "SLAB-ALIGN-POWER/is_power_of_two/exact": (says_what_is_a_power, units.is_power_of_two),
    "SLAB-ARRAY/array_size/exact": (product_is_exact, units.array_size),
    "SLAB-CLASS/size_class/exact": (class_is_least, slab.size_class),
    "SLAB-CLASS/large/exact": (large_class_is_least_block, slab.size_class),
    "PAGE-MERGED/buddy_of/exact": (buddies_make_a_block, units.buddy_of),
    "PAGE-MERGED/merged_head/exact": (head_is_the_lower, units.merged_head),
}
WITNESSES: Final[dict[str, Values]] = {
    "UNITS/get_order/exact": {"size": 4097},
    "UNITS/pages_for/exact": {"size": 4097},
    "UNITS/round_up/exact": {"value": 13, "step": 8},
    "SLAB-ALIGN-DIVISOR/power_of_two_divisor/exact": {"value": 96, "times": 1},
    "SLAB-ALIGN-POWER/is_power_of_two/exact": {"value": 64},
    "SLAB-ARRAY/array_size/exact": {"count": 1 << 32, "size": 1 << 31},
    "SLAB-CLASS/size_class/exact": {"size": 65},
    "SLAB-CLASS/large/exact": {"size": 8193},
    "PAGE-MERGED/buddy_of/exact": {"index": 3, "pages": 4},
    "PAGE-MERGED/merged_head/exact": {"index": 3, "pages": 4},
}


def obligations() -> Iterator[Obligation]:
    """Yield all of them."""
    yield from listed(ROWS, WITNESSES, mutants.FAULTS)
