"""Obligations of the ledger of live allocations, which is what the judge remembers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import permutations
from typing import Final

from kmem_proofs.case import Case, Values, has, implies, same
from kmem_proofs.mutants import ledger as mutants
from kmem_proofs.obligations import Obligation, Rows, listed, obligation
from kmem_proofs.rules import stays
from kmem_spec.extents import Spans, disjoint
from kmem_spec.ledger import Ledger
from kmem_spec.table import DictTable

Code = type[Ledger[int]]
EXTENTS: Final[Values] = {
    "spans": {4096: 64, 8192: 4096},
    "records": {4096: 1, 8192: 2},
    "start": 4160,
    "length": 32,
    "record": 3,
    "x": 4096,
    "y": 4160,
}


def extents_are_apart(ledger: Ledger[int], one: int, other: int) -> bool:
    """Judge MEM-APART and MEM-USABLE of two starts: no live extent is empty, no two share a byte."""
    length, other_length = ledger.spans.get(one, 0), ledger.spans.get(other, 0)
    nonempty = implies(has(ledger.spans, one), length > 0)
    apart = (one == other) | disjoint(one, length, other, other_length)
    return nonempty & implies((length > 0) & (other_length > 0), apart)


def each_has_a_record(ledger: Ledger[int], start: int) -> bool:
    """Judge that an extent and its record are there together."""
    return has(ledger.spans, start) == has(ledger.records, start)


def arbitrary_ledger(case: Case, code: Code, *points: int) -> Ledger[int]:
    """Return a ledger with any number of extents, apart at the points."""
    ledger = code(case.table("spans", Spans), case.table("records", DictTable))
    for point in points:
        case.assume(each_has_a_record(ledger, point))
    for one, other in permutations(points, 2):
        case.assume(extents_are_apart(ledger, one, other))
    return ledger


def accepts_what_is_apart(case: Case, code: Code) -> Sequence[bool]:
    """`accept` keeps live extents apart."""
    start, length, x, y = (case.number(name) for name in ("start", "length", "x", "y"))
    ledger = arbitrary_ledger(case, code, x, y, start)
    case.accepted(ledger.accept, start, length, case.number("record"))
    return [
        extents_are_apart(ledger, x, y),
        each_has_a_record(ledger, x),
        ledger.spans.get(start, 0) == length,
    ]


def releases_one(case: Case, code: Code) -> Sequence[bool]:
    """`release` keeps live extents apart, and ends one extent only."""
    start, x, y = (case.number(name) for name in ("start", "x", "y"))
    ledger = arbitrary_ledger(case, code, x, y, start)
    before = case.snapshot(ledger.spans)
    case.accepted(ledger.release, start)
    others_stay = (x == start) | same(before, ledger.spans, x)
    ended = has(ledger.spans, start) ^ True
    return [extents_are_apart(ledger, x, y), each_has_a_record(ledger, x), others_stay, ended]


def begins_with_nothing(case: Case, code: Code) -> Sequence[bool]:
    """An empty ledger has nothing that could overlap."""
    ledger = code(case.empty("spans", Spans), case.empty("records", DictTable))
    return [extents_are_apart(ledger, case.number("x"), case.number("y"))]


def changes_nothing(case: Case, code: Code, step: str, clause: str) -> Sequence[bool]:
    """A refused call leaves both tables as they were."""
    ledger = arbitrary_ledger(case, code, case.number("start"))
    given = ("start", "length", "record") if step == "accept" else ("start",)
    return stays(case, ledger, ("spans", "records"), clause, step, *map(case.number, given))


ROWS: Final[Rows] = {
    "MEM-APART/accept/preserved": (accepts_what_is_apart, Ledger[int]),
    "MEM-APART/release/preserved": (releases_one, Ledger[int]),
    "MEM-APART/empty/initial": (begins_with_nothing, Ledger[int]),
}
WITNESSES: Final[dict[str, Values]] = {
    "MEM-APART/accept/preserved": EXTENTS,
    "MEM-APART/release/preserved": {**EXTENTS, "start": 4096},
    "MEM-APART/empty/initial": {"x": 4096, "y": 8192},
}


def obligations() -> Iterator[Obligation]:
    """Yield all of them."""
    yield from listed(ROWS, WITNESSES, mutants.FAULTS)
    hasty = [("it writes before it asks", mutants.HastyLedger)]
    for clause, step, arguments in (
        ("MEM-USABLE", "accept", {"length": 0}),
        ("MEM-APART", "accept", {"start": 4128}),
        ("CALLER-FREE", "release", {"start": 4100}),
    ):
        yield obligation(
            f"{clause}/{step}/refused",
            partial(changes_nothing, step=step, clause=clause),
            Ledger[int],
            witness={**EXTENTS, **arguments},
            mutants=hasty,
        )
