"""The call language: what scripts mean."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.cover.short import K, kf, km

from kmem_oracle.language.expression import MOST_BITS, ScriptError
from kmem_oracle.language.script import ID_NULL, ID_ZERO_SIZE, Op, parse
from kmem_spec.apis import APIS
from kmem_spec.gfp import NAMES, ZERO
from kmem_spec.units import SIZE_MAX

CHAPTER = Path(__file__).parents[2] / "spec" / "script.md"


def size_of(expression: str, **names: int) -> int:
    """Return what an expression is worth, as the size of an object."""
    (op,) = parse(f"a = kmalloc({expression}, 0)", names or NAMES["6.1"])
    return op.args[0]


def test_every_call_has_its_arguments_in_the_kernels_order() -> None:
    text = """
        a = kmalloc(1, 2)
        b = kzalloc(3, 4)
        c = kmalloc_array(5, 6, 7)
        d = kcalloc(8, 9, 10)
        a = krealloc(a, 11, 12)
        kfree(a); ksize(b)
        e = __get_free_pages(13, 14)
        f = get_zeroed_page(15)
        free_pages(e, 14)
        check(f)
    """
    assert parse(text) == [
        Op("kmalloc", 1, (1, 2)),
        Op("kzalloc", 2, (3, 4)),
        Op("kmalloc_array", 3, (5, 6, 7)),
        Op("kcalloc", 4, (8, 9, 10)),
        Op("krealloc", 1, (1, 11, 12)),
        Op("kfree", 0, (1,)),
        Op("ksize", 0, (2,)),
        Op("__get_free_pages", 5, (13, 14)),
        Op("get_zeroed_page", 6, (15,)),
        Op("free_pages", 0, (5, 14)),
        Op("check", 0, (6,)),
    ]


OBJECTS = """
    a = krealloc_array(NULL, 2, 3, 4); a = kvmalloc(5, 6); a = kvzalloc(7, 8); a = kvmalloc_array(9, 10, 11)
    a = kvcalloc(12, 13, 14); a = kvrealloc(a, 15, 16)
    b = kmemdup(a, 17, 18); b = kstrdup(a, 19); b = kstrndup(a, 20, 21)
    kfree_sensitive(b); kvfree(a); kmalloc_size_roundup(22); get_order(23)
    d = alloc_pages(24, 25); __free_pages(d, 25); d = alloc_pages_exact(26, 27); free_pages_exact(d, 26)
    d = vmalloc(28); d = vzalloc(29); d = vmalloc_user(30); d = vmalloc_32(31); d = vmalloc_array(32, 33)
    d = vcalloc(34, 35); d = __vmalloc(36, 37); d = vrealloc(d, 38, 39); vfree(d)
"""
HANDLED = """
    c = kmem_cache_create("c", 40, 8, SLAB_HWCACHE_ALIGN | SLAB_PANIC, ctor)
    d = kmem_cache_create_26("}; #", 41, 9, 0, NULL, dtor); e = kmem_cache_create(NULL, 42, 10, 0x400, NULL)
    o = kmem_cache_alloc(c, 1); kmem_cache_free(c, o); o = kmem_cache_zalloc(d, 2)
    kmem_cache_shrink(c); kmem_cache_size(c); kmem_cache_destroy(e); kmem_cache_destroy(NULL)
    m = mempool_create(4, mempool_alloc_kmalloc, mempool_free_kmalloc, 64)
    n = mempool_create_slab_pool(5, c); o = mempool_alloc(n, 3); mempool_free(o, n); mempool_free(NULL, n)
    mempool_resize(n, 6); mempool_fail(m, 1); mempool_destroy(m)
    fail_nth(3); preempt_disable(); preempt_enable()
"""
ARRAYS = """
    kmem_cache_alloc_bulk(c, 1, 16, p); kmem_cache_free(c, p[15]); kmem_cache_free_bulk(c, 4, p + 11)
    alloc_pages_bulk(2, 3, q); a = alloc_pages(4, 2); r = split_page(a, 2); __free_pages(r[3], 0)
    v = vmap(q, 2, VM_MAP, PAGE_KERNEL); vmalloc_to_page(v); is_vmalloc_addr(v + 4096 * 2 - 1); vunmap(v)
    repeat 3 { s[2 - i] = kmalloc(8, 0) }
    kfree_bulk(3, s); kfree_bulk(0, NULL)
"""


def test_calls_on_objects_have_the_kernels_arguments() -> None:
    assert parse(OBJECTS) == [
        Op("krealloc_array", 1, (ID_NULL, 2, 3, 4)),
        Op("kvmalloc", 1, (5, 6)),
        Op("kvzalloc", 1, (7, 8)),
        Op("kvmalloc_array", 1, (9, 10, 11)),
        Op("kvcalloc", 1, (12, 13, 14)),
        Op("kvrealloc", 1, (1, 15, 16)),
        Op("kmemdup", 2, (1, 17, 18)),
        Op("kstrdup", 2, (1, 19)),
        Op("kstrndup", 2, (1, 20, 21)),
        Op("kfree_sensitive", 0, (2,)),
        Op("kvfree", 0, (1,)),
        Op("kmalloc_size_roundup", 0, (22,)),
        Op("get_order", 0, (23,)),
        Op("alloc_pages", 3, (24, 25)),
        Op("__free_pages", 0, (3, 25)),
        Op("alloc_pages_exact", 3, (26, 27)),
        Op("free_pages_exact", 0, (3, 26)),
        Op("vmalloc", 3, (28,)),
        Op("vzalloc", 3, (29,)),
        Op("vmalloc_user", 3, (30,)),
        Op("vmalloc_32", 3, (31,)),
        Op("vmalloc_array", 3, (32, 33)),
        Op("vcalloc", 3, (34, 35)),
        Op("__vmalloc", 3, (36, 37)),
        Op("vrealloc", 3, (3, 38, 39)),
        Op("vfree", 0, (3,)),
    ]


def test_caches_and_pools_have_ids_as_objects_have() -> None:
    assert parse(HANDLED) == [
        Op("kmem_cache_create", 1, (1, 40, 8, 0x2000 | 0x40000, 1)),
        Op("kmem_cache_create_26", 2, (1, 41, 9, 0, 0, 1)),
        Op("kmem_cache_create", 3, (0, 42, 10, 0x400, 0)),
        Op("kmem_cache_alloc", 4, (1, 1)),
        Op("kmem_cache_free", 0, (1, 4)),
        Op("kmem_cache_zalloc", 4, (2, 2)),
        Op("kmem_cache_shrink", 0, (1,)),
        Op("kmem_cache_size", 0, (1,)),
        Op("kmem_cache_destroy", 0, (3,)),
        Op("kmem_cache_destroy", 0, (ID_NULL,)),
        Op("mempool_create", 5, (4, 1, 1, 64)),
        Op("mempool_create_slab_pool", 6, (5, 1)),
        Op("mempool_alloc", 4, (6, 3)),
        Op("mempool_free", 0, (4, 6)),
        Op("mempool_free", 0, (ID_NULL, 6)),
        Op("mempool_resize", 0, (6, 6)),
        Op("mempool_fail", 0, (5, 1)),
        Op("mempool_destroy", 0, (5,)),
        Op("fail_nth", 0, (3,)),
        Op("preempt_disable", 0, ()),
        Op("preempt_enable", 0, ()),
    ]


def test_objects_of_an_array_have_consecutive_ids() -> None:
    assert parse(ARRAYS) == [
        Op("kmem_cache_alloc_bulk", 2, (1, 1, 16, 0)),
        Op("kmem_cache_free", 0, (1, 17)),
        Op("kmem_cache_free_bulk", 0, (1, 4, 13)),
        Op("alloc_pages_bulk", 18, (2, 3, 0)),
        Op("alloc_pages", 21, (4, 2)),
        Op("split_page", 22, (21, 2)),
        Op("__free_pages", 0, (25, 0)),
        Op("vmap", 26, (18, 2, 4, 0)),
        Op("vmalloc_to_page", 0, (26, 0)),
        Op("is_vmalloc_addr", 0, (26, 8191)),
        Op("vunmap", 0, (26,)),
        Op("kmalloc", 29, (8, 0)),
        Op("kmalloc", 28, (8, 0)),
        Op("kmalloc", 27, (8, 0)),
        Op("kfree_bulk", 0, (3, 27)),
        Op("kfree_bulk", 0, (0, ID_NULL)),
    ]


def test_every_call_but_item_stands_in_these_scripts() -> None:
    old = "kmalloc kzalloc kmalloc_array kcalloc krealloc kfree ksize __get_free_pages get_zeroed_page"
    texts = OBJECTS + HANDLED + ARRAYS
    assert {op.api for op in parse(OBJECTS) + parse(HANDLED) + parse(ARRAYS)} | {
        *old.split(),
        "free_pages",
        "check",
    } == set(APIS) - {"item"}, texts


def test_arrays_reach_as_far_as_any_call_needs_and_other_indices_stay_apart() -> None:
    text = "kfree_bulk(2, q); q[9] = kmalloc(8, 0); a = kmalloc(8, 0); kfree_bulk(3, q + 1); kfree(q[3])"
    assert [op.args for op in parse(text) if op.api != "kmalloc"] == [(2, 1), (3, 2), (4,)]
    assert [op.out for op in parse(text) if op.out] == [5, 6]


def test_an_array_may_be_filled_part_by_part() -> None:
    text = """
        repeat 4 { kmem_cache_alloc_bulk(c, 0, 3, p + 3 * i) }
        kmem_cache_free_bulk(c, 12, p)
        s[2] = split_page(a, 1); __free_pages(s[3], 0); kmem_cache_alloc_bulk(c, 0, 0, t)
    """
    ops = parse(text)
    assert [op.out for op in ops[:4]] == [2, 5, 8, 11]
    assert ops[4] == Op("kmem_cache_free_bulk", 0, (1, 12, 2))
    assert ops[5:7] == [Op("split_page", 15, (14, 1)), Op("__free_pages", 0, (16, 0))]
    assert ops[7] == Op("kmem_cache_alloc_bulk", 17, (1, 0, 0, 0))


def test_the_last_maker_of_a_name_says_what_it_is() -> None:
    text = (
        'x = kmalloc(8, 0); kfree(x); x = kmem_cache_create("c", 8, 0, 0, NULL); y = kmem_cache_alloc(x, 0)'
    )
    assert [op.api for op in parse(text)][-1] == "kmem_cache_alloc"
    with pytest.raises(ScriptError, match="x is a cache, not an object"):
        parse(text + "; kfree(x)")


def test_null_and_zero_size_ptr_are_pointers() -> None:
    assert parse("kfree(NULL); kfree(ZERO_SIZE_PTR); a = krealloc(NULL, 8, 0)") == [
        Op("kfree", 0, (ID_NULL,)),
        Op("kfree", 0, (ID_ZERO_SIZE,)),
        Op("krealloc", 1, (ID_NULL, 8, 0)),
    ]


def test_nothing_comments_and_separators_are_no_calls() -> None:
    for text in (
        "",
        "\n\n",
        " ; ;; ",
        "# a comment",
        "// another { } = (",
        "#",
        "repeat 3 { }",
        "repeat 3 { # }\n }",
    ):
        assert parse(text) == [], text


def test_comments_end_with_their_line() -> None:
    assert parse("a = kmalloc(8, GFP_KERNEL) # first }\nkfree(a) // second {\n#third\nkfree(a)") == [
        km(1, 8),
        kf(1),
        kf(1),
    ]


def test_a_division_is_no_comment() -> None:
    assert size_of("64 / 2") == 32
    assert parse("a = kmalloc(64 / 2, 0) // 2") == [Op("kmalloc", 1, (32, 0))]


def test_names_of_masks_are_those_of_the_version() -> None:
    assert parse("a = kmalloc(8, GFP_ATOMIC)")[0].args[1] == 0xA20
    assert parse("a = kmalloc(8, GFP_ATOMIC)", NAMES["6.12"])[0].args[1] == 0x820
    assert parse("a = kmalloc(8, GFP_KERNEL | __GFP_ZERO)")[0].args[1] == K | ZERO
    assert parse("a = kmalloc(8, GFP_KERNEL & ~__GFP_IO)")[0].args[1] == K & ~0x40


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("7", 7),
        ("0x10", 16),
        ("2 + 3", 5),
        ("5 - 2", 3),
        ("5 * 3", 15),
        ("7 / 2", 3),
        ("7 // 2", 3),
        ("7 % 4", 3),
        ("1 << 5", 32),
        ("64 >> 2", 16),
        ("12 | 3", 15),
        ("12 & 6", 4),
        ("2**10", 1024),
        ("-3 + 10", 7),
        ("~0", 0xFFFFFFFF),
        ("~0xF0 & 0xFF", 0x0F),
        ("2 + 3 * 4", 14),
        ("(2 + 3) * 4", 20),
        ("2**64 - 1", SIZE_MAX),
        (f"2**{MOST_BITS} >> 100", 1 << 28),
    ],
)
def test_every_operator(expression: str, value: int) -> None:
    if "//" in expression:  # in a script it begins a comment
        with pytest.raises(ScriptError):
            size_of(expression)
    else:
        assert size_of(expression) == value


def test_a_repeat_comes_as_often_as_it_says_and_counts_from_0() -> None:
    assert parse("repeat 3 { a = kmalloc(8 * i + 8, GFP_KERNEL); kfree(a) }") == [
        call for k in range(3) for call in (km(1, 8 * k + 8), kf(1))
    ]
    assert parse("repeat 0 { a = kmalloc(8, 0) }") == []
    assert parse("repeat 1 + 1 { kfree(NULL) }") == [kf(0), kf(0)]


def test_a_nested_repeat_counts_for_itself() -> None:
    inner = "\trepeat i + 1 { b[i] = kmalloc(9, GFP_KERNEL) }\n"
    text = f"repeat 2 {{\n a[i] = kmalloc(i, GFP_KERNEL)\n{inner} kfree(a[i])\n}}"
    assert parse(text) == [km(1, 0), km(2, 9), kf(1), km(3, 1), km(2, 9), km(4, 9), kf(3)]


def test_an_index_names_one_of_many() -> None:
    text = "repeat 3 { p[i] = kmalloc(8, GFP_KERNEL) }\nrepeat 3 { kfree(p[2 - i]) }\nkfree(p[1]); kfree(p)"
    assert parse(text) == [km(1, 8), km(2, 8), km(3, 8), kf(3), kf(2), kf(1), kf(2), kf(4)]


def test_a_name_without_an_index_is_another_than_with_any_index() -> None:
    text = "a = kmalloc(8, GFP_KERNEL)\nrepeat 3 { kfree(a[i - 1]) }"
    assert len({op.out or op.args[0] for op in parse(text)}) == 4


def test_the_examples_of_the_chapter_are_scripts() -> None:
    blocks = CHAPTER.read_text(encoding="utf-8").split("```c\n")[1:]
    assert blocks
    for block in blocks:
        assert parse(block.partition("```")[0])


def test_the_chapter_lists_every_call() -> None:
    table = CHAPTER.read_text(encoding="utf-8").partition("## Calls")[2].partition("## What")[0]
    cells = [row.split("|")[1] for row in table.splitlines() if row.startswith("| ")]
    assert sorted(name for cell in cells[1:] for name in cell.strip().split(", ")) == sorted(
        set(APIS) - {"item"}
    )
