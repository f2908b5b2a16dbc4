"""Obligations of the page allocator: every step of a zone against every clause of its state.

A zone is arbitrary: any length, any number of blocks. Each claim assumes the clauses at the few heads that
the step touches and at the points where it then looks, and asks for the clause at those points. An
instance that was forgotten can lose a proof, never make one.

Not shown here: that steps compose (induction), and that the policy finds a block where there is one; a
small machine is enumerated for that in tests/cover/test_page.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Final

from kmem_model.zone import Zone
from kmem_proofs.case import Case, Values, implies
from kmem_proofs.mutants import page as mutants
from kmem_proofs.obligations import Obligation, Rows, listed, obligation
from kmem_proofs.rules import stays
from kmem_proofs.zones import SIZES, STEPS, Code, Step, arbitrary_zone, assume_blocks, begin
from kmem_spec.table import Refused
from kmem_spec.watermark import passes
from kmem_spec.zone import (
    NOTHING,
    Blocks,
    ZoneState,
    blocks_are_apart,
    buddy_is_merged,
    floor_is_left,
    free_pages_are_counted,
    head_is_legal,
    page_is_in_block,
    size_at,
)


def keeps_heads(case: Case, code: Code, step: Step) -> Sequence[bool]:
    """PAGE-HEAD, at any head."""
    x = case.number("x")
    zone, head, pages, _ = begin(case, code, step, x)
    step.run(case, zone, head, pages)
    return [head_is_legal(zone, x)]


def keeps_blocks_apart(case: Case, code: Code, step: Step) -> Sequence[bool]:
    """PAGE-APART, at any two heads."""
    x, y = case.number("x"), case.number("y")
    zone, head, pages, _ = begin(case, code, step, x, y)
    step.run(case, zone, head, pages)
    return [blocks_are_apart(zone, x, y)]


def keeps_every_page(case: Case, code: Code, step: Step) -> Sequence[bool]:
    """PAGE-WHOLE, at any page; the block that has it afterwards follows from the one that had it."""
    page, block = case.number("page"), case.number("block")
    zone, head, pages, _ = begin(case, code, step, block)
    case.assume(page_is_in_block(zone, page, block))
    step.run(case, zone, head, pages)
    return [page_is_in_block(zone, page, step.moved(case, page, block, head, pages))]


def keeps_the_count(case: Case, code: Code, step: Step) -> Sequence[bool]:
    """PAGE-COUNT."""
    zone, head, pages, _ = begin(case, code, step)
    case.assume(free_pages_are_counted(zone))
    step.run(case, zone, head, pages)
    return [free_pages_are_counted(zone)]


def keeps_buddies_merged(case: Case, code: Code, step: Step) -> Sequence[bool]:
    """PAGE-MERGED, at any head, but for the block in hand: the invariant of splitting and merging."""
    x = case.number("x")
    zone, head, pages, touched = begin(case, code, step, x)
    in_hand = head if step.in_hand_before else NOTHING
    for point in (x, *touched):
        case.assume(buddy_is_merged(zone, point, in_hand))
    in_hand = step.run(case, zone, head, pages)
    return [buddy_is_merged(zone, x, in_hand)]


BY_NAME: Final = {step.name: step for step in STEPS}
PRESERVED: Final = {
    "PAGE-HEAD": keeps_heads,
    "PAGE-APART": keeps_blocks_apart,
    "PAGE-WHOLE": keeps_every_page,
    "PAGE-COUNT": keeps_the_count,
    "PAGE-MERGED": keeps_buddies_merged,
}


def changes_nothing(case: Case, code: Code, step: Step, clause: str) -> Sequence[bool]:
    """A step that is refused under `clause` leaves the zone as it was; here any size may be asked for."""
    zone = arbitrary_zone(case, code)
    assume_blocks(case, zone, case.number("head"))
    end, nfree = zone.end, zone.nfree
    given = {"take": ("head", "pages", "floor"), "extend": ("pages",)}.get(step.name, ("head", "pages"))
    kept = stays(case, zone, ("free", "used"), clause, step.name, *map(case.number, given))
    return [*kept, zone.end == end, zone.nfree == nfree]


REFUSED: Final = (
    ("PAGE-APART", "split", {"pages": 4}),
    ("PAGE-HEAD", "split", {"head": 12, "pages": 1}),
    ("PAGE-HEAD", "merge", {"pages": 1024}),
    ("PAGE-APART", "merge", {"head": 12, "pages": 1}),
    ("PAGE-APART", "take", {"pages": 4}),
    ("PAGE-WATERMARK", "take", {"head": 12, "pages": 1, "floor": 3}),
    ("CALLER-FREE", "put", {"head": 3}),
    ("CALLER-ORDER", "put", {"head": 0, "pages": 4}),
    ("PAGE-HEAD", "extend", {"pages": 3}),
    ("CALLER-FREE", "divide", {"head": 3}),
    ("CALLER-ORDER", "divide", {"head": 0, "pages": 4}),
    ("PAGE-HEAD", "divide", {"head": 13, "pages": 1}),
)
REFUSED_IN: Final[Values] = {
    "start": 0,
    "end": 16,
    "free": {8: 2, 12: 1},
    "used": {0: 8, 10: 2, 13: 1, 14: 2},
    "nfree": 3,
    "head": 8,
    "pages": 2,
    "floor": 0,
    "x": 8,
}

Make = Callable[[str, int, int, Blocks, Blocks], ZoneState]


def begins_legal(case: Case, make: Make, clause: str) -> Sequence[bool]:
    """A zone without pages satisfies the clause; `extend` gives it pages."""
    start, x, y = case.number("start"), case.number("x"), case.number("y")
    case.assume(start >= 0)
    zone = case.call(make, "NORMAL", start, start, case.empty("free", Blocks), case.empty("used", Blocks))
    holds = {
        "PAGE-HEAD": head_is_legal(zone, x),
        "PAGE-APART": blocks_are_apart(zone, x, y),
        "PAGE-WHOLE": page_is_in_block(zone, x, NOTHING),
        "PAGE-COUNT": free_pages_are_counted(zone),
        "PAGE-MERGED": buddy_is_merged(zone, x, NOTHING),
    }
    return [holds[clause]]


def sizes_are_few(case: Case, rule: Callable[[ZoneState, int], bool]) -> Sequence[bool]:
    """PAGE-HEAD leaves no size but those over which the other claims go."""
    zone, head = arbitrary_zone(case, Zone), case.number("head")
    case.assume(case.call(rule, zone, head))
    size, few = size_at(zone, head), False
    for pages in (0, *SIZES):
        few = few | (size == pages)
    return [few]


def a_page_has_one_block(case: Case, rule: Callable[[ZoneState, int, int], bool]) -> Sequence[bool]:
    """PAGE-APART, for people: two blocks that have the same page are the same block."""
    zone = arbitrary_zone(case, Zone)
    page, one, other = case.number("page"), case.number("x"), case.number("y")
    case.assume(case.call(rule, zone, one, other), case.call(rule, zone, other, one))
    case.assume((zone.start <= page) & (page < zone.end))
    case.assume(page_is_in_block(zone, page, one), page_is_in_block(zone, page, other))
    return [one == other]


def a_block_may_be_taken_in_hand(case: Case, rule: Callable[[ZoneState, int, int], bool]) -> Sequence[bool]:
    """PAGE-MERGED with nothing in hand holds with any block in hand: how a split or a merge begins."""
    zone, head, x = arbitrary_zone(case, Zone), case.number("head"), case.number("x")
    assume_blocks(case, zone, x)
    case.assume(head >= 0, rule(zone, x, NOTHING))
    return [rule(zone, x, head)]


def a_settled_block_is_merged(case: Case, code: Code) -> Sequence[bool]:
    """PAGE-MERGED holds with nothing in hand when the loop of `settle` ends: how a merge ends."""
    zone, head, x = arbitrary_zone(case, code), case.number("head"), case.number("x")
    pages = case.choose("pages", SIZES)
    assume_blocks(case, zone, head, x)
    case.assume(zone.free.get(head, 0) == pages, buddy_is_merged(zone, x, head))
    case.assume(case.call(zone.mergeable, head, pages) ^ True)
    return [buddy_is_merged(zone, x, NOTHING)]


def leaves_the_floor(case: Case, code: Code) -> Sequence[bool]:
    """PAGE-WATERMARK, after a take."""
    zone, head, pages = arbitrary_zone(case, code), case.number("head"), case.number("pages")
    floor = case.number("floor")
    case.accepted(zone.take, head, pages, floor)
    return [floor_is_left(zone, floor)]


def keeps_the_floor(case: Case, code: Code, step: Step) -> Sequence[bool]:
    """PAGE-WATERMARK, of any floor: what comes back or is added never takes a zone below it."""
    zone, head, pages, _ = begin(case, code, step)
    floor = case.number("mark")
    case.assume(floor_is_left(zone, floor))
    step.run(case, zone, head, pages)
    return [floor_is_left(zone, floor)]


def takes_as_the_kernel_would(case: Case, code: Code) -> Sequence[bool]:
    """`take` gives a free block exactly where the kernel's own test, as it is written, passes."""
    zone, head, pages = arbitrary_zone(case, code), case.number("head"), case.number("pages")
    floor, reserve = case.number("floor"), case.number("reserve")
    case.assume(pages > 0, zone.free.get(head, 0) == pages)
    expected = passes(zone.nfree, pages, floor, reserve)
    try:
        case.call(zone.take, head, pages, floor + reserve)
    except Refused as refusal:
        return [implies(expected, False), refusal.clause == "PAGE-WATERMARK"]
    return [expected]


ZONE_16: Final[Values] = {"start": 0, "end": 16, "free": {12: 4}, "used": {0: 8, 8: 4}, "nfree": 4}
TAKEN: Final[Values] = {"head": 12, "pages": 4, "floor": 0, "reserve": 0}
# What follows from the clauses, and what the watermarks ask.
ROWS: Final[Rows] = {
    "PAGE-HEAD/sizes/implies": (sizes_are_few, head_is_legal),
    "PAGE-APART/page/implies": (a_page_has_one_block, blocks_are_apart),
    "PAGE-MERGED/in_hand/implies": (a_block_may_be_taken_in_hand, buddy_is_merged),
    "PAGE-MERGED/settle/implies": (a_settled_block_is_merged, Zone),
    "PAGE-WATERMARK/take/preserved": (leaves_the_floor, Zone),
    "PAGE-WATERMARK/put/preserved": (partial(keeps_the_floor, step=BY_NAME["put"]), Zone),
    "PAGE-WATERMARK/extend/preserved": (partial(keeps_the_floor, step=BY_NAME["extend"]), Zone),
    "PAGE-WATERMARK/take/refines": (takes_as_the_kernel_would, Zone),
}
WITNESSES: Final[dict[str, Values]] = {
    "PAGE-HEAD/sizes/implies": {**ZONE_16, "head": 8},
    "PAGE-APART/page/implies": {**ZONE_16, "page": 9, "x": 8, "y": 8},
    "PAGE-MERGED/in_hand/implies": {**ZONE_16, "head": 12, "x": 8},
    "PAGE-MERGED/settle/implies": {**ZONE_16, "head": 12, "pages": 4, "x": 8},
    "PAGE-WATERMARK/take/preserved": {**ZONE_16, **TAKEN},
    "PAGE-WATERMARK/put/preserved": {**BY_NAME["put"].witness, "mark": 4},
    "PAGE-WATERMARK/extend/preserved": {**BY_NAME["extend"].witness, "mark": 8},
    "PAGE-WATERMARK/take/refines": {**ZONE_16, **TAKEN},
}


def obligations() -> Iterator[Obligation]:
    """Yield all of them."""
    for clause, claim in PRESERVED.items():
        for step in STEPS:
            if (clause, step.name) in mutants.STEPS:  # the step writes a table that the clause reads
                yield obligation(
                    f"{clause}/{step.name}/preserved",
                    partial(claim, step=step),
                    Zone,
                    witness=step.witness,
                    mutants=mutants.STEPS[clause, step.name],
                )
        yield obligation(
            f"{clause}/empty/initial",
            partial(begins_legal, clause=clause),
            Zone,
            witness={"start": 8, "x": 8, "y": 9},
            mutants=mutants.BEGINNINGS[clause],
        )
    for clause, name, arguments in REFUSED:
        yield obligation(
            f"{clause}/{name}/refused",
            partial(changes_nothing, step=BY_NAME[name], clause=clause),
            Zone,
            witness={**REFUSED_IN, **arguments},
            mutants=mutants.HASTY[name],
        )
    yield from listed(ROWS, WITNESSES, mutants.FOLLOWS)
