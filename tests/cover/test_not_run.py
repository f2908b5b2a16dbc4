"""A test whose tool is absent is listed by name, and fails in CI."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).parents[1] / "conftest.py"
TESTS = """
import pytest

@pytest.mark.needs("no-such-tool")
def test_absent():
    assert False

@pytest.mark.needs("pytest", "json")
def test_present():
    assert pytest.__name__ == "pytest"

@pytest.mark.needs("cc")
def test_compiler():
    assert False
"""


def run_pytest(folder: Path, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    (folder / "conftest.py").write_text(CONFTEST.read_text(encoding="utf-8"), encoding="utf-8")
    (folder / "test_it.py").write_text(TESTS, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "--strict-markers", "-p", "no:cacheprovider", *options]
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("CI", "PYTEST", "CC"))}
    return subprocess.run(
        command,
        cwd=folder,
        env=clean | {"CC": "no-such-cc -m64"} | environment,
        capture_output=True,
        text=True,
    )


def test_what_was_not_run_is_listed(tmp_path: Path) -> None:
    done = run_pytest(tmp_path)
    assert done.returncode == 0, done.stdout
    assert "1 passed, 2 skipped" in done.stdout
    assert "not run: test_it.py::test_absent (needs no-such-tool)" in done.stdout
    assert "not run: test_it.py::test_compiler (needs cc)" in done.stdout
    assert "test_present" not in done.stdout


def test_nothing_is_listed_where_all_ran(tmp_path: Path) -> None:
    done = run_pytest(tmp_path, "-k", "present")
    assert done.returncode == 0, done.stdout
    assert "not run" not in done.stdout


def test_in_ci_what_is_not_run_is_red(tmp_path: Path) -> None:
    done = run_pytest(tmp_path, CI="true")
    assert done.returncode == 1
    assert "1 passed, 2 errors" in done.stdout
    assert "needs no-such-tool, which CI must have" in done.stdout


@pytest.mark.needs("xdist")
def test_workers_report_it_too(tmp_path: Path) -> None:
    done = run_pytest(tmp_path, "-n2")
    assert done.returncode == 0, done.stdout
    assert "not run: test_it.py::test_absent (needs no-such-tool)" in done.stdout
