"""The vmalloc space, both ways: its rules, the steps of areas, the policy over them; all of a small space."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterator
from copy import deepcopy

import pytest

from kmem_model.area import Areas
from kmem_model.frames import Frames
from kmem_model.holes import ROW, Holes
from kmem_model.page import machine
from kmem_model.space import LAZY_MOST, Space
from kmem_spec.area import (
    BAD,
    GOOD,
    GUARD,
    NOTHING,
    VMALLOC_END,
    VMALLOC_SIZE,
    VMALLOC_START,
    Sample,
    broken_clauses,
    frame_at,
    is_vmalloc_addr,
)
from kmem_spec.clauses import CLAUSES
from kmem_spec.extents import IndexedSpans, Spans
from kmem_spec.gfp import GFP_KERNEL, MEMALLOC
from kmem_spec.table import DictTable, Refused
from kmem_spec.units import NULL, PAGE_SIZE

P = PAGE_SIZE
STATE = [each.id for each in CLAUSES.values() if each.kind == "state" and each.id.startswith("VM-")]


@pytest.mark.parametrize("identifier", STATE)
def test_each_rule_holds_of_its_witness_and_not_of_its_broken_example(identifier: str) -> None:
    rule = CLAUSES[identifier]
    assert rule.applies(*rule.witness)
    assert rule.holds(*rule.witness)
    assert rule.applies(*rule.broken)
    assert not rule.holds(*rule.broken)


def sample(
    areas: dict[int, int],
    mapped: dict[int, int],
    frames: dict[int, int] | None = None,
    backing: dict[int, int] | None = None,
    aliases: dict[int, int] | None = None,
) -> Sample:
    """Return a space of 16 pages; all numbers are in pages."""

    def table(pages: dict[int, int] | None) -> dict[int, int]:
        return {key * P: value * P for key, value in (pages or {}).items()}

    return Sample(
        areas=Spans(table(areas)),
        mapped=DictTable(table(mapped)),
        frames=DictTable(table(frames)),
        backing=DictTable(table(backing)),
        aliases=DictTable(table(aliases)),
    )


@pytest.mark.parametrize(
    ("space", "broken"),
    [
        (GOOD, []),
        (sample({}, {}), []),
        (sample({0: 2, 2: 2}, {0: 0, 2: 0}), []),
        (sample({14: 2}, {14: 0}), []),
        (sample({15: 2}, {15: 0}), ["VM-WHOLE"]),
        (sample({-1: 2}, {-1: 0}), ["VM-WHOLE"]),
        (sample({0: 1}, {0: 0}), ["VM-WHOLE"]),
        (sample({0: 3, 2: 2}, {0: 0, 2: 0}), ["VM-APART"]),
        (sample({0: 2}, {}), ["VM-MAPPED"]),
        (sample({0: 2}, {0: 2}, {0: 7, 1: 8}, {7: 0, 8: 1}), ["VM-MAPPED"]),
        (sample({}, {0: 0}), ["VM-UNMAPPED"]),
        (sample({0: 2}, {0: 0}, {0: 7}, {7: 0}), ["VM-INSIDE"]),
        (sample({}, {}, {0: 7}, {7: 0}), ["VM-INSIDE"]),
        (sample({0: 2}, {0: 1}, {0: 7}, {7: 0}, {1: 8}), ["VM-INSIDE"]),
        (sample({0: 3}, {0: 2}, {0: 7}, {7: 0}, {1: 8}), []),
        (sample({0: 3}, {0: 2}, {0: 7}, {7: 0}), ["VM-FRAMES"]),
        (sample({0: 3}, {0: 2}, {}, {}, {1: 8}), ["VM-FRAMES"]),
        (sample({0: 3}, {0: 2}, {0: 7, 1: 7}, {7: 0}), ["VM-FRAME"]),
        (sample({0: 2}, {0: 1}, {0: 7}, {}), ["VM-FRAME"]),
        (sample({0: 2}, {0: 1}, {0: 7}, {7: 0}, {0: 7}), ["VM-ONE-FRAME"]),
        (sample({0: 2}, {0: 0}, {}, {7: 0}), ["VM-HELD"]),
    ],
)
def test_broken_rules_are_named(space: Sample, broken: list[str]) -> None:
    assert broken_clauses(space) == broken


def test_everything_is_wrong_with_the_bad_example_but_two_frames_of_a_page() -> None:
    assert set(broken_clauses(BAD)) == set(STATE) - {"VM-ONE-FRAME"}


def test_a_page_has_its_own_frame_another_s_or_none() -> None:
    assert [frame_at(GOOD, page * P) for page in (2, 3, 4, 5, 6)] == [
        90 * P,
        70 * P,
        NOTHING,
        80 * P,
        NOTHING,
    ]


def test_the_vmalloc_space_is_a_range_whatever_is_there() -> None:
    inside = [VMALLOC_START, VMALLOC_START + 12345, VMALLOC_END - 1]
    outside = [0, VMALLOC_START - 1, VMALLOC_END, VMALLOC_START + VMALLOC_SIZE, (1 << 64) - 1]
    assert [is_vmalloc_addr(address) for address in inside + outside] == [True] * 3 + [False] * 5


def small(pages: int = 16) -> Areas:
    """Return a space of a few pages, from page 16 on."""
    return Areas(16 * P, (16 + pages) * P)


def used() -> Areas:
    """Return a space with an area half backed, one of aliases, and one without a page."""
    areas = small()
    areas.map(16 * P, 3 * P)
    areas.back(16 * P, 90 * P)
    areas.map(20 * P, 3 * P)
    areas.alias(20 * P, 90 * P)
    areas.alias(20 * P, 90 * P)
    areas.map(24 * P, 2 * P)
    return areas


def tables(areas: Areas) -> tuple[dict[int, int], ...]:
    """Return copies of the tables, in pages."""
    found = []
    for table in (areas.areas, areas.mapped, areas.frames, areas.backing, areas.aliases):
        assert isinstance(table, DictTable)
        found.append({key // P: value // P for key, value in table.items()})
    return tuple(found)


def test_steps_change_what_they_say() -> None:
    areas = used()
    assert broken_clauses(areas) == []
    assert tables(areas) == (
        {16: 3, 20: 3, 24: 2},
        {16: 1, 20: 2, 24: 0},
        {16: 90},
        {90: 16},
        {20: 90, 21: 90},
    )
    areas.back(16 * P, 70 * P)
    assert areas.unback(16 * P) == 70 * P
    assert areas.unback(16 * P) == 90 * P
    assert areas.unalias(20 * P) == 90 * P
    assert tables(areas)[1:] == ({16: 0, 20: 1, 24: 0}, {}, {}, {20: 90})
    assert areas.unalias(20 * P) == 90 * P
    assert [areas.unmap(start * P) for start in (16, 20, 24)] == [3 * P, 3 * P, 2 * P]
    assert tables(areas) == ({}, {}, {}, {}, {})


REFUSALS: list[tuple[str, Callable[[Areas], object]]] = [
    ("VM-WHOLE", lambda areas: areas.map(26 * P + 8, 2 * P)),
    ("VM-WHOLE", lambda areas: areas.map(26 * P, 2 * P + 8)),
    ("VM-WHOLE", lambda areas: areas.map(26 * P, P)),
    ("VM-WHOLE", lambda areas: areas.map(26 * P, 0)),
    ("VM-WHOLE", lambda areas: areas.map(31 * P, 2 * P)),
    ("VM-WHOLE", lambda areas: areas.map(15 * P, 2 * P)),
    ("VM-APART", lambda areas: areas.map(16 * P, 2 * P)),
    ("VM-APART", lambda areas: areas.map(18 * P, 2 * P)),  # in a guard page
    ("VM-APART", lambda areas: areas.map(19 * P, 2 * P)),  # with its own guard page in an area
    ("VM-UNMAPPED", lambda areas: areas.back(17 * P, 70 * P)),
    ("VM-MAPPED", lambda areas: areas.back(20 * P, 70 * P)),  # the guard page would be next
    ("VM-FRAME", lambda areas: areas.back(24 * P, 90 * P)),
    ("VM-FRAME", lambda areas: areas.back(24 * P, -P)),
    ("VM-UNMAPPED", lambda areas: areas.alias(17 * P, 70 * P)),
    ("VM-MAPPED", lambda areas: areas.alias(20 * P, 70 * P)),
    ("VM-FRAME", lambda areas: areas.alias(24 * P, -P)),
    ("VM-UNMAPPED", lambda areas: areas.unback(17 * P)),
    ("VM-MAPPED", lambda areas: areas.unback(24 * P)),
    ("VM-FRAME", lambda areas: areas.unback(20 * P)),
    ("VM-UNMAPPED", lambda areas: areas.unalias(17 * P)),
    ("VM-MAPPED", lambda areas: areas.unalias(24 * P)),
    ("VM-FRAME", lambda areas: areas.unalias(16 * P)),
    ("VM-UNMAPPED", lambda areas: areas.unmap(16 * P)),
    ("VM-UNMAPPED", lambda areas: areas.unmap(20 * P)),
    ("VM-UNMAPPED", lambda areas: areas.unmap(25 * P)),
]


@pytest.mark.parametrize(("clause", "step"), REFUSALS)
def test_a_refused_step_names_its_rule_and_changes_nothing(
    clause: str, step: Callable[[Areas], object]
) -> None:
    areas = used()
    before = deepcopy(areas)
    with pytest.raises(Refused) as refusal:
        step(areas)
    assert refusal.value.clause == clause
    assert areas == before


@pytest.mark.parametrize("step", [Areas.back, Areas.alias])
def test_a_page_that_has_a_frame_gets_no_other(step: Callable[[Areas, int, int], None]) -> None:
    areas = used()
    areas.frames.put(24 * P, 60 * P)  # no step leads here
    with pytest.raises(Refused) as refusal:
        step(areas, 24 * P, 70 * P)
    assert refusal.value.clause == "VM-ONE-FRAME"


def test_tables_of_either_kind_answer_the_same() -> None:
    plain = Areas(16 * P, 32 * P, Spans())
    assert isinstance(small().areas, IndexedSpans)
    for areas in (plain, small()):
        areas.map(16 * P, 2 * P)
        with pytest.raises(Refused):
            areas.map(17 * P, 2 * P)
        areas.map(18 * P, 2 * P)


class TestHoles:
    def listed(self, holes: Holes) -> list[tuple[int, int]]:
        """Return the holes in the order of the rows."""
        return [(start, holes.lengths[start]) for row in holes.rows for start in row]

    def test_the_lowest_that_holds_is_found(self) -> None:
        holes = Holes(0, 100)
        holes.take(0, 100)
        for start, length in ((10, 5), (40, 20), (20, 10)):
            holes.give(start, length)
        assert self.listed(holes) == [(10, 5), (20, 10), (40, 20)]
        assert [holes.lowest(length) for length in (1, 5, 6, 11, 21)] == [10, 10, 20, 40, None]

    def test_what_touches_becomes_one(self) -> None:
        holes = Holes(0, 100)
        holes.take(0, 100)
        holes.give(10, 10)
        holes.give(30, 10)
        holes.give(20, 10)
        assert self.listed(holes) == [(10, 30)]
        holes.take(10, 5)
        assert self.listed(holes) == [(15, 25)]
        holes.give(40, 60)
        holes.give(0, 15)
        assert self.listed(holes) == [(0, 100)]

    def test_an_empty_range_has_no_hole(self) -> None:
        assert Holes(5, 5).lowest(1) is None

    def test_many_holes_are_as_a_list_of_them(self) -> None:
        """Compare with the definition, over enough holes for many rows."""
        dice = random.Random(3)
        end = 16 * ROW
        holes, free = Holes(0, end), [True] * end
        live: dict[int, int] = {}
        for step in range(6000):
            if live and (step > 4500 or dice.random() < 0.45):
                start = dice.choice(list(live)) if step % 50 == 0 else next(iter(live))
                length = live.pop(start)
                holes.give(start, length)
                free[start : start + length] = [True] * length
            else:
                length = dice.choice((1, 1, 1, 2, 3, 9))
                wanted = next(
                    (at for at in range(end) if free[at] and all(free[at : at + length])), None
                )  # the end is never near
                assert holes.lowest(length) == wanted
                assert wanted is not None
                holes.take(wanted, length)
                free[wanted : wanted + length] = [False] * length
                live[wanted] = length
            if step % 500 == 0:
                starts = [start for start, _ in self.listed(holes)]
                assert starts == sorted(holes.lengths)
        for start, length in live.items():
            holes.give(start, length)
        assert self.listed(holes) == [(0, end)]

    def test_rows_divide_and_go(self) -> None:
        holes = Holes(0, 8 * ROW)
        holes.take(0, 8 * ROW)
        for start in range(0, 8 * ROW, 2):
            holes.give(start, 1)
        assert len(holes.rows) >= 4
        assert len(holes.bounds) == len(holes.rows)
        assert holes.lowest(2) is None
        assert set(holes.bounds) == {1}
        for start in range(0, 8 * ROW, 2):
            holes.take(start, 1)
        assert holes.rows == [[]]
        assert holes.lowest(1) is None


def space_of(pages: int, memory_pages: int = 256, lazy_most: int = 0) -> Space:
    """Return a vmalloc space of a few pages over a small machine."""
    return Space(Frames(machine(memory_pages * P)), small(pages), lazy_most)


def free_of(space: Space) -> int:
    return space.frames.pages.free_pages


def runs(areas: dict[int, int], first: int, pages: int) -> Iterator[int]:
    """Yield the first pages of all places where an area of `pages` and its guard may be."""
    taken = {page for start, length in areas.items() for page in range(start, start + length)}
    for start in range(first, first + 8 - pages):
        if taken.isdisjoint(range(start, start + pages + 1)):
            yield start


@pytest.mark.parametrize("lazy_most", [0, 5 * P])
def test_of_eight_pages_every_sequence_keeps_the_rules_and_finds_a_place_where_there_is_one(
    lazy_most: int,
) -> None:
    """Make areas of 1 to 7 pages, backed or shown, and end them, in every order, until nothing is new."""
    seen: set[str] = set()
    made = refused = 0
    waiting: deque[list[int]] = deque([[]])
    while waiting:
        steps = waiting.popleft()
        space, live = played(steps, lazy_most)
        areas, free = tables(space.areas), free_of(space)
        key = repr((areas[0], areas[1], sorted(live), space.waiting))
        if key in seen:
            continue
        seen.add(key)
        assert broken_clauses(space.areas) == []
        assert free == 16 - sum(areas[1][start // P] for start, own in live.items() if own)
        some_wait = bool(space.waiting)
        lived = {start // P: areas[0][start // P] for start in live}
        waiting += [[*steps, -start] for start in live]
        for pages in range(1, 8):
            places = list(runs(lived, 16, pages))
            if not places:
                refused += 1
                assert make(space, pages) == NULL
                assert free_of(space) == free
                assert some_wait or tables(space.areas) == areas
                continue
            made += 1
            another, _ = played(steps, lazy_most)
            start = make(another, pages) // P
            assert start in places
            assert some_wait or start == places[0]
            waiting.append([*steps, pages])
    assert len(seen) > 50
    assert made > 50
    assert refused > 500


def make(space: Space, pages: int) -> int:
    """Make an area: of an odd number of pages, with frames of its own."""
    return space.make(pages, GFP_KERNEL | MEMALLOC) if pages % 2 else space.show([90 * P] * pages)


def played(steps: list[int], lazy_most: int) -> tuple[Space, dict[int, bool]]:
    """Return the space after some steps, each the pages to make an area of or minus the start of one to
    end, and the starts of its areas with whether the frames are their own."""
    space = space_of(8, memory_pages=16, lazy_most=lazy_most)
    live: dict[int, bool] = {}
    for step in steps:
        if step > 0:
            live[make(space, step)] = step % 2 == 1
        else:
            (space.end if live.pop(-step) else space.hide)(-step)
    assert NULL not in live
    return space, live


def test_addresses_come_back_at_once_or_when_enough_wait() -> None:
    eager, lazy = space_of(64), space_of(64, lazy_most=8 * P)
    first = [(space, space.make(2, GFP_KERNEL)) for space in (eager, lazy)]
    for space, start in first:
        space.end(start)
        assert free_of(space) == free_of(space_of(64))  # frames are back either way
    assert eager.make(2, GFP_KERNEL) == first[0][1]
    second = lazy.make(2, GFP_KERNEL)
    assert second == first[1][1] + 2 * P + GUARD
    lazy.end(second)
    assert len(lazy.waiting) == 2
    lazy.end(lazy.make(2, GFP_KERNEL))
    assert lazy.waiting == []
    assert lazy.make(2, GFP_KERNEL) == first[1][1]
    assert lazy.purge() is False


def test_a_full_space_is_purged_before_a_request_fails() -> None:
    space = space_of(8, lazy_most=LAZY_MOST)
    for _ in range(20):
        start = space.make(6, GFP_KERNEL)
        assert start != NULL
        space.end(start)
    assert space.make(7, GFP_KERNEL) != NULL
    assert space.make(1, GFP_KERNEL) == NULL


def test_a_failure_in_the_middle_gives_every_frame_and_the_place_back() -> None:
    space = space_of(32)
    space.make(3, GFP_KERNEL)
    before, free = tables(space.areas), free_of(space)
    for nth in range(1, 9):
        space.frames.fail_nth = nth
        assert space.make(8, GFP_KERNEL) == NULL
        assert (tables(space.areas), free_of(space)) == (before, free)
        assert space.holes.lowest(P) == 20 * P
    assert space.make(8, GFP_KERNEL) == 20 * P


def test_a_long_run_keeps_every_rule_and_gives_all_back() -> None:
    dice = random.Random(11)
    space = space_of(200, memory_pages=2048, lazy_most=20 * P)
    free = free_of(space)
    live: dict[int, bool] = {}
    nulls = 0
    for step in range(4000):
        if live and dice.random() < 0.48:
            start = dice.choice(list(live))
            (space.end if live.pop(start) else space.hide)(start)
        else:
            pages, own = dice.choice((1, 2, 3, 7, 20)), dice.random() < 0.7
            start = space.make(pages, GFP_KERNEL) if own else space.show([P] * pages)
            nulls += start == NULL
            if start != NULL:
                live[start] = own
        if step % 200 == 0:
            assert broken_clauses(space.areas) == []
    assert nulls > 10
    for start, own in live.items():
        (space.end if own else space.hide)(start)
    space.purge()
    assert tables(space.areas) == ({}, {}, {}, {}, {})
    assert free_of(space) == free
