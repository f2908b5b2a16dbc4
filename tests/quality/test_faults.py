"""`kmem-oracle check` finds each fault of the C library, and nothing in its correct variants."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest
from tests.quality.checking import check
from tests.targets import build

pytestmark = pytest.mark.needs("cc")
LINES: Final = 25  # of a reproducer
SEEDS: Final = (1,)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("variant", ["", *build.variants()], ids=lambda name: name or "correct")
def test_nothing_is_found_in_a_correct_library(
    variant: str, seed: int, targets: Path, tmp_path: Path
) -> None:
    checked = check(build.library(variant=variant, directory=targets), tmp_path, "--seed", str(seed))
    assert checked.status == 0, checked.output
    assert checked.verdict == "pass"
    assert not checked.script


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("fault", build.faults())
def test_each_fault_is_found_and_its_reproducer_is_short(
    fault: str, seed: int, targets: Path, tmp_path: Path
) -> None:
    checked = check(build.library(fault, directory=targets), tmp_path, "--seed", str(seed))
    assert checked.status == 1, checked.output
    assert checked.clause in build.clauses().get(fault, {checked.clause}) - {""}
    assert 0 < len(checked.script) <= LINES, "\n".join(checked.script)
