"""Obligations of the ledger of live allocations, which is what the judge remembers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import permutations
from typing import Final

from kmem_proofs.case import Case, Values, has, implies, same
from kmem_proofs.obligations import Obligation, obligation
from kmem_spec.extents import Spans, disjoint
from kmem_spec.ledger import Ledger
from kmem_spec.table import DictTable, require

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
    start, length, record, x = (case.number(name) for name in ("start", "length", "record", "x"))
    ledger = arbitrary_ledger(case, code, start)
    spans, records = case.snapshot(ledger.spans), case.snapshot(ledger.records)
    if step == "accept":
        case.refused(clause, ledger.accept, start, length, record)
    else:
        case.refused(clause, ledger.release, start)
    return [same(spans, ledger.spans, x), same(records, ledger.records, x)]


class ComparesStarts(Ledger[int]):
    """Asks only whether another extent has the same start."""

    def accept(self, start: int, length: int, record: int) -> None:
        """Accept."""
        require(length > 0, "MEM-USABLE")
        require(self.spans.get(start, 0) == 0, "MEM-APART")
        self.spans.put(start, length)
        self.records.put(start, record)


class OffByOne(Ledger[int]):
    """Leaves the first byte out of the comparison."""

    def accept(self, start: int, length: int, record: int) -> None:
        """Accept."""
        require(length > 0, "MEM-USABLE")
        require(self.spans.apart(start + 1, length), "MEM-APART")
        self.spans.put(start, length)
        self.records.put(start, record)


class KeepsSpans(Ledger[int]):
    """Forgets the record and keeps the extent."""

    def release(self, start: int) -> None:
        """Release."""
        require(self.spans.get(start, 0) > 0, "CALLER-FREE")
        self.records.drop(start)


class HastyLedger(Ledger[int]):
    """Writes before it asks."""

    def accept(self, start: int, length: int, record: int) -> None:
        """Accept."""
        self.records.put(start, record)
        super().accept(start, length, record)

    def release(self, start: int) -> None:
        """Release."""
        self.records.put(start, 0)
        super().release(start)


class BeginsWithOverlap(Ledger[int]):
    """Begins with two extents that share a byte."""

    def __init__(self, spans: Spans, records: DictTable[int]) -> None:
        spans.put(0, 16)
        spans.put(8, 16)
        super().__init__(spans, records)


def obligations() -> Iterator[Obligation]:
    """Yield all of them."""
    yield obligation(
        "MEM-APART/accept/preserved",
        accepts_what_is_apart,
        Ledger[int],
        witness=EXTENTS,
        mutants=[("only starts are compared", ComparesStarts), ("the first byte is left out", OffByOne)],
    )
    yield obligation(
        "MEM-APART/release/preserved",
        releases_one,
        Ledger[int],
        witness={**EXTENTS, "start": 4096},
        mutants=[("the extent stays", KeepsSpans)],
    )
    yield obligation(
        "MEM-APART/empty/initial",
        begins_with_nothing,
        Ledger[int],
        witness={"x": 4096, "y": 8192},
        mutants=[("it begins with an overlap", BeginsWithOverlap)],
    )
    hasty = [("it writes before it asks", HastyLedger)]
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
