"""A real kernel: built by the command, once, and kept in the user's cache."""

from __future__ import annotations

import subprocess
import sys

import pytest
from tests.cover.conftest import mark

__all__ = ["built", "mark"]
TOOLS = ("make", "gcc", "flex", "bison", "bc", "perl", "apt-get", "dpkg-deb", "xz")


@pytest.fixture(scope="session")
def built() -> str:
    """Return the name of a user-mode kernel of Linux 6.1 with SLUB.

    Its build lies in the cache, so that only the first takes minutes.
    """
    command = [sys.executable, "-m", "kmem_oracle.cli", "kernel", "build"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    name, _, rest = done.stdout.partition(": ")
    assert rest.startswith("Linux 6.1.")
    return name
