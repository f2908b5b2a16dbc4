"""Play calls on a target and let the judge read what happened, chunk by chunk.

While the target runs one chunk, the judge reads the one before. Runs on other workers go ahead meanwhile, and
what they answer is kept until their turn comes.
"""

from __future__ import annotations

import itertools
import sys
import time
from collections import deque
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Final, NamedTuple, Self

from kmem_oracle.campaign.recorder import History, Recorder
from kmem_oracle.language.rounds import taken_by
from kmem_oracle.language.script import MOST_ITEMS, Op
from kmem_oracle.targets.console import complaints, is_error
from kmem_oracle.targets.process import Worker
from kmem_oracle.targets.reader import Reader
from kmem_oracle.targets.records import AHEAD, CHUNK, RawNote, Record
from kmem_oracle.targets.target import CouldNotRun, Death, Target, with_words
from kmem_spec.apis import APIS, argument
from kmem_spec.finding import Finding
from kmem_spec.judge import Judge

EARLY: Final = 24  # chunks that are kept for the judge before the turn of their run comes
DRIVERS: Final = ("check", "item", "mempool_fail")  # calls that any target can be asked for


@dataclass(frozen=True, slots=True)
class Play:
    """What came of playing calls.

    calls     how many calls the target answered
    finding   the first violation, if there was one
    ops       the calls up to and with the one that broke a clause, without those that were skipped
    others    indices into `ops` of the calls that made or freed the other objects involved
    console   the last that a kernel printed before it died
    warned    what a kernel complained of, in lines
    script    the calls that people are shown, where these have fewer lines: calls may be skipped, or follow
    history   what happened, where the judge was one that writes it down
    """

    calls: int
    finding: Finding | None = None
    ops: tuple[Op, ...] = ()
    others: tuple[int, ...] = ()
    console: str = ""
    warned: tuple[str, ...] = ()
    history: History | None = None
    script: tuple[Op, ...] = ()

    @property
    def told(self) -> tuple[Op, ...]:
        """Return the calls of the reproducer, as people are shown it."""
        return self.script or self.ops


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


class Answers(NamedTuple):
    """What a chunk came to; `printed` is how much a kernel had printed by then."""

    records: list[Record]
    notes: list[RawNote]
    death: Death | None
    printed: int


class Playing:
    """Calls on their way to a freshly loaded target, and what came of them. Use it as a context.

    sent       how many calls were sent
    all_sent   whether there are no more to send
    limit      how many calls may be sent, and of those that were sent before it was lowered, be judged
    """

    def __init__(self, worker: Worker, target: Target, ops: Iterable[Op], deadline: float) -> None:
        """Load the target.

        Errors   CouldNotRun
        """
        self._run = worker.open(target)
        self._source = runnable(ops, self._run.apis.union(DRIVERS))
        self._deadline = deadline
        self._chunks: deque[list[Op]] = deque()
        self._early: deque[Answers] = deque()  # to the first of these chunks
        self._reader = Reader()
        self._past: list[Op] = []  # the calls that became events, in order
        self._base = -1
        self._read_of = 0  # the calls that were sent
        self._heard = 0  # how much of what a kernel printed was looked at
        self.sent = 0
        self.all_sent = False
        self.limit = sys.maxsize

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
        while len(self._chunks) - len(self._early) < AHEAD and not self.all_sent:
            self._send(0 if time.monotonic() >= self._deadline else min(CHUNK, self.limit - self.sent))

    def _send(self, room: int) -> None:
        """Send the next chunk of that many calls at most."""
        chunk = list(itertools.islice(self._source, max(0, room)))
        if chunk:
            self._run.start(chunk)
            self._chunks.append(chunk)
            self.sent += len(chunk)
        self.all_sent = len(chunk) < CHUNK

    def go_ahead(self) -> None:
        """Before the turn of this run comes, take what is answered, and send whole chunks that have room.

        The rest waits for the turn, when it is known how far the run may go: that does not depend on time.
        """
        while not self._is_lost() and len(self._early) < EARLY and self._run.is_answered():
            self._early.append(self._answers())
        while (
            not (self.all_sent or self._is_lost())
            and len(self._chunks) - len(self._early) < AHEAD
            and self.limit - self.sent >= CHUNK
            and time.monotonic() < self._deadline
        ):
            self._send(CHUNK)

    def _is_lost(self) -> bool:
        """Say whether the target died ahead of its turn."""
        return bool(self._early) and self._early[-1].death is not None

    def _answers(self) -> Answers:
        """Wait for the next chunk."""
        return Answers(*self._run.finish(), len(self._run.printed))

    def step(self, judge: Judge) -> Play | None:
        """Send what may be sent, and judge a chunk; return what came of it all once that is known."""
        if self._base < 0:
            judge.start_over()
            self._base = judge.events
        self.feed()
        outcome = None
        over = not self._chunks
        if not over:
            answers = self._early.popleft() if self._early else self._answers()
            chunk = self._chunks.popleft()
            if len(chunk) > self.limit - self._read_of:
                chunk, answers, over = chunk[: self.limit - self._read_of], answers._replace(death=None), True
            self._read_of += len(chunk)
            outcome = self._read(judge, chunk, answers)
            over |= answers.death is not None
        if outcome is None and over:
            outcome = self._over()
        if outcome is not None and isinstance(judge, Recorder):
            outcome = replace(outcome, history=judge.history(self._past))
        return outcome

    def _read(self, judge: Judge, chunk: list[Op], answers: Answers) -> Play | None:
        """Judge a chunk."""
        records, notes, death, printed = answers
        if death is not None and death.wild:
            return self._wild(judge, chunk, death)
        if death is not None and death.index >= len(chunk):  # after its last call, which is to blame then
            records, death = records[: len(chunk) - 1], replace(death, index=len(chunk) - 1)
        take, event_of = judge.take, self._reader.event
        known = self._past.append
        self._reader.begin(notes)
        for op, record in zip(chunk, records, strict=False):
            event = event_of(op, record)
            if event is None:
                continue
            known(op)
            finding = take(*event)
            if finding is not None:
                return self._found(finding)
        if death is None:
            return self._complained(judge, printed)
        if death.unusable:
            raise CouldNotRun(with_words(death.unusable, death.said))
        lost_op = chunk[death.index]
        known(lost_op)
        finding = judge.lose(self._reader.lost(lost_op, death.told()))
        return None if finding is None else self._found(finding, death.console)

    def _complained(self, judge: Judge, printed: int) -> Play | None:
        """Return the violation that a kernel reports of itself during a chunk, of whichever call."""
        told = self._run.printed[self._heard : printed]
        self._heard = printed
        error = next((line for line in complaints(told) if is_error(line)), "")
        if not error:
            return None
        finding = judge.complain(error)
        return None if finding is None else self._found(finding, "".join(told))

    def _wild(self, judge: Judge, chunk: list[Op], death: Death) -> Play | None:
        """Judge a chunk of which nothing is known, since the target wrote over that."""
        if death.unusable:
            raise CouldNotRun(with_words(death.unusable, death.said))
        blamed = next((op for op in chunk if op.out and not taken_by(op)), chunk[0])
        self._past += chunk
        finding = judge.lose(self._reader.lost(blamed, death.told()))
        return None if finding is None else self._found(finding, death.console)

    def _over(self) -> Play:
        """Return how many calls there were, without a violation."""
        return Play(sum(op[0] != "item" for op in self._past), warned=complaints(self._run.printed))

    def _found(self, finding: Finding, console: str = "") -> Play:
        """Return a violation with the calls that led to it, those of a bulk call under that call."""
        ops, places = [], []
        for op in self._past:
            if op[0] != "item":
                ops.append(op)
            places.append(len(ops) - 1)
        others = {places[event - self._base]: None for event in finding.others if event >= self._base}
        warned = complaints(self._run.printed)
        return Play(len(ops), finding, tuple(ops), tuple(others), console, warned)


def runnable(ops: Iterable[Op], known: Collection[str]) -> Iterator[Op]:
    """Yield the calls that are known, and an `item` for each object after those that make several."""
    bulk = {name: APIS[name].role == "bulk" for name in known}
    for op in ops:
        several = bulk.get(op[0])
        if several is None:
            continue
        yield op
        if several:
            for place in range(min(argument(APIS[op.api], op.args, "count"), MOST_ITEMS)):
                yield Op("item", op.out + place, (place,))
