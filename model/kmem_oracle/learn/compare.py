"""Two targets side by side: one script on both, outcomes compared up to addresses.

Where they part is no violation of either: an allocator may fail now and then, round sizes up in its own way,
reuse in its own order. The judge says of each side whether it breaks a rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from kmem_oracle.campaign.course import Budget
from kmem_oracle.campaign.play import DRIVERS, Answers, Playing
from kmem_oracle.campaign.start import promised_by, worker_for
from kmem_oracle.language.outcome import Outcome, Outcomes, alike
from kmem_oracle.language.script import Op
from kmem_oracle.targets.process import Worker
from kmem_oracle.targets.target import CouldNotRun, Target
from kmem_spec.finding import Finding
from kmem_spec.judge import Judge
from kmem_spec.profile import Profile

SKIPPED: Final = Outcome("skipped, since what it takes does not live")


@dataclass(slots=True)
class Side:
    """What came of a script on one target.

    outcomes   by call, and behind a bulk call those of its objects
    finding    the first clause that the judge says it breaks, in whichever call
    """

    target: str
    profile: str
    outcomes: list[tuple[Op, Outcome]] = field(default_factory=list)
    finding: Finding | None = None


class Parting(NamedTuple):
    """A call by its number in the script, from 1, or object `item` of a bulk call, and what it came to."""

    number: int
    item: int | None
    outcomes: tuple[Outcome, Outcome]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Both sides of a script, where they part, and the calls that one of the targets lacks.

    calls       how many calls were compared
    unreached   how many were not, because a target was gone
    """

    script: tuple[Op, ...]
    sides: tuple[Side, Side]
    partings: tuple[Parting, ...]
    lacking: tuple[str, ...]
    calls: int
    unreached: int


def compare(
    targets: tuple[Target, Target], ops: Sequence[Op], *, profile: str, budget: Budget, waived: frozenset[str]
) -> Comparison:
    """Run one script on two targets.

    Errors   CouldNotRun, ProfileError
    """
    apis = []
    promised = []
    with worker_for(budget, *targets) as worker:
        for target in targets:
            with worker.open(target) as run:
                apis.append(run.apis.union(DRIVERS))
                promised.append(promised_by(run, profile))
        both = apis[0] & apis[1]
        numbers = [number for number, op in enumerate(ops, 1) if op.api in both]
        common = [ops[number - 1] for number in numbers]
        one, two = (
            _play(worker, target, common, each, waived)
            for target, each in zip(targets, promised, strict=True)
        )
    partings, calls = _partings(one, two, numbers)
    lacking = tuple(sorted({op.api for op in ops} - both))
    return Comparison(tuple(ops), (one, two), partings, lacking, calls, len(common) - calls)


def _partings(one: Side, two: Side, numbers: Sequence[int]) -> tuple[tuple[Parting, ...], int]:
    """Return where the outcomes differ, and how many calls have an outcome on both sides.

    Where the outcomes of a bulk call differ, its objects say nothing more.
    """
    partings: list[Parting] = []
    calls = 0
    for (op, left), (_, right) in zip(one.outcomes, two.outcomes, strict=False):
        item = op.args[0] if op.api == "item" else None
        calls += item is None
        number = numbers[calls - 1]
        told = item is not None and partings and partings[-1].number == number and partings[-1].item is None
        if not told and not alike(left, right):
            partings.append(Parting(number, item, (left, right)))
    return tuple(partings), calls


def _play(
    worker: Worker, target: Target, ops: Sequence[Op], profile: Profile, waived: frozenset[str]
) -> Side:
    """Run a script on one target to its end, whatever the judge says on the way."""
    side = Side(target.label, profile.name)
    judge = Judge(profile, waived=waived, looked=True)
    with _Watched(worker, target, ops, side, profile) as playing:
        while playing.step(judge) is None:
            continue
    return side


class _Watched(Playing):
    """Calls on their way, each of whose outcomes is noted; no finding ends it."""

    def __init__(
        self, worker: Worker, target: Target, ops: Sequence[Op], side: Side, profile: Profile
    ) -> None:
        """Load the target."""
        super().__init__(worker, target, ops, float("inf"))
        self._side = side
        self._outcomes = Outcomes(profile)

    def _read(self, judge: Judge, chunk: list[Op], answers: Answers) -> None:
        """Note a chunk's outcomes."""
        records, notes, death, _ = answers
        side = self._side
        self._reader.begin(notes)
        for op, record in zip(chunk, records, strict=False):
            event = self._reader.event(op, record)
            if event is None:
                side.outcomes.append((op, SKIPPED))
                continue
            finding = judge.take(*event)
            side.finding = side.finding or finding
            side.outcomes.append((op, self._outcomes.of(op, *event)))
        if death is not None:
            if death.unusable and side.finding is None:
                raise CouldNotRun(death.unusable)
            lost = chunk[min(death.index, len(chunk) - 1)]
            finding = judge.lose(self._reader.lost(lost, death.told()))
            side.finding = side.finding or finding
            side.outcomes.append((lost, Outcome(death.how)))
