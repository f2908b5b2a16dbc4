"""What a careful engineer would write with Hypothesis over ctypes, and how fast it goes.

    python tests/bench/hypothesis_machine.py [LIB] [--examples N] [--steps N]

The yardstick of bench_check.py: one state machine over the kmalloc and page calls, which checks overlap by
sorted intervals, alignment, zeroing, and contents. Prints the steps a second, the most favourable way: no
database, no shrinking, no health checks, one line each.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from bisect import bisect_left, insort
from pathlib import Path
from typing import ClassVar

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    consumes,
    multiple,
    rule,
    run_state_machine_as_test,
)

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tests.targets import build  # noqa: E402  # it is found by the line above
from tests.targets.binding import GFP_ATOMIC, GFP_KERNEL, ZERO, ZERO_SIZE_PTR, Kmem, read, write  # noqa: E402

EDGES = [edge + more for edge in (8, 16, 32, 64, 96, 128, 192, 256, 4096, 8192) for more in (-1, 0, 1)]
SIZES = st.sampled_from(EDGES) | st.integers(1, 3000) | st.integers(0, 16).map(lambda shift: 1 << shift)
MASKS = st.sampled_from([GFP_KERNEL, GFP_ATOMIC, GFP_KERNEL | ZERO])


class KmemMachine(RuleBasedStateMachine):
    """Drive a library and check every answer against what was promised."""

    kmem: ClassVar[Kmem]
    steps: ClassVar[int] = 0
    objects = Bundle("objects")
    blocks = Bundle("blocks")

    def __init__(self) -> None:
        super().__init__()
        self.kmem.reset()
        self.spans: list[tuple[int, int]] = []  # sorted: start, end
        self.sizes: dict[int, int] = {}
        self.contents: dict[int, bytes] = {}
        self.births = 0

    def born(self, address: int, size: int, *, zero: bool, usable: int | None = None) -> MultipleResults[int]:
        """Check a new object against all live ones, and fill it."""
        KmemMachine.steps += 1
        if not address or address == ZERO_SIZE_PTR:
            assert address == 0 or size == 0
            return multiple()
        assert address % 8 == 0
        assert size & (size - 1) or address % size == 0, "a power of two is not aligned to itself"
        if usable is None:
            usable = self.kmem.ksize(address) or size
        assert usable >= size
        if zero:
            assert not any(read(address, size)), "not zero"
        self.enter(address, usable)
        return multiple(address)

    def enter(self, address: int, usable: int) -> None:
        """Check that an extent is apart from all others, and fill it with a pattern of its own."""
        at = bisect_left(self.spans, (address, 0))
        assert at == len(self.spans) or address + usable <= self.spans[at][0], "overlap"
        assert at == 0 or self.spans[at - 1][1] <= address, "overlap"
        insort(self.spans, (address, address + usable))
        self.births += 1
        self.sizes[address] = usable
        self.contents[address] = bytes([self.births % 255 + 1]) * usable
        write(address, self.contents[address])

    def dies(self, address: int) -> bytes:
        """Check that an object holds what was written, and forget it."""
        KmemMachine.steps += 1
        usable = self.sizes.pop(address)
        self.spans.remove((address, address + usable))
        contents = self.contents.pop(address)
        assert read(address, usable) == contents, "contents changed"
        return contents

    @rule(target=objects, size=SIZES, gfp=MASKS)
    def kmalloc(self, size: int, gfp: int) -> MultipleResults[int]:
        return self.born(self.kmem.kmalloc(size, gfp), size, zero=bool(gfp & ZERO))

    @rule(target=objects, size=SIZES, gfp=MASKS)
    def kzalloc(self, size: int, gfp: int) -> MultipleResults[int]:
        return self.born(self.kmem.kzalloc(size, gfp), size, zero=True)

    @rule(target=objects, count=st.integers(0, 50), size=SIZES, gfp=MASKS)
    def kmalloc_array(self, count: int, size: int, gfp: int) -> MultipleResults[int]:
        return self.born(self.kmem.kmalloc_array(count, size, gfp), count * size, zero=bool(gfp & ZERO))

    @rule(target=objects, count=st.integers(0, 50), size=SIZES, gfp=MASKS)
    def kcalloc(self, count: int, size: int, gfp: int) -> MultipleResults[int]:
        return self.born(self.kmem.kcalloc(count, size, gfp), count * size, zero=True)

    @rule(count=st.integers(2**32, 2**64 - 1), size=st.integers(2**32, 2**64 - 1))
    def array_that_overflows(self, count: int, size: int) -> None:
        KmemMachine.steps += 1
        assert self.kmem.kmalloc_array(count, size) == 0

    @rule(target=objects, address=consumes(objects), size=SIZES, gfp=MASKS)
    def krealloc(self, address: int, size: int, gfp: int) -> MultipleResults[int]:
        contents = self.dies(address)
        result = self.kmem.krealloc(address, size, gfp)
        if not result:
            self.enter(address, len(contents))
            return multiple(address)
        kept = min(size, len(contents))
        assert read(result, kept) == contents[:kept], "contents lost"
        self.enter(result, self.kmem.ksize(result) or size)
        return multiple(result)

    @rule(address=consumes(objects))
    def kfree(self, address: int) -> None:
        self.dies(address)
        self.kmem.kfree(address)

    @rule(address=objects)
    def ksize(self, address: int) -> None:
        KmemMachine.steps += 1
        assert self.kmem.ksize(address) in (None, self.sizes[address])

    @rule(target=blocks, order=st.integers(0, 4), gfp=MASKS)
    def get_free_pages(self, order: int, gfp: int) -> MultipleResults[tuple[int, int]]:
        size = 4096 << order
        got = self.born(self.kmem.get_free_pages(order, gfp), size, zero=bool(gfp & ZERO), usable=size)
        return multiple(*((address, order) for address in got.values))

    @rule(target=blocks, gfp=MASKS)
    def get_zeroed_page(self, gfp: int) -> MultipleResults[tuple[int, int]]:
        got = self.born(self.kmem.get_zeroed_page(gfp), 4096, zero=True, usable=4096)
        return multiple(*((address, 0) for address in got.values))

    @rule(block=consumes(blocks))
    def free_pages(self, block: tuple[int, int]) -> None:
        address, order = block
        self.dies(address)
        self.kmem.free_pages(address, order)


def steps_per_second(library: Path, examples: int, steps: int) -> tuple[int, float]:
    """Run the machine; return its steps and the seconds that they took."""
    KmemMachine.kmem = Kmem(library)
    KmemMachine.steps = 0
    began = time.perf_counter()
    run_state_machine_as_test(
        KmemMachine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            database=None,
            deadline=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
    return KmemMachine.steps, time.perf_counter() - began


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("library", nargs="?", type=Path, help="a shared library; the correct one is built")
    parser.add_argument("--examples", type=int, default=100)
    parser.add_argument("--steps", type=int, default=200, help="steps in an example, at most")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    library = options.library or build.library(directory=ROOT / ".pytest_cache" / "targets")
    steps, seconds = steps_per_second(library.resolve(), options.examples, options.steps)
    if options.json:
        print(json.dumps({"steps": steps, "seconds": round(seconds, 3)}))
    else:
        print(f"{steps} steps in {seconds:.1f} s: {steps / seconds:,.0f} steps/s")


if __name__ == "__main__":
    main()
