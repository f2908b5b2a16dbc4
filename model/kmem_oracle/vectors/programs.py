"""From a script to a program: calls with what must come of each, for a reader that knows nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from kmem_oracle.language.script import parse
from kmem_oracle.vectors.lines import Line
from kmem_oracle.vectors.scripts import Script
from kmem_oracle.vectors.writer import Writer
from kmem_spec.apis import APIS, Api
from kmem_spec.clauses import Clause
from kmem_spec.gfp import NAMES
from kmem_spec.profile import Profile

BUILT_IN: Final = frozenset({"check", "mempool_fail", "preempt_disable", "preempt_enable"})
NEEDS: Final = {"mempool_create": ("kmalloc", "kfree"), "vmalloc_to_page": ("page_address",)}


def program(script: Script, clause: Clause, profile: Profile) -> list[Line]:
    """Return the lines of the program of a script: a head, then a line for each call."""
    names = NAMES[profile.gfp]
    ops = parse(script.text, names)
    writer = Writer(profile)
    body: list[Line] = []
    at = 0
    for times, text in script.parts:
        count = len(parse(text, names)) if len(script.parts) > 1 else len(ops)
        lines = [writer.line(op) for op in ops[at : at + count]]
        at += count
        body += [{"repeat": times}, *lines, {"end": times}] if times > 1 else lines
    needs = sorted({need for op in ops if op.api not in BUILT_IN for need in symbols_of(APIS[op.api])})
    head: Line = {"program": f"{clause.id}/{script.name}", "clause": clause.id, "needs": " ".join(needs)}
    return [head | ({"dtors": 1} if writer.old_cache else {}), *body]


def symbols_of(api: Api) -> Iterator[str]:
    """Yield the symbols without which a call cannot be made."""
    yield api.name
    yield from api.needs
    yield from NEEDS.get(api.name, ())
