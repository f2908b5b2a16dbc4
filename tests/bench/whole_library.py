"""What the rules of the whole machine share: calls of the library, and a book of what lives in it."""

from __future__ import annotations

import mmap
import signal
import struct
import time
from bisect import bisect_left, insort
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Final

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, MultipleResults, RuleBasedStateMachine, invariant, multiple
from tests.targets.binding import (
    GFP_ATOMIC,
    GFP_KERNEL,
    GFP_NOWAIT,
    GFP_USER,
    ZERO,
    ZERO_SIZE_PTR,
    Kmem,
    read,
    write,
)

PAGE: Final = 4096
MAX_SIZE: Final = 4 << 20
CALL_SECONDS: Final = 3.0
NOTES: Final = struct.Struct("QQd104s")  # steps, shortest failing example, seconds to the first, what failed

EDGES = [
    edge + more for edge in (8, 16, 32, 64, 96, 128, 192, 256, 1024, 4096, 8192, 65536) for more in (-1, 0, 1)
]
SIZES = st.sampled_from(EDGES) | st.integers(1, 3000) | st.integers(0, 22).map(lambda shift: 1 << shift)
AREAS = st.integers(1, 40).map(lambda pages: pages * PAGE) | st.integers(1, 40 * PAGE)
BASES = [GFP_KERNEL, GFP_ATOMIC, GFP_NOWAIT, GFP_USER, 0xC00, 0xC40]  # the last two are NOIO and NOFS
MASKS = st.sampled_from([*BASES, GFP_KERNEL | ZERO, GFP_ATOMIC | ZERO, 0xC00 | ZERO])
MAY_WAIT = st.sampled_from([GFP_KERNEL, GFP_KERNEL | ZERO, GFP_USER])
HUGE = st.sampled_from([2**32, 2**33 + 1, 2**61 + 1, 2**63, 2**64 - 4096, 2**64 - 1])
objects = Bundle("objects")
kvs = Bundle("kvs")
areas = Bundle("areas")
blocks = Bundle("blocks")
exacts = Bundle("exacts")
caches = Bundle("caches")
cached = Bundle("cached")


@dataclass(eq=False)
class Thing:
    """A live object: what may be used of it, what is in it, and whether all steps so far asked for zeroes."""

    address: int
    size: int
    usable: int
    content: bytes
    zeroed: bool = False
    order: int = 0
    alive: bool = True


@dataclass(eq=False)
class Cache:
    """A cache: its shape, the state that its constructor gives, and its live objects."""

    handle: int
    size: int
    state: bytes
    counts: bool = False
    things: list[Thing] = field(default_factory=list)
    built: dict[int, int] = field(default_factory=dict)  # constructed and not destructed, by address
    alive: bool = True


class Library(RuleBasedStateMachine):
    """Calls a library, and checks of every answer what was promised of all of them."""

    kmem: ClassVar[Kmem]
    arena: ClassVar[int] = 32 << 20
    notes: ClassVar[mmap.mmap]
    began: ClassVar[float]
    total: ClassVar[int] = 0
    kept: ClassVar[list[object]] = []  # functions that the library may call
    slept: ClassVar[list[int]] = []

    def __init__(self) -> None:
        super().__init__()
        self.call("kmem_oracle_reset")
        self.spans: list[tuple[int, int]] = []  # sorted: start, end
        self.ranges: list[tuple[int, int]] = []  # of areas, sorted
        self.live: dict[int, tuple[Thing, Callable[[], None]]] = {}
        self.all_caches: list[Cache] = []
        self.bytes = self.births = self.made = 0
        self.failing = False
        self.wrong = ""  # what a constructor or destructor saw; exceptions do not pass through C
        self.at_first = self.free_pages_now()

    def call(self, name: str, *arguments: object) -> int:
        """Make a call; one that does not return ends this process."""
        signal.setitimer(signal.ITIMER_REAL, CALL_SECONDS)
        result = self.kmem.call(name, *arguments)
        signal.setitimer(signal.ITIMER_REAL, 0)
        return result

    def step(self, name: str, *arguments: object, gfp: int = GFP_KERNEL) -> int:
        """Make the call that a rule is about, twice where it gave nothing; look whether it slept."""
        Library.total += 1
        self.note()
        self.slept.clear()
        result = self.call(name, *arguments)
        assert gfp & 0x400 or not self.slept, f"{name} slept"
        assert not self.wrong, self.wrong
        return result

    @invariant()
    def counted(self) -> None:
        self.made += 1  # once before the first step, so that the one that fails is counted

    def note(self, error: AssertionError | None = None) -> None:
        """Write down how far we are, and that an example failed."""
        _, shortest, first, what = NOTES.unpack_from(self.notes)
        if error is not None:
            shortest = min(shortest or self.made, self.made)
            first = first or time.monotonic() - self.began
            what = str(error).partition("\n")[0].encode() or _place_of(error).encode()
        NOTES.pack_into(self.notes, 0, Library.total, shortest, first, what)

    def allocated(
        self,
        name: str,
        size: int,
        *arguments: object,
        gfp: int = GFP_KERNEL,
        zero: bool = False,
        align: int = 8,
        usable: int = 0,
        free: tuple[str, object, object] = ("kfree", Thing, None),
        cache: Cache | None = None,
    ) -> Thing | None:
        """Call, and check what comes: not nothing without need, aligned, apart from all that lives, zero."""
        zero = zero or bool(gfp & ZERO)
        address = self.step(name, *arguments, gfp=gfp) or self.step(name, *arguments, gfp=gfp)
        if not address:
            needy = (
                not gfp & 0x400 or self.failing or size > MAX_SIZE or self.bytes + 8 * size > self.arena // 4
            )
            assert needy, f"{name}({size}) gave nothing though {self.bytes} bytes live"
            self.failing = False
            return None
        assert address % align == 0, f"{name}({size}) is not aligned to {align}"
        if not usable:
            known = self.kmem.has_ksize and free[0] == "kfree"
            usable = self.call("ksize", address) if known else size
        assert usable >= size, "usable size is less than was asked for"
        if zero:
            assert not any(read(address, size)), "not zero"
        thing = Thing(address, size, usable, b"", zeroed=zero)
        if cache is not None and cache.state:
            assert read(address, cache.size) == cache.state, "not as constructed"
        self.enter(thing, usable if not zero else size, free)
        return thing

    def enter(self, thing: Thing, filled: int, free: tuple[str, object, object]) -> None:
        """Check that a thing is apart from all others, and fill it with a pattern of its own."""
        start, end = thing.address, thing.address + thing.usable
        at = bisect_left(self.spans, (start, 0))
        assert at == len(self.spans) or end <= self.spans[at][0], "overlap"
        assert at == 0 or self.spans[at - 1][1] <= start, "overlap"
        insort(self.spans, (start, end))
        self.births += 1
        self.bytes += thing.usable
        word = (self.births * 0x9E3779B97F4A7C15 | 1) & (2**64 - 1)
        thing.content = (word.to_bytes(8, "little") * (filled // 8 + 1))[:filled]
        write(start, thing.content)
        thing.alive = True
        name, first, second = free
        arguments = [thing.address if each is Thing else each for each in (first, second) if each is not None]
        self.live[start] = (thing, lambda: self.ended(name, *arguments))

    def ended(self, name: str, *arguments: object) -> None:
        """Make a call that frees."""
        self.step(name, *arguments)

    def check(self, thing: Thing) -> None:
        """Check that a thing holds what was written."""
        assert read(thing.address, len(thing.content)) == thing.content, "contents changed"

    def leave(self, thing: Thing, *, state: bytes = b"") -> Callable[[], None]:
        """Check a thing, forget it, and return what frees it."""
        self.check(thing)
        if state:
            write(thing.address, state)
        self.spans.remove((thing.address, thing.address + thing.usable))
        self.bytes -= thing.usable
        thing.alive = False
        return self.live.pop(thing.address)[1]

    def given(self, thing: Thing | None) -> MultipleResults[Thing]:
        """Return what a rule adds to its bundle."""
        return multiple() if thing is None else multiple(thing)

    def resized(
        self,
        thing: Thing,
        name: str,
        size: int,
        *arguments: object,
        gfp: int,
        free: tuple[str, object, object],
    ) -> MultipleResults[Thing]:
        """Resize a thing: what it held is kept, what comes is zero where all its steps asked for that."""
        zeroed = thing.zeroed and bool(gfp & ZERO)
        before, usable = thing.content, thing.usable
        self.leave(thing)
        address = self.step(name, thing.address, *arguments, gfp=gfp)
        if size == 0:
            assert address in (0, ZERO_SIZE_PTR), "a resize to nothing gave something"
            return multiple()
        if not address:
            self.live[thing.address] = (thing, lambda: None)
            insort(self.spans, (thing.address, thing.address + usable))
            self.bytes += usable
            thing.alive = True
            self.live.pop(thing.address)
            self.spans.remove((thing.address, thing.address + usable))
            self.bytes -= usable
            thing.content = before
            assert read(thing.address, len(before)) == before, "contents changed by a resize that failed"
            self.enter(thing, len(before), free)
            return multiple(thing)
        keep = min(size, len(before), thing.size if zeroed else usable)
        assert read(address, keep) == before[:keep], "contents lost"
        if zeroed and size > thing.size:
            assert not any(read(address + thing.size, size - thing.size)), "what came is not zero"
        known = self.kmem.has_ksize and free[0] == "kfree"
        now = Thing(address, size, self.call("ksize", address) if known else size, b"", zeroed=zeroed)
        assert now.usable >= size, "usable size is less than was asked for"
        self.enter(now, size if zeroed else now.usable, free)
        return multiple(now)

    def free_pages_now(self) -> int:
        """Return how many pages can be had."""
        self.call("kmem_oracle_fail_nth", 0)
        pages: list[tuple[int, int]] = []
        for order in (10, 5, 0):
            while address := self.call("__get_free_pages", GFP_KERNEL, order):
                pages.append((address, order))
        for address, order in pages:
            self.call("free_pages", address, order)
        return sum(1 << order for _, order in pages)


def _place_of(error: BaseException) -> str:
    """Return the line that raised an exception."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return (
        "" if trace is None else f"line {trace.tb_lineno} of {Path(trace.tb_frame.f_code.co_filename).name}"
    )
