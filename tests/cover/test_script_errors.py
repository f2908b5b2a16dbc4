"""Where scripts say what is wrong: line, column, and what was meant."""

from __future__ import annotations

import pytest

from kmem_oracle.language.expression import ScriptError
from kmem_oracle.language.script import MOST_CALLS, Op, parse
from kmem_spec.units import SIZE_MAX


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
