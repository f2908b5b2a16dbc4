"""The ledger of live allocations: the two steps by which the judge's memory changes.

Needs nothing of where an allocator puts things: it accepts any extent that is apart from all live ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from kmem_spec.extents import SpanTable
from kmem_spec.table import Refused, Table

R = TypeVar("R")


@dataclass(slots=True)
class Ledger(Generic[R]):
    """Live extents, start to usable length in bytes, and the record of each one's birth."""

    spans: SpanTable
    records: Table[R]

    def accept(self, start: int, length: int, record: R) -> None:
        """Enter an extent.

        Clause   MEM-USABLE, MEM-APART
        Units    start an address, length in bytes
        Needs    length > 0, no byte shared with a live extent
        """
        if not length > 0:
            raise Refused("MEM-USABLE")
        if not self.spans.apart(start, length):
            raise Refused("MEM-APART")
        self.spans.put(start, length)
        self.records.put(start, record)

    def release(self, start: int) -> None:
        """Remove the extent that starts at `start`.

        Clause   CALLER-FREE
        Needs    `start` is the start of a live extent, not a place inside it
        """
        if not self.spans.get(start, 0) > 0:
            raise Refused("CALLER-FREE")
        self.spans.drop(start)
        self.records.drop(start)
