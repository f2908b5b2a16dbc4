"""What tests of processes share: the mark of all that a test starts."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from tests.cover.behind import MARK, gone


@pytest.fixture
def mark(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Mark all processes that a test starts; none of them may stay."""
    text = uuid.uuid4().hex
    monkeypatch.setenv(MARK, text)
    yield text
    assert gone(text)
