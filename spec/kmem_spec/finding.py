"""Findings: what the judge says of an event, in words and numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from kmem_spec import gfp
from kmem_spec.apis import APIS, Parameter
from kmem_spec.calls import Answer, Asked, Call
from kmem_spec.clauses import Who

ADDRESSES: Final = frozenset({"pointer", "source", "cache", "pool"})
WORDS: Final[dict[Parameter, str]] = {
    "name": '"…"',
    "ctor": "ctor",
    "dtor": "dtor",
    "alloc_fn": "mempool_alloc_kmalloc",
    "free_fn": "mempool_free_kmalloc",
    "array": "…",
}
AS_IT_WAS: Final = {
    "CACHE-CTOR": "constructed",
    "SLAB-COPY": "as in what was copied",
    "VM-CONTENTS": "as in its pages",
}
MOST_SHOWN: Final = 4  # pointers of an array


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
    """Return a call as C source, pointers as addresses, the pointers of an array in braces."""
    kinds = APIS[call.api].parameters
    several = call.args[len(kinds) :]
    shown: list[str] = []
    for kind, value in zip(kinds, call.args, strict=False):
        if kind in ADDRESSES:
            shown.append("NULL" if value == 0 else f"{value:#x}")
        elif kind == "offset":
            shown[-1] += f" + {value}"
        elif kind == "vector":
            more = ", …" if len(several) > MOST_SHOWN else ""
            shown.append("{" + ", ".join(hex(start) for start in several[:MOST_SHOWN]) + more + "}")
        elif kind in WORDS:
            shown.append(WORDS[kind] if value else "NULL")
        else:
            shown.append(show_mask(value) if kind == "gfp" else str(value))
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
    if clause in {"MEM-ZERO", "GFP-ZERO", "SLAB-REALLOC-ZERO", "VM-REALLOC-ZERO"}:
        text += f"; the byte at offset {answer.nonzero} of the {asked.zero_to} promised zero is not"
    elif answer.changed >= 0:
        text += (
            f"; the byte at offset {answer.changed} is not {AS_IT_WAS.get(clause, 'as its owner wrote it')}"
        )
    return text
