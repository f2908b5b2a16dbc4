"""Kernels with one thing wrong: within, where the state shows it, or in an answer, which the judge names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from kmem_model.area import Areas
from kmem_model.core import NO_BLOCK, Core
from kmem_model.frames import Frames
from kmem_model.free_lists import FreeLists
from kmem_model.kernel import Kernel
from kmem_model.kmalloc import KmallocCalls
from kmem_model.memory import Memory, address_of
from kmem_model.slab import BuiltCache, Cache
from kmem_model.space import Space
from kmem_spec.units import NULL, PAGE_SIZE


@dataclass(frozen=True)
class StateFault:
    """A function of the model to replace.

    machine   the machine that finds it
    found     clauses, or words of the invariant, of which one must be named
    """

    says: str
    of: type
    name: str
    wrong: Callable[..., object]
    machine: str
    found: tuple[str, ...]


def no_zeroing(_: Memory, start: int, length: int) -> None:
    """Zero nothing."""


def no_copying(_: Memory, source: int, target: int, length: int) -> None:
    """Copy nothing."""


def overlapping(self: Cache, base: int, index: int) -> int:
    """Hand out slots that begin too early."""
    address = base + index * (self.slot - 8)
    self.live.put(address, base)
    self.slabs.put(base, self.slabs.get(base, 0) + 1)
    return address


def twice(self: FreeLists, gfp: int) -> int:
    """Hand out the first slot although it is live."""
    base = self.active if self.waiting.get(self.active) else self._next_slab(gfp)
    return self.cache.alloc(base, 0) if base and not self.cache.live.get(base, 0) else base


def hasty(self: FreeLists) -> int:
    """Give back slabs with live objects."""
    for base in list(self.waiting):
        for index in set(range(self.cache.objects)) - set(self.waiting[base]):
            self.cache.free(base, index)
        self.partial.pop(base, None)
        self._discard(base)
    self.active = NULL
    return 0


def forgetful(self: KmallocCalls, p: int, size: int, gfp: int) -> int:
    """Free the old object also where there is no new one."""
    new = self.kmalloc(size, gfp)
    held = self.ksize(p)
    if held and new:
        self.memory.copy(p, new, min(held, self.ksize(new)))
    self.kfree(p)
    return new


def trusting(self: KmallocCalls, p: int) -> None:
    """Free whatever lies at a pointer."""
    found = self.caches.find(p & ~15)
    if found:
        found[0].free(*found[1:])
    elif self.block_at(p) is not NO_BLOCK:
        self.give_block(p, self.block_at(p).order)


def leaking(self: Core, address: int, order: int) -> None:
    """Take a block back and keep it."""
    self.let_go(address)


def unaligned(self: Frames, order: int, gfp: int) -> int:
    """Give blocks that begin one page late."""
    pfn = self.pages.alloc(min(order + 1, 10), gfp)
    return address_of(pfn + 1) if pfn is not None else NULL


def freed_for_nothing(self: Cache, base: int, index: int) -> None:
    """Leave a freed object live."""


def half_ended(self: Space, start: int) -> None:
    """Give back all frames of an area but the first."""
    for _ in range(self.mapped(start) - 1):
        self.frames.give(self.areas.unback(start), 0)
    self.areas.unback(start)
    self._release(start)


def kept_aliases(self: Space, start: int) -> None:
    """End an area that is still mapped."""
    self.holes.give(start, self.areas.areas.get(start, 0))
    self.areas.areas.drop(start)


def one_frame(self: Areas, start: int, frame: int) -> None:
    """Back every page of an area by the first frame."""
    page = self._next_page(start)
    self.frames.put(page, self.frames.get(start, frame))
    self.backing.put(frame, page)
    self.mapped.put(start, page + PAGE_SIZE - start)


def no_frame(self: Areas, start: int, frame: int) -> None:
    """Count a page of an area as mapped, and put no frame behind it."""
    page = self._next_page(start)
    self.backing.put(frame, page)
    self.mapped.put(start, page + PAGE_SIZE - start)


def forgotten_slot(self: BuiltCache, base: int) -> int:
    """Count a slot as constructed and do not note where."""
    index = self.built.get(base, 0)
    self.built.put(base, index + 1)
    return base + index * self.slot


def stale_slots(self: BuiltCache, base: int) -> int:
    """Leave the address of a destructed slot constructed."""
    index = self.built.get(base, 0) - 1
    self.built.put(base, index)
    return base + index * self.slot


def half_failed(self: FreeLists, gfp: int, count: int) -> list[int]:
    """Keep what a bulk allocation had got when it failed."""
    given: list[int] = []
    for _ in range(count):
        address = self.alloc(gfp)
        if address == NULL:
            return []
        given.append(address)
    return given


STATE_FAULTS: Final = [
    StateFault("zeroing does nothing", Memory, "zero", no_zeroing, "kmalloc", ("ZERO",)),
    StateFault("copying does nothing", Memory, "copy", no_copying, "kmalloc", ("KEEP", "SLAB-COPY")),
    StateFault("slots overlap", Cache, "alloc", overlapping, "kmalloc", ("SLAB-", "MEM-APART")),
    StateFault("a live object is handed out again", FreeLists, "alloc", twice, "kmalloc", ("SLAB-", "MEM-")),
    StateFault(
        "slabs with live objects are given back",
        FreeLists,
        "shrink",
        hasty,
        "caches",
        ("CACHE-", "held", "MEM-"),
    ),
    StateFault(
        "krealloc frees the old object when it fails",
        Kernel,
        "krealloc",
        forgetful,
        "kmalloc",
        ("held", "SLAB-", "MEM-", "CALLER-FREE"),
    ),
    StateFault(
        "kfree takes pointers into objects, and blocks",
        Kernel,
        "kfree",
        trusting,
        "kmalloc",
        ("held", "changed", "was taken"),
    ),
    StateFault("freed blocks never come back", Core, "give_block", leaking, "pages", ("leak",)),
    StateFault("blocks are off their alignment", Frames, "take", unaligned, "pages", ("leak", "PAGE-ALIGN")),
    StateFault(
        "freed objects stay live", Cache, "free", freed_for_nothing, "caches", ("SLAB-LIVE", "CALLER-DESTROY")
    ),
    StateFault("the first frame of an area stays", Space, "end", half_ended, "areas", ("leak",)),
    StateFault(
        "an area goes before its pages", Space, "hide", kept_aliases, "areas", ("VM-UNMAPPED", "VM-INSIDE")
    ),
    StateFault("one frame backs an area", Areas, "back", one_frame, "areas", ("VM-FRAME",)),
    StateFault("an area has no frames", Areas, "back", no_frame, "areas", ("VM-FRAMES", "VM-HELD")),
    StateFault(
        "a slot is constructed nowhere",
        BuiltCache,
        "construct",
        forgotten_slot,
        "caches",
        ("CACHE-CONSTRUCTED",),
    ),
    StateFault(
        "destructed slots stay constructed",
        BuiltCache,
        "destruct",
        stale_slots,
        "caches",
        ("CACHE-DESTRUCTED",),
    ),
    StateFault(
        "a bulk that fails keeps what it got", FreeLists, "alloc_bulk", half_failed, "caches", ("held",)
    ),
]
