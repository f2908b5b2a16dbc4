"""Two targets side by side: one script on both, outcomes compared up to addresses.

Where they part is no violation of either: an allocator may fail now and then, round sizes up in its own way,
reuse in its own order. The judge says of each side whether it breaks a rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from kmem_oracle.campaign import Budget, worker_for
from kmem_oracle.play import Playing
from kmem_oracle.script import Op
from kmem_oracle.targets.process import Death, Target, Worker
from kmem_oracle.targets.records import RawNote, Record
from kmem_spec.apis import APIS
from kmem_spec.calls import Answer, Call
from kmem_spec.expect import expect
from kmem_spec.finding import Finding
from kmem_spec.judge import Judge
from kmem_spec.profile import Profile, load
from kmem_spec.units import ZERO_SIZE_PTR

SKIPPED: Final = "skipped"
NUMBERS: Final = frozenset({"measure", "describe", "compute", "adjust", "bulk"})


@dataclass(slots=True)
class Side:
    """What came of a script on one target.

    outcomes   by call, in words without addresses; of bulk calls their objects' too
    finding    the first clause that the judge says it breaks, in whichever call
    """

    target: str
    profile: str
    outcomes: list[tuple[Op, str]] = field(default_factory=list)
    finding: Finding | None = None


@dataclass(frozen=True, slots=True)
class Parting:
    """A call, the number of it in the script from 1, and its outcome on each side."""

    number: int
    op: Op
    outcomes: tuple[str, str]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Both sides, where they part, and the calls that one of the targets lacks."""

    sides: tuple[Side, Side]
    partings: tuple[Parting, ...]
    lacking: tuple[str, ...]
    calls: int


def compare(
    targets: tuple[Target, Target], ops: Sequence[Op], *, profile: str, budget: Budget, waived: frozenset[str]
) -> Comparison:
    """Run one script on two targets.

    Errors   CouldNotRun, ProfileError
    """
    apis = []
    promised = []
    for target in targets:
        with worker_for(budget) as worker, worker.open(target) as run:
            apis.append(run.apis)
            promised.append(load(profile or run.profile or "contract"))
    used = {op.api for op in ops if APIS[op.api].family != "driver"}
    both = apis[0] & apis[1]
    common = [op for op in ops if op.api in both or APIS[op.api].family == "driver"]
    one, two = (
        _play(target, common, each, budget, waived) for target, each in zip(targets, promised, strict=True)
    )
    partings = []
    number = 0
    for (op, left), (_, right) in zip(one.outcomes, two.outcomes, strict=False):
        number += op.api != "item"
        if left != right:
            partings.append(Parting(number, op, (left, right)))
    return Comparison((one, two), tuple(partings), tuple(sorted(used - both)), len(common))


def _play(
    target: Target, ops: Sequence[Op], profile: Profile, budget: Budget, waived: frozenset[str]
) -> Side:
    """Run a script on one target to its end, whatever the judge says on the way."""
    side = Side(target.label, profile.name)
    judge = Judge(profile, waived=waived, looked=True)
    with worker_for(budget) as worker, _Watched(worker, target, ops, float("inf"), side) as playing:
        while playing.step(judge) is None:
            continue
    return side


class _Watched(Playing):
    """Calls on their way, each of whose outcomes is noted; no finding ends it."""

    def __init__(
        self, worker: Worker, target: Target, ops: Sequence[Op], deadline: float, side: Side
    ) -> None:
        """Load the target."""
        super().__init__(worker, target, ops, deadline)
        self._side = side

    def _read(
        self, judge: Judge, chunk: list[Op], records: list[Record], notes: list[RawNote], death: Death | None
    ) -> None:
        """Note a chunk's outcomes."""
        side = self._side
        self._reader.begin(notes)
        for op, record in zip(chunk, records, strict=False):
            event = self._reader.event(op, record)
            if event is None:
                side.outcomes.append((op, SKIPPED))
                continue
            finding = judge.take(*event)
            side.finding = side.finding or finding
            side.outcomes.append((op, outcome(op, *event, judge.profile)))
        if death is not None:
            lost = chunk[min(death.index, len(chunk) - 1)]
            finding = judge.lose(self._reader.lost(lost, death.how))
            side.finding = side.finding or finding
            side.outcomes.append((lost, death.how))


def outcome(op: Op, call: Call, answer: Answer, profile: Profile) -> str:
    """Say what came of a call without addresses: NULL or not, sizes, zeroes, contents, alignment asked."""
    api = APIS[op.api]
    parts: list[str] = []
    if call.api != op.api:
        parts.append("its object had changed before the call")
    elif api.role in NUMBERS or api.name == "is_vmalloc_addr":
        parts.append(str(answer.result))
    elif api.makes or api.role in ("item", "locate"):
        parts.append(_place(call, answer.result, profile))
    if answer.usable >= 0:
        parts.append(f"{answer.usable} bytes usable")
    if answer.nonzero >= 0:
        parts.append(f"byte {answer.nonzero} not zero")
    if answer.changed >= 0:
        parts.append(f"byte {answer.changed} changed")
    return ", ".join(parts) or "done"


def _place(call: Call, result: int, profile: Profile) -> str:
    """Say what kind of address came, and whether it has the alignment that was asked for."""
    if result == 0:
        return "NULL"
    if result == ZERO_SIZE_PTR:
        return "ZERO_SIZE_PTR"
    if (
        APIS[call.api].role in ("allocate", "resize", "copy", "map")
        and "cache" not in APIS[call.api].parameters
    ):
        asked = expect(call, profile)
        due = max(asked.minimum, asked.natural)
        if result % due:
            return f"an object not aligned to {due}"
    return "an object"
