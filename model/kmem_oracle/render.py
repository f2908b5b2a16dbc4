"""From calls to text: a script as people read it, with what repeats written as `repeat`.

A line of a rendered script is a call, or the head of a `repeat`; a closing brace stands at the end of the
last line inside, so the number of lines is the length of the script.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from kmem_oracle.rounds import LONGEST_PATTERN, Round, ids_of, parts_of
from kmem_oracle.script import ID_NULL, ID_ZERO_SIZE, Op
from kmem_spec import gfp
from kmem_spec.apis import APIS
from kmem_spec.units import SIZE_MAX

LETTERS: Final = "abcdefghjklmnopqrstuvwxyz"  # `i` counts rounds


def lines_of(ops: Sequence[Op], names: Mapping[str, int] = gfp.NAMES_6_1) -> list[str]:
    """Return the lines of a script that reads back as `ops`, but for the numbers of its ids."""
    return _lines(ops, 0, len(ops), _Labels(ops), names)


def _lines(ops: Sequence[Op], begin: int, end: int, labels: _Labels, names: Mapping[str, int]) -> list[str]:
    """Return the lines for a stretch of a script."""
    lines: list[str] = []
    for part in parts_of(ops, begin, end):
        inside = labels.over_rounds(ops, part) if part.count > 1 and part.length <= LONGEST_PATTERN else None
        if inside is not None:
            body = ops[part.start : part.start + part.length]
            inner = [_line(op, labelled, names) for op, labelled in zip(body, inside, strict=True)]
        elif part.count > 1 and part.length > LONGEST_PATTERN:
            inner = _lines(ops, part.start, part.start + part.length, labels, names)
        else:
            stretch = ops[part.start : part.end]
            lines.extend(_line(op, [labels.of(item) for item in ids_of(op)], names) for op in stretch)
            continue
        lines.append(f"repeat {part.count} {{")
        lines.extend(f"  {line}" for line in inner)
        lines[-1] += " }"
    return lines


class _Labels:
    """The names of ids: `a` for one object, `a[7]` for one of many that a `repeat` made."""

    def __init__(self, ops: Sequence[Op]) -> None:
        self._known: dict[int, tuple[str, int]] = {}
        self._count = 0
        self._span: dict[int, tuple[int, int]] = {}
        for index, op in enumerate(ops):
            for item in ids_of(op):
                first, _ = self._span.get(item, (index, index))
                self._span[item] = (first, index)

    def of(self, item: int) -> str:
        """Return the label of one id."""
        if item <= 0:
            return {ID_NULL: "NULL", ID_ZERO_SIZE: "ZERO_SIZE_PTR"}[item]
        if item not in self._known:
            self._known[item] = (self._fresh(), -1)
        name, index = self._known[item]
        return name if index < 0 else f"{name}[{index}]"

    def over_rounds(self, ops: Sequence[Op], part: Round) -> list[list[str]] | None:
        """Return the labels in each call of a round, with `i` in them; None if none can say it."""
        inside: dict[tuple[int, ...], str] = {}
        labelled: list[list[str]] = []
        for offset in range(part.length):
            rounds = [ids_of(ops[part.start + offset + k * part.length]) for k in range(part.count)]
            row = []
            for column in zip(*rounds, strict=True):
                label = inside.get(column) or self._over(ops, column, part)
                if label is None:
                    return None
                inside[column] = label
                row.append(label)
            labelled.append(row)
        return labelled

    def _over(self, ops: Sequence[Op], column: tuple[int, ...], part: Round) -> str | None:
        """Return one label for the ids that a place in the round takes, round by round."""
        if column[0] <= 0 or column[0] == column[1]:
            return self.of(column[0])
        if all(item in self._known for item in column):
            places = [self._known[item] for item in column]
            base, step = places[0][1], places[1][1] - places[0][1]
            if places != [(places[0][0], base + k * step) for k in range(part.count)] or base < 0:
                return None
            times = "i" if abs(step) == 1 else f"{abs(step)} * i"
            index = times if base == 0 and step > 0 else f"{base} {'+' if step > 0 else '-'} {times}"
            return f"{places[0][0]}[{index}]"
        if any(item in self._known for item in column):
            return None
        name = self._fresh()
        for k, item in enumerate(column):
            self._known[item] = (name, k)
        local = all(
            self._is_local(ops, item, part.start + k * part.length, part.length)
            for k, item in enumerate(column)
        )
        return name if local else f"{name}[i]"

    def _is_local(self, ops: Sequence[Op], item: int, start: int, length: int) -> bool:
        """Say whether an id is made first and freed last in its round, and so may share its name."""
        first, last = self._span[item]
        made, freed = ops[first], ops[last]
        return (
            start <= first
            and last < start + length
            and made.out == item
            and APIS[made.api].role == "allocate"
            and (first == last or APIS[freed.api].role == "free")
        )

    def _fresh(self) -> str:
        """Return a name not yet used."""
        turn, letter = divmod(self._count, len(LETTERS))
        self._count += 1
        return LETTERS[letter] + (str(turn) if turn else "")


def _line(op: Op, labels: Sequence[str], names: Mapping[str, int]) -> str:
    """Return one call as text; `labels` are those of the object it makes, then of its pointers."""
    pointers = iter(labels[1:])
    shown = []
    for kind, value in zip(APIS[op.api].parameters, op.args, strict=True):
        if kind == "pointer":
            shown.append(next(pointers))
        elif kind == "gfp":
            shown.append(gfp.describe(value, dict(names)))
        else:
            shown.append(_number(value))
    call = f"{op.api}({', '.join(shown)})"
    return f"{labels[0]} = {call}" if op.out > 0 else call


def _number(value: int) -> str:
    """Return a size as people write it: powers of two that matter by their exponent."""
    for shift in range(24, 65):
        for delta in (-1, 0, 1):
            if value == (1 << shift) + delta and value <= SIZE_MAX:
                return f"2**{shift}" + {-1: " - 1", 0: "", 1: " + 1"}[delta]
    return str(value)
