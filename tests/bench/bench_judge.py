"""How fast the judge reads a history in memory, on one core: with 10^5 and with 10^6 live objects.

Run by hand: python tests/bench/bench_judge.py
"""

from __future__ import annotations

import argparse
import gc
import itertools
import random
import time

from kmem_spec.calls import Answer, Call, Event
from kmem_spec.gfp import GFP_ATOMIC, GFP_KERNEL
from kmem_spec.judge import Judge
from kmem_spec.profile import load
from kmem_spec.slab import size_class
from kmem_spec.units import PAGE_SIZE

FREED = Answer(0)
BASE = 0xFFFF888000000000


def history(live: int, steady: int, seed: int, mixed: bool) -> tuple[list[Event], list[Event]]:
    """Return the events that bring `live` objects up, and `steady` events that keep that many.

    Objects lie as a slab allocator puts them, one size to a page, or `mixed`, one after the other.
    """
    source = random.Random(seed)
    grow: list[Event] = []
    objects: list[tuple[int, int]] = []
    pages: dict[int, int] = {}
    address = BASE
    for _ in range(live):
        size = source.choice((8, 24, 32, 64, 96, 100, 128, 192, 256, 500, 512, 1024, 2048))
        slot = size_class(size)
        natural = slot & -slot
        if mixed:
            start = (address + natural - 1) // natural * natural
            address = start + slot
        else:
            start = pages.get(slot, 0)
            if start % PAGE_SIZE + slot > PAGE_SIZE or start % PAGE_SIZE == 0:
                start, address = address, address + PAGE_SIZE
            pages[slot] = start + slot
        grow.append(Event(Call("kmalloc", (size, GFP_KERNEL)), Answer(start, slot)))
        objects.append((start, slot))
    keep: list[Event] = []
    calls = {size: Call("kzalloc", (size, GFP_ATOMIC)) for size in range(1, 2049)}
    for _ in range(steady // 2):
        start, slot = source.choice(objects)
        keep.append(Event(Call("kfree", (start,)), FREED))
        keep.append(Event(calls[slot - source.randrange(2)], Answer(start, slot)))
    return grow, keep


def rate(live: int, steady: int, profile: str, mixed: bool) -> float:
    """Return the steady state's events judged per second."""
    grow, keep = history(live, steady, 1, mixed)
    judge = Judge(load(profile))
    for event in grow:
        assert judge.admit(event) is None
    gc.collect()
    gc.disable()  # as a campaign does: events are many, and none of them is part of a cycle
    begin = time.perf_counter()
    findings = [finding for finding in itertools.starmap(judge.take, keep) if finding is not None]
    seconds = time.perf_counter() - begin
    gc.enable()
    assert not findings, findings[0]
    return len(keep) / seconds


def main() -> None:
    """Print the two rates and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=600_000)
    parser.add_argument("--profile", default="contract")
    parser.add_argument("--mixed", action="store_true", help="objects of all sizes one after the other")
    arguments = parser.parse_args()
    small = rate(100_000, arguments.events, arguments.profile, arguments.mixed)
    large = rate(1_000_000, arguments.events, arguments.profile, arguments.mixed)
    print(f"10^5 live objects  {small:10,.0f} events/s")
    print(f"10^6 live objects  {large:10,.0f} events/s")
    print(f"ratio              {small / large:10.2f}")


if __name__ == "__main__":
    main()
