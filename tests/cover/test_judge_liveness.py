"""The judge on liveness: what once ran from empty runs again. Leaks are found, correct allocators are not."""

from __future__ import annotations

import random

import pytest
from tests.cover.judging import (
    AREA,
    AT,
    CONTRACT,
    LINUX_6_1,
    POOL,
    C,
    D,
    K,
    admit_all,
    bulk,
    ca,
    cf,
    create,
    destroy,
    ev,
    findings,
    free_bulk,
    gfpages,
    item,
    kfree,
    km,
    kre,
    pa,
    pf,
    pool,
    vm,
)

from kmem_spec.calls import Event
from kmem_spec.finding import Finding
from kmem_spec.gfp import GFP_ATOMIC, GFP_KERNEL, GFP_NOWAIT
from kmem_spec.judge import Judge
from kmem_spec.liveness import LONGEST, RETRIES


def test_an_allocator_that_fails_one_call_in_fifty_passes_liveness() -> None:
    dice = random.Random(7)
    judge = Judge(CONTRACT)
    for _ in range(3000):
        place = 0 if dice.random() < 0.02 else AT
        assert judge.admit(gfpages(2, place)) is None
        if place:
            assert judge.admit(ev("free_pages", AT, 2)) is None
    assert judge.counts()["MEM-LIVENESS"] > 5000


def cycle(judge: Judge, place: int, size: int = 64) -> Finding | None:
    """Make and free an object; a NULL is what is judged."""
    finding = judge.admit(km(size, place))
    if place:
        assert finding is None
        finding = judge.admit(kfree(place))
    return finding


def test_what_ran_from_empty_must_run_again() -> None:
    judge = Judge(CONTRACT)
    assert cycle(judge, AT) is None
    assert [cycle(judge, 0) for _ in range(RETRIES - 1)] == [None] * (RETRIES - 1)
    finding = cycle(judge, 0)
    assert finding is not None
    assert (finding.clause, finding.who, finding.event) == ("MEM-LIVENESS", "allocator", RETRIES + 1)
    assert f"in {RETRIES} rounds in a row" in finding.message


def test_one_success_within_the_retries_is_enough() -> None:
    judge = Judge(CONTRACT)
    for _ in range(10):
        assert cycle(judge, AT) is None
        assert [cycle(judge, 0) for _ in range(RETRIES - 1)] == [None] * (RETRIES - 1)


def test_what_never_ran_need_not_run() -> None:
    judge = Judge(CONTRACT)
    assert [cycle(judge, 0) for _ in range(5 * RETRIES)] == [None] * (5 * RETRIES)


def test_after_another_size_an_object_need_not_be_had_but_a_block_must() -> None:
    judge = Judge(CONTRACT)
    cycle(judge, AT)
    cycle(judge, AT, size=200)
    assert [cycle(judge, 0) for _ in range(2 * RETRIES)] == [None] * (2 * RETRIES)
    judge = Judge(CONTRACT)
    for order in (2, 5):
        admit_all(judge, (gfpages(order, AT), ev("free_pages", AT, order)))
    assert findings(judge, (gfpages(2, 0),) * RETRIES) == ["MEM-LIVENESS"]


def test_blocks_above_the_merge_order_may_stay_split() -> None:
    for order, stuck in ((3, True), (4, False)):
        judge = Judge(LINUX_6_1)
        admit_all(judge, (gfpages(order, AT), ev("free_pages", AT, order)))
        assert findings(judge, (gfpages(order, 0),) * RETRIES) == (["MEM-LIVENESS"] if stuck else [])


def test_blocks_that_lists_of_a_processor_hold_back_are_not_demanded_of_who_may_not_wait() -> None:
    for order, mask, stuck in ((0, GFP_ATOMIC, True), (1, GFP_ATOMIC, False), (1, GFP_KERNEL, True)):
        judge = Judge(LINUX_6_1)
        admit_all(judge, (gfpages(order, AT, mask), ev("free_pages", AT, order)))
        assert findings(judge, (gfpages(order, 0, mask),) * RETRIES) == (["MEM-LIVENESS"] if stuck else [])
    judge = Judge(CONTRACT)
    admit_all(judge, (gfpages(1, AT, GFP_ATOMIC), ev("free_pages", AT, 1)))
    assert findings(judge, (gfpages(1, 0, GFP_ATOMIC),) * RETRIES) == ["MEM-LIVENESS"]


def test_a_resize_is_part_of_a_cycle() -> None:
    judge = Judge(CONTRACT)
    grown = (km(64, AT), kre(AT, 200, 2 * AT), ev("kfree", 2 * AT))
    refused = (km(64, AT), kre(AT, 200, 0), kfree(AT))
    assert admit_all(judge, grown) == [None] * 3
    found = [finding for _ in range(RETRIES) for finding in admit_all(judge, refused) if finding]
    assert [finding.clause for finding in found] == ["MEM-LIVENESS"]


def test_liveness_is_judged_only_while_the_same_calls_come_again() -> None:
    judge = Judge(CONTRACT)
    admit_all(judge, (km(64, AT), km(96, 2 * AT), kfree(AT), ev("kfree", 2 * AT)))
    for _ in range(3 * RETRIES):  # a cycle that parts from the first after its first call
        assert admit_all(judge, (km(64, AT), km(128, 0), kfree(AT))) == [None] * 3


def test_a_very_long_cycle_is_not_followed_to_its_end() -> None:
    judge = Judge(CONTRACT)
    for _ in range(2):
        for index in range(LONGEST + 10):
            assert judge.admit(km(8, AT + 8 * index)) is None
        for index in range(LONGEST + 10):
            assert judge.admit(ev("kfree", AT + 8 * index)) is None
    assert judge.counts()["MEM-LIVENESS"] == LONGEST


def test_liveness_can_be_waived() -> None:
    judge = Judge(CONTRACT, waived=frozenset({"MEM-LIVENESS"}))
    cycle(judge, AT)
    assert [cycle(judge, 0) for _ in range(2 * RETRIES)] == [None] * (2 * RETRIES)
    assert "MEM-LIVENESS" not in judge.counts()


CACHE = (create(C), ca(C, AT), ca(C, 2 * AT), cf(C, AT), cf(C, 2 * AT), destroy(C))
BULK = (create(C), bulk(C, 2, 2), item(0, AT), item(1, 2 * AT), free_bulk(C, 2 * AT, AT), destroy(C))
PAGES = (ev("alloc_pages_bulk", K, 1, 0, gives=1), item(0, AT), ev("__free_pages", AT, 0))
VMALLOC = (vm(9000, AREA), ev("vrealloc", AREA, 90_000, K, gives=2 * AREA), ev("vfree", 2 * AREA))
MAPPED = (gfpages(0, AT), ev("vmap", 0, 1, 4, 0, AT, gives=AREA), ev("vunmap", AREA), ev("free_pages", AT, 0))
ELEMENT = (pool(POOL, 0), pa(AT, GFP_NOWAIT), pf(AT), ev("mempool_destroy", POOL))
EITHER = (ev("kvmalloc", 9000, K, gives=AT), ev("kvfree", AT))
COPY = (km(64, AT), ev("kmemdup", AT, 64, K, gives=2 * AT), kfree(2 * AT), kfree(AT))
SPLIT = (gfpages(1, AT), ev("split_page", AT, 1), ev("free_pages", AT + 4096, 0), ev("free_pages", AT, 0))
# Cycles from empty to empty; and what is left of each when from some place on it finds no more memory.
CYCLES: dict[str, tuple[tuple[Event, ...], tuple[Event, ...]]] = {
    "create": (CACHE, (create(0),)),
    "alloc": (CACHE, (create(C), ca(C, 0), destroy(C))),
    "alloc, the second": (CACHE, (create(C), ca(C, AT), ca(C, 0), cf(C, AT), destroy(C))),
    "alloc_bulk": (BULK, (create(C), bulk(C, 2, 0), item(0, 0), item(1, 0), destroy(C))),
    "alloc_pages_bulk": (PAGES, (ev("alloc_pages_bulk", K, 1, 0), item(0, 0))),
    "vmalloc": (VMALLOC, (vm(9000, 0),)),
    "vrealloc": (VMALLOC, (vm(9000, AREA), ev("vrealloc", AREA, 90_000, K), ev("vfree", AREA))),
    "vmap": (MAPPED, (gfpages(0, AT), ev("vmap", 0, 1, 4, 0, AT), ev("free_pages", AT, 0))),
    "kvmalloc": (EITHER, (ev("kvmalloc", 9000, K),)),
    "mempool_create": (ELEMENT, (pool(0, 0),)),
    "mempool_alloc": (ELEMENT, (pool(POOL, 0), pa(0, GFP_NOWAIT), ev("mempool_destroy", POOL))),
    "kmemdup": (COPY, (km(64, AT), ev("kmemdup", AT, 64, K), kfree(AT))),
    "split_page": (SPLIT, (gfpages(1, 0),)),
}


@pytest.mark.parametrize("name", CYCLES)
def test_a_leak_in_any_family_is_found(name: str) -> None:
    whole, rest = CYCLES[name]
    judge = Judge(CONTRACT)
    assert findings(judge, whole * 3) == []
    assert findings(judge, rest * (RETRIES - 1)) == []
    assert findings(judge, rest) == ["MEM-LIVENESS"]


@pytest.mark.parametrize("name", CYCLES)
def test_a_failure_now_and_then_is_no_leak(name: str) -> None:
    whole, rest = CYCLES[name]
    judge = Judge(CONTRACT)
    for _ in range(5):
        assert findings(judge, whole) == []
        assert findings(judge, rest * (RETRIES - 1)) == []
    assert judge.counts()["MEM-LIVENESS"] > 0
    assert judge.leaks() == []


@pytest.mark.parametrize("name", CYCLES)
def test_a_failure_that_was_asked_for_is_no_leak(name: str) -> None:
    whole, rest = CYCLES[name]
    judge = Judge(CONTRACT)
    assert findings(judge, (*whole, ev("fail_nth", 1), *rest * (3 * RETRIES), ev("fail_nth", 0))) == []
    assert findings(judge, rest * (RETRIES - 1)) == []
    assert findings(judge, rest) == ["MEM-LIVENESS"], "what failing took is a leak as well"


@pytest.mark.parametrize("name", CYCLES)
def test_what_never_worked_is_no_leak(name: str) -> None:
    judge = Judge(CONTRACT)
    assert findings(judge, CYCLES[name][1] * (3 * RETRIES)) == []


STAYING: dict[str, tuple[Event, tuple[Event, ...], tuple[Event, ...]]] = {
    "alloc": (create(C), (ca(C, AT), cf(C, AT)), (ca(C, 0),)),
    "alloc_bulk": (create(C), BULK[1:-1], (bulk(C, 2, 0), item(0, 0), item(1, 0))),
    "mempool_alloc": (pool(POOL, 0), ELEMENT[1:-1], (pa(0, GFP_NOWAIT),)),
}


@pytest.mark.parametrize("name", STAYING)
def test_a_leak_of_a_cache_or_pool_that_stays_is_found(name: str) -> None:
    begin, whole, rest = STAYING[name]
    judge = Judge(CONTRACT)
    assert findings(judge, (begin, *whole * 3, *rest * (RETRIES - 1))) == []
    assert findings(judge, rest) == ["MEM-LIVENESS"]


@pytest.mark.parametrize(
    "taker", [create(D), pool(POOL, 99), ev("mempool_create_slab_pool", 99, C, gives=POOL)]
)
def test_what_a_new_cache_or_pool_takes_is_not_there_any_more(taker: Event) -> None:
    judge = Judge(CONTRACT)
    assert (
        findings(judge, (create(C), *(ca(C, AT), cf(C, AT)) * 3, taker, *(ca(C, 0),) * (3 * RETRIES))) == []
    )
    judge = Judge(CONTRACT)
    if taker.call.api != "mempool_create_slab_pool":
        assert findings(judge, (gfpages(3, AT), ev("free_pages", AT, 3), taker)) == []
        assert findings(judge, (gfpages(3, 0),) * (3 * RETRIES)) == []


def test_what_a_pool_that_grows_takes_is_not_there_any_more() -> None:
    judge = Judge(CONTRACT)
    grown = (pool(POOL, 1), gfpages(3, AT), ev("free_pages", AT, 3), ev("mempool_resize", POOL, 99))
    assert findings(judge, (*grown, *(gfpages(3, 0),) * (3 * RETRIES))) == []


def test_a_pool_whose_allocator_is_made_to_fail_is_no_leak() -> None:
    judge = Judge(CONTRACT)
    element = (pa(AT, GFP_NOWAIT), pf(AT))
    fail, mend = ev("mempool_fail", POOL, 1), ev("mempool_fail", POOL, 0)
    assert findings(judge, (pool(POOL, 0), *element * 3, fail, *(pa(0, GFP_NOWAIT),) * (3 * RETRIES))) == []
    assert findings(judge, (mend, *element, *(pa(0, GFP_NOWAIT),) * (RETRIES - 1))) == []
    assert findings(judge, (pa(0, GFP_NOWAIT),)) == ["MEM-LIVENESS"]
    judge = Judge(CONTRACT)
    gone_too = (pool(POOL, 0), fail, ev("mempool_destroy", POOL))
    assert findings(judge, (*gone_too, *EITHER * 2, *(ev("kvmalloc", 9000, K),) * (RETRIES - 1))) == []
    assert findings(judge, (ev("kvmalloc", 9000, K),)) == ["MEM-LIVENESS"], (
        "a pool that is gone fails no more"
    )
