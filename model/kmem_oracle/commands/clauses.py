"""`kmem-oracle clauses`: list the rules, or say all about some."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

from kmem_oracle.commands.common import PASS, Commands, Parser, fail, write_report
from kmem_spec.clauses import CLAUSES, Clause

FAMILIES: Final = ("MEM", "SLAB", "CACHE", "POOL", "PAGE", "VM", "KV", "GFP", "CALLER")
NEAREST: Final = 3


def add(commands: Commands[Parser]) -> None:
    """Add the command."""
    command = commands.add_parser(
        "clauses",
        help="list the rules, or say all about some",
        description="List the rules; of those named, say everything: source, profiles, an example, what "
        "breaks it, which proofs, mutants, vectors and tests there are.",
    )
    command.add_argument(
        "clauses",
        nargs="*",
        metavar="ID",
        help=f"clauses to say all about, or a family to list: {', '.join(FAMILIES)}",
    )
    command.add_argument("--json", metavar="FILE", help="write it as JSON")
    command.examples(("GFP", "the rules about masks"), ("MEM-APART", "all about one"))
    command.set_defaults(run=clauses)


def clauses(arguments: argparse.Namespace) -> int:
    """List the clauses, those of some families, or say all about some."""
    from kmem_oracle.reports import about  # it knows everything, which takes a while to load

    every = about.registry()
    asked = [each.upper() for each in arguments.clauses]
    for name in asked:
        if name not in every and name not in FAMILIES:
            return fail(unknown(name))
    chosen = [
        clause
        for name in asked or FAMILIES
        for clause in ([every[name]] if name in every else of_family(every.values(), name))
    ]
    if any(name in every for name in asked):
        print("\n\n".join("\n".join(about.lines(clause)) for clause in chosen))
    else:
        for clause in chosen:
            print(f"{clause.id:20} {about.who(clause):10} {clause.sentence}")
    if arguments.json is not None:  # which takes a while, as it counts the vectors
        write_report(arguments.json, {"clauses": [about.as_json(clause) for clause in chosen]})
    return PASS


def of_family(every: Iterable[Clause], family: str) -> list[Clause]:
    """Return the clauses of a family, the first word of their ids."""
    return [clause for clause in every if clause.id.partition("-")[0] == family]


def unknown(name: str) -> str:
    """Return what is said of an id that there is not."""
    near = get_close_matches(name, [*CLAUSES, *FAMILIES], NEAREST)
    hint = f"the nearest are {', '.join(near)}" if near else "`kmem-oracle clauses` lists them"
    return f"unknown clause {name}: {hint}"
