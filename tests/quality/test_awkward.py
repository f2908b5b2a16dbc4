"""Targets that crash, hang, leave, eat memory or talk: each is judged or declined, and check survives."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest
from tests.quality.checking import check
from tests.targets import build

pytestmark = pytest.mark.needs("cc")
DECLINED: Final = {
    "crashes_on_load": "SIGSEGV",
    "eats_on_load": "SIGABRT",
    "hangs_on_load": "hangs",
    "no_symbols": "exports none",
}
VIOLATIONS: Final = {
    "eats_in_kmalloc": "MEM-RETURNS",
    "error_address": "MEM-NULL",
    "exits_in_kfree": "MEM-RETURNS",
    "hangs_in_tenth_kmalloc": "MEM-RETURNS",
    "wild_address": "MEM-RETURNS",
}
CORRECT: Final = ["noisy", "only_two", "reserves"]


def test_every_awkward_target_is_tried() -> None:
    assert sorted([*DECLINED, *VIOLATIONS, *CORRECT]) == build.awkward()


@pytest.mark.parametrize("name", DECLINED)
def test_what_cannot_be_loaded_or_has_no_call_is_declined_in_one_line(
    name: str, targets: Path, tmp_path: Path
) -> None:
    checked = check(build.bad(name, directory=targets), tmp_path)
    assert (checked.status, checked.verdict) == (2, "error"), checked.output
    assert DECLINED[name] in checked.output
    assert len(checked.output.splitlines()) == 1


@pytest.mark.parametrize("name", VIOLATIONS)
def test_what_a_call_does_to_its_process_is_a_violation(name: str, targets: Path, tmp_path: Path) -> None:
    checked = check(build.bad(name, directory=targets), tmp_path, "--call-time", "1")
    assert (checked.status, checked.verdict) == (1, "violation"), checked.output
    assert checked.clause == VIOLATIONS[name]
    assert 0 < len(checked.script) <= 10, "\n".join(checked.script)


@pytest.mark.needs("linux")  # elsewhere it is addresses that are limited, whether they are used or not
@pytest.mark.parametrize("name", CORRECT)
def test_noise_and_few_symbols_are_no_violation(name: str, targets: Path, tmp_path: Path) -> None:
    checked = check(build.bad(name, directory=targets), tmp_path)
    assert (checked.status, checked.verdict) == (0, "pass"), checked.output
    assert len(checked.output) < 1000
