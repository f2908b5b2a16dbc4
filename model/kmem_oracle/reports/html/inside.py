"""What the reference model has inside while a history runs: free blocks, slabs, the frames behind areas.

The model is one legal allocator and answers the same calls the same way, so the history is played again here
and its tables watched. Of other targets nobody sees the inside.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

from kmem_model.free_lists import FreeLists
from kmem_model.kernel import Kernel
from kmem_model.memory import address_of
from kmem_oracle.campaign.recorder import NEVER
from kmem_oracle.reports.html.chapter import FOREVER, Chapter, Extent
from kmem_oracle.reports.html.places import Places
from kmem_oracle.targets.driver import Driver
from kmem_oracle.targets.model import kernel_of, opened
from kmem_oracle.targets.records import HEADER, PART
from kmem_spec.table import DictTable
from kmem_spec.units import PAGE_SIZE
from kmem_spec.zone import Blocks, BlockTable

V = TypeVar("V")
BEFORE: Final = -1  # the event in which all is made that is there from the beginning


@dataclass(slots=True)
class Part:
    """What was in one table: a start, what else there is to say, the event of its birth and of its death."""

    start: int
    more: tuple[int | str, ...]
    birth: int
    death: int = NEVER


@dataclass(slots=True)
class Log:
    """The parts that one table has and had."""

    every: list[Part] = field(default_factory=list)
    at: dict[int, Part] = field(default_factory=dict)
    now: int = BEFORE

    def begin(self, key: int, start: int, *more: int | str) -> None:
        """Note that something is there; what was there under the same key is no more."""
        self.end(key)
        self.at[key] = part = Part(start, more, self.now)
        self.every.append(part)

    def end(self, key: int) -> None:
        """Note that something is no more; what comes and goes in one event is forgotten."""
        part = self.at.pop(key, None)
        if part is None:
            return
        part.death = self.now
        if part.birth == self.now and self.every[-1] is part:
            self.every.pop()


class LoggedBlocks(Blocks):
    """A table of blocks that logs its changes."""

    __slots__ = ("_log",)

    def __init__(self, log: Log, before: BlockTable) -> None:
        super().__init__()
        self._log = log

        def enter(head: int, pages: int) -> bool:
            self.put(head, pages)
            return True

        before.every(enter)

    def put(self, key: int, value: int) -> None:
        """Set the size of a block."""
        self[key] = value
        self._log.begin(key, address_of(key), value.bit_length() - 1)

    def drop(self, key: int) -> None:
        """Remove a block."""
        del self[key]
        self._log.end(key)


class LoggedFrames(DictTable[int]):
    """The frames behind the pages of areas, logged."""

    __slots__ = ("_log",)

    def __init__(self, log: Log) -> None:
        super().__init__()
        self._log = log

    def put(self, key: int, value: int) -> None:
        """Map a page to a frame."""
        self[key] = value
        self._log.begin(key, value, key)

    def drop(self, key: int) -> None:
        """Unmap a page."""
        del self[key]
        self._log.end(key)


class LoggedSlabs(dict[int, FreeLists]):
    """The slabs of all caches, logged."""

    __slots__ = ("_log",)

    def __init__(self, log: Log) -> None:
        super().__init__()
        self._log = log

    def __setitem__(self, key: int, value: FreeLists) -> None:
        super().__setitem__(key, value)
        cache = value.cache
        name = f"kmalloc-{cache.size}" if value.family == "kmalloc" else cache.name or "cache"
        self._log.begin(key, key, cache.order, name, cache.slot, cache.objects)

    def __delitem__(self, key: int) -> None:
        super().__delitem__(key)
        self._log.end(key)


@dataclass(frozen=True, slots=True)
class Inside:
    """What was in the model's tables during a history."""

    chapter: Chapter
    free: Log
    slabs: Log
    frames: Log
    zones: list[tuple[str, int, int]]

    @property
    def extents(self) -> list[Extent]:
        """The extents of slabs and frames, which a page has to have a place for; not those of free blocks."""
        slabs = [(part.start, PAGE_SIZE << int(part.more[0])) for part in self.slabs.every]
        return slabs + [(part.start, PAGE_SIZE) for part in self.frames.every]

    def data(self, places: Places) -> dict[str, object]:
        """Return the data of a page."""
        slabs, frames = self._shown(self.slabs), self._shown(self.frames)
        free = self._shown(self.free)
        return {
            "base": f"{address_of(0):x}",
            "zones": [[name, f"{start:x}", f"{end:x}"] for name, start, end in self.zones],
            "slabs": {
                "at": [places.of(part.start) for part, *_ in slabs],
                "order": [part.more[0] for part, *_ in slabs],
                "cache": [part.more[1] for part, *_ in slabs],
                "slot": [part.more[2] for part, *_ in slabs],
                "objects": [part.more[3] for part, *_ in slabs],
                "from": [first for _, first, _ in slabs],
                "to": [last for *_, last in slabs],
            },
            "frames": {
                "at": [places.of(part.start) for part, *_ in frames],
                "page": [places.of(int(part.more[0])) for part, *_ in frames],
                "from": [first for _, first, _ in frames],
                "to": [last for *_, last in frames],
            },
            "free": {
                "pfn": [(part.start - address_of(0)) // PAGE_SIZE for part, *_ in free],
                "order": [part.more[0] for part, *_ in free],
                "from": [first for _, first, _ in free],
                "to": [last for *_, last in free],
            },
        }

    def _shown(self, log: Log) -> list[tuple[Part, int, int]]:
        """Return what is seen in some state, with the first such state and the first without it."""
        rows = []
        for part in log.every:
            first = 0 if part.birth == BEFORE else self.chapter.call(part.birth) + 1
            last = FOREVER if part.death == NEVER else self.chapter.call(part.death) + 1
            if first < last:
                rows.append((part, first, last))
        return rows


def inside(target: str, chapter: Chapter) -> Inside | None:
    """Return what the model had inside; None where the target is another, or the history has no beginning."""
    kind, _, memory = target.partition(":")
    if kind != "model" or chapter.history.first:
        return None
    kernel = kernel_of(memory)
    free, slabs, frames = _watch(kernel)
    run = _runner(kernel)
    history = chapter.history
    came_back = history.ops[: next((at for at, each in enumerate(history.answers) if each is None), None)]
    for event, op in enumerate(came_back):
        free.now = slabs.now = frames.now = event
        run([op])
    zones = [(zone.name, zone.start, zone.end) for zone in kernel.frames.pages.zones]
    return Inside(chapter, free, slabs, frames, zones)


def _watch(kernel: Kernel) -> tuple[Log, Log, Log]:
    """Put logged tables in the place of those of a fresh kernel."""
    free, slabs, frames = Log(), Log(), Log()
    for zone in kernel.frames.pages.zones:
        zone.free = LoggedBlocks(free, zone.free)
    table = LoggedSlabs(slabs)
    kernel.caches.slab_at = table
    for lists in kernel.caches.every:
        lists.watch(table)
    kernel.space.areas.frames = LoggedFrames(frames)
    return free, slabs, frames


def _runner(kernel: Kernel) -> Callable[[Sequence[tuple[str, int, tuple[int, ...]]]], None]:
    """Return what runs calls on a kernel, as a worker would."""
    target = opened(kernel)
    memory = memoryview(bytearray(HEADER.size + PART))
    driver = Driver(target.functions, target.access, memory, target.largest, watched=True)

    def run(ops: Sequence[tuple[str, int, tuple[int, ...]]]) -> None:
        driver.run(ops, HEADER.size)

    return run
