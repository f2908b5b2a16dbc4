"""The arithmetic of units, against other ways to say the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmem_spec import units
from kmem_spec.units import ADDRESS_BITS, MAX_BLOCK, PAGE_SIZE, SIZE_MAX

SIZES = st.integers(1, SIZE_MAX) | st.integers(0, 63).map(lambda shift: 1 << shift)


@given(st.integers(0, SIZE_MAX), SIZES)
def test_round_up_is_the_least_multiple_that_is_not_below(value: int, step: int) -> None:
    rounded = units.round_up(value, step)
    assert rounded % step == 0
    assert value <= rounded < value + step


@given(st.integers(0, SIZE_MAX))
def test_pages_for_is_the_least_number_that_holds(size: int) -> None:
    pages = units.pages_for(size)
    assert (pages - 1) * PAGE_SIZE < size <= pages * PAGE_SIZE


@given(SIZES)
def test_get_order_is_the_least_order_that_holds(size: int) -> None:
    order = units.get_order(size)
    assert size <= PAGE_SIZE << order
    assert order == 0 or size > PAGE_SIZE << (order - 1)


@pytest.mark.parametrize(
    ("size", "order"),
    [(0, 0), (1, 0), (4096, 0), (4097, 1), (8192, 1), (4 << 20, 10), ((4 << 20) + 1, 11), (SIZE_MAX, 52)],
)
def test_get_order_at_its_borders(size: int, order: int) -> None:
    assert units.get_order(size) == order


@given(SIZES)
def test_power_of_two_divisor_is_the_lowest_set_bit(value: int) -> None:
    assert units.power_of_two_divisor(value) == value & -value


def test_power_of_two_divisor_ends_where_no_power_below_the_width_is_the_last() -> None:
    assert units.power_of_two_divisor(1 << 63) == 1 << 63
    assert units.power_of_two_divisor(0) == 1 << ADDRESS_BITS


@given(st.integers(0, 1 << ADDRESS_BITS) | SIZES)
def test_is_power_of_two_has_one_bit(value: int) -> None:
    assert units.is_power_of_two(value) == (value.bit_count() == 1 and value < 1 << ADDRESS_BITS)


def test_zero_and_what_no_size_reaches_are_no_powers_of_two() -> None:
    assert not units.is_power_of_two(0)
    assert not units.is_power_of_two(1 << ADDRESS_BITS)
    assert units.is_power_of_two(1 << 63)


@given(st.integers(0, SIZE_MAX), st.integers(0, SIZE_MAX) | st.integers(0, 4096))
def test_array_size_is_the_product_or_none_where_it_does_not_fit(count: int, size: int) -> None:
    expected = count * size if count * size <= SIZE_MAX else None
    assert units.array_size(count, size) == units.array_size(size, count) == expected


@pytest.mark.parametrize(
    ("count", "size", "product"),
    [
        (0, 0, 0),
        (SIZE_MAX, 0, 0),
        (0, SIZE_MAX, 0),
        (SIZE_MAX, 1, SIZE_MAX),
        (2, 1 << 63, None),
        (1 << 32, 1 << 32, None),
        (1 << 32, (1 << 32) - 1, (1 << 64) - (1 << 32)),
        (4, (1 << 62) + 1, None),  # wraps to 4
    ],
)
def test_array_size_at_its_borders(count: int, size: int, product: int | None) -> None:
    assert units.array_size(count, size) == product


BLOCKS = st.tuples(st.integers(0, 10), st.integers(0, 1 << 52)).map(
    lambda pair: (1 << pair[0], pair[1] << pair[0])
)


@given(BLOCKS)
def test_buddies_are_the_two_halves_of_one_block(block: tuple[int, int]) -> None:
    pages, pfn = block
    buddy, head = units.buddy_of(pfn, pages), units.merged_head(pfn, pages)
    assert units.buddy_of(buddy, pages) == pfn
    assert {pfn, buddy} == {head, head + pages}
    assert head == units.merged_head(buddy, pages)
    assert head % (2 * pages) == 0


def test_the_largest_block_is_four_mebibytes() -> None:
    assert MAX_BLOCK * PAGE_SIZE == 4 << 20
    assert 1 << units.PAGE_SHIFT == PAGE_SIZE
