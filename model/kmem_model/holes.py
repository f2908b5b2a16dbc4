"""Unused stretches of a range of addresses: which is the lowest that holds so many bytes?

A policy's notes, trusted by nobody: a stretch that is not free after all is refused where it is mapped.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from typing import Final

ROW: Final = 96  # holes to a row before it is divided in two


class Holes:
    """Holes in rows, in the order of their addresses; no two of them touch.

    rows      starts of the holes
    bounds    for each row a length that none of its holes exceeds
    """

    __slots__ = ("_starts_by_end", "bounds", "lengths", "rows")

    def __init__(self, start: int, end: int) -> None:
        """Begin with one hole from `start` to `end` - 1."""
        self.rows: list[list[int]] = [[]]
        self.bounds: list[int] = [0]
        self.lengths: dict[int, int] = {}
        self._starts_by_end: dict[int, int] = {}
        if start < end:
            self._put(start, end - start)

    def lowest(self, length: int) -> int | None:
        """Return the start of the lowest hole of at least `length` bytes, None if there is none."""
        lengths = self.lengths
        for row, starts in enumerate(self.rows):
            if self.bounds[row] >= length:
                for start in starts:
                    if lengths[start] >= length:
                        return start
                self.bounds[row] = max(map(lengths.__getitem__, starts), default=0)
        return None

    def take(self, start: int, length: int) -> None:
        """Use the first `length` bytes of the hole at `start`."""
        left = self._drop(start) - length
        if left:
            self._put(start + length, left)

    def give(self, start: int, length: int) -> None:
        """Make a hole of bytes that were used, one with the holes that they touch."""
        before = self._starts_by_end.get(start)
        if before is not None:
            length += self._drop(before)
            start = before
        if start + length in self.lengths:
            length += self._drop(start + length)
        self._put(start, length)

    def _row_of(self, start: int) -> int:
        """Return the row that `start` belongs to."""
        return max(bisect_right(self.rows, start, key=_first) - 1, 0)

    def _put(self, start: int, length: int) -> None:
        """Enter a hole that touches no other."""
        row = self._row_of(start)
        starts = self.rows[row]
        insort(starts, start)
        self.lengths[start] = length
        self._starts_by_end[start + length] = start
        self.bounds[row] = max(self.bounds[row], length)
        if len(starts) > ROW:
            self.rows.insert(row + 1, starts[ROW // 2 :])
            del starts[ROW // 2 :]
            self.bounds.insert(row + 1, self.bounds[row])

    def _drop(self, start: int) -> int:
        """Strike out the hole at `start` and return its length."""
        row = self._row_of(start)
        starts = self.rows[row]
        del starts[bisect_right(starts, start) - 1]
        if not starts and len(self.rows) > 1:
            del self.rows[row], self.bounds[row]
        length = self.lengths.pop(start)
        del self._starts_by_end[start + length]
        return length


def _first(starts: list[int]) -> int:
    """Return the first start of a row; only a row that is alone has none."""
    return starts[0] if starts else 0
