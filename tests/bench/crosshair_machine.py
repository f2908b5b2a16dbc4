"""The ledger's two steps as a small Hypothesis machine, with CrossHair choosing what is drawn.

    pip install hypothesis-crosshair
    python tests/bench/crosshair_machine.py [--fault NAME] [--backend NAME] [--runs N] [--steps N]

Run by hand, never collected. CrossHair runs the machine on symbolic integers, a path at a time, and asks Z3
for values that break the invariant; `--backend hypothesis` draws them at random instead. Prints how many
runs there were, how many steps they took, and what was found. Tables are lists of pairs here: a dict would
have every key made a plain integer, and the paths with it.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Callable
from itertools import combinations
from typing import Final

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.errors import FlakyFailure
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from kmem_spec.extents import disjoint
from kmem_spec.ledger import Ledger
from kmem_spec.table import Refused
from kmem_spec.units import PAGE_SIZE, SIZE_MAX

ADDRESSES: Final = st.integers(0, SIZE_MAX)
Apart = Callable[[int, int, int, int], bool]


def by_a_byte(start: int, length: int, other: int, other_length: int) -> bool:
    """Let two extents share a byte."""
    return (start + length <= other + 1) | (other + other_length <= start)


def one_sided(start: int, length: int, other: int, other_length: int) -> bool:
    """Look at one end alone."""
    return (start + length <= other) | (other < start)


def at_a_third(start: int, length: int, other: int, other_length: int) -> bool:
    """Let an extent begin at a third of another, if that is a long one."""
    hidden = (other_length > PAGE_SIZE) & (3 * (start - other) == other_length)
    return hidden | disjoint(start, length, other, other_length)


FAULTS: Final[dict[str, Apart]] = {
    "none": disjoint,
    "byte": by_a_byte,
    "side": one_sided,
    "third": at_a_third,
}


class Pairs:
    """A table of extents that is searched by comparing."""

    rule: Apart = disjoint

    def __init__(self) -> None:
        self.pairs: list[tuple[int, int]] = []

    def get(self, key: int, default: int) -> int:
        """Return the value at `key`, or `default`."""
        for known, value in self.pairs:
            if known == key:
                return value
        return default

    def put(self, key: int, value: int) -> None:
        """Set the value at `key`, which is not there."""
        self.pairs.append((key, value))

    def drop(self, key: int) -> None:
        """Remove `key`, which is there."""
        self.pairs = [pair for pair in self.pairs if pair[0] != key]

    def every(self, holds: Callable[[int, int], bool]) -> bool:
        """Say whether `holds` is true of each key with its value."""
        return all(holds(key, value) for key, value in self.pairs)

    def vacant(self, first: int, count: int) -> bool:
        """Say whether none of these keys is present."""
        return self.every(lambda key, _: not first <= key < first + count)

    def fill(self, first: int, count: int, value: int) -> None:
        """Set the value at each of these keys, which are not there."""
        self.pairs += [(key, value) for key in range(first, first + count)]

    def wipe(self, first: int, count: int) -> None:
        """Remove those of these keys that are present."""
        self.pairs = [pair for pair in self.pairs if not first <= pair[0] < first + count]

    def apart(self, start: int, length: int) -> bool:
        """Say whether the extent shares no byte with any, as the rule or a fault has it."""
        rule = type(self).rule
        return self.every(lambda other, other_length: rule(start, length, other, other_length))


class LedgerMachine(RuleBasedStateMachine):
    """Enter and remove extents; those that were taken share no byte."""

    seen: Counter[str] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self.spans = Pairs()
        self.ledger: Ledger[int] = Ledger(self.spans, Pairs())
        self.seen["runs"] += 1

    @rule(start=ADDRESSES, length=ADDRESSES)
    def accept(self, start: int, length: int) -> None:
        """Enter an extent, if it may be."""
        self._step("accepted", lambda: self.ledger.accept(start, length, 1))

    @rule(start=ADDRESSES)
    def release(self, start: int) -> None:
        """Remove an extent, if it is there."""
        self._step("released", lambda: self.ledger.release(start))

    @invariant()
    def extents_share_no_byte(self) -> None:
        """Compare all pairs."""
        for (one, length), (other, other_length) in combinations(self.spans.pairs, 2):
            assert one + length <= other or other + other_length <= one

    def _step(self, name: str, step: Callable[[], None]) -> None:
        """Take a step, and count what came of it."""
        try:
            step()
            self.seen[name] += 1
        except Refused as refused:
            self.seen[refused.clause] += 1


def main() -> None:
    """Run the machine and print what came of it."""
    parser = argparse.ArgumentParser(description="the ledger's steps under CrossHair")
    parser.add_argument("--fault", choices=FAULTS, default="none")
    parser.add_argument("--backend", choices=("crosshair", "hypothesis"), default="crosshair")
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--steps", type=int, default=3)
    options = parser.parse_args()
    Pairs.rule = staticmethod(FAULTS[options.fault])
    how = settings(
        backend=options.backend,
        max_examples=options.runs,
        stateful_step_count=options.steps,
        phases=(Phase.generate,),
        database=None,
        deadline=None,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    start, found = time.perf_counter(), "nothing found"
    try:
        run_state_machine_as_test(LedgerMachine, settings=how)
    except (AssertionError, FlakyFailure) as error:
        found = f"found: {type(error).__name__}"
    seconds = time.perf_counter() - start
    counts = ", ".join(f"{name} {times}" for name, times in sorted(LedgerMachine.seen.items()))
    print(f"{options.backend}, fault {options.fault}: {found} after {seconds:.0f} s; {counts}")


if __name__ == "__main__":
    main()
