"""The judge on memory of any kind and on the kmalloc family, each rule both ways."""

from __future__ import annotations

from tests.cover.judging import (
    AREA,
    AT,
    CONTRACT,
    LINUX_6_1,
    LINUX_6_12,
    MAX,
    MIB,
    ZSP,
    K,
    Rows,
    RowTests,
    Z,
    admit_all,
    bad,
    ev,
    findings,
    gfpages,
    good,
    kfree,
    km,
    kre,
    vm,
)

from kmem_spec.gfp import GFP_ATOMIC
from kmem_spec.judge import Judge
from kmem_spec.units import MAX_ERRNO, PAGE_SIZE, SIZE_MAX

# For each clause the rows that show it: first what it lets pass, then what it does not.
ROWS: Rows = {
    "MEM-NULL": (
        good("a request that fails gives NULL", km(64, 0)),
        good("NULL after success", km(64, AT), km(64, 0), kfree(AT)),
        good("the last address below the error codes", km(1, (SIZE_MAX - MAX_ERRNO - 1) // 8 * 8)),
        bad("MEM-NULL", "an error code, -ENOMEM", km(64, SIZE_MAX - 11)),
        bad("MEM-NULL", "ZERO_SIZE_PTR for some bytes", km(1, ZSP)),
        bad("MEM-NULL", "a small number", ev("get_zeroed_page", K, gives=8)),
        bad("MEM-NULL", "an error code from krealloc", km(64, AT), kre(AT, 96, SIZE_MAX - 11), others=(0,)),
        bad("MEM-NULL", "an object that ends in the error codes", km(5000, SIZE_MAX - MAX_ERRNO - 4096)),
    ),
    "MEM-USABLE": (
        good("exactly what was asked for", km(65, AT, usable=65)),
        good("any larger size under contract", km(65, AT, usable=4096)),
        bad("MEM-USABLE", "one byte less", km(65, AT, usable=64)),
        bad("MEM-USABLE", "nothing usable", km(65, AT, usable=0)),
        bad("MEM-USABLE", "less after krealloc", km(64, AT), kre(AT, 65, AT, usable=64), others=(0,)),
        bad("MEM-USABLE", "less than the array", ev("kcalloc", 3, 9, K, gives=AT, usable=26)),
    ),
    "MEM-ZERO": (
        good(
            "kzalloc, dirty only beyond the request", ev("kzalloc", 100, K, gives=AT, usable=128, nonzero=100)
        ),
        good("kmalloc owes no zeroes", km(100, AT, nonzero=0)),
        good("kmalloc_array owes none", ev("kmalloc_array", 2, 50, K, gives=AT, nonzero=0)),
        bad("MEM-ZERO", "kzalloc, last byte", ev("kzalloc", 100, K, gives=AT, nonzero=99)),
        bad("MEM-ZERO", "kzalloc, first byte", ev("kzalloc", 1, GFP_ATOMIC, gives=AT, nonzero=0)),
        bad("MEM-ZERO", "kcalloc", ev("kcalloc", 10, 10, K, gives=AT, nonzero=99)),
        bad("MEM-ZERO", "get_zeroed_page", ev("get_zeroed_page", K, gives=AT, nonzero=PAGE_SIZE - 1)),
    ),
    "MEM-APART": (
        good("neighbours touch", km(64, AT, usable=64), km(64, AT + 64, usable=64)),
        good("one within the request of a freed one", km(64, AT), kfree(AT), km(8, AT + 8)),
        good("a krealloc may move into its own old place", km(200, AT), kre(AT, 100, AT + 8)),
        bad("MEM-APART", "the same object again", km(64, AT), km(64, AT), others=(0,)),
        bad("MEM-APART", "within another", km(1024, AT), km(8, AT + 1016), others=(0,)),
        bad("MEM-APART", "around another", km(8, AT + 64), km(1024, AT), others=(0,)),
        bad("MEM-APART", "in the usable tail", km(65, AT, usable=96), km(8, AT + 88), others=(0,)),
        bad("MEM-APART", "its own usable tail", km(8, AT + 88), km(65, AT, usable=96), others=(0,)),
        bad("MEM-APART", "page and object", gfpages(0, AT), km(8, AT + 4088), others=(0,)),
        bad("MEM-APART", "over two", km(8, AT), km(8, AT + 64), km(128, AT), others=(0, 1)),
        bad(
            "MEM-APART",
            "krealloc grows over its neighbour",
            km(64, AT),
            km(64, AT + 64),
            kre(AT, 65, AT),
            others=(1,),
        ),
        bad(
            "MEM-APART",
            "krealloc moves onto another",
            km(8, AT),
            km(64, AT + 64),
            kre(AT, 64, AT + 64),
            others=(1,),
        ),
    ),
    "MEM-KEEP": (
        good("an object as it was written", km(64, AT), ev("check", AT)),
        good("a look at what is not live says nothing", ev("check", AT, changed=3)),
        bad(
            "MEM-KEEP", "a byte changed", km(8, AT + 64), km(64, AT), ev("check", AT, changed=63), others=(1,)
        ),
        bad("MEM-KEEP", "in a block", gfpages(1, AT), ev("check", AT, changed=5000), others=(0,)),
    ),
    "SLAB-ZERO-SIZE": (
        good("kmalloc", km(0, ZSP)),
        good("an array of none", ev("kmalloc_array", 0, 8, K, gives=ZSP), ev("kcalloc", 8, 0, K, gives=ZSP)),
        good("krealloc of NULL to nothing", kre(0, 0, ZSP)),
        good("ZERO_SIZE_PTR again and again", km(0, ZSP), km(0, ZSP), ev("kfree", ZSP)),
        bad("SLAB-ZERO-SIZE", "NULL", km(0, 0)),
        bad("SLAB-ZERO-SIZE", "an object", ev("kzalloc", 0, K, gives=AT)),
        bad("SLAB-ZERO-SIZE", "an array of none", ev("kcalloc", 0, SIZE_MAX, K, gives=AT)),
        bad("SLAB-ZERO-SIZE", "krealloc of ZERO_SIZE_PTR to nothing", kre(ZSP, 0, 0)),
    ),
    "SLAB-MAX": (
        good("the largest object", km(MAX, 4 * MAX)),
        good("one byte more gives NULL", km(MAX + 1, 0), km(SIZE_MAX, 0)),
        good("krealloc above the maximum gives NULL", km(64, AT), kre(AT, MAX + 1, 0), kfree(AT)),
        bad("SLAB-MAX", "one byte more", km(MAX + 1, 8 * MAX)),
        bad("SLAB-MAX", "size_t at its end", km(SIZE_MAX, AT)),
        bad("SLAB-MAX", "an array", ev("kcalloc", 2, MAX, K, gives=AT)),
        bad("SLAB-MAX", "krealloc", km(64, AT), kre(AT, MAX + 1, AT), others=(0,)),
        bad("SLAB-MAX", "an error code is no NULL", km(MAX + 1, SIZE_MAX - 11)),
    ),
    "SLAB-ARRAY": (
        good("NULL", ev("kmalloc_array", 1 << 32, 1 << 32, K), ev("kcalloc", SIZE_MAX, SIZE_MAX, K)),
        good("a product that fits", ev("kmalloc_array", 3, 5, K, gives=AT, usable=16)),
        bad("SLAB-ARRAY", "2^32 times 2^32", ev("kmalloc_array", 1 << 32, 1 << 32, K, gives=AT)),
        bad("SLAB-ARRAY", "one more than fits", ev("kcalloc", 3, SIZE_MAX // 3 + 1, K, gives=AT)),
        bad("SLAB-ARRAY", "a product that wraps to 0", ev("kmalloc_array", 1 << 63, 2, K, gives=ZSP)),
    ),
    "SLAB-ALIGN": (
        good("8 bytes", km(100, AT + 8)),
        good("a resize in place owes none again", km(96, AT + 32), kre(AT + 32, 64, AT + 32)),
        bad("SLAB-ALIGN", "4 bytes", km(100, AT + 4)),
        bad("SLAB-ALIGN", "one byte long, odd", km(1, AT + 1)),
        bad("SLAB-ALIGN", "krealloc that moves", km(96, AT), kre(AT, 100, AT + 132), others=(0,)),
    ),
    "SLAB-ALIGN-POWER": (
        good("64 bytes", km(64, AT + 64)),
        good("65 bytes owe 8", km(65, AT + 8)),
        good("4 MiB", km(MAX, 8 * MAX)),
        bad("SLAB-ALIGN-POWER", "64 bytes at 32", km(64, AT + 32)),
        bad("SLAB-ALIGN-POWER", "a product", ev("kcalloc", 8, 16, K, gives=AT + 64)),
        bad("SLAB-ALIGN-POWER", "4 MiB at 2 MiB", km(MAX, 8 * MAX + 2 * MIB)),
        bad("SLAB-ALIGN-POWER", "krealloc that moves", km(96, AT), kre(AT, 128, AT + 64), others=(0,)),
    ),
    "SLAB-ALIGN-DIVISOR": (
        good("96 bytes at 32", km(96, AT + 32), profile=LINUX_6_12),
        good("96 bytes at 8 before 6.12", km(96, AT + 8), profile=LINUX_6_1),
        good(
            "a resize in place owes none again", km(97, AT + 8), kre(AT + 8, 96, AT + 8), profile=LINUX_6_12
        ),
        bad("SLAB-ALIGN-DIVISOR", "96 bytes at 16", km(96, AT + 16), profile=LINUX_6_12),
        bad("SLAB-ALIGN-DIVISOR", "192 bytes at 32", km(192, AT + 32), profile=LINUX_6_12),
    ),
    "SLAB-CLASS": (
        good("65 bytes in 96", km(65, AT, usable=96), profile=LINUX_6_1),
        good("8193 bytes in 4 pages", km(8193, AT, usable=4 * PAGE_SIZE), profile=LINUX_6_1),
        good("a library that does not tell", km(65, AT), profile=LINUX_6_1),
        good(
            "a shrunk object that stays keeps its class",
            km(200, AT, usable=256),
            kre(AT, 20, AT, usable=256),
            profile=LINUX_6_1,
        ),
        bad("SLAB-CLASS", "65 bytes in 128", km(65, AT, usable=128), profile=LINUX_6_1),
        bad("SLAB-CLASS", "8193 bytes in 3 pages", km(8193, AT, usable=3 * PAGE_SIZE), profile=LINUX_6_12),
        bad(
            "SLAB-CLASS",
            "krealloc that moves",
            km(8, AT),
            kre(AT, 65, 2 * AT, usable=128),
            others=(0,),
            profile=LINUX_6_1,
        ),
    ),
    "SLAB-KSIZE": (
        good("nothing", ev("ksize", 0, gives=0), ev("ksize", ZSP, gives=0)),
        good("what was seen", km(65, AT, usable=96), ev("ksize", AT, gives=96)),
        good(
            "another after a resize",
            km(65, AT, usable=96),
            kre(AT, 100, AT, usable=128),
            ev("ksize", AT, gives=128),
        ),
        good("any that holds the request", km(65, AT), ev("ksize", AT, gives=65), ev("ksize", AT, gives=65)),
        bad("SLAB-KSIZE", "of NULL", ev("ksize", 0, gives=8)),
        bad("SLAB-KSIZE", "of ZERO_SIZE_PTR", ev("ksize", ZSP, gives=16)),
        bad("SLAB-KSIZE", "less than asked for", km(65, AT), ev("ksize", AT, gives=64), others=(0,)),
        bad("SLAB-KSIZE", "nothing for an object", km(65, AT), ev("ksize", AT, gives=0), others=(0,)),
        bad("SLAB-KSIZE", "other than seen", km(65, AT, usable=96), ev("ksize", AT, gives=128), others=(0,)),
        bad(
            "SLAB-KSIZE",
            "two sizes",
            km(65, AT),
            ev("ksize", AT, gives=96),
            ev("ksize", AT, gives=128),
            others=(0,),
        ),
    ),
    "SLAB-REALLOC-KEEP": (
        good("growing", km(64, AT), kre(AT, 128, 2 * AT)),
        good("shrinking, what is cut off may change", km(64, AT), kre(AT, 10, AT, changed=10)),
        bad(
            "SLAB-REALLOC-KEEP",
            "growing, last byte",
            km(64, AT),
            kre(AT, 128, 2 * AT, changed=63),
            others=(0,),
        ),
        bad("SLAB-REALLOC-KEEP", "shrinking, last byte", km(64, AT), kre(AT, 10, AT, changed=9), others=(0,)),
    ),
    "SLAB-REALLOC-FAIL": (
        good("the old object lives on", km(64, AT), kre(AT, 128, 0), ev("check", AT), kfree(AT)),
        bad("SLAB-REALLOC-FAIL", "changed", km(64, AT), kre(AT, 128, 0, changed=0), others=(0,)),
        bad(
            "SLAB-REALLOC-FAIL", "above the maximum", km(64, AT), kre(AT, MAX + 1, 0, changed=63), others=(0,)
        ),
    ),
    "SLAB-REALLOC-FREE": (
        good("and its place may be used again", km(64, AT), kre(AT, 0, ZSP), km(64, AT)),
        bad("SLAB-REALLOC-FREE", "NULL", km(64, AT), kre(AT, 0, 0), others=(0,)),
        bad("SLAB-REALLOC-FREE", "the old object", km(64, AT), kre(AT, 0, AT), others=(0,)),
    ),
    "SLAB-REALLOC-ZERO": (
        good("all calls with __GFP_ZERO, zero beyond", km(10, AT, Z), kre(AT, 20, AT, Z)),
        good("an owner wrote there", km(10, AT, Z), kre(AT, 5, AT, Z), kre(AT, 20, AT, Z, nonzero=7)),
        good("the first call had none", km(10, AT), kre(AT, 20, AT, Z, nonzero=15)),
        good("the last call has none", km(10, AT, Z), kre(AT, 20, AT, K, nonzero=15)),
        good("one call between had none", km(10, AT, Z), kre(AT, 20, AT), kre(AT, 30, AT, Z, nonzero=25)),
        good("beyond the request", km(10, AT, Z), kre(AT, 20, AT, Z, nonzero=20)),
        bad("SLAB-REALLOC-ZERO", "in place", km(10, AT, Z), kre(AT, 20, AT, Z, nonzero=10), others=(0,)),
        bad("SLAB-REALLOC-ZERO", "moved", km(10, AT, Z), kre(AT, 200, 2 * AT, Z, nonzero=199), others=(0,)),
        bad(
            "SLAB-REALLOC-ZERO",
            "after kzalloc",
            ev("kzalloc", 8, K, gives=AT),
            kre(AT, 16, AT, Z, nonzero=8),
            others=(0,),
        ),
        bad(
            "SLAB-REALLOC-ZERO",
            "beyond the largest size yet",
            km(10, AT, Z),
            kre(AT, 5, AT, Z),
            kre(AT, 20, AT, Z, nonzero=10),
            others=(1,),
        ),
        bad(
            "SLAB-REALLOC-ZERO",
            "Linux clears the tail when an object shrinks",
            km(10, AT, Z),
            kre(AT, 5, AT, Z),
            kre(AT, 20, AT, Z, nonzero=7),
            others=(1,),
            profile=LINUX_6_1,
        ),
    ),
    "SLAB-FREE-NULL": (good("both do nothing", ev("kfree", 0), ev("kfree", ZSP), ev("kfree", 0)),),
    "SLAB-COPY": (
        good("kmemdup", km(64, AT), ev("kmemdup", AT, 64, K, gives=2 * AT), kfree(2 * AT)),
        good("no copy of nothing", ev("kstrdup", 0, K), ev("kstrndup", 0, 5, K)),
        good(
            "nothing copied, of any source",
            ev("kmemdup", AT, 0, K, gives=ZSP),
            ev("kmemdup", 0, 0, K, gives=ZSP),
        ),
        good("part of an object", km(64, AT), ev("kmemdup", AT, 10, K, gives=2 * AT, usable=16, changed=10)),
        good("a shorter string", km(64, AT), ev("kstrndup", AT, 9, K, gives=2 * AT, usable=16, changed=10)),
        good(
            "a string shorter than that", km(8, AT), ev("kstrndup", AT, SIZE_MAX, K, gives=2 * AT, usable=8)
        ),
        good("of a page", gfpages(0, AT), ev("kstrdup", AT, K, gives=2 * AT, usable=PAGE_SIZE)),
        good("of an area of pages", vm(PAGE_SIZE, AREA), ev("kmemdup", AREA, 100, K, gives=AT)),
        good("none where memory lacks", km(64, AT), ev("kmemdup", AT, 64, K), ev("kstrdup", AT, GFP_ATOMIC)),
        bad("SLAB-COPY", "the last byte", km(64, AT), ev("kmemdup", AT, 64, K, gives=2 * AT, changed=63)),
        bad("SLAB-COPY", "the NUL", km(64, AT), ev("kstrdup", AT, K, gives=2 * AT, changed=63)),
        bad(
            "SLAB-COPY", "the NUL behind part", km(64, AT), ev("kstrndup", AT, 9, K, gives=2 * AT, changed=9)
        ),
        bad("SLAB-COPY", "of NULL, a string", ev("kstrdup", 0, K, gives=AT)),
        bad("SLAB-COPY", "of NULL, part of a string", ev("kstrndup", 0, 3, K, gives=AT)),
    ),
    "SLAB-ROUNDUP": (
        good("of nothing", ev("kmalloc_size_roundup", 0, gives=0)),
        good("itself under contract", ev("kmalloc_size_roundup", 65, gives=65)),
        good("any more", ev("kmalloc_size_roundup", 65, gives=1024)),
        good("a class", ev("kmalloc_size_roundup", 65, gives=96), profile=LINUX_6_1),
        good("a block", ev("kmalloc_size_roundup", 8193, gives=4 * PAGE_SIZE), profile=LINUX_6_12),
        good(
            "above the maximum each version has its own",
            *(ev("kmalloc_size_roundup", MAX + 1, gives=size) for size in (MAX + 1, 2 * MAX, 0)),
            profile=LINUX_6_1,
        ),
        bad("SLAB-ROUNDUP", "less", ev("kmalloc_size_roundup", 65, gives=64)),
        bad("SLAB-ROUNDUP", "something for nothing", ev("kmalloc_size_roundup", 0, gives=8)),
        bad("SLAB-ROUNDUP", "another class", ev("kmalloc_size_roundup", 65, gives=128), profile=LINUX_6_1),
    ),
}


class TestRows(RowTests):
    rows = ROWS


def test_every_way_to_free_an_object_is_admitted() -> None:
    events = (
        *(km(64, at) for at in (AT, 2 * AT, 3 * AT, 4 * AT)),
        ev("kfree_sensitive", AT),
        ev("kvfree", 2 * AT),
        ev("kfree_bulk", 2, 0, 4 * AT, 3 * AT),
        ev("kfree_bulk", 0, 0),
        *(ev(api, nothing) for api in ("kfree_sensitive", "kvfree") for nothing in (0, ZSP)),
    )
    judge = Judge(CONTRACT)
    assert findings(judge, events) == []
    assert judge.leaks() == []
    assert judge.counts()["SLAB-FREE-NULL"] == 4


def test_a_bulk_free_gives_back_all_that_may_be() -> None:
    judge = Judge(CONTRACT)
    admit_all(judge, (km(64, AT), km(64, 2 * AT)))
    assert findings(judge, (ev("kfree_bulk", 3, 0, AT, AT, 2 * AT),)) == ["CALLER-DOUBLE-FREE"]
    assert judge.leaks() == []
    assert findings(judge, (ev("kfree_bulk", 1, 0, 0),)) == ["CALLER-FREE"], "NULL may not stand in an array"


def test_an_array_is_resized_like_an_object() -> None:
    resize = "krealloc_array"
    judge = Judge(CONTRACT)
    events = (
        km(64, AT),
        ev(resize, AT, 3, 40, K, gives=2 * AT, usable=128),
        ev(resize, 2 * AT, 1 << 32, 1 << 32, K),
        ev(resize, 2 * AT, 0, 8, K, gives=ZSP),
        ev(resize, 0, 2, 8, K, gives=AT),
        kfree(AT),
    )
    assert findings(judge, events) == []
    assert judge.leaks() == []
    judge = Judge(CONTRACT)
    assert findings(judge, (km(64, AT), ev(resize, AT, 1 << 32, 1 << 32, K, gives=AT))) == ["SLAB-ARRAY"]
