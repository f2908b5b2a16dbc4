"""Zones and the policy over them, both ways: what they give, and what they refuse without a change."""

from __future__ import annotations

import random
from collections.abc import Callable
from copy import deepcopy

import pytest

from kmem_model.page import Pages, Zone, machine
from kmem_spec.clauses import CLAUSES
from kmem_spec.gfp import (
    DMA,
    DMA32,
    GFP_ATOMIC,
    GFP_KERNEL,
    GFP_NOWAIT,
    GFP_USER,
    HIGH,
    MEMALLOC,
    NOFAIL,
    NOMEMALLOC,
)
from kmem_spec.table import Refused
from kmem_spec.units import MAX_ORDER
from kmem_spec.watermark import Marks, floor_of, marks_of, min_free_kib, passes
from kmem_spec.zone import Blocks, ZoneState, broken_clauses

STATE = [
    "PAGE-HEAD",
    "PAGE-APART",
    "PAGE-WHOLE",
    "PAGE-COUNT",
    "PAGE-MERGED",
    "PAGE-WATERMARK",
]


def zone_of(free: dict[int, int], used: dict[int, int], end: int = 16) -> Zone:
    return Zone("NORMAL", 0, end, Blocks(free), Blocks(used), sum(free.values()))


@pytest.mark.parametrize("identifier", STATE)
def test_each_clause_holds_of_its_witness_and_not_of_its_broken_example(identifier: str) -> None:
    clause = CLAUSES[identifier]
    assert clause.kind == "state"
    assert clause.holds(*clause.witness)
    assert not clause.holds(*clause.broken)


@pytest.mark.parametrize(
    ("zone", "broken"),
    [
        (zone_of({0: 16}, {}), []),
        (zone_of({0: 8}, {8: 8}), []),
        (zone_of({4: 8}, {0: 4, 12: 4}), ["PAGE-HEAD"]),
        (zone_of({0: 16}, {}, end=8), ["PAGE-HEAD"]),
        (zone_of({0: 16}, {8: 8}), ["PAGE-APART"]),
        (zone_of({0: 8}, {}), ["PAGE-WHOLE"]),
        (zone_of({0: 8, 8: 8}, {}), ["PAGE-MERGED"]),
        (ZoneState("NORMAL", 0, 8, Blocks({0: 8}), Blocks(), 7), ["PAGE-COUNT"]),
    ],
)
def test_broken_clauses_are_named(zone: ZoneState, broken: list[str]) -> None:
    assert broken_clauses(zone) == broken


@pytest.mark.parametrize(("start", "end"), [(0, 0), (0, 1), (0, 13), (3, 64), (1, 3000), (4096, 5120)])
def test_a_filled_zone_is_free_and_merged(start: int, end: int) -> None:
    zone = Zone.filled("NORMAL", start, end)
    assert (zone.start, zone.end, zone.nfree) == (start, end, end - start)
    assert broken_clauses(zone) == []


def tables(zone: Zone) -> tuple[dict[int, int], dict[int, int], int]:
    assert isinstance(zone.free, Blocks)
    assert isinstance(zone.used, Blocks)
    return dict(zone.free), dict(zone.used), zone.nfree


def test_steps_change_what_they_say() -> None:
    zone = Zone.filled("NORMAL", 0, 16)
    zone.split(0, 16)
    assert tables(zone) == ({0: 8, 8: 8}, {}, 16)
    zone.take(8, 8)
    assert tables(zone) == ({0: 8}, {8: 8}, 8)
    zone.put(8, 8)
    assert zone.mergeable(8, 8)
    assert zone.merge(8, 8) == 0
    assert tables(zone) == ({0: 16}, {}, 16)
    assert zone.extend(16) == 16
    assert zone.settle(16, 16) == (0, 32)
    assert tables(zone) == ({0: 32}, {}, 32)
    assert zone.end == 32


REFUSALS: list[tuple[str, Callable[[Zone], object]]] = [
    ("PAGE-APART", lambda zone: zone.split(0, 8)),
    ("PAGE-APART", lambda zone: zone.split(8, 8)),
    ("PAGE-HEAD", lambda zone: zone.split(14, 1)),
    ("PAGE-HEAD", lambda zone: zone.split(3, 0)),
    ("PAGE-APART", lambda zone: zone.merge(8, 4)),
    ("PAGE-APART", lambda zone: zone.merge(14, 1)),
    ("PAGE-HEAD", lambda zone: zone.merge(0, 1024)),
    ("PAGE-HEAD", lambda zone: zone.merge(3, 0)),
    ("PAGE-APART", lambda zone: zone.take(0, 8)),
    ("PAGE-APART", lambda zone: zone.take(3, 0)),
    ("PAGE-WATERMARK", lambda zone: zone.take(8, 4, 2)),
    ("CALLER-FREE", lambda zone: zone.put(8, 4)),
    ("CALLER-FREE", lambda zone: zone.put(3, 1)),
    ("CALLER-ORDER", lambda zone: zone.put(0, 4)),
    ("PAGE-HEAD", lambda zone: zone.extend(3)),
    ("PAGE-HEAD", lambda zone: zone.extend(32)),
    ("PAGE-HEAD", lambda zone: zone.extend(2048)),
    ("PAGE-HEAD", lambda zone: zone.extend(0)),
]


@pytest.mark.parametrize(("clause", "call"), REFUSALS)
def test_a_refused_step_names_its_clause_and_changes_nothing(
    clause: str, call: Callable[[Zone], object]
) -> None:
    zone = zone_of({8: 4, 14: 1}, {0: 8, 12: 2, 15: 1})
    assert broken_clauses(zone) == []
    before = deepcopy(zone)
    with pytest.raises(Refused) as refusal:
        call(zone)
    assert refusal.value.clause == clause
    assert zone == before


@pytest.mark.parametrize(
    ("pfn", "order", "clause"),
    [
        (8, 2, "CALLER-FREE"),
        (2, 0, "CALLER-FREE"),
        (99, 0, "CALLER-FREE"),
        (-1, 0, "CALLER-FREE"),
        (0, 1, "CALLER-ORDER"),
        (0, 3, "CALLER-ORDER"),
        (0, 11, "CALLER-ORDER"),
        (0, -1, "CALLER-ORDER"),
    ],
)
def test_a_wrong_free_is_refused_and_changes_nothing(pfn: int, order: int, clause: str) -> None:
    pages = Pages([Zone.filled("NORMAL", 0, 16)])
    assert pages.alloc(2, GFP_KERNEL) == 0
    before = deepcopy(pages.zones)
    with pytest.raises(Refused) as refusal:
        pages.free(pfn, order)
    assert refusal.value.clause == clause
    assert pages.zones == before
    pages.free(0, 2)
    with pytest.raises(Refused) as refusal:
        pages.free(0, 2)
    assert refusal.value.clause == "CALLER-FREE"


def test_the_least_address_of_the_smallest_sufficient_size_is_given() -> None:
    pages = Pages([zone_of({4: 4, 10: 2, 12: 4}, {0: 4, 8: 2})])
    assert [pages.alloc(1, GFP_KERNEL) for _ in range(4)] == [10, 4, 6, 12]
    assert [pages.alloc(0, GFP_KERNEL) for _ in range(3)] == [14, 15, None]
    assert pages.free_pages == 0


@pytest.mark.parametrize("order", [-1, MAX_ORDER + 1, 52, 63])
def test_no_order_above_the_largest_is_served(order: int) -> None:
    pages = machine(64 << 20)
    assert pages.alloc(order, GFP_KERNEL) is None
    assert pages.alloc(MAX_ORDER, GFP_KERNEL) is not None


@pytest.mark.parametrize(
    ("mebibytes", "kibibytes"),
    [(1, 128), (16, 512), (1024, 4096), (4096, 8192), (16384, 16384), (1 << 24, 262144)],
)
def test_min_free_kbytes_are_the_kernels(mebibytes: int, kibibytes: int) -> None:
    assert min_free_kib(mebibytes * 256) == kibibytes


@pytest.mark.parametrize(
    ("mark", "high", "both"), [(100, 50, 38), (3, 2, 2), (1000, 500, 375), (0, 0, 0), (1, 1, 1), (2, 1, 1)]
)
def test_floors_are_the_kernels(mark: int, high: int, both: int) -> None:
    for mask in (GFP_KERNEL, GFP_USER, GFP_NOWAIT, 0):
        assert floor_of(mark, mask) == mark
    assert floor_of(mark, GFP_KERNEL | HIGH) == high
    assert floor_of(mark, GFP_KERNEL | NOFAIL) == high
    assert floor_of(mark, GFP_ATOMIC) == both
    assert floor_of(mark, GFP_ATOMIC | NOMEMALLOC) == high
    assert floor_of(mark, GFP_KERNEL | MEMALLOC) == 0
    assert floor_of(mark, GFP_KERNEL | MEMALLOC | NOMEMALLOC) == mark


def test_marks_and_reserves_are_the_kernels() -> None:
    """A machine of 6 GiB: min_free_kbytes is 10033, so pages_min 2508, shared out by size."""
    dma, dma32, normal = marks_of((4096, 1044480, 524288))
    assert (dma.min, dma32.min, normal.min) == (6, 1665, 836)
    assert (dma32.low, dma32.high) == (1665 + 1044, 1665 + 2 * 1044)
    assert dma.reserve == (0, 1044480 // 256, (1044480 + 524288) // 256)
    assert dma32.reserve == (0, 0, 524288 // 256)
    assert normal.reserve == (0, 0, 0)
    assert marks_of((0, 0, 0)) == (Marks(), Marks(), Marks())


def test_equality_fails_the_watermark() -> None:
    assert not passes(100, 1, 90, 10)
    assert passes(101, 1, 90, 10)
    assert not passes(103, 4, 90, 10)
    assert passes(104, 4, 90, 10)


def served(gfp: int, free: int = 64) -> int:
    """Return how many single pages a request gets from a zone with a min mark of 16 pages."""
    pages = Pages([Zone.filled("NORMAL", 0, free, Marks(16, 20, 24))])
    count = 0
    while pages.alloc(0, gfp) is not None:
        count += 1
        assert pages.free_pages >= floor_of(16, gfp)
    return count


def test_each_mask_reaches_its_floor_and_no_further() -> None:
    assert served(GFP_KERNEL) == served(GFP_USER) == served(GFP_NOWAIT) == 64 - 16
    assert served(GFP_KERNEL | HIGH) == 64 - 8
    assert served(GFP_ATOMIC) == 64 - 6
    assert served(GFP_KERNEL | MEMALLOC) == 64


def zone_at(pages: Pages, pfn: int | None) -> str:
    assert pfn is not None
    return next(zone.name for zone in pages.zones if zone.start <= pfn < zone.end)


def test_zones_are_laid_out_and_masks_fall_back_downwards_only() -> None:
    pages = machine(6 << 30)
    assert [(zone.name, zone.start, zone.end) for zone in pages.zones] == [
        ("DMA", 0, 4096),
        ("DMA32", 4096, 1 << 20),
        ("NORMAL", 1 << 20, 6 << 18),
    ]
    assert zone_at(pages, pages.alloc(3, GFP_KERNEL)) == "NORMAL"
    assert zone_at(pages, pages.alloc(3, GFP_KERNEL | DMA32)) == "DMA32"
    assert zone_at(pages, pages.alloc(3, GFP_KERNEL | DMA)) == "DMA"
    given = []
    while (pfn := pages.alloc(MAX_ORDER, GFP_KERNEL)) is not None:
        given.append(zone_at(pages, pfn))
    # all zones at the low mark, highest first; then again at the floor; DMA keeps its reserve
    ways = [name for name, before in zip(given, [None, *given], strict=False) if name != before]
    assert ways == ["NORMAL", "DMA32", "NORMAL", "DMA32"]
    assert zone_at(pages, pages.alloc(0, GFP_KERNEL | DMA)) == "DMA"


@pytest.mark.parametrize(("size", "names"), [(8 << 20, ["DMA"]), (1 << 30, ["DMA", "DMA32"]), (0, [])])
def test_a_small_machine_has_not_all_zones(size: int, names: list[str]) -> None:
    pages = machine(size)
    assert [zone.name for zone in pages.zones] == names
    assert (pages.alloc(0, GFP_KERNEL) is None) == (not names)


def test_a_long_run_keeps_every_clause_and_gives_all_back() -> None:
    rng = random.Random(7)
    pages = machine(20 << 20)
    start = pages.free_pages
    live: list[tuple[int, int]] = []
    for step in range(4000):
        if live and rng.random() < 0.45:
            pages.free(*live.pop(rng.randrange(len(live))))
        else:
            order = min(rng.randrange(12), rng.randrange(12))
            mask = rng.choice([GFP_KERNEL, GFP_ATOMIC, GFP_KERNEL | DMA, GFP_KERNEL | MEMALLOC])
            pfn = pages.alloc(order, mask)
            if pfn is not None:
                assert pfn % (1 << order) == 0
                live.append((pfn, order))
        if step % 500 == 0:
            assert [broken_clauses(zone) for zone in pages.zones] == [[], []]
    for pfn, order in live:
        pages.free(pfn, order)
    assert pages.free_pages == start
    assert [broken_clauses(zone) for zone in pages.zones] == [[], []]


State = tuple[tuple[tuple[int, int], ...], tuple[tuple[int, int], ...]]


def state_of(zone: ZoneState) -> State:
    assert isinstance(zone.free, Blocks)
    assert isinstance(zone.used, Blocks)
    return tuple(sorted(zone.free.items())), tuple(sorted(zone.used.items()))


def legal_states(start: int, size: int) -> list[tuple[dict[int, int], dict[int, int]]]:
    """Return every way to divide a block into free and used ones, two free halves never side by side."""
    whole = [({start: size}, {}), ({}, {start: size})]
    if size == 1:
        return whole
    half = size // 2
    halves = [
        (free | more, used | others)
        for free, used in legal_states(start, half)
        for more, others in legal_states(start + half, half)
        if not (free == {start: half} and more == {start + half: half})
    ]
    return whole + halves


def test_of_eight_pages_every_legal_state_is_reached_and_the_policy_never_blocks() -> None:
    legal = {(tuple(sorted(free.items())), tuple(sorted(used.items()))) for free, used in legal_states(0, 8)}
    first = Zone.filled("NORMAL", 0, 8)
    seen, waiting = {state_of(first)}, [first]
    while waiting:
        zone = waiting.pop()
        after: list[Zone] = []
        for order in range(5):
            pages = Pages([deepcopy(zone)])
            enough = any(size >= 1 << order for _, size in state_of(zone)[0])
            assert (pages.alloc(order, GFP_KERNEL) is not None) == enough, (zone, order)
            after += pages.zones
            # any other block that is large enough is as legal a pick
            for head, size in state_of(zone)[0]:
                picked, left = deepcopy(zone), size
                while left > 1 << order:
                    picked.split(head, left)
                    left //= 2
                if left == 1 << order:
                    picked.take(head, left)
                    after.append(picked)
        for head, size in state_of(zone)[1]:
            pages = Pages([deepcopy(zone)])
            pages.free(head, size.bit_length() - 1)
            after += pages.zones
        for other in after:
            if state_of(other) not in seen:
                assert broken_clauses(other) == []
                seen.add(state_of(other))
                waiting.append(other)
    assert seen == legal
    assert len(seen) == 677
