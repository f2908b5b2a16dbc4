"""Liveness: what once ran from empty runs again after everything is freed.

A *cycle* is the stretch of calls from one moment with nothing live to the next. A cycle that repeats an
earlier one call by call meets the same load at each place; where the earlier got memory, so must it. One
NULL proves nothing (allocators may fail now and then), so a place has to fail in RETRIES cycles in a row.
Nothing else may have been called in between, but for pages: those merge again whatever they served.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

RETRIES: Final = 16
LONGEST: Final = 10_000  # calls of a cycle that is followed
Step = tuple[object, ...]


@dataclass(slots=True)
class _Place:
    """A call of a cycle: what it was, whether it got memory, how often in a row it has not since."""

    step: Step
    got: bool
    refused: int = 0


@dataclass(slots=True)
class Liveness:
    """Follow cycles.

    judged    calls that repeated an earlier one from empty
    at        place in the cycle that is being followed, -1 if none is
    """

    judged: int = 0
    at: int = -1
    _cycles: dict[Step, list[_Place]] = field(default_factory=dict)
    _cycle: list[_Place] = field(default_factory=list)

    def begin(self, step: Step, pages: bool) -> None:
        """Begin a cycle with a call made when nothing is live.

        A call for pages leaves what is known of other cycles standing; any other call ends it, since
        memory that served one size need not serve another.
        """
        known = self._cycles.get(step)
        if known is None:
            known = []
            if not pages:
                self._cycles.clear()
            self._cycles[step] = known
        self._cycle = known
        self.at = 0

    def call(self, step: Step, got: bool, pages: bool, counts: bool = True) -> bool:
        """Take the next call of the cycle; `got` says whether it got memory, as a free always does.

        Gives    True if the call has now been refused too often where it once succeeded; never where it does
                 not count, since a failure is armed: then it is only followed
        """
        at, cycle = self.at, self._cycle
        known = at < len(cycle)
        same = known and cycle[at].step == step
        if at >= LONGEST or not (counts or same):
            self.at = -1
            return False
        self.at = at + 1
        if known:
            if same and not counts:
                return False
            if same:
                place = cycle[at]
                self.judged += 1
                if got:
                    place.refused = 0
                    place.got = True
                elif place.got:
                    place.refused += 1
                    return place.refused >= RETRIES
                return False
            del cycle[at:]  # from here on it is another cycle
        if not pages and len(self._cycles) > 1:
            first = cycle[0].step if cycle else step
            self._cycles = {first: cycle}
        cycle.append(_Place(step, got))
        return False
