"""Obligations of the arithmetic: each function exact for every input that it may be given."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from kmem_proofs.case import Case
from kmem_proofs.obligations import Obligation, obligation
from kmem_proofs.zones import SIZES
from kmem_spec import slab, units
from kmem_spec.units import ADDRESS_BITS, PAGE_SHIFT, PAGE_SIZE, SIZE_MAX

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


def _order_below(wanted: int) -> int:
    for order in range(ADDRESS_BITS - PAGE_SHIFT):
        if wanted < PAGE_SIZE << order:
            return order
    return ADDRESS_BITS - PAGE_SHIFT


def _pages_and_one(wanted: int) -> int:
    return wanted // PAGE_SIZE + 1


def _rounds_multiples_too(value: int, step: int) -> int:
    return (value + step) // step * step


def _divides_an_even_number_of_times(value: int) -> int:
    divisor = 1
    while value % (divisor * 4) == 0 and divisor < 1 << 62:
        divisor = divisor * 4
    return divisor


def _even_is_enough(value: int) -> bool:
    return value == 1 or value % 2 == 0


def _wraps(count: int, each: int) -> int | None:
    return count * each % (SIZE_MAX + 1)


def _rejects_the_limit(count: int, each: int) -> int | None:
    if each != 0 and count >= SIZE_MAX // each:
        return None
    return count * each


def _without_96(wanted: int) -> int:
    for slot in slab.CLASS_SIZES:
        if wanted <= slot and slot != 96:
            return slot
    return slab.MAX_CACHE_SIZE


def _one_byte_short(wanted: int) -> int:
    for slot in slab.CLASS_SIZES:
        if wanted <= slot + 1:
            return slot
    return slab.MAX_CACHE_SIZE


def _pages_only(wanted: int) -> int:
    return units.pages_for(wanted) * PAGE_SIZE


def _the_next_block(pfn: int, pages: int) -> int:
    return pfn + pages


def _the_upper_head(pfn: int, pages: int) -> int:
    return pfn | pages


def obligations() -> Iterator[Obligation]:
    """Yield all of them."""
    yield obligation(
        "UNITS/get_order/exact",
        order_is_least,
        units.get_order,
        witness={"size": 4097},
        mutants=[("a size that just fits gets the next order", _order_below)],
    )
    yield obligation(
        "UNITS/pages_for/exact",
        pages_are_least,
        units.pages_for,
        witness={"size": 4097},
        mutants=[("whole pages get one more", _pages_and_one)],
    )
    yield obligation(
        "UNITS/round_up/exact",
        rounds_to_least_multiple,
        units.round_up,
        witness={"value": 13, "step": 8},
        mutants=[("a multiple is rounded to the next", _rounds_multiples_too)],
    )
    yield obligation(
        "SLAB-ALIGN-DIVISOR/power_of_two_divisor/exact",
        divisor_is_greatest,
        units.power_of_two_divisor,
        witness={"value": 96, "times": 1},
        mutants=[("it finds powers of four", _divides_an_even_number_of_times)],
    )
    yield obligation(
        "SLAB-ALIGN-POWER/is_power_of_two/exact",
        says_what_is_a_power,
        units.is_power_of_two,
        witness={"value": 64},
        mutants=[("any even number will do", _even_is_enough)],
    )
    yield obligation(
        "SLAB-ARRAY/array_size/exact",
        product_is_exact,
        units.array_size,
        witness={"count": 1 << 32, "size": 1 << 31},
        mutants=[("it wraps", _wraps), ("the largest count is refused", _rejects_the_limit)],
    )
    size_class: Function = slab.size_class
    yield obligation(
        "SLAB-CLASS/size_class/exact",
        class_is_least,
        size_class,
        witness={"size": 65},
        mutants=[
            ("there is no class of 96", _without_96),
            ("a class takes a byte too many", _one_byte_short),
        ],
    )
    yield obligation(
        "SLAB-CLASS/large/exact",
        large_class_is_least_block,
        size_class,
        witness={"size": 8193},
        mutants=[("it is rounded to pages, not to a block", _pages_only)],
    )
    yield obligation(
        "PAGE-MERGED/buddy_of/exact",
        buddies_make_a_block,
        units.buddy_of,
        witness={"index": 3, "pages": 4},
        mutants=[("the buddy is always the next block", _the_next_block)],
    )
    yield obligation(
        "PAGE-MERGED/merged_head/exact",
        head_is_the_lower,
        units.merged_head,
        witness={"index": 3, "pages": 4},
        mutants=[("the whole begins at the upper block", _the_upper_head)],
    )
