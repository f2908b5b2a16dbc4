"""How a method of a machine becomes a rule that is counted."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final, ParamSpec

from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule
from tests.machines.caller import Caller

P = ParamSpec("P")
# Any: the machine that the method is of, or what a strategy draws; a decorator cannot name either
When = Callable[[Any], bool]
Drawn = st.SearchStrategy[Any]
RULES: Final[set[str]] = set()  # the names of all rules


def task(caller: Caller) -> bool:
    """Let a rule run where a call may sleep."""
    return caller.atomic == 0


def always(_: Caller) -> bool:
    """Let a rule run at any time."""
    return True


def step(*, when: When = always, **drawn: Drawn) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """Make a method a rule, which runs `when` it can, and count what it comes by."""

    def declare(method: Callable[P, None]) -> Callable[P, None]:
        made: Callable[P, None] = rule(**drawn)(_counted(method))  # type: ignore[call-overload]  # none is a target
        return precondition(when)(made)

    return declare


def start(**drawn: Drawn) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """Make a method a rule that runs once, before all others, and count what it comes by."""

    def declare(method: Callable[P, None]) -> Callable[P, None]:
        made: Callable[P, None] = initialize(**drawn)(_counted(method))  # type: ignore[call-overload]  # none is a target
        return made

    return declare


def _counted(method: Callable[P, None]) -> Callable[P, None]:
    RULES.add(method.__name__)

    @functools.wraps(method)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        caller = args[0]
        assert isinstance(caller, Caller)
        caller.begin(method.__name__)
        method(*args, **kwargs)
        caller.end()

    return run
