"""A session: calls played one at a time, each with what came of it before the next is made."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from kmem_oracle.campaign.play import DRIVERS, Playing, runnable
from kmem_oracle.campaign.result import Found, Result
from kmem_oracle.campaign.start import promised_by
from kmem_oracle.language.outcome import Outcome, Outcomes
from kmem_oracle.language.script import Op
from kmem_oracle.targets.by_bytes import CONTENTS
from kmem_oracle.targets.process import Worker
from kmem_oracle.targets.records import CHUNK, RawNote, Record
from kmem_oracle.targets.target import CouldNotRun, Death, Target
from kmem_spec.calls import Answer
from kmem_spec.finding import Finding
from kmem_spec.judge import Judge
from kmem_spec.profile import ProfileError


class Turn(NamedTuple):
    """What came of one call.

    answer    None for a call that was not made: the target lacks it, or what it takes does not live or
              has changed
    items     addresses of the objects that a bulk call made
    finding   the clause that the judge says it breaks
    lost      how the target ended in this call, "" if it lives
    """

    op: Op
    outcome: Outcome
    answer: Answer | None = None
    items: tuple[int, ...] = ()
    finding: Finding | None = None
    lost: str = ""


LACKING = Outcome("not called: the target does not have it")
SKIPPED = Outcome("skipped")


class Session(Playing):
    """Calls on a freshly loaded target, one at a time. Use it as a context.

    A violation does not end it: the judge goes on without the object that it was about.
    """

    def __init__(self, worker: Worker, target: Target, *, profile: str, waived: frozenset[str]) -> None:
        """Load the target.

        Errors   CouldNotRun, ProfileError
        """
        super().__init__(worker, target, (), float("inf"))
        run = self._run
        try:
            promised = promised_by(run, profile)
        except ProfileError as error:
            self.__exit__(type(error), error, None)
            raise
        self._result = Result(target.label, promised, 0, run.apis)
        self._known = run.apis.union(DRIVERS)
        self._outcomes = Outcomes(promised)
        self._began = time.monotonic()
        self._console = ""  # of a kernel that died, the last that it printed
        self.judge = Judge(promised, waived=waived | (frozenset() if run.seen else CONTENTS), looked=True)
        self.judge.start_over()
        self._base = 0
        self.files = run.files

    def call(self, op: Op) -> Turn:
        """Make a call, and say what came of it.

        Needs    the target lives
        Errors   CouldNotRun
        """
        if op.api not in self._known:
            self._result.lacking |= {op.api}
            return Turn(op, LACKING)
        turn: Turn | None = None
        for chunk in _chunks(runnable([op], self._known)):
            self._run.start(chunk)
            turn = self._with(turn, chunk, *self._run.finish())
            if turn.lost:
                break
        assert turn is not None
        if turn.finding is not None:
            self._result.found.append(Found(self._found(turn.finding, self._console), ""))
        return turn

    def file(self, name: str) -> str:
        """Return what the target prints under the name of one of its files.

        Errors   CouldNotRun
        """
        return self._run.file(name)

    def result(self) -> Result:
        """Sum up."""
        result = self._result
        over = self._over()
        result.calls, result.counts = over.calls, self.judge.counts()
        result.warned = Counter(over.warned)
        result.seconds = time.monotonic() - self._began
        if result.found:
            result.play = result.found[0].play
        return result

    def _with(
        self,
        turn: Turn | None,
        chunk: list[Op],
        records: list[Record],
        notes: list[RawNote],
        death: Death | None,
    ) -> Turn:
        """Return what came of a call, with one more chunk: the call itself, and objects that it made."""
        self._reader.begin(notes)
        for op, record in zip(chunk, records, strict=False):
            event = self._reader.event(op, record)
            if event is None:
                turn = turn or Turn(op, SKIPPED)
                continue
            self._past.append(op)
            finding = self.judge.take(*event)
            if turn is None:
                made = event[1] if event[0].api == op.api else None  # else its object had changed
                turn = Turn(op, self._outcomes.of(op, *event), made, finding=finding)
            else:
                items = (*turn.items, event[1].result)
                turn = turn._replace(items=items, finding=turn.finding or finding)
        if death is None:
            assert turn is not None
            return turn
        if death.unusable:
            raise CouldNotRun(death.unusable)
        self._console = death.console
        lost = chunk[min(death.index, len(chunk) - 1)]
        self._past.append(lost)
        finding = self.judge.lose(self._reader.lost(lost, death.how))
        turn = turn or Turn(lost, Outcome(death.how))
        return turn._replace(finding=turn.finding or finding, lost=death.how)


def _chunks(ops: Iterator[Op]) -> Iterator[list[Op]]:
    """Yield calls, as many at a time as may be sent at once."""
    while chunk := list(islice(ops, CHUNK)):
        yield chunk
