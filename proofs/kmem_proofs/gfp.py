"""Obligations of the watermarks: what a mask must leave, for all marks and, where it says so, all masks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from operator import floordiv
from typing import Final

from kmem_proofs.case import Case, Values, implies
from kmem_proofs.mutants import gfp as mutants
from kmem_proofs.obligations import Obligation, Rows, listed, obligation
from kmem_spec import watermark
from kmem_spec.gfp import (
    DIRECT_RECLAIM,
    GFP_ATOMIC,
    GFP_KERNEL,
    GFP_NOWAIT,
    GFP_USER,
    HIGH,
    MEMALLOC,
    NOFAIL,
    NOMEMALLOC,
)

Floor = Callable[[int, int], int]
HARDWALL: Final = GFP_USER ^ GFP_KERNEL
MASKS: Final = 1 << 32
LOOKED_AT: Final = (HIGH, DIRECT_RECLAIM, NOFAIL, MEMALLOC, NOMEMALLOC)  # bits that a floor depends on


def mark_of(case: Case) -> int:
    """Return any watermark."""
    mark = case.number("mark")
    case.assume(mark >= 0)
    return mark


def mask_without(case: Case, bit: int) -> int:
    """Return any mask of 32 bits that does not have `bit`, made of what is above it and what is below."""
    above, below = case.number("above"), case.number("below")
    case.assume(above >= 0, above * 2 * bit < MASKS, below >= 0, below < bit)
    mask = above * 2 * bit + below
    for higher in (each for each in LOOKED_AT if each > bit):  # PAGE-WATERMARK/quotient/exact, for cvc5
        case.assume(mask // higher == above // (higher // (2 * bit)))
        case.assume((mask + bit) // higher == above // (higher // (2 * bit)))
    return mask


def lower_bits_do_not_matter(case: Case, quotient: Callable[[int, int], int]) -> Sequence[bool]:
    """What lies below a power of two does not change the quotient by a greater one."""
    above, below, goals = case.number("above"), case.number("below"), []
    bit = case.choose("bit", (HIGH, MEMALLOC))
    case.assume(above >= 0, below >= 0, below < bit)
    for higher in (each for each in LOOKED_AT if each > bit):
        for value in (above * 2 * bit + below, above * 2 * bit + below + bit):
            goals.append(case.call(quotient, value, higher) == above // (higher // (2 * bit)))
    return goals


def floors_are_the_kernels(case: Case, floor: Floor) -> Sequence[bool]:
    """The floors of the named masks are those of the kernel's arithmetic."""
    mark = mark_of(case)
    half = mark - mark // 2
    return [
        case.call(floor, mark, GFP_KERNEL) == mark,
        case.call(floor, mark, GFP_NOWAIT) == mark,
        case.call(floor, mark, GFP_KERNEL | HIGH) == half,
        case.call(floor, mark, GFP_ATOMIC) == half - half // 4,
        case.call(floor, mark, GFP_KERNEL | MEMALLOC) == 0,
    ]


def atomic_reaches_further(case: Case, floor: Floor) -> Sequence[bool]:
    """GFP_ATOMIC leaves less than GFP_NOWAIT and GFP_KERNEL, as far as a mark of two pages or more allows."""
    mark = mark_of(case)
    atomic = case.call(floor, mark, GFP_ATOMIC)
    others = [case.call(floor, mark, GFP_NOWAIT), case.call(floor, mark, GFP_KERNEL)]
    return [(atomic <= other) & implies(mark >= 2, atomic < other) for other in others]


def user_is_kernel(case: Case, floor: Floor) -> Sequence[bool]:
    """The bit that tells GFP_USER from GFP_KERNEL changes no floor, whatever else the mask has."""
    mark, mask = mark_of(case), mask_without(case, HARDWALL)
    return [case.call(floor, mark, mask + HARDWALL) == case.call(floor, mark, mask)]


def lowers(case: Case, floor: Floor, bit: int) -> Sequence[bool]:
    """The bit never raises the floor, whatever else the mask has, and the floor lies in 0 to the mark."""
    mark, mask = mark_of(case), mask_without(case, bit)
    left = case.call(floor, mark, mask)
    return [(left >= 0) & (left <= mark), case.call(floor, mark, mask + bit) <= left]


ROWS: Final[Rows] = {
    "PAGE-WATERMARK/floor_of/exact": (floors_are_the_kernels, watermark.floor_of),
    "PAGE-WATERMARK/atomic/implies": (atomic_reaches_further, watermark.floor_of),
    "PAGE-WATERMARK/user/implies": (user_is_kernel, watermark.floor_of),
    "PAGE-WATERMARK/high/implies": (partial(lowers, bit=HIGH), watermark.floor_of),
    "PAGE-WATERMARK/memalloc/implies": (partial(lowers, bit=MEMALLOC), watermark.floor_of),
}
WITNESSES: Final[dict[str, Values]] = {
    "PAGE-WATERMARK/floor_of/exact": {"mark": 1000},
    "PAGE-WATERMARK/atomic/implies": {"mark": 2},
    "PAGE-WATERMARK/user/implies": {"mark": 1000, "above": 0, "below": GFP_KERNEL},
    "PAGE-WATERMARK/high/implies": {"mark": 1000, "above": GFP_KERNEL // (2 * HIGH), "below": 0},
    "PAGE-WATERMARK/memalloc/implies": {"mark": 1000, "above": 0, "below": GFP_KERNEL},
}


def obligations() -> Iterator[Obligation]:
    """Yield all of them."""
    yield from listed(ROWS, WITNESSES, mutants.FAULTS)
    yield obligation(
        "PAGE-WATERMARK/quotient/exact",
        lower_bits_do_not_matter,
        floordiv,
        witness={"above": 3, "below": 5, "bit": HIGH},
        mutants=[("it is rounded up", mutants.rounds_up)],
        level="B",
    )
