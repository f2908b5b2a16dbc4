"""A phase: a stretch of calls with one aim; several may be played as one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Final

from kmem_oracle.language.script import Op

IDS: Final = 1 << 20  # more than a phase uses


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of calls with one aim.

    index   place among the phases of its seed
    again   returns its calls from the beginning, given the first of the ids that they use
    """

    name: str
    index: int
    again: Callable[[int], Iterator[Op]]

    @property
    def ops(self) -> Iterator[Op]:
        """Return its calls."""
        return self.again(1)


def in_groups(phases: Iterator[Phase], count: int) -> Iterator[Phase]:
    """Yield phases that are `count` of the given ones each: for a target that is costly to load afresh."""
    while group := list(islice(phases, count)):
        if len(group) == 1:
            yield group[0]
            continue
        calls = partial(_one_after_the_other, tuple(group))
        yield Phase(f"{group[0].name} … {group[-1].name}", group[0].index, calls)


def _one_after_the_other(phases: tuple[Phase, ...], first: int) -> Iterator[Op]:
    """Yield the calls of several phases, each with ids of its own."""
    for place, phase in enumerate(phases):
        yield from phase.again(first + place * IDS)
