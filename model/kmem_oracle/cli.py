"""The command line: `kmem-oracle check TARGET`, `run SCRIPT`, `verify`, `clauses`, `kernel build|list`.

Exit status 0: no violation. 1: a violation, or an obligation that is not proved. 2: could not run.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final

from kmem_oracle.commands.common import COULD_NOT_RUN, Parser, fail

# Each command is a module of its name, which is loaded when it is asked for.
COMMANDS: Final = {
    "check": "judge an allocator",
    "run": "play a script, or calls as you type them",
    "judge": "judge what a kernel recorded of its allocators, or a history",
    "verify": "prove the rules",
    "clauses": "list the rules, or say all about some",
    "vectors": "write test vectors for readers in any language",
    "kernel": "build Linux kernels to judge",
    "completion": "print what a shell needs to complete these commands",
}
DESCRIPTION: Final = """\
Judge anything that speaks the Linux kernel's memory API by the kernel's documented rules."""
EPILOG: Final = """\
`kmem-oracle COMMAND --help` has the options of a command, and examples.
exit status: 0 no violation, 1 a violation or a rule that is not proved, 2 could not run"""


class _Version(argparse.Action):
    """Print the versions of what is installed, and leave."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        """Ask for the versions only here: that takes a while."""
        from kmem_oracle.reports.versions import lines

        print("\n".join(lines()))
        parser.exit()


def parser(loaded: Collection[str] = tuple(COMMANDS)) -> Parser:
    """Return the parser of the command line; of the commands that are not to be loaded it has the names."""
    top = Parser(prog="kmem-oracle", description=DESCRIPTION, epilog=EPILOG)
    top.formatter_class = argparse.RawDescriptionHelpFormatter
    top.add_argument("--version", action=_Version, nargs=0, help="show the versions, the solvers' too")
    commands = top.add_subparsers(
        dest="command", required=True, metavar="COMMAND", title="commands", parser_class=Parser
    )
    for name, does in COMMANDS.items():
        if name in loaded:
            importlib.import_module(f"kmem_oracle.commands.{name}").add(commands)
        else:
            commands.add_parser(name, help=does)
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
    given = sys.argv[1:] if argv is None else argv
    arguments = parser([next((word for word in given if not word.startswith("-")), "")]).parse_args(given)
    for report in (vars(arguments).get(name) for name in ("json", "sarif", "html")):
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
