"""Violations as they are saved, and C programs as a user builds and runs them."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.targets import build

from kmem_oracle.campaign.campaign import replay
from kmem_oracle.campaign.course import Budget
from kmem_oracle.campaign.play import Play
from kmem_oracle.campaign.result import Result
from kmem_oracle.language.script import parse
from kmem_oracle.targets.target import Target
from kmem_spec.apis import KERNEL_APIS
from kmem_spec.clauses import CLAUSES
from kmem_spec.finding import Finding
from kmem_spec.profile import load

STRICT = ("-std=gnu11", "-Wall", "-Wextra", "-Werror")


@dataclass(frozen=True)
class Shown:
    """What a program said, and its exit status."""

    status: int
    text: str


def played(library: Path, script: str, profile: str = "") -> Result:
    """Judge a script on a library."""
    target = Target("library", str(library), str(library))
    return replay(target, parse(script), profile=profile, budget=Budget(call_seconds=1), waived=frozenset())


def forged(library: Path | str, script: str, clause: str, profile: str = "contract") -> Result:
    """Return a violation that nobody found."""
    ops = tuple(parse(script))
    finding = Finding(clause, CLAUSES[clause].who, len(ops), (), "forged")
    return Result(str(library), load(profile), 1, frozenset(KERNEL_APIS), play=Play(len(ops), finding, ops))


def crooked(folder: Path) -> Path:
    """Build the library of which each call errs."""
    made = folder / "crooked.so"
    source = Path(__file__).parent / "crooked.c"
    subprocess.run([*build.compiler(), *build.FLAGS, "-o", str(made), str(source)], check=True)
    return made


def run_c(source: Path, *libraries: Path) -> Shown:
    """Build a program against a library alone, with all warnings as errors, and run it."""
    program = source.with_suffix(".out")
    command = [*build.compiler(), *STRICT, "-o", str(program), str(source), *map(str, libraries)]
    made = subprocess.run(command, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    done = subprocess.run([str(program)], capture_output=True, text=True, timeout=60)
    return Shown(done.returncode, done.stdout + done.stderr)
