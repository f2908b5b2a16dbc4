"""Tables, the only mutable state, and `Refused`, the only way a step says no.

A *step* checks its guard, raises `Refused` before any change, then changes tables. The same step
runs on a `DictTable` in the field and on unbounded arrays in a proof, so it may use nothing of a
table but what `Table` has.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

V = TypeVar("V")


class Refused(Exception):
    """A step's guard failed: nothing was changed, and `clause` is the rule that it would break."""

    def __init__(self, clause: str) -> None:
        super().__init__(clause)
        self.clause = clause


def require(condition: bool, clause: str) -> None:
    """Refuse under `clause` unless `condition` holds."""
    if not condition:
        raise Refused(clause)


class Table(Protocol[V]):
    """A finite map from integers to values."""

    def get(self, key: int, default: V) -> V:
        """Return the value at `key`, or `default`."""

    def put(self, key: int, value: V) -> None:
        """Set the value at `key`."""

    def drop(self, key: int) -> None:
        """Remove `key`, which is present."""

    def every(self, holds: Callable[[int, V], bool]) -> bool:
        """Say whether `holds` is true of each key with its value."""

    def vacant(self, first: int, count: int) -> bool:
        """Say whether none of the keys `first` to `first + count` - 1 is present."""

    def fill(self, first: int, count: int, value: V) -> None:
        """Set the value at each of these keys."""

    def wipe(self, first: int, count: int) -> None:
        """Remove those of these keys that are present."""


class DictTable(dict[int, V]):
    """A `Table` for running code: put and drop are the dict's own operations under the steps' names."""

    __slots__ = ()

    put = dict.__setitem__
    drop = dict.__delitem__

    def every(self, holds: Callable[[int, V], bool]) -> bool:
        """Say whether `holds` is true of each key with its value."""
        return all(holds(key, value) for key, value in self.items())

    def vacant(self, first: int, count: int) -> bool:
        """Say whether none of the keys is present."""
        return all(key not in self for key in range(first, first + count))

    def fill(self, first: int, count: int, value: V) -> None:
        """Set the value at each of the keys."""
        for key in range(first, first + count):
            self.put(key, value)

    def wipe(self, first: int, count: int) -> None:
        """Remove those of the keys that are present."""
        for key in range(first, first + count):
            if key in self:
                self.drop(key)
