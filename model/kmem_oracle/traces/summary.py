"""The summary of a trace: what was judged, found, live, asked and given, for reports of any kind."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from kmem_oracle.traces.finding import Finding
from kmem_oracle.traces.sites import Site

SAMPLES: Final = 512  # points of the series at most


@dataclass(frozen=True, slots=True)
class Sample:
    """What was live after a line.

    Units    time in seconds as the trace tells it, None where it does not; the others in bytes
    """

    line: int
    time: float | None
    kmalloc: int
    caches: int
    pages: int
    areas: int


class Series:
    """Samples at even distances, a bounded number of them: when it is full, every other one goes."""

    def __init__(self) -> None:
        self.samples: list[Sample] = []
        self.step = 1
        self._skipped = 0

    def due(self) -> bool:
        """Say whether the next sample is wanted."""
        self._skipped += 1
        return self._skipped >= self.step

    def add(self, sample: Sample) -> None:
        """Keep a sample."""
        self._skipped = 0
        self.samples.append(sample)
        if len(self.samples) >= SAMPLES:
            del self.samples[1::2]
            self.step *= 2


@dataclass(slots=True)
class Size:
    """What was asked for and given in objects of one size.

    Units    given is the size of the slot; asked the sum of what was asked for, in bytes
    """

    given: int
    cached: bool
    count: int = 0
    asked: int = 0

    @property
    def wasted(self) -> int:
        """Return the bytes given and not asked for."""
        return self.given * self.count - self.asked


@dataclass(slots=True)
class Summary:
    """All that came of a trace.

    kind          "ftrace", "trace-cmd", "perf" or "history"
    events        by name, how many
    judged        events that some rule was decided about
    further       findings beyond those that are kept one by one
    unjudged      what could not be judged and why, in sentences
    sizes         fragmentation, by size of slot, those first that waste most
    sites         call sites, those first of which most is live
    live_objects  objects of kmalloc and of caches that are live at the end; live_pages, live_areas likewise
    page_offset   address of page frame 0, None where unknown
    garbled       lines that make no sense
    stopped       why it ended early, "" if it did not
    """

    name: str
    kind: str = ""
    profile: str = ""
    lines: int = 0
    garbled: int = 0
    seconds: float = 0.0
    events: Counter[str] = field(default_factory=Counter)
    judged: int = 0
    findings: list[Finding] = field(default_factory=list)
    further: int = 0
    unjudged: list[str] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    sizes: list[Size] = field(default_factory=list)
    sites: list[Site] = field(default_factory=list)
    live_objects: int = 0
    live_pages: int = 0
    live_areas: int = 0
    page_offset: int | None = None
    page_offset_from: str = ""
    stopped: str = ""

    @property
    def count(self) -> int:
        """Return the number of events."""
        return self.events.total()

    @property
    def asked(self) -> int:
        """Return the bytes that objects were asked for."""
        return sum(size.asked for size in self.sizes)

    @property
    def given(self) -> int:
        """Return the bytes of the objects that were given."""
        return sum(size.given * size.count for size in self.sizes)

    def of(self, certainty: str) -> list[Finding]:
        """Return the findings that are violations, or those that are suspects."""
        return [found for found in self.findings if found.certainty == certainty]
