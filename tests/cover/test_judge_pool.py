"""The judge on mempools, each rule both ways, and the habits of correct ones."""

from __future__ import annotations

import random

from tests.cover.judging import (
    AT,
    CONTRACT,
    POOL,
    SLAB_POOL,
    ZSP,
    C,
    K,
    Rows,
    RowTests,
    bad,
    create,
    ev,
    findings,
    good,
    km,
    pa,
    pf,
    pool,
)

from kmem_spec.calls import Call, Event, Lost
from kmem_spec.gfp import GFP_ATOMIC, GFP_NOWAIT
from kmem_spec.judge import Judge
from kmem_spec.units import SIZE_MAX

FAIL, MEND = ev("mempool_fail", POOL, 1), ev("mempool_fail", POOL, 0)
NOWAIT = GFP_NOWAIT


def resize(number: int, gives: int = 0) -> Event:
    """Return a mempool_resize."""
    return ev("mempool_resize", POOL, number, gives=gives)


# For each clause the rows that show it: first what it lets pass, then what it does not.
ROWS: Rows = {
    "POOL-RESERVE": (
        good(
            "as many as there are in reserve",
            pool(POOL, 2),
            FAIL,
            pa(AT, NOWAIT),
            pa(2 * AT, NOWAIT),
            pa(0, NOWAIT),
        ),
        good(
            "again after one came back",
            pool(POOL, 1),
            FAIL,
            pa(AT, NOWAIT),
            pa(0, NOWAIT),
            pf(AT),
            pa(AT, NOWAIT),
        ),
        good("no reserve", pool(POOL, 0), pa(0, NOWAIT)),
        good(
            "what a pool is to hold more, it need not hold yet",
            pool(POOL, 1),
            resize(9),
            pa(AT),
            pa(0, NOWAIT),
        ),
        good("what it is to hold less, it need not hold", pool(POOL, 3), resize(1), pa(AT), pa(0, NOWAIT)),
        good("down and up again", pool(POOL, 9), resize(1), resize(9), pa(AT), pa(0, NOWAIT)),
        good("a pool that was not made", pool(0, 4)),
        bad("POOL-RESERVE", "the first", pool(POOL, 1), FAIL, pa(0, NOWAIT), others=(0,)),
        bad("POOL-RESERVE", "the last", pool(POOL, 2), pa(AT, NOWAIT), pa(0, GFP_ATOMIC), others=(0,)),
        bad("POOL-RESERVE", "after one came back", pool(POOL, 1), pa(AT), pf(AT), pa(0, NOWAIT), others=(0,)),
        bad("POOL-RESERVE", "of a cache", create(C), SLAB_POOL, pa(AT), pa(0, NOWAIT), others=(1,)),
        bad("POOL-RESERVE", "made smaller", pool(POOL, 3), resize(2), pa(AT), pa(0, NOWAIT), others=(0,)),
        bad(
            "POOL-RESERVE",
            "not made smaller, for it failed",
            pool(POOL, 2),
            resize(1, -12),
            pa(AT),
            pa(0, NOWAIT),
            others=(0,),
        ),
        bad("POOL-RESERVE", "made larger", pool(POOL, 2), resize(9), pa(AT), pa(0, NOWAIT), others=(0,)),
    ),
    "POOL-WAITS": (
        good("an element beyond the reserve", pool(POOL, 1), pa(AT), pa(2 * AT)),
        good("one that may not wait has none", pool(POOL, 0), pa(0, NOWAIT), pa(0, GFP_ATOMIC)),
        bad("POOL-WAITS", "NULL", pool(POOL, 0), pa(0), others=(0,)),
        bad("POOL-WAITS", "while the allocator fails", pool(POOL, 1), FAIL, pa(AT), pa(0), others=(0,)),
    ),
    "POOL-NULL": (
        good("nothing happens", pool(POOL, 1), pf(0), ev("mempool_destroy", 0), ev("mempool_destroy", POOL)),
    ),
}


class TestRows(RowTests):
    rows = ROWS


def test_the_elements_of_a_pool_are_objects() -> None:
    for event, clause in (
        (pa(AT + 4), "CACHE-ALIGN"),
        (pa(AT, usable=63), "MEM-USABLE"),
        (pa(SIZE_MAX - 11), "MEM-NULL"),
        (km(8, 2 * AT + 56), "MEM-APART"),
        (ev("check", 2 * AT, changed=3), "MEM-KEEP"),
        (pa(AT, NOWAIT, slept=1), "GFP-SLEEP"),
    ):
        judge = Judge(CONTRACT)
        assert findings(judge, (pool(POOL, 2), pa(2 * AT), event)) == [clause]


def test_an_element_of_a_finding_may_be_held_for_ever() -> None:
    for event in (pa(AT + 4), pa(AT, nonzero=0, usable=1)):
        judge = Judge(CONTRACT)
        assert len(findings(judge, (pool(POOL, 2), FAIL, event))) == 1
        assert findings(judge, (pa(2 * AT, NOWAIT), pa(0, NOWAIT), pf(2 * AT), pa(2 * AT, NOWAIT))) == []
        assert findings(judge, (pf(event.answer.result), pf(2 * AT), ev("mempool_destroy", POOL))) == []
    judge = Judge(CONTRACT)
    assert findings(judge, (pool(POOL, 2), FAIL, pa(AT), km(8, AT))) == ["MEM-APART"]
    assert findings(judge, (pa(2 * AT, NOWAIT), pa(0, NOWAIT))) == []


def test_the_reserve_of_a_new_pool_at_an_old_address_is_whole() -> None:
    judge = Judge(CONTRACT)
    assert findings(judge, (pool(POOL, 1), pa(AT + 4))) == ["CACHE-ALIGN"]
    assert findings(judge, (pf(AT + 4), ev("mempool_destroy", POOL), pool(POOL, 1), pa(0, NOWAIT))) == [
        "POOL-RESERVE"
    ]


def test_a_pool_of_nothing_is_not_judged() -> None:
    judge = Judge(CONTRACT)
    assert findings(judge, (pool(POOL, 1, 0), pa(ZSP), pa(AT), pf(AT), ev("mempool_destroy", POOL))) == []


def test_a_pool_that_is_resized_at_random_is_admitted() -> None:
    dice = random.Random(5)
    for _ in range(30):
        judge = Judge(CONTRACT)
        least = dice.randrange(1, 6)
        assert findings(judge, (pool(POOL, least), FAIL)) == []
        reserve = [AT * (1 + place) for place in range(least)]
        held: list[int] = []
        for _ in range(300):
            choice = dice.random()
            if choice < 0.45:
                at = reserve.pop() if reserve else 0
                event = pa(at, NOWAIT)
                held += [at] if at else []
            elif choice < 0.9 and held:
                at = held.pop(dice.randrange(len(held)))
                reserve += [at] if len(reserve) < least else []
                event = pf(at)
            else:
                least = dice.randrange(1, 9)
                del reserve[least:]
                event = resize(least)
            assert judge.admit(event) is None
        assert judge.counts()["POOL-RESERVE"] > 10


def test_a_call_that_waits_for_ever_waits_for_its_caller() -> None:
    wait = Lost(Call("mempool_alloc", (POOL, K)), "did not return within 5.0 s")
    for events, clause in (
        ((pool(POOL, 1), pa(AT)), "CALLER-POOL"),
        ((pool(POOL, 1),), "MEM-RETURNS"),
    ):
        judge = Judge(CONTRACT)
        assert findings(judge, events) == []
        finding = judge.lose(wait)
        assert finding is not None
        assert finding.clause == clause
    judge = Judge(CONTRACT)
    assert findings(judge, (pool(POOL, 1), pa(AT))) == []
    finding = judge.lose(wait._replace(how="crashed with SIGSEGV"))
    assert finding is not None
    assert finding.clause == "MEM-RETURNS"
