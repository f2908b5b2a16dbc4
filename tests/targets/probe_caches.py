"""Probes of caches: constructors, destructors, alignment, bulk, slabs that come and go."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

from tests.targets.binding import CTOR, CTOR_26, GFP_KERNEL, Kmem, read, write
from tests.targets.probing import PAGE, assert_all_comes_back, every_page, filled, general, probe, vector

HWCACHE_ALIGN: Final = 0x2000
_KEPT: Final[list[object]] = []  # functions that a library may call at any time


class Built:
    """A cache whose constructor fills objects with a byte, and what its functions were called for."""

    def __init__(self, kmem: Kmem, size: int, byte: int, *, destructor: bool = False) -> None:
        self.kmem, self.state = kmem, bytes([byte]) * size
        self.made: list[int] = []
        self.gone: list[int] = []
        if destructor:
            ctor, dtor = CTOR_26(lambda p, _cache, _flags: self.construct(p)), CTOR_26(self.destruct)
            _KEPT.extend((ctor, dtor))
            self.cache = kmem.get("kmem_cache_create_26", b"built", size, 0, 0, ctor, dtor)
        else:
            function = CTOR(self.construct)
            _KEPT.append(function)
            self.cache = kmem.get("kmem_cache_create", b"built", size, 0, 0, function)
        assert self.cache

    def construct(self, address: int) -> None:
        write(address, self.state)
        self.made.append(address)

    def destruct(self, address: int, _cache: int, _flags: int) -> None:
        self.gone.append(address)

    def objects(self, count: int) -> list[int]:
        return taken(self.kmem, self.cache, count)

    def free(self, objects: list[int]) -> None:
        for address in objects:
            self.kmem.call("kmem_cache_free", self.cache, address)


def plain(kmem: Kmem, size: int, align: int = 0, flags: int = 0) -> int:
    cache = kmem.get("kmem_cache_create", b"plain", size, align, flags, CTOR())
    assert cache
    return cache


def taken(kmem: Kmem, cache: int, count: int) -> list[int]:
    objects = [kmem.get("kmem_cache_alloc", cache, GFP_KERNEL) for _ in range(count)]
    assert all(objects)
    return objects


@probe("CTOR_SECOND_SLAB", "CTOR_LAST_SLOT", "CTOR_LINK_INSIDE")
def objects_are_handed_out_constructed(kmem: Kmem) -> None:
    built = Built(kmem, 40, 0xC5)
    for _ in range(2):
        objects = built.objects(200)
        assert all(read(address, 40) == built.state for address in objects)
        built.free(objects)


@probe("CTOR_AGAIN")
def a_slot_is_constructed_once(kmem: Kmem) -> None:
    built = Built(kmem, 40, 0xC5)
    kept, freed = built.objects(2)
    built.free([freed])
    again = built.objects(1)
    assert again != [kept]
    assert len(built.made) == len(set(built.made))


@probe("CTOR_OTHER_CACHE")
def a_cache_has_its_own_constructor(kmem: Kmem) -> None:
    small, large = Built(kmem, 32, 0xC5), Built(kmem, 64, 0x3A)
    assert read(small.objects(1)[0], 32) == small.state
    assert read(large.objects(1)[0], 64) == large.state


@probe("DTOR_AT_FREE", "DTOR_NOT_AT_DESTROY", "DTOR_TWICE")
def every_constructed_slot_is_destructed_once(kmem: Kmem) -> None:
    built = Built(kmem, 100, 0xC5, destructor=True)
    objects = built.objects(2)
    built.free(objects[1:])
    assert not built.gone
    objects[1:] = built.objects(99)
    assert all(read(address, 100) == built.state for address in objects)
    built.free(objects)
    kmem.call("kmem_cache_destroy", built.cache)
    assert sorted(built.gone) == sorted(built.made)


@probe("HWCACHE_IGNORED")
def objects_lie_on_cache_lines(kmem: Kmem) -> None:
    for size, align in ((40, 64), (100, 64), (20, 32), (9, 16)):
        objects = taken(kmem, plain(kmem, size, 0, HWCACHE_ALIGN), 30)
        assert all(address % align == 0 for address in objects)


@probe("CACHE_ALIGN_64")
def objects_are_aligned_as_asked(kmem: Kmem) -> None:
    for align in (8, 64, 128, 512, PAGE, 4 * PAGE):
        assert all(address % align == 0 for address in taken(kmem, plain(kmem, 40, align), 12))


@probe("CACHE_SIZE_DOWN", "CACHE_SIZE_LESS")
def objects_have_the_size_asked_for(kmem: Kmem) -> None:
    for size in (1, 20, 300, 5000, 100_001):
        cache = plain(kmem, size)
        assert kmem.call("kmem_cache_size", cache) >= size
        objects = sorted(taken(kmem, cache, 20))
        assert all(low + size <= high for low, high in pairwise(objects))


@probe("CACHE_ZALLOC_SHORT")
def zalloc_clears_the_object(kmem: Kmem) -> None:
    cache = plain(kmem, 24)
    for address in taken(kmem, cache, 200):
        write(address, b"\xff" * 24)
        kmem.call("kmem_cache_free", cache, address)
    zeroed = kmem.get("kmem_cache_zalloc", cache, GFP_KERNEL)
    assert read(zeroed, 24) == bytes(24)


@probe("BULK_TWICE", "BULK_PART")
def bulk_is_all_or_nothing(kmem: Kmem) -> None:
    cache, array = plain(kmem, 1000), vector([0] * 40)
    assert kmem.get("kmem_cache_alloc_bulk", cache, GFP_KERNEL, 40, array) == 40
    assert len(set(array)) == 40
    kmem.call("kmem_cache_free_bulk", cache, 40, array)
    kmem.call("kmem_oracle_fail_nth", 7)
    assert kmem.call("kmem_cache_alloc_bulk", cache, GFP_KERNEL, 40, array) == 0
    assert kmem.call("kmem_cache_alloc_bulk", cache, GFP_KERNEL, 0, array) == 0


@probe("BULK_FREE_FORGETS", "BULK_FAIL_LEAKS")
def bulk_gives_everything_back(kmem: Kmem) -> None:
    cache, array = plain(kmem, PAGE), vector([0] * 9)

    def body() -> None:
        got = kmem.get("kmem_cache_alloc_bulk", cache, GFP_KERNEL, 9, array)
        kmem.call("kmem_cache_free_bulk", cache, got, array)
        kmem.call("kmem_oracle_fail_nth", 7)
        assert kmem.call("kmem_cache_alloc_bulk", cache, GFP_KERNEL, 9, array) == 0
        kmem.call("kmem_oracle_fail_nth", 0)

    assert_all_comes_back(kmem, body)


@probe("SHRINK_LIVE")
def shrink_leaves_live_objects(kmem: Kmem) -> None:
    cache = plain(kmem, 600)
    objects = taken(kmem, cache, 60)
    for address in objects[1:]:
        kmem.call("kmem_cache_free", cache, address)
    assert kmem.call("kmem_cache_shrink", cache) == 1
    assert kmem.call("virt_to_page", objects[0]) not in every_page(kmem)
    kmem.call("kmem_cache_free", cache, objects[0])
    assert kmem.call("kmem_cache_shrink", cache) == 0


@probe("DESTROY_LEAKS", "FREE_WRONG_SLAB")
def destroy_gives_the_pages_back(kmem: Kmem) -> None:
    def body() -> None:
        cache = plain(kmem, 1500)
        for address in taken(kmem, cache, 100):
            kmem.call("kmem_cache_free", cache, address)
        kmem.call("kmem_cache_destroy", cache)

    assert_all_comes_back(kmem, body)
    kmem.call("kmem_cache_destroy", 0)


@general
def refused_caches_are_null(kmem: Kmem) -> None:
    for size, flags in ((0, 0), ((4 << 20) + 1, 0), (40, 0x80000000)):
        assert kmem.call("kmem_cache_create", b"no", size, 0, flags, CTOR()) == 0
    assert kmem.call("kmem_cache_create", None, 40, 0, 0, CTOR()) == 0
    kmem.call("kmem_oracle_fail_nth", 1)
    assert kmem.call("kmem_cache_create", b"no", 40, 0, 0, CTOR()) == 0
    kmem.call("kfree", filled(kmem, "kmalloc", 40, GFP_KERNEL))
