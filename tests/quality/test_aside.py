"""Each fault that is kept aside can be found: a script shows it, and shows nothing on a correct library."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
from tests.targets import build

pytestmark = pytest.mark.needs("cc")
ASIDE: Final = Path(__file__).with_name("aside")
SECONDS: Final = 120


def run(script: Path, library: Path) -> tuple[int, str]:
    """Run a script as a user does; return the exit status and what was printed."""
    command = [sys.executable, "-m", "kmem_oracle.cli", "run", str(script), "--on", str(library)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=SECONDS)
    return done.returncode, done.stdout + done.stderr


def test_every_fault_that_is_kept_aside_has_a_script() -> None:
    assert sorted(path.stem for path in ASIDE.glob("*.kmem")) == sorted(build.aside())


def test_the_variant_of_a_fault_is_one_that_the_library_has() -> None:
    variants = {build.variant_of(fault) for fault in {**build.aside(), **build.races()}}
    assert variants - {""} <= set(build.variants())
    assert {"", "PCP", "MAGAZINES", "BATCHED_UNMAP", "MERGED_CACHES"} <= variants


@pytest.mark.parametrize("fault", build.aside())
def test_a_script_shows_its_fault_and_nothing_else(fault: str, targets: Path) -> None:
    script = ASIDE / f"{fault}.kmem"
    status, output = run(script, build.library(fault, directory=targets))
    assert status == 1, output
    assert "VIOLATION of " in output
    correct = build.library(variant=build.variant_of(fault), directory=targets)
    status, output = run(script, correct)
    assert status == 0, output
