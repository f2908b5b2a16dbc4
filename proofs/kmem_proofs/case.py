"""A case: where a claim gets its inputs from. A claim is ordinary Python, and runs on both kinds of case.

A `ConcreteCase` has given inputs: a witness, or the model of a path or of a counterexample. A symbolic
one (`explore`) has all inputs at once. Claims are typed as if the inputs were plain integers and
tables, which is what they are when a claim is replayed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Final, ParamSpec, TypeVar

from kmem_proofs.source import Source
from kmem_spec.table import DictTable, Refused, Table

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T", bound=DictTable[int])
Values = Mapping[str, int | Mapping[int, int]]
State = Mapping[str, int | Mapping[int, int]]
Claim = Callable[["Case"], Sequence[bool]]

# What code may raise; what a claim means by raising is `Skip`.
RAISED: Final = (ArithmeticError, LookupError, ValueError, TypeError, AttributeError, AssertionError, Refused)


class Skip(Exception):
    """The hypotheses do not hold here: nothing is claimed."""


def implies(premise: bool, conclusion: bool) -> bool:
    """Return the implication, without a branch."""
    return (premise ^ True) | conclusion


def has(table: Table[int], key: int) -> bool:
    """Say whether `key` is in the table: then its value does not depend on the default."""
    return table.get(key, 0) == table.get(key, 1)


def same(one: Table[int], other: Table[int], key: int) -> bool:
    """Say whether two tables agree at `key`, on its presence and on its value."""
    return (one.get(key, 0) == other.get(key, 0)) & (one.get(key, 1) == other.get(key, 1))


class Case(ABC):
    """The inputs of one run of a claim, and what the code under proof gave back in it."""

    def __init__(self) -> None:
        self.results: list[object] = []

    @abstractmethod
    def number(self, name: str) -> int:
        """Return an arbitrary integer."""

    @abstractmethod
    def choose(self, name: str, values: Sequence[int]) -> int:
        """Return any one of `values`; each has paths of its own, on which it is a plain integer."""

    @abstractmethod
    def table(self, name: str, kind: type[T]) -> T:
        """Return an arbitrary table, used as a `kind`."""

    @abstractmethod
    def empty(self, name: str, kind: type[T]) -> T:
        """Return a table with nothing in it."""

    @abstractmethod
    def snapshot(self, table: Table[int]) -> Table[int]:
        """Return the table as it is now."""

    @abstractmethod
    def assume(self, *conditions: bool) -> None:
        """Claim nothing where a condition does not hold."""

    @abstractmethod
    def either(self, condition: bool, one: int, other: int) -> int:
        """Return `one` where the condition holds, else `other`, without a branch."""

    def call(self, code: Callable[P, R], *args: P.args, **named: P.kwargs) -> R:
        """Call the code under proof; what it gives and leaves behind is compared when a path is replayed."""
        try:
            result = code(*args, **named)
        except Refused as refusal:
            self.results.append(refusal.clause)
            raise
        self.results.extend(numbers_of(result) or [result])
        self.results.extend(numbers_of(getattr(code, "__self__", None)))
        return result

    def accepted(self, code: Callable[P, R], *args: P.args, **named: P.kwargs) -> R:
        """Call the code; claim nothing where it refuses."""
        try:
            return self.call(code, *args, **named)
        except Refused as refusal:
            raise Skip from refusal

    def refused(self, clause: str, code: Callable[P, R], *args: P.args, **named: P.kwargs) -> None:
        """Call the code; claim nothing where it does not refuse under `clause`."""
        try:
            self.call(code, *args, **named)
        except Refused as refusal:
            if refusal.clause == clause:
                return
        raise Skip


def numbers_of(owner: object) -> list[object]:
    """Return the integer fields of a state, as far as it has any."""
    if not is_dataclass(owner) or isinstance(owner, type):
        return []
    values = [getattr(owner, field.name) for field in fields(owner)]
    return [value for value in values if not hasattr(type(value), "put")]  # tables are compared at the end


def parts_of(owner: object) -> State:
    """Return the integers and a copy of the tables of a state, by name."""
    if not is_dataclass(owner) or isinstance(owner, type):
        return {}
    parts = {field.name: getattr(owner, field.name) for field in fields(owner)}
    tables = {name: dict(part) for name, part in parts.items() if isinstance(part, dict)}
    return tables | {name: part for name, part in parts.items() if isinstance(part, int)}


@dataclass(frozen=True, slots=True)
class Call:
    """A call of the code under proof as it went, each part as Python source."""

    before: str  # the state, "" for a function
    call: str
    outcome: str
    after: str
    was: State  # the same before and after, for a picture
    became: State


class ConcreteCase(Case):
    """A case with given inputs."""

    def __init__(self, values: Values) -> None:
        super().__init__()
        self.values = values
        self.tables: dict[str, DictTable[int]] = {}
        self.calls: list[Call] = []
        self.source = Source()

    def number(self, name: str) -> int:
        """Return the integer that was given."""
        value = self.values[name]
        if not isinstance(value, int):
            raise TypeError(f"{name} is given as a table")
        return value

    def choose(self, name: str, values: Sequence[int]) -> int:
        """Return the integer that was given."""
        value = self.number(name)
        if value not in values:
            raise Skip
        return value

    def table(self, name: str, kind: type[T]) -> T:
        """Return the table that was given."""
        value = self.values[name]
        if isinstance(value, int):
            raise TypeError(f"{name} is given as an integer")
        table = self.tables[name] = kind(value)
        return table

    def empty(self, name: str, kind: type[T]) -> T:
        """Return a table with nothing in it."""
        table = self.tables[name] = kind()
        return table

    def snapshot(self, table: Table[int]) -> Table[int]:
        """Return the table as it is now."""
        if not isinstance(table, DictTable):
            raise TypeError("a concrete case has concrete tables")
        return DictTable(table)

    def assume(self, *conditions: bool) -> None:
        """Leave the claim where a condition does not hold."""
        if not all(conditions):
            raise Skip

    def either(self, condition: bool, one: int, other: int) -> int:
        """Return one of the two."""
        return one if condition else other

    def call(self, code: Callable[P, R], *args: P.args, **named: P.kwargs) -> R:
        """Call the code under proof, and note the call as source."""
        owner = getattr(code, "__self__", None)
        before, was = self.source.of(owner) if is_dataclass(owner) else "", parts_of(owner)
        name = self.source.function(code, owner if before else None)
        given = [*map(self.source.of, args), *(f"{key}={self.source.of(arg)}" for key, arg in named.items())]
        outcome = "did not return"
        try:
            result = super().call(code, *args, **named)
            outcome = self.source.of(result)
            return result
        except Refused as refusal:
            outcome = f"refused under {refusal.clause}"
            raise
        finally:
            after = self.source.of(owner) if before else ""
            became = parts_of(owner)
            self.calls.append(Call(before, f"{name}({', '.join(given)})", outcome, after, was, became))


@dataclass(frozen=True, slots=True)
class Rerun:
    """A claim as it went on given inputs."""

    case: ConcreteCase
    goals: list[bool]
    raised: Exception | None = None
    skipped: bool = False

    @property
    def holds(self) -> bool:
        """Whether the hypotheses held, and all goals with them."""
        return not self.skipped and self.raised is None and all(self.goals)

    @property
    def broken(self) -> bool:
        """Whether the hypotheses held, and a goal did not."""
        return not self.skipped and (self.raised is not None or not all(self.goals))


def rerun(claim: Claim, values: Values) -> Rerun:
    """Run a claim on given inputs."""
    case = ConcreteCase(values)
    try:
        return Rerun(case, [bool(goal) for goal in claim(case)])
    except Skip:
        return Rerun(case, [], skipped=True)
    except RAISED as error:
        return Rerun(case, [], raised=error)
