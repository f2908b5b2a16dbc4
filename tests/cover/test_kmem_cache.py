"""Calls of slab caches: what they answer, what they refuse, when constructors and destructors run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.kernels import refused, state

from kmem_model.kernel import Kernel
from kmem_model.slab import BuiltCache
from kmem_spec import cache as rules
from kmem_spec import construct
from kmem_spec.gfp import DMA, DMA32, GFP_ATOMIC, GFP_KERNEL, GFP_NOWAIT, ZERO
from kmem_spec.slab_flags import (
    ACCOUNT,
    CACHE_DMA,
    HWCACHE_ALIGN,
    NOLEAKTRACE,
    PERMITTED,
    RECLAIM_ACCOUNT,
    RED_ZONE,
    TYPESAFE_BY_RCU,
)
from kmem_spec.table import Refused
from kmem_spec.units import PAGE_SIZE

MIB = 1 << 20
ILLEGAL = GFP_KERNEL | DMA | DMA32


@pytest.fixture
def kernel() -> Kernel:
    return Kernel(64 * MIB)


def create(
    kernel: Kernel,
    size: int = 40,
    align: int = 0,
    flags: int = 0,
    ctor: Callable[[int], object] | None = None,
) -> int:
    return kernel.kmem_cache_create(b"test", size, align, flags, ctor)


class Built:
    """A cache with constructor and destructor, on a machine of its own, that counts both."""

    def __init__(self, size: int = 40, memory: int = 64 * MIB) -> None:
        self.kernel = Kernel(memory)
        self.size = size
        self.made: Counter[int] = Counter()
        self.gone: Counter[int] = Counter()
        self.cache = self.kernel.kmem_cache_create_26(b"built", size, 0, 0, self.ctor, self.dtor)

    def ctor(self, address: int) -> None:
        self.kernel.memory.fill(address, self.size, 0x33)
        self.made[address] += 1

    def dtor(self, address: int) -> None:
        self.gone[address] += 1

    @property
    def constructed(self) -> int:
        """How many slots are constructed, by what was called."""
        assert all(
            self.gone[address] <= count <= self.gone[address] + 1 for address, count in self.made.items()
        )
        assert self.gone.keys() <= self.made.keys()
        return self.made.total() - self.gone.total()

    @property
    def slots(self) -> int:
        """How many slots the slabs have."""
        lists = self.kernel.slab_caches[self.cache].lists
        return len(lists.waiting) * lists.cache.objects


class TestCreate:
    @pytest.mark.parametrize(
        ("size", "align", "flags", "wanted"),
        [
            (1, 0, 0, 8),
            (40, 8, 0, 8),
            (40, 4, 0, 8),
            (100, 64, 0, 64),
            (5000, 4096, 0, 4096),
            (8, 0, HWCACHE_ALIGN, 8),
            (9, 0, HWCACHE_ALIGN, 16),
            (17, 0, HWCACHE_ALIGN, 32),
            (33, 0, HWCACHE_ALIGN, 64),
            (1000, 0, HWCACHE_ALIGN, 64),
            (8, 128, HWCACHE_ALIGN, 128),
        ],
    )
    def test_objects_are_aligned_and_apart(
        self, kernel: Kernel, size: int, align: int, flags: int, wanted: int
    ) -> None:
        cache = create(kernel, size, align, flags)
        objects = sorted(kernel.kmem_cache_alloc(cache, GFP_KERNEL) for _ in range(200))
        assert {address % wanted for address in objects} == {0}
        assert min(b - a for a, b in pairwise(objects)) >= size
        assert kernel.kmem_cache_size(cache) == size

    def test_the_free_pointer_is_outside_where_free_objects_keep_their_bytes(self, kernel: Kernel) -> None:
        plain, built, rcu = (
            create(kernel),
            create(kernel, ctor=lambda address: None),
            create(kernel, flags=TYPESAFE_BY_RCU),
        )
        slots = [kernel.slab_caches[cache].lists.cache.slot for cache in (plain, built, rcu)]
        assert slots == [40, 48, 48]

    def test_a_cache_has_an_address_of_its_own_where_no_memory_is(self, kernel: Kernel) -> None:
        caches = [create(kernel) for _ in range(3)]
        kernel.kmem_cache_destroy(caches[1])
        caches.append(create(kernel))
        assert len(set(caches)) == 4
        assert min(abs(a - b) for a in caches for b in caches if a != b) >= 64
        assert not any(kernel.memory.pages.get(cache // PAGE_SIZE) for cache in caches)

    @pytest.mark.parametrize(
        ("size", "align", "flags"),
        [(40, 0, PERMITTED + 1), (40, 0, 1 << 31), ((4 << 20) + 1, 0, 0), (1 << 40, 0, 0), (40, 8 << 20, 0)],
    )
    def test_what_cannot_be_is_null(self, kernel: Kernel, size: int, align: int, flags: int) -> None:
        before = state(kernel)
        assert create(kernel, size, align, flags) == 0
        assert state(kernel) == before

    def test_four_mebibytes_and_all_permitted_flags_are_served(self, kernel: Kernel) -> None:
        assert kernel.kmem_cache_alloc(create(kernel, 4 << 20), GFP_KERNEL) != 0
        assert create(kernel, flags=PERMITTED) != 0

    @pytest.mark.parametrize(
        ("name", "size", "align"), [(None, 40, 0), (b"test", 0, 0), (b"test", 40, 24), (b"test", 40, 3)]
    )
    def test_what_is_undefined_is_the_callers_error(
        self, kernel: Kernel, name: bytes | None, size: int, align: int
    ) -> None:
        assert refused(kernel, "kmem_cache_create", name, size, align, 0, None) == "CALLER-CREATE"
        assert refused(kernel, "kmem_cache_create_26", name, size, align, 0, None, None) == "CALLER-CREATE"
        assert kernel.kmem_cache_create(b"", 40, 8, 0, None) != 0

    def test_a_destructor_needs_a_constructor_and_no_readers_under_rcu(self, kernel: Kernel) -> None:
        def hook(address: int) -> None: ...

        api = "kmem_cache_create_26"
        assert refused(kernel, api, b"test", 40, 0, 0, None, hook) == "CALLER-CREATE"
        assert refused(kernel, api, b"test", 40, 0, TYPESAFE_BY_RCU, hook, hook) == "CALLER-CREATE"
        assert kernel.call(api, (b"test", 40, 0, TYPESAFE_BY_RCU, hook, None)) != 0
        assert kernel.call(api, (b"test", 40, 64, 0, None, None)) != 0

    def test_the_cache_and_not_the_mask_says_which_zone(self, kernel: Kernel) -> None:
        low, any_zone = create(kernel, flags=CACHE_DMA), create(kernel)
        limit = 0xFFFF_8880_0000_0000 + 16 * MIB
        assert kernel.kmem_cache_alloc(low, GFP_KERNEL) < limit
        assert kernel.kmem_cache_alloc(any_zone, GFP_KERNEL | DMA) >= limit

    def test_creation_can_fail(self, kernel: Kernel) -> None:
        kernel.fail_nth = 1
        assert create(kernel) == 0
        assert kernel.slab_caches == {}
        assert kernel.fail_nth == 0
        assert create(kernel) != 0


class TestMerging:
    def test_is_an_option(self, kernel: Kernel) -> None:
        assert create(kernel) != create(kernel)
        kernel = Kernel(64 * MIB, merge=True)
        assert create(kernel) == create(kernel)

    @pytest.mark.parametrize(
        ("size", "align", "flags", "merged"),
        [
            (40, 0, 0, True),
            (33, 0, 0, True),
            (32, 0, 0, False),  # wastes a word
            (41, 0, 0, False),
            (40, 16, 0, False),  # the slot would be larger
            (40, 0, RECLAIM_ACCOUNT, False),
            (40, 0, ACCOUNT, False),
            (40, 0, RED_ZONE, False),
            (40, 0, NOLEAKTRACE, False),
            (40, 0, TYPESAFE_BY_RCU, False),
        ],
    )
    def test_takes_caches_that_are_alike(self, size: int, align: int, flags: int, merged: bool) -> None:
        kernel = Kernel(64 * MIB, merge=True)
        first = create(kernel)
        assert (create(kernel, size, align, flags) == first) == merged

    def test_constructors_keep_caches_apart(self) -> None:
        kernel = Kernel(64 * MIB, merge=True)
        caches = [create(kernel, 40), create(kernel, 40, ctor=lambda address: None), create(kernel, 48)]
        assert len(set(caches)) == 3
        assert create(kernel, 48) == caches[2]

    def test_a_merged_cache_has_the_larger_size_and_goes_with_its_last_reference(self) -> None:
        kernel = Kernel(64 * MIB, merge=True)
        cache = create(kernel, 33)
        assert create(kernel, 40) == cache
        assert kernel.kmem_cache_size(cache) == 40
        p = kernel.kmem_cache_alloc(cache, GFP_KERNEL)
        kernel.kmem_cache_destroy(cache)
        assert refused(kernel, "kmem_cache_destroy", cache) == "CALLER-DESTROY"
        kernel.kmem_cache_free(cache, p)
        kernel.kmem_cache_destroy(cache)
        assert refused(kernel, "kmem_cache_destroy", cache) == "CALLER-HANDLE"

    def test_no_memory_is_needed_for_an_alias(self) -> None:
        kernel = Kernel(64 * MIB, merge=True)
        cache = create(kernel)
        kernel.fail_nth = 1
        assert create(kernel) == cache


class TestObjects:
    def test_the_last_freed_is_the_next_given_with_its_bytes(self, kernel: Kernel) -> None:
        cache = create(kernel)
        p = kernel.kmem_cache_alloc(cache, GFP_KERNEL)
        kernel.memory.fill(p, 40, 0x77)
        kernel.kmem_cache_free(cache, p)
        assert kernel.kmem_cache_alloc(cache, GFP_ATOMIC) == p
        assert kernel.memory.first_other(p, 40, 0x77) is None

    def test_zeroes_come_only_where_they_are_asked_for(self, kernel: Kernel) -> None:
        cache = create(kernel, 100)
        one, two, three = (
            kernel.kmem_cache_alloc(cache, GFP_KERNEL),
            kernel.kmem_cache_zalloc(cache, GFP_KERNEL),
            kernel.kmem_cache_alloc(cache, GFP_KERNEL | ZERO),
        )
        assert [kernel.memory.first_other(p, 100, 0) for p in (one, two, three)] == [0, None, None]
        assert kernel.memory.read(two + 100, 1) != b"\0"

    def test_need_is_null_and_changes_nothing(self, kernel: Kernel) -> None:
        cache = create(kernel)
        before = state(kernel)
        kernel.fail_nth = 1
        assert kernel.kmem_cache_alloc(cache, GFP_KERNEL) == 0
        assert state(kernel) == before
        assert kernel.kmem_cache_alloc(cache, GFP_KERNEL) != 0

    def test_shrinking_takes_empty_slabs_alone(self, kernel: Kernel) -> None:
        cache = create(kernel, 512)
        objects = [kernel.kmem_cache_alloc(cache, GFP_KERNEL) for _ in range(20)]
        assert kernel.kmem_cache_shrink(cache) == 1
        for p in objects[1:]:
            kernel.kmem_cache_free(cache, p)
        assert kernel.kmem_cache_shrink(cache) == 1
        assert len(kernel.slab_caches[cache].lists.waiting) == 1
        kernel.kmem_cache_free(cache, objects[0])
        assert kernel.kmem_cache_shrink(cache) == 0
        assert not kernel.slab_caches[cache].lists.waiting

    def test_destroying_gives_every_page_back(self, kernel: Kernel) -> None:
        free = kernel.frames.pages.free_pages
        cache = create(kernel, 512)
        objects = [kernel.kmem_cache_alloc(cache, GFP_KERNEL) for _ in range(100)]
        for p in objects:
            kernel.kmem_cache_free(cache, p)
        assert kernel.frames.pages.free_pages < free
        kernel.kmem_cache_destroy(cache)
        assert kernel.frames.pages.free_pages == free
        assert cache not in {lists.handle for lists in kernel.caches.every}

    def test_destroying_nothing_does_nothing(self, kernel: Kernel) -> None:
        before = state(kernel)
        assert kernel.call("kmem_cache_destroy", (0,)) == 0
        assert state(kernel) == before


class TestBulk:
    def test_gives_and_takes_many_at_once(self, kernel: Kernel) -> None:
        cache = create(kernel, 512)
        before = state(kernel)
        objects = kernel.kmem_cache_alloc_bulk(cache, GFP_KERNEL | ZERO, 30)
        assert len(set(objects)) == 30
        assert all(kernel.memory.first_other(p, 512, 0) is None for p in objects)
        kernel.kmem_cache_free_bulk(cache, 29, objects)
        assert refused(kernel, "kmem_cache_free", cache, objects[0]) == "CALLER-DOUBLE-FREE"
        kernel.kmem_cache_free(cache, objects[29])
        kernel.kmem_cache_shrink(cache)
        assert state(kernel) != before  # what is remembered of frees
        assert kernel.slab_caches[cache].lists.unused

    def test_of_none_gives_none(self, kernel: Kernel) -> None:
        cache = create(kernel)
        assert kernel.kmem_cache_alloc_bulk(cache, GFP_KERNEL, 0) == []
        assert kernel.call("kmem_cache_alloc_bulk", (cache, GFP_KERNEL, 5)) == 5
        kernel.kmem_cache_free_bulk(cache, 0, [])
        assert len(kernel.caches.slab_at) == 1

    @pytest.mark.parametrize("nth", range(1, 6))
    @pytest.mark.parametrize("held", [0, 3, 8, 20, 43])
    def test_all_or_nothing(self, kernel: Kernel, nth: int, held: int) -> None:
        cache = create(kernel, 512)  # 8 to a slab
        objects = [kernel.kmem_cache_alloc(cache, GFP_KERNEL) for _ in range(held)]
        for p in objects[::5]:
            kernel.kmem_cache_free(cache, p)
        before = state(kernel)
        kernel.fail_nth = nth
        assert kernel.kmem_cache_alloc_bulk(cache, GFP_NOWAIT, 60) == []
        assert state(kernel) == before
        assert len(kernel.kmem_cache_alloc_bulk(cache, GFP_NOWAIT, 60)) == 60

    def test_of_built_objects_undoes_what_it_built(self) -> None:
        built = Built(512)
        built.kernel.fail_nth = 3
        before = state(built.kernel)
        memory = built.kernel.frames.pages.free_pages
        assert built.kernel.kmem_cache_alloc_bulk(built.cache, GFP_KERNEL, 60) == []
        assert built.made.total() == built.gone.total() > 0
        assert built.kernel.frames.pages.free_pages == memory
        assert before != state(built.kernel)  # only in bytes that are nobody's
        assert rules.broken_clauses([each.cache for each in built.kernel.caches.every]) == []

    def test_an_empty_slab_that_was_there_may_go_with_what_is_undone(self, kernel: Kernel) -> None:
        cache = create(kernel, 512)
        objects = kernel.kmem_cache_alloc_bulk(cache, GFP_KERNEL, 24)
        kernel.kmem_cache_free_bulk(cache, 24, objects)
        kernel.fail_nth = 1
        assert kernel.kmem_cache_alloc_bulk(cache, GFP_KERNEL, 100) == []
        assert kernel.slab_caches[cache].lists.unused
        assert kernel.kmem_cache_alloc(cache, GFP_KERNEL) in objects


class TestConstructors:
    def test_runs_once_for_each_slot_of_a_slab_and_not_on_reuse(self) -> None:
        built = Built()
        objects = [built.kernel.kmem_cache_alloc(built.cache, GFP_KERNEL) for _ in range(100)]
        assert built.made.total() == built.constructed == built.slots == 170  # as observed of kernels
        for p in objects:
            built.kernel.kmem_cache_free(built.cache, p)
        again = {built.kernel.kmem_cache_alloc(built.cache, GFP_KERNEL) for _ in range(170)}
        assert set(objects) < again == built.made.keys()
        assert built.made.total() == 170
        assert built.gone.total() == 0

    def test_an_object_keeps_its_bytes_over_free_and_alloc(self) -> None:
        built = Built()
        p = built.kernel.kmem_cache_alloc(built.cache, GFP_KERNEL)
        assert built.kernel.memory.first_other(p, 40, 0x33) is None
        built.kernel.memory.fill(p, 40, 0x55)
        built.kernel.kmem_cache_free(built.cache, p)
        assert built.kernel.kmem_cache_alloc(built.cache, GFP_KERNEL) == p
        assert built.kernel.memory.first_other(p, 40, 0x55) is None

    @pytest.mark.parametrize("end", ["kmem_cache_shrink", "kmem_cache_destroy"])
    def test_the_destructor_runs_once_for_each_slot_when_its_slab_goes(self, end: str) -> None:
        built = Built()
        objects = [built.kernel.kmem_cache_alloc(built.cache, GFP_KERNEL) for _ in range(100)]
        for p in objects:
            built.kernel.kmem_cache_free(built.cache, p)
        assert built.gone.total() == 0
        built.kernel.call(end, (built.cache,))
        assert built.gone == built.made
        assert built.constructed == 0
        assert not built.kernel.caches.constructed

    def test_the_destructor_runs_when_need_takes_a_slab(self) -> None:
        built = Built(2000, 8 * MIB)
        built.kernel.kmem_cache_free(built.cache, built.kernel.kmem_cache_alloc(built.cache, GFP_KERNEL))
        assert built.gone.total() == 0
        while built.kernel.get_free_pages(GFP_KERNEL, 0):
            pass
        assert built.gone == built.made

    def test_a_slab_that_comes_back_is_constructed_again(self) -> None:
        built = Built()
        for _ in range(3):
            p = built.kernel.kmem_cache_alloc(built.cache, GFP_KERNEL)
            built.kernel.kmem_cache_free(built.cache, p)
            built.kernel.kmem_cache_shrink(built.cache)
        assert set(built.made.values()) == {3}
        assert built.gone == built.made

    def test_without_a_destructor_slabs_just_go(self, kernel: Kernel) -> None:
        ran: list[int] = []
        cache = create(kernel, ctor=ran.append)
        p = kernel.kmem_cache_alloc(cache, GFP_KERNEL)
        assert p in ran
        kernel.kmem_cache_free(cache, p)
        kernel.kmem_cache_destroy(cache)
        assert not kernel.caches.constructed

    @pytest.mark.parametrize(
        ("api", "gfp"),
        [
            ("kmem_cache_zalloc", (GFP_KERNEL,)),
            ("kmem_cache_alloc", (GFP_KERNEL | ZERO,)),
            ("kmem_cache_alloc_bulk", (GFP_KERNEL | ZERO, 3)),
        ],
    )
    def test_nobody_may_ask_for_zeroes(self, api: str, gfp: tuple[int, ...]) -> None:
        built = Built()
        assert refused(built.kernel, api, built.cache, *gfp) == "CALLER-CTOR-ZERO"


class TestCallers:
    @pytest.fixture
    def pointers(self, kernel: Kernel) -> dict[str, int]:
        """Return a cache and pointers of each kind."""
        cache, other = create(kernel), create(kernel)
        given = {
            "cache": cache,
            "other cache": other,
            "gone cache": create(kernel),
            "object": kernel.kmem_cache_alloc(cache, GFP_KERNEL),
            "other's": kernel.kmem_cache_alloc(other, GFP_KERNEL),
            "freed": kernel.kmem_cache_alloc(cache, GFP_KERNEL),
            "kmalloc's": kernel.kmalloc(40, GFP_KERNEL),
            "large": kernel.kmalloc(20000, GFP_KERNEL),
            "block": kernel.get_free_pages(GFP_KERNEL, 0),
            "nothing": 0,
        }
        kernel.kmem_cache_destroy(given["gone cache"])
        kernel.kmem_cache_free(cache, given["freed"])
        return given | {"inside": given["object"] + 8, "never given": given["object"] + 40 * 20}

    errors = [
        ("nothing", "CALLER-FREE"),
        ("inside", "CALLER-FREE"),
        ("never given", "CALLER-FREE"),
        ("freed", "CALLER-DOUBLE-FREE"),
        ("other's", "CALLER-CACHE"),
        ("kmalloc's", "CALLER-FAMILY"),
        ("large", "CALLER-FAMILY"),
        ("block", "CALLER-FAMILY"),
    ]

    @pytest.mark.parametrize(("kind", "clause"), errors)
    def test_a_wrong_pointer_is_refused_alone_and_among_others(
        self, kernel: Kernel, pointers: dict[str, int], kind: str, clause: str
    ) -> None:
        cache, p = pointers["cache"], pointers[kind]
        assert refused(kernel, "kmem_cache_free", cache, p) == clause
        assert refused(kernel, "kmem_cache_free_bulk", cache, 2, [pointers["object"], p]) == clause
        kernel.kmem_cache_free_bulk(cache, 1, [pointers["object"], p])

    def test_one_object_is_not_freed_twice_in_a_bulk(self, kernel: Kernel, pointers: dict[str, int]) -> None:
        twice = [pointers["object"]] * 2
        assert refused(kernel, "kmem_cache_free_bulk", pointers["cache"], 2, twice) == "CALLER-DOUBLE-FREE"

    @pytest.mark.parametrize("api", ["kfree", "kfree_sensitive", "ksize", "kvfree"])
    def test_an_object_is_none_of_kmallocs(self, kernel: Kernel, pointers: dict[str, int], api: str) -> None:
        assert refused(kernel, api, pointers["object"]) == "CALLER-FAMILY"
        wanted = "CALLER-FREE" if api == "ksize" else "CALLER-DOUBLE-FREE"
        assert refused(kernel, api, pointers["freed"]) == wanted

    handles = [
        ("kmem_cache_alloc", (GFP_KERNEL,)),
        ("kmem_cache_zalloc", (GFP_KERNEL,)),
        ("kmem_cache_alloc_bulk", (GFP_KERNEL, 2)),
        ("kmem_cache_shrink", ()),
        ("kmem_cache_size", ()),
        ("kmem_cache_destroy", ()),
        ("mempool_alloc", (GFP_KERNEL,)),
    ]

    @pytest.mark.parametrize(("api", "args"), handles)
    def test_what_is_no_cache_is_not_used(
        self, kernel: Kernel, pointers: dict[str, int], api: str, args: tuple[object, ...]
    ) -> None:
        for cache in (pointers["gone cache"], pointers["object"], pointers["cache"] + 8):
            assert refused(kernel, api, cache, *args) == "CALLER-HANDLE"

    def test_an_object_goes_to_no_other_handle(self, kernel: Kernel, pointers: dict[str, int]) -> None:
        for cache in (pointers["gone cache"], pointers["cache"] + 8, 0):
            assert refused(kernel, "kmem_cache_free", cache, pointers["object"]) == "CALLER-CACHE"
            bulk = ("kmem_cache_free_bulk", cache, 1, [pointers["object"]])
            assert refused(kernel, *bulk) == "CALLER-CACHE"

    def test_a_cache_with_live_objects_stays(self, kernel: Kernel, pointers: dict[str, int]) -> None:
        assert refused(kernel, "kmem_cache_destroy", pointers["cache"]) == "CALLER-DESTROY"
        kernel.kmem_cache_free(pointers["cache"], pointers["object"])
        kernel.kmem_cache_destroy(pointers["cache"])

    @pytest.mark.parametrize(("api", "args"), handles[:3])
    def test_masks_are_legal_and_fit_the_context(
        self, kernel: Kernel, pointers: dict[str, int], api: str, args: tuple[int, ...]
    ) -> None:
        cache = pointers["cache"]
        assert refused(kernel, api, cache, ILLEGAL, *args[1:]) == "CALLER-GFP"
        kernel.preempt_disable()
        assert refused(kernel, api, cache, *args) == "CALLER-CONTEXT"
        assert kernel.call(api, (cache, GFP_ATOMIC, *args[1:])) != 0

    def test_what_may_sleep_is_refused_in_atomic_context(
        self, kernel: Kernel, pointers: dict[str, int]
    ) -> None:
        kernel.preempt_disable()
        assert refused(kernel, "kmem_cache_create", b"test", 40, 0, 0, None) == "CALLER-CONTEXT"
        assert refused(kernel, "kmem_cache_create_26", b"test", 40, 0, 0, None, None) == "CALLER-CONTEXT"
        assert refused(kernel, "kmem_cache_shrink", pointers["cache"]) == "CALLER-CONTEXT"
        assert refused(kernel, "kmem_cache_destroy", pointers["cache"]) == "CALLER-CONTEXT"
        kernel.kmem_cache_free(pointers["cache"], pointers["object"])


steps = st.one_of(
    st.tuples(st.just("alloc"), st.integers(1, 30)),
    st.tuples(st.just("bulk"), st.integers(1, 30)),
    st.tuples(st.just("free"), st.integers(0, 99)),
    st.tuples(st.just("free some"), st.integers(1, 30)),
    st.tuples(st.just("fail"), st.integers(1, 3)),
    st.tuples(st.just("shrink"), st.just(0)),
    st.tuples(st.just("exhaust"), st.just(0)),
)


@settings(max_examples=120, deadline=None, derandomize=True, database=None)
@given(size=st.sampled_from([40, 500, 2000, 9000]), plan=st.lists(steps, max_size=25))
def test_every_slot_is_constructed_from_when_its_slab_is_made_until_it_goes(
    size: int, plan: list[tuple[str, int]]
) -> None:
    built = Built(size, 8 * MIB)
    kernel, live = built.kernel, list[int]()
    for step, n in plan:
        if step == "alloc":
            live += [p for _ in range(n) if (p := kernel.kmem_cache_alloc(built.cache, GFP_KERNEL))]
        elif step == "bulk":
            given_now = kernel.kmem_cache_alloc_bulk(built.cache, GFP_ATOMIC, n)
            assert len(given_now) in (0, n)
            live += given_now
        elif step == "free" and live:
            kernel.kmem_cache_free(built.cache, live.pop(n % len(live)))
        elif step == "free some":
            kernel.kmem_cache_free_bulk(built.cache, min(n, len(live)), live)
            del live[:n]
        elif step == "fail":
            kernel.fail_nth = n
        elif step == "shrink":
            kernel.kmem_cache_shrink(built.cache)
        elif step == "exhaust":
            blocks = []
            while block := kernel.get_free_pages(GFP_NOWAIT, 3):
                blocks.append(block)
            for block in blocks:
                kernel.free_pages(block, 3)
        lists = kernel.slab_caches[built.cache].lists
        caches = [each.cache for each in kernel.caches.every]
        assert rules.broken_clauses(caches) == []
        assert isinstance(lists.cache, BuiltCache)
        assert construct.broken_constructions([lists.cache], kernel.caches.constructed) == []
        assert built.constructed == built.slots == len(kernel.caches.constructed)
        assert len(set(live)) == len(live)
        assert all(kernel.memory.first_other(p, size, 0x33) is None for p in live)
    for p in live:
        kernel.kmem_cache_free(built.cache, p)
    kernel.kmem_cache_destroy(built.cache)
    assert built.gone == built.made
    with pytest.raises(Refused):
        kernel.kmem_cache_alloc(built.cache, GFP_KERNEL)
