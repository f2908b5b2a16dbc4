"""A campaign: phase after phase on one target, until a violation or the end of the budget."""

from __future__ import annotations

import gc
import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from kmem_oracle.generate import Generator
from kmem_oracle.journal import Journal
from kmem_oracle.phase import Phase, in_groups
from kmem_oracle.pipeline import Pipeline
from kmem_oracle.play import DRIVERS, Play, play
from kmem_oracle.recorder import MOST, History, Recorder
from kmem_oracle.script import Op
from kmem_oracle.shrink import Shrinker
from kmem_oracle.targets.by_bytes import CONTENTS
from kmem_oracle.targets.process import Worker
from kmem_oracle.targets.run import Run
from kmem_oracle.targets.target import CouldNotRun, Target
from kmem_spec.gfp import NAMES
from kmem_spec.judge import Judge
from kmem_spec.profile import Profile, load
from kmem_spec.profile import parse as parse_profile

CALLS: Final = 200_000
SECONDS: Final = 60.0
CALL_SECONDS: Final = 5.0
SHRINK_SECONDS: Final = 9.0
REPLAY_SECONDS: Final = 0.6  # a call that once hung need not be waited for as long again
MEMORY: Final = 8 << 30  # bytes of address space that a target's process may map
WORKERS: Final = 5
WORKERS_FOR_GUESTS: Final = 2  # whose phases are played several together
BEHIND: Final = 3  # times that a phase is played again, without the clauses that it broke


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
class Found:
    """A violation: how it comes about, in which phase it was found, how often it was met."""

    play: Play
    phase: str
    index: int = 0
    times: int = 1


@dataclass(slots=True)
class Result:
    """What a campaign found out.

    before    calls that were judged in earlier runs of the same campaign
    play      the first violation
    found     all that differ in the clause, or in the call that broke it
    by_phase  how often each clause was judged in each phase, where that was asked for
    warned    what a kernel complained of, and how often
    generated whether the calls were generated, to exercise every clause that the target has calls for
    lacking   calls of a script that were not made, since the target has no such call
    histories what happened, phase by phase, in the last phases; where that was asked for
    behind    how many of the calls looked behind a violation
    again     how often the violations were met that earlier parts have
    """

    target: str
    profile: Profile
    seed: int
    apis: frozenset[str]
    calls: int = 0
    before: int = 0
    seconds: float = 0.0
    counts: dict[str, int] = field(default_factory=dict)
    play: Play | None = None
    phase: str = ""
    interrupted: bool = False
    found: list[Found] = field(default_factory=list)
    by_phase: dict[str, Counter[str]] = field(default_factory=dict)
    generated: bool = False
    warned: Counter[str] = field(default_factory=Counter)
    lacking: frozenset[str] = frozenset()
    histories: list[tuple[str, History]] = field(default_factory=list)
    behind: int = 0
    again: Counter[tuple[str, str]] = field(default_factory=Counter)

    def remember(self, phase: str, history: History) -> None:
        """Keep a history, and of those before it no more than MOST events in all."""
        self.histories.append((phase, history))
        while len(self.histories) > 1 and sum(len(each.ops) for _, each in self.histories) > MOST:
            del self.histories[0]


Progress = Callable[[str, Result], None]


def _never() -> bool:
    """Say no."""
    return False


@dataclass(frozen=True, slots=True)
class Course:
    """How a campaign runs besides its budget.

    keep_going  go on after a violation, to find others
    state       folder where its state is kept, and taken up again
    share       which phases are its own: every `share[1]`-th from `share[0]` on
    until       the first phase that is not its own any more
    known       signatures of violations that earlier parts have: they are counted, not reduced
    behind      calls of earlier parts that looked behind a violation, which do not shorten a phase
    table       count the clauses by phase
    stopped     says that another part of the campaign has found what it was after
    history     keep what happened in what is found, as it is when reduced
    histories   keep what happened in the last phases, too
    """

    keep_going: bool = False
    state: Path | None = None
    share: tuple[int, int] = (0, 1)
    until: int = 1 << 40
    known: frozenset[tuple[str, str]] = frozenset()
    behind: int = 0
    table: bool = False
    stopped: Callable[[], bool] = _never
    history: bool = False
    histories: bool = False


def campaign(
    target: Target,
    *,
    profile: str,
    seed: int,
    budget: Budget,
    waived: frozenset[str],
    progress: Progress,
    course: Course | None = None,
) -> Result:
    """Judge a target.

    `profile` is the name of a profile, or empty for the one that the target names, or else `contract`.
    Errors   CouldNotRun, ProfileError, OSError where the state cannot be kept
    """
    with ExitStack() as stack:
        count = WORKERS if target.together == 1 else WORKERS_FOR_GUESTS
        workers = [stack.enter_context(worker_for(budget, target)) for _ in range(count)]
        with workers[0].open(target) as run:
            promised = promised_by(run, profile)
            apis = run.apis
            waived |= frozenset() if run.seen else CONTENTS
        generator = Generator(seed, promised, apis)
        if not any(possible for *_, possible in generator.aims()):
            raise CouldNotRun(
                f"{target.label}: exports no call that makes an object and the one that frees it"
            )
        result = Result(target.label, promised, seed, apis, generated=True)
        hunt = _Hunt(target, result, budget, waived, progress, course or Course())
        gc.collect()
        gc.disable()  # events are many, and none of them is part of a cycle
        begin = time.monotonic()
        try:
            hunt.run(generator, workers, begin + budget.seconds)
        except KeyboardInterrupt:
            result.interrupted = True
        finally:
            gc.enable()
            hunt.finish()
            result.seconds = time.monotonic() - begin - hunt.reducing
    return result


def judge_for(profile: Profile, waived: frozenset[str] = frozenset(), *, history: bool = False) -> Judge:
    """Return a judge of what a driver of ours tells; `history` says that it is to write it down."""
    return (Recorder if history else Judge)(profile, waived=waived, looked=True)


def replay(
    target: Target,
    ops: Sequence[Op],
    *,
    profile: str,
    budget: Budget,
    waived: frozenset[str],
    history: bool = False,
) -> Result:
    """Judge one script on a target, as it stands; `history` says that what happened is to be kept.

    Errors   CouldNotRun, ProfileError
    """
    with worker_for(budget, target) as worker:
        with worker.open(target) as run:
            promised = promised_by(run, profile)
            result = Result(target.label, promised, 0, run.apis)
            result.lacking = frozenset(op.api for op in ops).difference(run.apis, DRIVERS)
            waived |= frozenset() if run.seen else CONTENTS
        judge = judge_for(promised, waived, history=history)
        begin = time.monotonic()
        outcome = play(worker, target, ops, judge)
        result.seconds = time.monotonic() - begin
        result.calls, result.counts = outcome.calls, judge.counts()
        result.warned.update(outcome.warned)
        if outcome.history is not None:
            result.remember("", outcome.history)
        if outcome.finding is not None:
            result.play = outcome
            result.found.append(Found(outcome, ""))
    return result


class _Hunt:
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


def promised_by(run: Run, given: str) -> Profile:
    """Return the profile to judge by: the given one, or else what the target names or spells out.

    Errors   ProfileError
    """
    if not given and "\n" in run.profile:
        return parse_profile(run.profile, "of the target")
    return load(given or run.profile or "contract")


def signature(outcome: Play) -> tuple[str, str]:
    """Return what tells violations apart: the clause, and the call that broke it."""
    assert outcome.finding is not None
    return outcome.finding.clause, outcome.ops[-1].api if outcome.ops else ""


def worker_for(budget: Budget, *targets: Target) -> Worker:
    """Return a worker for targets, not started, with the limits of a budget."""
    libraries = all(target.kind == "library" for target in targets)
    guest = any(target.kind == "linux" for target in targets)
    return Worker(call_seconds=budget.call_seconds, memory_limit=budget.memory, native=libraries, guest=guest)
