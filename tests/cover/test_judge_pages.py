"""The judge on pages, each rule both ways."""

from __future__ import annotations

import random

from tests.cover.judging import (
    AT,
    CONTRACT,
    MAX,
    MIB,
    ZONES,
    K,
    Rows,
    RowTests,
    Z,
    admit_all,
    bad,
    ev,
    findings,
    gfpages,
    good,
    item,
    km,
    pages,
)

from kmem_spec.gfp import DMA, DMA32
from kmem_spec.judge import Judge
from kmem_spec.units import PAGE_SIZE, SIZE_MAX

# For each clause the rows that show it: first what it lets pass, then what it does not.
ROWS: Rows = {
    "PAGE-FREE-NULL": (good("for any order", ev("free_pages", 0, 0), ev("free_pages", 0, 99)),),
    "PAGE-ORDER-MAX": (
        good("NULL", gfpages(11, 0), gfpages(63, 0)),
        good("the largest order", gfpages(10, 4 * MIB)),
        bad("PAGE-ORDER-MAX", "order 11", gfpages(11, 8 * MIB)),
        bad("PAGE-ORDER-MAX", "order 2^32 - 1", gfpages(0xFFFFFFFF, AT)),
    ),
    "PAGE-ALIGN": (
        good("order 1", gfpages(1, AT + 2 * PAGE_SIZE)),
        bad("PAGE-ALIGN", "order 1 at an odd page", gfpages(1, AT + PAGE_SIZE)),
        bad("PAGE-ALIGN", "within a page", ev("get_zeroed_page", K, gives=AT + 64)),
        bad("PAGE-ALIGN", "order 10 at 2 MiB", gfpages(10, 6 * MIB)),
    ),
    "PAGE-ZONE": (
        good("up to the end of ZONE_DMA", gfpages(1, 16 * MIB - 2 * PAGE_SIZE, K | DMA), profile=ZONES),
        good("a lower zone than permitted", gfpages(0, AT, K | DMA32), profile=ZONES),
        good("no zone bit, any place", gfpages(0, 8192 * MIB), profile=ZONES),
        good("addresses tell nothing", gfpages(0, 8192 * MIB, K | DMA)),
        good("kmalloc is not asked", km(64, 8192 * MIB, K | DMA), profile=ZONES),
        bad("PAGE-ZONE", "beyond ZONE_DMA", gfpages(0, 16 * MIB, K | DMA), profile=ZONES),
        bad("PAGE-ZONE", "across its end", gfpages(12 - 2, 16 * MIB, K | DMA), profile=ZONES),
        bad("PAGE-ZONE", "beyond ZONE_DMA32", gfpages(0, 4096 * MIB, K | DMA32), profile=ZONES),
    ),
    "PAGE-EXACT": (
        good("whole pages, at any page", ev("alloc_pages_exact", 3 * PAGE_SIZE, K, gives=AT + PAGE_SIZE)),
        good(
            "the page behind them is free",
            ev("alloc_pages_exact", 5000, K, gives=AT),
            gfpages(0, AT + 2 * PAGE_SIZE),
        ),
        good(
            "freed as they came", ev("alloc_pages_exact", 5000, K, gives=AT), ev("free_pages_exact", AT, 5000)
        ),
        good("none", ev("alloc_pages_exact", 5000, K), ev("alloc_pages_exact", 0, K)),
        bad("PAGE-EXACT", "within a page", ev("alloc_pages_exact", 5000, K, gives=AT + 64)),
    ),
    "PAGE-BULK": (
        good(
            "all",
            ev("alloc_pages_bulk", K, 2, 0, gives=2),
            item(0, AT),
            item(1, AT + PAGE_SIZE),
            ev("free_pages", AT, 0),
        ),
        good("some", ev("alloc_pages_bulk", K, 3, 0, gives=1), item(0, AT), item(1, 0), item(2, 0)),
        good("none", ev("alloc_pages_bulk", K, 2, 0), item(0, 0), item(1, 0)),
        good("none of none", ev("alloc_pages_bulk", K, 0, 0)),
        bad("PAGE-BULK", "more than asked for", ev("alloc_pages_bulk", K, 2, 0, gives=3)),
        bad(
            "PAGE-BULK", "one that is none", ev("alloc_pages_bulk", K, 2, 0, gives=2), item(0, 0), others=(0,)
        ),
        bad(
            "PAGE-BULK",
            "another that is none",
            ev("alloc_pages_bulk", K, 2, 0, gives=2),
            item(0, AT),
            item(1, 0),
            others=(0,),
        ),
    ),
    "PAGE-ORDER-OF": (
        good("of a page", ev("get_order", 1, gives=0), ev("get_order", 4096, gives=0)),
        good("of more", ev("get_order", 4097, gives=1), ev("get_order", MAX, gives=10)),
        good("of nothing it is anything", ev("get_order", 0, gives=52), ev("get_order", 0, gives=0)),
        bad("PAGE-ORDER-OF", "too little", ev("get_order", 4097, gives=0)),
        bad("PAGE-ORDER-OF", "too much", ev("get_order", 4096, gives=1)),
        bad("PAGE-ORDER-OF", "negative", ev("get_order", 4096, gives=-1)),
    ),
}


class TestRows(RowTests):
    rows = ROWS


def test_the_items_of_a_bulk_are_judged_as_pages() -> None:
    for seen, clause in ((item(0, AT + 8), "PAGE-ALIGN"), (item(0, AT, nonzero=4095), "GFP-ZERO")):
        judge = Judge(CONTRACT)
        assert findings(judge, (ev("alloc_pages_bulk", Z, 1, 0, gives=1), seen)) == [clause]
    judge = Judge(CONTRACT)
    assert findings(judge, (km(64, AT), ev("alloc_pages_bulk", K, 1, 0, gives=1), item(0, AT))) == [
        "MEM-APART"
    ]


def test_items_of_a_bulk_that_broke_a_rule_are_not_judged() -> None:
    judge = Judge(CONTRACT)
    admit_all(judge, (ev("alloc_pages_bulk", K, 1, 0, gives=2),))
    assert findings(judge, (item(0, AT), item(1, AT), ev("free_pages", AT, 0), ev("free_pages", AT, 0))) == []


def test_pages_of_a_split_block_are_freed_in_any_order() -> None:
    dice = random.Random(3)
    for order in range(5):
        singles = list(pages(AT, 1 << order))
        dice.shuffle(singles)
        judge = Judge(CONTRACT)
        events = (
            gfpages(order, AT),
            ev("split_page", AT, order),
            *(ev("free_pages", at, 0) for at in singles),
        )
        assert findings(judge, events) == []
        assert judge.leaks() == []
        assert findings(judge, (ev("free_pages", singles[0], 0),)) == ["CALLER-DOUBLE-FREE"]


def test_a_split_block_is_no_block_any_more() -> None:
    split = (gfpages(1, AT), ev("split_page", AT, 1))
    for wrong, clause in (
        (ev("free_pages", AT, 1), "CALLER-ORDER"),
        (ev("split_page", AT, 1), "CALLER-ORDER"),
        (gfpages(0, AT + PAGE_SIZE), "MEM-APART"),
    ):
        assert findings(Judge(CONTRACT), (*split, wrong)) == [clause]


def test_only_a_block_of_that_order_is_split() -> None:
    for events, clause in (
        ((gfpages(2, AT), ev("split_page", AT, 1)), "CALLER-ORDER"),
        ((km(PAGE_SIZE, AT), ev("split_page", AT, 0)), "CALLER-FAMILY"),
        ((ev("split_page", AT, 0),), "CALLER-FREE"),
    ):
        assert findings(Judge(CONTRACT), events) == [clause]


def test_the_pages_of_a_block_that_is_not_judged_are_not_judged() -> None:
    judge = Judge(CONTRACT)
    assert findings(judge, (gfpages(1, AT + PAGE_SIZE),)) == ["PAGE-ALIGN"]
    start = AT + PAGE_SIZE
    events = (ev("split_page", start, 1), *(ev("free_pages", at, 0) for at in pages(start, 2)))
    assert findings(judge, events) == []
    assert findings(judge, (ev("free_pages", start, 0),)) == ["CALLER-FREE"]


def test_pages_from_any_call_are_freed_by_either() -> None:
    judge = Judge(CONTRACT)
    events = (
        ev("alloc_pages", K, 1, gives=AT),
        ev("free_pages", AT, 1),
        gfpages(1, AT),
        ev("__free_pages", AT, 1),
        ev("alloc_pages_bulk", K, 1, 0, gives=1),
        item(0, AT),
        ev("__free_pages", AT, 0),
    )
    assert findings(judge, events) == []
    assert judge.leaks() == []


def test_an_order_beyond_any_memory_costs_nothing() -> None:
    judge = Judge(CONTRACT)
    for order in (52, 64, 1 << 31, SIZE_MAX):
        assert judge.admit(gfpages(order, 0)) is None
        assert findings(judge, (gfpages(order, AT),)) == ["PAGE-ORDER-MAX"]
    assert judge.counts()["PAGE-ORDER-MAX"] == 8
