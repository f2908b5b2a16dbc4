"""The judge on calls that do not return: a violation, unless no such call may be made."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from tests.cover.judging import (
    AT,
    CONTRACT,
    POOL,
    ZSP,
    C,
    K,
    Row,
    admit_all,
    ca,
    create,
    ev,
    findings,
    gfpages,
    kfree,
    km,
    pool,
    tables_of,
)
from tests.cover.test_judge import ROWS

from kmem_spec.calls import Call, Event, Lost
from kmem_spec.gfp import DMA, DMA32, GFP_ATOMIC
from kmem_spec.judge import Judge
from kmem_spec.judging.objects import NO_OP
from kmem_spec.units import SIZE_MAX


@dataclass(frozen=True)
class Loss:
    """A call that does not return after some events, and the clause that it breaks."""

    says: str
    events: tuple[Event, ...]
    call: Call
    clause: str
    who: str = "allocator"

    def __str__(self) -> str:
        return self.says


MERGED = (create(C), create(C), ca(C, AT))
LOSSES = [
    Loss("kmalloc", (), Call("kmalloc", (64, K)), "MEM-RETURNS"),
    Loss("a request that must fail", (), Call("kmalloc", (SIZE_MAX, K)), "MEM-RETURNS"),
    Loss("kfree of a live object", (km(64, AT),), Call("kfree", (AT,)), "MEM-RETURNS"),
    Loss("krealloc of a live object", (km(64, AT),), Call("krealloc", (AT, 128, K)), "MEM-RETURNS"),
    Loss("krealloc of NULL", (), Call("krealloc", (0, 128, K)), "MEM-RETURNS"),
    Loss("ksize", (km(64, AT),), Call("ksize", (AT,)), "MEM-RETURNS"),
    Loss("ksize of NULL", (), Call("ksize", (0,)), "MEM-RETURNS"),
    Loss("free_pages", (gfpages(2, AT),), Call("free_pages", (AT, 2)), "MEM-RETURNS"),
    Loss("a look at a live object", (km(64, AT),), Call("check", (AT,)), "MEM-RETURNS"),
    Loss("kfree of NULL", (), Call("kfree", (0,)), "SLAB-FREE-NULL"),
    Loss("kfree of ZERO_SIZE_PTR", (), Call("kfree", (ZSP,)), "SLAB-FREE-NULL"),
    Loss("free_pages of 0", (), Call("free_pages", (0, 7)), "PAGE-FREE-NULL"),
    Loss("free_pages_exact of NULL", (), Call("free_pages_exact", (0, 9)), "CALLER-FREE", "caller"),
    Loss("kmem_cache_free of NULL", (create(C),), Call("kmem_cache_free", (C, 0)), "CALLER-FREE", "caller"),
    Loss("vfree of NULL", (), Call("vfree", (0,)), "VM-FREE-NULL"),
    Loss("vunmap of NULL", (), Call("vunmap", (0,)), "VM-FREE-NULL"),
    Loss("kvfree of ZERO_SIZE_PTR", (), Call("kvfree", (ZSP,)), "SLAB-FREE-NULL"),
    Loss("mempool_free of NULL", (pool(POOL, 1),), Call("mempool_free", (0, POOL)), "POOL-NULL"),
    Loss("mempool_destroy of NULL", (), Call("mempool_destroy", (0,)), "POOL-NULL"),
    Loss("kmem_cache_destroy of NULL", (), Call("kmem_cache_destroy", (0,)), "CACHE-DESTROY-NULL"),
    Loss("kstrdup of NULL", (), Call("kstrdup", (0, K)), "MEM-RETURNS"),
    Loss("kvrealloc of ZERO_SIZE_PTR", (), Call("kvrealloc", (ZSP, 9, K)), "MEM-RETURNS"),
    Loss("is_vmalloc_addr of anything", (), Call("is_vmalloc_addr", (AT, 5)), "MEM-RETURNS"),
    Loss("an empty bulk", (create(C),), Call("kmem_cache_free_bulk", (C, 0, 0)), "MEM-RETURNS"),
    Loss("a merged cache that is in use", MERGED, Call("kmem_cache_destroy", (C,)), "MEM-RETURNS"),
    Loss("an illegal mask", (), Call("kmalloc", (64, K | DMA | DMA32)), "CALLER-GFP", "caller"),
    Loss(
        "free of a stale object",
        (km(8, AT), kfree(AT)),
        Call("kfree", (AT,)),
        "CALLER-DOUBLE-FREE",
        "caller",
    ),
    Loss("free of a foreign address", (), Call("kfree", (AT,)), "CALLER-FREE", "caller"),
    Loss("free of another family", (gfpages(0, AT),), Call("kfree", (AT,)), "CALLER-FAMILY", "caller"),
    Loss("free with another order", (gfpages(0, AT),), Call("free_pages", (AT, 1)), "CALLER-ORDER", "caller"),
]


@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_a_legal_call_that_does_not_return_is_a_violation(loss: Loss) -> None:
    judge = Judge(CONTRACT)
    assert admit_all(judge, loss.events) == [None] * len(loss.events)
    finding = judge.lose(Lost(loss.call, "crashed with SIGSEGV"))
    assert finding is not None
    assert (finding.clause, finding.who, finding.event) == (loss.clause, loss.who, len(loss.events))
    if loss.who == "allocator":
        assert finding.message.endswith(") crashed with SIGSEGV")
    assert judge.events == len(loss.events) + 1


@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_a_call_that_does_not_return_can_be_waived(loss: Loss) -> None:
    judge = Judge(CONTRACT, waived=frozenset({loss.clause}))
    admit_all(judge, loss.events)
    finding = judge.lose(Lost(loss.call, "crashed with SIGSEGV"))
    assert finding is None or finding.clause != loss.clause


def test_a_crash_on_a_wrong_pointer_is_never_the_targets() -> None:
    judge = Judge(CONTRACT, waived=frozenset({"CALLER-DOUBLE-FREE"}))
    admit_all(judge, (km(64, AT), kfree(AT)))
    assert judge.lose(Lost(Call("kfree", (AT,)), "crashed with SIGSEGV")) is None


REJECTED = [row for rows in ROWS.values() for row in rows if row.clause.startswith("CALLER-")]
ADMITTED = [
    row
    for rows in ROWS.values()
    for row in rows
    if not row.clause and not row.says.startswith("a look at what is not live")  # no call of a caller's
]


@pytest.mark.parametrize("row", REJECTED, ids=str)
def test_a_call_that_no_caller_may_make_may_well_crash(row: Row) -> None:
    judge = Judge(row.profile)
    admit_all(judge, row.events[:-1])
    before = tables_of(judge)
    finding = judge.lose(Lost(row.events[-1].call, "crashed with SIGSEGV"))
    assert finding is not None
    assert (finding.clause, finding.event, finding.others) == (row.clause, len(row.events) - 1, row.others)
    assert tables_of(judge) == before


@pytest.mark.parametrize("row", ADMITTED, ids=str)
def test_no_call_that_a_caller_may_make_may_crash(row: Row) -> None:
    judge = Judge(row.profile)
    admit_all(judge, row.events[:-1])
    finding = judge.lose(Lost(row.events[-1].call, "crashed with SIGSEGV"))
    assert finding is not None
    assert finding.who == "allocator"
    assert finding.clause in {"MEM-RETURNS", *NO_OP.values()}


def test_a_crash_in_the_wrong_context_is_the_callers() -> None:
    judge = Judge(CONTRACT)
    assert findings(judge, (create(C), ev("preempt_disable"))) == []
    for call, clause in (
        (Call("kmem_cache_alloc", (C, K)), "CALLER-CONTEXT"),
        (Call("kmem_cache_alloc", (C, GFP_ATOMIC)), "MEM-RETURNS"),
        (Call("kmem_cache_alloc_bulk", (C, K, 0, 0)), "MEM-RETURNS"),
        (Call("vmalloc", (64,)), "CALLER-CONTEXT"),
    ):
        finding = judge.lose(Lost(call, "crashed with SIGSEGV"))
        assert finding is not None
        assert finding.clause == clause
