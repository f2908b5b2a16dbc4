"""The judge on caches, each rule both ways, and the habits of correct allocators."""

from __future__ import annotations

import random

from tests.cover.judging import (
    AT,
    CONTRACT,
    HWCACHE,
    LINUX_6_1,
    LINUX_6_12,
    LOST,
    MAX,
    POOL,
    SLAB_POOL,
    C,
    D,
    K,
    Rows,
    RowTests,
    Z,
    bad,
    bulk,
    ca,
    cf,
    create,
    create26,
    destroy,
    during,
    ev,
    findings,
    free_bulk,
    gfpages,
    gone,
    good,
    item,
    kfree,
    km,
    made,
    pa,
    pf,
    pool,
    shrink,
)

from kmem_spec.calls import Note
from kmem_spec.judge import Judge
from kmem_spec.units import PAGE_SIZE

SLAB = tuple(range(AT, AT + PAGE_SIZE, 512))  # slots that fill a page
NEXT = tuple(range(AT + PAGE_SIZE, AT + 2 * PAGE_SIZE, 512))
BUILT = (create(C, 512, ctor=1), ca(C, AT, *made(C, *SLAB)))
BUILT26 = (create26(C, 512), ca(C, AT, *made(C, *SLAB)))

# For each clause the rows that show it: first what it lets pass, then what it does not.
ROWS: Rows = {
    "CACHE-ALIGN": (
        good("a word", create(C, 40), ca(C, AT + 8), ca(C, AT + 48)),
        good("that asked for", create(C, 40, 256), ca(C, AT + 256)),
        good("less than a word is a word", create(C, 40, 4), ca(C, AT + 8)),
        good("more than a page", create(C, 40, 2 * PAGE_SIZE), ca(C, AT), ca(C, AT + 2 * PAGE_SIZE)),
        good("the line, halved while an object fits", create(C, 17, 0, HWCACHE), ca(C, AT + 32)),
        good("small objects share it", create(C, 8, 0, HWCACHE), ca(C, AT + 8)),
        good("no power of two is owed", create(C, 64), ca(C, AT + 8)),
        bad("CACHE-ALIGN", "no word", create(C, 40), ca(C, AT + 4)),
        bad("CACHE-ALIGN", "half of that asked for", create(C, 40, 256), ca(C, AT + 128)),
        bad("CACHE-ALIGN", "half the line", create(C, 33, 0, HWCACHE), ca(C, AT + 32)),
        bad("CACHE-ALIGN", "more than the line asked for", create(C, 8, 128, HWCACHE), ca(C, AT + 64)),
        bad("CACHE-ALIGN", "in bulk", create(C, 40, 64), bulk(C, 2, 2), item(0, AT), item(1, AT + 40)),
        bad("CACHE-ALIGN", "an element", create(C, 40, 64), SLAB_POOL, pa(AT + 32)),
    ),
    "CACHE-CTOR": (
        good("constructed", create(C, ctor=1), ca(C, AT)),
        good("no constructor, any contents", create(C), ca(C, AT, changed=0)),
        bad("CACHE-CTOR", "the first byte", create(C, ctor=1), ca(C, AT, changed=0)),
        bad("CACHE-CTOR", "given again", create(C, ctor=1), ca(C, AT), cf(C, AT), ca(C, AT, changed=39)),
        bad("CACHE-CTOR", "in bulk", create(C, ctor=1), bulk(C, 1, 1), item(0, AT, changed=39)),
    ),
    "CACHE-BULK": (
        good("all", create(C), bulk(C, 2, 2), item(0, AT), item(1, AT + 40), cf(C, AT)),
        good("none", create(C), bulk(C, 2, 0), item(0, 0), item(1, 0)),
        good("none of none", create(C), bulk(C, 0, 0)),
        good(
            "freed in any order",
            create(C),
            bulk(C, 2, 2),
            item(0, AT),
            item(1, 2 * AT),
            free_bulk(C, 2 * AT, AT),
        ),
        good("none is freed", create(C), free_bulk(C)),
        bad("CACHE-BULK", "one less", create(C), bulk(C, 16, 15)),
        bad("CACHE-BULK", "one more", create(C), bulk(C, 16, 17)),
        bad("CACHE-BULK", "some of none", create(C), bulk(C, 0, 1)),
        bad("CACHE-BULK", "one that is none", create(C), bulk(C, 2, 2), item(0, AT), item(1, 0), others=(1,)),
    ),
    "CACHE-SIZE": (
        good("that asked for", create(C), ev("kmem_cache_size", C, gives=40)),
        good("more", create(C), ev("kmem_cache_size", C, gives=48)),
        good("the larger, of merged caches", create(C), create(C, 48), ev("kmem_cache_size", C, gives=48)),
        bad("CACHE-SIZE", "less", create(C), ev("kmem_cache_size", C, gives=39), others=(0,)),
        bad(
            "CACHE-SIZE",
            "the smaller",
            create(C),
            create(C, 48),
            ev("kmem_cache_size", C, gives=40),
            others=(0,),
        ),
    ),
    "CACHE-MAX": (
        good("the largest", create(C, MAX), profile=LINUX_6_1),
        good("too large", create(0, MAX + 1), profile=LINUX_6_1),
        good("any size under contract", create(C, MAX + 1)),
        bad("CACHE-MAX", "too large", create(C, MAX + 1), profile=LINUX_6_1),
        bad("CACHE-MAX", "far too large", create(C, 1 << 31), profile=LINUX_6_12),
    ),
    "CACHE-CTOR-ONCE": (
        good("a slab at once", *BUILT, ca(C, AT + 512), cf(C, AT), ca(C, AT)),
        good(
            "each slot as it is first handed out",
            create(C, ctor=1),
            ca(C, AT, *made(C, AT)),
            ca(C, AT + 40, *made(C, AT + 40)),
        ),
        good("a slab that went and came back", *BUILT, cf(C, AT), ca(C, AT, *made(C, *SLAB))),
        good(
            "one that came back, and then grew slot by slot",
            *(*BUILT, cf(C, AT), ca(C, AT + 512, *made(C, AT + 512)), ca(C, AT, *made(C, AT))),
        ),
        good(
            "another slab, meanwhile",
            *BUILT,
            ca(C, NEXT[0], *made(C, *NEXT)),
            cf(C, NEXT[0]),
            ca(C, NEXT[0], *made(C, *NEXT)),
        ),
        good("notes were lost", *BUILT, ca(C, SLAB[1], LOST), ca(C, SLAB[2], *made(C, SLAB[2]))),
        bad("CACHE-CTOR-ONCE", "the slab lives on", *BUILT, ca(C, AT + 512, *made(C, AT + 512)), others=(1,)),
        bad(
            "CACHE-CTOR-ONCE",
            "on its way back",
            *BUILT,
            ca(C, SLAB[1]),
            cf(C, SLAB[1], *made(C, SLAB[1])),
            others=(1,),
        ),
        bad(
            "CACHE-CTOR-ONCE",
            "one object of the slab has stayed",
            *(*BUILT, ca(C, SLAB[1]), cf(C, SLAB[1]), ca(C, SLAB[1], *made(C, SLAB[1]))),
            others=(1,),
        ),
        bad(
            "CACHE-CTOR-ONCE",
            "of a bulk",
            create(C, 512, ctor=1),
            bulk(C, 1, 1, *made(C, *SLAB)),
            item(0, AT),
            ca(C, SLAB[1], *made(C, SLAB[1])),
            others=(1,),
        ),
        bad(
            "CACHE-CTOR-ONCE",
            "after notes were lost",
            *(*BUILT, ca(C, SLAB[1], LOST), ca(C, SLAB[2], *made(C, SLAB[2]))),
            *(cf(C, SLAB[2]), ca(C, SLAB[2], *made(C, SLAB[2]))),
            others=(3,),
        ),
    ),
    "CACHE-CTOR-OWN": (
        good(
            "pages go from one cache to another",
            create(D, 512, ctor=1),
            *BUILT,
            cf(C, AT),
            ca(D, AT, *made(D, *SLAB)),
        ),
        good(
            "and back",
            create(D, 512, ctor=1),
            *BUILT,
            cf(C, AT),
            ca(D, AT, *made(D, *SLAB)),
            cf(D, AT),
            ca(C, AT, *made(C, AT)),
        ),
        good("slots that are never handed out", create(C, ctor=1, notes=made(C, *SLAB)), ca(C, 2 * AT)),
        good("a constructor that nobody hears", create(C, ctor=1), ca(C, AT), cf(C, AT), ca(C, AT)),
        good("the other cache is gone", create(D, 512, ctor=1), *BUILT, cf(C, AT), destroy(C), ca(D, AT)),
        good("of a cache that nobody knows", during(km(8, AT), *made(D, AT))),
        bad("CACHE-CTOR-OWN", "an object lives there", *BUILT, ca(C, SLAB[1], *made(C, AT))),
        bad(
            "CACHE-CTOR-OWN", "another's object", *BUILT, km(64, 2 * AT), ca(C, SLAB[1], *made(C, 2 * AT + 8))
        ),
        bad("CACHE-CTOR-OWN", "on the way", *BUILT, km(64, 2 * AT), kfree(2 * AT, *made(C, AT))),
        bad("CACHE-CTOR-OWN", "one with, one without", create(C, 512, ctor=1), create(C, 512), others=(0,)),
        bad("CACHE-CTOR-OWN", "one without, one with", create(C, 512), create(C, 512, ctor=1), others=(0,)),
        bad(
            "CACHE-CTOR-OWN",
            "constructed by another cache",
            *(create(D, 512, ctor=1), *BUILT, cf(C, AT), ca(D, SLAB[2])),
            others=(2,),
        ),
    ),
    "CACHE-DTOR": (
        good("with its slab, at the last free", *BUILT26, cf(C, AT, *gone(C, *SLAB)), destroy(C)),
        good("at shrink", *BUILT26, cf(C, AT), shrink(C, *gone(C, *SLAB)), destroy(C)),
        good("at the end", *BUILT26, cf(C, AT), destroy(C, *gone(C, *reversed(SLAB)))),
        good(
            "slab by slab",
            *BUILT26,
            ca(C, NEXT[0], *made(C, *NEXT)),
            cf(C, AT, *gone(C, *SLAB)),
            cf(C, NEXT[0]),
            destroy(C, *gone(C, *NEXT)),
        ),
        good("and constructed again", *BUILT26, cf(C, AT, *gone(C, *SLAB)), ca(C, AT, *made(C, *SLAB))),
        good("no destructor, none owed", *BUILT, cf(C, AT), destroy(C)),
        good("notes of the end were lost", *BUILT26, cf(C, AT), destroy(C, LOST)),
        good(
            "notes of the beginning were lost",
            create26(C),
            ca(C, AT, LOST),
            cf(C, AT),
            destroy(C, *gone(C, *SLAB)),
        ),
        good(
            "some were lost",
            *BUILT26,
            ca(C, NEXT[0], LOST),
            cf(C, AT, *gone(C, *SLAB)),
            cf(C, NEXT[0], *gone(C, *NEXT)),
            destroy(C),
        ),
        good(
            "the pages are another's then",
            create(D, 512, ctor=1),
            *BUILT26,
            cf(C, AT, *gone(C, *SLAB)),
            ca(D, AT, *made(D, *SLAB)),
        ),
        bad("CACHE-DTOR", "while the object lives", *BUILT26, shrink(C, *gone(C, AT))),
        bad("CACHE-DTOR", "twice", *BUILT26, cf(C, AT, *gone(C, *SLAB)), destroy(C, *gone(C, SLAB[0]))),
        bad("CACHE-DTOR", "never", *BUILT26, cf(C, AT), destroy(C), others=(0,)),
        bad(
            "CACHE-DTOR",
            "not for the last slot",
            *BUILT26,
            cf(C, AT),
            destroy(C, *gone(C, *SLAB[1:])),
            others=(0,),
        ),
        bad("CACHE-DTOR", "where nothing was constructed", *BUILT26, shrink(C, *gone(C, 2 * AT))),
        bad(
            "CACHE-DTOR",
            "not before another construction",
            *BUILT26,
            cf(C, AT),
            ca(C, AT, *made(C, AT)),
            others=(1,),
        ),
        bad(
            "CACHE-DTOR",
            "not before another's construction",
            *(create(D, 512, ctor=1), *BUILT26, cf(C, AT), ca(D, AT, *made(D, AT))),
            others=(2,),
        ),
        bad(
            "CACHE-DTOR",
            "of a cache made after notes were lost",
            during(km(8, 9 * AT), LOST),
            *BUILT26,
            shrink(C, *gone(C, 2 * AT)),
        ),
    ),
    "CACHE-DESTROY-NULL": (good("nothing happens", destroy(0), create(C), destroy(0), destroy(C)),),
}


class TestRows(RowTests):
    rows = ROWS


def test_merged_caches_are_one_and_are_destroyed_as_often_as_they_were_created() -> None:
    judge = Judge(CONTRACT)
    events = (
        create(C, 40),
        ca(C, AT),
        create(C, 44, 16),
        ev("kmem_cache_size", C, gives=44),
        ca(C, 2 * AT, usable=44),
        cf(C, AT),  # which of the two gave it, nobody can say
        destroy(C),
        ca(C, 3 * AT),
        cf(C, 2 * AT),
        cf(C, 3 * AT),
        destroy(C),
    )
    assert findings(judge, events) == []
    assert judge.leaks() == []
    assert findings(judge, (destroy(C),)) == ["CALLER-HANDLE"]


def test_what_became_of_a_cache_with_another_constructor_is_not_judged_further() -> None:
    judge = Judge(CONTRACT)
    assert findings(judge, (create(C, 512, ctor=1), create(C, 512))) == ["CACHE-CTOR-OWN"]
    after = (ev("kmem_cache_zalloc", C, 0xCC0, gives=AT), cf(C, AT), destroy(C), destroy(C))
    assert findings(judge, after) == []
    assert findings(judge, (destroy(C),)) == ["CALLER-HANDLE"]
    judge = Judge(CONTRACT)
    live = (create(C, 512, ctor=1), ca(C, AT, *made(C, *SLAB)), create(C, 512))
    assert findings(judge, (*live, cf(C, AT), ca(C, AT), destroy(C), destroy(C))) == ["CACHE-CTOR-OWN"]


def test_merged_caches_owe_the_stricter_alignment() -> None:
    judge = Judge(CONTRACT)
    assert findings(judge, (create(C, 40), create(C, 40, 64), ca(C, AT + 8))) == ["CACHE-ALIGN"]


def test_the_address_of_a_cache_that_comes_again_is_another_caches() -> None:
    judge = Judge(CONTRACT)
    events = (
        *BUILT26,
        cf(C, AT),
        destroy(C, *gone(C, *SLAB)),
        create(C, 24, 8),
        ca(C, AT + 8, changed=3),
        ev("kmem_cache_zalloc", C, K, gives=AT + 32),
        ev("kmem_cache_size", C, gives=24),
        cf(C, AT + 8),
        cf(C, AT + 32),
        destroy(C),
        create(C, 512, ctor=1),
        ca(C, AT, *made(C, *SLAB)),
    )
    assert findings(judge, events) == []
    assert findings(judge, (ca(C, AT + 512, changed=0),)) == ["CACHE-CTOR"]


def test_an_object_of_a_cache_lies_apart_from_all_others() -> None:
    for other in (km(8, AT + 32), gfpages(0, AT), ca(D, AT + 39), ca(C, AT)):
        judge = Judge(CONTRACT)
        assert findings(judge, (create(C), create(D, 1), ca(C, AT), other)) == (
            ["CACHE-ALIGN"] if other.answer.result == AT + 39 else ["MEM-APART"]
        )


def test_caches_share_a_page_and_a_slot_one_after_the_other() -> None:
    judge = Judge(CONTRACT)
    events = (create(C), create(D), ca(C, AT), ca(D, AT + 40), cf(C, AT), ca(D, AT), cf(D, AT), km(40, AT))
    assert findings(judge, events) == []


def test_what_a_zeroing_call_gives_is_zero_over_the_size_of_the_cache() -> None:
    for event, clause in (
        (ev("kmem_cache_zalloc", C, K, gives=AT, nonzero=39), "MEM-ZERO"),
        (ca(C, AT, gfp=Z, nonzero=0), "GFP-ZERO"),
    ):
        assert findings(Judge(CONTRACT), (create(C), event)) == [clause]
    assert findings(Judge(CONTRACT), (create(C), ev("kmem_cache_zalloc", C, K, gives=AT, nonzero=40))) == []


def test_a_cache_of_a_finding_is_used_and_destroyed_without_a_second_one() -> None:
    judge = Judge(LINUX_6_1)
    assert findings(judge, (create(C, MAX + 1),)) == ["CACHE-MAX"]
    used = (
        ca(C, 3),
        ca(C, AT, *made(C, AT)),
        bulk(C, 2, 2),
        item(0, 2 * AT),
        item(1, 2 * AT),
        ev("kmem_cache_size", C, gives=1),
        shrink(C),
        cf(C, AT),
        free_bulk(C, 2 * AT, 2 * AT),
        SLAB_POOL,
        pa(AT),
        pf(AT),
        ev("mempool_destroy", POOL),
        create(C),
        destroy(C),
        destroy(C),
    )
    assert findings(judge, used) == []
    assert findings(judge, (destroy(C),)) == ["CALLER-HANDLE"]


def test_a_small_number_may_be_a_handle_of_a_cache_and_of_a_pool_at_once() -> None:
    judge = Judge(CONTRACT)
    events = (create(1), pool(1, 2), ca(1, AT), pa(2 * AT, of=1), shrink(1), ev("mempool_resize", 1, 3))
    assert findings(judge, events) == []
    assert findings(judge, (pf(2 * AT, 1), ev("mempool_destroy", 1))) == []
    assert findings(judge, (destroy(1),)) == ["CALLER-DESTROY"]
    assert findings(judge, (cf(1, AT), destroy(1))) == []
    judge = Judge(LINUX_6_1)
    assert findings(judge, (create(1, MAX + 1), ca(1, AT), cf(1, AT), destroy(1))) == ["CACHE-MAX"]


def test_a_waived_rule_of_constructors_leaves_the_rest_of_them_in_force() -> None:
    judge = Judge(CONTRACT, waived=frozenset({"CACHE-CTOR-ONCE"}))
    again = tuple(ca(C, SLAB[1 + step], *made(C, *SLAB[1 + step :])) for step in range(3))
    assert findings(judge, (*BUILT, *again)) == [], "SLOB constructs at every hand-out"
    assert findings(judge, (ca(C, SLAB[5], *made(C, AT)),)) == ["CACHE-CTOR-OWN"]


def test_a_destructor_is_not_asked_of_what_was_constructed_unheard() -> None:
    judge = Judge(CONTRACT)
    assert (
        findings(judge, (create26(C), ca(C, AT, LOST), cf(C, AT), shrink(C, *gone(C, AT)), destroy(C))) == []
    )
    judge = Judge(CONTRACT)
    assert (
        findings(judge, (create26(C), ca(C, AT, *made(C, AT)), cf(C, AT), shrink(C, LOST), destroy(C))) == []
    )


def test_a_thousand_slabs_come_and_go_without_a_finding() -> None:
    dice = random.Random(11)
    judge = Judge(CONTRACT)
    owners: dict[int, int] = {}  # page to cache
    live: dict[int, int] = {}
    assert findings(judge, (create26(C, 512), create(D, 512, ctor=1))) == []
    for _ in range(50_000):
        page = AT + PAGE_SIZE * dice.randrange(16)
        slot = page + 512 * dice.randrange(8)
        if slot in live:
            cache = live.pop(slot)
            empty = not any(page <= other < page + PAGE_SIZE for other in live)
            notes: tuple[Note, ...] = ()
            if empty and dice.random() < 0.7:
                owners.pop(page)
                notes = gone(C, *range(page, page + PAGE_SIZE, 512)) if cache == C else ()
            assert judge.admit(cf(cache, slot, *notes)) is None
        else:
            fresh = page not in owners
            cache = owners.setdefault(page, dice.choice((C, D)))
            notes = made(cache, *range(page, page + PAGE_SIZE, 512)) if fresh else ()
            assert judge.admit(ca(cache, slot, *notes)) is None
            live[slot] = cache
    counts = judge.counts()
    assert min(counts["CACHE-CTOR-ONCE"], counts["CACHE-DTOR"], counts["CACHE-CTOR-OWN"]) > 500
