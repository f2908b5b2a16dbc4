"""The steps of a zone as claims see them: how each is called, and which heads it touches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Final

from kmem_model.zone import Zone
from kmem_proofs.case import Case, Values
from kmem_spec.units import MAX_ORDER, buddy_of
from kmem_spec.zone import NOTHING, Blocks, blocks_are_apart, head_is_legal

Code = type[Zone]
SIZES: Final = tuple(1 << order for order in range(MAX_ORDER + 1))


def arbitrary_zone(case: Case, code: Code) -> Zone:
    """Return a zone of which nothing is known but that its pages have no negative numbers."""
    zone = code(
        "NORMAL",
        case.number("start"),
        case.number("end"),
        case.table("free", Blocks),
        case.table("used", Blocks),
        case.number("nfree"),
    )
    case.assume(zone.start >= 0)
    return zone


def assume_blocks(case: Case, zone: Zone, *heads: int) -> None:
    """Assume PAGE-HEAD and PAGE-APART of these heads."""
    for head in heads:
        case.assume(head_is_legal(zone, head))
    for one, other in permutations(heads, 2):
        case.assume(blocks_are_apart(zone, one, other))


@dataclass(frozen=True, slots=True)
class Step:
    """A step as claims see it.

    `run` calls it and returns the block that is in hand afterwards; `touched` are the heads that it reads
    or writes; `moved` says which block a page is in afterwards, given the one that it was in.
    """

    name: str
    run: Callable[[Case, Zone, int, int], int]
    touched: Callable[[Zone, int, int], Sequence[int]]
    moved: Callable[[Case, int, int, int, int], int]
    in_hand_before: bool
    witness: Values


def _split(case: Case, zone: Zone, head: int, pages: int) -> int:
    case.accepted(zone.split, head, pages)
    return head


def _merge(case: Case, zone: Zone, head: int, pages: int) -> int:
    return case.accepted(zone.merge, head, pages)


def _take(case: Case, zone: Zone, head: int, pages: int) -> int:
    case.accepted(zone.take, head, pages, case.number("floor"))
    return NOTHING


def _put(case: Case, zone: Zone, head: int, pages: int) -> int:
    case.accepted(zone.put, head, pages)
    return head


def _divide(case: Case, zone: Zone, head: int, pages: int) -> int:
    case.accepted(zone.divide, head, pages)
    return NOTHING


def _extend(case: Case, zone: Zone, head: int, pages: int) -> int:
    return case.accepted(zone.extend, pages)


def _into_halves(case: Case, page: int, block: int, head: int, pages: int) -> int:
    return case.either((block == head) & (page >= head + pages // 2), head + pages // 2, block)


def _into_whole(case: Case, page: int, block: int, head: int, pages: int) -> int:
    buddy = buddy_of(head, pages)
    lower = case.either(head < buddy, head, buddy)
    return case.either((block == head) | (block == buddy), lower, block)


def _stays(case: Case, page: int, block: int, head: int, pages: int) -> int:
    return block


def _into_new(case: Case, page: int, block: int, head: int, pages: int) -> int:
    return case.either(page >= head, head, block)


def _example(free: dict[int, int], used: dict[int, int], head: int, pages: int, other: int) -> Values:
    """Return a zone of 16 pages, the step's arguments, and points to look at."""
    points = {"x": other, "y": head, "page": head + pages - 1, "block": head}
    zone: Values = {"start": 0, "end": 16, "free": free, "used": used, "nfree": sum(free.values())}
    return {**zone, "head": head, "pages": pages, "floor": 0, **points}


STEPS: Final = (
    Step(
        "split",
        _split,
        lambda zone, head, pages: (head, head + pages // 2),
        _into_halves,
        in_hand_before=True,
        witness=_example({8: 8}, {0: 8}, 8, 8, 0),
    ),
    Step(
        "merge",
        _merge,
        lambda zone, head, pages: (head, buddy_of(head, pages)),
        _into_whole,
        in_hand_before=True,
        witness=_example({8: 4, 12: 4}, {0: 8}, 12, 4, 0),
    ),
    Step(
        "take",
        _take,
        lambda zone, head, pages: (head,),
        _stays,
        in_hand_before=True,
        witness=_example({8: 4, 12: 4}, {0: 8}, 12, 4, 8),
    ),
    Step(
        "put",
        _put,
        lambda zone, head, pages: (head,),
        _stays,
        in_hand_before=False,
        witness=_example({12: 4}, {0: 8, 8: 4}, 8, 4, 12),
    ),
    Step(
        "extend",
        _extend,
        lambda zone, head, pages: (head,),
        _into_new,
        in_hand_before=False,
        witness={**_example({8: 8}, {0: 8}, 16, 4, 8), "page": 17, "block": 8},
    ),
    Step(
        "divide",
        _divide,
        lambda zone, head, pages: (head, head + pages // 2),
        _into_halves,
        in_hand_before=False,
        witness=_example({0: 8}, {8: 8}, 8, 8, 0),
    ),
)


def begin(case: Case, code: Code, step: Step, *points: int) -> tuple[Zone, int, int, Sequence[int]]:
    """Return a zone, the step's arguments, and the heads that it touches; those and the points are legal."""
    zone = arbitrary_zone(case, code)
    pages = case.choose("pages", SIZES)  # PAGE-HEAD/sizes/implies: no other size can be there
    head = zone.end if step.name == "extend" else case.number("head")
    touched = step.touched(zone, head, pages)
    assume_blocks(case, zone, *touched, *points)
    return zone, head, pages, touched
