"""The machines on a C library: the judge admits every event of the correct one, and finds what is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import Phase, settings
from tests.machines.coverage import SEEN
from tests.machines.machines import MACHINES, run_on_library
from tests.machines.mistakes import Mistakes
from tests.machines.player import Violation
from tests.machines.steps import RULES
from tests.targets import build

from kmem_oracle.targets.process import Worker
from kmem_oracle.targets.target import Target

pytestmark = pytest.mark.needs("cc")

ARENA_MB = 8
DONE: set[str] = set()
NO_CONTEXT = {"enter_atomic", "leave_atomic"}  # the library knows no atomic context
ERRING = {  # mistakes are made of what refuses them alone
    *(name for name in vars(Mistakes) if name in RULES),
    "copy_too_much",
    "frame_behind_no_area",
    "mistake_order",
    "mistake_size",
    "create_wrongly",
    "destroy_in_use",
    "free_to_another",
    "ask_zeroes_of_constructed",
    "destroy_pool_in_use",
    "resize_to_nothing",
    "give_to_another",
    "pool_of_constructed",
}
FAULTS = [
    ("kmalloc", "KMALLOC_ZERO_NULL"),
    ("kmalloc", "KREALLOC_COPY_SHORT"),
    ("caches", "CTOR_AGAIN"),
    ("caches", "DTOR_TWICE"),
    ("areas", "VM_NO_GUARD"),
    ("areas", "VMAP_REVERSED"),
    ("pages", "EXACT_SHORT"),
    ("kv", "KV_ARRAY_UNCHECKED"),
    ("pools", "POOL_NULL_EARLY"),
    ("whole", "KFREE_NULL_CRASH"),
]


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    """Return a worker that runs libraries."""
    with Worker(call_seconds=5.0, memory_limit=1 << 30) as running:
        yield running


def run_once(name: str, how: settings, worker: Worker, targets: Path) -> None:
    """Run a machine on the correct library unless it was run in this process before."""
    if name not in DONE:
        path = build.library(directory=targets, arena_mb=ARENA_MB)
        run_on_library(name, how, worker, Target("library", str(path), "kmem"))
        DONE.add(name)


@pytest.mark.parametrize("name", MACHINES)
def test_every_event_of_the_library_is_admitted(
    name: str, machine_settings: settings, worker: Worker, targets: Path
) -> None:
    run_once(name, machine_settings, worker, targets)
    assert name in DONE


def test_no_rule_was_left_out(machine_settings: settings, worker: Worker, targets: Path) -> None:
    for name in MACHINES:
        run_once(name, machine_settings, worker, targets)
    idle = {name for name in RULES if SEEN.ran["library", name] == 0}
    assert idle == ERRING | NO_CONTEXT


@pytest.mark.parametrize(("name", "fault"), FAULTS)
def test_a_faulty_library_is_found(
    name: str, fault: str, machine_settings: settings, worker: Worker, targets: Path
) -> None:
    path = build.library(fault, directory=targets, arena_mb=ARENA_MB)
    most = 4 * machine_settings.max_examples
    quick = settings(
        machine_settings, max_examples=most, phases=(Phase.generate,), report_multiple_bugs=False
    )
    with pytest.raises(Violation) as caught:
        run_on_library(name, quick, worker, Target("library", str(path), fault))
    clauses = build.clauses()
    assert fault not in clauses or caught.value.clause in clauses[fault]
