"""The same seed has the same answers from a user-mode kernel: each address, each size, each note."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Final

import pytest

from kmem_oracle.campaign.course import Budget
from kmem_oracle.campaign.start import promised_by, worker_for
from kmem_oracle.commands.judging import target_of
from kmem_oracle.generate.generator import Generator
from kmem_oracle.generate.phase import in_groups
from kmem_oracle.targets.process import Worker
from kmem_oracle.targets.records import CHUNK, RawNote, Record

pytestmark = pytest.mark.needs(
    "linux", "make", "gcc", "flex", "bison", "bc", "perl", "apt-get", "dpkg-deb", "xz"
)
PHASES: Final = 3  # boots, each with several phases of a campaign


def answers(worker: Worker, name: str, seed: int) -> Iterator[tuple[list[Record], list[RawNote]]]:
    """Yield what a kernel answers to each chunk of the first phases."""
    target = target_of(name)
    with worker.open(target) as run:
        generator = Generator(seed, promised_by(run, ""), run.apis)
    for phase in itertools.islice(in_groups(generator.phases(), target.together), PHASES):
        with worker.open(target) as run:
            ops = (op for op in phase.ops if op.api in run.apis)
            while chunk := list(itertools.islice(ops, CHUNK)):
                run.start(chunk)
                records, notes, death = run.finish()
                assert death is None
                yield records, notes


def test_the_same_seed_has_the_same_answers_bit_by_bit(built: str) -> None:
    with worker_for(Budget(), target_of(f"linux:{built}")) as worker:
        first, second = (list(answers(worker, f"linux:{built}", 1)) for _ in range(2))
        other = list(answers(worker, f"linux:{built}", 2))
    assert sum(len(records) for records, _ in first) > 5_000
    assert first == second
    assert first != other
