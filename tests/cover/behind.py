"""Processes that tests start: they carry a mark in their environment, and none may stay behind."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Final

from tests.targets import drivers

from kmem_oracle.targets.target import Target

MARK: Final = "KMEM_ORACLE_EXEC_MARK"
HERE: Final = os.getpid()
NONE: Final[frozenset[str]] = frozenset()


def command(line: str) -> Target:
    """Return a command as a target."""
    return Target("exec", line, f"exec:{line}")


def bad(how: str) -> Target:
    """Return a process that is no target, or ceases to be one."""
    return command(f"{drivers.BAD} '{how}'")


def marked(mark: str) -> list[int]:
    """Return the processes with the mark in their environment, but for this one."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != HERE:
            try:
                if f"{MARK}={mark}".encode() in (folder / "environ").read_bytes():
                    found.append(int(folder.name))
            except OSError:
                continue
    return found


def gone(mark: str) -> bool:
    """Wait for the end of all processes with the mark."""
    deadline = time.monotonic() + 10
    while marked(mark) and time.monotonic() < deadline:
        time.sleep(0.02)
    return marked(mark) == []
