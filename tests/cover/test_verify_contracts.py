"""CrossHair's opinion of the pure functions: each contract is confirmed, or listed as not, and why."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

pytest.importorskip("crosshair")

from kmem_proofs import contracts

SECONDS = 60  # for one contract that is to be confirmed: it takes a few
SECONDS_LISTED = 2  # for one that is not


def opinions(path: Path, names: Sequence[str], seconds: int) -> dict[str, str]:
    """Return what `crosshair check` says of some functions of a file."""
    lines = [f"{path}:{node.lineno}" for node in functions(path) if node.name in names]
    options = ["--analysis_kind=PEP316", "--report_all", f"--per_condition_timeout={seconds}"]
    command = [sys.executable, "-m", "crosshair", "check", *options, *lines]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    assert said.returncode in (0, 1), said.stderr
    found = {}
    for line in said.stdout.splitlines():
        place, _, opinion = line.partition(": ")
        number = int(place.rpartition(":")[2])
        found.update(
            {
                each.name: opinion
                for each in functions(path)
                if each.lineno <= number <= (each.end_lineno or 0)
            }
        )
    return found


def functions(path: Path) -> list[ast.FunctionDef]:
    """Return the functions of a file that have a contract."""
    tree = ast.parse(path.read_text("utf-8"))
    return [each for each in tree.body if isinstance(each, ast.FunctionDef)]


CONTRACTS = Path(contracts.__file__)
NAMES = [each.name for each in functions(CONTRACTS)]


def test_what_is_listed_as_not_confirmed_is_there_and_has_a_reason() -> None:
    assert contracts.NOT_CONFIRMED.keys() < set(NAMES)
    assert all(contracts.NOT_CONFIRMED.values())


def test_every_other_contract_is_confirmed() -> None:
    wanted = [name for name in NAMES if name not in contracts.NOT_CONFIRMED]
    found = opinions(CONTRACTS, wanted, SECONDS)
    assert found == dict.fromkeys(wanted, "info: Confirmed over all paths.")
    assert len(found) >= 19


def test_no_listed_contract_is_refuted() -> None:
    found = opinions(CONTRACTS, list(contracts.NOT_CONFIRMED), SECONDS_LISTED)
    assert found == dict.fromkeys(contracts.NOT_CONFIRMED, "info: Not confirmed.")


def test_a_contract_that_does_not_hold_is_refuted(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong_contract.py"
    wrong.write_text(
        "from kmem_spec import units\n\n\n"
        "def pages_for(size: int) -> int:\n"
        '    """Count pages.\n\n'
        "    pre: 0 <= size\n"
        "    post: _ * 4096 > size\n"
        '    """\n'
        "    return units.pages_for(size)\n"
    )
    found = opinions(wrong, ["pages_for"], SECONDS)
    assert found["pages_for"].startswith("error: false when calling pages_for(")
