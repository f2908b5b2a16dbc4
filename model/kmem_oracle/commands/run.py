"""`kmem-oracle run SCRIPT`: play one script, on one target or on two side by side."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from kmem_oracle import campaign
from kmem_oracle.commands.common import PASS, VIOLATION, Commands, Parser, write_report
from kmem_oracle.commands.judging import (
    KINDS,
    budget_of,
    could_not,
    judging_options,
    target_of,
    verdict,
    waived_of,
)
from kmem_oracle.compare import compare
from kmem_oracle.expression import ScriptError
from kmem_oracle.reports import side_by_side
from kmem_oracle.script import Op, parse
from kmem_oracle.targets.process import CouldNotRun
from kmem_spec.profile import ProfileError


def add(commands: Commands[Parser]) -> None:
    """Add the command."""
    command = commands.add_parser(
        "run", help="play a script, or calls as you type them", description="Play one script and judge it."
    )
    command.add_argument("script", help="a file in the call language (spec/script.md)")
    command.add_argument(
        "--on",
        dest="targets",
        action="append",
        metavar="TARGET",
        help=f"the target (default model), or given twice, two to compare: {KINDS}",
    )
    judging_options(command)
    command.examples(
        ("spec/tour/kmalloc.kmem", "play a script on the model; each line with what came of it"),
        ("found/mem-apart-seed-1.kmem --on ./libmine.so", "play what was found again, on a library"),
        ("lesson.kmem --on model --on malloc:", "say where two targets part"),
    )
    command.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Play one script on a target and judge it."""
    targets = arguments.targets or ["model"]
    arguments.target = " and ".join(targets)
    if len(targets) > 2:
        return could_not(arguments, "--on may be given twice at most: two targets are compared")
    if len(targets) == 2 and arguments.save is not None:
        return could_not(arguments, "--save takes one target: of two, nothing is saved")
    try:
        script = Path(arguments.script).read_text(encoding="utf-8")
        if len(targets) == 2:
            return _side_by_side(arguments, targets, parse(script))
        result = campaign.replay(
            target_of(arguments.target),
            parse(script),
            profile=arguments.profile,
            budget=budget_of(arguments),
            waived=waived_of(arguments.waive),
        )
    except (OSError, UnicodeDecodeError) as error:
        return could_not(arguments, f"{arguments.script}: cannot be read: {error}")
    except ScriptError as error:
        return could_not(arguments, f"{arguments.script}: {error}")
    except (CouldNotRun, ProfileError) as error:
        return could_not(arguments, str(error))
    return verdict(arguments, result)


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
    return VIOLATION if any(side.finding is not None for side in comparison.sides) else PASS
