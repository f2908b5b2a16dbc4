"""What the commands that judge tell a gate in CI: SARIF where asked for, annotations in GitHub Actions."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from kmem_oracle.commands.common import COULD_NOT_RUN, write_report
from kmem_oracle.reports import github, sarif
from kmem_oracle.reports.marks import Mark


def gate_options(command: argparse.ArgumentParser) -> None:
    """Add the option."""
    command.add_argument("--sarif", metavar="FILE", help="write the findings as SARIF 2.1.0, for CI")


def tell(arguments: argparse.Namespace, marks: Sequence[Mark], status: int, notes: Sequence[str] = ()) -> int:
    """Tell the findings, and of `notes` why something could not be run; return the exit status."""
    if arguments.sarif is not None:
        write_report(arguments.sarif, sarif.log(marks, status, notes))
    if github.wanted():
        said = [*github.lines(marks), *map(github.failure, notes)]
        print("".join(f"{line}\n" for line in said), end="", flush=True)
    return status


def tell_failure(arguments: argparse.Namespace, message: str) -> None:
    """Tell why nothing could be run."""
    tell(arguments, [], COULD_NOT_RUN, [message])
