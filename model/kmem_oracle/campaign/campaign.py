"""A campaign: phase after phase on one target, until a violation or the end of the budget; or one script."""

from __future__ import annotations

import gc
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Final

from kmem_oracle.campaign.course import Budget, Course
from kmem_oracle.campaign.hunt import Hunt
from kmem_oracle.campaign.play import DRIVERS, play
from kmem_oracle.campaign.result import Found, Progress, Result
from kmem_oracle.campaign.start import judge_for, promised_by, worker_for
from kmem_oracle.generate.generator import Generator
from kmem_oracle.language.script import Op
from kmem_oracle.targets.by_bytes import CONTENTS
from kmem_oracle.targets.target import CouldNotRun, Target

WORKERS: Final = 5
WORKERS_FOR_GUESTS: Final = 3  # whose phases are played several together


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
        hunt = Hunt(target, result, budget, waived, progress, course or Course())
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
