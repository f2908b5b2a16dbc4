"""What tests of traces share: the judge of lines, the recorded trace where it is at hand."""

from __future__ import annotations

import gzip
import lzma
from pathlib import Path

import pytest
from tests.traces.telling import Told

RECORDED = Path(__file__).parents[3] / "shared" / "data" / "ftrace-6.1.txt.gz"


@pytest.fixture
def told(tmp_path: Path) -> Told:
    """Return the judge of lines."""
    return Told(tmp_path)


@pytest.fixture(scope="session")
def piece() -> list[str]:
    """Return the first lines of a trace that a guest with Linux 6.1 recorded, from mid-life on."""
    return head("ftrace-6.1")


def head(name: str) -> list[str]:
    """Return the first lines of a trace that was recorded."""
    with lzma.open(Path(__file__).with_name(f"{name}-head.txt.xz"), "rt", encoding="utf-8") as file:
        return file.read().splitlines()


@pytest.fixture
def recorded(request: pytest.FixtureRequest) -> Path:
    """Return the whole of that trace; a test that cannot have it is listed as not run."""
    if not RECORDED.is_file():
        request.node.user_properties.append(("needs", f"the recorded trace {RECORDED.name}"))
        pytest.skip(f"needs {RECORDED.name}")
    return RECORDED


@pytest.fixture(scope="session")
def recorded_lines() -> list[str]:
    """Return the lines of the whole trace, none where it is not at hand."""
    if not RECORDED.is_file():
        return []
    with gzip.open(RECORDED, "rt", encoding="utf-8") as file:
        return file.read().splitlines()
