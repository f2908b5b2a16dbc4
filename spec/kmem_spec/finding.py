"""Findings: what the judge says of an event, in words and numbers."""

from __future__ import annotations

from dataclasses import dataclass

from kmem_spec import gfp
from kmem_spec.apis import APIS
from kmem_spec.calls import Answer, Asked, Call
from kmem_spec.clauses import Who


@dataclass(frozen=True, slots=True)
class Finding:
    """A clause that an event breaks.

    event    index of the event in the history, from 0
    others   indices of the events that made or freed the other objects involved
    """

    clause: str
    who: Who
    event: int
    others: tuple[int, ...]
    message: str


def show(call: Call) -> str:
    """Return a call as C source, pointers as addresses."""
    shown = []
    for name, value in zip(APIS[call.api].parameters, call.args, strict=True):
        shown.append(
            f"{value:#x}" if name == "pointer" else show_mask(value) if name == "gfp" else str(value)
        )
    return f"{call.api}({', '.join(shown)})"


def show_mask(value: int) -> str:
    """Return a mask by its names in 6.1, or in 6.12 where those say it shorter."""
    return min((gfp.describe(value, names) for names in gfp.NAMES.values()), key=len)


def show_span(start: int, length: int) -> str:
    """Return an extent for people."""
    return f"{length} bytes at {start:#x}"


def describe(call: Call, asked: Asked, answer: Answer, clause: str) -> str:
    """Return what was asked and what came back, with the byte at fault where there is one."""
    text = f"{show(call)} gave {'NULL' if answer.result == 0 else hex(answer.result)}"
    if answer.usable >= 0:
        text += f" with {answer.usable} usable bytes"
    if clause in {"MEM-ZERO", "GFP-ZERO", "SLAB-REALLOC-ZERO"}:
        text += f"; the byte at offset {answer.nonzero} of the {asked.zero_to} promised zero is not"
    elif answer.changed >= 0:
        text += f"; the byte at offset {answer.changed} is not as its owner wrote it"
    return text
