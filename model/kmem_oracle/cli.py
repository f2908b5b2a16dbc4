"""The command line: `kmem-oracle check TARGET`, `run SCRIPT`, `verify`, `clauses`.

Exit status 0: no violation. 1: a violation, or an obligation that is not proved. 2: could not run.
"""

from __future__ import annotations

import argparse
import functools
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, NoReturn

from kmem_oracle import campaign, threads
from kmem_oracle.compare import compare
from kmem_oracle.expression import ScriptError
from kmem_oracle.jobs import in_jobs
from kmem_oracle.reports import machine, saved, side_by_side, table, text
from kmem_oracle.reports.progress import Bar
from kmem_oracle.script import Op, parse
from kmem_oracle.targets.process import CouldNotRun, Target
from kmem_spec.clauses import CLAUSES
from kmem_spec.profile import ProfileError

PASS: Final = 0
VIOLATION: Final = 1
COULD_NOT_RUN: Final = 2
KINDS: Final = (
    "model (or model:MIB, with so much memory), a path to a shared library, malloc: (this machine's own), "
    "malloc:PATH, exec:COMMAND (a process that speaks JSON lines), "
    "python:package.module:factory or python:file.py:factory"
)


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and leave."""
        self.exit(COULD_NOT_RUN, f"kmem-oracle: {message} (see {self.prog} --help)\n")


def target_of(text_given: str) -> Target:
    """Return the target that an argument names.

    Errors   CouldNotRun
    """
    if text_given == "model" or text_given.startswith("model:"):
        return Target("model", text_given.removeprefix("model").removeprefix(":"), text_given)
    if text_given.startswith("malloc:"):
        return Target("malloc", text_given.removeprefix("malloc:"), text_given)
    for kind in ("exec", "python"):
        if text_given.startswith(f"{kind}:"):
            return Target(kind, text_given.removeprefix(f"{kind}:"), text_given)
    if ":" in text_given and "/" not in text_given.partition(":")[0]:
        raise CouldNotRun(f"unknown target {text_given!r}: a target is {KINDS}")
    if not os.path.exists(text_given):  # noqa: PTH110  # Path.exists raises where a name is too long
        raise CouldNotRun(f"{text_given}: no such file; a target is {KINDS}")
    path = Path(text_given)
    if not path.is_file():
        raise CouldNotRun(f"{text_given}: not a file; a target is {KINDS}")
    return Target("library", str(path.resolve()), text_given)


def waived_of(given: str) -> frozenset[str]:
    """Return the clauses to waive.

    Errors   CouldNotRun for an unknown one
    """
    names = frozenset(name.strip() for name in given.split(",") if name.strip())
    unknown = sorted(names - CLAUSES.keys())
    if unknown:
        raise CouldNotRun(f"unknown clause to waive: {', '.join(unknown)}; `kmem-oracle clauses` lists them")
    return names


def check(arguments: argparse.Namespace) -> int:
    """Judge a target."""
    budget = campaign.Budget(
        calls=arguments.calls,
        seconds=arguments.time,
        call_seconds=arguments.call_time,
        memory=arguments.memory << 20,
    )
    course = campaign.Course(
        keep_going=arguments.keep_going,
        state=None if arguments.state is None else Path(arguments.state),
        table=arguments.table,
    )
    bar = Bar(budget, shown=sys.stderr.isatty())
    try:
        judged = functools.partial(campaign.campaign, course=course)
        if arguments.threads > 1:
            _alone(arguments, "--threads", jobs=1, keep_going=False, state=None, table=False)
            judged = functools.partial(threads.campaign, threads=arguments.threads)
        elif arguments.jobs > 1:
            judged = functools.partial(in_jobs, jobs=arguments.jobs, course=course)
        result = judged(
            target_of(arguments.target),
            profile=arguments.profile,
            seed=arguments.seed,
            budget=budget,
            waived=waived_of(arguments.waive),
            progress=bar,
        )
    except (CouldNotRun, ProfileError) as error:
        bar.clear()
        return _could_not(arguments, str(error))
    except OSError as error:
        bar.clear()
        return _could_not(arguments, f"{error.filename or arguments.state}: {error.strerror}")
    bar.clear()
    if arguments.table:
        print("\n".join(table.lines(result)))
    return _verdict(arguments, result)


def _alone(arguments: argparse.Namespace, option: str, **others: object) -> None:
    """See that options which do not go together are not given together.

    Errors   CouldNotRun
    """
    given = [name for name, value in others.items() if vars(arguments)[name] != value]
    if given:
        raise CouldNotRun(f"{option} does not go together with --{given[0].replace('_', '-')}")


def run(arguments: argparse.Namespace) -> int:
    """Play one script on a target and judge it."""
    targets = arguments.targets or ["model"]
    arguments.target = " and ".join(targets)
    if len(targets) > 2:
        return _could_not(arguments, "--on may be given twice at most: two targets are compared")
    if len(targets) == 2 and arguments.save is not None:
        return _could_not(arguments, "--save takes one target: of two, nothing is saved")
    try:
        script = Path(arguments.script).read_text(encoding="utf-8")
        if len(targets) == 2:
            return _side_by_side(arguments, targets, parse(script))
        result = campaign.replay(
            target_of(arguments.target),
            parse(script),
            profile=arguments.profile,
            budget=_budget(arguments),
            waived=waived_of(arguments.waive),
        )
    except (OSError, UnicodeDecodeError) as error:
        return _could_not(arguments, f"{arguments.script}: cannot be read: {error}")
    except ScriptError as error:
        return _could_not(arguments, f"{arguments.script}: {error}")
    except (CouldNotRun, ProfileError) as error:
        return _could_not(arguments, str(error))
    return _verdict(arguments, result)


def _side_by_side(arguments: argparse.Namespace, targets: Sequence[str], ops: Sequence[Op]) -> int:
    """Run a script on two targets and say where they part; a side that breaks a rule makes it a violation."""
    one, two = (target_of(each) for each in targets)
    comparison = compare(
        (one, two),
        ops,
        profile=arguments.profile,
        budget=_budget(arguments),
        waived=waived_of(arguments.waive),
    )
    print("\n".join(side_by_side.lines(comparison)))
    _report(arguments.json, side_by_side.as_json(comparison))
    return VIOLATION if any(side.finding is not None for side in comparison.sides) else PASS


def _budget(arguments: argparse.Namespace) -> campaign.Budget:
    """Return the limits of a run of one script."""
    return campaign.Budget(call_seconds=arguments.call_time, memory=arguments.memory << 20)


def _verdict(arguments: argparse.Namespace, result: campaign.Result) -> int:
    """Print and write what came of a run, and return the exit status."""
    files = []
    if arguments.save is not None and result.play is not None:
        try:
            files.extend(saved.save(arguments.save, result, arguments.profile))
        except OSError as error:
            print(f"kmem-oracle: cannot save to {arguments.save}: {error.strerror}", file=sys.stderr)
    print("\n".join(text.verdict_lines(result, files)))
    _report(arguments.json, machine.as_json(result, files))
    if machine.verdict_of(result) == "violation":
        return VIOLATION
    return COULD_NOT_RUN if result.interrupted else PASS


def _could_not(arguments: argparse.Namespace, message: str) -> int:
    """Say why nothing could be run, on standard error and in the report."""
    _report(arguments.json, machine.error_json(arguments.target, message))
    return _fail(message)


def clauses(_arguments: argparse.Namespace) -> int:
    """List the clauses."""
    for clause in CLAUSES.values():
        print(f"{clause.id:20} {clause.who:10} {clause.sentence}")
    return PASS


def verify(arguments: argparse.Namespace) -> int:
    """Prove the rules."""
    try:
        from kmem_proofs import verify as prover
    except ModuleNotFoundError as error:
        return _fail(f"verify needs {error.name}: install it with `pip install 'kmem-oracle[proofs]'`")
    return prover.run(
        arguments.patterns,
        json_path=arguments.json,
        jobs=arguments.jobs,
        mutants=not arguments.no_mutants,
        seed=arguments.seed,
        cross=arguments.cross,
        fresh=arguments.fresh,
    )


def _report(path: str | None, report: dict[str, object]) -> None:
    """Write the JSON report if one was asked for; a report that cannot be written ends the command."""
    if path is None:
        return
    try:
        machine.write(path, report)
    except OSError as error:
        raise SystemExit(_fail(f"cannot write {path}: {error.strerror}")) from error


def _fail(message: str) -> int:
    """Say in one line why nothing could be run."""
    line = " ".join(message.split())
    print(f"kmem-oracle: {line}", file=sys.stderr)
    return COULD_NOT_RUN


def _positive(given: str) -> int:
    """Return a whole number of 1 or more."""
    try:
        number = int(given)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError("must be a whole number, 1 or more")
    return number


def _threads(given: str) -> int:
    """Return a number of threads."""
    if not given.isdecimal() or not 1 <= int(given) <= threads.MOST:
        raise argparse.ArgumentTypeError(f"must be a number of threads, 1 to {threads.MOST}")
    return int(given)


def _seed(given: str) -> int:
    """Return a seed as Z3 takes it."""
    if not given.isdecimal() or int(given) >= 1 << 31:
        raise argparse.ArgumentTypeError("must be a whole number, 0 or more, below 2^31")
    return int(given)


def _seconds(given: str) -> float:
    """Return a number of seconds above 0."""
    try:
        number = float(given)
    except ValueError:
        number = 0.0
    if not 0 < number < 1e9:
        raise argparse.ArgumentTypeError("must be a number of seconds above 0")
    return number


def parser() -> Parser:
    """Return the parser of the command line."""
    top = Parser(prog="kmem-oracle", description=__doc__.splitlines()[0] if __doc__ else None)
    commands = top.add_subparsers(dest="command", required=True, parser_class=Parser)
    one = commands.add_parser("check", help="judge an allocator", description="Judge an allocator.")
    one.add_argument("target", help=KINDS)
    one.add_argument("--seed", type=int, default=1, help="replays a campaign (default 1)")
    one.add_argument("--calls", type=_positive, default=campaign.CALLS, help="judged calls (default 200000)")
    one.add_argument("--time", type=_seconds, default=campaign.SECONDS, help="seconds (default 60)")
    one.add_argument(
        "--keep-going", action="store_true", help="collect what differs, do not stop at the first"
    )
    one.add_argument("--jobs", type=_positive, default=1, metavar="N", help="processes (default 1)")
    one.add_argument("--state", metavar="DIR", help="keep the state there, and take it up again")
    one.add_argument("--table", action="store_true", help="say how often each phase exercised each clause")
    one.add_argument(
        "--threads",
        type=_threads,
        default=1,
        metavar="N",
        help="call a library from N threads at once; needs a C compiler (default 1)",
    )
    _judging(one)
    one.set_defaults(run=check)
    four = commands.add_parser("run", help="judge one script", description="Play one script and judge it.")
    four.add_argument("script", help="a file in the call language (spec/script.md)")
    four.add_argument(
        "--on",
        dest="targets",
        action="append",
        metavar="TARGET",
        help=f"the target (default model), or given twice, two to compare: {KINDS}",
    )
    _judging(four)
    four.set_defaults(run=run)
    two = commands.add_parser("verify", help="prove the rules", description="Prove the rules.")
    two.add_argument(
        "patterns", nargs="*", help="obligations to prove: names, or patterns with * (default all)"
    )
    two.add_argument("--json", metavar="FILE", help="write the verdicts as JSON")
    two.add_argument("--jobs", type=_positive, default=2, help="processes (default 2)")
    two.add_argument("--no-mutants", action="store_true", help="prove only; do not show that proofs can fail")
    two.add_argument("--seed", type=_seed, default=0, help="of the solver; verdicts do not depend on it")
    two.add_argument("--cross", action="store_true", help="ask cvc5, too, all that the proofs rest on")
    two.add_argument("--fresh", action="store_true", help="use no verdict of an earlier run")
    two.set_defaults(run=verify)
    three = commands.add_parser("clauses", help="list the rules", description="List the rules.")
    three.set_defaults(run=clauses)
    return top


def _judging(command: argparse.ArgumentParser) -> None:
    """Add the options of each command that judges a target."""
    command.add_argument("--profile", default="", help="promises to judge by: a name or a .toml file")
    command.add_argument("--waive", default="", metavar="CLAUSE,…", help="clauses not to judge")
    command.add_argument("--json", metavar="FILE", help="write the verdict as JSON")
    command.add_argument("--save", metavar="DIR", help="save a violation there, as script, C and tests")
    command.add_argument(
        "--call-time", type=_seconds, default=campaign.CALL_SECONDS, help="seconds before a call hangs"
    )
    command.add_argument(
        "--memory",
        type=_positive,
        default=campaign.MEMORY >> 20,
        help="MiB that the target may map (default 8192)",
    )


def _unforeseen(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Show a mistake of our own, and end the process as one that could not run."""
    sys.__excepthook__(kind, error, trace)
    _fail(f"a mistake of kmem-oracle's own, above; please report it: {error}")
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
        return _fail(f"cannot write {report}: {error}")
    try:
        status: int = arguments.run(arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return _fail("interrupted")
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nothing is left to say, nor at exit
        return COULD_NOT_RUN
    return status


if __name__ == "__main__":
    sys.exit(main())
