"""Probes of copies, kvmalloc, pages, pools and masks."""

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
    ZERO,
    Kmem,
    read,
    write,
)
from tests.targets.probing import PAGE, assert_all_comes_back, every_page, filled, probe, vector

ENOMEM: Final = -12
_KEPT: Final[list[object]] = []  # functions that a library may call at any time


def dirty(kmem: Kmem, size: int) -> None:
    """Leave objects of a size full of 0xff."""
    for address in [filled(kmem, "kmalloc", size, GFP_KERNEL) for _ in range(100)]:
        kmem.kfree(address)


@probe("KMEMDUP_SHORT", "KSTRDUP_NO_NUL", "KSTRNDUP_LONG")
def copies_are_true(kmem: Kmem) -> None:
    source = kmem.get("kmalloc", 64, GFP_KERNEL)
    write(source, b"hello, kernel\0" + b"\x77" * 50)
    for size in (1, 8, 13, 64):
        dirty(kmem, size)
        assert read(kmem.get("kmemdup", source, size, GFP_KERNEL), size) == read(source, size)
    dirty(kmem, 14)
    assert read(kmem.get("kstrdup", source, GFP_KERNEL), 14) == b"hello, kernel\0"
    for most, text in ((5, b"hello\0"), (13, b"hello, kernel\0"), (99, b"hello, kernel\0"), (0, b"\0")):
        dirty(kmem, len(text))
        assert read(kmem.get("kstrndup", source, most, GFP_KERNEL), len(text)) == text
    assert kmem.call("kmemdup", source, 0, GFP_KERNEL) == 16
    assert kmem.call("kstrdup", 0, GFP_KERNEL) == kmem.call("kstrndup", 0, 5, GFP_KERNEL) == 0


@probe("KREALLOC_ARRAY_FREES")
def krealloc_array_leaves_the_object_on_overflow(kmem: Kmem) -> None:
    old = filled(kmem, "kmalloc", 100, GFP_KERNEL, byte=0x42)
    assert kmem.call("krealloc_array", old, 2**62 + 1, 4, GFP_KERNEL) == 0
    others = [filled(kmem, "kmalloc", 100, GFP_KERNEL) for _ in range(100)]
    assert old not in others
    grown = kmem.get("krealloc_array", old, 100, 10, GFP_KERNEL)
    assert read(grown, 100) == b"\x42" * 100


@probe("ROUNDUP_193")
def roundup_tells_the_usable_size(kmem: Kmem) -> None:
    for size in (*range(1, 1100), 4095, 4097, 8192, 8193, 70_000, 4 << 20):
        address = kmem.get("kmalloc", size, GFP_KERNEL)
        assert kmem.call("kmalloc_size_roundup", size) == kmem.ksize(address) or not kmem.has_ksize
        assert kmem.call("kmalloc_size_roundup", size) >= size
        kmem.kfree(address)
    assert kmem.call("kmalloc_size_roundup", 0) == 0


@probe("SENSITIVE_BEYOND", "KFREE_BULK_FORGETS")
def every_free_frees_its_object_alone(kmem: Kmem) -> None:
    objects = [filled(kmem, "kmalloc", 64, GFP_KERNEL) for _ in range(40)]
    for freed in objects[::2]:
        kmem.call("kfree_sensitive", freed)
    assert all(read(address, 64) == b"\xff" * 64 for address in objects[1::2])
    kmem.call("kfree_sensitive", 0)
    kmem.call("kfree_sensitive", 16)

    def body() -> None:
        several = [kmem.get("kmalloc", 8192, GFP_KERNEL) for _ in range(12)]
        kmem.call("kfree_bulk", 12, vector(several))

    assert_all_comes_back(kmem, body)


@probe("KV_ARRAY_UNCHECKED", "KV_SIZE_32")
def impossible_kv_sizes_give_null(kmem: Kmem) -> None:
    for name in ("kvmalloc_array", "kvcalloc"):
        assert kmem.call(name, 2**62 + 1, 4, GFP_KERNEL) == kmem.call(name, 2**32, 2**32, GFP_KERNEL) == 0
    assert kmem.call("kvmalloc", 2**32 + 100, GFP_KERNEL) == kmem.call("kvmalloc", 2**31, GFP_KERNEL) == 0
    assert kmem.call("kvmalloc", 0, GFP_KERNEL) == 16
    kmem.call("kvfree", 0)
    kmem.call("kvfree", 16)


@probe("KVFREE_LEAKS_AREA", "KVZALLOC_AREA_DIRTY")
def kvmalloc_gives_either_kind_of_memory(kmem: Kmem) -> None:
    def body() -> None:
        for size in (100, 5000, 5 << 20):
            for name in ("kvmalloc", "kvzalloc"):
                address = kmem.get(name, size, GFP_KERNEL)
                if name == "kvzalloc" and address:
                    assert read(address, size).count(0) == size
                if address:  # a small arena has no 5 MiB
                    write(address, b"\xff" * size)
                kmem.call("kvfree", address)

    assert_all_comes_back(kmem, body)
    moved = filled(kmem, "kvmalloc", 3000, GFP_KERNEL, byte=0x42)
    for size in (9000, 70_000, 100):
        moved = kmem.get("kvrealloc", moved, size, GFP_KERNEL)
        assert read(moved, min(size, 3000)) == b"\x42" * min(size, 3000)


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


def injected_failures_leave_the_old_object(kmem: Kmem) -> None:
    old = filled(kmem, "kmalloc", 100, GFP_KERNEL, byte=0x42)
    kmem.call("kmem_oracle_fail_nth", 1)
    assert kmem.call("krealloc", old, 5000, GFP_KERNEL) == 0
    assert read(old, 100) == b"\x42" * 100
    kmem.call("kmem_oracle_fail_nth", 1)
    assert kmem.call("__get_free_pages", GFP_KERNEL | ZERO, 0) == 0
    kmem.call("kmem_oracle_fail_nth", 2)
    held = [kmem.call("kmalloc", 3000, GFP_KERNEL) for _ in range(2)]
    assert held.count(0) >= 1


GENERAL: Final = (injected_failures_leave_the_old_object,)
