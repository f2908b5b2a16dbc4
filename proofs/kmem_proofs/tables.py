"""Symbolic tables: a presence and a value for every integer, with no bound on how many there are.

A table notes each key that it is asked for. Those are the points at which `every` is instantiated, and
all that a counterexample has to say of the table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NoReturn

from kmem_proofs.symbolic import SymbolicBool, SymbolicInt, Term, Unsupported, current, number, truth, z3
from kmem_spec.extents import Spans


@dataclass(frozen=True, slots=True)
class Filled:
    """An array after one value was written at all keys from `first` on, below `end`; it is read like one."""

    below: Term
    first: Term
    end: Term
    value: Term

    def __getitem__(self, at: Term) -> Term:
        return z3.If(z3.And(self.first <= at, at < self.end), self.value, self.below[at])


@dataclass(slots=True)
class Asked:
    """What a table, and every snapshot of it, was asked for."""

    name: str
    keys: list[Term] = field(default_factory=list)
    instances: list[Callable[[Term], None]] = field(default_factory=list)  # one for each use of `every`
    seen: set[int] = field(default_factory=set)  # ids of the keys, which `keys` keeps alive
    summed: bool = False


class SymbolicTable:
    """A table of integers, used as any of the tables of kmem_spec."""

    def __init__(self, name: str, assume: Callable[[Term], None], *, empty: bool = False) -> None:
        """Make a table with nothing in it, or with nothing known of it."""
        integers = z3.IntSort(current().context)
        if empty:
            self.has = z3.K(integers, z3.BoolVal(False, current().context))
            self.value = z3.K(integers, z3.IntVal(0, current().context))
            self.sum = z3.IntVal(0, current().context)
        else:
            self.has = z3.Array(f"{name}.has", integers, z3.BoolSort(current().context))
            self.value = z3.Array(f"{name}.value", integers, integers)
            self.sum = z3.Int(f"{name}.sum", current().context)
        self.runs: tuple[tuple[Term, Term, Term], ...] = ()  # first key, how many, the value or None
        self.asked = Asked(name)
        self.assume = assume

    def snapshot(self) -> SymbolicTable:
        """Return the table as it is now; it shares what was asked."""
        table = object.__new__(SymbolicTable)
        table.has, table.value, table.sum = self.has, self.value, self.sum
        table.asked, table.assume, table.runs = self.asked, self.assume, self.runs
        return table

    def get(self, key: object, default: object) -> SymbolicInt:
        """Return the value at `key`, or `default`."""
        at = self._at(key)
        return SymbolicInt(z3.If(self.has[at], self.value[at], number(default)))

    def put(self, key: object, value: object) -> None:
        """Set the value at `key`."""
        at, new = self._at(key), number(value)
        if self.sum is not None:
            self.sum = self.sum + new - z3.If(self.has[at], self.value[at], 0)
        self.has = self._stored(self.has, at, truth(True))
        self.value = self._stored(self.value, at, new)

    def drop(self, key: object) -> None:
        """Remove `key`; it raises as a dict does where `key` may be absent."""
        at = self._at(key)
        if not current().decide(self.has[at]):
            raise KeyError(key)
        if self.sum is not None:
            self.sum = self.sum - self.value[at]
        self.has = self._stored(self.has, at, truth(False))

    def every(self, holds: Callable[[int, int], bool]) -> SymbolicBool:
        """Return a truth value that stands for "of every key": true, it gives each instance that is asked
        for, now or later; false, it gives a key for which `holds` is not true."""
        has, value = self.has, self.value
        number_of_this = len(self.asked.instances)
        all_of_them = z3.Bool(f"{self.asked.name}.every{number_of_this}", current().context)
        exception = z3.Int(f"{self.asked.name}.exception{number_of_this}", current().context)

        def rule(at: Term) -> Term:
            holding = holds(SymbolicInt(at), SymbolicInt(value[at]))  # type: ignore[arg-type]  # these stand for integers
            return z3.Implies(has[at], truth(holding))

        def instance(at: Term) -> None:
            self.assume(z3.Implies(all_of_them, rule(at)))

        self.assume(z3.Or(all_of_them, z3.Not(rule(exception))))
        self.asked.instances.append(instance)
        for at in list(self.asked.keys):
            instance(at)
        self._at(SymbolicInt(exception))
        return SymbolicBool(all_of_them)

    def vacant(self, first: int, count: int) -> SymbolicBool:
        """Say whether none of the keys `first` to `first + count` - 1 is present."""
        return self.every(lambda key, _: (key < first) | (key >= first + count))

    def fill(self, first: object, count: object, value: object) -> None:
        """Set the value at each of these keys."""
        self._fill(number(first), number(count), number(value))

    def wipe(self, first: object, count: object) -> None:
        """Remove those of these keys that are present."""
        self._fill(number(first), number(count), None)

    def _fill(self, first: Term, count: Term, new: Term) -> None:
        self.runs = (*self.runs, (first, count, new))
        self.sum = None  # it would take one of all that was there
        self.has = Filled(self.has, first, first + count, truth(new is not None))
        if new is not None:
            self.value = Filled(self.value, first, first + count, new)

    def apart(self, start: int, length: int) -> bool:
        """Run the guard of `Spans` as it is written."""
        return Spans.apart(self, start, length)  # type: ignore[arg-type]  # it asks for `every` alone

    def total(self) -> SymbolicInt:
        """Return the sum of all values."""
        if self.sum is None:
            raise Unsupported("the sum of a table of which a run of keys was set")
        self.asked.summed = True
        return SymbolicInt(self.sum)

    def _stored(self, array: Term, at: Term, value: Term) -> Term:
        """Return the array after a value was written at one key."""
        return Filled(array, at, at + 1, value) if self.runs else z3.Store(array, at, value)

    def _at(self, key: object) -> Term:
        """Return `key` as a term, and note it."""
        at = z3.simplify(number(key))
        if at.get_id() not in self.asked.seen:
            self.asked.seen.add(at.get_id())
            self.asked.keys.append(at)
            for instance in self.asked.instances:
                instance(at)
        return at

    def _cannot(self, *_: object) -> NoReturn:
        raise Unsupported("of a table only what Table has can be used")

    __bool__ = __contains__ = __iter__ = __len__ = __getitem__ = __setitem__ = __delitem__ = _cannot
