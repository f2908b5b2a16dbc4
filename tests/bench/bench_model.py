"""How many calls a second the model serves, with 4 GiB of memory and 100,000 live objects.

Run it; it prints one line for each mix of calls. Not part of the test suite: times vary.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable, Iterator
from itertools import islice

from kmem_model.kernel import Kernel
from kmem_spec.gfp import GFP_KERNEL

LIVE = int(sys.argv[2]) if len(sys.argv) > 2 else 100_000
CALLS = 200_000
SMALL = (1, 8, 24, 64, 96, 100, 192, 256, 300, 512)
SIZES = (*SMALL, 1000, 2048, 4096, 8192)


def replacing(kernel: Kernel, make: Callable[[random.Random], int], seed: int) -> Iterator[None]:
    """Free an object at random and make another, over and over; stop after each call."""
    dice = random.Random(seed)
    live = [make(dice) for _ in range(LIVE)]
    assert 0 not in live, "the machine is too small for the mix"
    yield
    while True:
        at = dice.randrange(LIVE)
        kernel.kfree(live[at])
        yield
        live[at] = make(dice)
        yield


def paging(kernel: Kernel, seed: int) -> Iterator[None]:
    """Do the same with blocks of pages."""
    dice = random.Random(seed)
    live: list[tuple[int, int]] = []
    for _ in range(LIVE):
        order = dice.choice((0, 0, 0, 0, 1, 2))
        live.append((kernel.get_free_pages(GFP_KERNEL, order), order))
    yield
    while True:
        at = dice.randrange(LIVE)
        kernel.free_pages(*live[at])
        yield
        order = dice.choice((0, 0, 0, 0, 1, 2))
        live[at] = (kernel.get_free_pages(GFP_KERNEL, order), order)
        yield


def resizing(kernel: Kernel, seed: int) -> Iterator[None]:
    """Resize objects at random."""
    dice = random.Random(seed)
    live = [kernel.kmalloc(dice.choice(SMALL), GFP_KERNEL) for _ in range(LIVE)]
    yield
    while True:
        at = dice.randrange(LIVE)
        live[at] = kernel.krealloc(live[at], dice.choice(SMALL), GFP_KERNEL)
        yield


def report(name: str, calls: Iterator[None]) -> None:
    """Time the calls after the first stop, and print the figure."""
    next(calls)
    begun = time.perf_counter()
    for _ in islice(calls, CALLS):
        pass
    took = time.perf_counter() - begun
    print(f"{name:42} {CALLS / took:>9,.0f} calls/s")


def main() -> None:
    """Print one line for each mix."""
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    print(f"4 GiB, {LIVE:,} live, {CALLS:,} calls, seed {seed}")
    one = Kernel()
    report("kmalloc, kfree", replacing(one, lambda dice: one.kmalloc(dice.choice(SIZES), GFP_KERNEL), seed))
    two = Kernel()
    report("kzalloc, kfree", replacing(two, lambda dice: two.kzalloc(dice.choice(SIZES), GFP_KERNEL), seed))
    three = Kernel()
    report(
        "kzalloc, kfree, each written over",
        replacing(three, lambda dice: _used(three, dice.choice(SIZES)), seed),
    )
    report("krealloc", resizing(Kernel(), seed))
    if LIVE <= 200_000:  # of 4 GiB, more blocks of up to 4 pages cannot be live
        report("__get_free_pages, free_pages, orders 0-2", paging(Kernel(), seed))
    four = Kernel()
    report("through call()", replacing(four, lambda dice: four.call("kmalloc", (64, GFP_KERNEL)), seed))


def _used(kernel: Kernel, size: int) -> int:
    """Make a zeroed object and fill it."""
    p = kernel.kzalloc(size, GFP_KERNEL)
    kernel.memory.fill(p, size, 0x5A)
    return p


if __name__ == "__main__":
    main()
