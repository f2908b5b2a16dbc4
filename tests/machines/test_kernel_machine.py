"""Drive the model kernel at random: tables keep the rules, answers are legal, refusals change nothing."""

from __future__ import annotations

import copy
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import Phase, Verbosity, settings
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

from kmem_model.caches import FreeLists
from kmem_model.core import NO_BLOCK, Core
from kmem_model.frames import Frames
from kmem_model.kernel import Kernel
from kmem_model.kmalloc import KmallocCalls
from kmem_model.memory import Memory, address_of, pfn_of
from kmem_model.slab import Cache
from kmem_spec import cache, zone
from kmem_spec.extents import disjoint
from kmem_spec.gfp import DMA, DMA32, GFP_ATOMIC, GFP_KERNEL, GFP_NOWAIT, GFP_USER, MEMALLOC, ZERO
from kmem_spec.slab import CLASS_SIZES, size_class
from kmem_spec.table import Refused
from kmem_spec.units import PAGE_SHIFT, PAGE_SIZE, SIZE_MAX, ZERO_SIZE_PTR

MEMORY = 6 << 20
MAX_SIZE = 4 << 20
REACHED: Counter[str] = Counter()
OUTCOMES = {  # what a run of the machine must have come by
    *(f"kmalloc {end}" for end in ("object", "large", "nothing", "too large")),
    *(f"{api} object" for api in ("kzalloc", "kmalloc_array", "kcalloc")),
    *(f"{api} too large" for api in ("kmalloc_array", "kcalloc")),
    *(f"krealloc {end}" for end in ("in place", "moved", "failed", "freed", "of nothing", "zeroed in place")),
    *(f"kfree {end}" for end in ("object", "large", "nothing")),
    *(f"ksize {end}" for end in ("object", "large", "nothing")),
    *(f"__get_free_pages {end}" for end in ("block", "too large")),
    "get_zeroed_page block",
    *(f"free_pages {end}" for end in ("block", "nothing")),
    *(f"refused CALLER-{end}" for end in ("FREE", "DOUBLE-FREE", "FAMILY", "ORDER", "GFP")),
    "injected failure",
    "real need",
    "memory exhausted",
    "slabs shrunk",
}


@dataclass
class Held:
    """What a caller has: `order` is that of a block of pages, -1 for memory from kmalloc."""

    start: int
    size: int
    usable: int
    order: int
    byte: int
    given_back: bool = False


bases = st.sampled_from(
    [GFP_KERNEL, GFP_ATOMIC, GFP_NOWAIT, GFP_USER, 0, GFP_KERNEL | DMA, GFP_ATOMIC | MEMALLOC]
)
masks = st.builds(lambda base, zero: base | zero, bases, st.sampled_from([0, 0, ZERO]))
near_classes = st.builds(
    lambda size, off: max(1, size + off),
    st.sampled_from([*CLASS_SIZES, 16384, 65536, MAX_SIZE // 4]),
    st.integers(-1, 1),
)
sizes = st.one_of(near_classes, near_classes, st.integers(1, 9000))
counts = st.integers(0, 20)
strange = st.sampled_from([0, 0, MAX_SIZE, MAX_SIZE + 1, 1 << 40, SIZE_MAX])
orders = st.sampled_from([0, 0, 1, 2, 3, 3, 5, 8, 9, 10, 11, 64])


class KernelMachine(RuleBasedStateMachine):
    """Callers of all kinds on one small machine; each fills what it has with a byte of its own."""

    held: Bundle[int] = Bundle("held")
    gone: Bundle[int] = Bundle("gone")

    def __init__(self) -> None:
        super().__init__()
        self.kernel = Kernel(MEMORY)
        self.things: list[Held] = []

    # What callers do rightly.

    @rule(
        target=held,
        api=st.sampled_from(["kmalloc", "kzalloc"]),
        size=st.one_of(sizes, sizes, strange),
        gfp=masks,
    )
    def allocate(self, api: str, size: int, gfp: int) -> MultipleResults[int]:
        return self.enter(api, (size, gfp), size, zeroed=api == "kzalloc" or bool(gfp & ZERO))

    @rule(
        target=held,
        api=st.sampled_from(["kmalloc_array", "kcalloc"]),
        n=st.one_of(counts, counts, st.sampled_from([1 << 32, SIZE_MAX])),
        size=st.one_of(counts, sizes, st.sampled_from([1 << 32, SIZE_MAX])),
        gfp=masks,
    )
    def allocate_array(self, api: str, n: int, size: int, gfp: int) -> MultipleResults[int]:
        return self.enter(api, (n, size, gfp), n * size, zeroed=api == "kcalloc" or bool(gfp & ZERO))

    @rule(target=held, gfp=masks, order=orders)
    def get_pages(self, gfp: int, order: int) -> MultipleResults[int]:
        return self.enter_block("__get_free_pages", (gfp, order), order, zeroed=bool(gfp & ZERO))

    @rule(target=held, gfp=masks)
    def get_zeroed_page(self, gfp: int) -> MultipleResults[int]:
        return self.enter_block("get_zeroed_page", (gfp,), 0, zeroed=True)

    @rule(target=gone, which=consumes(held))
    def free(self, which: int) -> int:
        thing = self.things[which]
        if thing.order < 0:
            self.kernel.kfree(thing.start)
            self.note(f"kfree {'object' if thing.usable <= CLASS_SIZES[-1] else 'large'}")
        else:
            self.kernel.free_pages(thing.start, thing.order)
            self.note("free_pages block")
        thing.given_back = True
        return which

    @rule(which=held)
    def measure(self, which: int) -> None:
        thing = self.things[which]
        if thing.order < 0:
            assert self.kernel.ksize(thing.start) == thing.usable
            self.note(f"ksize {'object' if thing.usable <= CLASS_SIZES[-1] else 'large'}")

    @rule(target=held, which=consumes(held), size=st.one_of(sizes, sizes, strange), gfp=masks)
    def resize(self, which: int, size: int, gfp: int) -> MultipleResults[int]:
        thing = self.things[which]
        if thing.order >= 0:
            return multiple(which)
        failing = self.kernel.fail_nth
        p = self.kernel.krealloc(thing.start, size, gfp)
        if size == 0:
            assert p == ZERO_SIZE_PTR
            thing.given_back = True
            self.note("krealloc freed")
            return multiple()
        if p == 0:
            assert size > thing.usable
            self.note("krealloc failed")
            if size <= MAX_SIZE:
                self.in_need("krealloc", (thing.start, size, gfp), failing)
            return multiple(which)
        assert (p == thing.start) == (size <= thing.usable)
        kept = size if p == thing.start and gfp & ZERO else thing.usable
        assert self.kernel.memory.first_other(p, kept, thing.byte) is None
        thing.given_back = True
        new = self.hold(p, size, -1)
        usable = self.things[new].usable
        if gfp & ZERO and kept < usable:
            assert self.kernel.memory.first_other(p + kept, usable - kept, 0) is None
            self.note("krealloc zeroed in place" if p == thing.start else "krealloc zeroed and moved")
        self.kernel.memory.fill(p, usable, self.things[new].byte)
        self.note("krealloc in place" if p == thing.start else "krealloc moved")
        return multiple(new)

    @rule(target=held, nothing=st.sampled_from([0, ZERO_SIZE_PTR]), size=sizes, gfp=masks)
    def resize_nothing(self, nothing: int, size: int, gfp: int) -> MultipleResults[int]:
        self.note("krealloc of nothing")
        return self.enter("krealloc", (nothing, size, gfp), size, zeroed=bool(gfp & ZERO))

    @rule(nothing=st.sampled_from([0, ZERO_SIZE_PTR]), order=orders)
    def free_nothing(self, nothing: int, order: int) -> None:
        self.kernel.kfree(nothing)
        assert self.kernel.ksize(nothing) == 0
        self.kernel.free_pages(0, order)
        for api in ("kfree", "ksize", "free_pages"):
            self.note(f"{api} nothing")

    # What befalls the machine.

    @rule(n=st.integers(1, 3))
    def inject(self, n: int) -> None:
        self.kernel.fail_nth = n

    @rule()
    def shrink(self) -> None:
        if self.kernel.caches.shrink():
            self.note("slabs shrunk")

    @rule(gfp=bases)
    def exhaust(self, gfp: int) -> None:
        self.kernel.fail_nth = 0
        blocks = []
        for order in (9, 6, 3, 0):
            while block := self.kernel.get_free_pages(gfp, order):
                blocks.append((block, order))
        assert self.kernel.get_free_pages(gfp, 0) == 0
        assert self.kernel.caches.shrink() is False
        for block, order in blocks:
            self.kernel.free_pages(block, order)
        self.note("memory exhausted")

    # What callers do wrongly.

    @rule(which=st.one_of(held, gone), inside=st.sampled_from([0, 0, 0, 8, 4096]), order=orders)
    def mistake(self, which: int, inside: int, order: int) -> None:
        p = self.things[which].start + inside
        thing = next((each for each in self.things if each.start == p and not each.given_back), None)
        block = thing is not None and thing.order >= 0
        gone = p in self.kernel.freed
        wrong_free = "CALLER-FAMILY" if block else "CALLER-DOUBLE-FREE" if gone else "CALLER-FREE"
        if thing is None or block:
            self.refused(wrong_free, "kfree", p)
            self.refused("CALLER-FAMILY" if block else "CALLER-FREE", "ksize", p)
            self.refused("CALLER-FAMILY" if block else "CALLER-FREE", "krealloc", p, 100, GFP_KERNEL)
        if thing is None:
            self.refused(wrong_free, "free_pages", p, order)
        elif not block:
            self.refused("CALLER-FAMILY", "free_pages", p, order)
        elif order != thing.order:
            self.refused("CALLER-ORDER", "free_pages", p, order)

    @rule(size=sizes, order=orders)
    def wrong_mask(self, size: int, order: int) -> None:
        gfp = GFP_KERNEL | DMA | DMA32
        for api in ("kmalloc", "kzalloc"):
            self.refused("CALLER-GFP", api, size, gfp)
        for api in ("kmalloc_array", "kcalloc"):
            self.refused("CALLER-GFP", api, 2, size, gfp)
        self.refused("CALLER-GFP", "__get_free_pages", gfp, order)
        self.refused("CALLER-GFP", "get_zeroed_page", gfp)

    # What must hold all the time.

    @invariant()
    def every_rule_of_zones_holds(self) -> None:
        for each in self.kernel.frames.pages.zones:
            assert zone.broken_clauses(each) == []

    @invariant()
    def every_rule_of_caches_holds(self) -> None:
        lists = self.kernel.caches.every
        assert cache.broken_clauses([each.cache for each in lists]) == []
        for each in lists:
            for base, waiting in each.waiting.items():
                assert (
                    len(set(waiting)) == len(waiting) == each.cache.objects - each.cache.slabs.get(base, -1)
                )
                assert all(cache.waiting_object_is_not_live(each.cache, base, i, True) for i in waiting)

    @invariant()
    def every_page_in_use_is_of_a_slab_or_a_block(self) -> None:
        kernel = self.kernel
        used = {
            head: pages
            for each in kernel.frames.pages.zones
            for head, pages in dict(each.used).items()  # type: ignore[call-overload]  # a running table is a dict
        }
        slabs = {pfn_of(base): 1 << each.cache.order for base, each in kernel.caches.slab_at.items()}
        blocks = {pfn_of(start): length >> PAGE_SHIFT for start, length in dict(kernel.blocks.spans).items()}  # type: ignore[call-overload]  # as above
        assert not slabs.keys() & blocks.keys()
        assert slabs | blocks == used
        assert len(kernel.caches.owners) == sum(slabs.values())

    @invariant()
    def callers_have_their_bytes_and_nobody_elses(self) -> None:
        live = sorted((each for each in self.things if not each.given_back), key=lambda each: each.start)
        for one, other in pairwise(live):
            assert disjoint(one.start, one.usable, other.start, other.usable)
        for each in live:
            assert self.kernel.memory.first_other(each.start, each.usable, each.byte) is None

    # How the rules work.

    def note(self, outcome: str) -> None:
        REACHED[outcome] += 1

    def hold(self, start: int, size: int, order: int) -> int:
        """Enter something given into the list of things, and return its number."""
        usable = self.kernel.ksize(start) if order < 0 else PAGE_SIZE << order
        self.things.append(Held(start, size, usable, order, len(self.things) % 250 + 1))
        return len(self.things) - 1

    def enter(self, api: str, args: tuple[int, ...], size: int, *, zeroed: bool) -> MultipleResults[int]:
        """Make a call of the kmalloc family and check what it gives."""
        failing = self.kernel.fail_nth
        p = self.kernel.call(api, args)
        if size == 0:
            assert p == ZERO_SIZE_PTR
            self.note(f"{api} nothing")
            return multiple()
        if size > MAX_SIZE:
            assert p == 0
            self.note(f"{api} too large")
            return multiple()
        if p == 0:
            self.in_need(api, args, failing)
            return multiple()
        slot = size_class(size)
        assert self.kernel.ksize(p) == slot
        assert p % (slot & -slot) == 0
        self.note(f"{api} {'object' if size <= CLASS_SIZES[-1] else 'large'}")
        return multiple(self.fill(self.hold(p, size, -1), zeroed=zeroed))

    def enter_block(
        self, api: str, args: tuple[int, ...], order: int, *, zeroed: bool
    ) -> MultipleResults[int]:
        """Make a call of the page family and check what it gives."""
        failing = self.kernel.fail_nth
        address = self.kernel.call(api, args)
        if order > 10:
            assert address == 0
            self.note(f"{api} too large")
            return multiple()
        if address == 0:
            self.in_need(api, args, failing)
            return multiple()
        assert address % (PAGE_SIZE << order) == 0
        self.note(f"{api} block")
        return multiple(self.fill(self.hold(address, PAGE_SIZE << order, order), zeroed=zeroed))

    def fill(self, which: int, *, zeroed: bool) -> int:
        """Check the zeroes of something new, and write all over it."""
        thing = self.things[which]
        if zeroed:
            assert self.kernel.memory.first_other(thing.start, thing.usable, 0) is None
        self.kernel.memory.fill(thing.start, thing.usable, thing.byte)
        return which

    def in_need(self, api: str, args: tuple[int, ...], failing: int) -> None:
        """Check a NULL for a request that can be met: it was injected, or comes again."""
        if failing == 1:
            assert self.kernel.fail_nth == 0
            self.note("injected failure")
        else:
            assert self.kernel.call(api, args) == 0
            self.note("real need")
        self.note(f"{api} in need")

    def refused(self, clause: str, api: str, *args: int) -> None:
        """Make a call that must be refused and change nothing."""
        before = tables(self.kernel)
        with pytest.raises(Refused) as caught:
            self.kernel.call(api, args)
        assert caught.value.clause == clause
        assert tables(self.kernel) == before
        self.note(f"refused {clause}")


def tables(kernel: Kernel) -> object:
    """Return a copy of the tables that a call may change."""
    return copy.deepcopy(
        (
            [(each.free, each.used, each.nfree) for each in kernel.frames.pages.zones],
            [(each.cache.slabs, each.cache.live, each.waiting, each.partial) for each in kernel.caches.every],
            kernel.caches.owners,
            dict(kernel.blocks.spans),  # type: ignore[call-overload]  # a running table is a dict
            kernel.freed,
            kernel.fail_nth,
        )
    )


def test_the_kernel_keeps_every_rule(machine_settings: settings) -> None:
    REACHED.clear()
    run_state_machine_as_test(KernelMachine, settings=machine_settings)
    for outcome in sorted(OUTCOMES | REACHED.keys()):
        print(f"{REACHED[outcome]:7} {outcome}")
    assert [outcome for outcome in sorted(OUTCOMES) if not REACHED[outcome]] == []


def no_zeroing(_: Memory, start: int, length: int) -> None: ...


def no_copying(_: Memory, source: int, target: int, length: int) -> None: ...


def overlapping(self: Cache, base: int, index: int) -> int:
    address = base + index * (self.slot - 8)
    self.live.put(address, base)
    self.slabs.put(base, self.slabs.get(base, 0) + 1)
    return address


def twice(self: FreeLists, gfp: int) -> int:
    base = self.active if self.waiting.get(self.active) else self._next_slab(gfp)
    return self.cache.alloc(base, 0) if base and not self.cache.live.get(base, 0) else base


def hasty(self: FreeLists) -> int:
    for base in list(self.waiting):
        for index in set(range(self.cache.objects)) - set(self.waiting[base]):
            self.cache.free(base, index)
        self.partial.pop(base, None)
        self._discard(base)
    self.active = 0
    return 0


def forgetful(self: KmallocCalls, p: int, size: int, gfp: int) -> int:
    new = self.kmalloc(size, gfp)
    held = self.ksize(p)
    if held and new:
        self.memory.copy(p, new, min(held, self.ksize(new)))
    self.kfree(p)
    return new


def trusting(self: KmallocCalls, p: int) -> None:
    found = self.caches.find(p & ~15)
    if found:
        found[0].free(*found[1:])
    elif self.block_at(p) is not NO_BLOCK:
        self.give_block(p, self.block_at(p).order)


def leaking(self: Core, address: int, order: int) -> None:
    self.blocks.release(address)
    self.freed.add(address)


def unaligned(self: Frames, order: int, gfp: int) -> int:
    pfn = self.pages.alloc(min(order + 1, 10), gfp)
    return address_of(pfn + 1) if pfn is not None else 0


FAULTS: dict[str, tuple[type, str, object]] = {
    "zeroing does nothing": (Memory, "zero", no_zeroing),
    "copying does nothing": (Memory, "copy", no_copying),
    "slots overlap": (Cache, "alloc", overlapping),
    "a live object is handed out again": (FreeLists, "alloc", twice),
    "slabs with live objects are given back": (FreeLists, "shrink", hasty),
    "krealloc frees the old object when it fails": (Kernel, "krealloc", forgetful),
    "kfree takes pointers into objects, and blocks": (Kernel, "kfree", trusting),
    "freed blocks never come back": (Core, "give_block", leaking),
    "blocks are off their alignment": (Frames, "take", unaligned),
    "freed objects stay live": (Cache, "free", lambda self, base, index: None),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_kernel_is_found_out(
    fault: str, machine_settings: settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(*FAULTS[fault])
    quick = settings(machine_settings, phases=(Phase.generate,), verbosity=Verbosity.quiet)
    with pytest.raises((AssertionError, Refused, KeyError, pytest.fail.Exception)):
        run_state_machine_as_test(KernelMachine, settings=quick)
