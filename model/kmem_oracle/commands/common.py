"""What all commands share: their parser, the kinds of numbers they take, how they end.

Exit status 0: no violation. 1: a violation, or an obligation that is not proved. 2: could not run.
"""

from __future__ import annotations

import argparse
import sys
from typing import Final, NoReturn

Commands = argparse._SubParsersAction  # the type that add_subparsers gives; it has no public name

PASS: Final = 0
VIOLATION: Final = 1
COULD_NOT_RUN: Final = 2


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and leave."""
        self.exit(COULD_NOT_RUN, f"kmem-oracle: {message} (see {self.prog} --help)\n")

    def examples(self, *examples: tuple[str, str]) -> None:
        """Show commands, and what each does, below the options."""
        shown = [f"  {self.prog} {words}".rstrip() + f"\n      {does}" for words, does in examples]
        self.epilog = "\n".join(["examples:", *shown])
        self.formatter_class = argparse.RawDescriptionHelpFormatter


def write_report(path: str | None, report: dict[str, object]) -> None:
    """Write the JSON report if one was asked for; a report that cannot be written ends the command."""
    if path is None:
        return
    from kmem_oracle.reports import machine  # with all that judges, which --help does without

    try:
        machine.write(path, report)
    except OSError as error:
        raise SystemExit(fail(f"cannot write {path}: {error.strerror}")) from error


def fail(message: str) -> int:
    """Say in one line why nothing could be run."""
    line = " ".join(message.split())
    print(f"kmem-oracle: {line}", file=sys.stderr)
    return COULD_NOT_RUN


def positive(given: str) -> int:
    """Return a whole number of 1 or more."""
    try:
        number = int(given)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError("must be a whole number, 1 or more")
    return number


def seconds(given: str) -> float:
    """Return a number of seconds above 0."""
    try:
        number = float(given)
    except ValueError:
        number = 0.0
    if not 0 < number < 1e9:
        raise argparse.ArgumentTypeError("must be a number of seconds above 0")
    return number
