"""The kernel before the judge: all that it does is admitted, each fault of it named by the right clause.

A driver calls at random, fills what it has, and says what it sees; caller's mistakes are made too, and
kernel and judge must give them the same name.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from kmem_model.kernel import Kernel
from kmem_model.memory import PAGE_OFFSET, Memory
from kmem_spec.calls import Answer, Call, Event
from kmem_spec.finding import Finding
from kmem_spec.gfp import DMA, DMA32, GFP_ATOMIC, GFP_KERNEL, GFP_NOWAIT, MOVABLE, RECLAIMABLE, ZERO, has
from kmem_spec.judge import Judge
from kmem_spec.profile import Profile, load
from kmem_spec.table import Refused
from kmem_spec.units import PAGE_SIZE, SIZE_MAX, ZERO_SIZE_PTR

MIB = 1 << 20
MEMORY = 32 * MIB
PROFILES = {name: load(name) for name in ("contract", "linux-6.1", "linux-6.12")} | {
    "zones": replace(load("linux-6.12"), dma_end=PAGE_OFFSET + 16 * MIB, dma32_end=PAGE_OFFSET + 4096 * MIB)
}
ODD_SIZES = (
    0,
    1,
    8,
    9,
    64,
    65,
    96,
    97,
    128,
    192,
    8192,
    8193,
    20000,
    MIB,
    4 * MIB,
    4 * MIB + 1,
    1 << 40,
    SIZE_MAX,
)
ARRAYS = ((0, 5), (3, 40), (10, 100), (1 << 32, 1 << 32), (1 << 61, 8), (SIZE_MAX, 2), (1, 4 * MIB + 1))
MASKS = (GFP_KERNEL, GFP_KERNEL, GFP_KERNEL, GFP_ATOMIC, GFP_NOWAIT, GFP_KERNEL | DMA)
WRONG_MASKS = (GFP_KERNEL | DMA | DMA32, GFP_KERNEL | MOVABLE | RECLAIMABLE)


@dataclass
class Held:
    """What the driver has.

    order    that of a block of pages, -1 for memory from kmalloc
    zeroed   whether all calls for it so far asked for zeroes
    """

    start: int
    size: int
    order: int
    byte: int
    zeroed: bool


class Driver:
    """Calls at random, and the events that they make."""

    def __init__(self, kernel: Kernel, seed: int) -> None:
        self.kernel = kernel
        self.dice = random.Random(seed)
        self.held: list[Held] = []
        self.old: list[tuple[int, int]] = [(PAGE_OFFSET + 8, 0)]
        self.refused = ""  # the clause under which the kernel refused the last call

    def step(self) -> list[Event]:
        """Make a call; return its event, before it that of a look at the object in hand."""
        dice = self.dice
        self.refused = ""
        if dice.random() < 0.01:
            self.kernel.fail_nth = dice.randrange(1, 4)
        if self.held and dice.random() < (0.5 if len(self.held) < 60 else 0.7):
            return self.end(dice.randrange(len(self.held)))
        if dice.random() < 0.03:
            return [self.mistake()]
        if dice.random() < 0.02:
            return [self.one_of(("kfree", (0,)), ("kfree", (16,)), ("ksize", (16,)), ("free_pages", (0, 3)))]
        return [self.begin()]

    def begin(self) -> Event:
        """Allocate."""
        dice = self.dice
        gfp = dice.choice(MASKS) | (ZERO if dice.random() < 0.3 else 0)
        api = dice.choice(
            ("kmalloc", "kmalloc", "kzalloc", "kmalloc_array", "kcalloc", "krealloc", "pages", "page")
        )
        if api == "pages":
            order = dice.choice((0, 0, 1, 2, 3, 5, 8, 10, 11, 40))
            return self.give("__get_free_pages", (gfp, order), PAGE_SIZE << order, order, has(gfp, ZERO))
        if api == "page":
            return self.give("get_zeroed_page", (gfp,), PAGE_SIZE, 0, True)
        if api in {"kmalloc_array", "kcalloc"}:
            n, size = dice.choice(ARRAYS)
            return self.give(api, (n, size, gfp), n * size, -1, api == "kcalloc" or has(gfp, ZERO))
        size = dice.choice(ODD_SIZES) if dice.random() < 0.5 else dice.randrange(1, 600)
        args = (dice.choice((0, 16)), size, gfp) if api == "krealloc" else (size, gfp)
        return self.give(api, args, size, -1, api == "kzalloc" or has(gfp, ZERO))

    def give(self, api: str, args: tuple[int, ...], size: int, order: int, zeroed: bool) -> Event:
        """Make an allocating call, and note what it gives."""
        event = self.call(api, *args)
        p = event.answer.result
        if not PAGE_OFFSET <= p < PAGE_OFFSET + MEMORY or size > 4 * MIB:
            return event
        nonzero = self.kernel.memory.first_other(p, size, 0) if zeroed else None
        self.take(p, size, order, zeroed)
        usable = self.kernel.ksize(p) if order < 0 else -1
        return Event(event.call, Answer(p, usable=usable, nonzero=-1 if nonzero is None else nonzero))

    def take(self, p: int, size: int, order: int, zeroed: bool) -> None:
        """Note an object and write all over what was asked for."""
        thing = Held(p, size, order, self.dice.randrange(1, 256), zeroed)
        self.kernel.memory.fill(p, size, thing.byte)
        self.held.append(thing)

    def end(self, at: int) -> list[Event]:
        """Look at an object, then free, measure or resize it."""
        thing = self.held[at]
        changed = self.kernel.memory.first_other(thing.start, thing.size, thing.byte)
        look = Event(Call("check", (thing.start,)), Answer(0, changed=-1 if changed is None else changed))
        choice = self.dice.random()
        if thing.order < 0 and choice < 0.15:
            return [look, self.call("ksize", thing.start)]
        self.held[at] = self.held[-1]
        self.held.pop()
        if thing.order >= 0:
            self.old.append((thing.start, thing.order))
            return [look, self.call("free_pages", thing.start, thing.order)]
        if choice < 0.6:
            self.old.append((thing.start, -1))
            return [look, self.call("kfree", thing.start)]
        return [look, self.resize(thing)]

    def resize(self, thing: Held) -> Event:
        """Resize an object."""
        dice = self.dice
        size = dice.choice(ODD_SIZES) if dice.random() < 0.3 else dice.randrange(1, 1200)
        gfp = dice.choice(MASKS) | (ZERO if thing.zeroed or dice.random() < 0.1 else 0)
        event = self.call("krealloc", thing.start, size, gfp)
        p = event.answer.result
        if size == 0:
            return event
        where, kept = (p, min(thing.size, size)) if p else (thing.start, thing.size)
        changed = self.kernel.memory.first_other(where, kept, thing.byte)
        seen = Answer(p, changed=-1 if changed is None else changed)
        if p == 0:
            self.held.append(thing)
            return Event(event.call, seen)
        zeroed = thing.zeroed and has(gfp, ZERO)
        grown = max(0, size - thing.size) if zeroed else 0
        nonzero = self.kernel.memory.first_other(p + thing.size, grown, 0)
        self.take(p, size, -1, zeroed)
        seen = seen._replace(
            usable=self.kernel.ksize(p), nonzero=-1 if nonzero is None else thing.size + nonzero
        )
        return Event(event.call, seen)

    def mistake(self) -> Event:
        """Make a call that no caller may make, or one that happens to be right after all."""
        dice = self.dice
        p, order = dice.choice(self.old)
        if self.held and dice.random() < 0.5:
            p, order = dice.choice([(each.start, each.order) for each in self.held])
            if order < 0:
                return self.one_of(("free_pages", (p, 0)), ("kfree", (p + 1,)), ("ksize", (p + 8,)))
            return self.one_of(("free_pages", (p, order + 1)), ("kfree", (p,)), ("krealloc", (p, 9, 0)))
        if any(each.start == p for each in self.held) or dice.random() < 0.3:
            return self.call("kmalloc", dice.choice(ODD_SIZES), dice.choice(WRONG_MASKS))
        if order < 0:
            return self.one_of(("kfree", (p,)), ("ksize", (p,)), ("krealloc", (p, 9, 0)))
        return self.call("free_pages", p, order)

    def one_of(self, *calls: tuple[str, tuple[int, ...]]) -> Event:
        """Make one of some calls."""
        api, args = self.dice.choice(calls)
        return self.call(api, *args)

    def call(self, api: str, *args: int) -> Event:
        """Make one call."""
        try:
            result = self.kernel.call(api, args)
        except Refused as refused:
            self.refused, result = refused.clause, 0
        return Event(Call(api, args), Answer(result))


def first_finding(kernel: Kernel, profile: Profile, seed: int, calls: int) -> tuple[Finding | None, Judge]:
    """Drive a kernel before a judge until the first finding against the kernel.

    A kernel without fault must also give every mistake of the caller the name that the judge gives it.
    """
    driver, judge = Driver(kernel, seed), Judge(profile, looked=True)
    for _ in range(calls):
        for event in driver.step():
            finding = judge.admit(event)
            if finding is not None and finding.who == "allocator":
                return finding, judge
            if type(kernel) is Kernel and event.call.api != "check":
                assert driver.refused == ("" if finding is None else finding.clause), event
    return None, judge


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_all_that_the_kernel_does_is_admitted(profile: Profile, seed: int) -> None:
    finding, judge = first_finding(Kernel(MEMORY), profile, seed, 6000)
    assert finding is None
    judged = judge.counts()
    unseen = {
        "CALLER-FREE",
        "CALLER-DOUBLE-FREE",
        "CALLER-FAMILY",
        "CALLER-ORDER",
        "CALLER-GFP",
        "CALLER-LEAK",
    }
    quiet = {clause.id for clause in profile.clauses() if clause.kind == "state"} - {"MEM-APART"}
    idle = {clause for clause, count in judged.items() if count == 0} - unseen - quiet
    assert idle <= ({"MEM-LIVENESS"} if profile.dma_end else {"MEM-LIVENESS", "PAGE-ZONE"})


# Faults. Each is a kernel with one thing wrong; each is found within some thousand calls.


class ZeroIsNull(Kernel):
    def kmalloc(self, size: int, gfp: int) -> int:
        return super().kmalloc(size, gfp) if size else 0


class NoMaximum(Kernel):
    def kmalloc(self, size: int, gfp: int) -> int:
        return super().kmalloc(min(size, 4 * MIB), gfp)


class WrappingProduct(Kernel):
    def kmalloc_array(self, n: int, size: int, gfp: int) -> int:
        return self.kmalloc(n * size & SIZE_MAX, gfp)


class ClassTooSmall(Kernel):
    def kmalloc(self, size: int, gfp: int) -> int:
        return super().kmalloc(size - 1 if size > 1 else size, gfp)


class ErrorPointer(Kernel):
    def kmalloc(self, size: int, gfp: int) -> int:
        p = super().kmalloc(size, gfp)
        return SIZE_MAX - 11 if p == 0 and size <= 4 * MIB else p


class OddClass(Kernel):
    def __init__(self, memory_bytes: int) -> None:
        super().__init__(memory_bytes)
        lists = self.caches.create("kmalloc-64", 72, 8)
        assert lists is not None
        self._normal[3] = lists


class ShiftedClass(Kernel):
    """Objects of 96 bytes begin 8 bytes late, in the room that their slabs have left."""

    def kmalloc(self, size: int, gfp: int) -> int:
        if not 64 < size <= 96:
            return super().kmalloc(size, gfp)
        p = super().kmalloc(size, gfp & ~ZERO)
        if p == 0:
            return 0
        if gfp & ZERO:
            self.memory.zero(p + 8, 96)
        return p + 8

    def kfree(self, p: int) -> None:
        super().kfree(self._true(p))

    def ksize(self, p: int) -> int:
        return super().ksize(self._true(p))

    def _true(self, p: int) -> int:
        found = self.caches.find(p - 8)
        return p - 8 if found and found[0].cache.slot == 96 else p


class GivenTwice(Kernel):
    last = 0

    def kmalloc(self, size: int, gfp: int) -> int:
        if size == 64 and self.last and self.caches.find(self.last):
            return self.last
        p = super().kmalloc(size, gfp)
        if size == 64:
            self.last = p
        return p


class NoZeroing(Kernel):
    def kzalloc(self, size: int, gfp: int) -> int:
        return self.kmalloc(size, gfp & ~ZERO)


class NoFlaggedZeroing(Kernel):
    def get_free_pages(self, gfp: int, order: int) -> int:
        return super().get_free_pages(gfp & ~ZERO, order)


class OneTooMany(Kernel):
    def kzalloc(self, size: int, gfp: int) -> int:
        p = super().kzalloc(size, gfp)
        if p > ZERO_SIZE_PTR:
            self.memory.zero(p + self.ksize(p), 1)
        return p


class NothingKept(Kernel):
    def krealloc(self, p: int, size: int, gfp: int) -> int:
        new = super().krealloc(p, size, gfp)
        if new not in (p, 0, ZERO_SIZE_PTR) and p > ZERO_SIZE_PTR:
            self.memory.fill(new, min(size, 8), 0)
        return new


class SpoiledByFailure(Kernel):
    def krealloc(self, p: int, size: int, gfp: int) -> int:
        new = super().krealloc(p, size, gfp)
        if new == 0 and p > ZERO_SIZE_PTR:
            self.memory.fill(p, 1, 0)
        return new


class NullForFreed(Kernel):
    def krealloc(self, p: int, size: int, gfp: int) -> int:
        new = super().krealloc(p, size, gfp)
        return 0 if size == 0 and p > ZERO_SIZE_PTR else new


class DirtyTail(Kernel):
    def krealloc(self, p: int, size: int, gfp: int) -> int:
        return super().krealloc(p, size, gfp & ~ZERO if p > ZERO_SIZE_PTR else gfp)


class GrowingSize(Kernel):
    def __init__(self, memory_bytes: int) -> None:
        super().__init__(memory_bytes)
        self.api["ksize"] = lambda p: self.ksize(p) + (8 if p > ZERO_SIZE_PTR else 0)


class NoMaximumOrder(Kernel):
    def get_free_pages(self, gfp: int, order: int) -> int:
        return super().get_free_pages(gfp, min(order, 10))


class ShiftedBlocks(Kernel):
    def get_free_pages(self, gfp: int, order: int) -> int:
        address = super().get_free_pages(gfp, 3 if order == 2 else order)
        return address + PAGE_SIZE if address and order == 2 else address


class AnyZone(Kernel):
    def get_free_pages(self, gfp: int, order: int) -> int:
        return super().get_free_pages(gfp & ~DMA, order)


@dataclass(frozen=True)
class Fault:
    kernel: Callable[[int], Kernel]
    profile: str
    clauses: tuple[str, ...]


FAULTS = [
    Fault(ZeroIsNull, "contract", ("SLAB-ZERO-SIZE",)),
    Fault(NoMaximum, "contract", ("SLAB-MAX",)),
    Fault(WrappingProduct, "contract", ("SLAB-ARRAY",)),
    Fault(ClassTooSmall, "contract", ("MEM-USABLE",)),
    Fault(ErrorPointer, "contract", ("MEM-NULL",)),
    Fault(OddClass, "contract", ("SLAB-ALIGN-POWER",)),
    Fault(OddClass, "linux-6.1", ("SLAB-CLASS", "SLAB-ALIGN-POWER")),
    Fault(ShiftedClass, "linux-6.12", ("SLAB-ALIGN-DIVISOR",)),
    Fault(GivenTwice, "contract", ("MEM-APART",)),
    Fault(NoZeroing, "contract", ("MEM-ZERO",)),
    Fault(NoFlaggedZeroing, "contract", ("GFP-ZERO", "MEM-ZERO")),
    Fault(OneTooMany, "contract", ("MEM-KEEP",)),
    Fault(NothingKept, "contract", ("SLAB-REALLOC-KEEP",)),
    Fault(SpoiledByFailure, "contract", ("SLAB-REALLOC-FAIL",)),
    Fault(NullForFreed, "contract", ("SLAB-REALLOC-FREE",)),
    Fault(DirtyTail, "contract", ("SLAB-REALLOC-ZERO",)),
    Fault(GrowingSize, "contract", ("SLAB-KSIZE",)),
    Fault(NoMaximumOrder, "contract", ("PAGE-ORDER-MAX",)),
    Fault(ShiftedBlocks, "contract", ("PAGE-ALIGN",)),
    Fault(AnyZone, "zones", ("PAGE-ZONE",)),
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.kernel.__name__} {fault.profile}")
def test_a_faulty_kernel_is_rejected_by_the_right_clause(fault: Fault) -> None:
    finding, _ = first_finding(fault.kernel(MEMORY), PROFILES[fault.profile], 1, 20000)
    assert finding is not None
    assert finding.clause in fault.clauses
    assert finding.who == "allocator"


@pytest.mark.parametrize("profile", ["contract", "linux-6.1"])
def test_what_only_one_version_promises_is_asked_of_no_other(profile: str) -> None:
    finding, _ = first_finding(ShiftedClass(MEMORY), PROFILES[profile], 1, 6000)
    assert finding is None


def test_an_object_in_the_place_of_a_live_one_is_seen_by_its_bytes_too() -> None:
    kernel = Kernel(MEMORY)
    driver = Driver(kernel, 0)
    driver.take(kernel.kmalloc(100, GFP_KERNEL), 100, -1, False)
    Memory.fill(kernel.memory, driver.held[0].start + 99, 1, 0)
    look, _ = driver.end(0)
    assert look.answer.changed == 99
