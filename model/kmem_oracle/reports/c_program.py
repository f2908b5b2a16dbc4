"""A violation as a C program: it makes the script's calls, and looks for what the clause is about by itself.

It links against the target alone, so it can be run under a debugger. Status 1 and one line where the fault
shows, 0 where it does not. What runs before and after each call is in reproducer.c, of which a program has
the functions that it uses.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Final

from kmem_oracle.campaign import Result
from kmem_oracle.labels import Labels
from kmem_oracle.outline import Loop, Row, outline, row_of
from kmem_oracle.render import line_of_each
from kmem_oracle.reports.c_calls import Manner, callbacks, lines_for
from kmem_oracle.reports.c_checks import Check, last_lines
from kmem_oracle.reports.c_types import numbers_in, prototypes_in, words_in
from kmem_oracle.script import Op, items_of
from kmem_spec.apis import APIS
from kmem_spec.clauses import CLAUSES
from kmem_spec.gfp import NAMES
from kmem_spec.units import PAGE_SIZE

APART: Final = frozenset({"MEM-APART", "VM-GUARD", "VM-FRAME-OWN"})
SLOTS: Final = frozenset({"CACHE-CTOR-ONCE", "CACHE-CTOR-OWN", "CACHE-DTOR"})
MOST_SLOTS: Final = 1 << 16
HANG_SECONDS: Final = 10
NAMES_TO_A_LINE: Final = 16
ALWAYS: Final = ("home", "object", "lost", "catch_crashes")
_HEADERS: Final = {
    "stdarg.h": "va_list",
    "stdbool.h": "bool",
    "stddef.h": "size_t",
    "stdint.h": "uintptr_t SIZE_MAX",
    "stdio.h": "printf",
    "stdlib.h": "atexit",
    "string.h": "memcpy strlen",
    "signal.h": "sigaction",
    "unistd.h": "_exit alarm",
}
_TYPES: Final = {
    "kmem_cache": "struct kmem_cache;",
    "page": "struct page;",
    "mempool_t": "typedef struct mempool mempool_t;",
}


def c_program(result: Result, file: str) -> str:
    """Return the program for a violation; `file` is the name that it is saved under."""
    assert result.play is not None
    assert result.play.finding is not None
    finding, ops = result.play.finding, list(result.play.ops)
    names = NAMES[result.profile.gfp]
    apart = finding.clause in APART or finding.clause in SLOTS
    manner = Manner(
        names,
        result.apis,
        apart=apart,
        slots=finding.clause in SLOTS,
        frames=finding.clause == "VM-FRAME-OWN",
        maps=frozenset(op.out for op in ops if op.api == "vmap"),
        measured=finding.clause == "SLAB-KSIZE",
        strict="size-classes" in result.profile.promises,
    )
    labels = Labels(ops)
    body = list(_lines(outline(ops, 0, len(ops) - 1, labels), manner))
    before = row_of(ops[-2], labels) if len(ops) > 1 else None
    last = row_of(ops[-1], labels)
    check = Check(ops, labels, result.profile, manner)
    body += last_lines(last, before, finding.clause, line_of_each(ops)[-1], check)
    begin = ["catch_crashes();"]
    if "did not return" in finding.message:
        begin.append(f"alarm({HANG_SECONDS});")
    if "exited" in finding.message:
        begin.append("atexit(left);")
        body.append("over = true;")
    begin.append("if (kmem_oracle_reset)\n\t\tkmem_oracle_reset();")
    if finding.clause == "GFP-SLEEP":
        begin.append("kmem_oracle_on_sleep(sleeps);")
    main = "\n".join(["int main(void)", "{", *(f"\t{line}" for line in [*begin, *body]), "\treturn 0;", "}"])
    return "\n".join([*_head(result, file), *_around(main, ops, labels, finding.clause, manner), main]) + "\n"


def _head(result: Result, file: str) -> Iterator[str]:
    """Yield the comment on top: what is wrong, by which rule, and how to see it."""
    assert result.play is not None
    assert result.play.finding is not None
    finding = result.play.finding
    clause = CLAUSES[finding.clause]
    yield f"/* {clause.id}: {clause.sentence}"
    yield f" * Source   {clause.source}"
    yield f" * Seen     {finding.message}".replace("*/", "* /")
    yield f" * Target   {result.target}, profile {result.profile.name}, seed {result.seed}"
    if finding.who == "caller":
        yield " * The caller breaks this rule, not the allocator: the program shows no fault."
    yield " *"
    yield f" * cc -g -o reproducer {file} {result.target} && ./reproducer"
    yield " * Status 1 and one line where the fault shows (break at `fault`), 0 where it does not."
    yield " */"


def _lines(parts: Sequence[Row | Loop], manner: Manner) -> Iterator[str]:
    """Yield the statements of a stretch of a script."""
    for part in parts:
        if isinstance(part, Row):
            yield from lines_for(part, manner)
            continue
        yield f"for (int i = 0; i < {part.rounds}; i++) {{"
        yield from (f"\t{line}" for line in _lines(part.body, manner))
        yield "}"


def _around(main: str, ops: Sequence[Op], labels: Labels, clause: str, manner: Manner) -> Iterator[str]:
    """Yield all that stands before `main`: headers, numbers, prototypes, functions, objects."""
    rooms = labels.extents()
    made = {op.out: labels.of(op.out).name for op in ops if APIS[op.api].role == "create" and op.out > 0}
    functions = callbacks(ops, rooms, made)
    used = words_in(_bare("\n".join([*functions, main])))
    storage = list(_storage({name: rooms[name] for name in rooms if name in used}, set(made.values())))
    tags = {
        "list": manner.apart,
        "slots": manner.slots,
        "measured": manner.measured,
        "count": clause == "MEM-LIVENESS",
    }
    tags |= {"strict": manner.strict, "lenient": not manner.strict}
    parts = _parts("\n".join([*functions, main]), frozenset(tag for tag, holds in tags.items() if holds))
    text = _bare("\n".join([*parts, *functions, main]))
    words = words_in(text)
    yield from (f"#include <{name}>" for name, uses in _HEADERS.items() if words & {*uses.split()})
    yield ""
    yield f'#define CLAUSE "{clause}"'
    yield "#define ZERO_SIZE_PTR ((void *)16)"
    sizes = {
        "PAGE": f"((size_t){PAGE_SIZE})",
        "MOST": max((items_of(APIS[op.api], op.args) for op in ops), default=0),
        "FRAMES": sum(op.api == "vmalloc_to_page" for op in ops),
        "SLOTS": MOST_SLOTS,
    }
    yield from (f"#define {name} {size}" for name, size in sizes.items() if name in words)
    yield from numbers_in(text, manner.names)
    yield "\ntypedef unsigned gfp_t;"
    prototypes = prototypes_in(text)
    words |= words_in("\n".join(prototypes))
    yield from (declared for word, declared in _TYPES.items() if word in words)
    yield from prototypes
    yield "void kmem_oracle_reset(void) __attribute__((weak));\n"
    yield from parts
    yield from storage
    if "number" in words_in(_bare(main)):
        yield "static size_t number;"
    yield from ["", *functions, ""] if functions else [""]


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


def _parts(text: str, tags: frozenset[str]) -> list[str]:
    """Return those parts of reproducer.c that some C source needs, in their order."""
    parts = {name: _tagged(part, tags) for name, part in _all_parts().items()}
    wanted = set(ALWAYS)
    while True:
        uses = _bare("\n".join([text, *(parts[name] for name in wanted)]))
        more = {name for name in parts if name not in wanted and re.search(rf"\b{name}\b[(),\[]", uses)}
        if not more:
            return [part for name, part in parts.items() if name in wanted]
        wanted |= more


def _tagged(part: str, tags: frozenset[str]) -> str:
    """Return a part with the lines that are for these tags, or for all."""
    lines = [line.partition(" //?") for line in part.splitlines()]
    return "\n".join(line for line, _, tag in lines if not tag or tag in tags)


@cache
def _all_parts() -> dict[str, str]:
    """Return the parts of reproducer.c by name."""
    source = (resources.files(__package__) / "reproducer.c").read_text(encoding="utf-8")
    parts = (part.partition("\n") for part in source.split("//: ")[1:])
    return {name: part for name, _, part in parts}


def _bare(text: str) -> str:
    """Return C source without comments and strings."""
    return re.sub(r'/\*.*?\*/|"(?:\\.|[^"\\])*"', " ", text, flags=re.DOTALL)
