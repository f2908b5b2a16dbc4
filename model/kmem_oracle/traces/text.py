"""Lines of ftrace text, `trace-cmd report` and `perf script`, turned into what the judge takes.

All three print `TASK … TIME: EVENT: FIELDS`, and the fields of an event in one order. Most lines are cut
at fixed words; the few that this does not understand are looked at by pattern.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Final

from kmem_oracle.traces.events import Events
from kmem_oracle.traces.gaps import CUT, Gaps, marker_of
from kmem_oracle.traces.judge import TraceJudge
from kmem_oracle.traces.request import ObjectRequest

LINE: Final = re.compile(
    r"^\s*.{1,24}?-?\d+\s+(?:\([^)]{1,16}\)\s+)?\[\d+\]\s+(?:\S{1,8}\s+)?[\d.]+: +"
    r"(?:kmem:|vmalloc:)?(\w+): *(.*)$"
)
TIME: Final = re.compile(r"(\d{1,12}\.\d{1,9}):")
KINDS: Final = 1 << 12  # names of events that are remembered


class TextReader:
    """Hands the events of lines to the judge.

    garbled   lines of known events that make no sense; first_garbled is the first of them
    others    events of other systems
    foreign   lines that are neither events nor known heads
    gaps      events that are missing
    """

    def __init__(self, judge: TraceJudge) -> None:
        self.judge = judge
        self.garbled = 0
        self.first_garbled = 0
        self.foreign = 0
        self.others = 0
        self.gaps = Gaps(judge)
        self._events = Events(judge)
        self._known = self._events.handlers
        self._base = 0
        self._lines: list[str] = []
        self._marks = [f"{name}: " for name in self._known]
        self._handlers = dict(self._known)
        self._counts = dict.fromkeys(self._known, 0)

    def read(self, lines: list[str], number: int, *, cut: bool = False) -> None:
        """Take lines, of which the first is line `number` + 1; `cut` says that the last one has no end."""
        self._base, self._lines = number, lines
        self._events.unended = number + len(lines) if cut else 0
        self.gaps.look(lines, number)
        get = self._handlers.get
        counts = self._counts
        for line in lines:
            number += 1
            try:
                head, name, fields = line.split(": ", 2)
                handle = get(name)
                if handle is not None:
                    handle(number, head, fields)
                    counts[name] += 1
                    continue
            except ValueError:
                self._again(line, number)
                continue
            self._odd(line, number, name)

    def events(self) -> Counter[str]:
        """Return how many events of each name there were."""
        total: Counter[str] = Counter()
        for name, count in self._counts.items():
            if plain_name(name) in self._known:
                total[plain_name(name)] += count
        return +total

    def requests(self) -> list[ObjectRequest]:
        """Return what was asked for."""
        return self._events.requests()

    def time_of(self, line: str) -> float | None:
        """Return the time that a line tells, in seconds."""
        found = TIME.search(line[:CUT])
        return float(found[1]) if found else None

    def _odd(self, line: str, number: int, name: str) -> None:
        """Take a line whose event is not known by its name as it stands."""
        plain = plain_name(name)
        if ":" in name and plain != name.strip():  # the others name no system
            self.judge.saw_perf()
        if plain in self._known and len(name) < 64 and len(self._handlers) < KINDS:
            self._handlers[name] = self._known[plain]
            self._counts[name] = 0
            self._again(line, number)
        else:
            self._again(line, number)

    def _again(self, line: str, number: int) -> None:
        """Look at a line by pattern: a task's name may hold what looks like an event's."""
        found = LINE.match(line) if len(line) <= CUT else None
        if found is None:
            if marker := marker_of(line):
                self.gaps.take(marker, self._lines, self._base, number)
            elif not line or line[0] == "#" or line.isspace():
                pass
            elif any(mark in line[:CUT] for mark in self._marks):
                self._garble(number)
            else:
                self.foreign += 1
            return
        name = found[1]
        handle = self._known.get(name)
        if handle is None:
            self.others += 1
            as_it_stands = line.split(": ", 2)[1]
            if as_it_stands.endswith(name) and len(as_it_stands) < 64 and len(self._handlers) < KINDS:
                self._handlers[as_it_stands] = self._other
                self._counts[as_it_stands] = 0
            return
        try:
            handle(number, line[: found.start(1)], found[2])
        except ValueError:
            self._garble(number)
        else:
            self._counts[name] += 1

    def _garble(self, number: int) -> None:
        self.garbled += 1
        self.first_garbled = self.first_garbled or number

    def _other(self, _number: int, _head: str, _fields: str) -> None:
        """Take an event of another system."""
        self.others += 1


def plain_name(name: str) -> str:
    """Return an event's name without its system and the blanks before it."""
    return name.strip().removeprefix("kmem:").removeprefix("vmalloc:")
