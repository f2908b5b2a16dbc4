"""The judge before faulty kernels: each fault is named by the right clause, and only where it is promised.

That all that the kernel does without a fault is admitted, the machines show: a judge for each profile.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from unittest import mock

import pytest
from hypothesis import settings
from tests.machines.faulty import areas, caches, kmalloc, kv_and_pools, pages
from tests.machines.machines import ZONED, run_on_fault
from tests.machines.player import Player, Violation
from tests.machines.subjects import ModelSubject

from kmem_model import area, space
from kmem_model.kernel import Kernel
from kmem_model.memory import Memory
from kmem_spec.clauses import CLAUSES
from kmem_spec.gfp import GFP_KERNEL
from kmem_spec.profile import Profile, load

PROFILES: dict[str, Profile] = {name: load(name) for name in ("contract", "linux-6.1", "linux-6.12")}
PROFILES["zones"] = ZONED


@dataclass(frozen=True)
class Fault:
    """A faulty kernel, the machine that finds it, the profile, the clauses of which one names it.

    patches   constants of the model that are otherwise
    """

    kernel: Callable[[int], Kernel]
    machine: str
    profile: str
    clauses: tuple[str, ...]
    patches: tuple[tuple[object, str, object], ...] = ()
    name: str = ""

    def __str__(self) -> str:
        return f"{self.name or getattr(self.kernel, '__name__', '')} {self.profile}"


FAULTS = [
    Fault(kmalloc.ZeroIsNull, "kmalloc", "contract", ("SLAB-ZERO-SIZE",)),
    Fault(kmalloc.NoMaximum, "kmalloc", "contract", ("SLAB-MAX",)),
    Fault(kmalloc.WrappingProduct, "kmalloc", "contract", ("SLAB-ARRAY",)),
    Fault(kmalloc.ClassTooSmall, "kmalloc", "contract", ("MEM-USABLE",)),
    Fault(kmalloc.ErrorPointer, "kmalloc", "contract", ("MEM-NULL",)),
    Fault(kmalloc.SmallNumber, "kmalloc", "contract", ("MEM-NULL",)),
    Fault(kmalloc.OddClass, "kmalloc", "contract", ("SLAB-ALIGN-POWER",)),
    Fault(kmalloc.OddClass, "kmalloc", "linux-6.1", ("SLAB-CLASS", "SLAB-ALIGN-POWER")),
    Fault(kmalloc.ShiftedClass, "kmalloc", "linux-6.12", ("SLAB-ALIGN-DIVISOR",)),
    Fault(kmalloc.GivenTwice, "kmalloc", "contract", ("MEM-APART", "SLAB-COPY")),
    Fault(kmalloc.NoZeroing, "kmalloc", "contract", ("MEM-ZERO",)),
    Fault(pages.NoFlaggedZeroing, "pages", "contract", ("GFP-ZERO", "MEM-ZERO")),
    Fault(kmalloc.OneTooMany, "kmalloc", "contract", ("MEM-KEEP",)),
    Fault(kmalloc.NothingKept, "kmalloc", "contract", ("SLAB-REALLOC-KEEP",)),
    Fault(kmalloc.SpoiledByFailure, "kmalloc", "contract", ("SLAB-REALLOC-FAIL",)),
    Fault(kmalloc.NullForFreed, "kmalloc", "contract", ("SLAB-REALLOC-FREE",)),
    Fault(kmalloc.DirtyTail, "kmalloc", "contract", ("SLAB-REALLOC-ZERO",)),
    Fault(kmalloc.GrowingSize, "kmalloc", "contract", ("SLAB-KSIZE",)),
    Fault(kmalloc.CopyShort, "kmalloc", "contract", ("SLAB-COPY",)),
    Fault(kmalloc.NoNul, "kmalloc", "contract", ("SLAB-COPY",)),
    Fault(kmalloc.RoundedDown, "kmalloc", "contract", ("SLAB-ROUNDUP",)),
    Fault(pages.NoMaximumOrder, "pages", "contract", ("PAGE-ORDER-MAX",)),
    Fault(pages.ShiftedBlocks, "pages", "contract", ("PAGE-ALIGN",)),
    Fault(pages.AnyZone, "pages", "zones", ("PAGE-ZONE",)),
    Fault(pages.ExactShort, "pages", "contract", ("MEM-APART", "MEM-KEEP", "GFP-ZERO")),
    Fault(pages.PageTwice, "pages", "contract", ("MEM-APART", "PAGE-BULK")),
    Fault(pages.OrderTooLarge, "pages", "contract", ("PAGE-ORDER-OF",)),
    Fault(pages.NofailFails, "pages", "contract", ("GFP-NOFAIL",)),
    Fault(pages.Restless, "pages", "contract", ("GFP-SLEEP",)),
    Fault(caches.NotConstructed, "caches", "contract", ("CACHE-CTOR",)),
    Fault(caches.ConstructedAgain, "caches", "contract", ("CACHE-CTOR-ONCE", "CACHE-DTOR")),
    Fault(caches.NotDestructed, "caches", "contract", ("CACHE-DTOR",)),
    Fault(caches.OtherConstructor, "caches", "contract", ("CACHE-CTOR", "CACHE-CTOR-OWN", "MEM-KEEP")),
    Fault(caches.BulkPartial, "caches", "contract", ("CACHE-BULK",)),
    Fault(caches.CachesAnywhere, "caches", "contract", ("CACHE-ALIGN",)),
    Fault(caches.CacheTooLarge, "caches", "linux-6.1", ("CACHE-MAX",)),
    Fault(caches.CacheSizeLess, "caches", "contract", ("CACHE-SIZE", "MEM-USABLE")),
    Fault(Kernel, "areas", "contract", ("VM-GUARD",), ((area, "GUARD", 0), (space, "GUARD", 0)), "NoGuard"),
    Fault(areas.OneFrameForTwo, "areas", "contract", ("VM-FRAME-OWN", "MEM-KEEP", "VM-CONTENTS")),
    Fault(areas.AreaNotZeroed, "areas", "contract", ("MEM-ZERO",)),
    Fault(areas.AreaForNothing, "areas", "contract", ("VM-ZERO-SIZE",)),
    Fault(areas.AreaWraps, "areas", "contract", ("VM-MAX",)),
    Fault(areas.AreaArrayWraps, "areas", "contract", ("VM-ARRAY",)),
    Fault(areas.FramesReversed, "areas", "contract", ("VM-CONTENTS",)),
    Fault(areas.AreaMovedEmpty, "areas", "contract", ("VM-REALLOC-KEEP",)),
    Fault(areas.NoArea, "areas", "contract", ("VM-ADDR",)),
    Fault(kv_and_pools.KvArrayWraps, "kv", "contract", ("KV-ARRAY",)),
    Fault(kv_and_pools.KvTooLarge, "kv", "contract", ("KV-MAX",)),
    Fault(kv_and_pools.KvUnaligned, "kv", "contract", ("KV-ALIGN",)),
    Fault(kv_and_pools.BrokenReserve, "pools", "contract", ("POOL-RESERVE", "MEM-RETURNS")),
    Fault(kv_and_pools.Impatient, "pools", "contract", ("POOL-WAITS",)),
    Fault(kv_and_pools.ElementTwice, "pools", "contract", ("MEM-APART",)),
]


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_a_faulty_kernel_is_rejected_by_the_right_clause(fault: Fault, machine_settings: settings) -> None:
    with ExitStack() as stack:
        for module, name, value in fault.patches:
            stack.enter_context(mock.patch.object(module, name, value))
        with pytest.raises(Violation) as caught:
            run_on_fault(fault.machine, fault.kernel, PROFILES[fault.profile], machine_settings)
    assert caught.value.clause in fault.clauses, caught.value
    assert CLAUSES[caught.value.clause].who == "allocator"


@pytest.mark.parametrize("profile", ["contract", "linux-6.1"])
def test_what_only_one_version_promises_is_asked_of_no_other(
    profile: str, machine_settings: settings
) -> None:
    few = settings(machine_settings, max_examples=10)
    run_on_fault("kmalloc", kmalloc.ShiftedClass, PROFILES[profile], few)
    with pytest.raises(Violation):
        run_on_fault("kmalloc", kmalloc.ShiftedClass, PROFILES["linux-6.12"], machine_settings)


def test_an_object_in_the_place_of_a_live_one_is_seen_by_its_bytes_too() -> None:
    subject = ModelSubject()
    player = Player(subject, [PROFILES["contract"]])
    start = player.play("kmalloc", 100, GFP_KERNEL).result
    Memory.fill(subject.kernel.memory, start + 99, 1, 0)
    with pytest.raises(Violation) as caught:
        player.play("kfree", player.made())
    assert caught.value.clause == "MEM-KEEP"
