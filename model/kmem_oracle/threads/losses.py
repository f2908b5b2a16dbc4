"""Losses between threads: rounds of the same calls from empty to empty, which once had all they asked for.

Which thread is served is the scheduler's choice, and so is what a full memory refuses. So a place is no
single call here but all calls of one shape in a round: memory is lost where a shape that was once refused
nothing is refused half of its calls or more, in RETRIES rounds in a row, with everything freed in between.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from kmem_oracle.language.script import Op
from kmem_spec.apis import APIS
from kmem_spec.liveness import RETRIES

CYCLES: Final = 80  # rounds of a phase: those in which memory is lost, and RETRIES more
Shape = tuple[str, tuple[int, ...]]


@dataclass(slots=True)
class Losses:
    """Follow the rounds of one phase.

    judged   rounds that were compared with one that was refused nothing
    """

    judged: int = 0
    _asked: Counter[Shape] = field(default_factory=Counter)
    _refused: Counter[Shape] = field(default_factory=Counter)
    _served: set[Shape] = field(default_factory=set)
    _in_a_row: Counter[Shape] = field(default_factory=Counter)

    def call(self, op: Op, *, got: bool) -> None:
        """Take a call of a round."""
        if APIS[op.api].role == "allocate":
            self._asked[op.api, op.args] += 1
            self._refused[op.api, op.args] += not got

    def end(self) -> Shape | None:
        """End a round, after which nothing lives; return a shape whose memory is lost, None if none is."""
        lost = None
        for shape, asked in self._asked.items():
            refused = self._refused[shape]
            if shape in self._served:
                self.judged += 1
                self._in_a_row[shape] = self._in_a_row[shape] + 1 if 2 * refused >= asked else 0
                if self._in_a_row[shape] >= RETRIES:
                    lost = shape
            elif not refused:
                self._served.add(shape)
        self._asked.clear()
        self._refused.clear()
        return lost
