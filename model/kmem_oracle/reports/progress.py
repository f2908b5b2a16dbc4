"""How far a campaign has come, in one line of a terminal."""

from __future__ import annotations

import sys
import time
from typing import Final

from kmem_oracle.campaign.course import Budget
from kmem_oracle.campaign.result import Result

WIDTH: Final = 20
OFTEN: Final = 0.1  # seconds between two looks


class Bar:
    """A line on standard error that is written over and over."""

    def __init__(self, budget: Budget, *, shown: bool) -> None:
        """Show nothing where that is not wanted, as where there is no terminal."""
        self._budget = budget
        self._shown = shown
        self._begin = time.monotonic()
        self._last = 0.0

    def __call__(self, phase: str, result: Result) -> None:
        """Show how far it is."""
        now = time.monotonic()
        if self._shown and now - self._last >= OFTEN:
            self._last = now
            text = line(self._budget, result, phase, now - self._begin)
            print(f"\r\x1b[K{text}", end="\r", file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Leave nothing behind."""
        if self._shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def line(budget: Budget, result: Result, phase: str, seconds: float) -> str:
    """Return the line: share of the budget that is used, calls, their rate, findings, time left, phase."""
    done = min(1.0, max(result.calls / budget.calls, seconds / budget.seconds))
    bar = "#" * int(done * WIDTH)
    parts = [f"[{bar:.<{WIDTH}}] {done:4.0%}", f"{result.calls:,} calls"]
    if seconds > 0:
        parts.append(f"{result.calls / seconds:,.0f}/s")
    if result.found:
        parts.append(f"{len(result.found)} found")
    if done > 0:
        parts.append(f"{seconds / done - seconds:,.0f} s left")
    return "  ".join([*parts, phase])
