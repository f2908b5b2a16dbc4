"""`kmem-oracle clauses`: list the rules."""

from __future__ import annotations

import argparse

from kmem_oracle.commands.common import PASS, Commands, Parser
from kmem_spec.clauses import CLAUSES
from kmem_spec.judge import CHAPTERS


def add(commands: Commands[Parser]) -> None:
    """Add the command."""
    command = commands.add_parser("clauses", help="list the rules", description="List the rules.")
    command.examples(("| grep GFP", "the rules about masks"))
    command.set_defaults(run=clauses)


def clauses(_arguments: argparse.Namespace) -> int:
    """List the clauses."""
    assert CHAPTERS  # they are what registers the clauses
    for clause in CLAUSES.values():
        print(f"{clause.id:20} {clause.who:10} {clause.sentence}")
    return PASS
