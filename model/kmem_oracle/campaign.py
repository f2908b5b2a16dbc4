"""A campaign: phase after phase on one target, until a violation or the end of the budget."""

from __future__ import annotations

import gc
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from kmem_oracle.generate import Generator
from kmem_oracle.play import Play, Playing, play
from kmem_oracle.script import Op
from kmem_oracle.shrink import Shrinker
from kmem_oracle.targets.process import CouldNotRun, Target, Worker
from kmem_spec.judge import Judge
from kmem_spec.profile import Profile, load

CALLS: Final = 200_000
SECONDS: Final = 60.0
PLENTY: Final = 50_000  # calls left with which the next phase may begin beside one that goes on
CALL_SECONDS: Final = 5.0
SHRINK_SECONDS: Final = 3.5
REPLAY_SECONDS: Final = 0.6  # a call that once hung need not be waited for as long again
MEMORY: Final = 8 << 30  # bytes of address space that a target's process may map


@dataclass(frozen=True, slots=True)
class Budget:
    """How long to go on.

    calls         judged calls
    seconds       of the whole campaign, without the reduction of what it finds
    call_seconds  that one call may take before it counts as a hang
    memory        bytes of address space for the target's process
    shrink        seconds for the reduction of a finding
    """

    calls: int = CALLS
    seconds: float = SECONDS
    call_seconds: float = CALL_SECONDS
    memory: int = MEMORY
    shrink: float = SHRINK_SECONDS


@dataclass(slots=True)
class Result:
    """What a campaign found out."""

    target: str
    profile: Profile
    seed: int
    apis: frozenset[str]
    calls: int = 0
    seconds: float = 0.0
    counts: dict[str, int] = field(default_factory=dict)
    play: Play | None = None
    phase: str = ""
    interrupted: bool = False


def campaign(
    target: Target,
    *,
    profile: str,
    seed: int,
    budget: Budget,
    waived: frozenset[str],
    progress: Callable[[str], None],
) -> Result:
    """Judge a target.

    `profile` is the name of a profile, or empty for the one that the target names, or else `contract`.
    Errors   CouldNotRun, ProfileError
    """
    with worker_for(budget) as worker, worker_for(budget) as second, worker_for(budget) as third:
        with worker.open(target) as run:
            promised = load(profile or run.profile or "contract")
            apis = run.apis
        result = Result(target.label, promised, seed, apis)
        judge = Judge(promised, waived=waived, looked=True)
        generator = Generator(seed, promised, apis)
        if not any(possible for *_, possible in generator.aims()):
            raise CouldNotRun(
                f"{target.label}: exports no call that makes an object and the one that frees it"
            )
        begin = time.monotonic()
        gc.collect()
        gc.disable()  # events are many, and none of them is part of a cycle
        try:
            phases = _Phases(generator, target, (worker, second, third), begin, budget)
            worker = phases.run(result, judge, progress)
        except KeyboardInterrupt:
            result.interrupted = True
        finally:
            gc.enable()
            result.seconds = time.monotonic() - begin
            result.counts = judge.counts()
        if result.play is not None:
            progress("reducing")
            result.play = _shrink(worker, target, result, waived, budget.shrink)
    return result


def replay(
    target: Target, ops: Sequence[Op], *, profile: str, budget: Budget, waived: frozenset[str]
) -> Result:
    """Judge one script on a target, as it stands.

    Errors   CouldNotRun, ProfileError
    """
    with worker_for(budget) as worker:
        with worker.open(target) as run:
            promised = load(profile or run.profile or "contract")
            result = Result(target.label, promised, 0, run.apis)
        judge = Judge(promised, waived=waived, looked=True)
        begin = time.monotonic()
        outcome = play(worker, target, ops, judge)
        result.seconds = time.monotonic() - begin
        result.calls, result.counts = outcome.calls, judge.counts()
        result.play = outcome if outcome.finding is not None else None
    return result


class _Phases:
    """The phases of a campaign, on workers in turn: the next ones run while one is judged."""

    def __init__(
        self,
        generator: Generator,
        target: Target,
        workers: Sequence[Worker],
        begin: float,
        budget: Budget,
    ) -> None:
        """Play nothing yet."""
        self._phases = generator.phases()
        self._target = target
        self._free = deque(workers)
        self._left = budget.calls
        self._deadline = begin + budget.seconds
        self._ahead: deque[tuple[str, Worker, Playing]] = deque()
        self._failed: CouldNotRun | None = None  # why no more phases can begin

    def run(self, result: Result, judge: Judge, progress: Callable[[str], None]) -> Worker:
        """Play until a violation or the end of the budget; return a worker that is free then.

        Errors   CouldNotRun
        """
        for worker in self._free:
            worker.load(self._target)
        self._begin_next(0, last=True, wait=True)
        while self._ahead:
            name, worker, playing = self._ahead.popleft()
            progress(name)
            playing.limit = self._left
            with playing:
                outcome = None
                while outcome is None:
                    self._begin_next(playing.sent, last=playing.all_sent)
                    outcome = playing.step(judge)
            self._free.append(worker)
            result.calls += outcome.calls
            self._left -= outcome.calls
            if outcome.finding is not None:
                result.play, result.phase = outcome, name
                return worker
            self._begin_next(0, last=True, wait=not self._ahead)
        if self._failed is not None:
            raise self._failed
        return self._free[0]

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
        playing.feed()
        self._ahead.append((phase.name, worker, playing))
        if self._free:
            self._free[0].is_ready(self._target)  # it loads meanwhile


def worker_for(budget: Budget) -> Worker:
    """Return a worker, not started, with the limits of a budget."""
    return Worker(call_seconds=budget.call_seconds, memory_limit=budget.memory)


def _shrink(worker: Worker, target: Target, result: Result, waived: frozenset[str], seconds: float) -> Play:
    """Return the reduced violation; what was found is kept whatever happens on the way."""
    assert result.play is not None

    def test(ops: Sequence[Op]) -> Play:
        judge = Judge(result.profile, waived=waived, looked=True)
        try:
            return play(worker, target, ops, judge)
        except CouldNotRun:
            return Play(0)

    worker.call_seconds = min(worker.call_seconds, REPLAY_SECONDS)
    shrinker = Shrinker(result.play, test, seconds)
    try:
        return shrinker.run()
    except KeyboardInterrupt:
        result.interrupted = True
        return shrinker.best
