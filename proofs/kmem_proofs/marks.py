"""Obligations of the watermarks over all masks of 32 bits: how marks, masks and what is free compare."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Final

from kmem_proofs.case import Case, Values, implies
from kmem_proofs.gfp import HARDWALL, Floor, mark_of
from kmem_proofs.masks import mask_of, no_bits
from kmem_proofs.mutants import masks as mutants
from kmem_proofs.obligations import Obligation, Rows, listed
from kmem_spec import watermark
from kmem_spec.gfp import (
    DIRECT_RECLAIM,
    GFP_ATOMIC,
    GFP_KERNEL,
    HIGH,
    MEMALLOC,
    NAMES_6_12,
    NOFAIL,
    NOMEMALLOC,
    NORETRY,
    NOWARN,
)
from kmem_spec.reach import ATOMIC_BIT

Leave = Callable[[int, int, int], int]
Passes = Callable[[int, int, int, int], bool]
COUNTS = (HIGH, DIRECT_RECLAIM, NOFAIL, MEMALLOC, NOMEMALLOC)  # bits that a floor depends on


def changes_no_floor(case: Case, code: Floor, bit: int) -> Sequence[bool]:
    """The bit changes no floor, whatever else the mask has."""
    mark = mark_of(case)
    bits = sorted((*COUNTS, bit))
    mask, _ = mask_of(case, *bits, each=True, without=bit)
    return [case.call(code, mark, mask + bit) == case.call(code, mark, mask)]


def floors_by_their_bits(case: Case, code: Floor) -> Sequence[bool]:
    """Nothing for the last page; half for what is urgent, three eighths if it cannot wait; else the mark."""
    mark = mark_of(case)
    mask, (high, reclaim, nofail, memalloc, nomemalloc) = mask_of(case, *COUNTS, each=True)
    floor, half = case.call(code, mark, mask), mark - mark // 2
    if memalloc > nomemalloc:
        return [floor == 0]
    if high + nofail * reclaim == 0:
        return [floor == mark]
    return [floor == (half if reclaim + nomemalloc else half - half // 4)]


def more_marks_leave_more(case: Case, code: Floor) -> Sequence[bool]:
    """Under one mask, a higher mark never leaves less."""
    mark, more = mark_of(case), case.number("more")
    mask, _ = mask_of(case, *COUNTS, each=True)
    case.assume(more >= 0)
    return [case.call(code, mark, mask) <= case.call(code, mark + more, mask)]


def atomic_is_one_mask(case: Case, code: Floor) -> Sequence[bool]:
    """GFP_ATOMIC reaches the same floor by the numbers of 6.1 and of 6.12."""
    mark = mark_of(case)
    return [case.call(code, mark, GFP_ATOMIC) == case.call(code, mark, NAMES_6_12["GFP_ATOMIC"])]


def waits_before_it_fails(case: Case, code: Floor) -> Sequence[bool]:
    """A request that must not fail, and may wait, leaves no more than half of the mark."""
    mark = mark_of(case)
    return [2 * case.call(code, mark, GFP_KERNEL + NOFAIL) <= mark + 1]


def nomemalloc_leaves_more(case: Case, code: Floor) -> Sequence[bool]:
    """__GFP_NOMEMALLOC never lowers a floor: it keeps a request from the last page."""
    mark = mark_of(case)
    mask, _ = mask_of(case, *COUNTS, each=True, without=NOMEMALLOC)
    return [case.call(code, mark, mask) <= case.call(code, mark, mask + NOMEMALLOC)]


def reserve_is_left_too(case: Case, code: Leave) -> Sequence[bool]:
    """What must be left is the floor and the reserve; nothing where the last page may be taken."""
    mark, reserve = mark_of(case), case.number("reserve")
    case.assume(reserve >= 0)
    mask, (*_, memalloc, nomemalloc) = mask_of(case, *COUNTS, each=True)
    left = case.call(code, mark, reserve, mask)
    if memalloc > nomemalloc:
        return [left == 0]
    return [left == watermark.floor_of(mark, mask) + reserve, left >= reserve]


def kernel_leaves_at_least_atomic(case: Case, code: Leave) -> Sequence[bool]:
    """With any reserve, GFP_ATOMIC need not leave more than GFP_KERNEL, and GFP_KERNEL all of the mark."""
    mark, reserve = mark_of(case), case.number("reserve")
    case.assume(reserve >= 0)
    atomic, kernel = case.call(code, mark, reserve, GFP_ATOMIC), case.call(code, mark, reserve, GFP_KERNEL)
    return [reserve <= atomic, atomic <= kernel, kernel == mark + reserve]


def request(case: Case) -> tuple[int, int, int, int]:
    """Return any pages that are free, are asked for, must be left, and are in reserve."""
    free, pages, floor, reserve = (case.number(name) for name in ("free", "pages", "floor", "reserve"))
    case.assume(free >= 0, pages >= 1, floor >= 0, reserve >= 0)
    return free, pages, floor, reserve


def leaves_what_it_must(case: Case, code: Passes) -> Sequence[bool]:
    """The kernel's test is whether what is free after the block is at least what must be left."""
    free, pages, floor, reserve = request(case)
    return [case.call(code, free, pages, floor, reserve) == (free - pages >= floor + reserve)]


def block_is_free(case: Case, code: Passes) -> Sequence[bool]:
    """Where the test says yes, there are as many pages free as the block has."""
    free, pages, floor, reserve = request(case)
    return [implies(case.call(code, free, pages, floor, reserve), pages <= free)]


def smaller_passes(case: Case, code: Passes) -> Sequence[bool]:
    """Where a block may be served, so may each smaller one."""
    free, pages, floor, reserve = request(case)
    fewer = case.number("fewer")
    case.assume(fewer >= 1, fewer <= pages)
    case.assume(case.call(code, free, pages, floor, reserve))
    return [case.call(code, free, fewer, floor, reserve)]


def deeper_passes(case: Case, code: Passes) -> Sequence[bool]:
    """Where GFP_NOWAIT is served, so is every mask with no higher floor: so GFP-ATOMIC-REACH."""
    free, pages, floor, reserve = request(case)
    lower, more = case.number("lower"), case.number("more")
    case.assume(lower >= 0, lower <= floor, more >= 0)
    case.assume(case.call(code, free, pages, floor, reserve))
    return [case.call(code, free + more, pages, lower, reserve)]


PLAIN: Final[Values] = {"free": 100, "pages": 8, "floor": 40, "reserve": 2}
ROWS: Final[Rows] = {
    "PAGE-WATERMARK/bits/exact": (floors_by_their_bits, watermark.floor_of),
    "PAGE-WATERMARK/monotone/implies": (more_marks_leave_more, watermark.floor_of),
    "GFP-ATOMIC-REACH/versions/implies": (atomic_is_one_mask, watermark.floor_of),
    "GFP-NOFAIL/floor/implies": (waits_before_it_fails, watermark.floor_of),
    "PAGE-WATERMARK/nomemalloc/implies": (nomemalloc_leaves_more, watermark.floor_of),
    "GFP-USER/floor/implies": (partial(changes_no_floor, bit=HARDWALL), watermark.floor_of),
    "GFP-ATOMIC-REACH/atomic_bit/implies": (partial(changes_no_floor, bit=ATOMIC_BIT), watermark.floor_of),
    "GFP-ATOMIC-REACH/nowarn/implies": (partial(changes_no_floor, bit=NOWARN), watermark.floor_of),
    "PAGE-WATERMARK/noretry/implies": (partial(changes_no_floor, bit=NORETRY), watermark.floor_of),
    "PAGE-WATERMARK/to_leave/exact": (reserve_is_left_too, watermark.to_leave),
    "GFP-ATOMIC-REACH/to_leave/implies": (kernel_leaves_at_least_atomic, watermark.to_leave),
    "PAGE-WATERMARK/passes/refines": (leaves_what_it_must, watermark.passes),
    "PAGE-WATERMARK/block_is_free/implies": (block_is_free, watermark.passes),
    "PAGE-WATERMARK/smaller_passes/implies": (smaller_passes, watermark.passes),
    "PAGE-WATERMARK/deeper_passes/implies": (deeper_passes, watermark.passes),
}
WITNESSES: Final[dict[str, Values]] = {
    "PAGE-WATERMARK/bits/exact": {"mark": 1000} | no_bits(*COUNTS),
    "PAGE-WATERMARK/monotone/implies": {"mark": 1000} | no_bits(*COUNTS) | {"more": 1},
    "GFP-ATOMIC-REACH/versions/implies": {"mark": 1000},
    "GFP-NOFAIL/floor/implies": {"mark": 1000},
    "PAGE-WATERMARK/nomemalloc/implies": {"mark": 1000} | no_bits(*COUNTS),
    "GFP-USER/floor/implies": {"mark": 1000} | no_bits(*sorted((*COUNTS, HARDWALL))),
    "GFP-ATOMIC-REACH/atomic_bit/implies": {"mark": 1000} | no_bits(*sorted((*COUNTS, ATOMIC_BIT))),
    "GFP-ATOMIC-REACH/nowarn/implies": {"mark": 1000} | no_bits(*sorted((*COUNTS, NOWARN))),
    "PAGE-WATERMARK/noretry/implies": {"mark": 1000} | no_bits(*sorted((*COUNTS, NORETRY))),
    "PAGE-WATERMARK/to_leave/exact": {"mark": 1000, "reserve": 32} | no_bits(*COUNTS),
    "GFP-ATOMIC-REACH/to_leave/implies": {"mark": 1000, "reserve": 32},
    "PAGE-WATERMARK/passes/refines": PLAIN,
    "PAGE-WATERMARK/block_is_free/implies": PLAIN,
    "PAGE-WATERMARK/smaller_passes/implies": {**PLAIN, "fewer": 4},
    "PAGE-WATERMARK/deeper_passes/implies": {**PLAIN, "lower": 20, "more": 1},
}


def obligations() -> Iterator[Obligation]:
    """Yield all of them."""
    yield from listed(ROWS, WITNESSES, mutants.FAULTS)
