"""Marks: what a gate in CI is told of each finding, whatever form it then takes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from kmem_oracle.campaign.result import Found, Result
from kmem_oracle.language.render import lines_of
from kmem_oracle.learn.compare import Comparison
from kmem_oracle.threads.campaign import Threaded
from kmem_oracle.traces.summary import Summary
from kmem_spec.gfp import NAMES

Level = Literal["error", "warning"]
SCRIPT: Final = ".kmem"
THREADS: Final = "-threads.txt"


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a file, from 1; None for the file as a whole. `name` may be a target that is no file."""

    name: str
    line: int | None = None


@dataclass(frozen=True, slots=True)
class Mark:
    """A finding: the clause, what was seen, and where to point.

    others    further places that it speaks of
    same      what it has in common with the same finding of another run
    script    the calls that show it
    """

    clause: str
    level: Level
    message: str
    place: Place
    others: tuple[Place, ...] = ()
    same: tuple[str, ...] = ()
    script: tuple[str, ...] = field(default=())


def of_result(result: Result, files: Sequence[str], played: Sequence[Place] = ()) -> list[Mark]:
    """Return the violations of a target.

    Each points at its saved script, of which `files` has the paths; or else at its place in the script that
    was played; or else at the target.
    """
    saved = [file for file in files if file.endswith((SCRIPT, THREADS))]
    marks = []
    for number, found in enumerate(result.found):
        where = played[number] if played else Place(result.target)
        if number < len(saved):
            where = Place(saved[number], _last_line(saved[number]))
        marks.append(_of_found(result, found, where))
    return marks


def of_comparison(comparison: Comparison, played: str) -> list[Mark]:
    """Return the sides of a script that break a clause."""
    return [
        Mark(side.finding.clause, "error", f"{side.target}: {side.finding.message}", Place(played))
        for side in comparison.sides
        if side.finding is not None
    ]


def of_traces(summaries: Sequence[Summary], strict: bool) -> list[Mark]:
    """Return what traces show; a suspect is a warning, unless `strict` takes it as a violation."""
    return [
        Mark(
            found.clause,
            "error" if strict or found.certainty == "violation" else "warning",
            found.message + (f"; unless {found.explained}" if found.explained else ""),
            Place(summary.name, found.line),
            tuple(Place(summary.name, line) for line in found.others),
        )
        for summary in summaries
        for found in summary.findings
    ]


def _of_found(result: Result, found: Found, where: Place) -> Mark:
    """Return one violation."""
    finding = found.play.finding
    assert finding is not None
    script = () if isinstance(found.play, Threaded) else lines_of(found.play.told, NAMES[result.profile.gfp])
    last = found.play.ops[-1].api if found.play.ops else ""
    return Mark(
        finding.clause,
        "error",
        finding.message,
        where,
        same=(finding.clause, last, result.target),
        script=tuple(script),
    )


def _last_line(file: str) -> int | None:
    """Return the last line of a saved script, with the call that broke the clause."""
    if not file.endswith(SCRIPT):
        return None
    return Path(file).read_text(encoding="utf-8").count("\n")


def file_of(name: str) -> str | None:
    """Return the path from the root of the checkout, an absolute one outside of it; None for what is no file.

    The root is GITHUB_WORKSPACE where that is around the working folder, or else the working folder.
    """
    if not os.path.isfile(name):  # noqa: PTH113  # Path.is_file raises where a name is too long
        return None
    here = Path.cwd()
    given = os.environ.get("GITHUB_WORKSPACE", "")
    root = Path(given).resolve() if given and here.is_relative_to(Path(given).resolve()) else here
    path = Path(name).resolve()
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()
