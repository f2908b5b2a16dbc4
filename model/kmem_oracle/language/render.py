"""From calls to text: a script as people read it, with what repeats written as `repeat`.

A line of a rendered script is a call, or the head of a `repeat`; a closing brace stands at the end of the
last line inside, so the number of lines is the length of the script.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from kmem_oracle.language.labels import Label, Labels
from kmem_oracle.language.outline import Loop, Row, outline, row_of
from kmem_oracle.language.script import Op
from kmem_oracle.language.syntax import ID_KINDS, WORDS, flags_of
from kmem_spec import gfp
from kmem_spec.apis import APIS
from kmem_spec.units import SIZE_MAX

_WORDS: Final = {(kind, value): word for kind, words in WORDS.items() for word, value in words.items()}


def lines_of(ops: Sequence[Op], names: Mapping[str, int] = gfp.NAMES_6_1) -> list[str]:
    """Return the lines of a script that reads back as `ops`, but for the numbers of its ids."""
    return _lines(outline(ops, 0, len(ops), Labels(ops)), names)


def line_of_each(
    ops: Sequence[Op], names: Mapping[str, int] = gfp.NAMES_6_1, labels: Labels | None = None
) -> list[str]:
    """Return one line for each call, what repeats unrolled; `labels` are those of the same calls."""
    labels = Labels(ops) if labels is None else labels
    return [_line(*row_of(op, labels), names) for op in ops]


def _lines(parts: Sequence[Row | Loop], names: Mapping[str, int]) -> list[str]:
    """Return the lines for a stretch of a script."""
    lines: list[str] = []
    for part in parts:
        if isinstance(part, Row):
            lines.append(_line(part.op, part.labels, names))
            continue
        lines.append(f"repeat {part.rounds} {{")
        lines.extend(f"  {line}" for line in _lines(part.body, names))
        lines[-1] += " }"
    return lines


def _line(op: Op, labels: Sequence[Label], names: Mapping[str, int]) -> str:
    """Return one call as text; `labels` are those of what it makes, then of what it takes."""
    api = APIS[op.api]
    made, *taken = labels
    pointers = iter(taken)
    shown: list[str] = []
    for kind, value in zip(api.parameters, op.args, strict=True):
        if kind in ID_KINDS:
            label = next(pointers)
            shown.append(label.array() if kind == "vector" else label.one())
        elif kind == "offset":
            shown[-1] += f" + {_number(value)}" if value else ""
        elif kind == "array":
            shown.append(made.array())
        elif kind == "name":
            shown.append(f'"c{op.out}"' if value else "NULL")
        elif (kind, value) in _WORDS:
            shown.append(_WORDS[kind, value])
        elif kind == "gfp":
            shown.append(gfp.describe(value, dict(names)))
        elif kind in {"flags", "prot"}:
            shown.append(_flags(value, flags_of(api, kind)))
        else:
            shown.append(_number(value))
    call = f"{op.api}({', '.join(shown)})"
    if not api.makes or op.out <= 0:
        return call
    return f"{made.pages() if api.role == 'split' else made.one()} = {call}"


def _flags(value: int, names: Mapping[str, int]) -> str:
    """Return flags by their names, what has none as a number."""
    if value in names.values():
        return next(name for name, bit in names.items() if bit == value)
    parts = [name for name, bit in names.items() if value & bit]
    left = value & ~sum(names.values())
    return " | ".join([*parts, f"{left:#x}"] if left else parts) or "0"


def _number(value: int) -> str:
    """Return a size as people write it: powers of two that matter by their exponent."""
    for shift in range(24, 65):
        for delta in (-1, 0, 1):
            if value == (1 << shift) + delta and value <= SIZE_MAX:
                return f"2**{shift}" + {-1: " - 1", 0: "", 1: " + 1"}[delta]
    return str(value)
