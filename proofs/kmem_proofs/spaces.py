"""The vmalloc space as claims see it: what its steps touch, and how each is called."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Final

from kmem_model.area import Areas
from kmem_proofs.case import Case
from kmem_proofs.rules import rule
from kmem_spec.area import NOTHING
from kmem_spec.extents import Spans
from kmem_spec.table import DictTable
from kmem_spec.units import PAGE_SIZE

Code = type[Areas]
P: Final = PAGE_SIZE
STEPS: Final = ("map", "back", "alias", "unback", "unalias", "unmap")
TABLES: Final = ("areas", "mapped", "frames", "backing", "aliases")


@dataclass(frozen=True, slots=True)
class Points:
    """Where a claim looks: two areas, a page and the area that it is in, a frame; and the step's own area."""

    one: int
    other: int
    page: int
    within: int
    held: int
    start: int

    def of(self, clause: str) -> Sequence[int]:
        """Return the points that a clause is asked at."""
        return {
            "VM-WHOLE": (self.one,),
            "VM-APART": (self.one, self.other),
            "VM-MAPPED": (self.one,),
            "VM-UNMAPPED": (self.one,),
            "VM-INSIDE": (self.page, self.within),
            "VM-FRAMES": (self.page, self.one),
            "VM-FRAME": (self.page,),
            "VM-ONE-FRAME": (self.page,),
            "VM-HELD": (self.held,),
        }[clause]


def arbitrary_points(case: Case) -> Points:
    """Return any points."""
    one, other, page = case.number("one"), case.number("other"), case.number("page")
    return Points(one, other, page, case.number("within"), case.number("held"), case.number("start"))


def arbitrary_space(case: Case, code: Code) -> Areas:
    """Return a space of which nothing is known but that it has no negative addresses."""
    low, high = case.number("low"), case.number("high")
    case.assume(low >= 0)
    return code(low, high, case.table("areas", Spans), *(case.table(name, DictTable) for name in TABLES[1:]))


def assume_areas(case: Case, space: Areas, *starts: int) -> None:
    """Assume what the clauses say of areas and pairs of them."""
    for start in starts:
        for clause in ("VM-WHOLE", "VM-MAPPED", "VM-UNMAPPED"):
            case.assume(rule(clause, space, start))
    for one, other in permutations(starts, 2):
        case.assume(rule("VM-APART", space, one, other))


def assume_page(case: Case, space: Areas, page: int, within: int) -> None:
    """Assume what the clauses say of a page, of the area that it is in if it is mapped, and of its frame."""
    case.assume(rule("VM-INSIDE", space, page, within))
    case.assume(rule("VM-FRAME", space, page), rule("VM-ONE-FRAME", space, page))
    case.assume(rule("VM-HELD", space, space.frames.get(page, NOTHING)))


def begin(case: Case, code: Code, step: str) -> tuple[Areas, Points]:
    """Return a space, and points of it at which all clauses hold, as they do where the step looks."""
    space = arbitrary_space(case, code)
    at = arbitrary_points(case)
    areas = [at.one, at.other, at.within, at.start]
    if step in ("unback", "unalias"):
        last, holder = at.start + space.mapped.get(at.start, NOTHING) - P, case.number("holder")
        areas.append(holder)
        assume_page(case, space, last, holder)
    assume_areas(case, space, *areas)
    assume_page(case, space, at.page, at.within)
    case.assume(rule("VM-HELD", space, at.held))
    return space, at


def run(case: Case, space: Areas, step: str, at: Points) -> Points:
    """Run a step that is not refused; return the points, with the area that the page is in afterwards."""
    if step == "map":
        case.accepted(space.map, at.start, case.number("length"))
    elif step in ("back", "alias"):
        following = at.start + space.mapped.get(at.start, NOTHING)
        frame = case.number("frame")
        case.assume(rule("VM-HELD", space, frame))
        case.accepted(getattr(space, step), at.start, frame)
        within = case.either(at.page == following, at.start, at.within)
        return Points(at.one, at.other, at.page, within, at.held, at.start)
    else:
        case.accepted(getattr(space, step), at.start)
    return at
