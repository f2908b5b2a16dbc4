"""The driver over a toy target: caches, pools, areas of pages, and what runs during their calls."""

from __future__ import annotations

import pytest
from tests.toys import AREAS, ARENA, BASE, BIGGEST, HANDLES, Bench

from kmem_oracle.campaign.play import runnable
from kmem_oracle.language.script import MOST_ITEMS, Op
from kmem_oracle.targets.access import PATTERN, phase
from kmem_oracle.targets.records import DONE, HEADER, NOTES, RECORD, SKIPPED, SPOILT, Seen
from kmem_spec.apis import APIS
from kmem_spec.calls import CONSTRUCTED, DESTRUCTED, Answer, Call, Note
from kmem_spec.gfp import GFP_KERNEL
from kmem_spec.units import PAGE_SIZE, SIZE_MAX

K = GFP_KERNEL
NOTHING: Seen = (0, -1, -1, -1, DONE)
SKIP: Seen = (0, -1, -1, -1, SKIPPED)
PAGES = [BASE + place * PAGE_SIZE for place in range(9)]
POOL = "m = mempool_create(1, mempool_alloc_kmalloc, mempool_free_kmalloc, 64)"
CACHE = 'c = kmem_cache_create("c", 40, 8, 0, NULL)'
BUILT = 'c = kmem_cache_create("c", 40, 8, 0, ctor)'


@pytest.fixture
def bench() -> Bench:
    return Bench()


# Caches.


def test_a_cache_is_made_used_and_destroyed(bench: Bench) -> None:
    script = f"""
        {CACHE}
        a = kmem_cache_alloc(c, GFP_KERNEL); check(a); b = kmem_cache_zalloc(c, GFP_KERNEL)
        kmem_cache_size(c); kmem_cache_free(c, a); kmem_cache_free(c, b)
        kmem_cache_shrink(c); kmem_cache_destroy(c)
    """
    assert bench.run(script) == [
        (HANDLES, -1, -1, -1, DONE),
        (PAGES[0], 40, -1, -1, DONE),
        NOTHING,
        (PAGES[1], 40, -1, -1, DONE),
        (40, -1, -1, -1, DONE),
        *[NOTHING] * 4,
    ]
    assert ("kmem_cache_free", HANDLES, PAGES[0]) in bench.toy.calls
    assert ("create", b"kmem-oracle-1", 40, False, False) in bench.toy.calls
    assert bench.arena.read(PAGES[0], 41) == PATTERN[phase(2) : phase(2) + 40] + b"\xee"


def test_what_is_given_to_create_a_cache_is_handed_over(bench: Bench) -> None:
    bench.run(
        'c = kmem_cache_create(NULL, 8, 0, 0, NULL); d = kmem_cache_create_26("d", 8, 0, 0, ctor, dtor)'
    )
    assert bench.toy.calls == [("create", None, 8, False, False), ("create", b"kmem-oracle-2", 8, True, True)]


def test_a_cache_that_was_not_made_has_no_id(bench: Bench) -> None:
    bench.replace(kmem_cache_create=lambda *_: 0)
    script = f"{CACHE}; a = kmem_cache_alloc(c, GFP_KERNEL); kmem_cache_destroy(c); kmem_cache_size(c)"
    assert bench.run(script) == [NOTHING, SKIP, SKIP, SKIP]


def test_null_is_a_cache_that_the_target_may_refuse(bench: Bench) -> None:
    assert bench.run("kmem_cache_destroy(NULL)") == [NOTHING]
    assert bench.toy.calls == [("kmem_cache_destroy", 0)]


def test_a_destroyed_cache_takes_its_objects_along_and_no_others(bench: Bench) -> None:
    script = f"""
        {CACHE}; a = kmem_cache_alloc(c, GFP_KERNEL); b = kmem_cache_alloc(c, GFP_KERNEL)
        b = kmalloc(8, GFP_KERNEL); kmem_cache_destroy(c)
        check(a); check(b); kmem_cache_free(c, a); e = kmem_cache_alloc(c, GFP_KERNEL); kmem_cache_shrink(c)
        kmem_cache_alloc_bulk(c, GFP_KERNEL, 2, p); kmem_cache_free_bulk(c, 0, p)
    """
    seen = bench.run(script)
    assert seen[4:] == [NOTHING, SKIP, NOTHING, *[SKIP] * 7]


def test_a_second_cache_of_a_name_leaves_the_objects_of_the_first_alone(bench: Bench) -> None:
    script = f"{CACHE}; a = kmem_cache_alloc(c, GFP_KERNEL); {CACHE}; kmem_cache_destroy(c); check(a)"
    assert bench.last(script) == NOTHING


def test_an_object_comes_out_as_it_was_constructed_and_goes_back_so(bench: Bench) -> None:
    script = f"{BUILT}; a = kmem_cache_alloc(c, GFP_KERNEL); check(a); kmem_cache_free(c, a)"
    assert bench.run(f"{script}; b = kmem_cache_alloc(c, GFP_KERNEL)")[-1] == (PAGES[0], 40, -1, -1, DONE)
    assert bench.arena.read(PAGES[0], 40) == PATTERN[phase(3) : phase(3) + 40]
    bench.run([Op("kmem_cache_free", 0, (1, 3))])
    assert bench.arena.read(PAGES[0], 40) == PATTERN[phase(1) : phase(1) + 40]
    bench.spoil(PAGES[0], 39)
    assert bench.run([Op("kmem_cache_alloc", 4, (1, K))]) == [(PAGES[0], 40, -1, 39, DONE)]


@pytest.mark.parametrize("free", ["kfree(a)", "kmem_cache_free_bulk(c, 1, a)", "kmem_cache_free(d, a)"])
def test_the_constructed_state_is_restored_whoever_frees(bench: Bench, free: str) -> None:
    made = f"{BUILT}; d = {CACHE[4:]}; kmem_cache_alloc_bulk(c, GFP_KERNEL, 1, a); "
    assert bench.last(made + free.replace("(a", "(a[0]").replace("d, a", "d, a[0]")) == NOTHING
    assert bench.arena.read(PAGES[0], 40) == PATTERN[phase(1) : phase(1) + 40]


def test_zeroes_are_looked_for_in_place_of_a_constructed_state(bench: Bench) -> None:
    assert bench.last(f"{BUILT}; a = kmem_cache_zalloc(c, GFP_KERNEL)")[2:4] == (-1, -1)
    bench.replace(kmem_cache_zalloc=lambda cache, gfp: bench.toy.cache_alloc(cache, 0))
    assert bench.last(f"{BUILT}; a = kmem_cache_zalloc(c, GFP_KERNEL)")[2:4] == (0, -1)


def test_an_object_that_has_changed_is_not_freed(bench: Bench) -> None:
    bench.run(f"{CACHE}; a = kmem_cache_alloc(c, GFP_KERNEL)")
    bench.spoil(PAGES[0], 3)
    for op in (Op("kmem_cache_free", 0, (1, 2)), Op("kmem_cache_free_bulk", 0, (1, 1, 2))):
        assert bench.run([op]) == [(2, -1, -1, 3, SPOILT)]
    assert bench.toy.calls[-1] == ("kmalloc", 40, 0)


def test_without_kmem_cache_size_nothing_is_said_of_usable_bytes(bench: Bench) -> None:
    bench.without("kmem_cache_size")
    assert bench.last(f"{CACHE}; a = kmem_cache_alloc(c, GFP_KERNEL)") == (PAGES[0], -1, -1, -1, DONE)


def test_objects_of_more_than_is_ever_touched_are_left_alone(bench: Bench) -> None:
    before = bytes(bench.arena.bytes)
    made = f'c = kmem_cache_create("c", {BIGGEST + 1}, 0, 0, ctor); a = kmem_cache_alloc(c, GFP_KERNEL)'
    assert bench.run(f"{made}; kmem_cache_free(c, a)")[1:] == [(PAGES[0], -1, -1, -1, DONE), NOTHING]
    assert bytes(bench.arena.bytes) == before


# Bulk calls.


def test_each_object_of_a_bulk_call_is_looked_at(bench: Bench) -> None:
    script = (
        f"{BUILT}; kmem_cache_alloc_bulk(c, GFP_KERNEL, 3, p); check(p[2]); kmem_cache_free_bulk(c, 3, p)"
    )
    made = [(start, 40, -1, -1, DONE) for start in PAGES[:3]]
    assert bench.run(script)[1:] == [(3, -1, -1, -1, DONE), *made, NOTHING, NOTHING]
    assert bench.toy.calls[-1] == ("kmem_cache_free_bulk", HANDLES, 3, PAGES[:3])


def test_a_bulk_call_that_gives_nothing_or_too_few_says_so(bench: Bench) -> None:
    short = bench.functions["kmem_cache_alloc_bulk"]
    for given in (0, 2):
        bench.replace(kmem_cache_alloc_bulk=lambda cache, gfp, _, n=given: short(cache, gfp, n) if n else 0)
        seen = bench.run(f"{CACHE}; kmem_cache_alloc_bulk(c, GFP_KERNEL, 3, p); check(p[2])")
        assert seen[1] == (given, -1, -1, -1, DONE)
        assert [record[0] != 0 for record in seen[2:5]] == [place < given for place in range(3)]
        assert seen[5] == SKIP


def test_pages_come_in_bulk(bench: Bench) -> None:
    script = "alloc_pages_bulk(GFP_KERNEL | __GFP_ZERO, 2, p); free_pages(p[0], 0); free_pages(p[1], 0)"
    pages = [(start, -1, -1, -1, DONE) for start in PAGES[:2]]
    assert bench.run(script) == [(2, -1, -1, -1, DONE), *pages, NOTHING, NOTHING]
    bench.replace(alloc_pages_bulk=lambda gfp, count: [bench.toy.pages(0, 0)] * count)
    assert bench.run("alloc_pages_bulk(GFP_KERNEL | __GFP_ZERO, 1, p)")[1][2] == 0


def test_an_array_that_no_caller_has_room_for_is_not_filled(bench: Bench) -> None:
    bench.run(CACHE)
    for op in (
        Op("alloc_pages_bulk", 9, (K, MOST_ITEMS + 1, 0)),
        Op("kmem_cache_alloc_bulk", 9, (1, K, 1 << 40, 0)),
    ):
        assert sum(1 for _ in runnable([op], APIS)) == MOST_ITEMS + 1
        bench.driver.run([op, Op("item", 9, (0,))], HEADER.size)
        assert [RECORD.unpack_from(bench.memory, HEADER.size + k * RECORD.size)[4] for k in (0, 1)] == [
            SKIPPED
        ] * 2
    assert bench.toy.next == BASE


# What runs during a call.


def test_constructors_and_destructors_are_noted_with_the_call_that_they_ran_in(bench: Bench) -> None:
    script = """
        c = kmem_cache_create_26("c", 40, 0, 0, ctor, dtor)
        kmem_cache_alloc_bulk(c, GFP_KERNEL, 2, p); kmem_cache_free(c, p[1]); kmem_cache_shrink(c)
    """
    events = bench.events(script)
    assert [answer.notes for _, answer in events] == [
        (),
        (Note(CONSTRUCTED, HANDLES, PAGES[0]), Note(CONSTRUCTED, HANDLES, PAGES[1])),
        (),
        (),
        (),
        (Note(DESTRUCTED, HANDLES, PAGES[1]),),
    ]
    assert events[0][0] == Call("kmem_cache_create_26", (1, 40, 0, 0, 1, 1))
    assert events[5] == (
        Call("kmem_cache_shrink", (HANDLES,)),
        Answer(1, notes=(Note(DESTRUCTED, HANDLES, PAGES[1]),)),
    )


def test_an_object_that_was_destructed_is_seen_not_to_be_constructed(bench: Bench) -> None:
    script = """
        c = kmem_cache_create_26("c", 40, 0, 0, ctor, dtor); a = kmem_cache_alloc(c, GFP_KERNEL)
        kmem_cache_free(c, a); kmem_cache_shrink(c)
    """
    bench.run(script)
    assert bench.arena.read(PAGES[0], 40) not in {PATTERN[phase(1) :][:40], bytes(40)}
    bench.functions["kmem_cache_alloc"] = lambda *_: PAGES[0]
    assert bench.run([Op("kmem_cache_alloc", 5, (1, K))])[0][3] == 0


def test_a_constructor_that_runs_as_its_cache_is_made_is_of_that_cache(bench: Bench) -> None:
    def create(name: bytes, size: int, _align: int, _flags: int, ctor: object) -> int:
        assert callable(ctor)
        ctor(PAGES[3])
        ctor(ARENA * 8)
        return HANDLES

    bench.replace(kmem_cache_create=create)
    ((_, answer),) = bench.events(BUILT)
    assert answer.notes == (Note(CONSTRUCTED, HANDLES, PAGES[3]), Note(CONSTRUCTED, HANDLES, ARENA * 8))
    assert bench.arena.read(PAGES[3], 40) == PATTERN[phase(1) : phase(1) + 40]


def test_notes_for_which_there_is_no_room_are_said_to_be_lost(bench: Bench) -> None:
    def alloc(cache: int, _gfp: int) -> int:
        ctor = bench.toy.slabs[cache].ctor
        assert ctor is not None
        for _ in range(NOTES // 2):
            ctor(PAGES[0])
        return PAGES[0]

    bench.replace(kmem_cache_alloc=alloc)
    events = bench.events(f"{BUILT}; repeat 3 {{ a = kmem_cache_alloc(c, GFP_KERNEL) }}")
    assert [len(answer.notes) for _, answer in events] == [0, NOTES // 2, NOTES // 2, 1]
    assert events[3][1].notes == (Note(0, 0, 0),)
    bench.replace(kmem_cache_alloc=bench.toy.cache_alloc)
    events = bench.events(f"{BUILT}; a = kmem_cache_alloc(c, GFP_KERNEL)")
    assert events[1][1].notes == (Note(CONSTRUCTED, HANDLES + 64, PAGES[0]),)


def test_sleep_is_told_where_it_can_be_observed() -> None:
    for watched, seen in ((False, [-1, -1, -1, -1]), (True, [0, 1, 1, 0])):
        bench = Bench(watched=watched)

        def sleeps(size: int, bench: Bench = bench) -> int:
            bench.driver.notes.asleep()
            return bench.toy.kmalloc(size, 0)

        bench.replace(vmalloc=sleeps)
        events = bench.events("a = kmalloc(8, GFP_KERNEL); b = vmalloc(8); c = vmalloc(2**40); kfree(a)")
        assert [answer.slept for _, answer in events] == seen


# Pools.


def test_a_pool_gives_from_the_drivers_functions_and_from_its_reserve(bench: Bench) -> None:
    script = f"""
        {POOL}
        a = mempool_alloc(m, GFP_NOWAIT); check(a)
        mempool_fail(m, 1); b = mempool_alloc(m, GFP_NOWAIT); d = mempool_alloc(m, GFP_NOWAIT)
        mempool_fail(m, 0)
        e = mempool_alloc(m, GFP_NOWAIT); mempool_free(a, m); mempool_free(NULL, m); mempool_resize(m, 3)
        mempool_destroy(m); check(b); f = mempool_alloc(m, GFP_NOWAIT); mempool_fail(m, 1)
    """
    assert bench.run(script) == [
        (HANDLES, -1, -1, -1, DONE),
        (PAGES[1], -1, -1, -1, DONE),
        NOTHING,
        NOTHING,
        (PAGES[0], -1, -1, -1, DONE),
        NOTHING,
        NOTHING,
        (PAGES[2], -1, -1, -1, DONE),
        *[NOTHING] * 4,
        *[SKIP] * 3,
    ]
    assert ("mempool_create", 1, 64) in bench.toy.calls
    assert ("kfree", PAGES[1]) in bench.toy.calls
    assert bench.arena.read(PAGES[0], 64) == PATTERN[phase(3) : phase(3) + 64]


def test_a_pool_over_a_cache_gives_its_objects_and_cannot_be_told_to_fail(bench: Bench) -> None:
    script = f"""
        {BUILT}; m = mempool_create_slab_pool(1, c); a = mempool_alloc(m, GFP_NOWAIT); mempool_fail(m, 1)
        mempool_free(a, m); n = mempool_create_slab_pool(1, x)
    """
    seen = bench.run(script)
    assert seen[2:] == [(PAGES[1], -1, -1, -1, DONE), SKIP, NOTHING, SKIP]
    assert bench.arena.read(PAGES[1], 40) == PATTERN[phase(1) : phase(1) + 40]


def test_a_pool_that_was_not_made_has_no_id(bench: Bench) -> None:
    bench.replace(mempool_create=lambda *_: 0)
    assert bench.run(f"{POOL}; a = mempool_alloc(m, GFP_NOWAIT)") == [NOTHING, SKIP]


def test_a_failure_to_grow_is_a_negative_number(bench: Bench) -> None:
    script = f"{POOL}; mempool_resize(m, 100)"
    assert bench.last(script)[0] == SIZE_MAX - 11
    assert bench.events(script)[1] == (Call("mempool_resize", (HANDLES + 64, 100)), Answer(-12))


# Pages.


def test_a_block_is_cut_into_pages_with_ids_of_their_own(bench: Bench) -> None:
    script = (
        "a = alloc_pages(GFP_KERNEL, 2); p = split_page(a, 2); check(a); check(p[3]); free_pages(p[1], 0)"
    )
    assert bench.run(script)[1:] == [NOTHING, SKIP, NOTHING, NOTHING]
    assert bench.toy.calls[-2:] == [("split_page", BASE, 2), ("free_pages", PAGES[1], 0)]
    first = min(identifier for identifier, held in bench.driver.held.items() if held.start == BASE)
    assert bench.arena.read(PAGES[2], 9) == PATTERN[phase(first + 2) : phase(first + 2) + 9]
    bench.spoil(PAGES[2], 1)
    assert bench.run([Op("free_pages", 0, (first + 2, 0))]) == [(first + 2, -1, -1, 1, SPOILT)]


def test_a_block_that_has_changed_is_not_cut(bench: Bench) -> None:
    bench.run("a = alloc_pages(GFP_KERNEL, 1)")
    bench.spoil(PAGES[1], 1)
    assert bench.run([Op("split_page", 2, (1, 1))]) == [(1, -1, -1, PAGE_SIZE + 1, SPOILT)]
    assert bench.run([Op("split_page", 2, (7, 1))]) == [SKIP]
    assert bench.run([Op("split_page", 2, (0, 1))]) == [NOTHING]


def test_pieces_beyond_the_block_are_not_held(bench: Bench) -> None:
    bench.run("a = alloc_pages(GFP_KERNEL, 1)")
    assert bench.run([Op("split_page", 2, (1, 2**32 - 1))]) == [NOTHING]
    assert sorted(bench.driver.held) == [2, 3]


MAPPED = "alloc_pages_bulk(GFP_KERNEL, 3, p); v = vmap(p, 3, VM_MAP, PAGE_KERNEL)"


def test_an_area_of_mapped_pages_is_compared_with_them(bench: Bench) -> None:
    seen = bench.run(f"{MAPPED}; vmalloc_to_page(v + 4097); is_vmalloc_addr(v + 1); check(p[1]); vunmap(v)")
    assert seen[4:] == [
        (AREAS, -1, -1, -1, DONE),
        (PAGES[1], -1, -1, -1, DONE),
        (1, -1, -1, -1, DONE),
        NOTHING,
        NOTHING,
    ]
    assert bench.toy.calls[-2:] == [("vmap", PAGES[:3], 3), ("vunmap", AREAS)]


def test_an_area_that_shows_other_bytes_or_a_copy_is_seen(bench: Bench) -> None:
    bench.replace(vmap=lambda pages, *_: bench.toy.vmap([pages[0], pages[2], pages[1]], 3, 0, 0))
    assert bench.last(MAPPED) == (AREAS, -1, -1, PAGE_SIZE, DONE)

    def copied(pages: list[int], *_: int) -> int:
        copies = [bench.toy.kmemdup(page, PAGE_SIZE, 0) for page in pages]
        return bench.toy.vmap([*pages[:2], copies[2]], 3, 0, 0)

    bench.replace(vmap=copied)
    assert bench.last(MAPPED)[1:] == (-1, -1, 2 * PAGE_SIZE, DONE)


def test_pages_that_have_changed_or_do_not_live_are_not_mapped(bench: Bench) -> None:
    bench.run("alloc_pages_bulk(GFP_KERNEL, 3, p)")
    first = min(bench.driver.held)
    bench.spoil(PAGES[1], 6)
    assert bench.run([Op("vmap", 9, (first, 3, 4, 0))]) == [(first + 1, -1, -1, 6, SPOILT)]
    assert bench.run([Op("vmap", 9, (first, 1 << 40, 4, 0))]) == [SKIP]
    assert bench.run([Op("vmalloc_to_page", 0, (9, 0))]) == [SKIP]


def test_an_area_that_cannot_be_memory_is_not_touched(bench: Bench) -> None:
    for area in (0, 24):
        bench.replace(vmap=lambda *_, area=area: area)
        assert bench.last(MAPPED) == (area, -1, -1, -1, DONE)


def test_pages_that_are_not_touched_are_not_compared(bench: Bench) -> None:
    bench.replace(alloc_pages_bulk=lambda gfp, count: [BASE - PAGE_SIZE] * count)
    assert bench.last(MAPPED) == (AREAS, -1, -1, -1, DONE)
