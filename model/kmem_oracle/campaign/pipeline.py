"""The phases of a campaign, on workers in turn: the next ones run while one is judged."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from kmem_oracle.campaign.play import Play, Playing
from kmem_oracle.generate.phase import Phase
from kmem_oracle.targets.process import Worker
from kmem_oracle.targets.target import CouldNotRun, Target
from kmem_spec.judge import Judge

PLENTY: Final = 50_000  # calls left with which the next phase may begin beside one that goes on


class Played(NamedTuple):
    """A phase that was played, what came of it, and a worker that is free now."""

    phase: Phase
    play: Play
    worker: Worker


class Pipeline:
    """Play phases one after the other, each on a freshly loaded target."""

    def __init__(
        self, phases: Iterator[Phase], target: Target, workers: Sequence[Worker], calls: int, deadline: float
    ) -> None:
        """Play nothing yet; `calls` is how many may be played in all, `deadline` on the monotonic clock."""
        self._phases = phases
        self._target = target
        self._free = deque(workers)
        self._left = calls
        self._deadline = deadline
        self._ahead: deque[tuple[Phase, Worker, Playing]] = deque()
        self._failed: CouldNotRun | None = None  # why no more phases can begin

    def played(self, judge: Judge) -> Iterator[Played]:
        """Yield each phase when it ends, at its first violation or where the budget does.

        Errors   CouldNotRun
        """
        for worker in self._free:
            worker.load(self._target)
        self._begin_next(0, last=True, wait=True)
        while self._ahead:
            phase, worker, playing = self._ahead.popleft()
            playing.limit = self._left
            with playing:
                outcome = None
                while outcome is None:
                    self._begin_next(playing.sent, last=playing.all_sent)
                    for _, _, other in self._ahead:
                        other.go_ahead()
                    outcome = playing.step(judge)
            self._left -= outcome.calls
            yield Played(phase, outcome, worker)
            self._free.append(worker)
            self._begin_next(0, last=True, wait=not self._ahead)
        if self._failed is not None:
            raise self._failed

    def _begin_next(self, sent: int, *, last: bool, wait: bool = False) -> None:
        """Begin the next phase if a worker is free for it, and calls are left; `wait` until one is.

        `sent` calls of the phase that is judged are not yet off the budget, and unless it sent its `last`,
        more may follow: then only what is left in plenty is given to another.
        """
        left = self._left - sent - sum(playing.sent for _, _, playing in self._ahead)
        enough = left > PLENTY or (last and not self._ahead and left > 0)
        if self._failed or not self._free or not enough or time.monotonic() >= self._deadline:
            return
        if not wait and not self._free[0].is_ready(self._target):  # till then there is something to judge
            return
        phase = next(self._phases, None)
        if phase is None:
            return
        worker = self._free.popleft()
        try:
            playing = Playing(worker, self._target, phase.ops, self._deadline)
        except CouldNotRun as error:  # what is judged now may have a violation to tell first
            self._free.append(worker)
            self._failed = error
            return
        playing.limit = left
        playing.go_ahead()
        self._ahead.append((phase, worker, playing))
        if self._free:
            self._free[0].is_ready(self._target)  # it loads meanwhile
