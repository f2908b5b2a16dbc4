"""Cycles from empty to empty: what is followed, what is forgotten, when a call has been refused too often."""

from __future__ import annotations

import pytest

from kmem_spec.liveness import LONGEST, RETRIES, Liveness

PAGES = True
OBJECTS = False


def rounds(liveness: Liveness, *steps: tuple[str, bool], pages: bool = OBJECTS) -> list[bool]:
    """Run one cycle: each step with whether it got memory. Return what each was judged to be."""
    liveness.begin((steps[0][0],), pages)
    return [liveness.call((step,), got, pages) for step, got in steps]


def first_stuck(liveness: Liveness, step: str, *, most: int, pages: bool = OBJECTS) -> int | None:
    """Return the round in which a cycle of one refused call is stuck, counted from 1."""
    for number in range(1, most + 1):
        if rounds(liveness, (step, False), pages=pages)[0]:
            return number
    return None


@pytest.mark.parametrize("pages", [PAGES, OBJECTS])
def test_a_call_that_got_memory_once_is_stuck_after_so_many_refusals(pages: bool) -> None:
    liveness = Liveness()
    assert rounds(liveness, ("a", True), pages=pages) == [False]
    assert first_stuck(liveness, "a", most=2 * RETRIES, pages=pages) == RETRIES


def test_a_call_that_never_got_memory_is_never_stuck() -> None:
    assert first_stuck(Liveness(), "a", most=5 * RETRIES) is None


def test_success_ends_the_count_of_refusals() -> None:
    liveness = Liveness()
    rounds(liveness, ("a", True))
    assert first_stuck(liveness, "a", most=RETRIES - 1) is None
    rounds(liveness, ("a", True))
    assert first_stuck(liveness, "a", most=RETRIES - 1) is None
    assert first_stuck(liveness, "a", most=1) == 1


def test_a_late_first_success_counts_as_well() -> None:
    liveness = Liveness()
    rounds(liveness, ("a", False))
    rounds(liveness, ("a", True))
    assert first_stuck(liveness, "a", most=2 * RETRIES) == RETRIES


def test_each_place_of_a_cycle_is_counted_for_itself() -> None:
    liveness = Liveness()
    rounds(liveness, ("a", True), ("b", True), ("c", True))
    stuck = [rounds(liveness, ("a", True), ("b", True), ("c", False)) for _ in range(RETRIES)]
    assert stuck[:-1] == [[False] * 3] * (RETRIES - 1)
    assert stuck[-1] == [False, False, True]


def test_a_cycle_that_turns_off_is_another_from_there_on() -> None:
    liveness = Liveness()
    rounds(liveness, ("a", True), ("b", True), ("c", True))
    rounds(liveness, ("a", True), ("x", True))
    for _ in range(2 * RETRIES):  # what is known of b is forgotten, since x came between
        assert rounds(liveness, ("a", True), ("b", False)) == [False, False]


def test_objects_of_another_kind_end_what_is_known() -> None:
    liveness = Liveness()
    rounds(liveness, ("a", True))
    rounds(liveness, ("b", True))
    assert first_stuck(liveness, "a", most=2 * RETRIES) is None


def test_blocks_of_another_order_leave_it_standing() -> None:
    liveness = Liveness()
    rounds(liveness, ("a", True), pages=PAGES)
    rounds(liveness, ("b", True), pages=PAGES)
    assert first_stuck(liveness, "a", most=RETRIES, pages=PAGES) == RETRIES


def test_an_object_between_blocks_ends_what_is_known_of_them() -> None:
    liveness = Liveness()
    rounds(liveness, ("a", True), pages=PAGES)
    rounds(liveness, ("b", True), pages=PAGES)
    liveness.begin(("b",), PAGES)
    liveness.call(("b",), True, PAGES)
    liveness.call(("object",), True, OBJECTS)
    assert first_stuck(liveness, "a", most=2 * RETRIES, pages=PAGES) is None


def test_an_object_in_a_cycle_that_is_being_followed_keeps_that_cycle() -> None:
    liveness = Liveness()
    for got in (True, *[False] * (RETRIES - 1)):
        rounds(liveness, ("z", True), pages=PAGES)
        liveness.begin(("a",), PAGES)
        assert not liveness.call(("a",), True, PAGES)
        assert not liveness.call(("object",), got, OBJECTS)
    liveness.begin(("a",), PAGES)
    liveness.call(("a",), True, PAGES)
    assert liveness.call(("object",), False, OBJECTS)


def test_a_cycle_is_followed_up_to_a_bound_alone() -> None:
    for length, expected in ((LONGEST, RETRIES), (LONGEST + 1, None)):
        liveness = Liveness()
        stuck = None
        for number in range(RETRIES + 1):
            liveness.begin((0,), OBJECTS)
            for step in range(length - 1):
                assert not liveness.call((step,), True, OBJECTS)
            if liveness.call(("last",), number == 0, OBJECTS):
                stuck = number
        assert stuck == expected


def test_calls_that_repeat_an_earlier_one_are_counted() -> None:
    liveness = Liveness()
    rounds(liveness, ("a", True), ("b", True))
    assert liveness.judged == 0
    rounds(liveness, ("a", True), ("b", True), ("c", True))
    assert liveness.judged == 2
    rounds(liveness, ("a", False), ("x", True))
    assert liveness.judged == 3
