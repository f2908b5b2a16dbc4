"""Processes of processes: none of them outlives the one that it was started for.

What a target forks may leave its group and its parent. So the worker takes in whatever loses its parent
below it, and ends all of that with the run; and each ends when its parent does. Where the system is not
Linux, a group is ended and nothing more.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from pathlib import Path
from typing import Final

PR_SET_PDEATHSIG: Final = 1
PR_SET_CHILD_SUBREAPER: Final = 36
PATIENCE: Final = 2.0  # seconds for descendants to be gone; who forks faster than that is left to its limits
LINUX: Final = sys.platform == "linux"
_LIBRARY: Final = ctypes.CDLL(None)  # loaded before any fork


def die_with_parent(number: int = signal.SIGKILL) -> None:
    """Ask the kernel for a signal to this process when its parent ends, however that ends."""
    if LINUX:
        _LIBRARY.prctl(PR_SET_PDEATHSIG, number)


def take_in_orphans() -> None:
    """Become the parent of every process below this one that loses its own."""
    if LINUX:
        _LIBRARY.prctl(PR_SET_CHILD_SUBREAPER, 1)


def end_children() -> None:
    """Kill every child of this process, and what they leave behind, until there is none."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            done, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if done == 0:
            for child in children():
                os.kill(child, signal.SIGKILL)  # ours to wait for, so the number is still its own
            time.sleep(0.001)


def children() -> list[int]:
    """Return the children of this process; none where the system does not tell."""
    own = os.getpid()
    found = []
    for folder in Path("/proc").iterdir() if LINUX else ():
        if folder.name.isdecimal() and parent_of(int(folder.name)) == own:
            found.append(int(folder.name))
    return found


def parent_of(process: int) -> int:
    """Return the parent of a process, 0 for none or where the system does not tell."""
    try:
        text = Path(f"/proc/{process}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0
    return int(text.rpartition(")")[2].split()[1])


def is_below(process: int, ancestor: int) -> bool:
    """Say whether a process is another, or was started by it or by what it started."""
    seen = set[int]()
    while process not in (0, ancestor, *seen):
        seen.add(process)
        process = parent_of(process)
    return process == ancestor


def ending(code: int) -> str:
    """Return how a process ended, by its exit code (minus a signal's number), to complete a sentence."""
    if code < 0:
        known = -code in set(signal.Signals)
        return f"crashed with {signal.Signals(-code).name if known else f'signal {-code}'}"
    return f"ended the process with status {code}"
