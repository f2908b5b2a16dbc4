"""Whether a step writes what its clause reads.

Where it does not, "preserved" says nothing: the step could not have broken the clause. It is seen on the
witness, with tables and states that note what the code under proof changes, and what the claim looks at
after that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import Any, ParamSpec, TypeVar

from kmem_proofs.case import ConcreteCase, T, Values
from kmem_proofs.obligations import Obligation

P = ParamSpec("P")
R = TypeVar("R")


class NotingCase(ConcreteCase):
    """A case that notes tables and numbers of a state by their names."""

    def __init__(self, values: Values) -> None:
        super().__init__(values)
        self.inside = False  # the code under proof
        self.written: set[str] = set()
        self.read_after: set[str] = set()

    def wrote(self, name: str) -> None:
        """Note a change by the code under proof."""
        if self.inside:
            self.written.add(name)

    def looked(self, name: str) -> None:
        """Note a look by the claim."""
        if not self.inside and name in self.written:
            self.read_after.add(name)

    def table(self, name: str, kind: type[T]) -> T:
        """Return the table that was given, and note what becomes of it."""
        table = self.tables[name] = noting(self, name, kind)(super().table(name, kind))
        return table

    def empty(self, name: str, kind: type[T]) -> T:
        """Return a table with nothing in it, and note what becomes of it."""
        table = self.tables[name] = noting(self, name, kind)()
        return table

    def call(self, code: Callable[P, R], *args: P.args, **named: P.kwargs) -> R:
        """Call the code under proof, and note which numbers of a state it changes."""
        states = [each for each in (getattr(code, "__self__", None), *args) if is_dataclass(each)]
        before = [numbers(state) for state in states]
        self.inside = True
        try:
            return super().call(code, *args, **named)
        finally:
            for state, old in zip(states, before, strict=True):
                changed = {name for name, value in numbers(state).items() if old[name] != value}
                for name in changed:
                    self.wrote(name)
                if changed:
                    object.__setattr__(state, "__class__", watched(self, type(state)))
            self.inside = False


def noting(case: NotingCase, name: str, kind: type[T]) -> type[T]:
    """Return a table of this kind that tells the case of each use."""

    class Noting(kind):  # type: ignore[misc, valid-type]  # a class made for the table's kind
        def get(self, key: int, default: int) -> int:
            case.looked(name)
            return int(super().get(key, default))

        def total(self) -> int:
            case.looked(name)
            return int(super().total())

        def every(self, holds: Callable[[int, int], bool]) -> bool:
            case.looked(name)
            return bool(super().every(holds))

        def put(self, key: int, value: int) -> None:
            case.wrote(name)
            super().put(key, value)

        def drop(self, key: int) -> None:
            case.wrote(name)
            super().drop(key)

    return Noting


def numbers(state: object) -> dict[str, int]:
    """Return the integer fields of a state."""
    if not is_dataclass(state) or isinstance(state, type):
        return {}
    values = {field.name: object.__getattribute__(state, field.name) for field in fields(state)}
    return {name: value for name, value in values.items() if isinstance(value, int)}


def watched(case: NotingCase, kind: type[object]) -> type[object]:
    """Return a state of this kind that tells the case of each look at it."""

    class Watched(kind):  # type: ignore[misc, valid-type]  # a class made for the state's kind
        __slots__ = ()

        def __getattribute__(self, name: str) -> Any:  # whatever the field is
            case.looked(name)
            return super().__getattribute__(name)

    return Watched


def why_idle(obligation: Obligation) -> str:
    """Return why a proof that a step preserves a clause counts for nothing, "" if it counts."""
    if obligation.kind != "preserved" or obligation.level == "C":
        return ""
    case = NotingCase(obligation.witness)
    obligation.claim(case)
    if case.read_after:
        return ""
    written = ", ".join(sorted(case.written)) or "nothing"
    return f"the step writes {written} of what its clause reads, as far as the witness goes"
