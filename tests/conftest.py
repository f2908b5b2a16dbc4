"""What all tests share: the marker `needs`, the list of what was not run, the folder of built targets."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from pathlib import Path

import pytest

NEEDS = "needs(tool, ...): the test is not run, and listed by name, where a tool is absent; in CI it fails"


def is_missing(tool: str) -> bool:
    """Say whether there is neither a command nor a Python module of that name, nor is it this system's."""
    if tool == "linux":
        return sys.platform != "linux"
    if tool == "cc":
        tool = os.environ.get("CC", "cc").split()[0]
    return shutil.which(tool) is None and (not tool.isidentifier() or importlib.util.find_spec(tool) is None)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", NEEDS)
    config.addinivalue_line("markers", "no_cover: the test is run without looking at what it covers")
    os.environ.pop("GITHUB_ACTIONS", None)  # where commands say more


LONG = ("test_faults.py", "test_user_mode.py", "test_awkward.py", "test_aside.py", "test_pages.py")
COVER = Path(__file__).parent / "cover"
UNCOVERED = (  # they judge by the hundred thousand calls
    *("test_c_library.py", "test_campaign.py", "test_cluster.py", "test_exec.py", "test_exec_ends.py"),
    *("test_generate.py", "test_judge_any_call.py", "test_native.py", "test_threads.py", "test_vectors.py"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take minutes: of several processes none is left alone with them.

    What covers the spec and the model is measured on the tests of tests/cover; the others make so many calls
    that to look at each line takes them more than twice the time.
    """
    for item in items:
        if item.path.parent != COVER or item.path.name in UNCOVERED:
            item.add_marker(pytest.mark.no_cover)
    place = {name: at for at, name in enumerate(LONG)}
    items.sort(key=lambda item: place.get(item.path.name, len(LONG)))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("needs"):
        for tool in marker.args:
            if is_missing(tool):
                if os.environ.get("CI") == "true":
                    pytest.fail(f"not run: needs {tool}, which CI must have", pytrace=False)
                item.user_properties.append(("needs", tool))
                pytest.skip(f"needs {tool}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    missed = [
        f"not run: {report.nodeid} (needs {tool})"
        for report in terminalreporter.getreports("skipped")
        for name, tool in getattr(report, "user_properties", ())
        if name == "needs"
    ]
    if missed:
        terminalreporter.section("not run")
        for line in sorted(missed):
            terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def targets(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder for built libraries, kept from run to run where pytest keeps its cache."""
    cache: pytest.Cache | None = getattr(pytestconfig, "cache", None)
    return cache.mkdir("targets") if cache else tmp_path_factory.mktemp("targets")
