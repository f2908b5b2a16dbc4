"""Obligations of the watermarks over all masks of 32 bits: how marks, masks and what is free compare."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from kmem_proofs.case import Case, implies
from kmem_proofs.gfp import HARDWALL, Floor, mark_of
from kmem_proofs.masks import mask_of, no_bits
from kmem_proofs.mutants import masks as mutants
from kmem_proofs.obligations import Obligation, obligation
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


def obligations() -> Iterator[Obligation]:
    """Yield all of them."""
    floor = watermark.floor_of
    rows: list[tuple[str, Callable[[Case, Floor], Sequence[bool]], dict[str, int], str, Floor]] = [
        (
            "PAGE-WATERMARK/bits/exact",
            floors_by_their_bits,
            no_bits(*COUNTS),
            "the last page is kept",
            mutants.nomemalloc_lowers,
        ),
        (
            "PAGE-WATERMARK/monotone/implies",
            more_marks_leave_more,
            no_bits(*COUNTS) | {"more": 1},
            "small marks are doubled",
            mutants.small_marks_are_doubled,
        ),
        (
            "GFP-ATOMIC-REACH/versions/implies",
            atomic_is_one_mask,
            {},
            "the bit of 6.1 counts",
            mutants.atomic_bit_counts,
        ),
        (
            "GFP-NOFAIL/floor/implies",
            waits_before_it_fails,
            {},
            "it leaves all",
            mutants.nofail_costs,
        ),
        (
            "PAGE-WATERMARK/nomemalloc/implies",
            nomemalloc_leaves_more,
            no_bits(*COUNTS),
            "it takes the last page",
            mutants.nomemalloc_lowers,
        ),
    ]
    for name, claim, witness, says, mutant in rows:
        yield obligation(name, claim, floor, witness={"mark": 1000, **witness}, mutants=[(says, mutant)])
    bits: list[tuple[str, int, Floor]] = [
        ("GFP-USER/floor", HARDWALL, mutants.users_leave_more),
        ("GFP-ATOMIC-REACH/atomic_bit", ATOMIC_BIT, mutants.atomic_bit_counts),
        ("GFP-ATOMIC-REACH/nowarn", NOWARN, mutants.nowarn_costs),
        ("PAGE-WATERMARK/noretry", NORETRY, mutants.noretry_costs),
    ]
    for name, bit, mutant in bits:
        yield obligation(
            f"{name}/implies",
            partial(changes_no_floor, bit=bit),
            floor,
            witness={"mark": 1000} | no_bits(*sorted((*COUNTS, bit))),
            mutants=[("the bit counts", mutant)],
        )
    yield obligation(
        "PAGE-WATERMARK/to_leave/exact",
        reserve_is_left_too,
        watermark.to_leave,
        witness={"mark": 1000, "reserve": 32} | no_bits(*COUNTS),
        mutants=[
            ("the reserve is forgotten", mutants.reserve_is_forgotten),
            ("the last page is in reserve", mutants.last_page_is_reserved),
        ],
    )
    yield obligation(
        "GFP-ATOMIC-REACH/to_leave/implies",
        kernel_leaves_at_least_atomic,
        watermark.to_leave,
        witness={"mark": 1000, "reserve": 32},
        mutants=[("the reserve is forgotten", mutants.reserve_is_forgotten)],
    )
    yield from of_passes()


def of_passes() -> Iterator[Obligation]:
    """Yield those of the kernel's test."""
    plain = {"free": 100, "pages": 8, "floor": 40, "reserve": 2}
    rows: list[tuple[str, Callable[[Case, Passes], Sequence[bool]], dict[str, int], str, Passes]] = [
        ("passes/refines", leaves_what_it_must, {}, "a page too few is left", mutants.one_page_less_is_left),
        ("block_is_free/implies", block_is_free, {}, "the sides are swapped", mutants.fewer_pages_pass),
        (
            "smaller_passes/implies",
            smaller_passes,
            {"fewer": 4},
            "a single page is refused",
            mutants.only_half_passes,
        ),
        (
            "deeper_passes/implies",
            deeper_passes,
            {"lower": 20, "more": 1},
            "the sides are swapped",
            mutants.fewer_pages_pass,
        ),
    ]
    for name, claim, witness, says, mutant in rows:
        yield obligation(
            f"PAGE-WATERMARK/{name}",
            claim,
            watermark.passes,
            witness={**plain, **witness},
            mutants=[(says, mutant)],
        )
