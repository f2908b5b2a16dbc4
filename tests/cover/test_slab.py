"""Slab caches: the rules of their state, the steps, the layout, the policy; each both ways."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from kmem_model.caches import Caches, FreeLists
from kmem_model.frames import Frames
from kmem_model.layout import objects_per_slab, slab_order, slot_size
from kmem_model.page import machine
from kmem_model.slab import BuiltCache, Cache
from kmem_spec import cache as rules
from kmem_spec import construct, slab_flags
from kmem_spec.clauses import CLAUSES, Clause
from kmem_spec.gfp import DMA, GFP_KERNEL
from kmem_spec.slab import CLASS_SIZES
from kmem_spec.table import DictTable, Refused
from kmem_spec.units import PAGE_SIZE

BASE = 64 * PAGE_SIZE
STATE_RULES = [
    "SLAB-INSIDE",
    "SLAB-APART",
    "SLAB-LIVE",
    "SLAB-EMPTY",
    "SLAB-COUNT",
    "SLAB-PAGES",
    "SLAB-OWNER",
]
BUILT_RULES = ["CACHE-CONSTRUCTED", "CACHE-DESTRUCTED"]


def new_cache(owners: DictTable[int] | None = None, *, slot: int = 96, order: int = 0) -> Cache:
    objects = objects_per_slab(slot, order)
    return Cache("test", slot, 8, slot, order, objects, DictTable() if owners is None else owners)


def built_cache(constructed: DictTable[int] | None = None, number: int = 7) -> BuiltCache:
    table: DictTable[int] = DictTable() if constructed is None else constructed
    return BuiltCache("test", 96, 8, 96, 0, 42, DictTable(), number=number, constructed=table)


def tables(cache: Cache) -> tuple[object, ...]:
    """Return a copy of all that a step may change."""
    every = [cache.slabs, cache.live, cache.owners]
    if isinstance(cache, BuiltCache):
        every += [cache.built, cache.constructed]
    return tuple(dict(table) for table in every if isinstance(table, DictTable))


def refused(step: Callable[[], object]) -> str:
    """Return the clause under which a step refuses."""
    with pytest.raises(Refused) as caught:
        step()
    return caught.value.clause


class TestRules:
    @pytest.mark.parametrize(
        "clause", [CLAUSES[identifier] for identifier in STATE_RULES + BUILT_RULES], ids=lambda c: c.id
    )
    def test_has_a_witness_and_a_broken_example(self, clause: Clause) -> None:
        assert clause.kind == "state"
        assert clause.applies(*clause.witness)
        assert clause.holds(*clause.witness)
        assert clause.applies(*clause.broken)
        assert not clause.holds(*clause.broken)

    def test_all_of_them_are_looked_at_at_every_point(self) -> None:
        assert rules.broken_clauses([rules.GOOD]) == []
        found = rules.broken_clauses([rules.BAD])
        assert found == [identifier for identifier in STATE_RULES if identifier != "SLAB-LIVE"]

    def test_two_caches_may_not_share_a_slab(self) -> None:
        twin = replace(rules.GOOD)
        assert rules.broken_clauses([rules.GOOD, twin]) == ["SLAB-PAGES"]

    def test_a_point_that_is_none_is_outside_the_premise(self) -> None:
        nowhere = 999 * PAGE_SIZE
        assert not CLAUSES["SLAB-INSIDE"].applies(rules.GOOD, nowhere)
        assert not CLAUSES["SLAB-APART"].applies(rules.GOOD, rules.BASE, rules.BASE)
        assert not CLAUSES["SLAB-PAGES"].applies(rules.GOOD, rules.BASE, rules.GOOD, rules.BASE)
        assert not CLAUSES["SLAB-OWNER"].applies(rules.GOOD, rules.BASE, rules.NEXT // PAGE_SIZE)


class TestSteps:
    def test_a_slab_is_made_used_emptied_and_given_up(self) -> None:
        cache = new_cache()
        cache.grow(BASE)
        given = [cache.alloc(BASE, index) for index in range(cache.objects)]
        assert given == [BASE + 96 * index for index in range(42)]
        assert cache.slabs.get(BASE, -1) == 42
        assert rules.broken_clauses([cache]) == []
        for index in range(cache.objects):
            cache.free(BASE, index)
        cache.shrink(BASE)
        assert tables(cache) == ({}, {}, {})

    refusals = [
        ("slab off its alignment", "SLAB-PAGES", lambda cache: cache.grow(BASE + 16 * PAGE_SIZE + 8)),
        ("slab at NULL", "SLAB-PAGES", lambda cache: cache.grow(0)),
        ("slab twice", "SLAB-PAGES", lambda cache: cache.grow(BASE)),
        ("slot after the last", "SLAB-INSIDE", lambda cache: cache.alloc(BASE, 42)),
        ("slot before the first", "SLAB-INSIDE", lambda cache: cache.alloc(BASE, -1)),
        ("object of no slab", "SLAB-INSIDE", lambda cache: cache.alloc(BASE + PAGE_SIZE, 0)),
        ("live object handed out", "SLAB-LIVE", lambda cache: cache.alloc(BASE, 3)),
        ("free object freed", "SLAB-LIVE", lambda cache: cache.free(BASE, 4)),
        ("free beyond the slab", "SLAB-INSIDE", lambda cache: cache.free(BASE, 42)),
        ("free before the slab", "SLAB-INSIDE", lambda cache: cache.free(BASE, -1)),
        ("free in no slab", "SLAB-INSIDE", lambda cache: cache.free(BASE + PAGE_SIZE, 3)),
        ("slab with a live object given up", "SLAB-EMPTY", lambda cache: cache.shrink(BASE)),
        ("no slab given up", "SLAB-EMPTY", lambda cache: cache.shrink(BASE + PAGE_SIZE)),
    ]

    @pytest.mark.parametrize(
        ("step", "clause"), [(s, c) for _, c, s in refusals], ids=[n for n, *_ in refusals]
    )
    def test_a_wrong_choice_is_refused_and_changes_nothing(
        self, step: Callable[[Cache], object], clause: str
    ) -> None:
        cache = new_cache()
        cache.grow(BASE)
        cache.alloc(BASE, 3)
        before = tables(cache)
        assert refused(lambda: step(cache)) == clause
        assert tables(cache) == before

    def test_a_slab_that_counts_as_full_hands_nothing_out(self) -> None:
        cache = new_cache()
        cache.grow(BASE)
        cache.slabs.put(BASE, cache.objects)
        assert refused(lambda: cache.alloc(BASE, 0)) == "SLAB-LIVE"

    def test_no_slab_overlaps_one_of_another_cache_at_any_page(self) -> None:
        owners: DictTable[int] = DictTable()
        small, large = new_cache(owners), new_cache(owners, slot=4096, order=3)
        large.grow(BASE)
        for page in range(8):
            base = BASE + page * PAGE_SIZE
            assert refused(lambda base=base: small.grow(base)) == "SLAB-PAGES"  # type: ignore[misc]  # a default in a lambda has no type
        small.grow(BASE + 8 * PAGE_SIZE)
        small.grow(BASE - PAGE_SIZE)
        assert refused(lambda: large.grow(BASE - 8 * PAGE_SIZE)) == "SLAB-PAGES"
        assert rules.broken_clauses([small, large]) == []


class TestConstruction:
    def ready(self, built: int = 42) -> BuiltCache:
        """Return a cache with one slab, so many of its slots constructed."""
        cache = built_cache()
        cache.grow(BASE)
        for _ in range(built):
            cache.construct(BASE)
        return cache

    def broken(self, *caches: BuiltCache) -> list[str]:
        return construct.broken_constructions(caches, caches[0].constructed)

    def test_slots_are_constructed_one_by_one_used_and_destructed(self) -> None:
        cache = built_cache()
        cache.grow(BASE)
        assert [cache.construct(BASE) for _ in range(42)] == [BASE + 96 * index for index in range(42)]
        assert cache.alloc(BASE, 41) == BASE + 96 * 41
        assert rules.broken_clauses([cache]) == self.broken(cache) == []
        cache.free(BASE, 41)
        assert [cache.destruct(BASE) for _ in range(42)] == [BASE + 96 * index for index in range(41, -1, -1)]
        cache.shrink(BASE)
        assert tables(cache) == ({}, {}, {}, {}, {})

    refusals = [
        ("one slot too many", 42, "SLAB-INSIDE", lambda cache: cache.construct(BASE)),
        ("a slot of no slab", 42, "SLAB-INSIDE", lambda cache: cache.construct(BASE + PAGE_SIZE)),
        ("a slab in use", 42, "SLAB-EMPTY", lambda cache: (cache.alloc(BASE, 0), cache.destruct(BASE))),
        ("no slab destructed", 42, "SLAB-EMPTY", lambda cache: cache.destruct(BASE + PAGE_SIZE)),
        ("nothing left to destruct", 0, "CACHE-DESTRUCTED", lambda cache: cache.destruct(BASE)),
        ("a slab half made handed out", 41, "CACHE-CONSTRUCTED", lambda cache: cache.alloc(BASE, 0)),
        ("a slab half gone handed out", 1, "CACHE-CONSTRUCTED", lambda cache: cache.alloc(BASE, 0)),
        ("a constructed slab given up", 1, "CACHE-DESTRUCTED", lambda cache: cache.shrink(BASE)),
        ("no slab given up", 42, "CACHE-DESTRUCTED", lambda cache: cache.shrink(BASE + PAGE_SIZE)),
        ("slab twice", 42, "SLAB-PAGES", lambda cache: cache.grow(BASE)),
    ]

    @pytest.mark.parametrize(
        ("built", "step", "clause"), [(b, s, c) for _, b, c, s in refusals], ids=[n for n, *_ in refusals]
    )
    def test_a_wrong_choice_is_refused_and_changes_nothing(
        self, built: int, step: Callable[[BuiltCache], object], clause: str
    ) -> None:
        cache = self.ready(built)
        before = tables(cache)
        assert refused(lambda: step(cache)) == clause
        if clause != "SLAB-EMPTY":  # whose row hands an object out first
            assert tables(cache) == before

    def test_a_slot_that_is_constructed_by_another_is_not_constructed_again(self) -> None:
        cache = built_cache(DictTable({BASE: 8}))
        cache.grow(BASE)
        assert refused(lambda: cache.construct(BASE)) == "CACHE-CONSTRUCTED"
        cache.built.put(BASE, 1)
        assert refused(lambda: cache.destruct(BASE)) == "CACHE-DESTRUCTED"

    def test_rules_are_looked_at_at_every_slot_and_address(self) -> None:
        assert self.broken(self.ready(41)) == ["CACHE-CONSTRUCTED"]
        cache = self.ready()
        cache.constructed.put(BASE + PAGE_SIZE, 7)
        assert self.broken(cache) == ["CACHE-DESTRUCTED"]
        cache.constructed.put(BASE + PAGE_SIZE, 9)  # of no cache that there is
        assert self.broken(cache) == ["CACHE-DESTRUCTED"]
        cache.constructed.drop(BASE + PAGE_SIZE)
        cache.constructed.put(BASE, 9)
        assert self.broken(cache) == BUILT_RULES

    def test_a_slot_is_due_while_it_counts_or_its_slab_is_in_use(self) -> None:
        due = CLAUSES["CACHE-CONSTRUCTED"].applies
        cache = self.ready(3)
        assert [due(cache, BASE, index) for index in (-1, 0, 2, 3)] == [False, True, True, False]
        cache.slabs.put(BASE, 1)
        assert due(cache, BASE, 41)
        assert not due(cache, BASE, 42)
        assert not due(cache, BASE + PAGE_SIZE, 0)


class TestFlags:
    def test_no_two_flags_share_a_bit(self) -> None:
        bits = list(slab_flags.NAMES.values())
        assert all(bit & (bit - 1) == 0 for bit in bits)
        assert len(set(bits)) == len(bits)
        assert sum(bits) == slab_flags.PERMITTED

    def test_numbers_are_those_of_the_kernel(self) -> None:
        assert slab_flags.HWCACHE_ALIGN == 0x2000
        assert slab_flags.PANIC == 0x40000
        assert slab_flags.ACCOUNT == 0x4000000

    def test_they_are_shown_by_name(self) -> None:
        assert slab_flags.describe(0) == "0"
        assert slab_flags.describe(0x2000 | 0x400) == "SLAB_RED_ZONE | SLAB_HWCACHE_ALIGN"
        assert slab_flags.describe(0x80002000) == "SLAB_HWCACHE_ALIGN | 0x80000000"
        assert slab_flags.describe(1) == "0x1"


# facts/slab.md, section 4: order and objects by the number of CPUs, for the kmalloc classes.
ONE_PAGE = {8: 512, 16: 256, 32: 128, 64: 64, 96: 42, 128: 32}
LAYOUTS = {
    1: {192: (0, 21), 256: (0, 16), 512: (0, 8), 1024: (1, 8), 2048: (2, 8), 4096: (3, 8), 8192: (3, 4)},
    2: {192: (0, 21), 256: (0, 16), 512: (1, 16), 1024: (2, 16), 2048: (3, 16), 4096: (3, 8), 8192: (3, 4)},
    7: {192: (0, 21), 256: (0, 16), 512: (1, 16), 1024: (2, 16), 2048: (3, 16), 4096: (3, 8), 8192: (3, 4)},
    8: {192: (0, 21), 256: (1, 32), 512: (2, 32), 1024: (3, 32), 2048: (3, 16), 4096: (3, 8), 8192: (3, 4)},
    16: {192: (1, 42), 256: (1, 32), 512: (2, 32), 1024: (3, 32), 2048: (3, 16), 4096: (3, 8), 8192: (3, 4)},
    127: {192: (1, 42), 256: (1, 32), 512: (2, 32), 1024: (3, 32), 2048: (3, 16), 4096: (3, 8), 8192: (3, 4)},
}


class TestLayout:
    @pytest.mark.parametrize("cpus", LAYOUTS)
    def test_slabs_of_the_kmalloc_classes_are_as_in_the_kernel(self, cpus: int) -> None:
        wanted = {size: (0, objects) for size, objects in ONE_PAGE.items()} | LAYOUTS[cpus]
        found = {}
        for size in CLASS_SIZES:
            order = slab_order(size, cpus)
            assert order is not None
            found[size] = (order, objects_per_slab(size, order))
        assert found == wanted

    def test_odd_slots_take_the_order_that_wastes_little(self) -> None:
        assert slab_order(12000, 1) == 3
        assert slab_order(700, 1) is not None

    def test_large_slots_take_what_holds_one_and_too_large_ones_nothing(self) -> None:
        assert slab_order(40000) == 4
        assert slab_order(4 << 20) == 10
        assert slab_order((4 << 20) + 8) is None

    def test_a_slot_is_the_size_rounded_up(self) -> None:
        assert slot_size(40, 8) == 40
        assert slot_size(41, 8) == 48
        assert slot_size(100, 64) == 128
        assert slot_size(40, 8, pointer_outside=True) == 48


class TestPolicy:
    def caches(self) -> tuple[Frames, Caches]:
        frames = Frames(machine(64 << 20))
        return frames, Caches(frames)

    def cache(self, size: int = 512) -> tuple[Frames, FreeLists]:
        frames, caches = self.caches()
        lists = caches.create("test", size, 8)
        assert lists is not None
        return frames, lists

    def test_the_slot_freed_last_is_handed_out_next(self) -> None:
        _, lists = self.cache()
        base = lists.alloc(GFP_KERNEL)
        second, third = lists.alloc(GFP_KERNEL), lists.alloc(GFP_KERNEL)
        lists.free(base, 1)
        lists.free(base, 0)
        assert [lists.alloc(GFP_KERNEL) for _ in range(3)] == [base, second, third + 512]

    def test_a_slab_with_room_is_used_before_a_new_one(self) -> None:
        _, lists = self.cache()
        first = [lists.alloc(GFP_KERNEL) for _ in range(8)]
        lists.alloc(GFP_KERNEL)
        lists.free(first[0], 5)
        rest = [lists.alloc(GFP_KERNEL) for _ in range(8)]
        assert rest[-1] == first[5]
        assert len(lists.waiting) == 2

    @pytest.mark.parametrize(("size", "kept"), [(512, 5), (8192, 6)])
    def test_some_empty_slabs_are_kept_and_the_others_given_back(self, size: int, kept: int) -> None:
        frames, lists = self.cache(size)
        at_first = frames.pages.free_pages
        objects = [lists.alloc(GFP_KERNEL) for _ in range(20 * lists.cache.objects)]
        assert len(lists.waiting) == 20
        for address in objects:
            base = address - address % lists.cache.slab_bytes
            lists.free(base, (address - base) // lists.cache.slot)
        assert lists.min_partial == kept
        assert len(lists.waiting) == kept + 1  # and the active one
        assert lists.shrink() == kept + 1
        assert frames.pages.free_pages == at_first
        assert lists.alloc(GFP_KERNEL) != 0

    def test_slabs_of_one_object_come_and_go(self) -> None:
        frames, lists = self.cache(40000)
        assert lists.cache.objects == 1
        at_first = frames.pages.free_pages
        objects = [lists.alloc(GFP_KERNEL) for _ in range(12)]
        for base in objects:
            lists.free(base, 0)
        lists.shrink()
        assert frames.pages.free_pages == at_first

    def test_without_pages_there_is_no_object(self) -> None:
        frames, lists = self.cache()
        frames.fail_nth = 1
        assert lists.alloc(GFP_KERNEL) == 0
        assert tables(lists.cache) == ({}, {}, {})
        assert lists.alloc(GFP_KERNEL) != 0

    def test_without_anybody_to_ask_pages_just_run_out(self) -> None:
        frames, lists = self.cache(8192)
        while lists.alloc(GFP_KERNEL):
            pass
        assert frames.take(3, GFP_KERNEL) == 0

    def test_objects_are_found_by_their_address_only(self) -> None:
        _, caches = self.caches()
        lists = caches.create("test", 96, 32)
        assert lists is not None
        address = [lists.alloc(GFP_KERNEL) for _ in range(3)][2]
        assert caches.find(address) == (lists, address - 192, 2)
        assert caches.find(address + 8) is None
        assert caches.find(address + 96) is None
        assert caches.find(address + PAGE_SIZE) is None

    def test_a_cache_of_too_large_objects_is_none(self) -> None:
        _, caches = self.caches()
        assert caches.create("test", (4 << 20) + 1, 8) is None
        assert caches.every == []

    def test_the_cache_and_not_the_mask_says_which_zone(self) -> None:
        _, caches = self.caches()
        low, any_zone = caches.create("low", 64, 64, DMA), caches.create("any", 64, 64)
        assert low is not None
        assert any_zone is not None
        limit = 0xFFFF888000000000 + (16 << 20)
        assert low.alloc(GFP_KERNEL) < limit
        assert any_zone.alloc(GFP_KERNEL | DMA) >= limit
