"""`kmem-oracle run [SCRIPT]`: play a script, on one target or on two side by side; or what is typed."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from itertools import islice
from typing import Final

from kmem_oracle.campaign.campaign import replay
from kmem_oracle.campaign.result import Result
from kmem_oracle.campaign.start import worker_for
from kmem_oracle.commands.common import COULD_NOT_RUN, PASS, VIOLATION, Commands, Parser, write_report
from kmem_oracle.commands.gate import tell
from kmem_oracle.commands.judging import (
    KINDS,
    budget_of,
    could_not,
    judging_options,
    target_of,
    verdict,
    waived_of,
)
from kmem_oracle.interactive.prompts import plain_prompt
from kmem_oracle.language.expression import ScriptError
from kmem_oracle.language.names import Names
from kmem_oracle.language.script import Op, parse, steps_of, unrolled
from kmem_oracle.learn import lesson
from kmem_oracle.learn.compare import compare
from kmem_oracle.learn.holdings import Holdings
from kmem_oracle.learn.lesson import Stepper
from kmem_oracle.learn.session import Session
from kmem_oracle.learn.tour import lesson_names, path_of
from kmem_oracle.reports import marks, side_by_side
from kmem_oracle.reports.excerpt import excerpt
from kmem_oracle.reports.marks import Place
from kmem_oracle.reports.trace import Trace
from kmem_oracle.targets.target import CouldNotRun
from kmem_spec.profile import ProfileError

MOST_TRACED: Final = 2_000  # calls of a script that is traced unasked
MOST_NAMED: Final = 8  # names of what was not freed


def add(commands: Commands[Parser]) -> None:
    """Add the command."""
    command = commands.add_parser(
        "run",
        help="play a script, or calls as you type them",
        description="Play a script and judge it; without one, play what you type, call by call.",
    )
    command.add_argument(
        "script",
        nargs="?",
        help="a file in the call language (spec/script.md), - for standard input, or one of the tour: "
        + ", ".join(f"tour:{name}" for name in lesson_names()),
    )
    command.add_argument(
        "--on",
        dest="targets",
        action="append",
        metavar="TARGET",
        help=f"the target (default model), or given twice, two to compare: {KINDS}",
    )
    shown = command.add_mutually_exclusive_group()
    shown.add_argument("-q", "--quiet", action="store_true", help="say no more than the verdict")
    shown.add_argument(
        "--trace",
        action="store_true",
        help=f"show every call, also above {MOST_TRACED:,} calls, and every round of a repeat",
    )
    shown.add_argument("--step", action="store_true", help="ask before each call, and say what it changed")
    shown.add_argument(
        "-i", "--interactive", action="store_true", help="after the script, play what you type"
    )
    judging_options(command)
    command.examples(
        ("tour:kmalloc", "play a script on the model; each line with what came of it"),
        ("", "type calls; Tab completes, `help kmalloc` says what it promises, Ctrl-D ends"),
        ("--step tour:vmalloc", "one line at a time, with what it changes in /proc"),
        ("found/mem-apart-seed-1.kmem --on ./libmine.so", "play what was found again, on a library"),
        ("lesson.kmem --on model --on malloc:", "say where two targets part"),
    )
    command.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Play a script on a target and judge it."""
    targets = arguments.targets or ["model"]
    arguments.target = " and ".join(targets)
    name = "standard input" if arguments.script == "-" else arguments.script
    if len(targets) > 2:
        return could_not(arguments, "--on may be given twice at most: two targets are compared")
    for option in ("save", "html"):
        if len(targets) == 2 and vars(arguments)[option] is not None:
            return could_not(arguments, f"--{option} takes one target: of two, nothing is saved")
    if len(targets) == 2 and (name is None or arguments.step or arguments.interactive):
        return could_not(arguments, "two targets are compared by a script, and as a whole")
    if arguments.step and (name is None or arguments.script == "-"):
        return could_not(arguments, "--step takes a script from a file: answers come from standard input")
    try:
        script = "" if name is None else _read(arguments.script)
    except (OSError, UnicodeDecodeError) as error:
        return could_not(arguments, f"{name}: cannot be read: {error}")
    try:
        if len(targets) == 2:
            return _side_by_side(arguments, targets, parse(script))
        if name is None or arguments.interactive:
            return _interactive(arguments, script)
        return _alone(arguments, script)
    except ScriptError as error:
        status = could_not(arguments, f"{name}: {error}")
        print("\n".join(excerpt(script, error)), file=sys.stderr)
        return status
    except (CouldNotRun, ProfileError) as error:
        return could_not(arguments, str(error))


def _read(script: str) -> str:
    """Return the text of a script.

    Errors   OSError, UnicodeDecodeError
    """
    return sys.stdin.read() if script == "-" else path_of(script).read_text(encoding="utf-8")


def _alone(arguments: argparse.Namespace, script: str) -> int:
    """Run a script on one target.

    Errors   CouldNotRun, ProfileError, ScriptError
    """
    target, waived, budget = target_of(arguments.target), waived_of(arguments.waive), budget_of(arguments)
    asked = arguments.trace or arguments.step
    name = "standard input" if arguments.script == "-" else str(path_of(arguments.script))
    if arguments.quiet or not (asked or _is_short(script)):
        ops = parse(script)
        result = replay(
            target,
            ops,
            profile=arguments.profile,
            budget=budget,
            waived=waived,
            history=_has_pictures(arguments),
        )
        return verdict(arguments, result, _places(name, script, ops, result))
    steps, labels = steps_of(script)
    holdings = Holdings(labels)
    with (
        worker_for(budget, target) as worker,
        Session(worker, target, profile=arguments.profile, waived=waived) as session,
    ):
        lines = Trace(steps, every=arguments.trace)
        stepper = Stepper(session, holdings, plain_prompt(), print) if arguments.step else None
        broken = lesson.play(session, steps, holdings, lines, print, stepper)
        if broken is None and (live := list(holdings.live())):
            print(f"not freed at the end: {', '.join(live[:MOST_NAMED])}{', …' * (len(live) > MOST_NAMED)}")
        result = session.result()
    played = _places(name, script, [step.op for step in steps if step.op is not None], result)
    if _has_pictures(arguments):  # of what happens when the script is played once more
        again = replay(
            target,
            parse(script),
            profile=arguments.profile,
            budget=budget,
            waived=waived,
            history=True,
        )
        if [each.play.finding is None for each in again.found] == [False] * bool(result.found):
            result.histories, result.found, result.play = again.histories, again.found, again.play
    return verdict(arguments, result, played)


def _places(name: str, script: str, ops: Sequence[Op], result: Result) -> list[Place]:
    """Return the line of each violation in a script: that of the last call made, which is one of `ops`."""
    last = [found.play.ops[-1] if found.play.ops else None for found in result.found]
    lines: dict[int, int] = {}
    if last:
        broke = {id(op) for op in last}  # calls that are equal may stand in several lines
        steps = (step for step in unrolled(script, Names()) if step.op is not None)
        lines = {id(op): step.line.line for op, step in zip(ops, steps, strict=True) if id(op) in broke}
    return [Place(name, lines.get(id(op))) for op in last]


def _has_pictures(arguments: argparse.Namespace) -> bool:
    """Say whether what happens is to be kept, for a page."""
    return arguments.html is not None or arguments.save is not None


def _is_short(script: str) -> bool:
    """Say whether a script has so few calls that they are shown unasked.

    Errors   ScriptError
    """
    return sum(1 for _ in islice(unrolled(script, Names()), MOST_TRACED + 1)) <= MOST_TRACED


def _interactive(arguments: argparse.Namespace, script: str) -> int:
    """Play a script, if there is one, then what is typed.

    Errors   CouldNotRun, ProfileError, ScriptError
    """
    from kmem_oracle.interactive.shell import Shell

    shell = Shell(
        target_of(arguments.target),
        profile=arguments.profile,
        waived=waived_of(arguments.waive),
        budget=budget_of(arguments),
    )
    result, unread = shell.run(script)
    status = verdict(arguments, result)
    return COULD_NOT_RUN if unread and status == PASS else status


def _side_by_side(arguments: argparse.Namespace, targets: Sequence[str], ops: Sequence[Op]) -> int:
    """Run a script on two targets and say where they part; a side that breaks a rule makes it a violation."""
    one, two = (target_of(each) for each in targets)
    comparison = compare(
        (one, two),
        ops,
        profile=arguments.profile,
        budget=budget_of(arguments),
        waived=waived_of(arguments.waive),
    )
    print("\n".join(side_by_side.lines(comparison)))
    write_report(arguments.json, side_by_side.as_json(comparison))
    played = "standard input" if arguments.script == "-" else str(path_of(arguments.script))
    broken = marks.of_comparison(comparison, played)
    return tell(arguments, broken, VIOLATION if broken else PASS)
