"""Trials: candidates for a shorter script are played, each once, and the best so far is kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from kmem_oracle.campaign.play import Play
from kmem_oracle.language.script import Op

Test = Callable[[Sequence[Op]], Play]


class Trials:
    """The reduction of one failing script so far.

    clause    what a candidate must break
    deadline  on the monotonic clock, after which none is played
    """

    def __init__(self, failing: Play, test: Test, deadline: float) -> None:
        """Needs    failing.finding is not None"""
        assert failing.finding is not None
        self.best = failing
        self.clause = failing.finding.clause
        self.deadline = deadline
        self._test = test
        self._tried: set[int] = set()

    def late(self) -> bool:
        """Say whether the time is up."""
        return time.monotonic() > self.deadline

    def fails(self, ops: Sequence[Op]) -> bool:
        """Play a candidate; keep it if it breaks the same clause."""
        key = hash(tuple(ops))
        if not ops or key in self._tried or self.late():
            return False
        self._tried.add(key)
        play = self._test(ops)
        if play.finding is None or play.finding.clause != self.clause:
            return False
        self.best = play
        return True
