"""Histories of threads, put in an order that a judge of one thread can read.

An object is surely live from the end of the call that made it to the beginning of the call that frees it. So
each call counts at one moment: what frees counts when it begins, all else when it ends. Two objects that
share a byte in this order shared it whatever the true order was.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from kmem_oracle.language.script import Op
from kmem_oracle.targets.records import ASLEEP, DONE, SKIPPED, SPOILT, WATCHED, Record
from kmem_oracle.targets.shared import Lane
from kmem_spec.apis import APIS

ENDS: Final = frozenset({"free", "free bulk", "destroy"})
# What needs the order of calls, or of what runs during calls, cannot be judged where that is not known; nor
# can what a new object's size earns it, since a resized one, which may stay where it is, counts as new.
NEED_ORDER: Final = frozenset(
    {
        "MEM-LIVENESS",
        "GFP-ATOMIC-REACH",
        "GFP-USER",
        "GFP-NOFAIL",
        "CACHE-CTOR-ONCE",
        "CACHE-CTOR-OWN",
        "CACHE-DTOR",
        "POOL-RESERVE",
        "SLAB-ALIGN-POWER",
        "SLAB-ALIGN-DIVISOR",
        "SLAB-CLASS",
    }
)


@dataclass(frozen=True, slots=True)
class Row:
    """A call of a thread: when it counts, began and ended, in ns; -1 is the thread that is alone."""

    at: int
    first: bool
    thread: int
    begin: int
    end: int
    op: Op
    record: Record


def ordered(programs: Sequence[Sequence[Op]], lanes: Sequence[Lane]) -> list[Row]:
    """Return what threads did, in an order that can be judged."""
    rows: list[Row] = []
    for thread, (program, lane) in enumerate(zip(programs, lanes, strict=True)):
        for op, record, (begin, end) in zip(program, lane.records, lane.times, strict=False):
            if record[4] != SKIPPED:
                rows += _rows(op, record, thread, begin, end)
    rows.sort(key=lambda row: (row.at, not row.first))
    return rows


def alone(ops: Sequence[Op], records: Sequence[Record], at: int) -> list[Row]:
    """Return calls made by one thread alone, at or after a time."""
    return [
        Row(at, False, -1, at, at, op, _without_notes(record))
        for op, record in zip(ops, records, strict=False)
        if record[4] != SKIPPED
    ]


def _rows(op: Op, record: Record, thread: int, begin: int, end: int) -> Iterator[Row]:
    """Yield what a call counts as; a resize is a free and then a call that makes an object."""
    record = _without_notes(record)
    if record[4] == SPOILT:
        yield Row(begin, True, thread, begin, end, op, record)
        return
    if APIS[op.api].role != "resize":
        ends = APIS[op.api].role in ENDS
        yield Row(begin if ends else end, ends, thread, begin, end, op, record)
        return
    item, size, mask = op.args
    result, usable, _, changed, _, ran = record
    if changed >= 0:
        spoilt = (item, -1, -1, changed, SPOILT, ran)
        yield Row(begin, True, thread, begin, end, op, spoilt)
    elif result:
        freed = (0, -1, -1, -1, DONE, ran)
        yield Row(begin, True, thread, begin, end, Op("kfree", 0, (item,)), freed)
        made = (result, usable, -1, -1, DONE, ran)
        yield Row(end, False, thread, begin, end, Op("kmalloc", op.out, (size, mask)), made)


def _without_notes(record: Record) -> Record:
    """Return a record that says nothing of constructors: they may have run for another thread."""
    return (*record[:5], record[5] & (WATCHED | ASLEEP))
