"""From calls to what is written of them: calls with the labels of their objects, repeats as loops."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from kmem_oracle.language.labels import Label, Labels
from kmem_oracle.language.rounds import LONGEST_PATTERN, Round, ids_of, parts_of
from kmem_oracle.language.script import Op


class Row(NamedTuple):
    """One call; `labels` are those of what it makes, then of what it takes."""

    op: Op
    labels: list[Label]


class Loop(NamedTuple):
    """What is inside, as often as `rounds` says; `i` in its labels counts the rounds from 0."""

    rounds: int
    body: list[Row | Loop]


def outline(ops: Sequence[Op], begin: int, end: int, labels: Labels) -> list[Row | Loop]:
    """Return a stretch of a script as calls and loops."""
    parts: list[Row | Loop] = []
    for part in parts_of(ops, begin, end):
        same = part.count > 1 and _is_nested(ops, part)
        inside = None
        if part.count > 1 and part.length <= LONGEST_PATTERN and not same:
            inside = labels.over_rounds(part)
        if inside is not None:
            body = ops[part.start : part.start + part.length]
            rows: list[Row | Loop] = [Row(op, labelled) for op, labelled in zip(body, inside, strict=True)]
            parts.append(Loop(part.count, rows))
        elif part.count > 1 and (same or part.length > LONGEST_PATTERN):
            within = outline(ops, part.start, part.start + part.length, labels)
            parts.append(Loop(part.count, within))
        else:
            parts.extend(row_of(op, labels) for op in ops[part.start : part.end])
    return parts


def _is_nested(ops: Sequence[Op], part: Round) -> bool:
    """Say whether a round comes again with the very same objects, and something repeats in it, too."""
    second = part.start + part.length
    if ops[part.start : second] != ops[second : second + part.length]:
        return False
    return any(inner.count > 1 for inner in parts_of(ops, part.start, second))


def row_of(op: Op, labels: Labels) -> Row:
    """Return one call with its labels."""
    return Row(op, [labels.of(item) for item in ids_of(op)])
