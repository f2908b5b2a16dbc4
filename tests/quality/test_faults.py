"""`kmem-oracle check` finds each fault of the C library, and nothing in its correct variants."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
from tests.targets import build

pytestmark = pytest.mark.needs("cc")
CALLS: Final = 30_000
SECONDS: Final = 60
LINES: Final = 6  # of a reproducer
SEEDS: Final = (1,)


@dataclass(frozen=True)
class Checked:
    """What one run of check gave."""

    status: int
    clause: str
    script: tuple[str, ...]
    output: str


def check(library: Path, seed: int, folder: Path) -> Checked:
    """Run check on a library in a process of its own, as a user does."""
    report = folder / "report.json"
    command = [sys.executable, "-m", "kmem_oracle.cli", "check", str(library), "--json", str(report)]
    command += ["--calls", str(CALLS), "--time", str(SECONDS), "--seed", str(seed)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=4 * SECONDS)
    found = json.loads(report.read_text(encoding="utf-8"))["violation"] if report.exists() else None
    output = done.stdout + done.stderr
    if found is None:
        return Checked(done.returncode, "", (), output)
    return Checked(done.returncode, found["clause"], tuple(found["script"]), output)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("variant", ["", *build.variants()], ids=lambda name: name or "correct")
def test_nothing_is_found_in_a_correct_library(
    variant: str, seed: int, targets: Path, tmp_path: Path
) -> None:
    checked = check(build.library(variant=variant, directory=targets), seed, tmp_path)
    assert checked.status == 0, checked.output
    assert not checked.script


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("fault", build.faults())
def test_each_fault_is_found_and_its_reproducer_is_short(
    fault: str, seed: int, targets: Path, tmp_path: Path
) -> None:
    checked = check(build.library(fault, directory=targets), seed, tmp_path)
    assert checked.status == 1, checked.output
    assert checked.clause
    assert 0 < len(checked.script) <= LINES, "\n".join(checked.script)
