"""Probes of pages, pools and masks."""

from __future__ import annotations

from typing import Final

from tests.targets.binding import (
    CTOR,
    ELEMENT_ALLOC,
    ELEMENT_FREE,
    GFP_ATOMIC,
    GFP_KERNEL,
    GFP_NOWAIT,
    GFP_USER,
    HOOK,
    Kmem,
    write,
)
from tests.targets.probing import PAGE, assert_all_comes_back, every_page, filled, probe, vector

ENOMEM: Final = -12
_KEPT: Final[list[object]] = []  # functions that a library may call at any time


@probe("SPLIT_LOSES", "EXACT_FREE_TAIL")
def parts_of_blocks_come_back(kmem: Kmem) -> None:
    def body() -> None:
        block = kmem.get("alloc_pages", GFP_KERNEL, 3)
        start = kmem.call("page_address", block)
        kmem.call("split_page", block, 3)
        for i in range(8):
            kmem.call("__free_pages", kmem.call("virt_to_page", start + i * PAGE), 0)
        exact = kmem.get("alloc_pages_exact", 5 * PAGE + 1, GFP_KERNEL)
        kmem.call("free_pages_exact", exact, 5 * PAGE + 1)

    assert_all_comes_back(kmem, body)


@probe("EXACT_SHORT")
def exact_pages_belong_to_the_caller(kmem: Kmem) -> None:
    for size in (1, 3 * PAGE, 5 * PAGE + 1):
        exact = filled(kmem, "alloc_pages_exact", size, GFP_KERNEL)
        mine = {kmem.call("virt_to_page", exact + at) for at in range(0, size, PAGE)}
        assert not mine & set(every_page(kmem))
    assert kmem.call("alloc_pages_exact", 0, GFP_KERNEL) == 0
    assert kmem.call("alloc_pages_exact", (4 << 20) + 1, GFP_KERNEL) == 0


@probe("PAGES_BULK_TWICE")
def bulk_pages_are_distinct(kmem: Kmem) -> None:
    own = kmem.get("alloc_pages", GFP_KERNEL, 0)
    array = vector([0, own, *[0] * 10])
    while kmem.call("alloc_pages_bulk", GFP_KERNEL, 12, array) < 12:
        assert array[1] == own  # what stood there stays, what was there is gone on with
    assert len(set(array)) == 12


@probe("GET_ORDER_EXACT")
def get_order_is_the_least(kmem: Kmem) -> None:
    for order in range(20):
        size = PAGE << order
        assert [kmem.call("get_order", size + d) for d in (-1, 0, 1)] == [order, order, order + 1]
    assert kmem.call("get_order", 1) == 0
    assert kmem.call("get_order", 0) == 52


@probe("POOL_NOT_REFILLED", "POOL_NULL_EARLY")
def the_reserve_is_there(kmem: Kmem) -> None:
    failing = False
    alloc = ELEMENT_ALLOC(lambda gfp, _: 0 if failing else kmem.get("kmalloc", 64, gfp))
    free = ELEMENT_FREE(lambda element, _: kmem.kfree(element))
    _KEPT.extend((alloc, free))
    pool = kmem.get("mempool_create", 3, alloc, free, None)
    for wanted in (3, 3, 5):
        if wanted == 5:
            failing = False
            while kmem.call("mempool_resize", pool, 5) == ENOMEM:
                pass
        failing = True
        elements = [kmem.call("mempool_alloc", pool, GFP_NOWAIT) for _ in range(wanted)]
        assert all(elements)
        assert kmem.call("mempool_alloc", pool, GFP_NOWAIT) == 0
        for element in elements:
            write(element, b"\xff" * 64)
            kmem.call("mempool_free", element, pool)
    failing = False
    assert kmem.call("mempool_alloc", pool, GFP_KERNEL) != 0
    kmem.call("mempool_free", 0, pool)


@probe("POOL_SHRINK_LEAKS", "POOL_DESTROY_LEAKS")
def a_pool_gives_its_reserve_back(kmem: Kmem) -> None:
    cache = kmem.get("kmem_cache_create", b"elements", 8 * PAGE, 0, 0, CTOR())

    def body() -> None:
        pool = 0
        while not pool:  # where one element in 50 fails, eight of them often do
            pool = kmem.call("mempool_create_slab_pool", 8, cache)
        kmem.call("mempool_resize", pool, 4)
        kmem.call("mempool_destroy", pool)

    assert_all_comes_back(kmem, body)
    kmem.call("mempool_destroy", 0)


@probe("ATOMIC_SLEEPS", "ATOMIC_SHALLOW", "USER_SHALLOW")
def masks_reach_as_deep_as_they_should(kmem: Kmem) -> None:
    slept: list[int] = []
    hook = HOOK(lambda: slept.append(1))
    _KEPT.append(hook)
    kmem.call("kmem_oracle_on_sleep", hook)
    reach = {gfp: len(every_page(kmem, gfp)) for gfp in (GFP_NOWAIT, GFP_ATOMIC)}
    assert not slept
    assert reach[GFP_ATOMIC] > reach[GFP_NOWAIT]
    reach |= {gfp: len(every_page(kmem, gfp)) for gfp in (GFP_USER, GFP_KERNEL)}
    assert slept
    assert reach[GFP_USER] == reach[GFP_KERNEL]
