"""What the commands share that judge a target: its name, their options, their verdict."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from kmem_oracle.campaign.course import CALL_SECONDS, MEMORY, Budget
from kmem_oracle.campaign.result import Result
from kmem_oracle.commands.common import COULD_NOT_RUN, PASS, VIOLATION, fail, positive, seconds, write_report
from kmem_oracle.commands.gate import gate_options, tell, tell_failure
from kmem_oracle.reports import machine, marks, saved, text
from kmem_oracle.reports.html import page
from kmem_oracle.reports.html.memory import memory_page
from kmem_oracle.reports.marks import Place
from kmem_oracle.targets.target import CouldNotRun, Target
from kmem_spec.clauses import CLAUSES

KINDS: Final = (
    "model (or model:MIB, with so much memory), a path to a shared library, malloc: (this machine's own), "
    "malloc:PATH, exec:COMMAND (a process that speaks JSON lines), "
    "python:package.module:factory or python:file.py:factory, "
    "linux:NAME (a kernel that `kmem-oracle kernel list` lists; options of its command line may follow, each "
    "after a comma)"
)


def target_of(text_given: str) -> Target:
    """Return the target that an argument names.

    Errors   CouldNotRun
    """
    if text_given == "model" or text_given.startswith("model:"):
        return Target("model", text_given.removeprefix("model").removeprefix(":"), text_given)
    if text_given.startswith("malloc:"):
        return Target("malloc", text_given.removeprefix("malloc:"), text_given)
    if text_given.startswith("linux:"):
        return kernel_target(text_given)
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


def kernel_target(text_given: str) -> Target:
    """Return the target that linux:NAME names.

    Errors   CouldNotRun where no such kernel was built
    """
    from kmem_oracle.kernels import store

    name = text_given.removeprefix("linux:")
    kernel = store.find(name.split(",")[0])
    machine = kernel.how == "qemu"  # it takes seconds to come up
    return Target("linux", name, text_given, together=40 if machine else 4, shrink=120.0 if machine else 15.0)


def waived_of(given: str) -> frozenset[str]:
    """Return the clauses to waive.

    Errors   CouldNotRun for an unknown one
    """
    names = frozenset(name.strip() for name in given.split(",") if name.strip())
    unknown = sorted(names - CLAUSES.keys())
    if unknown:
        raise CouldNotRun(f"unknown clause to waive: {', '.join(unknown)}; `kmem-oracle clauses` lists them")
    return names


def budget_of(arguments: argparse.Namespace) -> Budget:
    """Return the limits of a run of one script."""
    return Budget(call_seconds=arguments.call_time, memory=arguments.memory << 20)


def verdict(arguments: argparse.Namespace, result: Result, played: Sequence[Place] = ()) -> int:
    """Print and write what came of a run, and return the exit status; `played` is where, in a script."""
    files = []
    if arguments.save is not None and result.play is not None:
        try:
            files.extend(saved.save(arguments.save, result, arguments.profile))
        except OSError as error:
            print(f"kmem-oracle: cannot save to {arguments.save}: {error.strerror}", file=sys.stderr)
    if arguments.html is not None:
        try:
            page.write(arguments.html, memory_page(result, files))
        except OSError as error:
            print(f"kmem-oracle: cannot write {arguments.html}: {error.strerror}", file=sys.stderr)
    print("\n".join(text.verdict_lines(result, files)))
    write_report(arguments.json, machine.as_json(result, files))
    status = COULD_NOT_RUN if result.interrupted else PASS
    if machine.verdict_of(result) == "violation":
        status = VIOLATION
    return tell(arguments, marks.of_result(result, files, played), status)


def could_not(arguments: argparse.Namespace, message: str) -> int:
    """Say why nothing could be run, on standard error and in the report."""
    write_report(arguments.json, machine.error_json(arguments.target, message))
    tell_failure(arguments, message)
    return fail(message)


def judging_options(command: argparse.ArgumentParser) -> None:
    """Add the options of each command that judges a target."""
    command.add_argument("--profile", default="", help="promises to judge by: a name or a .toml file")
    command.add_argument("--waive", default="", metavar="CLAUSE,…", help="clauses not to judge")
    command.add_argument("--json", metavar="FILE", help="write the verdict as JSON")
    gate_options(command)
    command.add_argument("--html", metavar="FILE", help="write what happened as a page with pictures")
    command.add_argument("--save", metavar="DIR", help="save a violation there, as script, C, tests and page")
    command.add_argument(
        "--call-time", type=seconds, default=CALL_SECONDS, help="seconds before a call hangs"
    )
    command.add_argument(
        "--memory",
        type=positive,
        default=MEMORY >> 20,
        help="MiB that the target may map to write (default 8192)",
    )
