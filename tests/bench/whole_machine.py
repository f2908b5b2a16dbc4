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
import sys
import time
from pathlib import Path

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import rule, run_state_machine_as_test

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tests.bench.whole_caches import CacheRules  # noqa: E402  # it is found by the line above
from tests.bench.whole_kmalloc import KmallocRules  # noqa: E402
from tests.bench.whole_library import NOTES, Thing, areas, blocks, kvs, objects  # noqa: E402
from tests.bench.whole_pages import PageRules  # noqa: E402
from tests.targets.binding import HOOK, Kmem  # noqa: E402


class WholeMachine(KmallocRules, PageRules, CacheRules):
    """Drive a library and check every answer against what was promised."""

    @rule(thing=objects | kvs | areas | blocks)
    def look(self, thing: Thing) -> None:
        if thing.alive:
            self.check(thing)

    @rule(count=st.integers(1, 4))
    def next_fails(self, count: int) -> None:
        self.failing = True
        self.step("kmem_oracle_fail_nth", count)

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
