"""Calls of mempools: allocator first, reserve second, waiting last; whose the elements are."""

from __future__ import annotations

import pytest
from tests.kernels import refused, state

from kmem_model.kernel import Kernel
from kmem_spec.gfp import (
    DIRECT_RECLAIM,
    DMA,
    DMA32,
    GFP_ATOMIC,
    GFP_KERNEL,
    GFP_NOWAIT,
    NOFAIL,
    NOMEMALLOC,
    NORETRY,
    NOWARN,
    ZERO,
)

MIB = 1 << 20
SIZE = 64
IO = 0x40


class Source:
    """What a pool's elements come from: kmalloc, which can be told to fail, and notes what it was asked."""

    def __init__(self) -> None:
        self.kernel = Kernel(64 * MIB)
        self.failing = 0
        self.masks: list[int] = []
        self.returned: list[int] = []

    def give(self, gfp: int) -> int:
        self.masks.append(gfp)
        if self.failing:
            self.failing -= 1
            return 0
        return self.kernel.kmalloc(SIZE, gfp)

    def take_back(self, p: int) -> None:
        self.returned.append(p)
        self.kernel.kfree(p)

    def pool(self, least: int) -> int:
        return self.kernel.mempool_create(least, self.give, self.take_back, SIZE)


@pytest.fixture
def source() -> Source:
    return Source()


class TestCreate:
    @pytest.mark.parametrize("least", [0, 1, 4])
    def test_the_reserve_is_filled(self, source: Source, least: int) -> None:
        pool = source.pool(least)
        assert source.masks == [GFP_KERNEL] * least
        assert len(source.kernel.pools[pool].reserve) == least
        source.kernel.mempool_destroy(pool)
        assert len(source.returned) == least
        assert source.kernel.lent == {}

    def test_need_gives_all_back(self, source: Source) -> None:
        source.kernel.kfree(source.kernel.kmalloc(SIZE, GFP_KERNEL))
        source.kernel.fail_nth = 1
        assert source.pool(4) == 0
        source.kernel.fail_nth = 2  # the descriptor is the first, and a slab for 64 objects is there
        assert source.pool(100) == 0
        assert len(source.returned) == 64
        assert not source.kernel.lent
        assert not source.kernel.pools
        assert source.pool(4) != 0

    def test_pools_and_caches_have_different_addresses(self, source: Source) -> None:
        cache = source.kernel.kmem_cache_create(b"test", 40, 0, 0, None)
        assert len({cache, source.pool(1), source.pool(1)}) == 3

    def test_a_slab_pool_takes_the_objects_of_a_cache(self, source: Source) -> None:
        kernel = source.kernel
        cache = kernel.kmem_cache_create(b"test", 40, 0, 0, None)
        pool = kernel.mempool_create_slab_pool(2, cache)
        assert refused(kernel, "kmem_cache_destroy", cache) == "CALLER-DESTROY"
        p = kernel.mempool_alloc(pool, GFP_KERNEL)
        assert kernel.room_at(p) == 40
        assert refused(kernel, "kmem_cache_free", cache, p) == "CALLER-FAMILY"
        kernel.mempool_free(p, pool)
        kernel.mempool_destroy(pool)
        kernel.kmem_cache_destroy(cache)

    def test_of_a_cache_with_a_constructor_there_is_none(self, source: Source) -> None:
        kernel = source.kernel
        cache = kernel.kmem_cache_create(b"test", 40, 0, 0, lambda address: None)
        assert refused(kernel, "mempool_create_slab_pool", 1, cache) == "CALLER-CREATE"
        assert refused(kernel, "mempool_create_slab_pool", 1, cache + 8) == "CALLER-HANDLE"


class TestAlloc:
    def test_the_allocator_comes_first_and_is_asked_lightly(self, source: Source) -> None:
        pool = source.pool(1)
        source.masks.clear()
        assert source.kernel.mempool_alloc(pool, GFP_KERNEL) != 0
        light = GFP_KERNEL & ~(DIRECT_RECLAIM | IO) | NOMEMALLOC | NORETRY | NOWARN
        assert source.masks == [light]
        assert len(source.kernel.pools[pool].reserve) == 1

    def test_the_reserve_comes_second_the_last_first(self, source: Source) -> None:
        pool = source.pool(3)
        reserve = list(source.kernel.pools[pool].reserve)
        source.failing = 3
        given = [source.kernel.mempool_alloc(pool, GFP_KERNEL) for _ in range(3)]
        assert given == reserve[::-1]
        assert not source.kernel.slept

    def test_the_allocator_comes_again_with_the_whole_mask(self, source: Source) -> None:
        pool = source.pool(0)
        source.failing = 1
        assert source.kernel.mempool_alloc(pool, GFP_KERNEL) != 0
        assert source.masks[-1] == GFP_KERNEL | NOMEMALLOC | NORETRY | NOWARN
        assert not source.kernel.slept

    @pytest.mark.parametrize("gfp", [GFP_NOWAIT, GFP_ATOMIC])
    def test_who_may_not_sleep_gets_null_in_the_end(self, source: Source, gfp: int) -> None:
        pool = source.pool(2)
        source.failing = 9
        assert [source.kernel.mempool_alloc(pool, gfp) != 0 for _ in range(3)] == [True, True, False]
        assert not source.kernel.slept

    def test_who_may_sleep_waits_until_the_allocator_has_one(self, source: Source) -> None:
        pool = source.pool(1)
        source.failing = 6
        assert source.kernel.mempool_alloc(pool, GFP_KERNEL) != 0
        assert source.kernel.mempool_alloc(pool, GFP_KERNEL | NOFAIL) != 0
        assert source.failing == 0
        assert source.kernel.slept

    def test_who_would_wait_for_ever_is_refused(self, source: Source) -> None:
        pool = source.pool(1)
        source.failing = 1000
        p = source.kernel.mempool_alloc(pool, GFP_KERNEL)
        assert refused(source.kernel, "mempool_alloc", pool, GFP_KERNEL) == "CALLER-POOL"
        source.kernel.mempool_free(p, pool)
        assert source.kernel.mempool_alloc(pool, GFP_KERNEL) == p

    def test_masks_are_legal_without_zeroes_and_fit_the_context(self, source: Source) -> None:
        pool, kernel = source.pool(1), source.kernel
        assert refused(kernel, "mempool_alloc", pool, GFP_KERNEL | ZERO) == "CALLER-GFP"
        assert refused(kernel, "mempool_alloc", pool, GFP_KERNEL | DMA | DMA32) == "CALLER-GFP"
        kernel.preempt_disable()
        assert refused(kernel, "mempool_alloc", pool, GFP_KERNEL) == "CALLER-CONTEXT"
        p = kernel.mempool_alloc(pool, GFP_ATOMIC)
        kernel.mempool_free(p, pool)


class TestFree:
    def test_fills_the_reserve_before_it_gives_back(self, source: Source) -> None:
        pool = source.pool(1)
        source.failing = 1
        one, two = (source.kernel.mempool_alloc(pool, GFP_KERNEL) for _ in range(2))
        source.kernel.mempool_free(two, pool)
        assert source.returned == []
        assert source.kernel.pools[pool].reserve == [two]
        source.kernel.mempool_free(one, pool)
        assert source.returned == [one]
        assert source.kernel.family_at(one) is None

    def test_of_nothing_does_nothing(self, source: Source) -> None:
        pool = source.pool(1)
        before = state(source.kernel)
        source.kernel.mempool_free(0, pool)
        source.kernel.mempool_destroy(0)
        assert state(source.kernel) == before

    def test_elements_go_back_to_their_pool_alone(self, source: Source) -> None:
        kernel, pool, other = source.kernel, source.pool(1), source.pool(1)
        p = kernel.mempool_alloc(pool, GFP_KERNEL)
        for api in ("kfree", "kfree_sensitive", "ksize", "kvfree"):
            assert refused(kernel, api, p) == "CALLER-FAMILY"
        assert refused(kernel, "krealloc", p, 10, GFP_KERNEL) == "CALLER-FAMILY"
        assert refused(kernel, "mempool_free", p, other) == "CALLER-CACHE"
        assert refused(kernel, "mempool_free", p + 8, pool) == "CALLER-FREE"
        assert refused(kernel, "mempool_free", kernel.kmalloc(SIZE, GFP_KERNEL), pool) == "CALLER-FAMILY"
        assert kernel.memory.read(kernel.kmemdup(p, 8, GFP_KERNEL), 8) == kernel.memory.read(p, 8)
        kernel.mempool_free(p, pool)

    @pytest.mark.parametrize("failing", [0, 1])
    def test_an_element_is_freed_once(self, source: Source, failing: int) -> None:
        kernel, pool = source.kernel, source.pool(1)
        source.failing = failing
        p = kernel.mempool_alloc(pool, GFP_KERNEL)
        kernel.mempool_free(p, pool)
        assert (p in kernel.pools[pool].reserve) == bool(failing)
        assert refused(kernel, "mempool_free", p, pool) == "CALLER-DOUBLE-FREE"
        assert refused(kernel, "kfree", p) == "CALLER-DOUBLE-FREE"
        assert refused(kernel, "ksize", p) == "CALLER-FREE"
        assert refused(kernel, "kmemdup", p, 8, GFP_KERNEL) == "CALLER-FREE"


class TestResize:
    def test_grows_and_shrinks_the_reserve(self, source: Source) -> None:
        pool = source.pool(2)
        assert source.kernel.mempool_resize(pool, 5) == 0
        assert len(source.kernel.pools[pool].reserve) == 5
        assert source.kernel.mempool_resize(pool, 1) == 0
        assert len(source.kernel.pools[pool].reserve) == 1
        assert len(source.returned) == 4

    def test_shrinking_fills_nothing_up(self, source: Source) -> None:
        pool = source.pool(3)
        source.failing = 3
        for _ in range(3):
            source.kernel.mempool_alloc(pool, GFP_KERNEL)
        assert source.kernel.mempool_resize(pool, 2) == 0
        assert source.kernel.pools[pool].reserve == []

    def test_without_memory_for_elements_it_still_succeeds(self, source: Source) -> None:
        pool = source.pool(1)
        source.failing = 1
        assert source.kernel.mempool_resize(pool, 5) == 0
        assert len(source.kernel.pools[pool].reserve) == 1
        assert source.kernel.pools[pool].least == 5

    def test_without_memory_for_the_list_nothing_changes(self, source: Source) -> None:
        pool = source.pool(1)
        before = state(source.kernel)
        source.kernel.fail_nth = 1
        assert source.kernel.mempool_resize(pool, 5) == -12
        assert state(source.kernel) == before

    def test_to_nothing_is_the_callers_error(self, source: Source) -> None:
        assert refused(source.kernel, "mempool_resize", source.pool(2), 0) == "CALLER-POOL"


class TestDestroy:
    def test_with_elements_out_it_is_the_callers_error(self, source: Source) -> None:
        kernel, pool = source.kernel, source.pool(2)
        p = kernel.mempool_alloc(pool, GFP_KERNEL)
        assert refused(kernel, "mempool_destroy", pool) == "CALLER-DESTROY"
        kernel.mempool_free(p, pool)
        kernel.mempool_destroy(pool)
        assert not kernel.pools
        assert not kernel.lent

    @pytest.mark.parametrize(
        ("api", "args"),
        [("mempool_alloc", (GFP_KERNEL,)), ("mempool_resize", (2,)), ("mempool_destroy", ())],
    )
    def test_what_is_no_pool_is_not_used(self, source: Source, api: str, args: tuple[int, ...]) -> None:
        kernel, pool = source.kernel, source.pool(1)
        kernel.mempool_destroy(pool)
        cache = kernel.kmem_cache_create(b"test", 40, 0, 0, None)
        p = kernel.mempool_alloc(source.pool(1), GFP_KERNEL)
        for handle in (pool, cache):
            assert refused(kernel, api, handle, *args) == "CALLER-HANDLE"
            assert refused(kernel, "mempool_free", p, handle) == "CALLER-CACHE"

    def test_what_may_sleep_is_refused_in_atomic_context(self, source: Source) -> None:
        kernel, pool = source.kernel, source.pool(1)
        kernel.preempt_disable()
        assert refused(kernel, "mempool_create", 1, source.give, source.take_back, SIZE) == "CALLER-CONTEXT"
        assert refused(kernel, "mempool_resize", pool, 2) == "CALLER-CONTEXT"
        assert refused(kernel, "mempool_destroy", pool) == "CALLER-CONTEXT"
