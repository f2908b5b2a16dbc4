"""`kmem-oracle check TARGET`: judge an allocator by generated calls."""

from __future__ import annotations

import argparse
import functools
import sys
from pathlib import Path

from kmem_oracle.campaign.cluster import Broken, in_cluster
from kmem_oracle.campaign.course import CALLS, SECONDS, SHRINK_SECONDS, Budget, Course, Share
from kmem_oracle.campaign.jobs import in_jobs, played
from kmem_oracle.commands.common import Commands, Parser, fail, positive, seconds
from kmem_oracle.commands.judging import KINDS, could_not, judging_options, target_of, verdict, waived_of
from kmem_oracle.reports import table
from kmem_oracle.reports.progress import Bar
from kmem_oracle.targets.target import CouldNotRun
from kmem_oracle.threads.campaign import MOST, in_threads
from kmem_spec.profile import ProfileError


def add(commands: Commands[Parser]) -> None:
    """Add the command."""
    command = commands.add_parser("check", help="judge an allocator", description="Judge an allocator.")
    command.add_argument("target", help=KINDS)
    command.add_argument("--seed", type=int, default=1, help="replays a campaign (default 1)")
    command.add_argument("--calls", type=positive, default=CALLS, help="judged calls (default 200000)")
    command.add_argument("--time", type=seconds, default=SECONDS, help="seconds (default 60)")
    command.add_argument(
        "--keep-going", action="store_true", help="collect what differs, do not stop at the first"
    )
    command.add_argument(
        "--reduce",
        type=seconds,
        default=SHRINK_SECONDS,
        metavar="SECONDS",
        help="for making each script shorter (default 9; more where the machine is busy)",
    )
    command.add_argument("--jobs", type=positive, default=1, metavar="N", help="processes (default 1)")
    command.add_argument(
        "--cluster", metavar="dask:ADDRESS", help="play it on the workers of a Dask cluster (its scheduler)"
    )
    command.add_argument("--state", metavar="DIR", help="keep the state there, and take it up again")
    command.add_argument(
        "--table", action="store_true", help="say how often each phase exercised each clause"
    )
    command.add_argument(
        "--threads",
        type=_threads,
        default=1,
        metavar="N",
        help="call a library from N threads at once; needs a C compiler (default 1)",
    )
    judging_options(command)
    command.examples(
        ("malloc:", "judge this machine's own malloc"),
        ("./libmine.so --save found", "judge a library; save what is found as script, C, KUnit and pytest"),
        (
            "./libmine.so --keep-going --time 600 --state campaign",
            "ten minutes; goes on where it was stopped",
        ),
        (
            "'exec:python3 mine.py' --json verdict.json",
            "judge a process, and write the verdict for a machine",
        ),
        ("./libmine.so --waive SLAB-ALIGN-POWER", "do without a rule that is not kept on purpose"),
    )
    command.set_defaults(run=check)


def check(arguments: argparse.Namespace) -> int:
    """Judge a target."""
    budget = Budget(
        calls=arguments.calls,
        seconds=arguments.time,
        call_seconds=arguments.call_time,
        memory=arguments.memory << 20,
        shrink=arguments.reduce,
    )
    course = Course(
        keep_going=arguments.keep_going,
        state=None if arguments.state is None else Path(arguments.state),
        table=arguments.table,
        history=arguments.html is not None or arguments.save is not None,
        histories=arguments.html is not None,
    )
    bar = Bar(budget, shown=sys.stderr.isatty())
    try:
        judged = played
        if arguments.cluster is not None:
            _alone(arguments, "--cluster", threads=1, jobs=1, state=None)
            judged = functools.partial(in_cluster, cluster=arguments.cluster)
        elif arguments.threads > 1:
            _alone(arguments, "--threads", jobs=1, keep_going=False, state=None, table=False)
            judged = functools.partial(in_threads, threads=arguments.threads)
        elif arguments.jobs > 1:
            judged = functools.partial(in_jobs, jobs=arguments.jobs)
        target, waived = target_of(arguments.target), waived_of(arguments.waive)
        share = Share(target, arguments.profile, arguments.seed, budget, waived, course)
        result = judged(share, progress=bar)
    except Broken as error:
        fail(str(error))
        result = error.result
    except (CouldNotRun, ProfileError) as error:
        bar.clear()
        return could_not(arguments, str(error))
    except OSError as error:
        bar.clear()
        return could_not(arguments, f"{error.filename or arguments.state}: {error.strerror}")
    bar.clear()
    if arguments.table:
        print("\n".join(table.lines(result)))
    return verdict(arguments, result)


def _alone(arguments: argparse.Namespace, option: str, **others: object) -> None:
    """See that options which do not go together are not given together.

    Errors   CouldNotRun
    """
    given = [name for name, value in others.items() if vars(arguments)[name] != value]
    if given:
        raise CouldNotRun(f"{option} does not go together with --{given[0].replace('_', '-')}")


def _threads(given: str) -> int:
    """Return a number of threads."""
    if not given.isdecimal() or not 1 <= int(given) <= MOST:
        raise argparse.ArgumentTypeError(f"must be a number of threads, 1 to {MOST}")
    return int(given)
