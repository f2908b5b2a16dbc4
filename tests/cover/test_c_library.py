"""The C library is right: it and all its variants pass checks that owe nothing to the oracle."""

from __future__ import annotations

import random
import time
from bisect import bisect_left, insort
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.targets import build, probe_areas, probe_caches, probe_objects, probe_pages
from tests.targets.binding import GFP_KERNEL, ZERO, ZERO_SIZE_PTR, Kmem, pattern, read, write
from tests.targets.probing import GENERAL, PROBES, Probe, in_child

pytestmark = pytest.mark.needs("cc")
VARIANTS = ["", *build.variants()]
SIZES = [
    1,
    7,
    8,
    9,
    64,
    65,
    96,
    97,
    128,
    192,
    193,
    256,
    777,
    1024,
    1025,
    2048,
    4096,
    4097,
    8192,
    8193,
    1 << 20,
]
PROBING = (probe_areas, probe_caches, probe_objects, probe_pages)  # which declare their probes
EDGE = 64  # bytes of pattern at each end of a large object


@dataclass
class Soak:
    """Live objects with what was written to them; every step asserts what is promised."""

    kmem: Kmem
    random: random.Random
    starts: list[int] = field(default_factory=list)
    sizes: dict[int, int] = field(default_factory=dict)  # usable
    orders: dict[int, int] = field(default_factory=dict)  # of page blocks
    births: int = 0
    nulls: int = 0

    def born(self, address: int, size: int, *, zero: bool) -> None:
        """Check a new object, and fill it."""
        if not address:
            self.nulls += 1
            return
        if size & (size - 1) == 0:
            assert address % max(size, 8) == 0
        assert address % 8 == 0
        usable = self.kmem.ksize(address) if address not in self.orders else size
        usable = size if usable is None else usable
        assert usable >= size
        if zero:
            assert read(address, usable).count(0) == usable
        self.enter(address, usable)

    def enter(self, address: int, usable: int) -> None:
        at = bisect_left(self.starts, address)
        assert at == len(self.starts) or address + usable <= self.starts[at]
        assert at == 0 or self.starts[at - 1] + self.sizes[self.starts[at - 1]] <= address
        insort(self.starts, address)
        self.sizes[address] = usable
        self.fill(address, usable)

    def fill(self, address: int, usable: int) -> None:
        write(address, pattern(address, min(usable, EDGE)))
        write(address + usable - min(usable, EDGE), pattern(~address, min(usable, EDGE)))

    def dies(self, address: int) -> int:
        """Check the contents of an object that is about to be freed, and forget it."""
        usable = self.sizes.pop(address)
        self.starts.remove(address)
        tail = min(usable, EDGE)
        assert read(address + usable - tail, tail) == pattern(~address, tail)
        if usable >= 2 * EDGE:
            assert read(address, EDGE) == pattern(address, EDGE)
        return usable

    def size(self) -> int:
        return (
            self.random.choice(SIZES) if self.random.random() < 0.5 else int(2 ** self.random.uniform(0, 15))
        )

    def allocate(self) -> None:
        gfp = GFP_KERNEL | (ZERO if self.random.random() < 0.3 else 0)
        size, count, call = self.size(), self.random.randint(1, 9), self.random.randrange(5)
        if call == 0:
            self.born(self.kmem.kmalloc(size, gfp), size, zero=bool(gfp & ZERO))
        elif call == 1:
            self.born(self.kmem.kzalloc(size), size, zero=True)
        elif call == 2:
            self.born(
                self.kmem.kmalloc_array(count, size % 999 + 1, gfp), count * (size % 999 + 1), zero=False
            )
        elif call == 3:
            self.born(self.kmem.kcalloc(count, size % 999 + 1), count * (size % 999 + 1), zero=True)
        else:
            order = int(self.random.triangular(0, 10, 0))
            address = self.kmem.get_free_pages(order, gfp) if order else self.kmem.get_zeroed_page()
            if address:
                self.orders[address] = order
            self.born(address, 4096 << order, zero=not order or bool(gfp & ZERO))

    def resize(self) -> None:
        address = self.random.choice(self.starts)
        if address in self.orders:
            return
        old, new = self.sizes[address], self.size()
        before = read(address, min(old, new))
        result = self.kmem.krealloc(address, new)
        if not result:
            self.nulls += 1
            assert read(address, min(old, new)) == before
            return
        assert read(result, min(old, new)) == before
        self.sizes.pop(address)
        self.starts.remove(address)
        usable = self.kmem.ksize(result)
        self.enter(result, new if usable is None else usable)

    def free(self, address: int) -> None:
        self.dies(address)
        order = self.orders.pop(address, None)
        if order is None:
            self.kmem.kfree(address)
        else:
            self.kmem.free_pages(address, order)

    def run(self, steps: int, crowd: int) -> None:
        for _ in range(steps):
            if self.starts and self.random.random() < len(self.starts) / crowd / 2:
                self.free(self.random.choice(self.starts))
            elif self.starts and self.random.random() < 0.2:
                self.resize()
            else:
                self.allocate()
        while self.starts:
            self.free(self.starts[-1])


def whole_blocks(kmem: Kmem) -> int:
    """Count the blocks of the top order that can be had."""
    blocks = []
    for _ in range(64):
        address = kmem.get_free_pages(10) or kmem.get_free_pages(10)  # VARIANT_FAILS refuses at times
        if not address:
            break
        blocks.append(address)
    for address in blocks:
        kmem.free_pages(address, 10)
    return len(blocks)


@pytest.fixture(params=VARIANTS, ids=lambda name: name or "correct")
def kmem(request: pytest.FixtureRequest, targets: Path) -> Kmem:
    variant: str = request.param
    loaded = Kmem(build.library(variant=variant, directory=targets))
    loaded.reset()
    return loaded


def test_a_soak_finds_nothing_and_all_memory_comes_back(kmem: Kmem, request: pytest.FixtureRequest) -> None:
    whole = whole_blocks(kmem)
    small = "SMALL_ARENA" in request.node.name
    assert whole == (1 if small else 8)
    for seed, crowd in ((1, 20), (2, 300), (3, 1500)):
        soak = Soak(kmem, random.Random(seed))
        soak.run(4000, crowd)
        assert soak.nulls < 4000
    if "KEEP_SLABS" not in request.node.name:
        assert whole_blocks(kmem) == whole
    kmem.reset()
    assert whole_blocks(kmem) == whole


def test_special_values(kmem: Kmem) -> None:
    assert (
        kmem.kmalloc(0) == kmem.kzalloc(0) == kmem.kcalloc(0, 9) == kmem.kmalloc_array(9, 0) == ZERO_SIZE_PTR
    )
    assert kmem.kmalloc((4 << 20) + 1) == kmem.kmalloc(2**64 - 1) == 0
    assert (
        kmem.kmalloc_array(2**32, 2**32)
        == kmem.kcalloc(2**63 + 1, 2)
        == kmem.kmalloc_array(4, 2**62 + 1)
        == 0
    )
    assert kmem.ksize(0) in (0, None)
    assert kmem.ksize(ZERO_SIZE_PTR) in (0, None)
    assert kmem.get_free_pages(11) == 0
    kmem.kfree(0)
    kmem.kfree(ZERO_SIZE_PTR)
    kmem.free_pages(0, 3)
    assert kmem.krealloc(0, 0) == kmem.krealloc(ZERO_SIZE_PTR, 0) == ZERO_SIZE_PTR
    assert kmem.krealloc(kmem.krealloc(0, 100), 0) == ZERO_SIZE_PTR
    largest = kmem.kmalloc(4 << 20)
    assert largest % (4 << 20) == 0
    assert kmem.krealloc(largest, (4 << 20) + 1) == 0
    kmem.kfree(largest)


def test_krealloc_clears_what_it_adds(kmem: Kmem) -> None:
    for _ in range(3):
        for start, end in ((24, 4000), (9, 16), (5000, 100_000), (90, 60)):
            dirty = [kmem.kmalloc(end) for _ in range(4)]
            for address in filter(None, dirty):
                write(address, b"\xff" * end)
                kmem.kfree(address)
            address = kmem.kzalloc(start) or kmem.kzalloc(start)
            grown = kmem.krealloc(address, end, GFP_KERNEL | ZERO) or kmem.krealloc(
                address, end, GFP_KERNEL | ZERO
            )
            assert read(grown, end).count(0) == end
            kmem.kfree(grown)


def test_exhaustion_is_a_null_and_passes(kmem: Kmem) -> None:
    whole = whole_blocks(kmem)
    for size in (8192, 100_000):
        held = []
        refused = 0
        while refused < 2:  # in a row
            address = kmem.kmalloc(size)
            refused = 0 if address else refused + 1
            held.append(address)
        assert len(held) > 10
        for address in held:
            kmem.kfree(address)
        kmem.reset()  # VARIANT_KEEP_SLABS keeps all for the one size
    assert whole_blocks(kmem) == whole


def test_the_symbols_are_those_of_the_kernel(targets: Path) -> None:
    assert Kmem(build.library(directory=targets)).has_ksize
    assert not Kmem(build.library(variant="NO_KSIZE", directory=targets)).has_ksize


@pytest.mark.parametrize("fault", build.faults())
def test_every_fault_compiles_to_a_library_of_its_own(fault: str, targets: Path) -> None:
    faulty = build.library(fault, directory=targets).read_bytes()
    assert faulty != build.library(directory=targets).read_bytes()


def told_by(probe: Probe, library: Path) -> str:
    """Return what a probe has to say of a library, "" for nothing."""
    return in_child(lambda: probe(Kmem(library)))


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda name: name or "correct")
def test_each_call_of_a_correct_library_does_what_it_should(variant: str, targets: Path) -> None:
    library = build.library(variant=variant, directory=targets)
    for probe in dict.fromkeys((*PROBES.values(), *GENERAL)):
        assert not told_by(probe, library), probe.__name__


@pytest.mark.parametrize("fault", PROBES)
def test_each_fault_shows_in_its_probe(fault: str, targets: Path) -> None:
    assert told_by(PROBES[fault], build.library(fault, directory=targets))


def test_every_fault_that_names_its_clauses_has_a_probe() -> None:
    assert build.clauses().keys() == PROBES.keys()
    assert {probe.__module__ for probe in PROBES.values()} == {module.__name__ for module in PROBING}
    assert len(PROBES) >= 30


def test_loading_takes_next_to_no_time(targets: Path) -> None:
    library = build.library(directory=targets)

    def load() -> None:
        begun = time.perf_counter()
        Kmem(library).reset()
        assert time.perf_counter() - begun < 0.01

    assert "" in [in_child(load) for _ in range(5)]


@pytest.mark.parametrize("name", build.awkward())
def test_every_awkward_target_compiles(name: str, targets: Path) -> None:
    assert build.bad(name, directory=targets).stat().st_size > 0
