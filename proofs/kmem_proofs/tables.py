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
        self.asked = Asked(name)
        self.assume = assume

    def snapshot(self) -> SymbolicTable:
        """Return the table as it is now; it shares what was asked."""
        table = object.__new__(SymbolicTable)
        table.has, table.value, table.sum = self.has, self.value, self.sum
        table.asked, table.assume = self.asked, self.assume
        return table

    def get(self, key: object, default: object) -> SymbolicInt:
        """Return the value at `key`, or `default`."""
        at = self._at(key)
        return SymbolicInt(z3.If(self.has[at], self.value[at], number(default)))

    def put(self, key: object, value: object) -> None:
        """Set the value at `key`."""
        at, new = self._at(key), number(value)
        self.sum = self.sum + new - z3.If(self.has[at], self.value[at], 0)
        self.has = z3.Store(self.has, at, True)
        self.value = z3.Store(self.value, at, new)

    def drop(self, key: object) -> None:
        """Remove `key`; it raises as a dict does where `key` may be absent."""
        at = self._at(key)
        if not current().decide(self.has[at]):
            raise KeyError(key)
        self.sum = self.sum - self.value[at]
        self.has = z3.Store(self.has, at, False)

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

    def apart(self, start: int, length: int) -> bool:
        """Run the guard of `Spans` as it is written."""
        return Spans.apart(self, start, length)  # type: ignore[arg-type]  # it asks for `every` alone

    def total(self) -> SymbolicInt:
        """Return the sum of all values."""
        self.asked.summed = True
        return SymbolicInt(self.sum)

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
        raise Unsupported("of a table only get, put, drop and every can be used")

    __bool__ = __contains__ = __iter__ = __len__ = __getitem__ = __setitem__ = __delitem__ = _cannot
