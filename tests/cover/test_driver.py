"""The driver over a toy target that errs in chosen ways: what the records say."""

from __future__ import annotations

import ctypes
from collections.abc import Callable

import pytest
from tests.toys import ARENA, BASE, BIGGEST, Bench

from kmem_model.kernel import Kernel
from kmem_oracle.language.script import ID_NULL, ID_ZERO_SIZE, Op
from kmem_oracle.targets.access import LARGEST, PATTERN, Access, Native, first_difference, phase
from kmem_oracle.targets.driver import runnable
from kmem_oracle.targets.model import ModelMemory, Sleeper, open_model
from kmem_oracle.targets.records import CALLING, DONE, HEADER, SKIPPED, SPOILT, TOUCHING, Seen
from kmem_spec.area import VMALLOC_END, VMALLOC_START
from kmem_spec.gfp import DIRECT_RECLAIM, GFP_KERNEL, ZERO
from kmem_spec.table import Refused
from kmem_spec.units import PAGE_SIZE, SIZE_MAX, ZERO_SIZE_PTR

K = GFP_KERNEL


@pytest.fixture
def bench() -> Bench:
    return Bench()


NOTHING: Seen = (0, -1, -1, -1, DONE)
SKIP: Seen = (0, -1, -1, -1, SKIPPED)
PAGE_2 = BASE + PAGE_SIZE


def test_a_correct_target_is_seen_to_be_so(bench: Bench) -> None:
    script = """
        a = kmalloc(100, GFP_KERNEL)
        b = kcalloc(4, 25, GFP_KERNEL)
        a = krealloc(a, 300, GFP_KERNEL)
        c = get_zeroed_page(GFP_KERNEL)
        check(a); ksize(a); kfree(a); kfree(b); free_pages(c, 0)
    """
    assert bench.run(script) == [
        (BASE, PAGE_SIZE, -1, -1, DONE),
        (PAGE_2, PAGE_SIZE, -1, -1, DONE),
        (BASE, PAGE_SIZE, -1, -1, DONE),
        (PAGE_2 + PAGE_SIZE, -1, -1, -1, DONE),
        NOTHING,
        (PAGE_SIZE, -1, -1, -1, DONE),
        NOTHING,
        NOTHING,
        NOTHING,
    ]
    assert bench.toy.calls[-3:] == [("kfree", BASE), ("kfree", PAGE_2), ("free_pages", PAGE_2 + PAGE_SIZE, 0)]


def test_what_it_gets_is_filled_with_a_pattern_of_its_id_over_the_bytes_asked_for(bench: Bench) -> None:
    bench.run("a = kmalloc(100, GFP_KERNEL)\nb = __get_free_pages(GFP_KERNEL, 1)")
    assert bench.arena.read(BASE, 101) == PATTERN[phase(1) : phase(1) + 100] + b"\xee"
    assert bench.arena.read(PAGE_2, 2 * PAGE_SIZE) == PATTERN[phase(2) : phase(2) + 2 * PAGE_SIZE]
    assert PATTERN[phase(1) : phase(1) + 8] != PATTERN[phase(2) : phase(2) + 8]
    assert 0 not in PATTERN


@pytest.mark.parametrize(
    "call",
    ["kzalloc(100, GFP_KERNEL)", "kcalloc(10, 10, GFP_KERNEL)", "kmalloc(100, GFP_KERNEL | __GFP_ZERO)"],
)
def test_a_byte_that_is_not_zero_is_seen_among_those_promised(bench: Bench, call: str) -> None:
    def dirty(at: int) -> Callable[..., int]:
        def make(*args: int) -> int:
            start = bench.toy.kmalloc(100, ZERO)
            bench.spoil(start, at)
            return start

        return make

    for offset, seen in ((0, 0), (99, 99), (100, -1)):
        bench.replace(kzalloc=dirty(offset), kcalloc=dirty(offset), kmalloc=dirty(offset))
        bench.toy.next = BASE
        assert bench.last(f"a = {call}") == (BASE, PAGE_SIZE, seen, -1, DONE)


def test_zeroes_are_not_looked_for_where_none_are_promised(bench: Bench) -> None:
    assert bench.last("a = kmalloc(100, GFP_KERNEL)")[2] == -1
    assert bench.last("a = __get_free_pages(GFP_KERNEL, 0)")[2] == -1
    bench.replace(__get_free_pages=lambda gfp, order: bench.toy.kmalloc(PAGE_SIZE << order, 0))
    assert bench.last("a = __get_free_pages(GFP_KERNEL | __GFP_ZERO, 2)")[2] == 0


def test_a_changed_object_is_seen_before_it_is_freed_or_resized_and_the_call_is_not_made(
    bench: Bench,
) -> None:
    for call in ("kfree(a)", "a = krealloc(a, 300, GFP_KERNEL)"):
        bench.run("a = kmalloc(100, GFP_KERNEL)")
        start = bench.toy.next - PAGE_SIZE
        bench.spoil(start, 99)
        made = len(bench.toy.calls)
        assert bench.run(call) == [(1, -1, -1, 99, SPOILT)]
        assert len(bench.toy.calls) == made
    assert bench.last("check(a)") == (0, -1, -1, 99, DONE)


def test_a_change_beyond_the_request_is_nobodys(bench: Bench) -> None:
    bench.run("a = kmalloc(100, GFP_KERNEL)")
    bench.spoil(BASE, 100)
    assert bench.last("kfree(a)") == NOTHING


def test_a_krealloc_that_loses_contents_is_seen(bench: Bench) -> None:
    def moves(start: int, size: int, gfp: int) -> int:
        new = bench.toy.kmalloc(size, gfp)
        kept = bench.arena.read(start, size)[:90]
        bench.arena.bytes[new - BASE : new - BASE + len(kept)] = kept
        return new

    bench.replace(krealloc=moves)
    assert bench.last("a = kmalloc(100, GFP_KERNEL); a = krealloc(a, 200, GFP_KERNEL)") == (
        PAGE_2,
        PAGE_SIZE,
        -1,
        90,
        DONE,
    )
    assert bench.last("a = kmalloc(100, GFP_KERNEL); a = krealloc(a, 80, GFP_KERNEL)")[3] == -1


def test_a_krealloc_that_fails_is_looked_at_in_its_old_place(bench: Bench) -> None:
    def fails(start: int, _size: int, _gfp: int) -> int:
        bench.spoil(start, 7)
        return 0

    bench.run("a = kmalloc(100, GFP_KERNEL)")
    ops = [Op("krealloc", 1, (1, 200, K))]
    functions = bench.functions
    functions["krealloc"] = lambda *_: 0
    assert bench.run(ops) == [NOTHING]
    functions["krealloc"] = fails
    assert bench.run(ops) == [(0, -1, -1, 7, DONE)]


def test_a_krealloc_to_nothing_ends_the_object(bench: Bench) -> None:
    seen = bench.run("a = kmalloc(100, GFP_KERNEL); a = krealloc(a, 0, GFP_KERNEL); check(a); kfree(a)")
    assert seen[1:] == [(ZERO_SIZE_PTR, -1, -1, -1, DONE), NOTHING, NOTHING]
    assert bench.toy.calls[-1] == ("kfree", ZERO_SIZE_PTR)


def test_a_resize_under_another_name_ends_the_old_name(bench: Bench) -> None:
    seen = bench.run("a = kmalloc(8, GFP_KERNEL); b = krealloc(a, 9, GFP_KERNEL); kfree(a); kfree(b)")
    assert seen[1:] == [(BASE, PAGE_SIZE, -1, -1, DONE), SKIP, NOTHING]


@pytest.mark.parametrize(
    ("steps", "seen"),
    [
        ("a = kzalloc(10, GFP_KERNEL); a = krealloc(a, 20, GFP_KERNEL | __GFP_ZERO)", 10),
        ("a = kzalloc(10, GFP_KERNEL); a = krealloc(a, 20, GFP_KERNEL)", -1),
        ("a = kmalloc(10, GFP_KERNEL); a = krealloc(a, 20, GFP_KERNEL | __GFP_ZERO)", -1),
        (
            "a = kzalloc(10, GFP_KERNEL); a = krealloc(a, 5, GFP_KERNEL | __GFP_ZERO);"
            "a = krealloc(a, 20, GFP_KERNEL | __GFP_ZERO)",
            10,
        ),
        (
            "a = kzalloc(10, GFP_KERNEL); a = krealloc(a, 5, GFP_KERNEL);"
            "a = krealloc(a, 20, GFP_KERNEL | __GFP_ZERO)",
            -1,
        ),
        (
            "a = krealloc(NULL, 10, GFP_KERNEL | __GFP_ZERO); a = krealloc(a, 20, GFP_KERNEL | __GFP_ZERO)",
            10,
        ),
        (
            "a = kmalloc(0, GFP_KERNEL); a = krealloc(a, 10, GFP_KERNEL | __GFP_ZERO);"
            "a = krealloc(a, 20, GFP_KERNEL | __GFP_ZERO)",
            10,
        ),
    ],
)
def test_a_grown_object_is_looked_at_where_zeroes_are_due(bench: Bench, steps: str, seen: int) -> None:
    assert bench.last(steps)[2] == seen


def test_among_dirty_bytes_those_that_no_user_wrote_count_first(bench: Bench) -> None:
    shrunk = "a = kzalloc(10, GFP_KERNEL); a = krealloc(a, 5, GFP_KERNEL | __GFP_ZERO);"
    bench.run(shrunk)
    bench.arena.bytes[10:20] = bytes(10)  # only what the driver itself wrote is left
    assert bench.last("a = krealloc(a, 20, GFP_KERNEL | __GFP_ZERO)")[2] == 5


@pytest.mark.parametrize("pointer", ["NULL", "ZERO_SIZE_PTR", "a"])
def test_a_krealloc_of_nothing_is_a_new_object(bench: Bench, pointer: str) -> None:
    bench.functions["krealloc"] = lambda start, size, gfp: bench.toy.kmalloc(size, 0)
    bench.run("a = kmalloc(0, GFP_KERNEL)")
    (seen,) = bench.run(
        [Op("krealloc", 1, ({"NULL": ID_NULL, "ZERO_SIZE_PTR": ID_ZERO_SIZE, "a": 1}[pointer], 64, K | ZERO))]
    )
    assert seen == (BASE, PAGE_SIZE, 0, -1, DONE)


def test_special_pointers_are_handed_over_as_they_are(bench: Bench) -> None:
    script = "kfree(NULL); kfree(ZERO_SIZE_PTR); free_pages(NULL, 3); a = krealloc(ZERO_SIZE_PTR, 0, 0)"
    assert bench.run(script) == [NOTHING, NOTHING, NOTHING, (ZERO_SIZE_PTR, -1, -1, -1, DONE)]
    assert bench.toy.calls == [
        ("kfree", 0),
        ("kfree", ZERO_SIZE_PTR),
        ("free_pages", 0, 3),
        ("krealloc", ZERO_SIZE_PTR, 0, 0),
        ("kmalloc", 0, 0),
    ]
    assert bench.run("ksize(NULL); ksize(ZERO_SIZE_PTR)") == [NOTHING, NOTHING]


def test_a_call_on_what_does_not_live_is_skipped(bench: Bench) -> None:
    script = "kfree(a); a = krealloc(a, 8, GFP_KERNEL); ksize(a); check(a); free_pages(a, 0)"
    assert bench.run(script) == [SKIP] * 5
    assert bench.toy.calls == []


def test_a_failed_request_leaves_the_name_as_it_was(bench: Bench) -> None:
    seen = bench.run(f"a = kmalloc(8, GFP_KERNEL); a = kmalloc({ARENA + 1}, GFP_KERNEL); kfree(a); kfree(a)")
    assert seen[1:] == [NOTHING, NOTHING, SKIP]


def test_what_cannot_be_memory_is_not_touched(bench: Bench) -> None:
    for start in (1, BASE - 8, BASE + ARENA - 99, SIZE_MAX - 11):
        bench.replace(kmalloc=lambda size, gfp, start=start: start)
        assert bench.last("a = kmalloc(100, GFP_KERNEL | __GFP_ZERO)") == (start, -1, -1, -1, DONE)
        assert bench.last("kfree(a)") == NOTHING


def test_more_than_is_ever_asked_for_is_not_touched(bench: Bench) -> None:
    whole = bytes(bench.arena.bytes)
    assert bench.last(f"a = kmalloc({BIGGEST + 1}, GFP_KERNEL)")[:2] == (BASE, -1)
    bench.replace(__get_free_pages=lambda gfp, order: BASE, kcalloc=lambda n, size, gfp: BASE)
    assert bench.last("b = __get_free_pages(GFP_KERNEL, 2**32 - 1)")[:2] == (BASE, -1)
    assert bench.last("c = kcalloc(2**63, 2**63, GFP_KERNEL)")[:2] == (BASE, -1)
    assert bytes(bench.arena.bytes) == whole


def test_without_ksize_nothing_is_said_of_usable_bytes(bench: Bench) -> None:
    bench.without("ksize")
    assert (
        bench.run("a = kmalloc(8, GFP_KERNEL); a = krealloc(a, 9, GFP_KERNEL)")
        == [(BASE, -1, -1, -1, DONE)] * 2
    )


def test_the_header_says_which_call_is_in_hand_and_what_is_done_with_it(bench: Bench) -> None:
    words: list[tuple[int, ...]] = []
    arena = bench.arena
    plain = arena.fill

    def kmalloc(size: int, gfp: int) -> int:
        words.append(HEADER.unpack_from(bench.memory))
        return bench.toy.kmalloc(size, gfp)

    def fill(start: int, length: int, identifier: int) -> None:
        words.append(HEADER.unpack_from(bench.memory))
        plain(start, length, identifier)

    bench.replace(kmalloc=kmalloc)
    arena.fill = fill  # type: ignore[method-assign]  # to look on
    bench.run("kfree(NULL); a = kmalloc(8, GFP_KERNEL)")
    assert words == [(1, CALLING, HEADER.size), (1, TOUCHING, HEADER.size)]


def test_every_array_call_and_every_kind_of_page_is_filled_and_freed(bench: Bench) -> None:
    script = """
        a = kmalloc_array(4, 25, GFP_KERNEL); a = krealloc_array(a, 5, 25, GFP_KERNEL); kfree_sensitive(a)
        b = kvmalloc(100, GFP_KERNEL); b = kvrealloc(b, 200, GFP_KERNEL); kvfree(b)
        c = vmalloc(5000); vfree(c); d = vmalloc_array(2, 3000); vfree(d)
        e = __vmalloc(10, GFP_KERNEL); vfree(e)
        f = alloc_pages(GFP_KERNEL, 1); __free_pages(f, 1)
        g = alloc_pages_exact(5000, GFP_KERNEL); free_pages_exact(g, 5000)
    """
    seen = bench.run(script)
    assert {record[2:] for record in seen} == {(-1, -1, DONE)}
    measured = [usable for result, usable, *_ in seen if result]
    assert measured == [PAGE_SIZE, PAGE_SIZE] + [-1] * 7
    names = [call[0] for call in bench.toy.calls if call[0] not in {"kmalloc", "krealloc"}]
    assert names == [
        "kfree_sensitive",
        "kvfree",
        "vfree",
        "vfree",
        "vfree",
        "__free_pages",
        "free_pages_exact",
    ]


@pytest.mark.parametrize(
    "call",
    [
        "vzalloc(100)",
        "vmalloc_user(100)",
        "vcalloc(10, 10)",
        "kvzalloc(100, GFP_KERNEL)",
        "kvcalloc(5, 20, GFP_KERNEL)",
        "__vmalloc(100, GFP_KERNEL | __GFP_ZERO)",
    ],
)
def test_areas_are_looked_at_for_zeroes(bench: Bench, call: str) -> None:
    name = call.split("(")[0]
    assert bench.last(f"a = {call}")[2] == -1
    plain = bench.functions[name]

    def dirty(*args: int) -> int:
        start = plain(*args)
        assert isinstance(start, int)
        bench.spoil(start, 98)
        return start

    bench.replace(**{name: dirty})
    assert bench.last(f"a = {call}")[2] == 98


def test_a_resize_of_an_array_asks_for_its_product(bench: Bench) -> None:
    grown = "a = kmalloc(8, GFP_KERNEL); a = krealloc_array(a, 3, 100, GFP_KERNEL)"
    assert bench.last(grown) == (BASE, PAGE_SIZE, -1, -1, DONE)
    assert bench.arena.read(BASE, 301) == PATTERN[phase(1) : phase(1) + 300] + b"\xee"
    bench.replace(krealloc_array=lambda *_: 0)
    assert (
        bench.last("a = kmalloc(8, GFP_KERNEL); a = krealloc_array(a, 2**40, 2**40, GFP_KERNEL)") == NOTHING
    )


def test_null_for_no_size_says_that_an_area_is_freed_and_nothing_of_an_object(bench: Bench) -> None:
    for call in ("vrealloc", "kvrealloc", "krealloc"):
        bench.replace(**{call: lambda *_: 0})
        seen = bench.run(f"a = vmalloc(8); a = {call}(a, 0, GFP_KERNEL); check(a)")
        assert seen[1:] == [NOTHING, NOTHING if call == "krealloc" else SKIP]


def test_an_area_that_is_given_back_for_no_size_lives_on(bench: Bench) -> None:
    bench.replace(kvrealloc=lambda start, *_: start)
    seen = bench.run("a = kvmalloc(8, GFP_KERNEL); a = kvrealloc(a, 0, GFP_KERNEL); check(a); kvfree(a)")
    assert seen[1:] == [(BASE, -1, -1, -1, DONE), NOTHING, NOTHING]
    assert bench.toy.calls[-1] == ("kvfree", BASE)


def test_an_object_of_a_cache_that_is_resized_is_the_caches_no_more(bench: Bench) -> None:
    seen = bench.run("""
        c = kmem_cache_create("c", 40, 0, 0, NULL); a = kmem_cache_alloc(c, GFP_KERNEL)
        a = krealloc(a, 50, GFP_KERNEL); kmem_cache_destroy(c); check(a)
    """)
    assert seen[2:] == [(BASE, PAGE_SIZE, -1, -1, DONE), NOTHING, NOTHING]


def test_each_object_of_a_bulk_free_is_compared_before_any_is_freed(bench: Bench) -> None:
    made = "repeat 3 { a[i] = kmalloc(100, GFP_KERNEL) }"
    assert bench.last(f"{made}; kfree_bulk(3, a)") == NOTHING
    assert bench.toy.calls[-1] == ("kfree_bulk", 3, [BASE, PAGE_2, PAGE_2 + PAGE_SIZE])
    assert bench.last("repeat 3 { a[i] = kmalloc(100, GFP_KERNEL) }; kfree(a[1]); kfree_bulk(3, a)") == SKIP
    ids = sorted({op.out for op in bench.records(made)[0]})
    bench.spoil(bench.driver.held[ids[1]].start, 7)
    made_calls = len(bench.toy.calls)
    assert bench.run([Op("kfree_bulk", 0, (3, ids[0]))]) == [(ids[1], -1, -1, 7, SPOILT)]
    assert len(bench.toy.calls) == made_calls
    assert bench.run([Op("kfree_bulk", 0, (0, ids[0]))]) == [NOTHING]
    assert bench.toy.calls[-1] == ("kfree_bulk", 0, [])


def test_functions_of_numbers_are_handed_over_and_what_is_negative_fits_the_record(bench: Bench) -> None:
    assert bench.run("kmalloc_size_roundup(100); get_order(5000); fail_nth(3); preempt_disable()") == [
        (PAGE_SIZE, -1, -1, -1, DONE),
        (1, -1, -1, -1, DONE),
        NOTHING,
        NOTHING,
    ]
    assert bench.toy.calls == [("fail_nth", 3), ("preempt_disable",)]
    bench.replace(get_order=lambda size: -1)
    assert bench.last("get_order(0)") == (SIZE_MAX, -1, -1, -1, DONE)


def test_a_pool_needs_the_calls_that_its_elements_are_from(bench: Bench) -> None:
    assert set(runnable(bench.functions)) == set(bench.functions)
    for api in ("kmalloc", "kfree"):
        left = {name: call for name, call in bench.functions.items() if name != api}
        assert set(runnable(left)) == set(left) - {"mempool_create"}
    assert runnable({"malloc": bench.toy.kmalloc}) == []


# Copies.


def test_a_copy_is_compared_with_what_it_was_made_of_and_then_filled(bench: Bench) -> None:
    for call in ("kmemdup(a, 60, GFP_KERNEL)", "kstrdup(a, GFP_KERNEL)", "kstrndup(a, 10, GFP_KERNEL)"):
        seen = bench.run(f"a = kmalloc(100, GFP_KERNEL); b = {call}; check(a); check(b); kfree(a); kfree(b)")
        start = seen[1][0]
        assert seen[1:] == [(start, PAGE_SIZE, -1, -1, DONE), NOTHING, NOTHING, NOTHING, NOTHING], call
        size = {"kmemdup": 60, "kstrdup": 100, "kstrndup": 11}[call.split("(")[0]]
        assert bench.arena.read(start, size) == PATTERN[phase(2) : phase(2) + size]


@pytest.mark.parametrize(
    ("call", "wrong", "seen"),
    [
        ("kmemdup(a, 60, GFP_KERNEL)", 59, 59),
        ("kmemdup(a, 60, GFP_KERNEL | __GFP_ZERO)", 60, -1),
        ("kmemdup(a, 200, GFP_KERNEL)", 100, -1),
        ("kstrdup(a, GFP_KERNEL)", 98, 98),
        ("kstrdup(a, GFP_KERNEL)", 99, 99),
        ("kstrdup(a, GFP_KERNEL)", 100, -1),
        ("kstrndup(a, 10, GFP_KERNEL)", 9, 9),
        ("kstrndup(a, 10, GFP_KERNEL)", 10, 10),
        ("kstrndup(a, 10, GFP_KERNEL)", 11, -1),
        ("kstrndup(a, 1000, GFP_KERNEL)", 99, 99),
    ],
)
def test_the_first_byte_that_was_copied_wrongly_is_seen(
    bench: Bench, call: str, wrong: int, seen: int
) -> None:
    name = call.split("(")[0]
    plain = bench.functions[name]

    def copy(*args: int) -> int:
        start = plain(*args)
        assert isinstance(start, int)
        bench.spoil(start, wrong)
        return start

    bench.replace(**{name: copy})
    assert bench.last(f"a = kmalloc(100, GFP_KERNEL); b = {call}")[2:] == (-1, seen, DONE)


def test_a_source_that_has_changed_is_seen_and_not_copied(bench: Bench) -> None:
    for op in (Op("kmemdup", 2, (1, 60, K)), Op("kstrdup", 2, (1, K)), Op("kstrndup", 2, (1, 9, K))):
        bench.run("a = kmalloc(100, GFP_KERNEL)")
        bench.spoil(bench.driver.held[1].start, 5)
        made = len(bench.toy.calls)
        assert bench.run([op]) == [(1, -1, -1, 5, SPOILT)]
        assert len(bench.toy.calls) == made


def test_copies_of_nothing_are_asked_for_as_they_are(bench: Bench) -> None:
    assert bench.run("a = kstrdup(NULL, GFP_KERNEL); b = kmemdup(ZERO_SIZE_PTR, 0, GFP_KERNEL)") == [
        NOTHING,
        (ZERO_SIZE_PTR, -1, -1, -1, DONE),
    ]
    assert bench.run("a = kstrdup(b, GFP_KERNEL); a = kmemdup(b, 8, GFP_KERNEL)") == [SKIP, SKIP]


def test_what_the_driver_did_not_touch_is_not_copied(bench: Bench) -> None:
    big = f"a = kmalloc({BIGGEST + 1}, GFP_KERNEL)"
    for call in ("kmemdup(a, 60, GFP_KERNEL)", "kstrdup(a, GFP_KERNEL)"):
        assert bench.last(f"{big}; b = {call}") == SKIP
    bench.replace(kmemdup=lambda *_: 24, kstrdup=lambda *_: 24)
    for call in ("kmemdup(a, 60, GFP_KERNEL)", "kstrdup(a, GFP_KERNEL)"):
        assert bench.last(f"a = kmalloc(100, GFP_KERNEL); b = {call}") == (24, -1, -1, -1, DONE)


# Access to memory.


@pytest.fixture(params=["native", "model"])
def place(request: pytest.FixtureRequest) -> tuple[Access, int, object]:
    """Return an access, the start of 9 MiB that may be used, and what keeps them alive."""
    size = 2 * LARGEST + PAGE_SIZE
    if request.param == "native":
        buffer = (ctypes.c_ubyte * size)()
        return Native(), ctypes.addressof(buffer), buffer
    model = open_model()
    start = model.functions["__get_free_pages"](K, 10)
    assert isinstance(start, int)
    assert start
    return model.access, start, model


def test_what_was_filled_is_unchanged_until_a_byte_is(place: tuple[Access, int, object]) -> None:
    access, start, _ = place
    for length in (0, 1, 100, LARGEST):
        access.fill(start, length, 3)
        assert access.changed(start, length, 3) == -1
    access.fill(start + 70, 1, 4)
    assert access.changed(start, 100, 3) == 70
    assert access.changed(start, 70, 3) == -1
    assert access.changed(start, 0, 3) == -1


def test_the_first_byte_that_is_not_zero_is_found(place: tuple[Access, int, object]) -> None:
    access, start, _ = place
    access.fill(start, 100, 3)
    assert access.nonzero(start, 0, 100) == 0
    assert access.nonzero(start, 99, 200) == 99
    assert access.nonzero(start, 40, 40) == -1


def test_bytes_are_read_as_they_were_written(place: tuple[Access, int, object]) -> None:
    access, start, _ = place
    access.fill(start, 100, 3)
    access.write(start + 50, b"\0four")
    assert access.read(start + 49, 7)[1:6] == b"\0four"
    assert access.changed(start, 100, 3) == 50


def test_native_memory_beyond_what_is_compared_at_once() -> None:
    size = 2 * LARGEST + 100
    buffer = (ctypes.c_ubyte * size)()
    start = ctypes.addressof(buffer)
    native = Native()
    assert native.nonzero(start, 0, size) == -1
    buffer[LARGEST + 5] = 1
    assert native.nonzero(start, 0, size) == LARGEST + 5
    native.fill(start, size, 9)
    assert native.changed(start, size, 9) == -1
    buffer[2 * LARGEST + 50] ^= 1
    assert native.changed(start, size, 9) == 2 * LARGEST + 50


def test_only_user_addresses_and_only_the_direct_map_can_be_reached() -> None:
    native = Native()
    assert native.reachable(1 << 20, 4096)
    for start in (0, 16, (1 << 47) - 8, SIZE_MAX - 11):
        assert not native.reachable(start, 64)
    model = open_model().access
    assert isinstance(model, ModelMemory)
    assert not model.reachable(1 << 20, 4096)
    assert model.reachable(VMALLOC_START, 4096)
    assert not model.reachable(VMALLOC_END, 4096)


def test_an_area_of_the_model_beyond_what_is_compared_at_once() -> None:
    model = open_model()
    size = LARGEST + 3 * PAGE_SIZE
    start = model.functions["vmalloc"](size)
    assert isinstance(start, int)
    model.access.fill(start, size, 9)
    assert model.access.changed(start, size, 9) == -1
    model.access.write(start + LARGEST + 70, b"\0")
    assert model.access.changed(start, size, 9) == LARGEST + 70


def test_the_model_tells_when_it_sleeps() -> None:
    model = open_model()
    assert model.watch is not None
    slept: list[bool] = []
    model.functions["kmalloc"](8, K)
    block = model.functions["__get_free_pages"]
    while block(K & ~DIRECT_RECLAIM, 10):
        assert slept == []
    block(K, 10)
    model.watch(lambda: slept.append(True))
    block(K & ~DIRECT_RECLAIM, 10)
    assert slept == []
    block(K, 10)
    assert slept == [True]


@pytest.mark.parametrize("length", [1, 2, 7, 64])
def test_the_first_difference(length: int) -> None:
    one = bytes(length)
    assert first_difference(one, one) == -1
    for index in range(length):
        other = bytearray(one)
        other[index:] = b"\x01" * (length - index)
        assert first_difference(one, bytes(other)) == index


def test_the_model_answers_null_for_the_callers_mistakes_and_lets_its_own_through() -> None:
    model = open_model()
    assert model.profile == "linux-6.1"
    assert model.functions["kfree"](12345 << 12) == 0
    assert model.functions["kmalloc"](8, 0x5) == 0


def test_a_refusal_that_is_no_callers_mistake_ends_the_model() -> None:
    def broken() -> int:
        raise Refused("PAGE-WHOLE")

    with pytest.raises(Refused, match="PAGE-WHOLE"):
        Sleeper(Kernel(1 << 26)).lenient(broken)()
