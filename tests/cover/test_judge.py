"""The judge, each rule both ways: histories that must be admitted, and their neighbours that must not."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from kmem_spec.apis import APIS
from kmem_spec.calls import Answer, Call, Event, Lost
from kmem_spec.clauses import CLAUSES
from kmem_spec.finding import Finding
from kmem_spec.gfp import (
    DIRECT_RECLAIM,
    DMA,
    DMA32,
    GFP_ATOMIC,
    GFP_KERNEL,
    HIGHMEM,
    MOVABLE,
    NOFAIL,
    RECLAIMABLE,
    ZERO,
)
from kmem_spec.judge import Judge
from kmem_spec.judging.docket import DEATHS_KEPT
from kmem_spec.liveness import LONGEST, RETRIES
from kmem_spec.profile import Profile, load
from kmem_spec.units import MAX_ERRNO, PAGE_SIZE, SIZE_MAX, ZERO_SIZE_PTR

K = GFP_KERNEL
Z = GFP_KERNEL | ZERO
AT = 0x100000  # a multiple of 1 MiB
MIB = 1 << 20
MAX = 4 * MIB
ZSP = ZERO_SIZE_PTR
CONTRACT = load("contract")
LINUX_6_1 = load("linux-6.1")
LINUX_6_12 = load("linux-6.12")
ZONES = replace(CONTRACT, name="zones", dma_end=16 * MIB, dma32_end=4096 * MIB)
PROFILES = {each.name: each for each in (CONTRACT, LINUX_6_1, LINUX_6_12, ZONES)}


def ev(api: str, *args: int, gives: int = 0, usable: int = -1, nonzero: int = -1, changed: int = -1) -> Event:
    """Return an event: the call, then what came back and what was seen besides."""
    return Event(Call(api, args), Answer(gives, usable, nonzero, changed))


def km(size: int, at: int, gfp: int = K, **seen: int) -> Event:
    """Return a kmalloc that gives `at`."""
    return ev("kmalloc", size, gfp, gives=at, **seen)


def kre(old: int, size: int, at: int, gfp: int = K, **seen: int) -> Event:
    """Return a krealloc that gives `at`."""
    return ev("krealloc", old, size, gfp, gives=at, **seen)


def gfpages(order: int, at: int, gfp: int = K, **seen: int) -> Event:
    """Return a __get_free_pages that gives `at`."""
    return ev("__get_free_pages", gfp, order, gives=at, **seen)


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


def good(says: str, *events: Event, profile: Profile = CONTRACT) -> Row:
    return Row(says, events, profile=profile)


def bad(
    clause: str, says: str, *events: Event, others: tuple[int, ...] = (), profile: Profile = CONTRACT
) -> Row:
    return Row(says, events, clause, others, profile)


# For each clause the rows that show it: first what it lets pass, then what it does not.
ROWS: dict[str, tuple[Row, ...]] = {
    "MEM-NULL": (
        good("a request that fails gives NULL", km(64, 0)),
        good("NULL after success", km(64, AT), km(64, 0), ev("kfree", AT)),
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
    "GFP-ZERO": (
        good("dirty beyond the request", km(100, AT, Z, nonzero=100)),
        good("a block of zeroes", gfpages(2, AT, Z)),
        bad("GFP-ZERO", "kmalloc, last byte", km(100, AT, Z, nonzero=99)),
        bad("GFP-ZERO", "an atomic mask", km(100, AT, GFP_ATOMIC | ZERO, nonzero=0)),
        bad("GFP-ZERO", "kmalloc_array", ev("kmalloc_array", 2, 50, Z, gives=AT, nonzero=99)),
        bad("GFP-ZERO", "the last page of a block", gfpages(2, AT, Z, nonzero=4 * PAGE_SIZE - 1)),
        bad("GFP-ZERO", "krealloc of NULL", kre(0, 100, AT, Z, nonzero=99)),
        bad("GFP-ZERO", "krealloc of ZERO_SIZE_PTR", kre(ZSP, 100, AT, Z, nonzero=99)),
    ),
    "MEM-APART": (
        good("neighbours touch", km(64, AT, usable=64), km(64, AT + 64, usable=64)),
        good("one within the request of a freed one", km(64, AT), ev("kfree", AT), km(8, AT + 8)),
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
        good("krealloc above the maximum gives NULL", km(64, AT), kre(AT, MAX + 1, 0), ev("kfree", AT)),
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
        good("the old object lives on", km(64, AT), kre(AT, 128, 0), ev("check", AT), ev("kfree", AT)),
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
    "PAGE-FREE-NULL": (good("for any order", ev("free_pages", 0, 0), ev("free_pages", 0, 99)),),
    "PAGE-ORDER-MAX": (
        good("NULL", gfpages(11, 0), gfpages(63, 0)),
        good("the largest order", gfpages(10, 4 * MIB)),
        bad("PAGE-ORDER-MAX", "order 11", gfpages(11, 8 * MIB)),
        bad("PAGE-ORDER-MAX", "order 2^32 - 1", gfpages(0xFFFFFFFF, AT)),
    ),
    "PAGE-ALIGN": (
        good("order 1", gfpages(1, AT + 2 * PAGE_SIZE)),
        bad("PAGE-ALIGN", "order 1 at an odd page", gfpages(1, AT + PAGE_SIZE)),
        bad("PAGE-ALIGN", "within a page", ev("get_zeroed_page", K, gives=AT + 64)),
        bad("PAGE-ALIGN", "order 10 at 2 MiB", gfpages(10, 6 * MIB)),
    ),
    "PAGE-ZONE": (
        good("up to the end of ZONE_DMA", gfpages(1, 16 * MIB - 2 * PAGE_SIZE, K | DMA), profile=ZONES),
        good("a lower zone than permitted", gfpages(0, AT, K | DMA32), profile=ZONES),
        good("no zone bit, any place", gfpages(0, 8192 * MIB), profile=ZONES),
        good("addresses tell nothing", gfpages(0, 8192 * MIB, K | DMA)),
        good("kmalloc is not asked", km(64, 8192 * MIB, K | DMA), profile=ZONES),
        bad("PAGE-ZONE", "beyond ZONE_DMA", gfpages(0, 16 * MIB, K | DMA), profile=ZONES),
        bad("PAGE-ZONE", "across its end", gfpages(12 - 2, 16 * MIB, K | DMA), profile=ZONES),
        bad("PAGE-ZONE", "beyond ZONE_DMA32", gfpages(0, 4096 * MIB, K | DMA32), profile=ZONES),
    ),
    "CALLER-FREE": (
        good("starts of live objects", km(64, AT), ev("kfree", AT), gfpages(1, AT), ev("free_pages", AT, 1)),
        bad("CALLER-FREE", "foreign, kfree", ev("kfree", AT)),
        bad("CALLER-FREE", "foreign, free_pages", ev("free_pages", AT, 0)),
        bad("CALLER-FREE", "foreign, krealloc", kre(AT, 8, AT)),
        bad("CALLER-FREE", "foreign, ksize", ev("ksize", AT, gives=64)),
        bad("CALLER-FREE", "interior", km(64, AT), ev("kfree", AT + 8)),
        bad("CALLER-FREE", "interior page", gfpages(1, AT), ev("free_pages", AT + PAGE_SIZE, 0)),
        bad("CALLER-FREE", "one byte short", km(64, AT), ev("kfree", AT - 1)),
        bad("CALLER-FREE", "stale, krealloc", km(64, AT), ev("kfree", AT), kre(AT, 8, AT), others=(1,)),
        bad("CALLER-FREE", "stale, ksize", km(64, AT), ev("kfree", AT), ev("ksize", AT), others=(1,)),
        bad("CALLER-FREE", "ZERO_SIZE_PTR is no page", ev("free_pages", ZSP, 0)),
    ),
    "CALLER-DOUBLE-FREE": (
        good("freed, given again, freed", km(64, AT), ev("kfree", AT), km(64, AT), ev("kfree", AT)),
        bad("CALLER-DOUBLE-FREE", "kfree", km(64, AT), ev("kfree", AT), ev("kfree", AT), others=(1,)),
        bad(
            "CALLER-DOUBLE-FREE",
            "pages",
            gfpages(0, AT),
            ev("free_pages", AT, 0),
            ev("free_pages", AT, 0),
            others=(1,),
        ),
        bad(
            "CALLER-DOUBLE-FREE",
            "after a resize to nothing",
            km(64, AT),
            kre(AT, 0, ZSP),
            ev("kfree", AT),
            others=(1,),
        ),
        bad(
            "CALLER-DOUBLE-FREE",
            "after a resize that moved",
            km(64, AT),
            kre(AT, 128, 2 * AT),
            ev("kfree", AT),
            others=(1,),
        ),
        bad(
            "CALLER-DOUBLE-FREE",
            "of two deaths the later",
            *(km(64, AT), ev("kfree", AT), km(64, AT), ev("kfree", AT), ev("kfree", AT)),
            others=(3,),
        ),
    ),
    "CALLER-FAMILY": (
        good("each to its own", km(PAGE_SIZE, AT), ev("kfree", AT)),
        bad(
            "CALLER-FAMILY",
            "an object to free_pages",
            km(PAGE_SIZE, AT),
            ev("free_pages", AT, 0),
            others=(0,),
        ),
        bad("CALLER-FAMILY", "pages to kfree", gfpages(0, AT), ev("kfree", AT), others=(0,)),
        bad("CALLER-FAMILY", "pages to krealloc", gfpages(0, AT), kre(AT, 9, 2 * AT), others=(0,)),
        bad(
            "CALLER-FAMILY",
            "pages to ksize",
            ev("get_zeroed_page", K, gives=AT),
            ev("ksize", AT),
            others=(0,),
        ),
    ),
    "CALLER-ORDER": (
        good("the same order", gfpages(3, AT), ev("free_pages", AT, 3)),
        good("get_zeroed_page is of order 0", ev("get_zeroed_page", K, gives=AT), ev("free_pages", AT, 0)),
        bad("CALLER-ORDER", "a lower one", gfpages(3, AT), ev("free_pages", AT, 2), others=(0,)),
        bad("CALLER-ORDER", "a higher one", gfpages(0, AT), ev("free_pages", AT, 1), others=(0,)),
    ),
    "CALLER-GFP": (
        good("one zone, one mobility", km(64, 0, K | DMA | MOVABLE), gfpages(0, 0, K | DMA32)),
        good("__GFP_NOFAIL that may sleep", km(64, AT, K | NOFAIL)),
        bad("CALLER-GFP", "two zones", km(64, 0, K | DMA | DMA32)),
        bad("CALLER-GFP", "two zones, HIGHMEM", ev("get_zeroed_page", K | DMA | HIGHMEM)),
        bad("CALLER-GFP", "two mobilities", gfpages(0, 0, K | MOVABLE | RECLAIMABLE)),
        bad(
            "CALLER-GFP", "__GFP_NOFAIL that may not sleep", ev("kcalloc", 1, 8, K & ~DIRECT_RECLAIM | NOFAIL)
        ),
        bad("CALLER-GFP", "krealloc", km(64, AT), kre(AT, 96, 0, K | DMA | DMA32)),
        bad("CALLER-GFP", "krealloc of NULL", kre(0, 96, 0, K | DMA | DMA32)),
    ),
}
ALL_ROWS = [row for rows in ROWS.values() for row in rows]
REJECTED = [row for row in ALL_ROWS if row.clause]


def admit_all(judge: Judge, events: tuple[Event, ...]) -> list[Finding | None]:
    return [judge.admit(event) for event in events]


def ledger_of(judge: Judge) -> tuple[dict[int, int], dict[int, object]]:
    return dict(judge.spans), dict(judge.records)


@pytest.mark.parametrize("row", ALL_ROWS, ids=str)
def test_each_rule_both_ways(row: Row) -> None:
    judge = Judge(row.profile)
    findings = admit_all(judge, row.events)
    expected = [""] * (len(row.events) - 1) + [row.clause]
    assert [finding.clause if finding else "" for finding in findings] == expected
    last = findings[-1]
    if last is not None:
        assert last.who == CLAUSES[row.clause].who
        assert last.event == len(row.events) - 1
        assert last.others == row.others
        assert last.message.startswith(f"{row.events[-1].call.api}(")


def test_every_judged_clause_is_shown_both_ways() -> None:
    by_hand = {"MEM-RETURNS", "MEM-LIVENESS", "CALLER-LEAK"}
    in_force = {each.id for profile in PROFILES.values() for each in profile.clauses()}
    assert in_force == set(ROWS) | by_hand
    for clause, rows in ROWS.items():
        assert any(not row.clause for row in rows), clause
        shown = {row.clause for row in rows} - {""}
        assert shown <= {clause}
        assert shown or CLAUSES[clause].kind == "history", clause


@pytest.mark.parametrize("row", REJECTED, ids=str)
def test_a_refused_event_leaves_the_ledger_as_it_was(row: Row) -> None:
    judge = Judge(row.profile)
    admit_all(judge, row.events[:-1])
    before, held = ledger_of(judge), set(judge.records)
    finding = judge.admit(row.events[-1])
    assert finding is not None
    if finding.who == "caller" or finding.clause == "SLAB-KSIZE":
        assert ledger_of(judge) == before
    else:  # the objects of a finding are judged no further; nothing is added
        call = row.events[-1].call
        involved = {row.events[each].answer.result for each in finding.others}
        involved |= {call.args[0]} if call.api == "krealloc" else set()
        assert set(judge.records) == held - involved


@pytest.mark.parametrize("row", REJECTED, ids=str)
def test_a_waived_clause_is_not_judged(row: Row) -> None:
    judge = Judge(row.profile, waived=frozenset({row.clause}))
    findings = admit_all(judge, row.events)
    assert all(finding is None or finding.clause != row.clause for finding in findings)
    assert row.clause not in judge.counts()
    judge.leaks()  # and the history can go on


@pytest.mark.parametrize("row", REJECTED, ids=str)
def test_the_rest_of_a_history_is_judged_without_the_objects_of_a_finding(row: Row) -> None:
    judge = Judge(row.profile)
    admit_all(judge, row.events)
    call, answer = row.events[-1]
    finding = None
    if APIS[call.api].role in {"allocate", "resize"} and answer.result > ZSP:
        start = answer.result
        if APIS[call.api].family == "page":
            order = call.args[1] if len(call.args) > 1 else 0
            finding = judge.admit(ev("free_pages", start, order))
        else:
            assert judge.admit(ev("ksize", start, gives=1 << 60)) is None
            finding = judge.admit(ev("kfree", start))
    assert finding is None
    other = 64 * MAX
    assert admit_all(judge, (km(64, other), ev("kfree", other))) == [None, None]


# Calls that do not return.


@dataclass(frozen=True)
class Loss:
    """A call that does not return after some events, and the clause that it breaks."""

    says: str
    events: tuple[Event, ...]
    call: Call
    clause: str
    who: str = "allocator"

    def __str__(self) -> str:
        return self.says


LOSSES = [
    Loss("kmalloc", (), Call("kmalloc", (64, K)), "MEM-RETURNS"),
    Loss("a request that must fail", (), Call("kmalloc", (SIZE_MAX, K)), "MEM-RETURNS"),
    Loss("kfree of a live object", (km(64, AT),), Call("kfree", (AT,)), "MEM-RETURNS"),
    Loss("krealloc of a live object", (km(64, AT),), Call("krealloc", (AT, 128, K)), "MEM-RETURNS"),
    Loss("krealloc of NULL", (), Call("krealloc", (0, 128, K)), "MEM-RETURNS"),
    Loss("ksize", (km(64, AT),), Call("ksize", (AT,)), "MEM-RETURNS"),
    Loss("ksize of NULL", (), Call("ksize", (0,)), "MEM-RETURNS"),
    Loss("free_pages", (gfpages(2, AT),), Call("free_pages", (AT, 2)), "MEM-RETURNS"),
    Loss("a look at a live object", (km(64, AT),), Call("check", (AT,)), "MEM-RETURNS"),
    Loss("kfree of NULL", (), Call("kfree", (0,)), "SLAB-FREE-NULL"),
    Loss("kfree of ZERO_SIZE_PTR", (), Call("kfree", (ZSP,)), "SLAB-FREE-NULL"),
    Loss("free_pages of 0", (), Call("free_pages", (0, 7)), "PAGE-FREE-NULL"),
    Loss("an illegal mask", (), Call("kmalloc", (64, K | DMA | DMA32)), "CALLER-GFP", "caller"),
    Loss(
        "free of a stale object",
        (km(8, AT), ev("kfree", AT)),
        Call("kfree", (AT,)),
        "CALLER-DOUBLE-FREE",
        "caller",
    ),
    Loss("free of a foreign address", (), Call("kfree", (AT,)), "CALLER-FREE", "caller"),
    Loss("free of another family", (gfpages(0, AT),), Call("kfree", (AT,)), "CALLER-FAMILY", "caller"),
    Loss("free with another order", (gfpages(0, AT),), Call("free_pages", (AT, 1)), "CALLER-ORDER", "caller"),
]


@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_a_legal_call_that_does_not_return_is_a_violation(loss: Loss) -> None:
    judge = Judge(CONTRACT)
    assert admit_all(judge, loss.events) == [None] * len(loss.events)
    finding = judge.lose(Lost(loss.call, "crashed with SIGSEGV"))
    assert finding is not None
    assert (finding.clause, finding.who, finding.event) == (loss.clause, loss.who, len(loss.events))
    if loss.who == "allocator":
        assert finding.message.endswith(") crashed with SIGSEGV")
    assert judge.events == len(loss.events) + 1


@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_a_call_that_does_not_return_can_be_waived(loss: Loss) -> None:
    judge = Judge(CONTRACT, waived=frozenset({loss.clause}))
    admit_all(judge, loss.events)
    finding = judge.lose(Lost(loss.call, "crashed with SIGSEGV"))
    assert finding is None or finding.clause != loss.clause


def test_a_crash_on_a_wrong_pointer_is_never_the_targets() -> None:
    judge = Judge(CONTRACT, waived=frozenset({"CALLER-DOUBLE-FREE"}))
    admit_all(judge, (km(64, AT), ev("kfree", AT)))
    assert judge.lose(Lost(Call("kfree", (AT,)), "crashed with SIGSEGV")) is None


# Leaks.


def test_what_is_live_at_the_end_is_a_leak() -> None:
    judge = Judge(CONTRACT)
    admit_all(judge, (km(64, AT), km(0, ZSP), gfpages(1, 2 * AT), ev("kfree", AT), km(100, AT)))
    leaks = judge.leaks()
    assert [(leak.clause, leak.who, leak.others) for leak in leaks] == [
        ("CALLER-LEAK", "caller", (2,)),
        ("CALLER-LEAK", "caller", (4,)),
    ]
    assert [leak.message for leak in leaks] == [
        "8192 bytes at 0x200000 are never freed",
        "100 bytes at 0x100000 are never freed",
    ]


def test_what_was_freed_is_no_leak_and_leaks_can_be_waived() -> None:
    judge = Judge(CONTRACT, waived=frozenset({"CALLER-LEAK"}))
    admit_all(judge, (km(64, AT), ev("kfree", AT)))
    assert judge.leaks() == []
    judge.admit(km(64, AT))
    assert judge.leaks() == []


# What the judge must not do.


def test_reuse_at_once_or_never_is_both_admitted() -> None:
    for places in ([AT] * 50, [AT + 64 * step for step in range(50)]):
        judge = Judge(LINUX_6_1)
        for at in places:
            assert admit_all(judge, (km(64, at, usable=64), ev("kfree", at))) == [None, None]
        assert judge.leaks() == []


def test_no_size_class_is_demanded_under_contract() -> None:
    judge = Judge(CONTRACT)
    for step, usable in enumerate((100, 101, 104, 112, 128, 4096)):
        assert judge.admit(km(100, AT + step * PAGE_SIZE, usable=usable)) is None
    assert judge.counts().get("SLAB-CLASS", 0) == 0


def test_a_krealloc_in_place_owes_no_alignment() -> None:
    for profile in PROFILES.values():
        judge = Judge(profile)
        at = AT + 96 if profile is not LINUX_6_12 else AT + 32
        events = (
            km(96, at, usable=96),
            kre(at, 64, at, usable=96),
            ev("ksize", at, gives=96),
            ev("kfree", at),
        )
        assert admit_all(judge, events) == [None] * 4, profile.name


def test_zeroing_is_not_judged_after_a_step_without_it() -> None:
    judge = Judge(LINUX_6_1)
    events = (
        km(64, AT, Z),
        kre(AT, 32, AT),
        kre(AT, 64, AT, Z, nonzero=40),
        kre(AT, 128, 2 * AT, Z, nonzero=100),
    )
    assert admit_all(judge, events) == [None] * 4


def test_an_allocator_that_fails_one_call_in_fifty_passes_liveness() -> None:
    dice = random.Random(7)
    judge = Judge(CONTRACT)
    for _ in range(3000):
        place = 0 if dice.random() < 0.02 else AT
        assert judge.admit(gfpages(2, place)) is None
        if place:
            assert judge.admit(ev("free_pages", AT, 2)) is None
    assert judge.counts()["MEM-LIVENESS"] > 5000


# Liveness.


def cycle(judge: Judge, place: int, size: int = 64) -> Finding | None:
    """Make and free an object; a NULL is what is judged."""
    finding = judge.admit(km(size, place))
    if place:
        assert finding is None
        finding = judge.admit(ev("kfree", place))
    return finding


def test_what_ran_from_empty_must_run_again() -> None:
    judge = Judge(CONTRACT)
    assert cycle(judge, AT) is None
    assert [cycle(judge, 0) for _ in range(RETRIES - 1)] == [None] * (RETRIES - 1)
    finding = cycle(judge, 0)
    assert finding is not None
    assert (finding.clause, finding.who, finding.event) == ("MEM-LIVENESS", "allocator", RETRIES + 1)
    assert f"in {RETRIES} rounds in a row" in finding.message


def test_one_success_within_the_retries_is_enough() -> None:
    judge = Judge(CONTRACT)
    for _ in range(10):
        assert cycle(judge, AT) is None
        assert [cycle(judge, 0) for _ in range(RETRIES - 1)] == [None] * (RETRIES - 1)


def test_what_never_ran_need_not_run() -> None:
    judge = Judge(CONTRACT)
    assert [cycle(judge, 0) for _ in range(5 * RETRIES)] == [None] * (5 * RETRIES)


def test_after_another_size_an_object_need_not_be_had_but_a_block_must() -> None:
    judge = Judge(CONTRACT)
    cycle(judge, AT)
    cycle(judge, AT, size=200)
    assert [cycle(judge, 0) for _ in range(2 * RETRIES)] == [None] * (2 * RETRIES)
    judge = Judge(CONTRACT)
    for order in (2, 5):
        admit_all(judge, (gfpages(order, AT), ev("free_pages", AT, order)))
    findings = [judge.admit(gfpages(2, 0)) for _ in range(RETRIES)]
    assert [finding.clause for finding in findings if finding] == ["MEM-LIVENESS"]


def test_blocks_above_the_merge_order_may_stay_split() -> None:
    for order, stuck in ((3, True), (4, False)):
        judge = Judge(LINUX_6_1)
        admit_all(judge, (gfpages(order, AT), ev("free_pages", AT, order)))
        findings = [judge.admit(gfpages(order, 0)) for _ in range(RETRIES)]
        assert any(findings) == stuck


def test_a_resize_is_part_of_a_cycle() -> None:
    judge = Judge(CONTRACT)
    grown = (km(64, AT), kre(AT, 200, 2 * AT), ev("kfree", 2 * AT))
    refused = (km(64, AT), kre(AT, 200, 0), ev("kfree", AT))
    assert admit_all(judge, grown) == [None] * 3
    found = [finding for _ in range(RETRIES) for finding in admit_all(judge, refused) if finding]
    assert [finding.clause for finding in found] == ["MEM-LIVENESS"]


def test_liveness_is_judged_only_while_the_same_calls_come_again() -> None:
    judge = Judge(CONTRACT)
    admit_all(judge, (km(64, AT), km(96, 2 * AT), ev("kfree", AT), ev("kfree", 2 * AT)))
    for _ in range(3 * RETRIES):  # a cycle that parts from the first after its first call
        assert admit_all(judge, (km(64, AT), km(128, 0), ev("kfree", AT))) == [None] * 3


def test_a_very_long_cycle_is_not_followed_to_its_end() -> None:
    judge = Judge(CONTRACT)
    for _ in range(2):
        for index in range(LONGEST + 10):
            assert judge.admit(km(8, AT + 8 * index)) is None
        for index in range(LONGEST + 10):
            assert judge.admit(ev("kfree", AT + 8 * index)) is None
    assert judge.counts()["MEM-LIVENESS"] == LONGEST


def test_liveness_can_be_waived() -> None:
    judge = Judge(CONTRACT, waived=frozenset({"MEM-LIVENESS"}))
    cycle(judge, AT)
    assert [cycle(judge, 0) for _ in range(2 * RETRIES)] == [None] * (2 * RETRIES)
    assert "MEM-LIVENESS" not in judge.counts()


# Counts, and the judge over more than one run.


def test_counts_say_how_often_each_clause_in_force_was_judged() -> None:
    judge = Judge(LINUX_6_1, looked=True)
    events = (
        km(65, AT, usable=96),
        km(65, 0),
        ev("kzalloc", 64, K, gives=2 * AT, usable=64),
        ev("ksize", AT, gives=96),
        kre(AT, 0, ZSP),
        ev("kfree", 2 * AT),
        ev("kfree", 0),
        gfpages(1, 0),
        ev("free_pages", 0, 0),
    )
    assert admit_all(judge, events) == [None] * len(events)
    counts = {clause: count for clause, count in judge.counts().items() if count}
    assert counts == {
        "MEM-NULL": 4,
        "MEM-USABLE": 2,
        "MEM-ZERO": 1,
        "MEM-APART": 2,
        "MEM-RETURNS": len(events),
        "MEM-KEEP": 1,
        "SLAB-ALIGN": 2,
        "SLAB-ALIGN-POWER": 1,
        "SLAB-CLASS": 2,
        "SLAB-KSIZE": 1,
        "SLAB-REALLOC-FREE": 1,
        "SLAB-FREE-NULL": 1,
        "PAGE-FREE-NULL": 1,
    }
    assert set(judge.counts()) == {each.id for each in LINUX_6_1.clauses()}


def test_counts_outlive_the_plans_that_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kmem_spec.judging.docket.PLANS_KEPT", 4)
    judge = Judge(CONTRACT)
    for size in range(1, 30):
        assert judge.admit(km(size, 0)) is None
    assert judge.counts()["MEM-NULL"] == 29


def test_a_judge_starts_over_with_nothing_live_and_keeps_its_counts() -> None:
    judge = Judge(CONTRACT)
    cycle(judge, AT)
    cycle(judge, AT)
    admit_all(judge, (km(64, AT),))
    before = judge.counts()
    judge.start_over()
    assert judge.leaks() == []
    assert judge.counts() == before
    assert judge.admit(km(64, AT)) is None
    assert judge.events == 6
    finding = judge.admit(km(64, AT))
    assert finding is not None
    assert (finding.event, finding.others) == (6, (5,)), "events count on"


def test_an_object_that_changed_is_reported_once_and_its_free_is_not_judged() -> None:
    judge = Judge(CONTRACT)
    judge.admit(km(64, AT))
    finding = judge.admit(ev("check", AT, changed=0))
    assert finding is not None
    assert admit_all(judge, (ev("check", AT, changed=0), ev("kfree", AT), km(64, AT))) == [None] * 3


def test_objects_that_share_bytes_may_be_freed_after_the_finding() -> None:
    judge = Judge(CONTRACT)
    admit_all(judge, (km(64, AT), km(64, AT + 64), km(1024, 2 * AT)))
    finding = judge.admit(km(128, AT))
    assert finding is not None
    assert finding.others == (0, 1)
    assert (
        "shares bytes with the live 64 bytes at 0x100000 from kmalloc; 64 bytes at 0x100040"
        in finding.message
    )
    assert admit_all(judge, (ev("kfree", AT), ev("kfree", AT + 64), ev("kfree", 2 * AT))) == [None] * 3


def test_an_address_is_judged_again_once_the_objects_of_a_finding_are_gone() -> None:
    judge = Judge(CONTRACT)
    judge.admit(km(64, AT))
    finding = judge.admit(km(64, AT))
    assert finding is not None
    assert admit_all(judge, (kre(AT, 128, 2 * AT), ev("kfree", AT), ev("kfree", 2 * AT))) == [None] * 3
    judge.admit(km(64, AT))
    finding = judge.admit(km(64, AT))
    assert finding is not None
    assert (finding.clause, finding.others) == ("MEM-APART", (5,))


def test_an_address_given_again_before_that_is_not_judged() -> None:
    judge = Judge(CONTRACT)
    assert judge.admit(km(64, AT + 32)) is not None
    again = (km(40, AT + 32), kre(0, 40, AT + 32), km(40, 2 * AT), kre(2 * AT, 48, AT + 32))
    assert admit_all(judge, (*again, *[ev("kfree", AT + 32)] * 4)) == [None] * 8
    finding = judge.admit(ev("kfree", AT + 32))
    assert finding is not None
    assert finding.clause == "CALLER-FREE"


def test_the_death_of_the_target_on_an_object_of_a_finding_is_the_targets() -> None:
    judge = Judge(CONTRACT)
    judge.admit(km(64, AT + 32))
    finding = judge.lose(Lost(Call("kfree", (AT + 32,)), "crashed with SIGSEGV"))
    assert finding is not None
    assert finding.clause == "MEM-RETURNS"


def test_an_illegal_mask_is_the_callers_and_the_object_is_not_judged() -> None:
    mask = K | DMA | DMA32
    judge = Judge(CONTRACT)
    finding = judge.admit(km(64, AT, mask))
    assert finding is not None
    assert finding.clause == "CALLER-GFP"
    assert judge.admit(ev("kfree", AT)) is None
    judge = Judge(CONTRACT, waived=frozenset({"CALLER-GFP"}))
    assert admit_all(judge, (km(64, AT, mask), kre(AT, 96, AT, mask), ev("kfree", AT))) == [None] * 3


def test_a_death_is_remembered_for_long() -> None:
    assert DEATHS_KEPT >= 1 << 20


def show_asked(message: Callable[[Finding], str], row: Row) -> str:
    finding = admit_all(Judge(row.profile), row.events)[-1]
    assert finding is not None
    return message(finding)


@pytest.mark.parametrize(
    ("clause", "message"),
    [
        ("MEM-NULL", "kmalloc(64, GFP_KERNEL) gave 0xfffffffffffffff4"),
        ("MEM-USABLE", "kmalloc(65, GFP_KERNEL) gave 0x100000 with 64 usable bytes"),
        (
            "MEM-ZERO",
            "kzalloc(100, GFP_KERNEL) gave 0x100000; the byte at offset 99 of the 100 promised zero is not",
        ),
        ("SLAB-ZERO-SIZE", "kmalloc(0, GFP_KERNEL) gave NULL"),
        ("MEM-KEEP", "check(0x100000) gave NULL; the byte at offset 63 is not as its owner wrote it"),
        ("CALLER-FREE", "kfree(0x100000): no live allocation starts there"),
        ("CALLER-DOUBLE-FREE", "kfree(0x100000): freed before"),
        ("CALLER-FAMILY", "free_pages(0x100000, 0): it came from kmalloc"),
        ("CALLER-ORDER", "free_pages(0x100000, 2): it was allocated with order 3"),
        ("CALLER-GFP", "kmalloc(64, GFP_KERNEL | __GFP_DMA | __GFP_DMA32) has an illegal mask"),
    ],
)
def test_a_finding_says_what_was_asked_and_what_came(clause: str, message: str) -> None:
    row = next(row for row in ROWS[clause] if row.clause)
    assert show_asked(lambda finding: finding.message, row) == message
