"""`kmem-oracle check` finds each fault of the C library, and nothing in its correct variants."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest
from tests.quality.checking import check
from tests.targets import build

pytestmark = pytest.mark.needs("cc")
CALLS: Final = 6  # of a reproducer; the head of a `repeat` is none
# Losses that show only in a cascade or as a count on top of another call's; their reproducers take more.
LONGER: Final = {
    "SPLIT_LOSES": 60,
    "EXACT_FREE_TAIL": 60,
    "DESTROY_LEAKS": 30,
    "KFREE_BULK_FORGETS": 20,
    "BULK_FAIL_LEAKS": 12,
    "COUNTER_8_BITS": 40,
    "LARGE_LEAKS_PAGE": 10,
}
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
    calls = [line for line in checked.script if not line.lstrip().startswith("repeat ")]
    assert 0 < len(calls) <= LONGER.get(fault, CALLS), "\n".join(checked.script)
