"""What the tests of the judge share: events, rows of them with the clause that the last one breaks, and the
tests that every row takes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import ClassVar

import pytest

from kmem_spec.apis import APIS
from kmem_spec.calls import CONSTRUCTED, DESTRUCTED, Answer, Call, Event, Note
from kmem_spec.clauses import CLAUSES
from kmem_spec.finding import Finding
from kmem_spec.gfp import GFP_KERNEL, ZERO
from kmem_spec.judge import Judge
from kmem_spec.profile import Profile, load
from kmem_spec.units import PAGE_SIZE, ZERO_SIZE_PTR

K = GFP_KERNEL
Z = GFP_KERNEL | ZERO
AT = 0x100000  # a multiple of 1 MiB
MIB = 1 << 20
MAX = 4 * MIB
ZSP = ZERO_SIZE_PTR
C, D, POOL = 0x7000_0000, 0x7000_0100, 0x7000_0200  # addresses of caches and of a pool
AREA = 0x4000_0000
HWCACHE = 0x2000  # SLAB_HWCACHE_ALIGN
CONTRACT = load("contract")
LINUX_2_6 = load("linux-2.6")
LINUX_6_1 = load("linux-6.1")
LINUX_6_12 = load("linux-6.12")
ZONES = replace(CONTRACT, name="zones", dma_end=16 * MIB, dma32_end=4096 * MIB)
PROFILES = {each.name: each for each in (CONTRACT, LINUX_2_6, LINUX_6_1, LINUX_6_12, ZONES)}
LOST = Note(0, 0, 0)  # in place of notes that nobody could keep


def ev(
    api: str,
    *args: int,
    gives: int = 0,
    usable: int = -1,
    nonzero: int = -1,
    changed: int = -1,
    slept: int = -1,
) -> Event:
    """Return an event: the call, then what came back and what was seen besides."""
    return Event(Call(api, args), Answer(gives, usable, nonzero, changed, slept))


def during(event: Event, *notes: Note) -> Event:
    """Return an event during which some constructors and destructors ran."""
    return event._replace(answer=event.answer._replace(notes=notes))


def km(size: int, at: int, gfp: int = K, **seen: int) -> Event:
    """Return a kmalloc that gives `at`."""
    return ev("kmalloc", size, gfp, gives=at, **seen)


def kfree(at: int, *notes: Note) -> Event:
    """Return a kfree."""
    return during(ev("kfree", at), *notes)


def kre(old: int, size: int, at: int, gfp: int = K, **seen: int) -> Event:
    """Return a krealloc that gives `at`."""
    return ev("krealloc", old, size, gfp, gives=at, **seen)


def gfpages(order: int, at: int, gfp: int = K, **seen: int) -> Event:
    """Return a __get_free_pages that gives `at`."""
    return ev("__get_free_pages", gfp, order, gives=at, **seen)


def create(
    at: int, size: int = 40, align: int = 0, flags: int = 0, *, ctor: int = 0, notes: tuple[Note, ...] = ()
) -> Event:
    """Return a kmem_cache_create that gives the cache `at`."""
    return during(ev("kmem_cache_create", 1, size, align, flags, ctor, gives=at), *notes)


def create26(at: int, size: int = 40, *, ctor: int = 1, dtor: int = 1, flags: int = 0) -> Event:
    """Return a kmem_cache_create of the 2.6 form."""
    return ev("kmem_cache_create_26", 1, size, 0, flags, ctor, dtor, gives=at)


def destroy(cache: int, *notes: Note) -> Event:
    """Return a kmem_cache_destroy."""
    return during(ev("kmem_cache_destroy", cache), *notes)


def ca(cache: int, at: int, *notes: Note, gfp: int = K, **seen: int) -> Event:
    """Return a kmem_cache_alloc that gives `at`, during which some functions ran."""
    return during(ev("kmem_cache_alloc", cache, gfp, gives=at, **seen), *notes)


def cf(cache: int, at: int, *notes: Note) -> Event:
    """Return a kmem_cache_free."""
    return during(ev("kmem_cache_free", cache, at), *notes)


def item(place: int, at: int, **seen: int) -> Event:
    """Return what was seen of one object of a bulk."""
    return ev("item", place, gives=at, **seen)


def made(cache: int, *slots: int) -> tuple[Note, ...]:
    """Return notes that the cache's constructor ran at these addresses."""
    return tuple(Note(CONSTRUCTED, cache, slot) for slot in slots)


def gone(cache: int, *slots: int) -> tuple[Note, ...]:
    """Return notes that the cache's destructor ran at these addresses."""
    return tuple(Note(DESTRUCTED, cache, slot) for slot in slots)


def bulk(cache: int, count: int, gives: int, *notes: Note, gfp: int = K) -> Event:
    """Return a kmem_cache_alloc_bulk that gives so many objects."""
    return during(ev("kmem_cache_alloc_bulk", cache, gfp, count, 0, gives=gives), *notes)


def free_bulk(cache: int, *starts: int) -> Event:
    """Return a kmem_cache_free_bulk."""
    return ev("kmem_cache_free_bulk", cache, len(starts), 0, *starts)


def shrink(cache: int, *notes: Note) -> Event:
    """Return a kmem_cache_shrink."""
    return during(ev("kmem_cache_shrink", cache), *notes)


def pool(at: int, least: int, size: int = 64) -> Event:
    """Return a mempool_create that gives the pool `at`."""
    return ev("mempool_create", least, 1, 1, size, gives=at)


SLAB_POOL = ev("mempool_create_slab_pool", 2, C, gives=POOL)


def pa(at: int, gfp: int = K, *, of: int = POOL, **seen: int) -> Event:
    """Return a mempool_alloc that gives `at`."""
    return ev("mempool_alloc", of, gfp, gives=at, **seen)


def pf(at: int, of: int = POOL) -> Event:
    """Return a mempool_free."""
    return ev("mempool_free", at, of)


def vm(size: int, at: int, **seen: int) -> Event:
    """Return a vmalloc that gives `at`."""
    return ev("vmalloc", size, gives=at, **seen)


@dataclass(frozen=True)
class Row:
    """A history. With a clause, its last event and no other breaks it, `others` being involved."""

    says: str
    events: tuple[Event, ...]
    clause: str = ""
    others: tuple[int, ...] = ()
    profile: Profile = CONTRACT

    def __str__(self) -> str:
        return f"{self.clause or 'admitted'}: {self.says}"


Rows = dict[str, tuple[Row, ...]]


def good(says: str, *events: Event, profile: Profile = CONTRACT) -> Row:
    return Row(says, events, profile=profile)


def bad(
    clause: str, says: str, *events: Event, others: tuple[int, ...] = (), profile: Profile = CONTRACT
) -> Row:
    return Row(says, events, clause, others, profile)


def admit_all(judge: Judge, events: Iterable[Event]) -> list[Finding | None]:
    return [judge.admit(event) for event in events]


def findings(judge: Judge, events: Iterable[Event]) -> list[str]:
    """Return the clauses that the events break."""
    return [finding.clause for finding in admit_all(judge, events) if finding is not None]


def tables_of(judge: Judge) -> tuple[dict[int, object], ...]:
    """Return copies of the tables of what is live."""
    return (
        *(dict(table) for table in (judge.spans, judge.records, judge.caches, judge.pools)),
        dict(judge.constructed.cache.items()) if isinstance(judge.constructed.cache, dict) else {},
    )


def cycle(judge: Judge, place: int, size: int = 64) -> Finding | None:
    """Make and free an object; a NULL is what is judged."""
    finding = judge.admit(km(size, place))
    if place:
        assert finding is None
        finding = judge.admit(kfree(place))
    return finding


def takes_effect(event: Event) -> bool:
    """Say whether a call may take an object away though it is the caller's error."""
    return APIS[event.call.api].role in ("free bulk", "resize") or event.call.api in ("vfree", "kvfree")


class RowTests:
    """The tests that every row takes; a subclass, called TestRows, says which rows."""

    rows: ClassVar[Rows] = {}

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        every = [row for rows in self.rows.values() for row in rows]
        for name, some in (("row", every), ("rejected", [row for row in every if row.clause])):
            if name in metafunc.fixturenames:
                metafunc.parametrize(name, some, ids=str)

    def test_each_rule_both_ways(self, row: Row) -> None:
        judge = Judge(row.profile)
        seen = admit_all(judge, row.events)
        expected = [""] * (len(row.events) - 1) + [row.clause]
        assert [finding.clause if finding else "" for finding in seen] == expected
        last = seen[-1]
        if last is not None:
            assert last.who == CLAUSES[row.clause].who
            assert last.event == len(row.events) - 1
            assert last.others == row.others
            assert last.message.partition("(")[0] in APIS or last.message.startswith("the ")

    def test_a_refused_event_adds_nothing(self, rejected: Row) -> None:
        *before, last = rejected.events
        judge = Judge(rejected.profile)
        admit_all(judge, before)
        tables, held = tables_of(judge), set(judge.records)
        finding = judge.admit(last)
        assert finding is not None
        if finding.who == "caller" and not takes_effect(last):
            assert tables_of(judge) == tables
        else:  # the objects of a finding are judged no further; only what a note spoils is there all the same
            assert set(judge.records) - held <= ({last.answer.result} if last.answer.notes else set())
            assert set(judge.caches) <= set(tables[2])
            assert set(judge.pools) <= set(tables[3])

    def test_a_waived_clause_is_not_judged(self, rejected: Row) -> None:
        judge = Judge(rejected.profile, waived=frozenset({rejected.clause}))
        assert rejected.clause not in findings(judge, rejected.events)
        assert rejected.clause not in judge.counts()
        judge.leaks()  # and the history can go on
        other = 64 * MAX
        assert findings(judge, (ev("preempt_enable"), km(64, other), kfree(other))) == []

    def test_the_rest_of_a_history_is_judged_without_the_objects_of_a_finding(self, rejected: Row) -> None:
        judge = Judge(rejected.profile)
        admit_all(judge, rejected.events)
        assert findings(judge, (ev("preempt_enable"), *afterwards(rejected.events))) == []
        other = 64 * MAX
        assert findings(judge, (km(64, other), kfree(other))) == []


def afterwards(events: tuple[Event, ...]) -> list[Event]:
    """Return events that measure and free what the last event made."""
    call, answer = events[-1]
    api, start = APIS[call.api], answer.result
    if start <= ZSP or start >> 64 or api.role not in ("allocate", "resize", "copy", "map", "item", "create"):
        return []
    if api.role == "create":
        return [ev("kmem_cache_destroy" if api.family == "cache" else "mempool_destroy", start)]
    if api.role == "item":
        call = next(event.call for event in reversed(events) if event.call.api != "item")
        api = APIS[call.api]
    if api.family == "page":
        return [ev("free_pages", start, 0 if api.role == "bulk" else _order(call))]
    ends = {
        "kmalloc": (ev("ksize", start, gives=1 << 60), kfree(start)),
        "cache": (cf(call.args[0], start),),
        "pool": (pf(start, call.args[0]),),
        "vmalloc": (ev("is_vmalloc_addr", start, 0), ev("vfree", start)),
        "vmap": (ev("vunmap", start),),
        "kv": (ev("kvrealloc", start, 1, K, gives=start), ev("kvfree", start)),
        "exact": (ev("free_pages_exact", start, call.args[0]),),
    }
    return list(ends[api.family])


def _order(call: Call) -> int:
    """Return the order of a request for pages."""
    return call.args[1] if "order" in APIS[call.api].parameters else 0


def pages(start: int, count: int) -> tuple[int, ...]:
    """Return the addresses of pages that follow each other."""
    return tuple(range(start, start + count * PAGE_SIZE, PAGE_SIZE))
