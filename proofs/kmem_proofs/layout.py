"""Obligations of how caches are laid out, pure arithmetic: exact for every size.

What else is arithmetic is in `units`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from kmem_model import layout
from kmem_proofs.case import Case, Values, implies
from kmem_proofs.mutants import layout as mutants
from kmem_proofs.obligations import Obligation, Rows, listed, obligation
from kmem_proofs.units import POWERS, size
from kmem_spec import kmem_cache, slab, units
from kmem_spec.units import PAGE_SIZE, SIZE_MAX

Function2 = Callable[[int, int], int]
ALIGNS: Final = POWERS[3:]
LINES: Final = (32, 64, 128)  # cache lines of the architectures that Linux runs on
MINIMA: Final = (8, 16, 32, 64, 128)  # ARCH_KMALLOC_MINALIGN of these, and a profile's smallest class
ORDERS: Final = tuple(range(units.MAX_ORDER + 1))


def is_power(value: int) -> bool:
    """Say whether `value` is a power of two below 2^64, without a branch."""
    found = False
    for power in POWERS:
        found = found | (value == power)
    return found


def products_compare(case: Case, code: Function2) -> Sequence[bool]:
    """Of two indices, what slabs.assume_products says of their products with a slot size."""
    one, other, each = case.number("one"), case.number("other"), case.number("size")
    case.assume(each >= 1)
    first, second = case.call(code, one, each), case.call(code, other, each)
    return [implies(one < other, first + each <= second), implies(one >= 0, first >= 0)]


def slots_are_in_the_slab(case: Case, code: Function2) -> Sequence[bool]:
    """So many slots fit; there is one where the order is large enough; there are no more than bytes."""
    slot, order = size(case, "size", least=1), case.choose("order", ORDERS)
    case.assume(slot <= PAGE_SIZE << order)
    objects = case.call(code, slot, order)
    length = PAGE_SIZE << order
    more = (objects == layout.MAX_OBJECTS) | ((objects + 1) * slot > length)
    return [objects * slot <= length, objects >= 1, objects <= length, more]


def slot_holds_the_object(case: Case, code: Callable[..., int]) -> Sequence[bool]:
    """A slot is aligned, holds the object, and behind it the free pointer if that may not lie within."""
    wanted, align = size(case, "size", least=1), case.choose("align", ALIGNS)
    outside = case.choose("outside", (0, 1))
    slot = case.call(code, wanted, align, pointer_outside=outside == 1)
    least = wanted + layout.WORD * outside
    return [slot % align == 0, slot >= least, slot < least + layout.WORD + align, slot % layout.WORD == 0]


def class_is_least_of_its_kind(case: Case, code: Function2) -> Sequence[bool]:
    """Of the classes that are multiples of the smallest, the least that holds the size."""
    wanted, smallest = size(case, "size", least=1), case.choose("smallest", MINIMA)
    case.assume(wanted <= slab.MAX_CACHE_SIZE)
    given = case.call(code, wanted, smallest)
    exists, least = False, True
    for slot in slab.CLASS_SIZES:
        if slot % smallest == 0:
            exists = exists | (given == slot)
            least = least & ((given <= slot) | (wanted > slot))
    return [exists, wanted <= given, least]


def large_class_is_a_block(case: Case, code: Function2) -> Sequence[bool]:
    """Above the classes it is the least block of pages, whatever the smallest class is."""
    wanted, smallest = size(case, "size", least=slab.MAX_CACHE_SIZE + 1), case.choose("smallest", MINIMA)
    given = case.call(code, wanted, smallest)
    return [is_power(given) | (given == SIZE_MAX + 1), wanted <= given, given // 2 < wanted]


Alignment = Callable[[int, int, int, int, int], int]


def alignment_is_promised(case: Case, code: Alignment) -> Sequence[bool]:
    """The alignment is what the caller asks for, or a power of two up to the largest line, and no less than
    the caller, the machine and a word ask for. Every power of two is among the alignments here."""
    wanted, align, flags = size(case, "size", least=1), case.number("align"), case.number("flags")
    line, minimum = case.choose("line", LINES), case.choose("minimum", MINIMA)
    case.assume((align <= 8) | (align % 8 == 0), flags >= 0, flags <= 0xFFFF_FFFF)
    given = case.call(code, wanted, align, flags, line, minimum)
    legal = given == align
    for power in MINIMA:
        legal = legal | (given == power)
    return [legal, given >= align, given >= minimum, given >= kmem_cache.WORD]


def alignment_is_of_the_line(case: Case, code: Alignment) -> Sequence[bool]:
    """With SLAB_HWCACHE_ALIGN it is the line, or the least half, quarter or so of it that holds the object;
    without it, or where that is less, the machine's minimum."""
    wanted, flags = size(case, "size", least=1), case.number("flags")
    line, minimum = case.choose("line", LINES), case.choose("minimum", MINIMA)
    case.assume(flags >= 0, flags <= 0xFFFF_FFFF)
    given = case.call(code, wanted, 0, flags, line, minimum)
    asked = (flags // kmem_cache.HWCACHE_ALIGN) % 2 == 1
    holds = (given >= line) | (wanted <= given)
    least = (given == minimum) | ((given <= line) & (given // 2 < wanted))
    return [implies(asked, holds & least), implies(asked ^ True, given == minimum)]


def powers_are_classes(case: Case, code: Callable[[int], int]) -> Sequence[bool]:
    """An object for a power of two has just that size: so natural alignment is that of its cache."""
    wanted = size(case, "size", least=8)
    case.assume(is_power(wanted), wanted <= PAGE_SIZE << units.MAX_ORDER)
    return [case.call(code, wanted) == wanted]


def divisors_divide_the_class(case: Case, code: Callable[[int], int]) -> Sequence[bool]:
    """The power of two that divides a size divides its class, too: so slots are aligned to it (6.12)."""
    wanted = size(case, "size", least=1)
    case.assume(wanted <= slab.MAX_CACHE_SIZE)
    given = case.call(code, wanted)
    return [given % units.power_of_two_divisor(wanted) == 0]


def rounds_as_the_kernel_does(case: Case, code: Function2) -> Sequence[bool]:
    """To a power of two it is what the kernel writes, ((x - 1) | (y - 1)) + 1; it leaves size_t only where
    that wraps, above 2^64 - y."""
    value, step = size(case, "value", least=1), case.choose("step", POWERS)
    rounded = case.call(code, value, step)
    kernels = ((value - 1) | (step - 1)) + 1
    return [rounded == kernels, (rounded <= SIZE_MAX) == (value <= SIZE_MAX + 1 - step)]


def pages_do_not_wrap(case: Case, code: Callable[[int], int]) -> Sequence[bool]:
    """Up to 2^64 - 1 bytes the pages hold the size; no size wraps to few pages, or to none."""
    wanted = size(case, "size", least=1)
    pages = case.call(code, wanted)
    return [pages >= 1, pages * PAGE_SIZE >= wanted, pages <= 1 << 52, (pages - 1) * PAGE_SIZE < wanted]


ROWS: Final[Rows] = {
    "UNITS/objects_per_slab/exact": (slots_are_in_the_slab, layout.objects_per_slab),
    "CACHE-ALIGN/slot_size/exact": (slot_holds_the_object, layout.slot_size),
    "SLAB-CLASS/size_class_of/exact": (class_is_least_of_its_kind, slab.size_class),
    "SLAB-CLASS/large_of/exact": (large_class_is_a_block, slab.size_class),
    "SLAB-ALIGN-POWER/size_class/exact": (powers_are_classes, slab.size_class),
    "SLAB-ALIGN-DIVISOR/size_class/exact": (divisors_divide_the_class, slab.size_class),
    "CACHE-ALIGN/alignment/exact": (alignment_is_promised, kmem_cache.alignment),
    "CACHE-ALIGN/line/exact": (alignment_is_of_the_line, kmem_cache.alignment),
    "UNITS/round_up/refines": (rounds_as_the_kernel_does, units.round_up),
    "VM-MAX/pages_for/exact": (pages_do_not_wrap, units.pages_for),
}
WITNESSES: Final[dict[str, Values]] = {
    "UNITS/objects_per_slab/exact": {"size": 96, "order": 0},
    "CACHE-ALIGN/slot_size/exact": {"size": 40, "align": 64, "outside": 1},
    "SLAB-CLASS/size_class_of/exact": {"size": 65, "smallest": 64},
    "SLAB-CLASS/large_of/exact": {"size": 8193, "smallest": 64},
    "SLAB-ALIGN-POWER/size_class/exact": {"size": 64},
    "SLAB-ALIGN-DIVISOR/size_class/exact": {"size": 96},
    "CACHE-ALIGN/alignment/exact": {"size": 40, "align": 128, "flags": 0x2000, "line": 64, "minimum": 8},
    "CACHE-ALIGN/line/exact": {"size": 40, "flags": 0x2000, "line": 64, "minimum": 8},
    "UNITS/round_up/refines": {"value": SIZE_MAX, "step": PAGE_SIZE},
    "VM-MAX/pages_for/exact": {"size": SIZE_MAX},
}


def obligations() -> Iterator[Obligation]:
    """Yield all of them."""
    yield from listed(ROWS, WITNESSES, mutants.FAULTS)
    yield obligation(
        "UNITS/product/exact",
        products_compare,
        mutants.product,
        witness={"one": 2, "other": 3, "size": 96},
        mutants=[("a byte is lost", mutants.product_less_one)],
        level="B",
    )
