"""Faults of the ledger."""

from __future__ import annotations

from typing import Final

from kmem_spec.extents import Spans
from kmem_spec.ledger import Ledger
from kmem_spec.table import DictTable, require


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


FAULTS: Final[dict[str, list[tuple[str, object]]]] = {
    "MEM-APART/accept/preserved": [
        ("only starts are compared", ComparesStarts),
        ("the first byte is left out", OffByOne),
    ],
    "MEM-APART/release/preserved": [("the extent stays", KeepsSpans)],
    "MEM-APART/empty/initial": [("it begins with an overlap", BeginsWithOverlap)],
}
