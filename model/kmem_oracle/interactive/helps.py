"""Help: what a call takes and promises, what a rule says, what a mask means."""

from __future__ import annotations

import textwrap
from difflib import get_close_matches
from typing import Final

from kmem_oracle.language.syntax import CALLABLE
from kmem_oracle.learn.promises import demands_of, promises_of
from kmem_spec.apis import Api
from kmem_spec.clauses import CLAUSES
from kmem_spec.gfp import NAMES_6_1, NOFAIL, ZERO, describe, has, may_sleep

WIDTH: Final = 100
SUBJECTS: Final = (*CALLABLE, *(name for name in NAMES_6_1), *CLAUSES)
GENERAL: Final = """\
a = kmalloc(100, GFP_KERNEL)      a call; a call that makes something gives it a name
kfree(a); kfree(NULL)             several calls
repeat 3 { p[i] = vmalloc(4096) } the same call several times; an open { goes on in the next line
cat /proc/buddyinfo               also /proc/slabinfo, /proc/vmallocinfo: what the model's kernel prints
help CALL, CLAUSE or MASK         what it promises, says, means
live                              what lives, and which line made it
save FILE                         write what was played as a script
reset                             begin again, with nothing allocated
quit                              or Ctrl-D; Ctrl-C drops the line, or ends a call that hangs
The whole language is in spec/script.md. The calls are:"""


def lines(about: str) -> list[str]:
    """Return the help about a subject; in general if there is none."""
    if not about:
        names = ", ".join(CALLABLE)
        return [
            *GENERAL.splitlines(),
            *textwrap.wrap(names, WIDTH, initial_indent="  ", subsequent_indent="  "),
        ]
    if about in CALLABLE:
        return _call(CALLABLE[about])
    if about in NAMES_6_1:
        return _mask(about)
    if about in CLAUSES:
        clause = CLAUSES[about]
        kept = "the allocator" if clause.who == "allocator" else "the caller"
        return [f"{about}: {clause.sentence}", f"  kept by  {kept}", f"  source   {clause.source}"]
    close = get_close_matches(about, SUBJECTS, 3)
    return [f"no help about {about}" + (f": did you mean {' or '.join(close)}?" if close else "")]


def _call(api: Api) -> list[str]:
    """Return what a call takes and promises."""
    shown = ", ".join(api.parameters).replace("pointer, offset", "pointer + offset")
    head = f"{'a = ' if api.makes else ''}{api.name}({shown})"
    return [
        head,
        *_listed("it promises", promises_of(api)),
        *_listed("its caller sees to it", demands_of(api)),
    ]


def _listed(title: str, clauses: list[str]) -> list[str]:
    """Return clauses with their sentences."""
    if not clauses:
        return []
    width = max(map(len, clauses))
    lines = [f"  {title}:"]
    for name in clauses:
        lines += textwrap.wrap(
            CLAUSES[name].sentence,
            WIDTH,
            initial_indent=f"    {name:{width}}  ",
            subsequent_indent=" " * (width + 6),
        )
    return lines


def _mask(name: str) -> list[str]:
    """Return what a mask means."""
    mask = NAMES_6_1[name]
    single = {
        other: bit for other, bit in NAMES_6_1.items() if other.startswith("__") and bit.bit_count() == 1
    }
    said = ["may sleep" if may_sleep(mask) else "never sleeps, so it is for atomic context, too"]
    said += ["may use the reserves"] * has(mask, NAMES_6_1["__GFP_HIGH"])
    said += ["gives zeroes"] * has(mask, ZERO) + ["does not fail, as long as it may sleep"] * has(
        mask, NOFAIL
    )
    parts = describe(mask, single)
    return [f"{name} is {mask:#x}" + (f": {parts}" if parts != name else ""), f"  {'; '.join(said)}"]
