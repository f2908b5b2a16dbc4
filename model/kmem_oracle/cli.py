"""The command line: `kmem-oracle check TARGET`, `run SCRIPT`, `judge FILE`, `verify`, `clauses`, `kernel …`.

Exit status 0: no violation. 1: a violation, or an obligation that is not proved. 2: could not run.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from kmem_oracle.commands import check, clauses, judge, kernel, run, verify
from kmem_oracle.commands.common import COULD_NOT_RUN, Parser, fail


def parser() -> Parser:
    """Return the parser of the command line."""
    top = Parser(prog="kmem-oracle", description=__doc__.splitlines()[0] if __doc__ else None)
    commands = top.add_subparsers(dest="command", required=True, parser_class=Parser)
    for command in (check, run, judge, verify, clauses, kernel):
        command.add(commands)
    return top


def _unforeseen(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Show a mistake of our own, and end the process as one that could not run."""
    sys.__excepthook__(kind, error, trace)
    fail(f"a mistake of kmem-oracle's own, above; please report it: {error}")
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(COULD_NOT_RUN)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    if argv is None:  # a process of its own: what nobody foresaw is no violation, which 1 would say
        sys.excepthook = _unforeseen
    arguments = parser().parse_args(argv)
    report: str | None = vars(arguments).get("json")
    try:
        if report is not None:  # found out before the work, not after it
            Path(report).open("a", encoding="utf-8").close()
    except (OSError, ValueError) as error:
        return fail(f"cannot write {report}: {error}")
    try:
        status: int = arguments.run(arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return fail("interrupted")
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nothing is left to say, nor at exit
        return COULD_NOT_RUN
    return status


if __name__ == "__main__":
    sys.exit(main())
