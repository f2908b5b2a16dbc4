"""A campaign in several processes: each has a share of the phases, which are the same whoever plays them.

The processes are spoken with through pipes alone: locks would need room in /dev/shm.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from multiprocessing.connection import Connection, wait
from typing import Final

from kmem_oracle.campaign.campaign import campaign
from kmem_oracle.campaign.course import Course, Share
from kmem_oracle.campaign.result import Progress, Result, signature
from kmem_oracle.targets.target import CouldNotRun
from kmem_spec.profile import ProfileError

MOST: Final = 256
EXIT_SECONDS: Final = 2.0  # for a process to end by itself
Answer = Result | CouldNotRun | ProfileError | OSError


def in_jobs(whole: Share, *, jobs: int, progress: Progress) -> Result:
    """Judge a target by so many processes; the budget of calls is shared, that of time is each one's.

    Errors   CouldNotRun, ProfileError, OSError
    """
    part = replace(whole.budget, calls=-(-whole.budget.calls // jobs))
    shares = [
        replace(whole, budget=part, course=replace(whole.course, share=(job, jobs))) for job in range(jobs)
    ]
    with ExitStack() as stack:
        connections = [_started(share, stack) for share in shares]
        results = _answers(connections, whole.course)
    total = merged(results)
    progress("", total)
    return total


def played(share: Share, *, progress: Progress | None = None) -> Result:
    """Judge a target by this process alone.

    Errors   CouldNotRun, ProfileError, OSError
    """
    return campaign(
        share.target,
        profile=share.profile,
        seed=share.seed,
        budget=share.budget,
        waived=share.waived,
        progress=progress or _quiet,
        course=share.course,
    )


def _started(share: Share, stack: ExitStack) -> Connection:
    """Return the connection to a new process that plays a share; it ends with `stack`."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_play, args=(theirs, share), daemon=True)
    process.start()
    theirs.close()
    stack.callback(process.terminate)
    stack.callback(process.join, EXIT_SECONDS)
    return stack.enter_context(ours)  # when it is closed, the process stops


def _answers(connections: Sequence[Connection], course: Course) -> list[Result]:
    """Return what each process has found; when one has what was looked for, or Ctrl-C comes, all stop.

    Errors   CouldNotRun, ProfileError, OSError
    """
    results: dict[Connection, Result] = {}
    interrupted = False
    while len(results) < len(connections):
        try:
            ready = wait([each for each in connections if each not in results])
        except KeyboardInterrupt:
            interrupted = True
            _stop(connections)
            continue
        for connection in ready:
            assert isinstance(connection, Connection)
            answer = _answer(connection)
            if not isinstance(answer, Result):
                raise answer
            results[connection] = answer
            if answer.found and not course.keep_going:
                _stop(connections)
    ordered = [results[connection] for connection in connections]
    for result in ordered:
        result.interrupted |= interrupted
    return ordered


def _answer(connection: Connection) -> Answer:
    """Return what a process has to say, once it does."""
    try:
        answer: Answer = connection.recv()
    except EOFError:
        return CouldNotRun("one of the processes died; try again with fewer jobs, or more memory")
    return answer


def _stop(connections: Sequence[Connection]) -> None:
    """Tell all processes to stop; those that have ended do not hear it."""
    for connection in connections:
        with contextlib.suppress(OSError):
            connection.send(None)


def merged(results: Sequence[Result]) -> Result:
    """Return the parts of a campaign as one; of the violations, that of the earliest phase is the first."""
    total = replace(results[0], found=[], by_phase={}, play=None, phase="")
    counts: Counter[str] = Counter()
    warned: Counter[str] = Counter()
    for result in results:
        counts.update(result.counts)
        warned.update(result.warned)
        if result is not results[0]:
            for phase, history in result.histories:
                total.remember(phase, history)
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


def _play(connection: Connection, share: Share) -> None:
    """Play a share of a campaign, until it is over or something is heard, and say what came of it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's, who says so
    answer: Answer
    try:
        answer = played(replace(share, course=replace(share.course, stopped=connection.poll)))
    except (CouldNotRun, ProfileError, OSError) as error:
        answer = error
    with contextlib.suppress(BrokenPipeError):  # the parent has gone, with another's error
        connection.send(answer)


def _quiet(_phase: str, _result: Result) -> None:
    """Show nothing."""
