"""A campaign on its way: phases are played, violations told apart, reduced, written down, looked behind."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Final

from kmem_oracle.campaign.course import Budget, Course
from kmem_oracle.campaign.journal import Journal
from kmem_oracle.campaign.pipeline import Pipeline
from kmem_oracle.campaign.play import Play, play
from kmem_oracle.campaign.result import Found, Progress, Result, signature
from kmem_oracle.campaign.start import judge_for
from kmem_oracle.generate.generator import Generator
from kmem_oracle.generate.phase import Phase, in_groups
from kmem_oracle.language.script import Op
from kmem_oracle.shrink.shrinker import Shrinker
from kmem_oracle.targets.process import Worker
from kmem_oracle.targets.target import CouldNotRun, Target
from kmem_spec.gfp import NAMES
from kmem_spec.judge import Judge

REPLAY_SECONDS: Final = 0.6  # a call that once hung need not be waited for as long again
BEHIND: Final = 3  # times that a phase is played again, without the clauses that it broke


class Hunt:
    """A campaign on its way.

    reducing  seconds spent on making scripts shorter
    """

    def __init__(
        self,
        target: Target,
        result: Result,
        budget: Budget,
        waived: frozenset[str],
        progress: Progress,
        course: Course,
    ) -> None:
        """Play nothing yet.

        Errors   OSError
        """
        self._target = target
        self._result = result
        self._budget = budget
        self._waived = waived
        self._progress = progress
        self._course = course
        self._judges: dict[frozenset[str], Judge] = {}
        self._journal: Journal | None = None
        if course.state is not None:
            self._journal = Journal(course.state, target, result.profile.name, result.seed)
            result.before = result.calls = self._journal.calls if course.share[0] == 0 else 0
        self.reducing = 0.0

    def run(self, generator: Generator, workers: Sequence[Worker], deadline: float) -> None:
        """Play what was found before, then phases.

        Errors   CouldNotRun, KeyboardInterrupt
        """
        result, course = self._result, self._course
        if self._journal is not None and course.share[0] == 0:
            for path, ops in self._journal.corpus():
                self._progress(path.name, result)
                outcome = play(workers[0], self._target, ops, self._judge())
                result.calls += outcome.calls
                if outcome.history is not None:
                    result.remember(path.name, outcome.history)
                if outcome.finding is not None:
                    outcome = self._with_history(outcome, partial(self._test, workers[0]))
                    self._keep(Found(outcome, f"found before: {path.name}"))
        if result.found and not course.keep_going:
            return
        done = self._journal.done if self._journal is not None else set()
        left = max(0, self._budget.calls - result.calls) + course.behind
        pipeline = Pipeline(self._phases(generator, done), self._target, workers, left, deadline)
        before: Counter[str] = Counter()
        for phase, outcome, worker in pipeline.played(self._judge()):
            result.calls += outcome.calls
            result.warned.update(outcome.warned)
            if outcome.history is not None:
                result.remember(phase.name, outcome.history)
            if outcome.finding is not None:
                self._take(phase, outcome, worker)
            if self._journal is not None or course.table:
                now = Counter(self._counts())
                self._note(phase, outcome.calls, now - before)
                before = now
            if (result.found and not course.keep_going) or course.stopped() or self._used_up():
                return

    def _used_up(self) -> bool:
        """Say whether the budget of calls is; what is played again counts, too."""
        return self._result.calls >= self._budget.calls

    def finish(self) -> None:
        """Sum up."""
        self._result.counts = self._counts()
        if self._journal is not None:
            if self._course.share[0] == 0:
                total = Counter(self._result.counts)
                total.update(self._journal.counts)
                self._result.counts = {clause: total[clause] for clause in self._result.counts}
            self._journal.close()

    def _phases(self, generator: Generator, done: set[int]) -> Iterator[Phase]:
        """Yield the phases that are to be played, and say of each that it begins."""
        first, step = self._course.share
        own = itertools.takewhile(
            lambda phase: phase.index < self._course.until, generator.phases(first, step)
        )
        for phase in in_groups(own, self._target.together):
            if phase.index not in done:
                self._progress(phase.name, self._result)
                yield phase

    def _judge(self, besides: frozenset[str] = frozenset()) -> Judge:
        """Return the judge that does without some more clauses."""
        if besides not in self._judges:
            waived = self._waived | besides
            self._judges[besides] = judge_for(self._result.profile, waived, history=self._course.histories)
        return self._judges[besides]

    def _counts(self) -> dict[str, int]:
        """Return how often each clause was judged."""
        total: Counter[str] = Counter()
        for judge in self._judges.values():
            total.update(judge.counts())
        return {clause: total[clause] for clause in self._judge().counts()}

    def _note(self, phase: Phase, calls: int, counts: Counter[str]) -> None:
        """Write down what a phase has judged."""
        if self._course.table:
            self._result.by_phase.setdefault(phase.name, Counter()).update(counts)
        if self._journal is not None:
            self._journal.phase(phase.index, phase.name, calls, counts)

    def _take(self, phase: Phase, outcome: Play, worker: Worker) -> None:
        """Take a violation, and look behind it if the campaign goes on."""
        besides: frozenset[str] = frozenset()
        for _ in range(BEHIND + 1):
            assert outcome.finding is not None
            self._take_one(phase, outcome, worker)
            if not self._course.keep_going or self._used_up():
                return
            besides |= {outcome.finding.clause}
            outcome = play(worker, self._target, phase.ops, self._judge(besides))
            self._result.calls += outcome.calls
            self._result.behind += outcome.calls
            if outcome.finding is None:
                return

    def _take_one(self, phase: Phase, outcome: Play, worker: Worker) -> None:
        """Count a violation that is known; reduce and keep one that is not."""
        if signature(outcome) in self._course.known:
            self._result.again[signature(outcome)] += 1
            return
        for known in self._result.found:
            if signature(known.play) == signature(outcome):
                known.times += 1
                return
        found = Found(outcome, phase.name, phase.index)
        self._keep(found)
        names = NAMES[self._result.profile.gfp]
        file = self._journal.found(outcome, names) if self._journal is not None else None
        self._progress("reducing", self._result)
        begin = time.monotonic()
        found.play = self._shrunk(worker, outcome)
        self.reducing += time.monotonic() - begin
        if self._journal is not None:
            self._journal.found(found.play, names, file)
        if self._result.found[0] is found:
            self._result.play = found.play
        if self._result.interrupted:
            raise KeyboardInterrupt

    def _keep(self, found: Found) -> None:
        """Add a violation to what was found."""
        self._result.found.append(found)
        if len(self._result.found) == 1:
            self._result.play, self._result.phase = found.play, found.phase

    def _shrunk(self, worker: Worker, failing: Play) -> Play:
        """Return the reduced violation; what was found is kept whatever happens on the way."""

        limit = max(self._target.shrink, self._budget.shrink)
        test = partial(self._test, worker, end=time.monotonic() + limit)
        seconds, worker.call_seconds = worker.call_seconds, min(worker.call_seconds, REPLAY_SECONDS)
        shrinker = Shrinker(failing, test, limit)
        try:
            return self._with_history(shrinker.run(), partial(self._test, worker))
        except KeyboardInterrupt:
            self._result.interrupted = True
            return shrinker.best
        finally:
            worker.call_seconds = seconds

    def _test(self, worker: Worker, ops: Sequence[Op], end: float = float("inf")) -> Play:
        """Play a script by itself, until `end` on the monotonic clock."""
        judge = judge_for(self._result.profile, self._waived, history=self._course.history)
        try:
            return play(worker, self._target, ops, judge, deadline=end)
        except CouldNotRun:
            return Play(0)

    def _with_history(self, failing: Play, test: Callable[[Sequence[Op]], Play]) -> Play:
        """Return the violation with what happened, if that was asked for and it comes once more."""
        if not self._course.history or failing.history is not None:
            return failing
        again = test(failing.ops)
        return again if again.finding is not None and signature(again) == signature(failing) else failing
