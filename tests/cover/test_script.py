"""The call language: what it means, where it says what is wrong, and that rendered scripts read back."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kmem_oracle.language.expression import MOST_BITS, ScriptError
from kmem_oracle.language.names import kind_made
from kmem_oracle.language.render import lines_of
from kmem_oracle.language.rounds import made_by, taken_by
from kmem_oracle.language.script import ID_NULL, ID_PLACES, ID_ZERO_SIZE, MOST_CALLS, Op, items_of, parse
from kmem_oracle.language.syntax import ID_KINDS
from kmem_spec.apis import APIS
from kmem_spec.gfp import GFP_KERNEL, NAMES, ZERO
from kmem_spec.units import SIZE_MAX

K = GFP_KERNEL
CHAPTER = Path(__file__).parents[2] / "spec" / "script.md"


def km(out: int, size: int = 8) -> Op:
    return Op("kmalloc", out, (size, K))


def kf(item: int) -> Op:
    return Op("kfree", 0, (item,))


def size_of(expression: str, **names: int) -> int:
    """Return what an expression is worth, as the size of an object."""
    (op,) = parse(f"a = kmalloc({expression}, 0)", names or NAMES["6.1"])
    return op.args[0]


# What scripts mean.


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
        km(1),
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
    assert parse(text) == [km(1), km(2), km(3), kf(3), kf(2), kf(1), kf(2), kf(4)]


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
    assert sorted(name for cell in cells[1:] for name in cell.strip().split(", ")) == CALLS


# Where they say what is wrong.


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        ("kmalloc(8, 0)", 1, 1, "kmalloc returns an object: name it, as in `a = …`"),
        ("a = kfree(NULL)", 1, 1, "kfree returns no object"),
        ("  krealloc(NULL, 8, 0)", 1, 3, "krealloc returns an object"),
        ("kfree(NULL)\n\n  vfre(NULL)", 3, 3, "unknown call vfre: did you mean vfree?"),
        ("zap(NULL)", 1, 1, "unknown call zap: spec/script.md lists those that there are"),
        ("item(0)", 1, 1, "unknown call item: "),
        (
            "kmem_cache_create(64, 0, 0, 0, NULL)",
            1,
            1,
            "kmem_cache_create returns a cache: name it, as in `c",
        ),
        (
            "mempool_create_slab_pool(4, c)",
            1,
            1,
            "mempool_create_slab_pool returns a pool: name it, as in `p",
        ),
        ("split_page(a, 2)", 1, 1, "split_page makes an array of pages: name it, as in `p = …`"),
        (
            "n = kmem_cache_alloc_bulk(c, 0, 2, p)",
            1,
            1,
            "kmem_cache_alloc_bulk returns no object: it fills the",
        ),
        ("a = vmalloc_to_page(v)", 1, 1, "vmalloc_to_page returns no object"),
        ("vmalloc_to_page(v, 8)", 1, 1, "vmalloc_to_page takes (pointer + offset)"),
        ("is_vmalloc_addr(v - 1)", 1, 17, f"offset -1 is not from 0 to {SIZE_MAX}"),
        ("is_vmalloc_addr(4096)", 1, 17, "4096 is no name for an object"),
        (
            "c = kmem_cache_create(c, 8, 0, 0, NULL)",
            1,
            23,
            "name is a string in double quotes, or NULL, not c",
        ),
        (
            "c = kmem_cache_create(b'c', 8, 0, 0, NULL)",
            1,
            23,
            "name is a string in double quotes, or NULL, not",
        ),
        ('c = kmem_cache_create("c, 8, 0, 0, NULL)', 1, 5, "cannot read"),
        ('c = kmem_cache_create("c", 8, 0, 0, init)', 1, 37, "ctor is `ctor` or `NULL`, not init"),
        ('c = kmem_cache_create("c", 8, 0, 0, dtor)', 1, 37, "ctor is `ctor` or `NULL`, not dtor"),
        ('c = kmem_cache_create("c", 8, 0, 0, 1)', 1, 37, "ctor is `ctor` or `NULL`, not 1"),
        (
            'c = kmem_cache_create("c", 8, 0, VM_MAP, NULL)',
            1,
            34,
            "VM_MAP belongs elsewhere than in the flags",
        ),
        (
            'c = kmem_cache_create("c", 2**32, 0, 0, NULL)',
            1,
            28,
            f"size {1 << 32} is not from 0 to 4294967295",
        ),
        (
            'c = kmem_cache_create("c", 8, 0, 2**32, NULL)',
            1,
            34,
            f"flags {1 << 32} is not from 0 to 4294967295",
        ),
        ('c = kmem_cache_create_26("c", 8, 0, 0, ctor, ctor)', 1, 46, "dtor is `dtor` or `NULL`, not ctor"),
        (
            "m = mempool_create(4, NULL, mempool_free_kmalloc, 8)",
            1,
            23,
            "alloc_fn is `mempool_alloc_kmalloc`, not",
        ),
        (
            "m = mempool_create(-1, mempool_alloc_kmalloc, mempool_free_kmalloc, 8)",
            1,
            20,
            "number -1 is not from",
        ),
        ("fail_nth(2**31)", 1, 10, f"number {1 << 31} is not from 0 to 2147483647"),
        ("a = kmalloc(8, SLAB_PANIC)", 1, 16, "SLAB_PANIC belongs elsewhere than in the gfp of kmalloc"),
        ("v = vmap(p, 2, SLAB_PANIC, PAGE_KERNEL)", 1, 16, "SLAB_PANIC belongs elsewhere than in the flags"),
        ("a = kmalloc(8, 0); kmem_cache_shrink(a)", 1, 20, "a is an object, not a cache"),
        ("a = kmalloc(8, 0); b = mempool_alloc(a, 0)", 1, 20, "a is an object, not a pool"),
        ("c = mempool_create_slab_pool(4, NULL); kmem_cache_size(c)", 1, 40, "c is a pool, not a cache"),
        (
            'c[1] = kmem_cache_create("c", 8, 0, 0, NULL); kfree(c[1])',
            1,
            47,
            "c[1] is a cache, not an object",
        ),
        ('c[0] = kmem_cache_create("c", 8, 0, 0, NULL); kfree_bulk(1, c)', 1, 47, "c[0] is a cache, not an"),
        ("kmem_cache_shrink(ZERO_SIZE_PTR)", 1, 19, "ZERO_SIZE_PTR is no name for a cache"),
        ("kmem_cache_shrink(7)", 1, 19, "7 is no name for a cache"),
        ("mempool_resize(ctor, 7)", 1, 16, "ctor is no name for a pool"),
        ("dtor = kmalloc(8, 0)", 1, 1, "dtor is no name for an object"),
        ("SLAB_PANIC = kmalloc(8, 0)", 1, 1, "SLAB_PANIC is no name for an object"),
        ("kfree_bulk(2, NULL)", 1, 15, "NULL is no name for an array"),
        ("kfree_bulk(2, 7)", 1, 15, "7 is no name for an array"),
        ("kfree_bulk(2, p[3])", 1, 15, "p[3] is one object: the array from there on is p + 3"),
        ("kfree_bulk(65537, p)", 1, 1, "kfree_bulk of 65,537 objects: at most 65,536 go into an array"),
        ("kmem_cache_alloc_bulk(c, 0, 65537, p)", 1, 1, "kmem_cache_alloc_bulk of 65,537 objects"),
        ("p = split_page(a, 17)", 1, 1, "split_page of 131,072 objects"),
        ("p = split_page(a, 2**32 - 1)", 1, 1, "split_page of "),
        ("kfree_bulk(2, p)\nkfree(p)", 2, 1, "p is an array elsewhere: name one of its objects, as in p[0]"),
        ("a = kmalloc(8, 0); kfree_bulk(1, a)", 1, 1, "a is an array elsewhere: name one of its objects"),
        (
            "alloc_pages_bulk(0, 4, p)\nv = vmap(p, 8, 4, 0)",
            2,
            1,
            "vmap takes p[0] to p[7], but nothing makes p[4]",
        ),
        (
            "p = split_page(a, 1); v = vmap(p + 1, 2, 4, 0)",
            1,
            23,
            "vmap takes p[1] to p[2], but nothing makes p[2]",
        ),
        ("kfree(NULL); kfree()", 1, 14, "kfree takes (pointer)"),
        ("a = kcalloc(8, 0)", 1, 1, "kcalloc takes (count, size, gfp)"),
        ("a = kmalloc(size=8, gfp=0)", 1, 1, "'a = kmalloc(size=8, gfp=0)' is no call"),
        ("kfree", 1, 1, "'kfree' is no call"),
        ("a.kfree(b)", 1, 1, "'a.kfree(b)' is no call"),
        ("kfree(a", 1, 1, "cannot read 'kfree(a'"),
        ("kfree(a))", 1, 1, "cannot read 'kfree(a))'"),
        ("a == kmalloc(8, 0)", 1, 4, "cannot read"),
        ("= kmalloc(8, 0)", 1, 1, "cannot read ''"),
        ("a b = kmalloc(8, 0)", 1, 1, "cannot read 'a b'"),
        ("a = kmalloc(8, GFP_NONE)", 1, 16, "unknown name GFP_NONE"),
        ("a = kmalloc(i, 0)", 1, 1, None),
        ("a = kmalloc(8.5, 0)", 1, 13, "cannot use 8.5 here"),
        ("a = kmalloc(True, 0)", 1, 13, "cannot use True here"),
        ("a = kmalloc('8', 0)", 1, 13, "cannot use '8' here"),
        ("a = kmalloc(8 ^ 1, 0)", 1, 13, "cannot use 8 ^ 1 here"),
        ("a = kmalloc(not 1, 0)", 1, 13, "cannot use not 1 here"),
        ("a = kmalloc(+1, 0)", 1, 13, "cannot use +1 here"),
        ("a = kmalloc(f(1), 0)", 1, 13, "cannot use f(1) here"),
        ("a = kmalloc(*x, 0)", 1, 13, "cannot use *x here"),
        ("a = kmalloc(1 / 0, 0)", 1, 17, "division by zero"),
        ("a = kmalloc(1 % 0, 0)", 1, 17, "division by zero"),
        ("a = kmalloc(1 << 129, 0)", 1, 18, "129 is not from 0 to 128"),
        ("a = kmalloc(1 >> -1, 0)", 1, 18, "-1 is not from 0 to 128"),
        ("a = kmalloc(2**129, 0)", 1, 16, "129 is not from 0 to 128"),
        ("a = kmalloc(2**-1, 0)", 1, 16, "-1 is not from 0 to 128"),
        ("a = kmalloc(-1, 0)", 1, 13, f"size -1 is not from 0 to {SIZE_MAX}"),
        ("a = kmalloc(2**64, 0)", 1, 13, f"size {1 << 64} is not from 0 to {SIZE_MAX}"),
        ("a = kcalloc(2**64, 1, 0)", 1, 13, f"count {1 << 64} is not from 0"),
        ("a = kmalloc(8, 2**32)", 1, 16, f"gfp {1 << 32} is not from 0 to 4294967295"),
        ("a = __get_free_pages(0, 2**32)", 1, 25, f"order {1 << 32} is not from 0"),
        ("free_pages(NULL, -1)", 1, 18, "order -1 is not from 0"),
        ("NULL = kmalloc(8, 0)", 1, 1, "NULL and ZERO_SIZE_PTR are no names"),
        ("ZERO_SIZE_PTR = kmalloc(8, 0)", 1, 1, "NULL and ZERO_SIZE_PTR are no names"),
        ("GFP_KERNEL = kmalloc(8, 0)", 1, 1, "GFP_KERNEL is no name for an object"),
        ("repeat 2 { i = kmalloc(8, 0) }", 1, 12, "i is no name for an object"),
        ("7 = kmalloc(8, 0)", 1, 1, "7 is no name for an object"),
        ("kfree(7)", 1, 7, "7 is no name for an object"),
        ("kfree(a + 8)", 1, 7, "a + 8 is no name for an object"),
        ("kfree(a[b])", 1, 9, "unknown name b"),
        ("kfree(a[0][1])", 1, 7, "a[0] is no name for an object"),
        ("{ kfree(NULL) }", 1, 1, "a { belongs after `repeat N`"),
        ("kfree(NULL) {", 1, 13, "a { belongs after `repeat N`"),
        ("kfree(NULL) }", 1, 13, "a } without its {"),
        ("\n repeat 2 {\n repeat 3 { }", 2, 2, "this repeat is never closed"),
        ("repeat 2 { repeat 3 { }", 1, 1, "this repeat is never closed"),
        ("repeat { }", 1, 8, "cannot read ''"),
        ("  repeat 2 3 { }", 1, 10, "cannot read '2 3'"),
        ("repeat n { }", 1, 8, "unknown name n"),
        ("repeat -1 { kfree(NULL) }", 1, 8, "cannot repeat -1 times"),
        ("repeat 2 kfree(NULL)", 1, 1, "cannot read 'repeat 2 kfree(NULL)'"),
        ("a = kmalloc(8,\n0)", 1, 5, "cannot read"),
        ("repeat 10**7 + 1 { }", 1, 8, "cannot repeat 10000001 times"),
        ("a = kmalloc(2**128 * 2**128, 0)", 1, 13, "a number of more than 256 bits"),
        ("a = kmalloc((2**128)**128, 0)", 1, 13, "a number of more than 256 bits"),
        (f"a = kmalloc({'9' * 4000}, 0)", 1, 13, "a number of more than 256 bits"),
    ],
)
def test_an_error_has_its_line_and_column(text: str, line: int, column: int, message: str | None) -> None:
    if message is None:  # outside of a repeat the one round has number 0
        assert parse(text) == [Op("kmalloc", 1, (0, 0))]
        return
    with pytest.raises(ScriptError) as caught:
        parse(text)
    assert (caught.value.line, caught.value.column) == (line, column)
    assert str(caught.value).startswith(f"line {line}, column {column}: {message}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "repeat 1 { " * 3000 + "}" * 3000,
        f"a = kmalloc({'(' * 5000}1{')' * 5000}, 0)",
        f"a = kmalloc({'-' * 5000}1, 0)",
        f"a = kmalloc({'1 + ' * 5000}1, 0)",
        f"a = kmalloc({'9' * 5000}, 0)",
        "a = kmalloc(8\0, 0)",
    ],
    ids=["repeats", "parentheses", "signs", "terms", "digits", "a null byte"],
)
def test_what_is_nested_too_deeply_or_too_long_is_an_error_as_well(text: str) -> None:
    with pytest.raises(ScriptError) as caught:
        parse(text)
    assert caught.value.line == 1
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    "text",
    [
        "repeat 30 { repeat 30 { kfree(NULL) } }",
        "repeat 500 { repeat 500 { } }",
        "repeat 30 { repeat 30 { repeat 0 { kfree(NULL) } } }",
    ],
)
def test_a_script_has_a_longest_length_whatever_it_repeats(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert MOST_CALLS == 10_000_000
    monkeypatch.setattr("kmem_oracle.language.script.MOST_CALLS", 800)
    with pytest.raises(ScriptError, match="line 1, column 1: more than 800 calls once its repeats are"):
        parse(text)


# Round trip.


Step = tuple[str, tuple[int, ...], bool]


def played(ops: Sequence[Op], fails: int) -> list[Step]:
    """Return what a script does, object by object: each call, and whether it was made or skipped.

    Objects are numbered as they are made; the k-th request fails if bit k % 64 of `fails` is set. Scripts
    that differ in their ids alone do the same, whatever fails.
    """
    held: dict[int, int] = {}
    steps: list[Step] = []
    asked = made = 0
    for op in ops:
        api = APIS[op.api]
        taken = [item for reach in taken_by(op) for item in reach]
        args = [arg for kind, arg in zip(api.parameters, op.args, strict=True) if kind not in ID_KINDS]
        args += [min(op.args[at], 0) for at in ID_PLACES[op.api]]
        skipped = any(item not in held for item in taken)
        steps.append((op.api, (*args, *(held.get(item, -9) for item in taken)), skipped))
        if skipped:
            continue
        if api.role in {"free", "free bulk", "split"}:
            ends = [at for at in ID_PLACES[op.api] if api.parameters[at] in {"pointer", "vector"}]
            for reach in taken_by(Op("kfree_bulk", 0, (max(1, items_of(api, op.args)), op.args[ends[0]]))):
                for item in reach if api.role == "free bulk" else reach[:1]:
                    held.pop(item, None)
        elif api.role == "destroy":
            held.pop(op.args[0], None)
        items = made_by(op)
        if items:
            asked += 1
            failed = fails >> (asked % 64) & 1 and api.role != "split"
            if failed and op.api == "alloc_pages_bulk":
                items = items[: len(items) // 2]  # the one call that may make fewer
            elif failed:
                continue
            if api.role == "resize":
                held.pop(op.args[0], None)
            for item in items if op.out else ():
                made += 1
                held[item] = made
    return steps


IDS = st.one_of(st.integers(1, 6), st.integers(1, 300))
VALUES = {
    "size": st.sampled_from([0, 1, 8, 64, 100, 1 << 24, (1 << 31) - 1, 1 << 63, SIZE_MAX]),
    "count": st.sampled_from([0, 1, 3, 1 << 32, SIZE_MAX]),
    "gfp": st.sampled_from([0, K, K | ZERO, 0xA20, 0x820, 0x800, 0x2800, 1 << 31, 0xFFFFFFFF]),
    "order": st.sampled_from([0, 1, 10, 11, 0xFFFFFFFF]),
    "pointer": st.one_of(IDS, IDS, st.sampled_from([ID_NULL, ID_ZERO_SIZE])),
    "source": IDS,
    "vector": IDS,
    "array": st.just(0),
    "cache": st.sampled_from([1001, 1001, 1002, 1003, ID_NULL]),
    "pool": st.sampled_from([2001, 2001, 2002, 2003, ID_NULL]),
    "name": st.integers(0, 1),
    "align": st.sampled_from([0, 8, 64]),
    "flags": st.sampled_from([0, 4, 0x2000, 0x2C00, 0x80000000, 0xFFFFFFFF]),
    "ctor": st.integers(0, 1),
    "dtor": st.integers(0, 1),
    "prot": st.sampled_from([0, 0x63, SIZE_MAX]),
    "number": st.sampled_from([0, 1, 7, (1 << 31) - 1]),
    "alloc_fn": st.just(1),
    "free_fn": st.just(1),
    "offset": st.sampled_from([0, 1, 4096, SIZE_MAX]),
}
CALLS = sorted(set(APIS) - {"item"})
OFTEN = [name for name in CALLS if {"vector", "array", "cache", "pool"} & {*APIS[name].parameters}]


@st.composite
def single_ops(draw: st.DrawFn) -> Op:
    """Return a call of any API; objects, caches and pools have ids of their own."""
    api = APIS[draw(st.one_of(st.sampled_from(CALLS), st.sampled_from([*OFTEN, "split_page", "kmalloc"])))]
    values = {**VALUES}
    if {"vector", "array"} & {*api.parameters}:
        values["count"] = st.integers(0, 5)
    if api.name == "kmem_cache_create":
        values["size"] = st.sampled_from([0, 8, 100, (1 << 32) - 1])
    if api.role == "split":
        values["order"] = st.integers(0, 3)
    args = tuple(draw(values[kind]) for kind in api.parameters)
    if not api.makes and api.role != "bulk":
        return Op(api.name, 0, args)
    outs = {"object": IDS, "cache": st.integers(1001, 1003), "pool": st.integers(2001, 2003)}
    return Op(api.name, draw(outs[kind_made(api)]), args)


def legal(ops: Sequence[Op]) -> list[Op]:
    """Return the calls without those that take more of an array than any call makes of it."""
    filled = {item for op in ops if APIS[op.api].role in {"bulk", "split"} for item in made_by(op)}
    made = {item for op in ops for item in made_by(op)}
    kept = []
    for op in ops:
        kinds = APIS[op.api].parameters
        first = op.args[kinds.index("vector")] if "vector" in kinds else 0
        items = set(range(first, first + items_of(APIS[op.api], op.args))) if first else set()
        if filled.isdisjoint(items) or items <= made:
            kept.append(op)
    return kept if len(kept) == len(ops) else legal(kept)  # what went may have made something


@st.composite
def repeated_ops(draw: st.DrawFn) -> list[Op]:
    """Return a few calls again and again, the ids at each place moving on evenly."""
    body = draw(st.lists(single_ops(), min_size=1, max_size=4))
    steps = draw(st.lists(st.integers(-5, 5), min_size=20, max_size=20))
    rounds = []
    for k in range(draw(st.integers(1, 6))):
        moved = iter(steps)
        for op in body:
            args = tuple(
                moved_by(arg, k * next(moved)) if at in ID_PLACES[op.api] and arg > 0 else arg
                for at, arg in enumerate(op.args)
            )
            rounds.append(op._replace(out=moved_by(op.out, k * next(moved)) if op.out else 0, args=args))
    return rounds


def moved_by(item: int, step: int) -> int:
    """Return another id of the same kind."""
    return max(item // 1000 * 1000 + 1, item + step)


@st.composite
def rounds_apart(draw: st.DrawFn) -> list[Op]:
    """Return rounds of calls on a few objects each, which are others in each round."""
    body = [shifted(op, 0, 9) for op in draw(st.lists(single_ops(), min_size=2, max_size=6))]
    cache = draw(st.sampled_from([0, 1]))  # whether each round has a cache of its own, too
    return [shifted(op, k, 12, cache) for k in range(draw(st.integers(3, 6))) for op in body]


LIVES = [
    *(Op("kmem_cache_alloc_bulk", 1, (1001, 0, count, 0)) for count in (2, 4, 4)),
    Op("kmem_cache_alloc_bulk", 3, (1001, 0, 2, 0)),
    *(Op("kmem_cache_free_bulk", 0, (1001, count, 1)) for count in (2, 4, 4)),
    *(Op("kmem_cache_alloc", item, (cache, 0)) for item in (1, 3, 5) for cache in (1001, 1002)),
    *(Op("kmem_cache_free", 0, (cache, item)) for item in (1, 2, 5) for cache in (1001, 1002)),
    *(Op("kmem_cache_create", cache, (1, 8, 0, 0, 0)) for cache in (1001, 1001, 1002)),
    *(Op("kmem_cache_destroy", 0, (cache,)) for cache in (1001, 1002)),
    *(Op("kfree_bulk", 0, (2, item)) for item in (1, 5)),
    *(Op("check", 0, (item,)) for item in (1, 1, 2, 3, 5)),
]


@st.composite
def lives_in_rounds(draw: st.DrawFn) -> list[Op]:
    """Return caches and the lives of their objects, the same in each round with other ids."""
    body = draw(st.lists(st.sampled_from(LIVES), min_size=2, max_size=7))
    cache = draw(st.sampled_from([0, 0, 1]))
    before = [op for op in LIVES if op.api == "kmem_cache_create"] if draw(st.booleans()) else []
    return before + [shifted(op, k, 12, cache) for k in range(draw(st.integers(3, 4))) for op in body]


def shifted(op: Op, turn: int, width: int, handles: int = 0) -> Op:
    """Return a call with its ids folded to few and then moved on by a number of rounds."""

    def other(item: int) -> int:
        if item <= 0:
            return item
        return (item % 1000 - 1) % width + 1 + turn * width if item < 1000 else item + 7 * turn * handles

    args = tuple(other(arg) if at in ID_PLACES[op.api] else arg for at, arg in enumerate(op.args))
    return Op(op.api, other(op.out), args)


SCRIPTS = st.lists(st.one_of(repeated_ops(), rounds_apart(), lives_in_rounds()), max_size=5).map(
    lambda parts: legal([op for part in parts for op in part])
)
TOGETHER = [op for k in range(1, 4) for op in (km(1), kf(k))]
BULKS = [
    op
    for k in range(1, 40, 4)
    for op in (Op("kmem_cache_alloc_bulk", k, (1001, 0, 4, 0)), Op("kmem_cache_free_bulk", 0, (1001, 4, k)))
]
HALVES = [
    op
    for k in range(1, 40, 4)
    for op in (
        Op("kmem_cache_alloc_bulk", k, (1001, 0, 2, 0)),
        Op("kmem_cache_alloc_bulk", k + 2, (1001, 0, 2, 0)),
        Op("kmem_cache_free_bulk", 0, (1001, 4, k)),
    )
]
CACHE = Op("kmem_cache_create", 1001, (1, 8, 0, 0, 0))
ORPHANS = [
    op
    for k in range(1, 6)
    for op in (
        CACHE,
        Op("kmem_cache_alloc", k, (1001, 0)),
        Op("check", 0, (k,)),
        Op("kmem_cache_destroy", 0, (1001,)),
        Op("kmem_cache_free", 0, (1001, k)),
    )
]
LONG = [op for _ in range(4) for k in range(1, 13) for op in (km(k), kf(14 - k))]


@settings(max_examples=400, deadline=None, derandomize=True, database=None)
@given(SCRIPTS, st.sampled_from(["6.1", "6.12"]), st.integers(0, (1 << 64) - 1))
@example(TOGETHER, "6.1", 0)
@example(LONG, "6.1", 0)
@example([op for k in range(5) for op in (km(5 - k), kf(k + 1))], "6.1", 0)
@example([kf(1), kf(2), kf(3), km(1)] * 3, "6.1", 0)
@example([op for k in range(1, 5) for op in (kf(k), km(k))], "6.1", 0)
@example([op for k in range(1, 5) for op in (km(k), Op("ksize", 0, (k,)))], "6.1", 0b1010)
@example(ORPHANS, "6.1", 0b10000)
@example([CACHE, *BULKS], "6.1", 0b110110)
@example([CACHE, *HALVES], "6.1", 0b1_1001_1000)
def test_a_rendered_script_reads_back(ops: list[Op], version: str, fails: int) -> None:
    lines = lines_of(ops, NAMES[version])
    again = parse("\n".join(lines), NAMES[version])
    assert played(again, fails) == played(ops, fails)
    assert len(lines) <= len(ops)


@settings(max_examples=1500, deadline=None, derandomize=True, database=None)
@given(lives_in_rounds().map(legal), st.integers(0, (1 << 32) - 1))
def test_names_that_rounds_share_do_not_mix_their_objects(ops: list[Op], fails: int) -> None:
    assert played(parse("\n".join(lines_of(ops))), fails) == played(ops, fails)


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(SCRIPTS, st.integers(0, 40), st.integers(0, 40))
def test_any_part_of_a_script_is_a_script(ops: list[Op], begin: int, length: int) -> None:
    part = ops[begin : begin + length]
    assert played(parse("; ".join(lines_of(part)).replace("{;", "{")), 0) == played(part, 0)
