"""A campaign in several processes: each has a share of the phases, which are the same whoever plays them."""

from __future__ import annotations

import multiprocessing
import multiprocessing.synchronize
import signal
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, replace
from typing import Final

from kmem_oracle.campaign import Budget, Course, Progress, Result, campaign, signature
from kmem_oracle.targets.process import CouldNotRun, Target

MOST: Final = 256
_over: multiprocessing.synchronize.Event | None = None


@dataclass(frozen=True, slots=True)
class Share:
    """What one process is asked to do."""

    target: Target
    profile: str
    seed: int
    budget: Budget
    waived: frozenset[str]
    course: Course


def in_jobs(
    target: Target,
    *,
    jobs: int,
    profile: str,
    seed: int,
    budget: Budget,
    waived: frozenset[str],
    progress: Progress,
    course: Course,
) -> Result:
    """Judge a target by so many processes; the budget of calls is shared, that of time is each one's.

    Errors   CouldNotRun, ProfileError, OSError
    """
    context = multiprocessing.get_context("spawn")
    over = context.Event()
    part = replace(budget, calls=-(-budget.calls // jobs))
    shares = [
        Share(target, profile, seed, part, waived, replace(course, share=(job, jobs))) for job in range(jobs)
    ]
    with ProcessPoolExecutor(jobs, context, _begin, (over,)) as pool:
        futures = [pool.submit(play_share, share) for share in shares]
        try:
            results = [future.result() for future in futures]
        except KeyboardInterrupt:
            over.set()
            results = _ended(futures)
    total = merged(results)
    progress("", total)
    return total


def merged(results: Sequence[Result]) -> Result:
    """Return the parts of a campaign as one; of the violations, that of the earliest phase is the first."""
    total = replace(results[0], found=[], by_phase={}, play=None, phase="")
    counts: Counter[str] = Counter()
    warned: Counter[str] = Counter()
    for result in results:
        counts.update(result.counts)
        warned.update(result.warned)
        for name, judged in result.by_phase.items():
            total.by_phase.setdefault(name, Counter()).update(judged)
    total.calls = sum(result.calls for result in results)
    total.seconds = max(result.seconds for result in results)
    total.interrupted = any(result.interrupted for result in results)
    total.warned = warned
    total.counts = {clause: counts[clause] for clause in results[0].counts}
    for found in sorted((each for result in results for each in result.found), key=lambda each: each.index):
        known = next((old for old in total.found if signature(old.play) == signature(found.play)), None)
        if known is None:
            total.found.append(replace(found))
        else:
            known.times += found.times
    if total.found:
        total.play, total.phase = total.found[0].play, total.found[0].phase
    return total


def play_share(share: Share) -> Result:
    """Play a share of a campaign.

    Errors   CouldNotRun, ProfileError, OSError
    """
    over = _over
    course = share.course
    if over is not None:
        course = replace(course, stopped=over.is_set)
    result = campaign(
        share.target,
        profile=share.profile,
        seed=share.seed,
        budget=share.budget,
        waived=share.waived,
        progress=_quiet,
        course=course,
    )
    if over is not None and result.found and not course.keep_going:
        over.set()
    return result


def _begin(over: multiprocessing.synchronize.Event) -> None:
    """Begin a process: Ctrl-C ends its phase, through the event."""
    global _over  # a process of a pool is told of an event in no other way
    _over = over
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _ended(futures: Sequence[Future[Result]]) -> list[Result]:
    """Return what the processes have, once they stop.

    Errors   CouldNotRun where none has anything
    """
    results = []
    for future in futures:
        result = future.result()
        result.interrupted = True
        results.append(result)
    if not results:
        raise CouldNotRun("interrupted before anything was judged")
    return results


def _quiet(_phase: str, _result: Result) -> None:
    """Show nothing."""
