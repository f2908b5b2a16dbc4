"""The judge on vmalloc, vmap and kvmalloc, each rule both ways, and the habits of correct allocators."""

from __future__ import annotations

from dataclasses import replace

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
    bad,
    ca,
    create,
    ev,
    findings,
    gfpages,
    good,
    km,
    pa,
    pool,
    vm,
)

from kmem_spec.calls import Event
from kmem_spec.judge import Judge
from kmem_spec.units import PAGE_SIZE, SIZE_MAX

P = PAGE_SIZE
SPACE = 1 << 45  # bytes that the profiles let a vmalloc serve
INT_MAX = (1 << 31) - 1


def vre(old: int, size: int, at: int, gfp: int = K, **seen: int) -> Event:
    """Return a vrealloc that gives `at`."""
    return ev("vrealloc", old, size, gfp, gives=at, **seen)


def kvre(old: int, size: int, at: int, gfp: int = K, **seen: int) -> Event:
    """Return a kvrealloc that gives `at`."""
    return ev("kvrealloc", old, size, gfp, gives=at, **seen)


def kvm(size: int, at: int, gfp: int = K, **seen: int) -> Event:
    """Return a kvmalloc that gives `at`."""
    return ev("kvmalloc", size, gfp, gives=at, **seen)


def vmap(at: int, *starts: int, **seen: int) -> Event:
    """Return a vmap of pages that gives `at`."""
    return ev("vmap", 0, len(starts), 4, 0, *starts, gives=at, **seen)


def vm_z(size: int) -> Event:
    """Return a vzalloc."""
    return ev("vzalloc", size, gives=AREA)


def frame(area: int, offset: int, gives: int) -> Event:
    """Return a vmalloc_to_page."""
    return ev("vmalloc_to_page", area, offset, gives=gives)


def inside(start: int, offset: int, gives: int) -> Event:
    """Return an is_vmalloc_addr."""
    return ev("is_vmalloc_addr", start, offset, gives=gives)


# For each clause the rows that show it: first what it lets pass, then what it does not.
ROWS: Rows = {
    "VM-ZERO-SIZE": (
        good(
            "NULL",
            vm(0, 0),
            ev("vzalloc", 0),
            ev("vmalloc_array", 0, 8),
            ev("vcalloc", 8, 0),
            ev("__vmalloc", 0, K),
        ),
        good("no pages", vmap(0)),
        bad("VM-ZERO-SIZE", "ZERO_SIZE_PTR", vm(0, ZSP)),
        bad("VM-ZERO-SIZE", "an area", ev("vcalloc", 0, 8, gives=AREA)),
        bad("VM-ZERO-SIZE", "of no pages", vmap(AREA)),
        bad("VM-ZERO-SIZE", "vrealloc of NULL", vre(0, 0, AREA)),
    ),
    "VM-MAX": (
        good("NULL", vm(SPACE + 1, 0), vm(SIZE_MAX, 0), vm(SIZE_MAX - P, 0), ev("vmalloc_32", 1 << 63)),
        good("a small limit of its own", vm(1 << 30, 0), profile=replace(CONTRACT, vmalloc_max=1 << 20)),
        bad("VM-MAX", "2^64 - 1", vm(SIZE_MAX, AREA)),
        bad("VM-MAX", "one byte more than there can be", ev("vzalloc", SPACE + 1, gives=AREA)),
        bad("VM-MAX", "an array", ev("vmalloc_array", 2, SPACE, gives=AREA)),
        bad("VM-MAX", "vrealloc", vm(P, AREA), vre(AREA, SPACE + 1, AREA), others=(0,)),
    ),
    "VM-ARRAY": (
        good("NULL", ev("vmalloc_array", 1 << 32, 1 << 32), ev("vcalloc", SIZE_MAX, SIZE_MAX)),
        good("a product that fits", ev("vcalloc", 3, 5000, gives=AREA)),
        bad("VM-ARRAY", "2^32 times 2^32", ev("vmalloc_array", 1 << 32, 1 << 32, gives=AREA)),
        bad("VM-ARRAY", "a product that wraps to a page", ev("vcalloc", (1 << 52) + 1, P, gives=AREA)),
    ),
    "VM-ALIGN": (
        good("a page", vm(1, AREA), vm(1, AREA + 2 * P)),
        good("no more than that", vm(4 * P, AREA + P)),
        bad("VM-ALIGN", "half a page", vm(1, AREA + P // 2)),
        bad("VM-ALIGN", "vmap", gfpages(0, AT), vmap(AREA + 8, AT)),
        bad("VM-ALIGN", "vrealloc", vm(1, AREA), vre(AREA, 9 * P, AREA + 16 * P + 8), others=(0,)),
    ),
    "VM-CONTENTS": (
        good(
            "the pages in their order",
            gfpages(0, AT),
            gfpages(0, 2 * AT),
            vmap(AREA, 2 * AT, AT),
            ev("vunmap", AREA),
        ),
        good("one page twice", gfpages(0, AT), vmap(AREA, AT, AT)),
        good("none", gfpages(0, AT), vmap(0, AT), ev("free_pages", AT, 0)),
        bad(
            "VM-CONTENTS",
            "another page",
            gfpages(0, AT),
            gfpages(0, 2 * AT),
            vmap(AREA, AT, 2 * AT, changed=P),
        ),
    ),
    "VM-GUARD": (
        good("a page between", vm(P, AREA), vm(P, AREA + 2 * P), vm(1, AREA + 4 * P)),
        good("rounded up", vm(P + 1, AREA), vm(P, AREA + 3 * P)),
        good("used again at once", vm(P, AREA), ev("vfree", AREA), vm(3 * P, AREA - P)),
        good(
            "never used again",
            *(
                event
                for step in range(9)
                for event in (vm(P, AREA + step * 2 * P), ev("vfree", AREA + step * 2 * P))
            ),
        ),
        good("behind an object of kvmalloc there is none", kvm(P, AREA), kvm(P, AREA + P)),
        bad("VM-GUARD", "the next area", vm(P, AREA), vm(P, AREA + P), others=(0,)),
        bad("VM-GUARD", "the one before", vm(P, AREA + P), vm(P, AREA), others=(0,)),
        bad("VM-GUARD", "an object", vm(P, AREA), km(64, AREA + P + 64), others=(0,)),
        bad("VM-GUARD", "rounded up", vm(1, AREA), vm(P, AREA + P), others=(0,)),
        bad(
            "VM-GUARD",
            "of pages that are mapped",
            gfpages(0, AT),
            vm(P, AREA),
            vmap(AREA + P, AT),
            others=(1,),
        ),
        bad(
            "VM-GUARD",
            "vrealloc that grows",
            vm(P, AREA),
            vm(P, AREA + 2 * P),
            vre(AREA, P + 1, AREA),
            others=(1,),
        ),
    ),
    "VM-FRAME-OWN": (
        good(
            "a frame for each page",
            vm(2 * P, AREA),
            frame(AREA, 0, AT),
            frame(AREA, P, AT + P),
            frame(AREA, 5000, AT + P),
        ),
        good(
            "the page itself, where there is one address space",
            vm(2 * P, AREA),
            frame(AREA, 0, AREA),
            frame(AREA, P, AREA + P),
        ),
        good(
            "a frame whose area is gone",
            vm(P, AREA),
            frame(AREA, 0, AT),
            ev("vfree", AREA),
            vm(P, AREA),
            frame(AREA, 0, AT),
        ),
        good("and is an object's then", vm(P, AREA), frame(AREA, 0, AT), ev("vfree", AREA), km(64, AT)),
        good(
            "the page that was given",
            gfpages(0, AT),
            gfpages(0, 3 * AT),
            vmap(AREA, 3 * AT, AT),
            frame(AREA, P, AT),
        ),
        good("beyond the end it is anything", vm(P, AREA), frame(AREA, P, 0), frame(AREA, 1 << 40, 7)),
        good(
            "another after a resize",
            vm(P, AREA),
            frame(AREA, 0, AT),
            vre(AREA, 9 * P, 2 * AREA),
            frame(2 * AREA, 0, AT + P),
        ),
        bad("VM-FRAME-OWN", "none", vm(P, AREA), frame(AREA, 0, 0), others=(0,)),
        bad("VM-FRAME-OWN", "no page", vm(P, AREA), frame(AREA, 0, AT + 8), others=(0,)),
        bad(
            "VM-FRAME-OWN",
            "one for two",
            vm(2 * P, AREA),
            frame(AREA, 0, AT),
            frame(AREA, P, AT),
            others=(0, 0),
        ),
        bad(
            "VM-FRAME-OWN",
            "of two areas",
            vm(P, AREA),
            vm(P, 2 * AREA),
            frame(AREA, 0, AT),
            frame(2 * AREA, 100, AT),
            others=(1, 0),
        ),
        bad(
            "VM-FRAME-OWN",
            "with an object in it",
            vm(P, AREA),
            km(64, AT + 64),
            frame(AREA, 0, AT),
            others=(0,),
        ),
        bad(
            "VM-FRAME-OWN",
            "another than was given",
            gfpages(0, AT),
            vmap(AREA, AT),
            frame(AREA, 0, AT + P),
            others=(1,),
        ),
        bad("VM-FRAME-OWN", "given away", vm(P, AREA), frame(AREA, 0, AT), gfpages(2, AT), others=(0,)),
        bad("VM-FRAME-OWN", "to an object", vm(P, AREA), frame(AREA, 0, AT), km(64, AT + 64), others=(0,)),
    ),
    "VM-ADDR": (
        good("in an area", vm(P + 1, AREA), inside(AREA, 0, 1), inside(AREA, 2 * P - 1, 1)),
        good("in a mapped one", gfpages(0, AT), vmap(AREA, AT), inside(AREA, 9, 1)),
        good(
            "not in an object", km(64, AT), inside(AT, 5, 0), create(C), ca(C, 2 * AT), inside(2 * AT, 0, 0)
        ),
        good(
            "nor in pages",
            gfpages(0, AT),
            inside(AT, 5, 0),
            ev("alloc_pages_exact", 1, K, gives=2 * AT),
            inside(2 * AT, 0, 0),
        ),
        good(
            "either, of kvmalloc and of a pool",
            kvm(P, AREA),
            inside(AREA, 0, 1),
            kvm(P, AT),
            inside(AT, 0, 0),
            pool(POOL, 1),
            pa(9 * AT),
            inside(9 * AT, 0, 1),
        ),
        good(
            "of no object it is anything",
            inside(0, 0, 0),
            inside(0, 3, 1),
            inside(AT, 0, 1),
            inside(ZSP, 0, 1),
        ),
        good("beyond an object as well", vm(P, AREA), inside(AREA, P, 0), km(64, AT), inside(AT, 64, 1)),
        bad("VM-ADDR", "false", vm(P, AREA), inside(AREA, 0, 0), others=(0,)),
        bad("VM-ADDR", "false at its end", vm(P + 1, AREA), inside(AREA, 2 * P - 1, 0), others=(0,)),
        bad("VM-ADDR", "true of an object", km(64, AT), inside(AT, 63, 1), others=(0,)),
        bad("VM-ADDR", "true of pages", gfpages(0, AT), inside(AT, 0, 1), others=(0,)),
    ),
    "VM-FREE-NULL": (good("nothing happens", ev("vfree", 0), ev("vunmap", 0), ev("vfree", 0)),),
    "VM-REALLOC-KEEP": (
        good(
            "what is kept", vm(P, AREA), vre(AREA, 3 * P, 2 * AREA), vre(2 * AREA, 10, 2 * AREA, changed=10)
        ),
        good(
            "from kmalloc to vmalloc and back",
            km(64, AT),
            kvre(AT, 5 * P, AREA),
            kvre(AREA, 9, AT),
            ev("kvfree", AT),
        ),
        bad(
            "VM-REALLOC-KEEP", "growing", vm(P, AREA), vre(AREA, 3 * P, 2 * AREA, changed=P - 1), others=(0,)
        ),
        bad("VM-REALLOC-KEEP", "shrinking", vm(P, AREA), vre(AREA, 10, AREA, changed=9), others=(0,)),
        bad("VM-REALLOC-KEEP", "kvrealloc", kvm(64, AT), kvre(AT, 5 * P, AREA, changed=63), others=(0,)),
    ),
    "VM-REALLOC-FAIL": (
        good("the old area lives on", vm(P, AREA), vre(AREA, 3 * P, 0), ev("check", AREA), ev("vfree", AREA)),
        bad("VM-REALLOC-FAIL", "changed", vm(P, AREA), vre(AREA, 3 * P, 0, changed=0), others=(0,)),
        bad("VM-REALLOC-FAIL", "kvrealloc", km(64, AT), kvre(AT, INT_MAX + 1, 0, changed=0), others=(0,)),
    ),
    "VM-REALLOC-ZERO": (
        good("zero beyond", ev("vzalloc", P, gives=AREA), vre(AREA, 3 * P, 2 * AREA, Z)),
        good("an owner wrote there", vm_z(9), vre(AREA, 5, AREA, Z), vre(AREA, 9, AREA, Z, nonzero=7)),
        good("the first call had none", vm(P, AREA), vre(AREA, 3 * P, 2 * AREA, Z, nonzero=2 * P)),
        good("the last call has none", vm_z(9), vre(AREA, 20, AREA, nonzero=15)),
        bad(
            "VM-REALLOC-ZERO", "moved", vm_z(P), vre(AREA, 3 * P, 2 * AREA, Z, nonzero=3 * P - 1), others=(0,)
        ),
        bad("VM-REALLOC-ZERO", "in place", vm_z(9), vre(AREA, 20, AREA, Z, nonzero=9), others=(0,)),
        bad(
            "VM-REALLOC-ZERO",
            "kvrealloc",
            ev("kvzalloc", 9, K, gives=AT),
            kvre(AT, 20, AT, Z, nonzero=9),
            others=(0,),
        ),
    ),
    "VM-REALLOC-FREE": (
        good("NULL, and the place may be used again", vm(P, AREA), vre(AREA, 0, 0), vm(P, AREA)),
        bad("VM-REALLOC-FREE", "ZERO_SIZE_PTR", vm(P, AREA), vre(AREA, 0, ZSP), others=(0,)),
        bad("VM-REALLOC-FREE", "the area", vm(P, AREA), vre(AREA, 0, AREA), others=(0,)),
    ),
    "KV-MAX": (
        good("NULL", kvm(INT_MAX + 1, 0), kvm(SIZE_MAX, 0)),
        good("the largest", kvm(INT_MAX, AREA)),
        bad("KV-MAX", "2^31", kvm(INT_MAX + 1, AREA)),
        bad("KV-MAX", "an array", ev("kvcalloc", 2, 1 << 30, K, gives=AREA)),
        bad("KV-MAX", "kvrealloc", km(64, AT), kvre(AT, SIZE_MAX, AREA), others=(0,)),
    ),
    "KV-ARRAY": (
        good("NULL", ev("kvmalloc_array", 1 << 32, 1 << 32, K), ev("kvcalloc", SIZE_MAX, 2, K)),
        bad("KV-ARRAY", "2^32 times 2^32", ev("kvmalloc_array", 1 << 32, 1 << 32, K, gives=AREA)),
        bad("KV-ARRAY", "a product that wraps to 0", ev("kvcalloc", 1 << 63, 2, K, gives=ZSP)),
    ),
    "KV-ALIGN": (
        good("8 bytes", kvm(100, AT + 8), kvm(64, AT + 120)),
        good("a resize in place owes none again", kvm(100, AT + 8), kvre(AT + 8, 64, AT + 8)),
        bad("KV-ALIGN", "4 bytes", kvm(100, AT + 4)),
        bad("KV-ALIGN", "kvrealloc that moves", km(64, AT), kvre(AT, 100, AT + 132), others=(0,)),
    ),
}


class TestRows(RowTests):
    rows = ROWS


def test_a_kvrealloc_to_nothing_has_three_legal_answers() -> None:
    for start in (km(64, AT), vm(64, AT), kvm(64, AT)):
        for answer in (0, ZSP):
            judge = Judge(CONTRACT)
            assert findings(judge, (start, kvre(AT, 0, answer))) == []
            assert judge.leaks() == []
            assert findings(judge, (km(64, AT),)) == [], "its place may be used again"
        judge = Judge(CONTRACT)  # 6.1 returns what it was given, which lives on
        assert findings(judge, (start, kvre(AT, 0, AT), ev("check", AT), kvre(AT, 8, AT))) == []
        assert findings(judge, (km(64, AT),)) == ["MEM-APART"]
    judge = Judge(CONTRACT)
    assert findings(judge, (km(64, AT), kvre(AT, 0, 2 * AT), ev("kvfree", 2 * AT))) == []


def test_what_kvmalloc_owes_for_nothing_is_what_kmalloc_owes() -> None:
    assert (
        findings(Judge(CONTRACT), (kvm(0, ZSP), kvre(0, 0, ZSP), kvre(ZSP, 8, AT), ev("kvfree", ZSP))) == []
    )
    assert findings(Judge(CONTRACT), (kvm(0, 0),)) == ["SLAB-ZERO-SIZE"]


def test_zeroing_calls_owe_every_byte() -> None:
    for event in (
        ev("vzalloc", 5000, gives=AREA, nonzero=4999),
        ev("vmalloc_user", 5000, gives=AREA, nonzero=0),
        ev("vcalloc", 2, 2500, gives=AREA, nonzero=4999),
        ev("kvzalloc", 5000, K, gives=AREA, nonzero=4999),
        ev("kvcalloc", 2, 2500, K, gives=AREA, nonzero=4999),
    ):
        assert findings(Judge(CONTRACT), (event,)) == ["MEM-ZERO"]
    assert findings(Judge(CONTRACT), (ev("__vmalloc", 9, Z, gives=AREA, nonzero=8),)) == ["GFP-ZERO"]
    assert (
        findings(Judge(CONTRACT), (vm(5000, AREA, nonzero=0), ev("vmalloc_32", 9, gives=2 * AREA, nonzero=0)))
        == []
    )


def test_eager_and_lazy_release_of_addresses_are_both_admitted() -> None:
    for step in (0, 2 * P, 5 * P):
        judge = Judge(CONTRACT)
        for round_ in range(200):
            at = AREA + round_ * step
            assert findings(judge, (vm(P, at), frame(at, 0, AT), ev("vfree", at))) == []
        assert judge.leaks() == []


def test_mapped_pages_live_on_and_a_mapped_area_is_no_memory_of_its_own() -> None:
    judge = Judge(CONTRACT)
    events = (
        gfpages(0, AT),
        vmap(AREA, AT),
        frame(AREA, 0, AT),
        ev("check", AREA),
        ev("vunmap", AREA),
        ev("free_pages", AT, 0),
        km(64, AT),
        vm(P, AREA),
        frame(AREA, 0, 5 * AT),
    )
    assert findings(judge, events) == []
    assert findings(judge, (ev("vunmap", AREA),)) == ["CALLER-FAMILY"]


def test_a_map_of_pages_that_are_not_judged_is_not_judged() -> None:
    judge = Judge(CONTRACT)
    assert findings(judge, (gfpages(0, AT + 8),)) == ["PAGE-ALIGN"]
    assert findings(judge, (vmap(AREA + 8, AT + 8), frame(AREA + 8, 0, 3), inside(AREA + 8, 0, 0))) == []
    assert findings(judge, (ev("vunmap", AREA + 8), ev("free_pages", AT + 8, 0))) == []


def test_a_frame_that_is_given_away_is_told_once() -> None:
    judge = Judge(CONTRACT)
    assert findings(judge, (vm(P, AREA), frame(AREA, 0, AT), gfpages(0, AT))) == ["VM-FRAME-OWN"]
    assert (
        findings(judge, (ev("check", AT), ev("free_pages", AT, 0), frame(AREA, 0, AT), ev("vfree", AREA)))
        == []
    )
    assert judge.leaks() == []
