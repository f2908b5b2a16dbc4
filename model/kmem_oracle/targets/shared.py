"""The memory that a worker's process shares with ours, as the parent reads and writes it."""

from __future__ import annotations

import mmap
import os
import sys
import tempfile
from dataclasses import dataclass
from typing import IO

from kmem_oracle.targets.records import (
    CHUNK,
    COUNT,
    GUARD,
    GUARD_AT,
    HEADER,
    LANE_AT,
    NOTE,
    NOTES,
    NOTES_AT,
    OPS_AT,
    PART,
    RECORD,
    TIMES,
    TIMES_AT,
    RawNote,
    Record,
)


@dataclass(frozen=True, slots=True)
class Lane:
    """What one thread did: records of its calls, and when each began and ended, in ns."""

    records: list[Record]
    times: list[tuple[int, int]]


class Shared:
    """The parts of a shared file, one for each chunk of calls that may be on its way, or for each thread."""

    def __init__(self, file: IO[bytes], parts: int, size: int = 0) -> None:
        """Make the file `size` bytes long, or as long as the parts ask for, and guard each part."""
        file.truncate(size or HEADER.size + parts * PART)
        self._memory = mmap.mmap(file.fileno(), 0)
        for part in range(parts):
            self._guard(part)

    def close(self) -> None:
        """Let go of the memory."""
        self._memory.close()

    def position(self) -> tuple[int, int, int]:
        """Return which call is in hand, whether it is called or its memory touched, and in which part."""
        index, doing, base = HEADER.unpack_from(self._memory, 0)
        return index, doing, (base - HEADER.size) // PART

    def lane(self, part: int) -> tuple[int, int]:
        """Return which call the thread of a part has in hand, and whether it is called or touched."""
        index, doing, _ = HEADER.unpack_from(self._memory, HEADER.size + part * PART + LANE_AT)
        return index, doing

    def times(self, part: int, count: int) -> list[tuple[int, int]]:
        """Return when each of the first calls of a thread began and ended, in ns."""
        begin = HEADER.size + part * PART + TIMES_AT
        return list(TIMES.iter_unpack(self._memory[begin : begin + count * TIMES.size]))

    def _guard(self, part: int) -> None:
        """Write a word behind a part that nothing of ours changes."""
        begin = HEADER.size + part * PART + GUARD_AT
        self._memory[begin : begin + len(GUARD)] = GUARD

    def is_intact(self, part: int) -> bool:
        """Say whether the word behind a part is as it was; if not, make it so."""
        begin = HEADER.size + part * PART + GUARD_AT
        intact = self._memory[begin : begin + len(GUARD)] == GUARD
        self._guard(part)
        return intact

    def put(self, part: int, data: bytes) -> None:
        """Lay the packed calls of a chunk into that part of the shared memory."""
        begin = HEADER.size + part * PART + OPS_AT
        self._memory[begin : begin + len(data)] = data

    def records(self, part: int, count: int) -> list[Record]:
        """Return the first records of a chunk, whose records lie in that part of the shared memory."""
        begin, count = HEADER.size + part * PART, min(count, CHUNK)
        return list(RECORD.iter_unpack(self._memory[begin : begin + count * RECORD.size]))

    def notes(self, part: int) -> list[RawNote]:
        """Return the notes that were made during a chunk, in order."""
        begin = HEADER.size + part * PART + NOTES_AT
        count = min(COUNT.unpack_from(self._memory, begin)[0], NOTES)
        begin += COUNT.size
        return list(NOTE.iter_unpack(self._memory[begin : begin + count * NOTE.size])) if count else []


def shared_file() -> IO[bytes]:
    """Return an empty file without a name: memory alone, where that can be had.

    On a file system that is full, to touch it would crash the target without a fault of its own.
    """
    if sys.platform == "linux":
        return os.fdopen(os.memfd_create("kmem-oracle"), "w+b")
    return tempfile.TemporaryFile(prefix="kmem-oracle-")
