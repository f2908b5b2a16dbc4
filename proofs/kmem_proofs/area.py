"""Obligations of the vmalloc space: every step of it against every clause of its state.

A space is arbitrary: any bounds, any number of areas, of any length. Each claim assumes the clauses at the
areas, pages and frames that the step touches and at the points where it then looks, and asks for one
clause at those points.

Not shown here: that steps compose (induction), and that the policy finds a place where there is one; all
of a small space is enumerated for that in tests/cover/test_area.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Final

from kmem_model.area import Areas
from kmem_proofs.case import Case, Values, implies, same
from kmem_proofs.mutants import area as mutants
from kmem_proofs.obligations import Obligation, Rows, listed, obligation
from kmem_proofs.rules import rule, stays
from kmem_proofs.spaces import (
    STEPS,
    TABLES,
    Code,
    P,
    arbitrary_points,
    arbitrary_space,
    assume_areas,
    begin,
    run,
)
from kmem_spec.area import (
    GUARD,
    NOTHING,
    VMALLOC_SIZE,
    VMALLOC_START,
    frame_at,
    has_area,
    is_mapped,
    is_vmalloc_addr,
)
from kmem_spec.calls import Answer
from kmem_spec.extents import Spans, disjoint
from kmem_spec.table import DictTable, Refused
from kmem_spec.vmalloc import AREA, area_starts_on_a_page

CLAUSES: Final = tuple(mutants.BEGINNINGS)


def keeps(case: Case, code: Code, step: str, clause: str) -> Sequence[bool]:
    """A step keeps the clause, at any point."""
    space, at = begin(case, code, step)
    case.assume(rule(clause, space, *at.of(clause)))  # VM-FRAMES is asked nowhere else
    at = run(case, space, step, at)
    return [rule(clause, space, *at.of(clause))]


def begins_legal(case: Case, make: Callable[..., Areas], clause: str) -> Sequence[bool]:
    """A space without areas satisfies the clause."""
    tables = (case.empty("areas", Spans), *(case.empty(name, DictTable) for name in TABLES[1:]))
    space = case.call(make, case.number("low"), case.number("high"), *tables)
    at = arbitrary_points(case)
    return [rule(clause, space, *at.of(clause))]


def changes_nothing(case: Case, code: Code, step: str, clause: str) -> Sequence[bool]:
    """A step that is refused under the clause leaves every table as it was."""
    space, start = arbitrary_space(case, code), case.number("start")
    assume_areas(case, space, start)
    more = {"map": ("length",), "back": ("frame",), "alias": ("frame",)}.get(step, ())
    return stays(case, space, TABLES, clause, step, start, *map(case.number, more))


def areas_are_no_live_memory(case: Case, code: Code) -> Sequence[bool]:
    """The judge admits a new area: its bytes, the guard page apart, are in no other area."""
    space, at = begin(case, code, "map")
    before, length = space.areas.get(at.one, 0), case.number("length")
    case.accepted(space.map, at.start, length)
    return [implies(before > 0, disjoint(at.one, before - GUARD, at.start, length - GUARD))]


def areas_start_on_a_page(case: Case, code: Code) -> Sequence[bool]:
    """The judge admits the start of a new area, and finds it whole."""
    space, at = begin(case, code, "map")
    run(case, space, "map", at)
    usable = space.areas.get(at.start, 0) - GUARD
    return [area_starts_on_a_page(AREA, Answer(at.start)), usable > 0, usable % P == 0]


def areas_are_of_the_space(case: Case, code: Code) -> Sequence[bool]:
    """In a space with the kernel's bounds, is_vmalloc_addr is true of each byte of an area but its guard."""
    space, at = begin(case, code, "map")
    case.assume(space.start == VMALLOC_START, space.end == VMALLOC_START + VMALLOC_SIZE)
    run(case, space, "map", at)
    inside = (at.page >= at.start) & (at.page < at.start + space.areas.get(at.start, 0) - GUARD)
    return [implies(inside, is_vmalloc_addr(at.page))]


def guards_are_not_mapped(case: Case, code: Code, step: str) -> Sequence[bool]:
    """No page is mapped in the guard page of an area."""
    space, at = begin(case, code, step)
    at = run(case, space, step, at)
    end = at.one + space.areas.get(at.one, 0)
    in_guard = has_area(space, at.one) & (end - GUARD <= at.page) & (at.page < end)
    return [implies(is_mapped(space, at.page), in_guard ^ True)]


def frames_are_owned_once(case: Case, code: Code) -> Sequence[bool]:
    """The judge admits what backs a page: the frame that was given, and no other page has it."""
    space, at = begin(case, code, "back")
    following = at.start + space.mapped.get(at.start, NOTHING)
    run(case, space, "back", at)
    frame = case.number("frame")
    elsewhere = (at.page != following) & (space.frames.get(at.page, NOTHING) == frame)
    return [frame_at(space, following) == frame, elsewhere ^ True]


def frames_are_shown(case: Case, code: Code) -> Sequence[bool]:
    """A page of a vmap shows the frame that was given."""
    space, at = begin(case, code, "alias")
    following = at.start + space.mapped.get(at.start, NOTHING)
    run(case, space, "alias", at)
    return [
        frame_at(space, following) == case.number("frame"),
        space.frames.get(following, NOTHING) == NOTHING,
    ]


def last_frame_is_given(case: Case, code: Code, step: str) -> Sequence[bool]:
    """What comes back is the frame of the last mapped page, which has none then; an own one nobody has."""
    space, at = begin(case, code, step)
    last = at.start + space.mapped.get(at.start, NOTHING) - P
    frame = frame_at(space, last)
    given = case.accepted(getattr(space, step), at.start)
    kept = (
        False
        if step == "unalias"
        else (space.frames.get(at.page, NOTHING) == given) | (space.backing.get(given, NOTHING) != NOTHING)
    )
    return [given == frame, is_mapped(space, last) ^ True, kept ^ True]


def whole_length_is_given(case: Case, code: Code) -> Sequence[bool]:
    """What comes back is the length of the area, which is gone then; the others stay."""
    space, at = begin(case, code, "unmap")
    before = case.snapshot(space.areas)
    given = case.accepted(space.unmap, at.start)
    stays = (at.one == at.start) | same(before, space.areas, at.one)
    return [given == before.get(at.start, 0), has_area(space, at.start) ^ True, stays]


def nothing_leaks(case: Case, code: Code) -> Sequence[bool]:
    """Where an area goes, no frame is held any more for a page of its addresses."""
    space, at = begin(case, code, "unmap")
    length = space.areas.get(at.start, 0)
    case.assume(at.page == space.backing.get(at.held, NOTHING), at.page != NOTHING)
    case.accepted(space.unmap, at.start)
    return [disjoint(at.page, P, at.start, length)]


def next_page_is_unmapped(case: Case, code: Code) -> Sequence[bool]:
    """That the next page has no frame follows from the other clauses: that guard refuses nobody."""
    space, at = begin(case, code, "back")
    case.assume(at.page == at.start + space.mapped.get(at.start, NOTHING))
    try:
        case.call(space.alias, at.start, 0)
    except Refused as refusal:
        return [refusal.clause != "VM-ONE-FRAME"]
    return [True]


SPACE: Final[Values] = {
    "low": 0,
    "high": 16 * P,
    "areas": {2 * P: 3 * P, 5 * P: 2 * P, 8 * P: 3 * P, 11 * P: 2 * P},
    "mapped": {2 * P: 2 * P, 5 * P: P, 8 * P: P, 11 * P: 0},
    "frames": {2 * P: 90 * P, 3 * P: 70 * P, 8 * P: 60 * P},
    "backing": {90 * P: 2 * P, 70 * P: 3 * P, 60 * P: 8 * P},
    "aliases": {5 * P: 80 * P},
}
LOOKING: Final[Values] = {"one": 2 * P, "other": 5 * P, "page": 3 * P, "within": 2 * P, "held": 70 * P}
ARGUMENTS: Final[dict[str, Values]] = {
    "map": {"start": 13 * P, "length": 2 * P},
    "back": {"start": 8 * P, "frame": 50 * P},
    "alias": {"start": 8 * P, "frame": 50 * P},
    "unback": {"start": 2 * P, "holder": 2 * P},
    "unalias": {"start": 5 * P, "holder": 5 * P},
    "unmap": {"start": 11 * P},
}
REFUSED: Final[tuple[tuple[str, str, Values], ...]] = (
    ("VM-WHOLE", "map", {"start": 15 * P}),
    ("VM-APART", "map", {"start": 12 * P}),
    ("VM-UNMAPPED", "back", {"start": 3 * P}),
    ("VM-MAPPED", "back", {"start": 2 * P}),
    ("VM-ONE-FRAME", "back", {"start": 11 * P, "frames": {11 * P: 40 * P}}),
    ("VM-FRAME", "back", {"frame": 60 * P}),
    ("VM-UNMAPPED", "alias", {"start": 3 * P}),
    ("VM-MAPPED", "alias", {"start": 5 * P}),
    ("VM-ONE-FRAME", "alias", {"start": 11 * P, "aliases": {11 * P: 40 * P}}),
    ("VM-FRAME", "alias", {"frame": -P}),
    ("VM-UNMAPPED", "unback", {"start": 3 * P}),
    ("VM-MAPPED", "unback", {"start": 11 * P}),
    ("VM-FRAME", "unback", {"start": 5 * P}),
    ("VM-UNMAPPED", "unalias", {"start": 3 * P}),
    ("VM-MAPPED", "unalias", {"start": 11 * P}),
    ("VM-FRAME", "unalias", {"start": 2 * P}),
    ("VM-UNMAPPED", "unmap", {"start": 2 * P}),
)


HIGH: Final[Values] = {
    "low": VMALLOC_START,
    "high": VMALLOC_START + VMALLOC_SIZE,
    "start": VMALLOC_START,
    **{name: {} for name in TABLES},
}
# What the judge is owed, and what follows from the clauses.
ROWS: Final[Rows] = {
    "MEM-APART/map/refines": (areas_are_no_live_memory, Areas),
    "VM-ALIGN/map/refines": (areas_start_on_a_page, Areas),
    "VM-ADDR/map/refines": (areas_are_of_the_space, Areas),
    "VM-GUARD/map/refines": (partial(guards_are_not_mapped, step="map"), Areas),
    "VM-GUARD/back/refines": (partial(guards_are_not_mapped, step="back"), Areas),
    "VM-GUARD/alias/refines": (partial(guards_are_not_mapped, step="alias"), Areas),
    "VM-FRAME-OWN/back/refines": (frames_are_owned_once, Areas),
    "VM-FRAME-OWN/alias/refines": (frames_are_shown, Areas),
    "VM-FRAME/unback/refines": (partial(last_frame_is_given, step="unback"), Areas),
    "VM-FRAME/unalias/refines": (partial(last_frame_is_given, step="unalias"), Areas),
    "VM-UNMAPPED/unmap/refines": (whole_length_is_given, Areas),
    "VM-HELD/unmap/refines": (nothing_leaks, Areas),
    "VM-ONE-FRAME/guard/implies": (next_page_is_unmapped, Areas),
}
WITNESSES: Final[dict[str, Values]] = {
    "MEM-APART/map/refines": {**SPACE, **LOOKING, **ARGUMENTS["map"]},
    "VM-ALIGN/map/refines": {**SPACE, **LOOKING, **ARGUMENTS["map"]},
    "VM-ADDR/map/refines": {**SPACE, **LOOKING, **ARGUMENTS["map"], **HIGH, "page": VMALLOC_START},
    "VM-GUARD/map/refines": {**SPACE, **LOOKING, **ARGUMENTS["map"], "one": 13 * P},
    "VM-GUARD/back/refines": {**SPACE, **LOOKING, **ARGUMENTS["back"]},
    "VM-GUARD/alias/refines": {**SPACE, **LOOKING, **ARGUMENTS["alias"]},
    "VM-FRAME-OWN/back/refines": {**SPACE, **LOOKING, **ARGUMENTS["back"]},
    "VM-FRAME-OWN/alias/refines": {**SPACE, **LOOKING, **ARGUMENTS["alias"]},
    "VM-FRAME/unback/refines": {**SPACE, **LOOKING, **ARGUMENTS["unback"]},
    "VM-FRAME/unalias/refines": {**SPACE, **LOOKING, **ARGUMENTS["unalias"]},
    "VM-UNMAPPED/unmap/refines": {**SPACE, **LOOKING, **ARGUMENTS["unmap"]},
    "VM-HELD/unmap/refines": {**SPACE, **LOOKING, **ARGUMENTS["unmap"]},
    "VM-ONE-FRAME/guard/implies": {**SPACE, **LOOKING, **ARGUMENTS["back"], "page": 9 * P, "within": 8 * P},
}


def obligations() -> Iterator[Obligation]:
    """Yield all of them."""
    for clause in CLAUSES:
        for step in STEPS:
            if (clause, step) in mutants.STEPS:  # the step writes a table that the clause reads
                yield obligation(
                    f"{clause}/{step}/preserved",
                    partial(keeps, step=step, clause=clause),
                    Areas,
                    witness={**SPACE, **LOOKING, **ARGUMENTS[step]},
                    mutants=mutants.STEPS[clause, step],
                )
        yield obligation(
            f"{clause}/empty/initial",
            partial(begins_legal, clause=clause),
            Areas,
            witness={"low": 0, "high": 16 * P, **LOOKING, "start": 0},
            mutants=mutants.BEGINNINGS[clause],
        )
    for clause, step, arguments in REFUSED:
        yield obligation(
            f"{clause}/{step}/refused",
            partial(changes_nothing, step=step, clause=clause),
            Areas,
            witness={**SPACE, "x": 2 * P, **ARGUMENTS[step], **arguments},
            mutants=mutants.HASTY,
        )
    yield from listed(ROWS, WITNESSES, mutants.REFINES)
