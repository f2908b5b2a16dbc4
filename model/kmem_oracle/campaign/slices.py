"""The slices of a campaign: sent where a worker is free, heard of, and put together in their order.

A slice is a range of phases: it is the same whoever plays it, and once more where a worker died with it. What
is found is what one machine finds, since slices count in their order: up to the first with a violation, or
to where the budget of calls is used up.
"""

from __future__ import annotations

import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field, replace
from importlib import metadata
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Final

from kmem_oracle.campaign.course import Share
from kmem_oracle.campaign.jobs import Answer, merged, played
from kmem_oracle.campaign.result import Progress, Result, signature
from kmem_oracle.targets.target import CouldNotRun
from kmem_spec.profile import ProfileError

if TYPE_CHECKING:
    from distributed import Client, Future

VERSION: Final = metadata.version("kmem-oracle")
PHASES: Final = 32  # of a slice: some 100,000 calls of a library, a second or two
RETRIES: Final = 2  # of a slice whose worker had not the means; one that dies is Dask's own to replace
WITHOUT_SECONDS: Final = 30.0  # without a scheduler or a worker, until the cluster counts as lost
LOOK_SECONDS: Final = 1.0  # between two looks at the cluster
SLACK_SECONDS: Final = 5.0  # for the last slices to come in when the time is up
Known = frozenset[tuple[str, str]]  # signatures


@dataclass(slots=True)
class Slices:
    """The slices of a campaign: on their way, done, and put together.

    total     all slices before the `due` one
    end       the first slice that need not be sent any more
    """

    client: Client
    share: Share
    progress: Progress
    deadline: float
    total: Result | None = None
    due: int = 0
    end: int = 1 << 40
    running: dict[int, Future[Answer]] = field(default_factory=dict)
    done: dict[int, Result] = field(default_factory=dict)
    given: dict[int, tuple[int, Known]] = field(default_factory=dict)  # calls left, and what was known
    ended: SimpleQueue[tuple[int, Future[Answer]]] = field(default_factory=SimpleQueue)
    threads: int = 0
    looked: float = 0.0
    there: float = field(default_factory=time.monotonic)  # when there was a worker last

    def run(self) -> None:
        """Play slices until a violation, or the end of the budget.

        Errors   CouldNotRun, ProfileError, OSError, KeyboardInterrupt
        """
        last = self.deadline + max(self.share.target.shrink, self.share.budget.shrink) + SLACK_SECONDS
        while not self._over() and time.monotonic() < last:
            self._look()
            if time.monotonic() < self.deadline:
                self._submit()
            elif not self.running:
                return
            self._hear()
            self._put_together()

    def rest(self) -> Result | None:
        """Cancel what is on its way, and return all that is done."""
        if self.client.status == "running":
            with suppress(OSError):  # the connection may break just now
                self.client.cancel(list(self.running.values()), force=True)
        if not self._over():
            for at in sorted(self.done):
                self._add(self.done[at], knowing=False)
        return self.total

    def _left(self) -> int:
        """Return the calls that are left for the slice that is due."""
        return self.share.budget.calls - (self.total.calls if self.total else 0)

    def _over(self) -> bool:
        """Say whether what was looked for is found, or the calls are used up."""
        found = self.total is not None and bool(self.total.found) and not self.share.course.keep_going
        return found or self._left() <= 0

    def _look(self) -> None:
        """See how many workers there are, now and then.

        Errors   CouldNotRun where there have been none for long
        """
        now = time.monotonic()
        if now - self.looked < LOOK_SECONDS:
            return
        self.looked = now
        what = "the scheduler is gone"
        if self.client.status == "running":
            with suppress(OSError):  # the connection may break just now
                self.threads = sum(self.client.nthreads().values())
                what = "there is no worker"
                if self.threads:
                    self.there = now
        if now - self.there >= WITHOUT_SECONDS or self.client.status == "closed":
            raise CouldNotRun(f"the cluster is lost: {what}, since {now - self.there:.0f} s")

    def _submit(self) -> None:
        """Send as many slices as keep the workers busy, and as the budget may need; the first ones first."""
        known = sum(result.calls for result in self.done.values())
        mean = known / len(self.done) if self.done else self.total.calls / self.due if self.total else 0.0
        at = self.due
        while at < self.end and self.client.status == "running" and len(self.running) < 2 * self.threads:
            if known + mean * len(self.running) >= self._left():
                return
            while at in self.running or at in self.done:
                at += 1
            if at < self.end:
                self._send(at)

    def _forget_after(self, at: int) -> None:
        """Play no slice after one that has what was looked for; those before it may have an earlier one."""
        self.end = min(self.end, at)
        later = [self.running.pop(each) for each in list(self.running) if each > at]
        self.client.cancel(later, force=True)

    def _send(self, at: int) -> None:
        """Send one slice, with the calls that are left at most."""
        share, size = self.share, PHASES * self.share.target.together
        calls, known = self.given[at] = self._left(), self._known()
        behind = self.total.behind if self.total else 0
        course = replace(
            share.course, share=(at * size, 1), until=(at + 1) * size, known=known, behind=behind
        )
        budget = replace(share.budget, calls=calls, seconds=max(0.1, self.deadline - time.monotonic()))
        future = self.client.submit(
            play_slice, replace(share, budget=budget, course=course), VERSION, pure=False, retries=RETRIES
        )
        self.running[at] = future
        future.add_done_callback(lambda ended: self.ended.put((at, ended)))

    def _hear(self) -> None:
        """Wait for a slice to end, a moment at most.

        Errors   CouldNotRun, ProfileError, OSError
        """
        try:
            at, future = self.ended.get(timeout=LOOK_SECONDS / 4)
        except Empty:
            return
        if self.running.get(at) is not future:
            return
        del self.running[at]
        if future.status == "finished":
            try:
                answer = future.result(timeout=WITHOUT_SECONDS)
            except OSError:  # TimeoutError is one: the connection broke just now, and it is sent again
                return
            if not isinstance(answer, Result):
                raise answer
            if at in self.done and time.monotonic() >= self.deadline:
                return  # played again, and cut short by the time: what came first counts
            self.done[at] = answer
            if answer.found and not self.share.course.keep_going:
                self._forget_after(at)
        elif future.status == "error":
            raise CouldNotRun(_why(future.exception(), at))
        # else it was lost with a connection, and is sent again

    def _put_together(self) -> None:
        """Add to the total what is due.

        What went over the budget of calls, or found something without what is known now, is played again;
        till then it stays, so that nothing is lost.
        """
        while self.due in self.done and self.due not in self.running and not self._over():
            result = self.done[self.due]
            calls, known = self.given[self.due]
            over = result.calls > self._left() and calls > self._left()
            knowing = known == self._known() or not (result.found or result.again)
            if (over or not knowing) and time.monotonic() < self.deadline:
                if self.client.status == "running":
                    self._send(self.due)
                return
            self._add(result, knowing=knowing)
            del self.done[self.due], self.given[self.due]
            self.due += 1
            assert self.total is not None
            self.progress(f"slice {self.due}, {self.threads} threads of workers", self.total)

    def _known(self) -> Known:
        """Return the signatures of what is in the total."""
        return frozenset(signature(each.play) for each in self.total.found) if self.total else frozenset()

    def _add(self, result: Result, *, knowing: bool) -> None:
        """Add a slice to the total; one that was not `knowing` what that has may have the same violations."""
        if self.total is None:
            self.total = result
            return
        found, behind = self.total.found, self.total.behind + result.behind
        again = result.again + Counter() if knowing else self._met(result)
        new = [each for each in result.found if knowing or signature(each.play) not in again]
        for met, times in again.items():
            next(each for each in found if signature(each.play) == met).times += times
        self.total = merged([self.total, result])
        self.total.found, self.total.behind = [*found, *new], behind
        if self.total.found:
            self.total.play, self.total.phase = self.total.found[0].play, self.total.found[0].phase

    def _met(self, result: Result) -> Counter[tuple[str, str]]:
        """Return how often a slice met what is in the total."""
        met, known = result.again + Counter(), self._known()
        for each in result.found:
            if signature(each.play) in known:
                met[signature(each.play)] += each.times
        return met


def _why(error: BaseException | None, at: int) -> str:
    """Return why a slice was not played."""
    from distributed import KilledWorker

    if isinstance(error, KilledWorker):
        return f"slice {at} was given up by Dask: one worker after the other died that played it"
    return f"slice {at}: {error or 'no result'}; scheduler and workers need kmem-oracle {VERSION}"


def play_slice(share: Share, version: str) -> Answer:
    """Play a slice on a worker, and return what came of it."""
    from distributed import get_worker

    here = get_worker().address
    if version != VERSION:
        return CouldNotRun(f"worker {here} has kmem-oracle {VERSION}, and this is {version}")
    target = share.target
    if target.kind in ("library", "malloc") and target.name and not Path(target.name).exists():
        return CouldNotRun(f"worker {here} has no {target.name}: a target is at the same path on each worker")
    try:
        return played(share)
    except (CouldNotRun, ProfileError, OSError) as error:
        return CouldNotRun(f"worker {here}: {error}")
