"""What the kernel's own checkers look for, as calls: one history for each entry that shows at that level.

The names are those of the checkers' tests and reports. Where an entry is about the allocator, the history is
of one that fails it; in a legal use, nothing may be found. `TRACES` has the same for recorded events.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final

from tests.cover.judging import (
    AREA,
    AT,
    POOL,
    C,
    D,
    K,
    Z,
    bulk,
    ca,
    cf,
    create,
    destroy,
    ev,
    free_bulk,
    gfpages,
    item,
    kfree,
    km,
    kre,
    made,
    pa,
    pf,
    pool,
    shrink,
    vm,
)
from tests.traces import telling

from kmem_spec.apis import APIS
from kmem_spec.calls import Event
from kmem_spec.gfp import GFP_ATOMIC, GFP_NOWAIT, NOFAIL

LEGAL: Final = "admitted"
PAGE: Final = 4096
SITE: Final = telling.AT
SPACE: Final = 0xFFFFC90000000000


@dataclass(frozen=True, slots=True)
class Scenario:
    """Events of which the last breaks the clause, or LEGAL ones; `ends` says that what is live then leaks."""

    clause: str
    events: tuple[Event, ...]
    profile: str = "contract"
    ends: bool = False


def _of(clause: str, *events: Event, profile: str = "contract", ends: bool = False) -> Scenario:
    return Scenario(clause, events, profile, ends)


def _pages_freed(at: int, order: int) -> Event:
    return ev("free_pages", at, order)


_TWO_PAGES: Final = (gfpages(1, AT), ev("split_page", AT, 1, gives=2))
_GROWN: Final = (km(48, AT, gfp=Z, usable=64), kre(AT, 40, AT, gfp=Z, usable=64))
_MANY: Final = tuple(vm(PAGE, AREA + 2 * PAGE * at) for at in range(64))
_POOLED: Final = (pool(POOL, 2, 64), pa(AT))

HISTORIES: Final[dict[str, Scenario]] = {
    "kmalloc_large_invalid_free": _of("CALLER-FREE", km(8202, AT), kfree(AT + 1)),
    "krealloc_uaf": _of("CALLER-FREE", km(201, AT), kfree(AT), kre(AT, 235, 0)),
    "kmalloc_double_kzfree": _of(
        "CALLER-DOUBLE-FREE", km(16, AT), ev("kfree_sensitive", AT), ev("kfree_sensitive", AT)
    ),
    "ksize_uaf": _of("CALLER-FREE", km(120, AT), kfree(AT), ev("ksize", AT, gives=128)),
    "kfree_via_page, kfree_via_phys": _of(LEGAL, km(128, AT), kfree(AT)),
    "kmem_cache_double_free": _of("CALLER-DOUBLE-FREE", create(C, 200), ca(C, AT), cf(C, AT), cf(C, AT)),
    "kmem_cache_invalid_free": _of("CALLER-FREE", create(C, 200), ca(C, AT), cf(C, AT + 1)),
    "kmem_cache_double_destroy": _of("CALLER-HANDLE", create(C, 200), destroy(C), destroy(C)),
    "kmem_cache_accounted": _of(
        LEGAL, create(C, 200, flags=0x4000000), ca(C, AT), cf(C, AT), destroy(C), ends=True
    ),
    "kmem_cache_bulk": _of(
        LEGAL,
        create(C, 200),
        bulk(C, 2, 2),
        item(0, AT),
        item(1, AT + 256),
        free_bulk(C, AT, AT + 256),
        destroy(C),
        ends=True,
    ),
    "mempool_kmalloc_double_free, _large_, page_alloc_": _of("CALLER-DOUBLE-FREE", *_POOLED, pf(AT), pf(AT)),
    "mempool_kmalloc_invalid_free, _large_": _of("CALLER-FREE", *_POOLED, pf(AT + 1)),
    "vmalloc_helpers_tags": _of(
        LEGAL,
        vm(PAGE, AREA),
        ev("is_vmalloc_addr", AREA, 0, gives=1),
        ev("vmalloc_to_page", AREA, 0, gives=AT),
    ),
    "vmap_tags, vm_map_ram_tags": _of(LEGAL, vm(PAGE, AREA), ev("vfree", AREA), ends=True),
    "test_kfree_rcu": _of(LEGAL, create(C, 64), ca(C, AT), cf(C, AT), destroy(C), ends=True),
    "test_kfree_rcu_wq_destroy": _of(LEGAL, create(C, 64), ca(C, AT), cf(C, AT), destroy(C), ends=True),
    "test_leak_destroy": _of("CALLER-DESTROY", create(C, 64), ca(C, AT), destroy(C)),
    "test_krealloc_redzone_zeroing": _of("SLAB-REALLOC-ZERO", *_GROWN, kre(AT, 56, AT, gfp=Z, nonzero=48)),
    "fix_size_alloc_test": _of(LEGAL, vm(3 * PAGE, AREA), ev("vfree", AREA), ends=True),
    "full_fit_alloc_test": _of(
        LEGAL,
        *_MANY,
        *(ev("vfree", AREA + 4 * PAGE * at) for at in range(32)),
        *(vm(PAGE, AREA + 4 * PAGE * at) for at in range(32)),
    ),
    "long_busy_list_alloc_test": _of(LEGAL, *_MANY, vm(100 * PAGE, AREA + 1000 * PAGE), ev("vfree", AREA)),
    "random_size_alloc_test": _of(LEGAL, vm(100 * PAGE, AREA), ev("vfree", AREA), ends=True),
    "fix_align_alloc_test": _of("VM-ALIGN", vm(5 * PAGE, AREA + 512)),
    "random_size_align_alloc_test": _of("VM-ALIGN", vm(PAGE, AREA + 8)),
    "kvfree_rcu_1_arg / 2_arg_vmalloc_test": _of(LEGAL, vm(PAGE, AREA), ev("vfree", AREA), ends=True),
    "no_block_alloc_test": _of("CALLER-GFP", ev("__vmalloc", PAGE, GFP_NOWAIT, gives=AREA)),
    "test_double_free": _of("CALLER-DOUBLE-FREE", km(32, AT), kfree(AT), kfree(AT)),
    "test_invalid_addr_free": _of("CALLER-FREE", km(32, AT), kfree(AT + 1)),
    "test_free_bulk": _of(
        LEGAL,
        create(C, 32, ctor=1),
        ca(C, AT, *made(C, AT)),
        ca(C, AT + 32, *made(C, AT + 32)),
        free_bulk(C, AT, AT + 32),
    ),
    "test_shrink_memcache": _of("MEM-KEEP", create(C, 32), ca(C, AT), shrink(C), ev("check", AT, changed=4)),
    "test_memcache_ctor": _of("CACHE-CTOR", create(C, 32, ctor=1), ca(C, AT, *made(C, AT), changed=0)),
    "test_gfpzero": _of("GFP-ZERO", km(32, AT), kfree(AT), km(32, AT, gfp=Z, nonzero=3)),
    "test_krealloc": _of("SLAB-REALLOC-KEEP", km(32, AT), kre(AT, 64, AT + 64, changed=31)),
    "test_memcache_alloc_bulk": _of("CACHE-BULK", create(C, 32), bulk(C, 4, 3)),
    "lib/test_meminit.c": _of("MEM-ZERO", ev("kzalloc", 64, K, gives=AT, nonzero=63)),
    "lib/test_free_pages.c": _of("CALLER-LEAK", gfpages(3, AT), ends=True),
    "Object already free": _of("CALLER-DOUBLE-FREE", km(64, AT), kfree(AT), kfree(AT)),
    "Invalid object pointer": _of("CALLER-FREE", km(64, AT), kfree(AT + 8)),
    "Left Redzone / Right Redzone overwritten": _of(
        "MEM-KEEP", km(64, AT), km(64, AT + 64), ev("check", AT + 64, changed=0)
    ),
    "no slab / No slab cache for object; Attempt to free object outside of slab": _of(
        "CALLER-FREE", create(C, 64), cf(C, AT)
    ),
    "Slab has N allocated objects but M are to be freed; Bulk free expected N found M": _of(
        "CALLER-DOUBLE-FREE", create(C, 64), ca(C, AT), free_bulk(C, AT, AT)
    ),
    "Wrong slab cache / object belongs to different cache, object is not in a slab page": _of(
        "CALLER-CACHE", create(C, 64), create(D, 64), ca(C, AT), cf(D, AT)
    ),
    "Objects remaining on __kmem_cache_shutdown()": _of(
        "CALLER-DESTROY", create(C, 64), ca(C, AT), destroy(C)
    ),
    "BUG in set_freepointer": _of("CALLER-DOUBLE-FREE", km(64, AT), kfree(AT), kfree(AT)),
    "virt_to_cache: Object is not a Slab page": _of("CALLER-FREE", kfree(AT)),
    "bad_page": _of("CALLER-DOUBLE-FREE", gfpages(0, AT), _pages_freed(AT, 0), _pages_freed(AT, 0)),
    "DEBUG_VM asserts": _of("CALLER-FREE", gfpages(1, AT), _pages_freed(AT + PAGE, 0)),
    "order above the maximum": _of("PAGE-ORDER-MAX", gfpages(11, AT)),
    "NOFAIL misuse": _of("CALLER-GFP", km(64, AT, gfp=GFP_ATOMIC | NOFAIL)),
    "vmalloc size 0": _of("VM-ZERO-SIZE", vm(0, AREA)),
    "vmalloc exceeds total pages": _of("VM-MAX", vm(1 << 60, AREA)),
    "vfree bad address": _of("CALLER-FREE", vm(2 * PAGE, AREA), ev("vfree", AREA + 8)),
    "vfree, vunmap, vrealloc of a nonexistent area": _of("CALLER-FREE", ev("vfree", AREA)),
    "vmalloc in an interrupt": _of("CALLER-CONTEXT", ev("preempt_disable"), vm(PAGE, AREA)),
    "vmalloc areas overlap": _of("MEM-APART", vm(3 * PAGE, AREA), vm(PAGE, AREA + PAGE)),
    "two live objects overlap": _of("MEM-APART", km(64, AT), km(40, AT + 32)),
    "returned address misaligned for contract": _of("SLAB-ALIGN-POWER", km(64, AT + 32)),
    "page block crosses a zone or wrong zone for gfp": _of(
        "PAGE-ZONE", gfpages(0, 1 << 30, gfp=K | 1), profile="zones"
    ),
    "vmalloc areas without guard gap": _of("VM-GUARD", vm(PAGE, AREA), vm(PAGE, AREA + PAGE)),
    "non-NULL, non-ZERO_SIZE_PTR for size 0 kmalloc": _of("SLAB-ZERO-SIZE", km(0, AT)),
    "non-NULL for vmalloc(0)": _of("VM-ZERO-SIZE", vm(0, AREA)),
    "NOFAIL+DIRECT_RECLAIM returned NULL (legal size)": _of(
        "GFP-NOFAIL", km(64, 0, gfp=K | NOFAIL), km(64, AT, gfp=K | NOFAIL)
    ),
    "zero-promised byte not zero": _of("MEM-ZERO", ev("kzalloc", 64, K, gives=AT, nonzero=0)),
    "krealloc lost bytes": _of("SLAB-REALLOC-KEEP", km(64, AT), kre(AT, 128, AT + 128, changed=8)),
    "ctor state lost": _of("CACHE-CTOR", create(C, 32, ctor=1), ca(C, AT, *made(C, AT), changed=8)),
    "bulk alloc returned a count not 0 and not n (slab)": _of("CACHE-BULK", create(C, 32), bulk(C, 4, 1)),
    "free_pages with order different from alloc": _of("CALLER-ORDER", gfpages(2, AT), _pages_freed(AT, 1)),
    "kfree/vfree/free_pages family mismatch": _of("CALLER-FAMILY", km(PAGE, AT), ev("vfree", AT)),
    "sleeping mask in atomic context": _of("CALLER-CONTEXT", ev("preempt_disable"), km(64, AT)),
    "leak at end of trace": _of("CALLER-LEAK", km(64, AT), ends=True),
    "memory given back twice, then handed to two owners": _of(
        "CALLER-DOUBLE-FREE", km(64, AT), kfree(AT), kfree(AT)
    ),
    "vfree of interior page": _of("CALLER-FREE", vm(3 * PAGE, AREA), ev("vfree", AREA + PAGE)),
    "free of live object through alias cache": _of(LEGAL, create(C, 64), ca(C, AT), cf(C, AT)),
    "failslab": _of(LEGAL, ev("fail_nth", 1), km(64, 0), ev("fail_nth", 0), km(64, AT)),
    "fail_page_alloc": _of(LEGAL, ev("fail_nth", 1), gfpages(1, 0), ev("fail_nth", 0), gfpages(1, AT)),
    "kmemleak": _of("CALLER-LEAK", km(64, AT), ends=True),
    "kmem_cache_destroy": _of("CALLER-DESTROY", create(C, 64), ca(C, AT), destroy(C)),
    "page_owner, alloc_traces, slabinfo growth": _of("CALLER-LEAK", gfpages(0, AT), ends=True),
}


_P: Final = (SITE - telling.BASE) >> 12
TRACES: Final[dict[str, tuple[str, str, list[str]]]] = {
    "kmalloc_large_invalid_free": (
        "CALLER-FREE",
        "violation",
        [telling.kmalloc(SITE, 8202, 16384), telling.kfree(SITE + 1)],
    ),
    "kmalloc_double_kzfree": (
        "CALLER-DOUBLE-FREE",
        "violation",
        [telling.kmalloc(SITE, 16, 16), telling.kfree(SITE), telling.kfree(SITE)],
    ),
    "kmem_cache_double_free": (
        "CALLER-DOUBLE-FREE",
        "suspect",
        [telling.cache_alloc(SITE), telling.cache_free(SITE), telling.cache_free(SITE)],
    ),
    "kmem_cache_invalid_free": (
        "CALLER-FREE",
        "violation",
        [telling.cache_alloc(SITE), telling.cache_free(SITE + 1)],
    ),
    "test_double_free": (
        "CALLER-DOUBLE-FREE",
        "violation",
        [telling.kmalloc(SITE, 32, 32), telling.kfree(SITE), telling.kfree(SITE)],
    ),
    "test_invalid_addr_free": (
        "CALLER-FREE",
        "violation",
        [telling.kmalloc(SITE, 32, 32), telling.kfree(SITE + 1)],
    ),
    "fix_align_alloc_test": ("VM-ALIGN", "violation", [telling.area(SPACE + 4096, 24576, 8192)]),
    "random_size_align_alloc_test": ("VM-ALIGN", "violation", [telling.area(SPACE + 8, 8192)]),
    "Object already free": (
        "CALLER-DOUBLE-FREE",
        "violation",
        [telling.kmalloc(SITE), telling.kfree(SITE), telling.kfree(SITE)],
    ),
    "Invalid object pointer": ("CALLER-FREE", "violation", [telling.kmalloc(SITE), telling.kfree(SITE + 8)]),
    "Wrong slab cache / object belongs to different cache, object is not in a slab page": (
        "CALLER-CACHE",
        "violation",
        [
            *(telling.cache_alloc(SITE + 64 * at) for at in range(3)),
            telling.cache_free(SITE, "one"),
            telling.cache_free(SITE + 64, "two"),
        ],
    ),
    "virt_to_cache: Object is not a Slab page": (
        "CALLER-FAMILY",
        "violation",
        [telling.pages(_P), telling.kfree(SITE)],
    ),
    "bad_page": (
        "CALLER-DOUBLE-FREE",
        "suspect",
        [telling.pages(_P), telling.pages_freed(_P), telling.pages_freed(_P)],
    ),
    "DEBUG_VM asserts": ("CALLER-ORDER", "violation", [telling.pages(_P), telling.pages_freed(_P + 1, 1)]),
    "order above the maximum": ("PAGE-ORDER-MAX", "violation", [telling.pages(1 << 11, 11)]),
    "NOFAIL misuse": (
        "CALLER-GFP",
        "violation",
        [telling.kmalloc(SITE, mask="GFP_ATOMIC|__GFP_NOFAIL")],
    ),
    "vmalloc areas overlap": (
        "MEM-APART",
        "violation",
        [telling.area(SPACE, 12288), telling.area(SPACE + 4096, 8192)],
    ),
    "two live objects overlap": (
        "MEM-APART",
        "violation",
        [telling.kmalloc(SITE), telling.kmalloc(SITE + 32, 20, 32)],
    ),
    "returned address misaligned for contract": (
        "SLAB-ALIGN-POWER",
        "violation",
        [telling.kmalloc(SITE + 32)],
    ),
    "vmalloc areas without guard gap": (
        "VM-GUARD",
        "violation",
        [telling.area(SPACE, 8192), telling.area(SPACE + 4096, 8192)],
    ),
    "NOFAIL+DIRECT_RECLAIM returned NULL (legal size)": (
        "GFP-NOFAIL",
        "violation",
        [
            telling.kmalloc(SITE, mask="GFP_KERNEL|__GFP_NOFAIL"),
            telling.kmalloc(0, mask="GFP_KERNEL|__GFP_NOFAIL"),
            telling.kmalloc(SITE + 64, mask="GFP_KERNEL|__GFP_NOFAIL"),
        ],
    ),
    "free_pages with order different from alloc": (
        "CALLER-ORDER",
        "violation",
        [telling.pages(_P & ~3, 1, "GFP_KERNEL"), telling.pages_freed(_P & ~3, 2)],
    ),
    "kfree/vfree/free_pages family mismatch": (
        "CALLER-FAMILY",
        "violation",
        [telling.area(SPACE, 8192), telling.kfree(SPACE)],
    ),
    "sleeping mask in atomic context": (
        "CALLER-CONTEXT",
        "violation",
        [telling.kmalloc(SITE).replace(".....", "d.h1.")],
    ),
    "memory given back twice, then handed to two owners": (
        "MEM-APART",
        "suspect",
        [telling.kmalloc(SITE), telling.kmalloc(SITE)],
    ),
    "vfree of interior page": (
        "CALLER-FREE",
        "violation",
        [telling.area(SPACE, 12288), telling.unmapped(SPACE + 4096)],
    ),
    "failslab": (LEGAL, "", [telling.kmalloc(0), telling.kmalloc(SITE)]),
    "leak at end of trace": ("CALLER-LEAK", "violation", [telling.kmalloc(SITE)]),
    "kmemleak": ("CALLER-LEAK", "violation", [telling.kmalloc(SITE)]),
    "page_owner, alloc_traces, slabinfo growth": ("CALLER-LEAK", "violation", [telling.pages(_P)]),
}


def line_of(event: Event) -> str:
    """Return an event as a line of a history."""
    api, args = event.call
    kinds = APIS[api].parameters
    several = [hex(each) for each in args[len(kinds) :]]
    places = ("pointer", "source", "cache", "pool")
    given = [
        several if kind in ("vector", "array") else hex(value) if kind in places else value
        for kind, value in zip(kinds, args, strict=False)
    ]
    answer = event.answer
    line: dict[str, object] = {"call": api, "args": given, "result": hex(answer.result)}
    line |= {
        name: getattr(answer, name)
        for name in ("usable", "nonzero", "changed", "slept")
        if getattr(answer, name) >= 0
    }
    if answer.notes:
        line["notes"] = [list(each) for each in answer.notes]
    return json.dumps(line)
