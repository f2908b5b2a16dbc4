"""The judge on masks: what they zero, who may sleep, how deep they reach."""

from __future__ import annotations

import random

from tests.cover.judging import (
    AREA,
    AT,
    CONTRACT,
    POOL,
    ZSP,
    C,
    K,
    Rows,
    RowTests,
    Z,
    admit_all,
    bad,
    ca,
    cf,
    create,
    ev,
    findings,
    gfpages,
    good,
    kfree,
    km,
    kre,
    pool,
    vm,
)

from kmem_spec.calls import Event
from kmem_spec.gfp import GFP_ATOMIC, GFP_NOWAIT, GFP_USER, HIGH, NOFAIL, NOWARN, ZERO
from kmem_spec.judge import Judge
from kmem_spec.reach import PATIENCE
from kmem_spec.reach import RETRIES as ROW
from kmem_spec.units import PAGE_SIZE

A, N, U = GFP_ATOMIC, GFP_NOWAIT, GFP_USER
NEVER = K | NOFAIL


def refused(mask: int) -> Event:
    """Return a kmalloc of 64 bytes that gives NULL."""
    return km(64, 0, mask)


def served(mask: int) -> tuple[Event, Event]:
    """Return a kmalloc of 64 bytes that gives an object, and its kfree."""
    return km(64, AT, mask), kfree(AT)


def rounds(number: int, *events: Event) -> tuple[Event, ...]:
    """Return the events, over and over."""
    return events * number


# What masks reach is found in the sixteenth round in a row.
SHALLOW = (*rounds(ROW - 1, refused(A), *served(N)), refused(A), km(64, AT, N))
STINGY = (*rounds(ROW - 1, refused(K), *served(U)), refused(K), km(64, AT, U))
LAVISH = (*rounds(ROW - 1, refused(U), *served(K)), refused(U), km(64, AT, K))
BEFORE = 3 * (ROW - 1)


# For each clause the rows that show it: first what it lets pass, then what it does not.
ROWS: Rows = {
    "GFP-ZERO": (
        good("dirty beyond the request", km(100, AT, Z, nonzero=100)),
        good("a block of zeroes", gfpages(2, AT, Z)),
        bad("GFP-ZERO", "kmalloc, last byte", km(100, AT, Z, nonzero=99)),
        bad("GFP-ZERO", "an atomic mask", km(100, AT, GFP_ATOMIC | ZERO, nonzero=0)),
        bad("GFP-ZERO", "kmalloc_array", ev("kmalloc_array", 2, 50, Z, gives=AT, nonzero=99)),
        bad("GFP-ZERO", "the last page of a block", gfpages(2, AT, Z, nonzero=4 * PAGE_SIZE - 1)),
        bad("GFP-ZERO", "krealloc of NULL", kre(0, 100, AT, Z, nonzero=99)),
        bad("GFP-ZERO", "krealloc of ZERO_SIZE_PTR", kre(ZSP, 100, AT, Z, nonzero=99)),
    ),
    "GFP-SLEEP": (
        good("none that may not", km(64, AT, A, slept=0), km(64, 2 * AT, N, slept=0), km(64, 0, 0, slept=0)),
        good("one that may", km(64, AT, slept=1), gfpages(0, 2 * AT, U, slept=1)),
        good("nobody saw", km(64, AT, A)),
        good(
            "a call that may always",
            ev("vfree", 0, slept=1),
            vm(1, AREA, slept=1),
            ev("vfree", AREA, slept=1),
        ),
        bad("GFP-SLEEP", "GFP_ATOMIC", km(64, AT, A, slept=1)),
        bad("GFP-SLEEP", "GFP_NOWAIT, and failed", km(64, 0, N, slept=1)),
        bad("GFP-SLEEP", "no mask", gfpages(0, AT, 0, slept=1)),
        bad("GFP-SLEEP", "krealloc", km(64, AT), kre(AT, 96, 2 * AT, A, slept=1), others=(0,)),
        bad("GFP-SLEEP", "a cache", create(C), ca(C, AT, gfp=A, slept=1)),
        bad("GFP-SLEEP", "a bulk", create(C), ev("kmem_cache_alloc_bulk", C, A, 1, 0, gives=1, slept=1)),
        bad("GFP-SLEEP", "a bulk of pages", ev("alloc_pages_bulk", N, 1, 0, slept=1)),
        bad("GFP-SLEEP", "kvmalloc", ev("kvmalloc", 1 << 20, A, gives=AT, slept=1)),
        bad("GFP-SLEEP", "kfree", km(64, AT), ev("kfree", AT, slept=1), others=(0,)),
        bad("GFP-SLEEP", "free_pages", gfpages(1, AT), ev("free_pages", AT, 1, slept=1), others=(0,)),
        bad("GFP-SLEEP", "kfree_bulk", km(64, AT), ev("kfree_bulk", 1, 0, AT, slept=1)),
    ),
    "GFP-ATOMIC-REACH": (
        good("both fail", *rounds(20, refused(A), refused(N))),
        good("the deeper one succeeds", *rounds(20, refused(N), *served(A))),
        good(
            "one success in between",
            *rounds(ROW - 1, refused(A), *served(N)),
            *served(A),
            refused(A),
            *served(N),
        ),
        good(
            "a free in between makes room",
            km(64, 2 * AT),
            *rounds(40, refused(A), kfree(2 * AT), km(64, 2 * AT, N)),
        ),
        good("another size", *rounds(20, refused(A), km(32, AT, N), kfree(AT))),
        good("another call", *rounds(20, refused(A), ev("kzalloc", 64, N, gives=AT), kfree(AT))),
        good("a mask that differs in more", *rounds(20, refused(A | ZERO), *served(N))),
        good("an injected failure", ev("fail_nth", 1), *rounds(40, refused(A), *served(N))),
        good(
            "as long ago as that",
            *rounds(ROW - 1, refused(A), *served(N)),
            ev("fail_nth", 0),
            refused(A),
            *served(N),
        ),
        bad("GFP-ATOMIC-REACH", "kmalloc", *SHALLOW, others=(BEFORE,)),
        bad(
            "GFP-ATOMIC-REACH",
            "pages",
            *rounds(ROW - 1, gfpages(1, 0, A), gfpages(1, AT, N), ev("free_pages", AT, 1)),
            *(gfpages(1, 0, A), gfpages(1, AT, N)),
            others=(BEFORE,),
        ),
        bad(
            "GFP-ATOMIC-REACH",
            "objects of a cache, GFP_KERNEL with and without __GFP_HIGH",
            create(C),
            *rounds(ROW - 1, ca(C, 0, gfp=K | HIGH), ca(C, AT), cf(C, AT)),
            *(ca(C, 0, gfp=K | HIGH | NOWARN), ca(C, AT)),
            others=(BEFORE + 1,),
        ),
    ),
    "GFP-USER": (
        good("both fail", *rounds(20, refused(U), refused(K))),
        good(
            "now and then",
            *rounds(40, refused(U), *served(K), *served(U), refused(K), *served(U), *served(K)),
        ),
        good("elsewhere", *rounds(40, refused(K), kfree(0), *served(U))),
        bad("GFP-USER", "GFP_USER is served", *STINGY, others=(BEFORE,)),
        bad("GFP-USER", "GFP_KERNEL is served", *LAVISH, others=(BEFORE,)),
    ),
    "GFP-NOFAIL": (
        good("full, and full again", *rounds(9, refused(NEVER))),
        good("something was freed", km(64, 2 * AT), refused(NEVER), kfree(2 * AT), km(64, AT, NEVER)),
        good("another size", refused(NEVER), km(32, AT, NEVER)),
        good("without the mask", refused(NEVER), km(64, AT)),
        good("without it before", refused(K), km(64, AT, NEVER)),
        good("an injected failure", ev("fail_nth", 1), refused(NEVER), km(64, AT, NEVER)),
        bad("GFP-NOFAIL", "there was memory", refused(NEVER), km(64, AT, NEVER), others=(0,)),
        bad("GFP-NOFAIL", "in need of it", refused(NEVER), refused(NEVER), km(64, AT, NEVER), others=(1,)),
        bad(
            "GFP-NOFAIL",
            "__vmalloc",
            ev("__vmalloc", 1, NEVER),
            ev("__vmalloc", 1, NEVER, gives=AREA),
            others=(0,),
        ),
    ),
}


class TestRows(RowTests):
    rows = ROWS


def test_a_call_that_slept_and_gave_back_gave_back() -> None:
    for waived in (frozenset[str](), frozenset({"GFP-SLEEP"})):
        judge = Judge(CONTRACT, waived=waived)
        events = (km(64, AT), ev("kfree", AT, slept=1), km(64, AT), ev("kfree_bulk", 1, 0, AT, slept=1))
        assert findings(judge, events) == [] if waived else ["GFP-SLEEP"] * 2
        assert judge.leaks() == []


PAIRS = ((A, N), (K | HIGH, K), (K, U), (U, K), (A | ZERO, N | ZERO), (0x820, 0x2800))


def test_an_allocator_that_fails_one_call_in_ten_breaks_no_rule_of_masks() -> None:
    dice = random.Random(4)
    judge = Judge(CONTRACT)
    admit_all(judge, (create(C), pool(POOL, 0)))
    live: list[Event] = []  # the calls that free what lives
    free = [AT * place for place in range(1, 200)]
    for _ in range(100_000):
        if live and dice.random() < 0.3:
            end = live.pop(dice.randrange(len(live)))
            free.append(end.call.args[-1] if end.call.api == "kmem_cache_free" else end.call.args[0])
            assert judge.admit(end) is None
            continue
        mask = dice.choice(dice.choice(PAIRS))
        at = free[-1] if free and dice.random() < 0.9 else 0
        event, end = dice.choice(
            (
                (km(64, at, mask), kfree(at)),
                (gfpages(1, at, mask), ev("free_pages", at, 1)),
                (ca(C, at, gfp=mask), cf(C, at)),
                (ev("kvmalloc", 9000, mask, gives=at), ev("kvfree", at)),
            )
        )
        assert judge.admit(event) is None
        if at:
            live.append(end)
            free.pop()
    assert min(judge.counts()[clause] for clause in ("GFP-ATOMIC-REACH", "GFP-USER")) > 100


def test_an_allocator_that_is_full_now_and_then_breaks_no_rule_of_masks() -> None:
    dice = random.Random(9)
    judge = Judge(CONTRACT)
    masks = sorted({mask for pair in PAIRS for mask in pair} | {NEVER})
    live: list[int] = []
    for _ in range(100_000):
        mask = dice.choice(masks)
        room = 8 if mask & (HIGH | 0x20000) else 6  # the reserve is for those that reach deeper
        if live and dice.random() < 0.45:
            assert judge.admit(kfree(live.pop())) is None
        else:
            at = AT * (len(live) + 1) if len(live) < room else 0
            live += [at] if at else []
            assert judge.admit(km(64, at, mask)) is None


def test_a_row_of_refusals_is_not_remembered_for_ever() -> None:
    judge = Judge(CONTRACT)
    assert findings(judge, rounds(ROW - 1, refused(A), *served(N))) == []
    assert judge.reach.watching
    for size in range(PATIENCE // 2 + 2):
        assert judge.admit(km(8 + size % 50, AT)) is None
        assert judge.admit(kfree(AT)) is None
    assert not judge.reach.watching
    assert findings(judge, (refused(A), *served(N))) == []
