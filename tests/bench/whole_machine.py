"""A Hypothesis machine over the whole API, as a careful engineer writes it for a library of his own.

    python tests/bench/whole_machine.py LIB NOTES [--arena MIB] [--steps N]

The contender of bench_side_by_side.py; it runs until it is stopped. What it judges: overlap at usable size,
alignment, contents by pattern, zeroes where asked for, what a resize keeps and clears, constructed state at
each hand-out, destructors once per object, cache sizes and alignments, guard pages, frames and aliases of
areas, arithmetic that overflows, special values, limits, masks that may not sleep, memory that runs out while
little of it lives, and that all pages come back at the end of an example. `NOTES` is a file of 128 bytes
where it notes how many calls it has made, how long the shortest failing example is, when the first failed,
and how.
"""

from __future__ import annotations

import argparse
import mmap
import signal
import struct
import sys
import time
from bisect import bisect_left, insort
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Final

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tests.targets.binding import (  # noqa: E402  # it is found by the line above
    CTOR,
    CTOR_26,
    GFP_ATOMIC,
    GFP_KERNEL,
    GFP_NOWAIT,
    GFP_USER,
    HOOK,
    ZERO,
    ZERO_SIZE_PTR,
    Kmem,
    read,
    write,
)
from tests.targets.probing import vector  # noqa: E402

PAGE: Final = 4096
MAX_SIZE: Final = 4 << 20
HWCACHE_ALIGN: Final = 0x2000
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


class WholeMachine(RuleBasedStateMachine):
    """Drive a library and check every answer against what was promised."""

    kmem: ClassVar[Kmem]
    arena: ClassVar[int] = 32 << 20
    notes: ClassVar[mmap.mmap]
    began: ClassVar[float]
    total: ClassVar[int] = 0
    kept: ClassVar[list[object]] = []  # functions that the library may call
    slept: ClassVar[list[int]] = []
    objects = Bundle("objects")
    kvs = Bundle("kvs")
    areas = Bundle("areas")
    blocks = Bundle("blocks")
    pages = Bundle("pages")
    exacts = Bundle("exacts")
    caches = Bundle("caches")
    cached = Bundle("cached")

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
        WholeMachine.total += 1
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
            what = str(error).partition("\n")[0].encode() or f"line {_line_of(error)}".encode()
        NOTES.pack_into(self.notes, 0, WholeMachine.total, shortest, first, what)

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

    # kmalloc

    @rule(target=objects, size=SIZES, gfp=MASKS, name=st.sampled_from(["kmalloc", "kmalloc", "kzalloc"]))
    def kmalloc(self, size: int, gfp: int, name: str) -> MultipleResults[Thing]:
        return self.given(
            self.allocated(name, size, size, gfp, gfp=gfp, zero=name == "kzalloc", align=_natural(size))
        )

    @rule(
        target=objects,
        count=st.integers(1, 50),
        size=SIZES,
        gfp=MASKS,
        name=st.sampled_from(["kmalloc_array", "kcalloc"]),
    )
    def array(self, count: int, size: int, gfp: int, name: str) -> MultipleResults[Thing]:
        total = count * size
        return self.given(
            self.allocated(
                name, total, count, size, gfp, gfp=gfp, zero=name == "kcalloc", align=_natural(total)
            )
        )

    @rule(count=st.integers(2**32, 2**64 - 1) | HUGE, size=st.integers(2, 2**64 - 1) | HUGE)
    def array_that_overflows(self, count: int, size: int) -> None:
        if count * size >= 2**64:
            for name in ("kmalloc_array", "kcalloc", "kvmalloc_array", "kvcalloc"):
                assert self.step(name, count, size, GFP_KERNEL) == 0, "a product that overflows"
            assert self.step("vmalloc_array", count, size) == self.step("vcalloc", count, size) == 0

    @rule(huge=HUGE)
    def too_much(self, huge: int) -> None:
        assert self.step("kmalloc", MAX_SIZE + 1, GFP_KERNEL) == self.step("kmalloc", huge, GFP_KERNEL) == 0
        assert self.step("__get_free_pages", GFP_KERNEL, 11) == 0
        assert self.step("vmalloc", huge) == 0
        assert self.step("kvmalloc", huge, GFP_KERNEL) == self.step("vmalloc_32", huge) == 0

    @rule(gfp=MASKS)
    def nothing(self, gfp: int) -> None:
        for name in ("kmalloc", "kzalloc", "kvmalloc"):
            assert self.step(name, 0, gfp, gfp=gfp) == ZERO_SIZE_PTR, "no ZERO_SIZE_PTR"
        assert self.step("vmalloc", 0) == 0
        for address in (0, ZERO_SIZE_PTR):
            for name in ("kfree", "kfree_sensitive", "kvfree"):
                self.step(name, address)
            if self.kmem.has_ksize:
                assert self.step("ksize", address) == 0
        self.step("free_pages", 0, 0)
        self.step("vfree", 0)
        self.step("kmem_cache_destroy", 0)

    @rule(target=objects, thing=consumes(objects), size=SIZES, gfp=MASKS)
    def krealloc(self, thing: Thing, size: int, gfp: int) -> MultipleResults[Thing]:
        return self.resized(thing, "krealloc", size, size, gfp, gfp=gfp, free=("kfree", Thing, None))

    @rule(target=objects, thing=consumes(objects), count=st.integers(1, 20), size=SIZES, gfp=MASKS)
    def krealloc_array(self, thing: Thing, count: int, size: int, gfp: int) -> MultipleResults[Thing]:
        assert self.step("krealloc_array", thing.address, 2**63, 2 + count, gfp, gfp=gfp) == 0
        return self.resized(
            thing, "krealloc_array", count * size, count, size, gfp, gfp=gfp, free=("kfree", Thing, None)
        )

    @rule(thing=consumes(objects))
    def krealloc_to_nothing(self, thing: Thing) -> None:
        self.resized(thing, "krealloc", 0, 0, GFP_KERNEL, gfp=GFP_KERNEL, free=("kfree", Thing, None))

    @rule(thing=consumes(objects), name=st.sampled_from(["kfree", "kfree", "kfree_sensitive", "kvfree"]))
    def kfree(self, thing: Thing, name: str) -> None:
        self.leave(thing)
        self.step(name, thing.address)

    @rule(things=st.lists(consumes(objects), min_size=1, max_size=5))
    def kfree_bulk(self, things: list[Thing]) -> None:
        for thing in things:
            self.leave(thing)
        self.step("kfree_bulk", len(things), vector([thing.address for thing in things]))

    @rule(thing=objects | kvs | areas | blocks)
    def look(self, thing: Thing) -> None:
        if thing.alive:
            self.check(thing)

    @rule(pair=cached)
    def look_at_cached(self, pair: tuple[Cache, Thing]) -> None:
        if pair[1].alive:
            self.check(pair[1])

    @rule(size=SIZES)
    def roundup(self, size: int) -> None:
        if size <= MAX_SIZE and self.kmem.has_ksize:
            address = self.step("kmalloc", size, GFP_KERNEL)
            if address:
                assert size <= self.step("kmalloc_size_roundup", size) <= self.step("ksize", address)
                self.step("kfree", address)

    @rule(target=objects, thing=objects, part=st.integers(1, 100))
    def kmemdup(self, thing: Thing, part: int) -> MultipleResults[Thing]:
        size = min(len(thing.content), part)
        if not thing.alive or not size:
            return multiple()
        copy = self.step("kmemdup", thing.address, size, GFP_KERNEL)
        return self.copied(copy, thing.content[:size])

    @rule(target=objects, length=st.integers(0, 300) | st.just(70_000), most=st.integers(0, 300) | st.none())
    def kstrdup(self, length: int, most: int | None) -> MultipleResults[Thing]:
        text = (b"kmem" * (length // 4 + 1))[:length]
        if most is None:
            return self.copied(self.step("kstrdup", vector_of(text), GFP_KERNEL), text + b"\0")
        copy = self.step("kstrndup", vector_of(text), most, GFP_KERNEL)
        return self.copied(copy, text[:most] + b"\0")

    def copied(self, address: int, content: bytes) -> MultipleResults[Thing]:
        """Check a copy, and let it live."""
        if not address:
            return multiple()
        assert read(address, len(content)) == content, "the copy differs"
        usable = self.call("ksize", address) if self.kmem.has_ksize else len(content)
        assert usable >= len(content), "usable size is less than the copy"
        thing = Thing(address, len(content), usable, b"")
        self.enter(thing, usable, ("kfree", Thing, None))
        return multiple(thing)

    # kvmalloc and areas

    @rule(target=kvs, size=SIZES, gfp=MAY_WAIT, name=st.sampled_from(["kvmalloc", "kvzalloc"]))
    def kvmalloc(self, size: int, gfp: int, name: str) -> MultipleResults[Thing]:
        return self.given(
            self.allocated(
                name,
                size,
                size,
                gfp,
                gfp=gfp,
                zero=name == "kvzalloc",
                usable=size,
                free=("kvfree", Thing, None),
            )
        )

    @rule(target=kvs, thing=consumes(kvs), size=SIZES, gfp=MAY_WAIT)
    def kvrealloc(self, thing: Thing, size: int, gfp: int) -> MultipleResults[Thing]:
        return self.resized(thing, "kvrealloc", size, size, gfp, gfp=gfp, free=("kvfree", Thing, None))

    @rule(thing=consumes(kvs))
    def kvfree(self, thing: Thing) -> None:
        self.leave(thing)
        self.step("kvfree", thing.address)

    def area(self, thing: Thing | None) -> MultipleResults[Thing]:
        """Check an area's guard, frames and whether its addresses are known as an area's."""
        if thing is None:
            return multiple()
        end = thing.address + -(-thing.size // PAGE) * PAGE
        for other, _ in self.live.values():
            if other is not thing and other.order < 0:
                apart = other.address + -(-other.size // PAGE) * PAGE + PAGE <= thing.address
                assert apart or end + PAGE <= other.address, "no guard page"
        thing.order = -1  # of no block
        assert self.step("is_vmalloc_addr", thing.address)
        assert self.step("is_vmalloc_addr", thing.address + thing.size - 1)
        frames = [self.step("vmalloc_to_page", at) for at in range(thing.address, end, PAGE)]
        assert len(set(frames)) == len(frames), "two pages of one frame"
        for frame, at in zip(frames, range(0, thing.size, PAGE), strict=True):
            alias = self.call("page_address", frame)
            part = thing.content[at : at + 16]
            assert not alias or read(alias, len(part)) == part, "the frame is another's"
        return multiple(thing)

    @rule(
        target=areas, size=AREAS, name=st.sampled_from(["vmalloc", "vzalloc", "vmalloc_user", "vmalloc_32"])
    )
    def vmalloc(self, size: int, name: str) -> MultipleResults[Thing]:
        zero = name in ("vzalloc", "vmalloc_user")
        return self.area(
            self.allocated(name, size, size, zero=zero, align=PAGE, usable=size, free=("vfree", Thing, None))
        )

    @rule(target=areas, thing=consumes(areas), size=AREAS, gfp=MAY_WAIT)
    def vrealloc(self, thing: Thing, size: int, gfp: int) -> MultipleResults[Thing]:
        thing.order = 0
        made = self.resized(thing, "vrealloc", size, size, gfp, gfp=gfp, free=("vfree", Thing, None))
        return multiple(*(each for value in made.values for each in self.area(value).values))

    @rule(thing=consumes(areas))
    def vfree(self, thing: Thing) -> None:
        self.leave(thing)
        self.step("vfree", thing.address)

    @rule(things=st.lists(blocks, min_size=1, max_size=5))
    def vmap(self, things: list[Thing]) -> None:
        things = [thing for thing in things if thing.alive]
        if not things:
            return
        frames = vector([self.call("virt_to_page", thing.address) for thing in things])
        address = self.step("vmap", frames, len(things), 4, 0x163)
        if address:
            for index, thing in enumerate(things):
                assert read(address + index * PAGE, PAGE) == thing.content[:PAGE], "vmap shows another page"
            self.step("vunmap", address)

    # pages

    @rule(target=blocks, order=st.integers(0, 6) | st.integers(0, 10), gfp=MASKS)
    def get_free_pages(self, order: int, gfp: int) -> MultipleResults[Thing]:
        size = PAGE << order
        thing = self.allocated(
            "__get_free_pages",
            size,
            gfp,
            order,
            gfp=gfp,
            align=size,
            usable=size,
            free=("free_pages", Thing, order),
        )
        if thing is not None:
            thing.order = order
        return self.given(thing)

    @rule(target=blocks, gfp=MASKS)
    def get_zeroed_page(self, gfp: int) -> MultipleResults[Thing]:
        return self.given(
            self.allocated(
                "get_zeroed_page", PAGE, gfp, gfp=gfp, zero=True, align=PAGE, usable=PAGE,
                free=("free_pages", Thing, 0),
            )
        )  # fmt: skip

    @rule(thing=consumes(blocks))
    def free_pages(self, thing: Thing) -> None:
        self.leave(thing)
        self.step("free_pages", thing.address, thing.order)

    @rule(target=blocks, thing=consumes(blocks))
    def split_page(self, thing: Thing) -> MultipleResults[Thing]:
        self.leave(thing)
        self.step("split_page", self.call("virt_to_page", thing.address), thing.order)
        made = [Thing(at, PAGE, PAGE, b"") for at in range(thing.address, thing.address + thing.usable, PAGE)]
        for page in made:
            self.enter(page, PAGE, ("free_pages", Thing, 0))
        return multiple(*made)

    @rule(target=blocks, count=st.integers(1, 12), gfp=MASKS)
    def alloc_pages_bulk(self, count: int, gfp: int) -> MultipleResults[Thing]:
        frames = vector([0] * count)
        got = self.step("alloc_pages_bulk", gfp, count, frames, gfp=gfp)
        assert got <= count, "more pages than asked for"
        made = []
        for frame in list(frames)[:got]:
            assert frame, "a page that was counted is none"
            page = Thing(self.call("page_address", frame), PAGE, PAGE, b"")
            assert not gfp & ZERO or not any(read(page.address, PAGE)), "not zero"
            self.enter(page, PAGE, ("free_pages", Thing, 0))
            made.append(page)
        return multiple(*made)

    @rule(target=exacts, size=AREAS, gfp=MASKS)
    def alloc_pages_exact(self, size: int, gfp: int) -> MultipleResults[Thing]:
        usable = -(-size // PAGE) * PAGE
        return self.given(
            self.allocated(
                "alloc_pages_exact", size, size, gfp, gfp=gfp, align=PAGE, usable=usable,
                free=("free_pages_exact", Thing, size),
            )
        )  # fmt: skip

    @rule(thing=consumes(exacts))
    def free_pages_exact(self, thing: Thing) -> None:
        self.leave(thing)
        self.step("free_pages_exact", thing.address, thing.size)

    @rule(size=st.integers(1, 2**30) | st.integers(0, 30).map(lambda shift: 1 << shift))
    def get_order(self, size: int) -> None:
        assert self.step("get_order", size) == max(0, ((size - 1) >> 12).bit_length())

    # caches

    @rule(
        target=caches,
        size=st.integers(8, 700) | st.sampled_from([32, 64, 96, 128, 1000, 2048, 5000]),
        align=st.sampled_from([0, 0, 8, 16, 64, 128, 256]),
        lines=st.booleans(),
        built=st.sampled_from(["", "", "ctor", "dtor"]),
    )
    def create(self, size: int, align: int, lines: bool, built: str) -> MultipleResults[Cache]:
        flags = HWCACHE_ALIGN * lines
        state = bytes([self.births % 200 + 17]) * size if built else b""
        cache = Cache(0, size, state, counts=built == "dtor")
        if built == "dtor":
            functions = (
                CTOR_26(lambda p, _c, _f: self.construct(cache, p)),
                CTOR_26(lambda p, _c, _f: self.destruct(cache, p)),
            )
            self.kept.append(functions)
            cache.handle = self.step("kmem_cache_create_26", b"mine", size, align, flags, *functions)
        else:
            function = CTOR(lambda p: self.construct(cache, p)) if built else CTOR()
            self.kept.append(function)
            cache.handle = self.step("kmem_cache_create", b"mine", size, align, flags, function)
        if not cache.handle:
            return multiple()
        assert self.step("kmem_cache_size", cache.handle) >= size
        cache.alive = True
        self.all_caches.append(cache)
        line = 64
        while lines and size <= line // 2:
            line //= 2
        cache.built.setdefault(0, max(8, align, line if lines else 8))  # the alignment
        return multiple(cache)

    def construct(self, cache: Cache, address: int) -> None:
        """Construct an object; it must not live."""
        if address in self.live:
            self.wrong = "the constructor of a live object ran"
        if cache.counts:
            if address in cache.built:
                self.wrong = "constructed twice"
            cache.built[address] = 1
        write(address, cache.state)

    def destruct(self, cache: Cache, address: int) -> None:
        """Destruct an object that was constructed; it must not live."""
        if address in self.live:
            self.wrong = "the destructor of a live object ran"
        if cache.built.pop(address, None) is None:
            self.wrong = "a destructor ran for what was not constructed"

    @rule(target=cached, cache=caches, gfp=MASKS, zero=st.booleans())
    def cache_alloc(self, cache: Cache, gfp: int, zero: bool) -> MultipleResults[tuple[Cache, Thing]]:
        if not cache.alive:
            return multiple()
        name = "kmem_cache_zalloc" if zero and not cache.state else "kmem_cache_alloc"
        gfp &= ~ZERO if cache.state else -1
        thing = self.allocated(
            name, cache.size, cache.handle, gfp, gfp=gfp, zero=name == "kmem_cache_zalloc",
            align=cache.built[0], usable=cache.size, cache=cache,
            free=("kmem_cache_free", cache.handle, Thing),
        )  # fmt: skip
        if thing is None:
            return multiple()
        cache.things.append(thing)
        return multiple((cache, thing))

    @rule(target=cached, cache=caches, count=st.integers(1, 20), gfp=MASKS)
    def cache_bulk(self, cache: Cache, count: int, gfp: int) -> MultipleResults[tuple[Cache, Thing]]:
        if not cache.alive:
            return multiple()
        gfp &= ~ZERO if cache.state else -1
        array = vector([0] * count)
        got = self.step("kmem_cache_alloc_bulk", cache.handle, gfp, count, array, gfp=gfp)
        assert got in (0, count), "a part of a bulk"
        made = []
        for address in list(array)[:got]:
            assert address % cache.built[0] == 0, "not aligned"
            assert not gfp & ZERO or not any(read(address, cache.size)), "not zero"
            assert not cache.state or read(address, cache.size) == cache.state, "not as constructed"
            thing = Thing(address, cache.size, cache.size, b"")
            self.enter(thing, cache.size, ("kmem_cache_free", cache.handle, Thing))
            cache.things.append(thing)
            made.append((cache, thing))
        return multiple(*made)

    def uncache(self, cache: Cache, thing: Thing) -> None:
        """Let an object of a cache go, its constructed state restored."""
        self.leave(thing, state=cache.state)
        cache.things.remove(thing)

    @rule(pair=consumes(cached))
    def cache_free(self, pair: tuple[Cache, Thing]) -> None:
        cache, thing = pair
        if thing.alive:
            self.uncache(cache, thing)
            self.step("kmem_cache_free", cache.handle, thing.address)

    @rule(cache=caches, count=st.integers(1, 20))
    def cache_free_bulk(self, cache: Cache, count: int) -> None:
        things = cache.things[:count]
        if cache.alive and things:
            for thing in things:
                self.uncache(cache, thing)
            array = vector([thing.address for thing in things])
            self.step("kmem_cache_free_bulk", cache.handle, len(things), array)

    @rule(cache=caches)
    def cache_shrink(self, cache: Cache) -> None:
        if cache.alive:
            self.step("kmem_cache_shrink", cache.handle)

    @rule(cache=consumes(caches))
    def cache_destroy(self, cache: Cache) -> None:
        self.destroyed(cache)

    def destroyed(self, cache: Cache) -> None:
        """Free what is left of a cache, and destroy it."""
        if not cache.alive:
            return
        for thing in list(cache.things):
            self.uncache(cache, thing)
            self.step("kmem_cache_free", cache.handle, thing.address)
        cache.alive = False
        self.step("kmem_cache_destroy", cache.handle)
        assert not cache.counts or set(cache.built) == {0}, "destroyed without all destructors"

    # memory that fails, and what is left

    @rule(count=st.integers(1, 4))
    def next_fails(self, count: int) -> None:
        self.failing = True
        self.step("kmem_oracle_fail_nth", count)

    @rule(count=st.integers(2, 12), size=st.integers(8, 9000))
    def pool(self, count: int, size: int) -> None:
        cache = self.step("kmem_cache_create", b"pool", size, 0, 0, CTOR())
        pool = self.step("mempool_create_slab_pool", count, cache) if cache else 0
        if pool:
            things = [self.step("mempool_alloc", pool, GFP_KERNEL) for _ in range(count)]
            assert all(things), "a pool that may wait gave nothing"
            assert len(set(things)) == count, "overlap"
            for index, address in enumerate(things):
                write(address, bytes([index]) * size)
            for index, address in enumerate(things):
                assert read(address, size) == bytes([index]) * size, "contents changed"
                self.step("mempool_free", address, pool)
            self.step("mempool_destroy", pool)
        if cache:
            self.step("kmem_cache_destroy", cache)

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

    def teardown(self) -> None:
        error = sys.exc_info()[1]
        if isinstance(error, AssertionError):
            self.note(error)
            return
        try:
            self.all_freed()
        except AssertionError as lost:
            self.note(lost)
            raise

    def all_freed(self) -> None:
        """Free all that lives, and look whether as many pages can be had as at first."""
        for cache in self.all_caches:
            self.destroyed(cache)
        for thing, free in list(self.live.values()):
            self.leave(thing)
            free()
        assert self.free_pages_now() >= self.at_first, "memory was lost"


def _natural(size: int) -> int:
    """Return the alignment that kmalloc owes."""
    return size if size >= 8 and size & (size - 1) == 0 else 8


def _line_of(error: BaseException) -> int:
    """Return the line of this file that raised an exception."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return 0 if trace is None else trace.tb_lineno


def vector_of(text: bytes) -> int:
    """Return the address of a string that lives for ever."""
    import ctypes

    buffer = ctypes.create_string_buffer(text)
    WholeMachine.kept.append(buffer)
    return ctypes.addressof(buffer)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("library", type=Path)
    parser.add_argument("notes", type=Path)
    parser.add_argument("--arena", type=int, default=32, help="MiB that the library has")
    parser.add_argument("--steps", type=int, default=200, help="steps in an example, at most")
    options = parser.parse_args()
    with options.notes.open("r+b") as file:
        WholeMachine.notes = mmap.mmap(file.fileno(), NOTES.size)
    WholeMachine.arena = options.arena << 20
    WholeMachine.began = time.monotonic()
    WholeMachine.kmem = Kmem(options.library.resolve())
    asleep = HOOK(lambda: WholeMachine.slept.append(1))
    WholeMachine.kmem.call("kmem_oracle_on_sleep", asleep)
    run_state_machine_as_test(
        WholeMachine,
        settings=settings(
            max_examples=10_000_000,
            stateful_step_count=options.steps,
            database=None,
            deadline=None,
            derandomize=True,
            print_blob=False,
            report_multiple_bugs=False,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        ),
    )


if __name__ == "__main__":
    main()
