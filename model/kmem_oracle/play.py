"""Play calls on a target and let the judge read what happened, chunk by chunk.

While the target runs one chunk, the judge reads the one before. The next run's first chunks may be on
their way, to another worker, while the last ones of this are judged.
"""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Final, Self

from kmem_oracle.script import ID_ZERO_SIZE, Op
from kmem_oracle.targets.driver import SKIPPED, SPOILT
from kmem_oracle.targets.process import AHEAD, CHUNK, Death, Record, Target, Worker
from kmem_spec.apis import APIS
from kmem_spec.calls import Answer, Call, Lost
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
    with Playing(worker, target, ops, deadline) as playing:
        while (outcome := playing.step(judge)) is None:
            continue
        return outcome


class Playing:
    """Calls on their way to a freshly loaded target, and what came of them. Use it as a context.

    sent       how many calls were sent
    all_sent   whether there are no more to send
    """

    def __init__(self, worker: Worker, target: Target, ops: Iterable[Op], deadline: float) -> None:
        """Load the target.

        Errors   CouldNotRun
        """
        self._run = worker.open(target)
        known = self._run.apis | {"check"}
        self._source = (op for op in ops if op[0] in known)
        self._deadline = deadline
        self._chunks: deque[list[Op]] = deque()
        self._reader = Reader()
        self._past: list[Op] = []  # the calls that became events, in order
        self._base = -1
        self.sent = 0
        self.all_sent = False

    def __enter__(self) -> Self:
        """Return the run of calls."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the target."""
        self._run.__exit__(kind, error, trace)

    def feed(self) -> None:
        """Send as many calls as may be on their way."""
        while len(self._chunks) < AHEAD and not self.all_sent:
            chunk = [] if time.monotonic() >= self._deadline else list(itertools.islice(self._source, CHUNK))
            if chunk:
                self._run.start(chunk)
                self._chunks.append(chunk)
                self.sent += len(chunk)
            self.all_sent = len(chunk) < CHUNK

    def step(self, judge: Judge) -> Play | None:
        """Send what may be sent, and judge a chunk; return what came of it all once that is known."""
        if self._base < 0:
            judge.start_over()
            self._base = judge.events
        self.feed()
        if not self._chunks:
            return Play(len(self._past))
        records, death = self._run.finish()
        outcome = self._read(judge, self._chunks.popleft(), records, death)
        return Play(len(self._past)) if outcome is None and death is not None else outcome

    def _read(self, judge: Judge, chunk: list[Op], records: list[Record], death: Death | None) -> Play | None:
        """Judge a chunk."""
        take, event_of = judge.take, self._reader.event
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
        finding = judge.lose(self._reader.lost(lost_op, death.how))
        return Play(len(past)) if finding is None else self._found(finding)

    def _found(self, finding: Finding) -> Play:
        """Return a violation with the calls that led to it."""
        others = tuple(event - self._base for event in finding.others if event >= self._base)
        return Play(len(self._past), finding, tuple(self._past), others)
