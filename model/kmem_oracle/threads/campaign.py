"""A campaign with threads: phases of calls side by side, each judged when its threads are done."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from kmem_oracle.campaign.course import Share
from kmem_oracle.campaign.play import Play
from kmem_oracle.campaign.recorder import Recorder
from kmem_oracle.campaign.result import Found, Progress, Result
from kmem_oracle.campaign.start import judge_for, promised_by
from kmem_oracle.language.script import Op
from kmem_oracle.targets.guest import REAL_TIME
from kmem_oracle.targets.process import Worker
from kmem_oracle.targets.reader import Reader
from kmem_oracle.targets.records import CHUNK
from kmem_oracle.targets.run import Run
from kmem_oracle.targets.target import CouldNotRun, Death, Target
from kmem_oracle.threads.history import NEED_ORDER, Row, alone, ordered
from kmem_oracle.threads.losses import Losses
from kmem_oracle.threads.programs import Programs, ThreadPhase
from kmem_spec.calls import Call
from kmem_spec.finding import Finding, show
from kmem_spec.judge import Judge
from kmem_spec.liveness import RETRIES

MOST: Final = 64
AGAIN: Final = 5  # times that a phase is played again after it showed a violation
SHOWN: Final = 12  # calls before the violation, of those that overlap it in time


@dataclass(frozen=True, slots=True)
class Threaded(Play):
    """What came of threads: with a finding, the calls around it, and how often it came back."""

    threads: int = 0
    rows: tuple[Row, ...] = ()
    marked: frozenset[int] = frozenset()
    again: int = 0


def in_threads(share: Share, *, threads: int, progress: Progress) -> Result:
    """Judge a target that several threads call at once; of the course, only `history` matters.

    Errors   CouldNotRun, ProfileError
    """
    target, budget, waived = share.target, share.budget, share.waived
    if target.kind == "linux":  # where tasks take turns when the clock ticks
        target = replace(target, name=f"{target.name},{REAL_TIME}")
    with Worker(
        call_seconds=budget.call_seconds,
        memory_limit=budget.memory,
        threads=threads,
        guest=target.kind == "linux",
    ) as worker:
        with worker.open(target) as run:
            promised = promised_by(run, share.profile)
            apis = run.apis
            if not run.in_c:
                raise CouldNotRun(
                    f"{target.label}: threads need a library as target, and a C compiler (cc, or $CC)"
                )
        judge = judge_for(promised, waived | NEED_ORDER, history=share.course.history)
        liveness = "MEM-LIVENESS" not in waived
        result = Result(target.label, promised, share.seed, apis)
        begin = time.monotonic()
        try:
            for phase in _phases(share.seed, apis, threads):
                progress(phase.name, result)
                play = ThreadPlay(worker, target, judge, liveness=liveness).play(phase)
                result.calls += play.calls
                if play.finding is not None:
                    result.play, result.phase = play, f"{phase.name}, {threads} threads"
                    break
                if result.calls >= budget.calls or time.monotonic() - begin >= budget.seconds:
                    break
        except KeyboardInterrupt:
            result.interrupted = True
        result.seconds = time.monotonic() - begin
        result.counts = judge.counts()
        if result.play is not None and not result.interrupted:
            progress("trying again", result)
            again = 0
            for _ in range(AGAIN):
                fresh = judge_for(promised, waived | NEED_ORDER)
                again += ThreadPlay(worker, target, fresh, liveness=liveness).play(phase).finding is not None
            assert isinstance(result.play, Threaded)
            result.play = replace(result.play, threads=threads, again=again)
        if result.play is not None:
            result.found.append(Found(result.play, result.phase))
    return result


def _phases(seed: int, apis: frozenset[str], threads: int) -> Iterator[ThreadPhase]:
    """Yield phases, each kind in turn.

    Errors   CouldNotRun where the target has the calls of none
    """
    names = Programs("", apis, threads).names()
    if not names:
        raise CouldNotRun("the target exports no call that makes an object and the one that frees it")
    turn = 0
    while True:
        for name in names:
            yield Programs(f"{seed}, {turn}, {name}, threads", apis, threads).phase(name)
        turn += 1


class ThreadPlay:
    """One phase on a freshly loaded target."""

    def __init__(self, worker: Worker, target: Target, judge: Judge, *, liveness: bool) -> None:
        """Load nothing yet; `liveness` says that losses are judged."""
        self._worker = worker
        self._target = target
        self._judge = judge
        self._reader = Reader()
        self._rows: list[Row] = []  # by event
        self._base = 0
        self._time = 0
        self._dead = False
        self._losses = Losses()
        self._liveness = liveness

    def play(self, phase: ThreadPhase) -> Threaded:
        """Play the phase until the first violation.

        Errors   CouldNotRun
        """
        self._judge.start_over()
        self._base = self._judge.events
        with self._worker.open(self._target) as run:
            finding = self._alone(run, phase.before)
            for _ in range(phase.cycles):
                for programs in phase.rounds:
                    if finding is None and not self._dead:
                        finding = self._together(run, programs)
                if finding is None and not self._dead:
                    finding = self._alone(run, phase.after)
                if finding is None and not self._dead and phase.cycles > 1:
                    finding = self._lost_memory()
                if finding is not None or self._dead:
                    break
        if finding is None:
            return Threaded(len(self._rows))
        return self._found(finding)

    def _lost_memory(self) -> Finding | None:
        """End a round from empty to empty, and judge whether memory is lost."""
        shape = self._losses.end()
        if shape is None or not self._liveness:
            return None
        text = (
            f"{show(Call(*shape))} gave NULL to half of its calls or more, in {RETRIES} rounds "
            "in a row of the same calls of threads; an earlier one was refused none, and all was freed "
            "in between"
        )
        return replace(self._judge.finding("MEM-LIVENESS", text), event=self._judge.events - 1)

    def _alone(self, run: Run, ops: Sequence[Op]) -> Finding | None:
        """Play calls by one thread."""
        for begin in range(0, len(ops), CHUNK):
            chunk = ops[begin : begin + CHUNK]
            run.start(chunk)
            records, _, death = run.finish()
            finding = self._judged(alone(chunk, records, self._time))
            if finding is None and death is not None:
                finding = self._lost([chunk[min(death.index, len(chunk) - 1)]], death)
            self._dead = death is not None
            if finding is not None or self._dead:
                return finding
        return None

    def _together(self, run: Run, programs: list[list[Op]]) -> Finding | None:
        """Play calls by threads."""
        run.start_threads(programs)
        lanes, death = run.finish_threads()
        rows = ordered(programs, lanes)
        self._time = max((row.end for row in rows), default=0) + 1
        finding = self._judged(rows)
        self._dead = death is not None
        if finding is None and death is not None:
            if death.unusable:
                raise CouldNotRun(f"{self._target.label}: {death.unusable}")
            in_hand = [
                program[len(lane.records)]
                for program, lane in zip(programs, lanes, strict=True)
                if len(lane.records) < len(program)
            ]
            finding = self._lost(in_hand or [programs[0][-1]], death)
        return finding

    def _judged(self, rows: Sequence[Row]) -> Finding | None:
        """Judge calls in their order."""
        for row in rows:
            event = self._reader.event(row.op, row.record)
            if event is None:
                continue
            self._rows.append(row)
            self._losses.call(row.op, got=row.record[0] != 0)
            finding = self._judge.take(*event)
            if finding is not None:
                return finding
        return None

    def _lost(self, ops: Sequence[Op], death: Death) -> Finding | None:
        """Judge the death of a target: what threads were at is known, not which of them brought it about."""
        for op in ops:
            self._rows.append(Row(self._time, False, -1, self._time, self._time, op, (0, -1, -1, -1, 0, 0)))
            finding = self._judge.lose(self._reader.lost(op, death.told()))
            if finding is not None:
                calls = ", ".join(each.api for each in ops)
                beside = f"; in hand were {calls}" if len(ops) > 1 else ""
                return replace(finding, message=finding.message + beside)
        return None

    def _found(self, finding: Finding) -> Threaded:
        """Return a finding with the calls around it."""
        last = finding.event - self._base
        marked = {last, *(other - self._base for other in finding.others if other >= self._base)}
        marked = {place for place in marked if 0 <= place < len(self._rows)}
        shown = sorted(marked | set(range(max(0, last - SHOWN), min(last + 1, len(self._rows)))))
        rows = tuple(self._rows[place] for place in shown)
        return Threaded(
            len(self._rows),
            finding,
            rows=rows,
            marked=frozenset(place for place, at in enumerate(shown) if at in marked),
            history=(
                self._judge.history([row.op for row in self._rows])
                if isinstance(self._judge, Recorder)
                else None
            ),
        )
