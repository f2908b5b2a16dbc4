"""Scripts as people read them: names, masks, sizes, and what repeats."""

from __future__ import annotations

import pytest
from tests.cover.short import K, kf, km

from kmem_oracle.language.labels import LETTERS
from kmem_oracle.language.render import lines_of
from kmem_oracle.language.rounds import (
    FEWEST_ROUNDS,
    LONGEST_PATTERN,
    Round,
    ids_of,
    in_order,
    made_by,
    parts_of,
    renumbered,
    taken_by,
)
from kmem_oracle.language.script import ID_NULL, ID_ZERO_SIZE, Op, parse
from kmem_spec.gfp import GFP_ATOMIC, NAMES, ZERO
from kmem_spec.units import SIZE_MAX


def only_line(op: Op, version: str = "6.1") -> str:
    (line,) = lines_of([op], NAMES[version])
    return line


def test_nothing_is_no_line() -> None:
    assert lines_of([]) == []


@pytest.mark.parametrize(
    ("op", "line"),
    [
        (km(7), "a = kmalloc(64, GFP_KERNEL)"),
        (Op("kcalloc", 1, (3, 8, K)), "a = kcalloc(3, 8, GFP_KERNEL)"),
        (Op("krealloc", 1, (1, 8, K)), "a = krealloc(a, 8, GFP_KERNEL)"),
        (Op("krealloc", 2, (1, 8, K)), "a = krealloc(b, 8, GFP_KERNEL)"),
        (Op("krealloc", 2, (ID_NULL, 8, K)), "a = krealloc(NULL, 8, GFP_KERNEL)"),
        (kf(ID_NULL), "kfree(NULL)"),
        (kf(ID_ZERO_SIZE), "kfree(ZERO_SIZE_PTR)"),
        (Op("__get_free_pages", 1, (K, 3)), "a = __get_free_pages(GFP_KERNEL, 3)"),
        (Op("free_pages", 0, (5, 3)), "free_pages(a, 3)"),
        (Op("check", 0, (5,)), "check(a)"),
        (
            Op("kmem_cache_create", 3, (1, 40, 8, 0x2400, 1)),
            'cache = kmem_cache_create("c3", 40, 8, SLAB_RED_ZONE | SLAB_HWCACHE_ALIGN, ctor)',
        ),
        (
            Op("kmem_cache_create", 3, (0, 40, 8, 0x80000000, 0)),
            "cache = kmem_cache_create(NULL, 40, 8, 0x80000000, NULL)",
        ),
        (
            Op("kmem_cache_create_26", 3, (1, 40, 0, 0, 1, 1)),
            'cache = kmem_cache_create_26("c3", 40, 0, 0, ctor, dtor)',
        ),
        (Op("kmem_cache_alloc", 3, (1, K)), "a = kmem_cache_alloc(cache, GFP_KERNEL)"),
        (Op("kmem_cache_free", 0, (1, 3)), "kmem_cache_free(cache, a)"),
        (Op("kmem_cache_destroy", 0, (0,)), "kmem_cache_destroy(NULL)"),
        (Op("kmem_cache_alloc_bulk", 5, (1, K, 16, 0)), "kmem_cache_alloc_bulk(cache, GFP_KERNEL, 16, a)"),
        (Op("kmem_cache_alloc_bulk", 5, (1, K, 0, 0)), "kmem_cache_alloc_bulk(cache, GFP_KERNEL, 0, a)"),
        (Op("kmem_cache_free_bulk", 0, (1, 16, 5)), "kmem_cache_free_bulk(cache, 16, a)"),
        (Op("kfree_bulk", 0, (0, 0)), "kfree_bulk(0, NULL)"),
        (Op("alloc_pages_bulk", 5, (K, 4, 0)), "alloc_pages_bulk(GFP_KERNEL, 4, a)"),
        (Op("split_page", 5, (1, 2)), "a = split_page(b, 2)"),
        (Op("vmap", 5, (1, 2, 4, 0)), "a = vmap(b, 2, VM_MAP, PAGE_KERNEL)"),
        (Op("vmap", 5, (1, 2, 6, 0x63)), "a = vmap(b, 2, VM_MAP | 0x2, 0x63)"),
        (Op("vmap", 5, (1, 2, 0, 0)), "a = vmap(b, 2, 0, PAGE_KERNEL)"),
        (Op("vmalloc_to_page", 0, (5, 4096)), "vmalloc_to_page(a + 4096)"),
        (Op("is_vmalloc_addr", 0, (5, 0)), "is_vmalloc_addr(a)"),
        (Op("is_vmalloc_addr", 0, (0, SIZE_MAX)), "is_vmalloc_addr(NULL + 2**64 - 1)"),
        (
            Op("mempool_create", 5, (4, 1, 1, 64)),
            "pool = mempool_create(4, mempool_alloc_kmalloc, mempool_free_kmalloc, 64)",
        ),
        (Op("mempool_create_slab_pool", 5, (4, 1)), "pool = mempool_create_slab_pool(4, cache)"),
        (Op("mempool_alloc", 5, (1, K)), "a = mempool_alloc(pool, GFP_KERNEL)"),
        (Op("mempool_free", 0, (5, 1)), "mempool_free(a, pool)"),
        (Op("mempool_fail", 0, (1, 1)), "mempool_fail(pool, 1)"),
        (Op("kstrndup", 5, (1, 10, K)), "a = kstrndup(b, 10, GFP_KERNEL)"),
        (Op("preempt_disable", 0, ()), "preempt_disable()"),
    ],
)
def test_a_call_is_written_as_in_c(op: Op, line: str) -> None:
    assert only_line(op) == line


@pytest.mark.parametrize(
    ("mask", "version", "shown"),
    [
        (0, "6.1", "0"),
        (K | ZERO, "6.1", "GFP_KERNEL | __GFP_ZERO"),
        (GFP_ATOMIC, "6.1", "GFP_ATOMIC"),
        (0x820, "6.12", "GFP_ATOMIC"),
        (1 << 31, "6.1", "0x80000000"),
        (K | 1 << 31, "6.1", "GFP_KERNEL | 0x80000000"),
    ],
)
def test_a_mask_is_written_by_its_names(mask: int, version: str, shown: str) -> None:
    assert only_line(km(1, 64, mask), version) == f"a = kmalloc(64, {shown})"


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        (0, "0"),
        (4096, "4096"),
        ((1 << 22) + 1, "4194305"),
        (1 << 32, "2**32"),
        ((1 << 32) + 1, "2**32 + 1"),
        ((1 << 63) - 1, "2**63 - 1"),
        (SIZE_MAX, "2**64 - 1"),
        (SIZE_MAX - 1, str(SIZE_MAX - 1)),
    ],
)
def test_a_size_near_a_large_power_of_two_is_written_by_its_exponent(size: int, shown: str) -> None:
    assert only_line(km(1, size)) == f"a = kmalloc({shown}, GFP_KERNEL)"


def test_names_are_letters_without_i_then_numbered() -> None:
    ops = [Op("krealloc", k + 1, (k + 1, k * k, K)) for k in range(2 * len(LETTERS) + 1)]
    names = [line.partition(" ")[0] for line in lines_of(ops)]
    assert names[:3] == ["a", "b", "c"]
    assert names[len(LETTERS) - 1 : len(LETTERS) + 2] == ["z", "a1", "b1"]
    assert "i" not in names
    assert names[-1] == "a2"


def test_caches_and_pools_have_names_that_say_so() -> None:
    ops = [
        Op("kmem_cache_create", 4, (1, 8, 0, 0, 0)),
        Op("kmem_cache_create", 9, (1, 8, 0, 0, 0)),
        Op("mempool_create_slab_pool", 2, (1, 9)),
        Op("mempool_create_slab_pool", 3, (1, 4)),
    ]
    assert [line.partition(" ")[0] for line in lines_of(ops)] == ["cache", "cache1", "pool", "pool1"]
    assert lines_of(ops)[2] == "pool = mempool_create_slab_pool(1, cache1)"


def test_objects_of_an_array_are_named_by_their_place() -> None:
    ops = [
        Op("kmem_cache_alloc_bulk", 10, (1, K, 16, 0)),
        Op("kmem_cache_free", 0, (1, 12)),
        Op("kmem_cache_free_bulk", 0, (1, 4, 20)),
        Op("split_page", 40, (39, 1)),
        Op("split_page", 42, (38, 1)),
        Op("vmap", 50, (40, 4, 4, 0)),
        Op("split_page", 8, (9, 1)),
    ]
    assert lines_of(ops) == [
        "kmem_cache_alloc_bulk(cache, GFP_KERNEL, 16, a)",
        "kmem_cache_free(cache, a[2])",
        "kmem_cache_free_bulk(cache, 4, a + 10)",
        "b = split_page(c, 1)",
        "b[2] = split_page(d, 1)",
        "e = vmap(b, 4, VM_MAP, PAGE_KERNEL)",
        "f = split_page(f[1], 1)",
    ]


def bulk(out: int, count: int = 4) -> Op:
    return Op("kmem_cache_alloc_bulk", out, (99, K, count, 0))


def unbulk(first: int, count: int = 4) -> Op:
    return Op("kmem_cache_free_bulk", 0, (99, count, first))


def test_an_array_of_its_round_alone_needs_no_number() -> None:
    ops = [op for k in range(1, 21, 4) for op in (bulk(k), Op("check", 0, (k + 1,)), unbulk(k))]
    assert lines_of(ops) == [
        "repeat 5 {",
        "  kmem_cache_alloc_bulk(cache, GFP_KERNEL, 4, a)",
        "  check(a[1])",
        "  kmem_cache_free_bulk(cache, 4, a) }",
    ]


def test_arrays_that_outlive_their_round_are_parts_of_a_larger_one() -> None:
    firsts = range(1, 21, 4)
    ops = [*map(bulk, firsts), *map(unbulk, reversed(firsts))]
    assert lines_of(ops) == [
        "repeat 5 {",
        "  kmem_cache_alloc_bulk(cache, GFP_KERNEL, 4, a + 4 * i) }",
        "repeat 5 {",
        "  kmem_cache_free_bulk(cache, 4, a + 16 - 4 * i) }",
    ]
    assert len(lines_of([*map(bulk, firsts), unbulk(5)])) == 3


def test_objects_made_one_by_one_are_freed_together() -> None:
    ops = [*(km(k) for k in range(1, 65)), Op("kfree_bulk", 0, (64, 1))]
    assert lines_of(ops) == ["repeat 64 {", "  a[i] = kmalloc(64, GFP_KERNEL) }", "kfree_bulk(64, a)"]


def test_a_cache_of_its_round_alone_needs_no_number() -> None:
    ops = [
        op
        for k in range(1, 7, 2)
        for op in (
            Op("kmem_cache_create", k, (1, 8, 0, 0, 0)),
            Op("kmem_cache_alloc", k + 1, (k, K)),
            Op("kmem_cache_free", 0, (k, k + 1)),
            Op("kmem_cache_destroy", 0, (k,)),
        )
    ]
    assert lines_of(ops) == [
        "repeat 3 {",
        '  cache = kmem_cache_create("c1", 8, 0, 0, NULL)',
        "  a = kmem_cache_alloc(cache, GFP_KERNEL)",
        "  kmem_cache_free(cache, a)",
        "  kmem_cache_destroy(cache) }",
    ]


def test_what_a_call_makes_and_takes() -> None:
    assert made_by(bulk(5, 3)) == range(5, 8)
    assert made_by(Op("split_page", 5, (1, 2))) == range(5, 9)
    assert made_by(Op("vmap", 5, (1, 2, 4, 0))) == range(5, 6)
    assert list(made_by(kf(1))) == []
    assert taken_by(unbulk(5, 3)) == [range(99, 100), range(5, 8)]
    assert taken_by(kf(ID_ZERO_SIZE)) == []
    assert ids_of(Op("mempool_free", 0, (3, 4))) == [0, 3, 4]


def test_twice_is_no_repeat_and_three_times_is() -> None:
    assert FEWEST_ROUNDS == 3
    pair = [km(1), kf(1)]
    assert lines_of(pair * 2) == ["a = kmalloc(64, GFP_KERNEL)", "kfree(a)"] * 2
    assert lines_of(pair * 3) == ["repeat 3 {", "  a = kmalloc(64, GFP_KERNEL)", "  kfree(a) }"]


def test_objects_made_in_a_row_are_numbered_and_freed_in_any_even_order() -> None:
    made = [km(k) for k in range(1, 9)]
    head = ["repeat 8 {", "  a[i] = kmalloc(64, GFP_KERNEL) }"]
    tails = {
        "kfree(a[i])": range(1, 9),
        "kfree(a[7 - i])": range(8, 0, -1),
    }
    for line, order in tails.items():
        assert lines_of([*made, *map(kf, order)]) == [*head, "repeat 8 {", f"  {line} }}"]
    odd_first = [*map(kf, range(1, 9, 2)), *map(kf, range(8, 0, -2))]
    assert lines_of([*made, *odd_first]) == [
        *head,
        "repeat 4 {",
        "  kfree(a[2 * i]) }",
        "repeat 4 {",
        "  kfree(a[7 - 2 * i]) }",
    ]


def test_an_object_of_its_round_alone_needs_no_number() -> None:
    ops = [op for k in range(1, 6) for op in (km(k), kf(k))]
    assert lines_of(ops) == ["repeat 5 {", "  a = kmalloc(64, GFP_KERNEL)", "  kfree(a) }"]


def test_an_object_that_a_round_leaves_behind_keeps_its_number() -> None:
    ops = [op for k in range(1, 6) for op in (km(k), Op("check", 0, (k,)))]
    assert lines_of(ops) == ["repeat 5 {", "  a[i] = kmalloc(64, GFP_KERNEL)", "  check(a[i]) }"]


def test_ids_that_do_not_move_evenly_are_written_out() -> None:
    ops = [km(1), km(2), km(3), kf(3), kf(1), kf(2)]
    assert lines_of(ops)[-3:] == ["kfree(a[2])", "kfree(a[0])", "kfree(a[1])"]


def test_a_long_round_with_the_same_objects_is_a_nested_repeat() -> None:
    one = [*(km(k) for k in range(1, 21)), *(kf(k) for k in range(1, 21))]
    lines = lines_of(one * 10)
    assert lines == [
        "repeat 10 {",
        "  repeat 20 {",
        "    a[i] = kmalloc(64, GFP_KERNEL) }",
        "  repeat 20 {",
        "    kfree(a[i]) } }",
    ]
    assert parse("\n".join(lines)) == one * 10


def test_parts_cover_a_script_without_gap() -> None:
    ops = [
        km(1),
        *[km(2), kf(2)] * 5,
        *(km(k) for k in range(3, 40)),
        *(kf(k) for k in range(39, 2, -1)),
        kf(1),
    ]
    parts = parts_of(ops)
    assert parts[:2] == [Round(0, 1, 1), Round(1, 2, 5)]
    assert [part.start for part in parts] == [0, *(part.end for part in parts[:-1])]
    assert parts[-1].end == len(ops)
    assert all(part.length <= LONGEST_PATTERN for part in parts)


def test_parts_of_a_stretch_stay_within_it() -> None:
    ops = [km(1), kf(1)] * 10
    parts = parts_of(ops, 4, 15)
    assert (parts[0].start, parts[-1].end) == (4, 15)


def test_an_array_goes_on_where_a_later_repeat_makes_more_of_it() -> None:
    ops = [*(km(k) for k in range(1, 5)), kf(4), kf(ID_NULL)]
    ops += [op for k in range(4, 8) for op in (km(k), Op("check", 0, (k,)), Op("ksize", 0, (ID_NULL,)))]
    lines = lines_of(ops)
    assert lines[:3] == ["repeat 4 {", "  a[i] = kmalloc(64, GFP_KERNEL) }", "kfree(a[3])"]
    assert lines[4:6] == ["repeat 4 {", "  a[3 + i] = kmalloc(64, GFP_KERNEL)"]


def test_ids_without_gaps_mean_the_same() -> None:
    ops = [km(7), bulk(20), km(12), kf(7), Op("check", 0, (22,)), kf(ID_ZERO_SIZE), unbulk(20)]
    assert renumbered(ops) == [
        km(1),
        Op("kmem_cache_alloc_bulk", 2, (6, K, 4, 0)),
        km(7),
        kf(1),
        Op("check", 0, (4,)),
        kf(ID_ZERO_SIZE),
        Op("kmem_cache_free_bulk", 0, (6, 4, 2)),
    ]


def test_frees_in_a_row_can_be_put_in_order() -> None:
    ops = [km(1), km(2), km(3), kf(2), kf(3), kf(1), km(4), kf(4)]
    assert in_order(ops, backwards=False)[3:] == [kf(1), kf(2), kf(3), km(4), kf(4)]
    assert in_order(ops, backwards=True)[3:] == [kf(3), kf(2), kf(1), km(4), kf(4)]
