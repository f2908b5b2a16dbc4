"""Symbolic integers, truth values and tables, on which ordinary Python runs. The only module that imports z3.

Python's integers are the mathematical ones and so are Z3's, so there is no width and no wrap. `bool()` of
a symbolic truth value asks the current `Path` which way to go. An operation without an exact
translation raises `Unsupported`: never an approximation. Each translation is compared with Python's own
operator in tests/cover/test_symbolic.py.

Code under proof must not ask `isinstance(x, int)`, and uses nothing of a table but what `Table` has.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Final, NoReturn, Protocol, TypeAlias

import z3 as z3  # explore and tables have it from here

Term: TypeAlias = Any  # z3 ships no types

VALUES_AT_MOST: Final = 64  # that an integer may be split into where only a constant will do


class Unsupported(Exception):
    """The code left what can be translated, or the solver gave up: there is no proof."""


class Path(Protocol):
    """What symbolic values ask of the path that they are on, see `explore`."""

    @property
    def context(self) -> Term:
        """The context of all terms."""

    def decide(self, condition: Term) -> bool:
        """Take one side of a condition, and come back for the other."""

    def guess(self, term: Term) -> int | None:
        """Return a value of `term` and go on as if it were the only one, or None: then it has another."""


_paths: Final[list[Path]] = []


def current() -> Path:
    """Return the path that is being run."""
    return _paths[-1]


def enter(path: Path) -> None:
    """Make `path` the current one."""
    _paths.append(path)


def leave() -> None:
    """Go back to the path before."""
    _paths.pop()


class SymbolicBool:
    """A truth value."""

    __slots__ = ("term",)
    __hash__: ClassVar[None]  # type: ignore[assignment]  # two terms may be equal and not alike

    def __init__(self, term: Term) -> None:
        self.term = term

    def __bool__(self) -> bool:
        return current().decide(self.term)

    def __and__(self, other: object) -> SymbolicBool:
        return SymbolicBool(z3.And(self.term, truth(other)))

    def __or__(self, other: object) -> SymbolicBool:
        return SymbolicBool(z3.Or(self.term, truth(other)))

    def __xor__(self, other: object) -> SymbolicBool:
        return SymbolicBool(z3.Xor(self.term, truth(other)))

    def __eq__(self, other: object) -> SymbolicBool:  # type: ignore[override]  # a comparison is a term
        return SymbolicBool(self.term == truth(other))

    def __ne__(self, other: object) -> SymbolicBool:  # type: ignore[override]  # a comparison is a term
        return SymbolicBool(self.term != truth(other))

    def __add__(self, other: object) -> SymbolicInt:
        return SymbolicInt(number(self)) + other

    def __invert__(self) -> NoReturn:
        raise Unsupported("~ of a truth value: Python takes it for an integer")

    __rand__ = __and__
    __ror__ = __or__
    __rxor__ = __xor__
    __radd__ = __add__


SymbolicBool.__hash__ = None  # so that no set or dict takes one


class SymbolicInt:
    """An integer."""

    __slots__ = ("term",)
    __hash__: ClassVar[None]  # type: ignore[assignment]  # two terms may be equal and not alike

    def __init__(self, term: Term) -> None:
        self.term = term

    def __add__(self, other: object) -> SymbolicInt:
        return SymbolicInt(self.term + number(other))

    def __sub__(self, other: object) -> SymbolicInt:
        return SymbolicInt(self.term - number(other))

    def __rsub__(self, other: object) -> SymbolicInt:
        return SymbolicInt(number(other) - self.term)

    def __mul__(self, other: object) -> SymbolicInt:
        return SymbolicInt(self.term * number(other))

    def __neg__(self) -> SymbolicInt:
        return SymbolicInt(-self.term)

    def __pos__(self) -> SymbolicInt:
        return self

    def __invert__(self) -> SymbolicInt:
        return SymbolicInt(-self.term - 1)

    def __abs__(self) -> SymbolicInt:
        return SymbolicInt(z3.If(self.term < 0, -self.term, self.term))

    def __floordiv__(self, other: object) -> SymbolicInt:
        return SymbolicInt(self.term / _divisor(number(other)))

    def __rfloordiv__(self, other: object) -> SymbolicInt:
        return SymbolicInt(number(other) / _divisor(self.term))

    def __mod__(self, other: object) -> SymbolicInt:
        return SymbolicInt(self.term % _divisor(number(other)))

    def __rmod__(self, other: object) -> SymbolicInt:
        return SymbolicInt(number(other) % _divisor(self.term))

    def __lshift__(self, other: object) -> SymbolicInt:
        return SymbolicInt(self.term * (1 << constant(other)))  # a negative count raises, as Python's does

    def __rlshift__(self, other: int) -> int:
        return other << constant(self)

    def __rshift__(self, other: object) -> SymbolicInt:
        return SymbolicInt(self.term / (1 << constant(other)))

    def __rrshift__(self, other: int) -> int:
        return other >> constant(self)

    def __and__(self, other: object) -> SymbolicInt:
        return SymbolicInt(_masked(self.term, constant(other)))

    def __or__(self, other: object) -> SymbolicInt:
        mask = constant(other)
        return SymbolicInt(self.term + mask - _masked(self.term, mask))

    def __xor__(self, other: object) -> SymbolicInt:
        mask = constant(other)
        return SymbolicInt(self.term + mask - 2 * _masked(self.term, mask))

    def __lt__(self, other: object) -> SymbolicBool:
        return SymbolicBool(self.term < number(other))

    def __le__(self, other: object) -> SymbolicBool:
        return SymbolicBool(self.term <= number(other))

    def __gt__(self, other: object) -> SymbolicBool:
        return SymbolicBool(self.term > number(other))

    def __ge__(self, other: object) -> SymbolicBool:
        return SymbolicBool(self.term >= number(other))

    def __eq__(self, other: object) -> SymbolicBool | bool:  # type: ignore[override]  # a term
        return SymbolicBool(self.term == number(other)) if is_number(other) else False

    def __ne__(self, other: object) -> SymbolicBool | bool:  # type: ignore[override]  # a term
        return SymbolicBool(self.term != number(other)) if is_number(other) else True

    def __bool__(self) -> bool:
        return current().decide(self.term != 0)

    def __index__(self) -> int:
        return constant(self)

    def __getattr__(self, name: str) -> NoReturn:
        raise Unsupported(f"{name} of a symbolic integer")

    __radd__ = __add__
    __rmul__ = __mul__
    __rand__ = __and__
    __ror__ = __or__
    __rxor__ = __xor__
    __int__ = __index__


SymbolicInt.__hash__ = None  # so that no set or dict takes one


def _not_translated(name: str) -> Callable[..., NoReturn]:
    """Return a method that says so; without it Python would raise TypeError, which code may catch."""

    def method(*_: object) -> NoReturn:
        raise Unsupported(name)

    return method


for _name in (
    "pow",
    "rpow",
    "truediv",
    "rtruediv",
    "divmod",
    "rdivmod",
    "float",
    "round",
    "trunc",
    "complex",
):
    setattr(SymbolicInt, f"__{_name}__", _not_translated(_name))


def is_number(value: object) -> bool:
    """Say whether `value` can stand where an integer stands."""
    return isinstance(value, int | SymbolicInt | SymbolicBool)


def truth(value: object) -> Term:
    """Return `value` as a term of sort Bool."""
    if isinstance(value, SymbolicBool):
        return value.term
    if isinstance(value, bool):
        return z3.BoolVal(value, current().context)
    raise Unsupported(f"not a truth value: {value!r}")


def number(value: object) -> Term:
    """Return `value` as a term of sort Int."""
    if isinstance(value, SymbolicInt):
        return value.term
    context = current().context
    if isinstance(value, SymbolicBool):
        return z3.If(value.term, z3.IntVal(1, context), z3.IntVal(0, context))
    if isinstance(value, int):
        return z3.IntVal(int(value), context)
    raise Unsupported(f"not an integer: {value!r}")


def constant(value: object) -> int:
    """Return a plain integer, on a path of its own for each that `value` may be."""
    term = z3.simplify(number(value))
    for _ in range(VALUES_AT_MOST):
        if z3.is_int_value(term):
            return int(term.as_long())
        found = current().guess(term)
        if found is not None:
            return found
    raise Unsupported(f"more than {VALUES_AT_MOST} values where only a constant will do")


def _masked(term: Term, mask: int) -> Term:
    """Return term & mask, run of ones by run of ones."""
    if mask < 0:
        return term - _masked(term, ~mask)
    total: Term = z3.IntVal(0, current().context)
    low = 0
    while mask >> low:
        if mask >> low & 1:
            high = low
            while mask >> high & 1:
                high += 1
            total = total + term / (1 << low) % (1 << (high - low)) * (1 << low)
            low = high
        else:
            low += 1
    return z3.simplify(total)


def _divisor(term: Term) -> Term:
    """Return `term` if it is positive, where Z3's division is Python's; zero raises as in Python."""
    path = current()
    if path.decide(term == 0):
        raise ZeroDivisionError("integer division or modulo by zero")
    if path.decide(term < 0):
        raise Unsupported("division by a negative integer")
    return term
