"""Play calls on a target and let the judge read what happened, chunk by chunk.

While the target runs one chunk, the judge reads the one before.
"""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Final

from kmem_oracle.script import ID_ZERO_SIZE, Op
from kmem_oracle.targets.driver import SKIPPED, SPOILT
from kmem_oracle.targets.process import AHEAD, CHUNK, Death, Record, Run, Target, Worker
from kmem_spec.calls import APIS, Answer, Call, Lost
from kmem_spec.finding import Finding
from kmem_spec.judge import Judge
from kmem_spec.units import ZERO_SIZE_PTR

TAKES_POINTER: Final = {api.name: "pointer" in api.parameters for api in APIS.values()}
new_call: Final[Callable[[tuple[str, tuple[int, ...]]], Call]] = partial(tuple.__new__, Call)
new_answer: Final[Callable[[tuple[int, int, int, int, int]], Answer]] = partial(tuple.__new__, Answer)
NOTHING: Final = Answer(0)


@dataclass(frozen=True, slots=True)
class Play:
    """What came of playing calls.

    calls     how many calls the target answered
    finding   the first violation, if there was one
    ops       the calls up to and with the one that broke a clause, without those that were skipped
    others    indices into `ops` of the calls that made or freed the other objects involved
    """

    calls: int
    finding: Finding | None = None
    ops: tuple[Op, ...] = ()
    others: tuple[int, ...] = ()


class Reader:
    """Turn calls and records into events: ids become addresses."""

    def __init__(self) -> None:
        """Know no object."""
        self._where: dict[int, int] = {0: 0, ID_ZERO_SIZE: ZERO_SIZE_PTR}

    def event(self, op: Op, record: Record) -> tuple[Call, Answer] | None:
        """Return what a record says, None for a call that was skipped."""
        api, out, args = op
        result, usable, nonzero, changed, status = record
        if status:
            if status == SKIPPED:
                return None
            assert status == SPOILT
            return Call("check", (self._where[args[0]],)), Answer(0, changed=changed)
        if TAKES_POINTER[api]:
            args = (self._where.get(args[0], 0), *args[1:])
        if out and result:
            self._where[out] = result
        elif result == 0 and changed < 0:
            return new_call((api, args)), NOTHING
        return new_call((api, args)), new_answer((result, usable, nonzero, changed, -1))

    def lost(self, op: Op, how: str) -> Lost:
        """Return the event of a call that did not return."""
        api, _, args = op
        if TAKES_POINTER[api]:
            args = (self._where.get(args[0], 0), *args[1:])
        return Lost(Call(api, args), how)


def play(
    worker: Worker, target: Target, ops: Iterable[Op], judge: Judge, *, deadline: float = float("inf")
) -> Play:
    """Play calls on a freshly loaded target until the first violation, the end, or the deadline.

    Errors   CouldNotRun
    """
    judge.start_over()
    with worker.open(target) as run:
        return _Playing(run, judge).through(ops, deadline)


class _Playing:
    """One run in progress."""

    def __init__(self, run: Run, judge: Judge) -> None:
        self._run = run
        self._judge = judge
        self._reader = Reader()
        self._past: list[Op] = []  # the calls that became events, in order
        self._base = judge.events

    def through(self, ops: Iterable[Op], deadline: float) -> Play:
        """Run and judge in turn."""
        known = self._run.apis | {"check"}
        source = (op for op in ops if op[0] in known)
        sent: deque[list[Op]] = deque()
        while True:
            while len(sent) < AHEAD and time.monotonic() < deadline:
                chunk = list(itertools.islice(source, CHUNK))
                if not chunk:
                    break
                self._run.start(chunk)
                sent.append(chunk)
            if not sent:
                return Play(len(self._past))
            records, death = self._run.finish()
            play = self._read(sent.popleft(), records, death)
            if play is not None:
                return play
            if death is not None:
                return Play(len(self._past))

    def _read(self, chunk: list[Op], records: list[Record], death: Death | None) -> Play | None:
        """Judge a chunk."""
        take, event_of = self._judge.take, self._reader.event
        past = self._past
        for op, record in zip(chunk, records, strict=False):
            event = event_of(op, record)
            if event is None:
                continue
            past.append(op)
            finding = take(*event)
            if finding is not None:
                return self._found(finding)
        if death is None:
            return None
        lost_op = chunk[min(death.index, len(chunk) - 1)]  # after its last call, nothing was asked of it
        past.append(lost_op)
        finding = self._judge.lose(self._reader.lost(lost_op, death.how))
        return Play(len(past)) if finding is None else self._found(finding)

    def _found(self, finding: Finding) -> Play:
        """Return a violation with the calls that led to it."""
        others = tuple(event - self._base for event in finding.others if event >= self._base)
        return Play(len(self._past), finding, tuple(self._past), others)
