"""Gaps: where a recorder says that it lost events, and where a full buffer begins to have them all."""

from __future__ import annotations

import re
from typing import Final

from kmem_oracle.traces.judge import TraceJudge

CUT: Final = 4096  # characters of a line that a pattern looks at
LOST: Final = re.compile(r"^CPU:(\d+) \[(?:LOST )?(\d*) ?EVENTS(?: DROPPED)?\]")
PERF_LOST: Final = re.compile(r"\[(\d+)\].*PERF_RECORD_LOST.*?lost (\d+)")
WRITTEN: Final = re.compile(r"^# entries-in-buffer/entries-written: (\d{1,18})/(\d{1,18}) +#P:(\d{1,6})")
CPU: Final = re.compile(r"\[\d{3,4}\]")
CPUS: Final = 1 << 13
HEADS: Final = 16  # lines in which a head tells how much was written
BACK: Final = 1000  # lines looked back at for the last one of a CPU


class Gaps:
    """Tells the judge of events that are missing.

    begins    line from which on a full buffer has all events, 0 if it has lost none
    lost      events that markers say are lost, and how many markers
    """

    def __init__(self, judge: TraceJudge) -> None:
        self.judge = judge
        self.lost = 0
        self.markers = 0
        self.begins = 0
        self._heads = HEADS
        self._awaited: set[str] = set()

    def look(self, lines: list[str], base: int) -> None:
        """Look for the first line of each CPU where a full buffer has lost the oldest events.

        Each CPU has a buffer of its own: until its first line, any of its events may be missing. The first of
        the lines is line `base` + 1.
        """
        if self._heads:
            heads = lines[: self._heads]
            self._heads -= len(heads)
            for line in heads:
                if (found := WRITTEN.match(line)) and int(found[1]) < int(found[2]):
                    self._awaited = {f"[{cpu:03d}]" for cpu in range(min(int(found[3]), CPUS))}
        for at, line in enumerate(lines if self._awaited else ()):
            found = CPU.search(line[:CUT])
            if found and found[0] in self._awaited:
                self._awaited.discard(found[0])
                self.begins = base + at + 1
                self.judge.lost(0, self.begins)
                if not self._awaited:
                    break

    def take(self, marker: re.Match[str], lines: list[str], base: int, number: int) -> None:
        """Take note of lost events: after the last line of that CPU, or of any where that is far back."""
        self.markers += 1
        self.lost += int(marker[2]) if marker[2] and len(marker[2]) < 20 else 0
        here = number - base - 1
        cpu = f"[{int(marker[1]):03d}]" if len(marker[1]) < 6 else "no CPU"
        back = next((back for back in range(1, min(BACK, here) + 1) if cpu in lines[here - back]), 0)
        self.judge.lost(number - back if back else 0, number)


def marker_of(line: str) -> re.Match[str] | None:
    """Return what says that events were lost, if the line does."""
    if line.startswith("CPU:"):
        return LOST.match(line)
    return PERF_LOST.search(line[:CUT]) if "PERF_RECORD_LOST" in line else None
