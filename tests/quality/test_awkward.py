"""Targets that crash, hang, leave, eat memory, talk, fork or write where they may not: check survives."""

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
    "closes_descriptors": "MEM-RETURNS",
    "crashes_in_thread": "MEM-RETURNS",
    "eats_in_kmalloc": "MEM-RETURNS",
    "error_address": "MEM-NULL",
    "exits_in_kfree": "MEM-RETURNS",
    "hangs_in_tenth_kmalloc": "MEM-RETURNS",
    "ignores_signals": "MEM-RETURNS",
    "scribbles": "MEM-RETURNS",
    "smashes_stack": "MEM-RETURNS",
    "wild_address": "MEM-RETURNS",
}
CORRECT: Final = ["forks", "leaves_child", "noisy", "only_two", "reserves", "writes_descriptors"]
FEW: Final = "20000"  # calls, which reach what these do
MARK: Final = "300.25"  # seconds that leaves_child's process sleeps, which nobody else does


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


@pytest.mark.parametrize("driver", ["c", "python"])
@pytest.mark.parametrize("name", VIOLATIONS)
def test_what_a_call_does_to_its_process_is_a_violation(
    name: str, driver: str, targets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KMEM_ORACLE_DRIVER", driver)
    checked = check(build.bad(name, directory=targets), tmp_path, "--call-time", "1", "--reduce", "5")
    assert (checked.status, checked.verdict) == (1, "violation"), checked.output
    assert checked.clause == VIOLATIONS[name]
    assert 0 < len(checked.script) <= 10, "\n".join(checked.script)


@pytest.mark.needs("linux")  # elsewhere it is addresses that are limited, whether they are used or not
@pytest.mark.parametrize("driver", ["c", "python"])
@pytest.mark.parametrize("name", CORRECT)
def test_noise_few_symbols_and_forks_are_no_violation(
    name: str, driver: str, targets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KMEM_ORACLE_DRIVER", driver)
    checked = check(build.bad(name, directory=targets), tmp_path, "--calls", FEW)
    assert (checked.status, checked.verdict) == (0, "pass"), checked.output
    assert len(checked.output) < 1000
    left = [path for path in Path("/proc").glob("[0-9]*/cmdline") if MARK in path_text(path)]
    assert not left


def path_text(path: Path) -> str:
    """Return a file of /proc as text, nothing where its process has ended meanwhile."""
    try:
        return path.read_bytes().decode(errors="replace")
    except OSError:
        return ""
