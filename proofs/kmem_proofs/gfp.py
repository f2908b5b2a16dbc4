"""Obligations of the watermarks: what a mask must leave, for all marks and, where it says so, all masks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Final

from kmem_proofs.case import Case, implies
from kmem_proofs.obligations import Obligation, obligation
from kmem_spec import gfp, watermark
from kmem_spec.gfp import GFP_ATOMIC, GFP_KERNEL, GFP_NOWAIT, GFP_USER, HIGH, MEMALLOC

Floor = Callable[[int, int], int]
HARDWALL: Final = GFP_USER ^ GFP_KERNEL
MASKS: Final = 1 << 32


def mark_of(case: Case) -> int:
    """Return any watermark."""
    mark = case.number("mark")
    case.assume(mark >= 0)
    return mark


def mask_without(case: Case, bit: int) -> int:
    """Return any mask of 32 bits that does not have `bit`, made of what is above it and what is below."""
    above, below = case.number("above"), case.number("below")
    case.assume(above >= 0, above * 2 * bit < MASKS, below >= 0, below < bit)
    return above * 2 * bit + below


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


def _ignores_high(mark: int, mask: int) -> int:
    return watermark.floor_of(mark, mask & ~HIGH)


def _counts_hardwall(mark: int, mask: int) -> int:
    return watermark.floor_of(mark, mask) + (1 if gfp.has(mask, HARDWALL) else 0)


def _high_costs(mark: int, mask: int) -> int:
    return watermark.floor_of(mark, mask) + (mark if gfp.has(mask, HIGH) else 0)


def _memalloc_costs(mark: int, mask: int) -> int:
    return watermark.floor_of(mark, mask) + (mark if gfp.has(mask, MEMALLOC) else 0)


def obligations() -> Iterator[Obligation]:
    """Yield all of them."""
    floor = watermark.floor_of
    yield obligation(
        "PAGE-WATERMARK/floor_of/exact",
        floors_are_the_kernels,
        floor,
        witness={"mark": 1000},
        mutants=[("__GFP_HIGH is ignored", _ignores_high)],
    )
    yield obligation(
        "PAGE-WATERMARK/atomic/implies",
        atomic_reaches_further,
        floor,
        witness={"mark": 2},
        mutants=[("__GFP_HIGH is ignored", _ignores_high)],
    )
    yield obligation(
        "PAGE-WATERMARK/user/implies",
        user_is_kernel,
        floor,
        witness={"mark": 1000, "above": 0, "below": GFP_KERNEL},
        mutants=[("__GFP_HARDWALL raises the floor", _counts_hardwall)],
    )
    yield obligation(
        "PAGE-WATERMARK/high/implies",
        partial(lowers, bit=HIGH),
        floor,
        witness={"mark": 1000, "above": GFP_KERNEL // (2 * HIGH), "below": 0},
        mutants=[("__GFP_HIGH raises the floor", _high_costs)],
    )
    yield obligation(
        "PAGE-WATERMARK/memalloc/implies",
        partial(lowers, bit=MEMALLOC),
        floor,
        witness={"mark": 1000, "above": 0, "below": GFP_KERNEL},
        mutants=[("__GFP_MEMALLOC raises the floor", _memalloc_costs)],
    )
