"""What a line of a program says that a call must give, as the rules of outcomes have it.

It is worked out from the predicates of the clauses in force, so that every legal outcome is allowed: any
address that is aligned, NULL or an object where both are, a range of numbers.
"""

from __future__ import annotations

from functools import cache
from typing import Final

from kmem_spec.apis import APIS
from kmem_spec.calls import Answer, Asked
from kmem_spec.clauses import Clause
from kmem_spec.expect import extent_of
from kmem_spec.profile import Profile
from kmem_spec.units import NULL, SIZE_MAX

Value = int | str
Line = dict[str, Value]
UNSEEN: Final = frozenset({"PAGE-ZONE"})  # where memory lies, a program's reader cannot tell
FAR: Final = 1 << 40  # a multiple of whatever may be asked for
MOST_ALIGNED: Final = 24  # log2 of more than the largest block
CTOR_BYTES: Final = 8  # that the reader's constructor writes at the start of an object


def gives(what: str) -> Line:
    """Return what kind of result a call has."""
    return {"gives": what}


def within(least: int, most: int = SIZE_MAX) -> Line:
    """Return the bounds of a number; the upper one is left out where there is none."""
    line: Line = {"least": least}
    return line | ({"most": most} if most < SIZE_MAX else {})


@cache
def rules_for(profile: Profile, name: str) -> tuple[Clause, ...]:
    """Return the rules of outcomes that speak of a call."""
    every = (each for each in profile.clauses() if each.kind == "outcome" and each.id not in UNSEEN)
    return tuple(each for each in every if each.of(APIS[name]))


def allows(rules: list[Clause], asked: Asked, answer: Answer) -> bool:
    """Say whether all rules that speak of such a result let it pass."""
    skipped = "object" if answer.result == NULL else "null"
    return all(each.holds(asked, answer) for each in rules if each.on != skipped)


def placed(rules: list[Clause], asked: Asked) -> int:
    """Return the least alignment that all rules let pass, 0 where they let none."""
    for shift in range(MOST_ALIGNED):
        if allows(rules, asked, Answer(FAR + (1 << shift), usable=asked.slot or asked.size)):
            return 1 << shift
    return 0


def shape_of(asked: Asked, align: int) -> Line:
    """Return what an object must be: how long, how aligned, which bytes zero, in its constructed state."""
    line: Line = {"bytes": asked.size, "align": align}
    guard = extent_of(asked, asked.size) - asked.size + asked.guard
    if guard:
        line["guard"] = guard
    if asked.zero_to > asked.zero_from:
        line |= {"zero_from": asked.zero_from, "zero_to": asked.zero_to}
    if asked.constructed:
        line["built"] = CTOR_BYTES
    return line
