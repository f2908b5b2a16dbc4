"""States: the tables within an allocator, of which a clause holds or does not, at points that are given.

They are the registry's own witnesses: for each clause of a state one that satisfies and one that breaks it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass

from kmem_spec.clauses import Clause
from kmem_spec.table import DictTable

Line = dict[str, int | str]


def states(clause: Clause) -> Iterator[Line]:
    """Yield the states of a clause, each on one line."""
    if clause.kind != "state":
        return
    for holds, arguments in ((1, clause.witness), (0, clause.broken)):
        line: Line = {
            "state": f"{clause.id}/{'holds' if holds else 'broken'}",
            "clause": clause.id,
            "holds": holds,
        }
        yield line | flat(arguments)


def flat(arguments: tuple[object, ...]) -> Line:
    """Return what a predicate is given: tables as `key:value`, everything else as a number, points last."""
    line: Line = {}
    points: list[int] = []
    number = 0
    for argument in arguments:
        if is_dataclass(argument) and not isinstance(argument, type):
            number += 1
            for field in fields(argument):
                line[f"{field.name}{number if number > 1 else ''}"] = written(getattr(argument, field.name))
        elif isinstance(argument, int):
            points.append(int(argument))
        else:
            raise TypeError(f"{argument!r} has no form in a vector")
    return line | {"points": " ".join(map(str, points))}


def written(value: object) -> int | str:
    """Return a field: a number or a word as it is, a table as its pairs."""
    if isinstance(value, int | str):
        return value
    if isinstance(value, DictTable):
        return " ".join(f"{key}:{value.get(key, 0)}" for key in sorted(value))
    raise TypeError(f"{value!r} has no form in a vector")
