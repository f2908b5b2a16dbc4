"""A violation as C source: the statements that make the calls and look at what they do, and what those need.

The functions of reproducer.c run before and after each call, those of over_malloc.c put the calls over a
malloc library; a program has those that it uses. A line of them that ends in `//?tag` is only for programs
that need that.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Final

from kmem_oracle.campaign.result import Result
from kmem_oracle.language.labels import Labels
from kmem_oracle.language.outline import Loop, Row, outline, row_of
from kmem_oracle.language.render import line_of_each
from kmem_oracle.language.script import items_of
from kmem_oracle.reports.c_calls import Manner, lines_for, shape_of
from kmem_oracle.reports.c_checks import Check, last_lines
from kmem_oracle.reports.c_types import words_in
from kmem_oracle.reports.c_values import callbacks
from kmem_spec.apis import APIS
from kmem_spec.gfp import NAMES
from kmem_spec.units import PAGE_SIZE

APART: Final = frozenset({"MEM-APART", "VM-GUARD", "VM-FRAME-OWN"})
SLOTS: Final = frozenset({"CACHE-CTOR-ONCE", "CACHE-CTOR-OWN", "CACHE-DTOR"})
MOST_SLOTS: Final = 1 << 16
NAMES_TO_A_LINE: Final = 16
_ALWAYS: Final = ("home", "object")


@dataclass(frozen=True, slots=True)
class Source:
    """The pieces of a program.

    numbers     sizes of arrays and the like, by name
    parts       functions of reproducer.c, in order
    storage     the objects, caches and pools that the script names
    callbacks   constructors and destructors
    statements  the calls
    text        all that, without comments and strings
    labels      names of the objects
    """

    numbers: dict[str, str]
    parts: list[str]
    storage: list[str]
    callbacks: list[str]
    statements: list[str]
    text: str
    labels: Labels


def source_of(result: Result, given: Sequence[str], without: frozenset[str]) -> Source:
    """Return the source for a violation.

    `given` are functions that the program calls besides, `without` those that it has itself.
    """
    assert result.play is not None
    assert result.play.finding is not None
    clause, ops = result.play.finding.clause, list(result.play.ops)
    maps = frozenset(op.out for op in ops if op.api == "vmap")
    places = [op for op in ops if op.api == "vmalloc_to_page" and op.args[0] not in maps]
    manner = Manner(
        NAMES[result.profile.gfp],
        result.apis,
        apart=clause in APART or clause in SLOTS,
        slots=clause in SLOTS,
        frames=clause == "VM-FRAME-OWN" and places != [],
        maps=maps,
        measured=clause == "SLAB-KSIZE",
        watched=shape_of(ops[-1]) if clause == "MEM-LIVENESS" else None,
        opens=clause == "MEM-LIVENESS" and APIS[ops[-1].api].role == "create",
        strict="size-classes" in result.profile.promises,
    )
    labels = Labels(ops)
    statements = list(_lines(outline(ops, 0, len(ops) - 1, labels), manner))
    before = row_of(ops[-2], labels) if len(ops) > 1 else None
    last = row_of(ops[-1], labels)
    check = Check(ops, labels, result.profile, manner)
    statements += last_lines(last, before, clause, line_of_each(ops)[-1], check)
    rooms = labels.extents()
    made = {op.out: labels.of(op.out).name for op in ops if APIS[op.api].role == "create" and op.out > 0}
    functions = callbacks(ops, rooms, made)
    own = "\n".join([*functions, *statements])
    tags = {"list": manner.apart, "slots": manner.slots, "measured": manner.measured, "opens": manner.opens}
    tags |= {"strict": manner.strict, "lenient": not manner.strict, "count": clause == "MEM-LIVENESS"}
    chosen = frozenset(tag for tag, holds in tags.items() if holds)
    files = ("over_malloc.c", "reproducer.c") if over_malloc(result.target) else ("reproducer.c",)
    known = {name: _tagged(part, chosen) for file in files for name, part in _parts_of(file).items()}
    known = {name: part for name, part in known.items() if name not in without}
    parts = _needed("\n".join([own, *(f"{name}()" for name in given)]), known)
    used = words_in(bare(own))
    storage = list(_storage({name: rooms[name] for name in rooms if name in used}, set(made.values())))
    storage += ["static size_t number;"] if "number" in words_in(bare("\n".join(statements))) else []
    text = bare("\n".join([*parts, own]))
    numbers = {
        "PAGE": f"((size_t){PAGE_SIZE})",
        "MOST": str(max((items_of(APIS[op.api], op.args) for op in ops), default=0)),
        "FRAMES": str(len(places)),
        "SLOTS": str(MOST_SLOTS),
    }
    numbers = {name: number for name, number in numbers.items() if name in words_in(text)}
    return Source(numbers, parts, storage, functions, statements, text, labels)


def _lines(parts: Sequence[Row | Loop], manner: Manner) -> Iterator[str]:
    """Yield the statements of a stretch of a script."""
    for part in parts:
        if isinstance(part, Row):
            yield from lines_for(part, manner)
            continue
        yield f"for (int i = 0; i < {part.rounds}; i++) {{"
        yield from (f"\t{line}" for line in _lines(part.body, manner))
        yield "}"


def _storage(rooms: Mapping[str, int], homes: set[str]) -> Iterator[str]:
    """Yield the definitions of what the script names."""
    for kind in ("home", "object"):
        named = [
            f"{name}[{room}]" if room else name
            for name, room in rooms.items()
            if (name in homes) == (kind == "home")
        ]
        for at in range(0, len(named), NAMES_TO_A_LINE):
            yield f"static struct {kind} {', '.join(named[at : at + NAMES_TO_A_LINE])};"


def over_malloc(target: str) -> bool:
    """Say whether a target is a malloc library, over which the program puts the kernel's calls."""
    return target.startswith("malloc:")


def _needed(text: str, parts: Mapping[str, str]) -> list[str]:
    """Return those parts that some C source needs, in their order."""
    wanted = set(_ALWAYS)
    while True:
        uses = bare("\n".join([text, *(parts[name] for name in wanted)]))
        more = {name for name in parts if name not in wanted and re.search(rf"\b{name}\b[(),\[]", uses)}
        if not more:
            return [part for name, part in parts.items() if name in wanted]
        wanted |= more


def _tagged(part: str, tags: frozenset[str]) -> str:
    """Return a part with the lines that are for these tags, or for all."""
    lines = [line.partition(" //?") for line in part.splitlines()]
    return "\n".join(line for line, _, tag in lines if not tag or tag in tags)


@cache
def _parts_of(file: str) -> dict[str, str]:
    """Return the parts of a file of functions by name."""
    source = (resources.files(__package__) / file).read_text(encoding="utf-8")
    parts = (part.partition("\n") for part in source.split("//: ")[1:])
    return {name: part for name, _, part in parts}


def bare(text: str) -> str:
    """Return C source without comments and strings."""
    return re.sub(r'/\*.*?\*/|"(?:\\.|[^"\\])*"', " ", text, flags=re.DOTALL)
