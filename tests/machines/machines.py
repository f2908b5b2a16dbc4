"""The machines: one for each family, and one over all. How a machine is run, and on what."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from tests.machines.area_rules import AreaRules
from tests.machines.cache_rules import CacheRules
from tests.machines.kmalloc_rules import KmallocRules
from tests.machines.kv_rules import KvRules
from tests.machines.machine import Machine, ready
from tests.machines.mistakes import Mistakes
from tests.machines.page_rules import PageRules
from tests.machines.pool_rules import PoolRules
from tests.machines.subjects import DMA32_BYTES, DMA_BYTES, LibrarySubject, ModelSubject, Subject

from kmem_model.kernel import Kernel
from kmem_model.memory import PAGE_OFFSET
from kmem_oracle.targets.process import Worker
from kmem_oracle.targets.target import Target
from kmem_spec.profile import Profile, load


class KmallocMachine(KmallocRules, Mistakes):
    """kmalloc, and what is built on it."""


class CacheMachine(CacheRules, Mistakes):
    """Slab caches."""


class AreaMachine(AreaRules, Mistakes):
    """vmalloc, and vmap."""


class PageMachine(PageRules, Mistakes):
    """Blocks of pages, and exact pages."""


class KvMachine(KvRules, Mistakes):
    """kvmalloc, with what kvfree takes besides."""


class PoolMachine(PoolRules, Mistakes):
    """Mempools, and the caches that they stand on."""


class WholeMachine(KmallocRules, AreaRules, PageRules, KvRules, PoolRules, Mistakes):
    """All families on one machine."""


MACHINES: Final[dict[str, type[Machine]]] = {
    "kmalloc": KmallocMachine,
    "caches": CacheMachine,
    "areas": AreaMachine,
    "pages": PageMachine,
    "kv": KvMachine,
    "pools": PoolMachine,
    "whole": WholeMachine,
}
ZONED: Final = replace(
    load("linux-6.12"), dma_end=PAGE_OFFSET + DMA_BYTES, dma32_end=PAGE_OFFSET + DMA32_BYTES
)
PROFILES: Final = (ZONED, load("linux-6.1"), load("contract"))  # the first promises all that others do


def run(
    machine: type[Machine],
    open_subject: Callable[[], Subject],
    profiles: Sequence[Profile],
    how: settings,
    seed: int | None = None,
) -> None:
    """Run a machine on fresh subjects, before judges of these profiles."""
    run_state_machine_as_test(ready(machine, open_subject, profiles, seed), settings=how)


def run_on_model(name: str, how: settings, *, merge: bool = False, seed: int | None = None) -> None:
    """Run the machine of that name on the model, seen from within."""
    run(MACHINES[name], partial(ModelSubject, merge=merge), PROFILES, how, seed)


def run_on_library(name: str, how: settings, worker: Worker, target: Target) -> None:
    """Run the machine of that name on a library, judged by what the documentation promises."""
    run(MACHINES[name], lambda: LibrarySubject(worker, target), (load("contract"),), how)


def run_on_fault(
    name: str, make: Callable[[int], Kernel], profile: Profile, how: settings, *, look: bool = False
) -> None:
    """Run a machine on a faulty kernel until something is found: in its state too if `look`."""
    quick = settings(
        how, max_examples=4 * how.max_examples, phases=(Phase.generate,), report_multiple_bugs=False
    )
    run(MACHINES[name], lambda: ModelSubject(make, look=look), (profile,), quick)
