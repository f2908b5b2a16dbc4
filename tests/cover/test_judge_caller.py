"""The judge on mistakes of the caller, each both ways: they are never taken for the allocator's."""

from __future__ import annotations

from tests.cover.judging import (
    AREA,
    AT,
    MAX,
    POOL,
    SLAB_POOL,
    ZSP,
    C,
    D,
    K,
    Rows,
    RowTests,
    Z,
    bad,
    ca,
    cf,
    create,
    create26,
    destroy,
    ev,
    gfpages,
    good,
    item,
    kfree,
    km,
    kre,
    pa,
    pf,
    pool,
    vm,
)

from kmem_spec import slab_flags
from kmem_spec.gfp import (
    DIRECT_RECLAIM,
    DMA,
    DMA32,
    GFP_ATOMIC,
    GFP_NOWAIT,
    HIGHMEM,
    MOVABLE,
    NOFAIL,
    RECLAIMABLE,
)
from kmem_spec.units import PAGE_SIZE

ATOMIC, TASK = ev("preempt_disable"), ev("preempt_enable")
EXACT = ev("alloc_pages_exact", PAGE_SIZE, K, gives=AT)

# For each clause the rows that show it: first what it lets pass, then what it does not.
ROWS: Rows = {
    "CALLER-FREE": (
        good("starts of live objects", km(64, AT), kfree(AT), gfpages(1, AT), ev("free_pages", AT, 1)),
        bad("CALLER-FREE", "foreign, kfree", kfree(AT)),
        bad("CALLER-FREE", "foreign, free_pages", ev("free_pages", AT, 0)),
        bad("CALLER-FREE", "foreign, krealloc", kre(AT, 8, AT)),
        bad("CALLER-FREE", "foreign, ksize", ev("ksize", AT, gives=64)),
        bad("CALLER-FREE", "interior", km(64, AT), ev("kfree", AT + 8)),
        bad("CALLER-FREE", "interior page", gfpages(1, AT), ev("free_pages", AT + PAGE_SIZE, 0)),
        bad("CALLER-FREE", "one byte short", km(64, AT), ev("kfree", AT - 1)),
        bad("CALLER-FREE", "stale, krealloc", km(64, AT), kfree(AT), kre(AT, 8, AT), others=(1,)),
        bad("CALLER-FREE", "stale, ksize", km(64, AT), kfree(AT), ev("ksize", AT), others=(1,)),
        bad("CALLER-FREE", "ZERO_SIZE_PTR is no page", ev("free_pages", ZSP, 0)),
        bad("CALLER-FREE", "NULL to __free_pages", ev("__free_pages", 0, 0)),
        bad("CALLER-FREE", "NULL to kmem_cache_free", create(C), cf(C, 0)),
        bad("CALLER-FREE", "NULL in an array", ev("kfree_bulk", 1, 0, 0)),
        bad("CALLER-FREE", "ZERO_SIZE_PTR is no area", ev("vfree", ZSP)),
        bad("CALLER-FREE", "interior of an area", vm(8192, AREA), ev("vfree", AREA + PAGE_SIZE)),
        bad("CALLER-FREE", "copied", ev("kmemdup", AT, 8, K, gives=2 * AT)),
        bad("CALLER-FREE", "a string", ev("kstrdup", AT, K, gives=2 * AT)),
        bad("CALLER-FREE", "a page to be mapped", ev("vmap", 0, 1, 4, 0, AT, gives=AREA)),
        bad("CALLER-FREE", "a page behind no area", ev("vmalloc_to_page", AREA, 0, gives=AT)),
    ),
    "CALLER-DOUBLE-FREE": (
        good("freed, given again, freed", km(64, AT), kfree(AT), km(64, AT), kfree(AT)),
        bad("CALLER-DOUBLE-FREE", "kfree", km(64, AT), kfree(AT), kfree(AT), others=(1,)),
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
            kfree(AT),
            others=(1,),
        ),
        bad(
            "CALLER-DOUBLE-FREE",
            "after a resize that moved",
            km(64, AT),
            kre(AT, 128, 2 * AT),
            kfree(AT),
            others=(1,),
        ),
        bad(
            "CALLER-DOUBLE-FREE",
            "of two deaths the later",
            *(km(64, AT), kfree(AT), km(64, AT), kfree(AT), kfree(AT)),
            others=(3,),
        ),
    ),
    "CALLER-FAMILY": (
        good("each to its own", km(PAGE_SIZE, AT), kfree(AT)),
        bad(
            "CALLER-FAMILY",
            "an object to free_pages",
            km(PAGE_SIZE, AT),
            ev("free_pages", AT, 0),
            others=(0,),
        ),
        bad("CALLER-FAMILY", "pages to kfree", gfpages(0, AT), kfree(AT), others=(0,)),
        bad("CALLER-FAMILY", "pages to krealloc", gfpages(0, AT), kre(AT, 9, 2 * AT), others=(0,)),
        good(
            "kvfree takes what kmalloc and vmalloc give",
            *(km(64, AT), ev("kvfree", AT), vm(64, AREA), ev("kvfree", AREA)),
            *(ev("kvmalloc", 64, K, gives=AT), ev("kvfree", AT)),
        ),
        bad("CALLER-FAMILY", "an area to kfree", vm(64, AREA), kfree(AREA), others=(0,)),
        bad("CALLER-FAMILY", "an object to vfree", km(64, AT), ev("vfree", AT), others=(0,)),
        bad("CALLER-FAMILY", "of kvmalloc to kfree", ev("kvmalloc", 64, K, gives=AT), kfree(AT), others=(0,)),
        bad("CALLER-FAMILY", "a cache's object to kfree", create(C), ca(C, AT), kfree(AT), others=(1,)),
        bad("CALLER-FAMILY", "an object to a cache", create(C), km(40, AT), cf(C, AT), others=(1,)),
        bad("CALLER-FAMILY", "an element to kfree", pool(POOL, 1), pa(AT), kfree(AT), others=(1,)),
        bad("CALLER-FAMILY", "exact pages to free_pages", EXACT, ev("free_pages", AT, 0), others=(0,)),
        bad(
            "CALLER-FAMILY",
            "a block to free_pages_exact",
            gfpages(0, AT),
            ev("free_pages_exact", AT, 4096),
            others=(0,),
        ),
        bad("CALLER-FAMILY", "an area to vunmap", vm(64, AREA), ev("vunmap", AREA), others=(0,)),
        bad("CALLER-FAMILY", "a page of an object", km(4096, AT), ev("vmap", 0, 1, 4, 0, AT), others=(0,)),
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
        good("any with kvmalloc", ev("kvmalloc", 8192, GFP_ATOMIC, gives=AT)),
        bad("CALLER-GFP", "vmalloc that may not sleep", ev("__vmalloc", 8192, GFP_ATOMIC, gives=AREA)),
        bad("CALLER-GFP", "vmalloc of a zone", ev("__vmalloc", 8192, K | DMA32)),
        bad("CALLER-GFP", "a pool's zeroes", pool(POOL, 1), pa(AT, Z)),
        bad("CALLER-GFP", "a pool's zeroes, refused", pool(POOL, 1), pa(0, Z)),
        bad("CALLER-GFP", "an object of a cache", create(C), ca(C, AT, gfp=K | DMA | DMA32)),
        bad(
            "CALLER-GFP", "a bulk", create(C), ev("kmem_cache_alloc_bulk", C, K | DMA | DMA32, 2, 0, gives=2)
        ),
        bad("CALLER-GFP", "a copy", km(64, AT), ev("kmemdup", AT, 64, K | DMA | DMA32, gives=2 * AT)),
        bad("CALLER-GFP", "krealloc", km(64, AT), kre(AT, 96, 0, K | DMA | DMA32)),
        bad("CALLER-GFP", "krealloc that moves", km(64, AT), kre(AT, 96, 2 * AT, K | DMA | DMA32)),
        bad("CALLER-GFP", "krealloc of NULL", kre(0, 96, 0, K | DMA | DMA32)),
    ),
    "CALLER-SIZE": (
        good("the same size", ev("alloc_pages_exact", 5000, K, gives=AT), ev("free_pages_exact", AT, 5000)),
        bad(
            "CALLER-SIZE",
            "fewer pages",
            ev("alloc_pages_exact", 5000, K, gives=AT),
            ev("free_pages_exact", AT, 9),
            others=(0,),
        ),
        bad(
            "CALLER-SIZE",
            "as many pages",
            ev("alloc_pages_exact", 5000, K, gives=AT),
            ev("free_pages_exact", AT, 5001),
            others=(0,),
        ),
    ),
    "CALLER-CONTEXT": (
        good(
            "what may not sleep", ATOMIC, km(64, AT, GFP_ATOMIC), kfree(AT), ev("preempt_enable"), km(8, AT)
        ),
        good("left as often as entered", ATOMIC, ATOMIC, TASK, TASK, km(64, AT)),
        good("left without being entered", TASK, TASK, ATOMIC, km(64, AT, GFP_ATOMIC)),
        good(
            "of an array in bulk",
            create(C),
            ATOMIC,
            ev("kmem_cache_alloc_bulk", C, GFP_ATOMIC, 1, 0, gives=1),
            item(0, AT),
        ),
        good("a resize", ATOMIC, km(8, AT, GFP_NOWAIT), kre(AT, 64, 2 * AT, GFP_NOWAIT), ev("check", 2 * AT)),
        bad("CALLER-CONTEXT", "kmalloc", ATOMIC, km(64, AT)),
        bad("CALLER-CONTEXT", "that fails", ATOMIC, km(64, 0)),
        bad("CALLER-CONTEXT", "left too rarely", ATOMIC, ATOMIC, TASK, ev("get_zeroed_page", K, gives=AT)),
        bad("CALLER-CONTEXT", "krealloc", km(8, AT), ATOMIC, kre(AT, 64, 2 * AT)),
        bad("CALLER-CONTEXT", "in place", km(8, AT), ATOMIC, kre(AT, 64, AT)),
        bad("CALLER-CONTEXT", "vmalloc", ATOMIC, vm(1, AREA)),
        bad("CALLER-CONTEXT", "vfree", vm(1, AREA), ATOMIC, ev("vfree", AREA)),
        bad("CALLER-CONTEXT", "kvfree, of whatever", km(8, AT), ATOMIC, ev("kvfree", AT)),
        bad("CALLER-CONTEXT", "vmap", gfpages(0, AT), ATOMIC, ev("vmap", 0, 1, 4, 0, AT, gives=AREA)),
        bad("CALLER-CONTEXT", "kmem_cache_create", ATOMIC, create(C)),
        bad("CALLER-CONTEXT", "kmem_cache_destroy", create(C), ATOMIC, destroy(C)),
        bad("CALLER-CONTEXT", "kmem_cache_alloc", create(C), ATOMIC, ca(C, AT)),
        bad("CALLER-CONTEXT", "in bulk", create(C), ATOMIC, ev("kmem_cache_alloc_bulk", C, K, 1, 0, gives=1)),
        bad("CALLER-CONTEXT", "mempool_alloc", pool(POOL, 1), ATOMIC, pa(AT)),
        bad("CALLER-CONTEXT", "mempool_resize", pool(POOL, 1), ATOMIC, ev("mempool_resize", POOL, 2)),
    ),
    "CALLER-BOUNDS": (
        good("all of an object", km(64, AT), ev("kmemdup", AT, 64, K, gives=2 * AT)),
        good("a string is cut", km(64, AT), ev("kstrndup", AT, 1000, K, gives=2 * AT)),
        bad(
            "CALLER-BOUNDS", "one byte more", km(64, AT), ev("kmemdup", AT, 65, K, gives=2 * AT), others=(0,)
        ),
        bad(
            "CALLER-BOUNDS",
            "in the usable tail",
            km(65, AT, usable=96),
            ev("kmemdup", AT, 66, K),
            others=(0,),
        ),
    ),
    "CALLER-CREATE": (
        good("a cache", create(C, 1), create(D, MAX, 64)),
        good("with a constructor", create(C, ctor=1), create26(D), create26(D + 64, dtor=0)),
        bad("CALLER-CREATE", "no name", ev("kmem_cache_create", 0, 40, 0, 0, 0, gives=C)),
        bad("CALLER-CREATE", "no size", create(C, 0)),
        bad("CALLER-CREATE", "an odd alignment", create(C, 40, 24)),
        bad("CALLER-CREATE", "a destructor alone", create26(C, ctor=0)),
        bad("CALLER-CREATE", "a destructor under RCU", create26(C, flags=slab_flags.TYPESAFE_BY_RCU)),
        bad("CALLER-CREATE", "refused", create(0, 0)),
        bad(
            "CALLER-CREATE",
            "a pool of constructed objects",
            create(C, ctor=1),
            ev("mempool_create_slab_pool", 2, C, gives=POOL),
        ),
    ),
    "CALLER-HANDLE": (
        good(
            "what is there",
            create(C),
            ev("kmem_cache_size", C, gives=40),
            ev("kmem_cache_shrink", C),
            destroy(C),
        ),
        good("a pool", pool(POOL, 1), ev("mempool_resize", POOL, 2), ev("mempool_destroy", POOL)),
        bad("CALLER-HANDLE", "foreign, alloc", ca(C, AT)),
        bad("CALLER-HANDLE", "foreign, bulk", ev("kmem_cache_alloc_bulk", C, K, 2, 0, gives=2)),
        bad("CALLER-HANDLE", "foreign, size", ev("kmem_cache_size", C, gives=40)),
        bad("CALLER-HANDLE", "foreign, shrink", ev("kmem_cache_shrink", C)),
        bad("CALLER-HANDLE", "stale, destroy", create(C), destroy(C), destroy(C)),
        bad("CALLER-HANDLE", "stale, alloc", create(C), ca(C, AT), cf(C, AT), destroy(C), ca(C, AT)),
        bad("CALLER-HANDLE", "a pool is no cache", pool(POOL, 1), ca(POOL, AT)),
        bad("CALLER-HANDLE", "nor is it shrunk", pool(POOL, 1), ev("kmem_cache_shrink", POOL)),
        bad("CALLER-HANDLE", "a cache is no pool", create(C), pa(AT, of=C)),
        bad("CALLER-HANDLE", "nor is it resized", create(C), ev("mempool_resize", C, 2)),
        bad("CALLER-HANDLE", "foreign pool, destroy", ev("mempool_destroy", POOL)),
        bad("CALLER-HANDLE", "a pool of no cache", ev("mempool_create_slab_pool", 2, C, gives=POOL)),
    ),
    "CALLER-CACHE": (
        good("each to its own", create(C), create(D), ca(C, AT), ca(D, 2 * AT), cf(D, 2 * AT), cf(C, AT)),
        bad("CALLER-CACHE", "another cache", create(C), create(D), ca(C, AT), cf(D, AT), others=(2,)),
        bad("CALLER-CACHE", "no cache", create(C), ca(C, AT), cf(0, AT), others=(1,)),
        bad(
            "CALLER-CACHE",
            "in bulk",
            create(C),
            create(D),
            ca(C, AT),
            ev("kmem_cache_free_bulk", D, 1, 0, AT),
            others=(2,),
        ),
        bad("CALLER-CACHE", "another pool", pool(POOL, 1), pool(C, 1), pa(AT), pf(AT, C), others=(2,)),
        bad("CALLER-CACHE", "no pool", pool(POOL, 1), pa(AT), pf(AT, 0), others=(1,)),
    ),
    "CALLER-DESTROY": (
        good("an empty cache", create(C), ca(C, AT), cf(C, AT), destroy(C)),
        good(
            "a pool of its objects went first", create(C), SLAB_POOL, ev("mempool_destroy", POOL), destroy(C)
        ),
        bad("CALLER-DESTROY", "a cache in use", create(C), ca(C, AT), destroy(C), others=(0,)),
        bad(
            "CALLER-DESTROY", "a pool in use", pool(POOL, 1), pa(AT), ev("mempool_destroy", POOL), others=(0,)
        ),
        bad(
            "CALLER-DESTROY",
            "a cache whose objects a pool has",
            create(C),
            SLAB_POOL,
            destroy(C),
            others=(1,),
        ),
    ),
    "CALLER-POOL": (
        good("one element", pool(POOL, 4), ev("mempool_resize", POOL, 1)),
        bad("CALLER-POOL", "none", pool(POOL, 4), ev("mempool_resize", POOL, 0)),
    ),
    "CALLER-CTOR-ZERO": (
        good(
            "zeroes without a constructor",
            create(C),
            ev("kmem_cache_zalloc", C, K, gives=AT),
            ca(C, 2 * AT, gfp=Z),
        ),
        bad(
            "CALLER-CTOR-ZERO",
            "kmem_cache_zalloc",
            create(C, ctor=1),
            ev("kmem_cache_zalloc", C, K, gives=AT),
        ),
        bad("CALLER-CTOR-ZERO", "a mask", create(C, ctor=1), ca(C, AT, gfp=Z)),
        bad("CALLER-CTOR-ZERO", "that fails", create(C, ctor=1), ca(C, 0, gfp=Z)),
        bad(
            "CALLER-CTOR-ZERO", "in bulk", create(C, ctor=1), ev("kmem_cache_alloc_bulk", C, Z, 2, 0, gives=2)
        ),
    ),
}


class TestRows(RowTests):
    rows = ROWS
