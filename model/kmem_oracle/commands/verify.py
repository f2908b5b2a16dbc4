"""`kmem-oracle verify`: prove the rules, and show that each proof can fail."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from functools import partial

from kmem_oracle.commands.common import Commands, Parser, fail, positive
from kmem_oracle.reports.html import page
from kmem_oracle.reports.html.proofs import proofs_page


def add(commands: Commands[Parser]) -> None:
    """Add the command."""
    command = commands.add_parser("verify", help="prove the rules", description="Prove the rules.")
    command.add_argument(
        "patterns", nargs="*", help="obligations to prove: names, or patterns with * (default all)"
    )
    command.add_argument("--json", metavar="FILE", help="write the verdicts as JSON")
    command.add_argument("--html", metavar="FILE", help="write the verdicts as a page with pictures")
    command.add_argument("--jobs", type=positive, default=2, help="processes (default 2)")
    command.add_argument(
        "--no-mutants", action="store_true", help="prove only; do not show that proofs can fail"
    )
    command.add_argument("--seed", type=_seed, default=0, help="of the solver; verdicts do not depend on it")
    command.add_argument("--cross", action="store_true", help="ask cvc5, too, all that the proofs rest on")
    command.add_argument("--fresh", action="store_true", help="use no verdict of an earlier run")
    command.examples(
        ("", "prove everything, and break the code in each way on purpose"),
        ("'PAGE-*' --no-mutants", "prove the rules of pages alone"),
        ("--fresh --cross --jobs 4", "rely on no earlier run, and ask a second solver"),
    )
    command.set_defaults(run=verify)


def verify(arguments: argparse.Namespace) -> int:
    """Prove the rules."""
    try:
        from kmem_proofs import verify as prover
    except ModuleNotFoundError as error:
        return fail(f"verify needs {error.name}: install it with `pip install 'kmem-oracle[proofs]'`")
    return prover.run(
        arguments.patterns,
        json_path=arguments.json,
        jobs=arguments.jobs,
        mutants=not arguments.no_mutants,
        seed=arguments.seed,
        cross=arguments.cross,
        fresh=arguments.fresh,
        show=None if arguments.html is None else partial(_write_page, arguments.html),
    )


def _write_page(path: str, answer: Mapping[str, object], said: Sequence[str]) -> None:
    """Write the verdicts as a page.

    Errors   OSError
    """
    page.write(path, proofs_page(answer, said))


def _seed(given: str) -> int:
    """Return a seed as Z3 takes it."""
    if not given.isdecimal() or int(given) >= 1 << 31:
        raise argparse.ArgumentTypeError("must be a whole number, 0 or more, below 2^31")
    return int(given)
