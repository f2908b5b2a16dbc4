"""The judge on anything at all: whatever is called and answered, it has a verdict and keeps its tables."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.cover.judging import (
    AREA,
    AT,
    CONTRACT,
    MAX,
    POOL,
    PROFILES,
    SLAB_POOL,
    ZSP,
    C,
    D,
    K,
    Z,
    admit_all,
    ca,
    cf,
    create,
    create26,
    destroy,
    ev,
    findings,
    free_bulk,
    gfpages,
    kfree,
    km,
    kre,
    made,
    pa,
    pool,
    tables_of,
    takes_effect,
    vm,
)

from kmem_spec.apis import APIS, Api, Parameter
from kmem_spec.calls import Answer, Call, Event, Lost, Note
from kmem_spec.gfp import DMA, DMA32, GFP_ATOMIC, NOFAIL
from kmem_spec.judge import Judge
from kmem_spec.judging.docket import home_of
from kmem_spec.units import PAGE_SHIFT, PAGE_SIZE, SIZE_MAX

ADDRESSES = (
    0,
    1,
    ZSP,
    24,
    AT,
    AT + 4,
    AT + 8,
    AT + 64,
    AT + PAGE_SIZE,
    2 * AT,
    AREA,
    C,
    D,
    POOL,
    SIZE_MAX - 11,
)
NUMBERS = (0, 1, 2, 3, 8, 40, 64, 4096, 5000, MAX, MAX + 1, 1 << 32, 1 << 63, SIZE_MAX)
MASKS = (K, K, Z, GFP_ATOMIC, 0x800, 0, K | NOFAIL, K | DMA | DMA32, K | 0x20, K | 0x100000, SIZE_MAX)
FLAGS = (0, 1)
CHOICES: dict[Parameter, tuple[int, ...]] = {
    "gfp": MASKS,
    "order": (0, 0, 1, 2, 10, 11, 64, SIZE_MAX),
    "align": (0, 8, 24, 64, 1 << 13, SIZE_MAX),
    "flags": (0, 0x2000, 0x80000, SIZE_MAX),
    "name": FLAGS,
    "ctor": FLAGS,
    "dtor": FLAGS,
    "alloc_fn": FLAGS,
    "free_fn": FLAGS,
    "vector": (0,),
    "array": (0,),
    "pointer": ADDRESSES,
    "source": ADDRESSES,
    "cache": ADDRESSES,
    "pool": ADDRESSES,
}
EVERY_API = st.sampled_from(sorted(APIS))
SEEN = (-1, -1, -1, 0, 1, 39, 64, 5000)
NOTES = st.lists(
    st.builds(Note, st.integers(0, 3), st.sampled_from(ADDRESSES), st.sampled_from(ADDRESSES)), max_size=3
).map(tuple)


def arguments(api: Api) -> st.SearchStrategy[tuple[int, ...]]:
    """Return arguments of a call, and as many addresses of an array as there happen to be."""
    fixed = st.tuples(*(st.sampled_from(CHOICES.get(kind, NUMBERS)) for kind in api.parameters))
    several = st.lists(st.sampled_from(ADDRESSES), max_size=4 if "vector" in api.parameters else 0)
    return st.builds(lambda some, more: (*some, *more), fixed, several)


CALLS = EVERY_API.flatmap(lambda name: st.builds(Call, st.just(name), arguments(APIS[name])))
ANSWERS = st.builds(
    Answer,
    result=st.sampled_from((*ADDRESSES, *ADDRESSES, 2, 4, 7, -12)),
    usable=st.sampled_from(SEEN),
    nonzero=st.sampled_from(SEEN),
    changed=st.sampled_from(SEEN),
    slept=st.sampled_from((-1, 0, 1)),
    notes=st.one_of(st.just(()), NOTES),
)
EVENTS = st.lists(st.builds(Event, CALLS, ANSWERS), max_size=40)


def assert_consistent(judge: Judge) -> None:
    """Compare the tables with each other."""
    assert set(judge.spans) == set(judge.records)
    held: dict[int, int] = {}
    residents = set()
    for start, live in judge.records.items():
        if live.asked.handle:
            held[home_of(live.asked)] = held.get(home_of(live.asked), 0) + 1
        if live.asked.constructed:
            residents.add(start)
    assert {home: count for home, count in judge.held.items() if count} == held
    assert {start for page in judge.residents.values() for start in page} == residents
    assert all(start >> PAGE_SHIFT == page for page, starts in judge.residents.items() for start in starts)
    slots = {(slot, cache) for cache, some in judge.slots.items() for slot in some}
    assert isinstance(judge.constructed.cache, dict)
    assert slots == set(judge.constructed.cache.items())
    assert {frame for frames in judge.backing.values() for frame in frames} == set(judge.frames)
    assert {area for area, _ in judge.frames.values()} <= set(judge.records)


@settings(max_examples=400, derandomize=True, database=None, deadline=None)
@given(
    EVENTS,
    CALLS,
    st.sampled_from(sorted(PROFILES)),
    st.sampled_from(("", "MEM-APART", "CACHE-DTOR", "CALLER-GFP")),
)
def test_whatever_is_called_and_answered_has_a_verdict(
    events: list[Event], last: Call, profile: str, waived: str
) -> None:
    judge = Judge(PROFILES[profile], waived=frozenset({waived}))
    for event in events:
        before = tables_of(judge)
        finding = judge.admit(event)
        if finding is not None:
            assert finding.clause in judge.in_force
            assert all(0 <= other <= finding.event for other in finding.others)
            if finding.who == "caller" and not takes_effect(event):
                assert tables_of(judge) == before
        assert_consistent(judge)
    assert all(count >= 0 for count in judge.counts().values())
    assert len(judge.leaks()) == len(judge.records) + len(judge.caches) + len(judge.pools)
    before = tables_of(judge)
    lost = judge.lose(Lost(last, "did not return within 5.0 s"))
    assert lost is None or lost.clause in judge.in_force
    assert tables_of(judge) == before
    judge.start_over()
    assert_consistent(judge)
    assert judge.leaks() == []


@pytest.mark.parametrize("api", APIS.values(), ids=APIS)
def test_a_call_with_nothing_but_zeroes_has_a_verdict(api: Api) -> None:
    call = Call(api.name, (0,) * len(api.parameters))
    for profile, result in product(PROFILES.values(), (0, ZSP, AT, -1, SIZE_MAX)):
        judge = Judge(profile)
        finding = judge.admit(Event(call, Answer(result)))
        assert finding is None or finding.clause in judge.in_force
        assert_consistent(judge)
        assert judge.lose(Lost(call, "crashed with SIGSEGV")) is not None


# An object, a cache or a pool of a finding, in every role that it may have.

ASIDE = AT + 32
OBJECT = (
    ev("check", ASIDE, changed=1),
    ev("ksize", ASIDE, gives=3),
    kre(ASIDE, 1 << 30, 0),
    kre(ASIDE, 50, ASIDE, usable=1),
    ev("krealloc_array", ASIDE, 2, 9, K, gives=ASIDE + 4),
    ev("krealloc", ASIDE + 4, 9, K, gives=ASIDE),
    ev("kvrealloc", ASIDE, 9, K, gives=ASIDE, changed=0),
    ev("vrealloc", ASIDE, 9, K, gives=ASIDE, changed=0),
    ev("kmemdup", ASIDE, 64, K, gives=2 * AT + 4, changed=3),
    ev("kstrdup", ASIDE, K, gives=3 * AT + 4),
    ev("kstrndup", ASIDE, 4, K, gives=4 * AT + 4),
    ev("vmap", 0, 1, 4, 0, ASIDE, gives=AREA + 4),
    ev("vmalloc_to_page", ASIDE, 0, gives=3),
    ev("is_vmalloc_addr", ASIDE, 0, gives=1),
    km(40, ASIDE),
    km(24, 0, GFP_ATOMIC),
)
ENDS = (
    kfree(ASIDE),
    ev("kfree_sensitive", ASIDE),
    ev("kfree_bulk", 1, 0, ASIDE),
    kre(ASIDE, 0, ZSP),
    ev("kvrealloc", ASIDE, 0, K),
    ev("vrealloc", ASIDE, 0, K),
    ev("free_pages", ASIDE, 9),
    ev("__free_pages", ASIDE, 0),
    ev("free_pages_exact", ASIDE, 3),
    ev("vfree", ASIDE),
    ev("vunmap", ASIDE),
    ev("kvfree", ASIDE),
    ev("mempool_free", ASIDE, POOL),
    cf(C, ASIDE),
    free_bulk(C, ASIDE),
    ev("split_page", ASIDE, 0),
)


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.call.api)
def test_an_object_of_a_finding_is_used_in_every_role_without_another(end: Event) -> None:
    judge = Judge(CONTRACT)
    assert findings(judge, (create(C), km(64, ASIDE))) == ["SLAB-ALIGN-POWER"]
    assert findings(judge, OBJECT) == []
    assert findings(judge, (kfree(ASIDE), end)) == [], "it was given twice"
    again = end if end.call.api != "split_page" else kfree(ASIDE)
    expected = [] if end.call.api == "split_page" else ["CALLER-FREE"]
    assert findings(judge, (again,)) == expected
    assert_consistent(judge)
    assert [leak.message for leak in judge.leaks()] == [f"the cache at {C:#x} is never destroyed"]


KINDS = {
    "alloc": (km(64, AT), kfree(AT)),
    "vmalloc": (vm(64, AT), ev("vfree", AT)),
    "pages": (gfpages(0, AT), ev("free_pages", AT, 0)),
    "cache": (ca(C, AT), cf(C, AT)),
    "pool": (pa(AT), ev("mempool_free", AT, POOL)),
}


@pytest.mark.parametrize(("first", "second"), list(product(KINDS, repeat=2)))
def test_objects_that_share_bytes_are_freed_each_by_its_own_call(first: str, second: str) -> None:
    judge = Judge(CONTRACT)
    ends = (KINDS[first][1], KINDS[second][1])
    assert findings(judge, (create(C, ctor=1), pool(POOL, 1), KINDS[first][0], KINDS[second][0])) == [
        "MEM-APART"
    ]
    assert findings(judge, (*ends, destroy(C), ev("mempool_destroy", POOL))) == []
    assert judge.leaks() == []
    assert_consistent(judge)


def test_a_cache_that_another_context_could_not_destroy_is_there() -> None:
    judge = Judge(CONTRACT)
    admit_all(judge, (create26(C), SLAB_POOL._replace(answer=Answer(0)), ev("preempt_disable")))
    assert findings(judge, (destroy(C), create(D))) == ["CALLER-CONTEXT"] * 2
    assert (
        findings(judge, (ev("preempt_enable"), ca(C, AT), cf(C, AT), destroy(C), ca(D, AT), cf(D, AT))) == []
    )
    assert findings(judge, (destroy(D), destroy(D))) == ["CALLER-HANDLE"]


def test_what_was_freed_in_the_wrong_context_may_be_free_or_not() -> None:
    for rest in (
        (km(64, AT), kfree(AT)),
        (ev("kvfree", AT),),
        (km(8, AT + 8), kfree(AT + 8), ev("kvfree", AT)),
    ):
        judge = Judge(CONTRACT)
        atomic = (km(64, AT), ev("preempt_disable"), ev("kvfree", AT))
        assert findings(judge, (*atomic, ev("preempt_enable"))) == ["CALLER-CONTEXT"]
        assert findings(judge, rest) == []
    judge = Judge(CONTRACT)
    moved = (km(64, AT), ev("preempt_disable"), kre(AT, 200, 2 * AT), ev("preempt_enable"))
    assert findings(judge, moved) == ["CALLER-CONTEXT"]
    assert findings(judge, (km(64, AT), kfree(AT), kfree(2 * AT))) == []


def test_constructors_that_ran_in_the_wrong_context_ran() -> None:
    judge = Judge(CONTRACT)
    begin = (create26(C, 512), ev("preempt_disable"), ca(C, AT, *made(C, AT)), ev("preempt_enable"))
    assert findings(judge, begin) == ["CALLER-CONTEXT"]
    assert findings(judge, (cf(C, AT), destroy(C))) == ["CACHE-DTOR"]
