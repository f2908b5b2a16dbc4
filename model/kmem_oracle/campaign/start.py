"""What every judging starts with: a worker, the profile to judge by, a judge."""

from __future__ import annotations

from kmem_oracle.campaign.course import Budget
from kmem_oracle.campaign.recorder import Recorder
from kmem_oracle.targets.process import Worker
from kmem_oracle.targets.run import Run
from kmem_oracle.targets.target import Target
from kmem_spec.judge import Judge
from kmem_spec.profile import Profile, load
from kmem_spec.profile import parse as parse_profile


def worker_for(budget: Budget, *targets: Target) -> Worker:
    """Return a worker for targets, not started, with the limits of a budget."""
    libraries = all(target.kind == "library" for target in targets)
    guest = any(target.kind == "linux" for target in targets)
    return Worker(call_seconds=budget.call_seconds, memory_limit=budget.memory, native=libraries, guest=guest)


def promised_by(run: Run, given: str) -> Profile:
    """Return the profile to judge by: the given one, or else what the target names or spells out.

    Errors   ProfileError
    """
    if not given and "\n" in run.profile:
        return parse_profile(run.profile, "of the target")
    return load(given or run.profile or "contract")


def judge_for(profile: Profile, waived: frozenset[str] = frozenset(), *, history: bool = False) -> Judge:
    """Return a judge of what a driver of ours tells; `history` says that it is to write it down."""
    return (Recorder if history else Judge)(profile, waived=waived, looked=True)
