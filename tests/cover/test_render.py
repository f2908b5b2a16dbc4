"""Scripts as people read them: names, masks, sizes, and what repeats."""

from __future__ import annotations

import pytest

from kmem_oracle.labels import LETTERS
from kmem_oracle.render import lines_of
from kmem_oracle.rounds import FEWEST_ROUNDS, LONGEST_PATTERN, Round, parts_of
from kmem_oracle.script import ID_NULL, ID_ZERO_SIZE, Op, parse
from kmem_spec.gfp import GFP_ATOMIC, GFP_KERNEL, NAMES, ZERO
from kmem_spec.units import SIZE_MAX

K = GFP_KERNEL


def km(out: int, size: int = 64, gfp: int = K) -> Op:
    return Op("kmalloc", out, (size, gfp))


def kf(item: int) -> Op:
    return Op("kfree", 0, (item,))


def only_line(op: Op, version: str = "6.1") -> str:
    (line,) = lines_of([op], NAMES[version])
    return line


def test_nothing_is_no_line() -> None:
    assert lines_of([]) == []


@pytest.mark.parametrize(
    ("op", "line"),
    [
        (km(7), "a = kmalloc(64, GFP_KERNEL)"),
        (Op("kcalloc", 1, (3, 8, K)), "a = kcalloc(3, 8, GFP_KERNEL)"),
        (Op("krealloc", 1, (1, 8, K)), "a = krealloc(a, 8, GFP_KERNEL)"),
        (Op("krealloc", 2, (1, 8, K)), "a = krealloc(b, 8, GFP_KERNEL)"),
        (Op("krealloc", 2, (ID_NULL, 8, K)), "a = krealloc(NULL, 8, GFP_KERNEL)"),
        (kf(ID_NULL), "kfree(NULL)"),
        (kf(ID_ZERO_SIZE), "kfree(ZERO_SIZE_PTR)"),
        (Op("__get_free_pages", 1, (K, 3)), "a = __get_free_pages(GFP_KERNEL, 3)"),
        (Op("free_pages", 0, (5, 3)), "free_pages(a, 3)"),
        (Op("check", 0, (5,)), "check(a)"),
    ],
)
def test_a_call_is_written_as_in_c(op: Op, line: str) -> None:
    assert only_line(op) == line


@pytest.mark.parametrize(
    ("mask", "version", "shown"),
    [
        (0, "6.1", "0"),
        (K | ZERO, "6.1", "GFP_KERNEL | __GFP_ZERO"),
        (GFP_ATOMIC, "6.1", "GFP_ATOMIC"),
        (0x820, "6.12", "GFP_ATOMIC"),
        (1 << 31, "6.1", "0x80000000"),
        (K | 1 << 31, "6.1", "GFP_KERNEL | 0x80000000"),
    ],
)
def test_a_mask_is_written_by_its_names(mask: int, version: str, shown: str) -> None:
    assert only_line(km(1, 64, mask), version) == f"a = kmalloc(64, {shown})"


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        (0, "0"),
        (4096, "4096"),
        ((1 << 22) + 1, "4194305"),
        (1 << 32, "2**32"),
        ((1 << 32) + 1, "2**32 + 1"),
        ((1 << 63) - 1, "2**63 - 1"),
        (SIZE_MAX, "2**64 - 1"),
        (SIZE_MAX - 1, str(SIZE_MAX - 1)),
    ],
)
def test_a_size_near_a_large_power_of_two_is_written_by_its_exponent(size: int, shown: str) -> None:
    assert only_line(km(1, size)) == f"a = kmalloc({shown}, GFP_KERNEL)"


def test_names_are_letters_without_i_then_numbered() -> None:
    ops = [Op("krealloc", k + 1, (k + 1, k * k, K)) for k in range(2 * len(LETTERS) + 1)]
    names = [line.partition(" ")[0] for line in lines_of(ops)]
    assert names[:3] == ["a", "b", "c"]
    assert names[len(LETTERS) - 1 : len(LETTERS) + 2] == ["z", "a1", "b1"]
    assert "i" not in names
    assert names[-1] == "a2"


def test_twice_is_no_repeat_and_three_times_is() -> None:
    assert FEWEST_ROUNDS == 3
    pair = [km(1), kf(1)]
    assert lines_of(pair * 2) == ["a = kmalloc(64, GFP_KERNEL)", "kfree(a)"] * 2
    assert lines_of(pair * 3) == ["repeat 3 {", "  a = kmalloc(64, GFP_KERNEL)", "  kfree(a) }"]


def test_objects_made_in_a_row_are_numbered_and_freed_in_any_even_order() -> None:
    made = [km(k) for k in range(1, 9)]
    head = ["repeat 8 {", "  a[i] = kmalloc(64, GFP_KERNEL) }"]
    tails = {
        "kfree(a[i])": range(1, 9),
        "kfree(a[7 - i])": range(8, 0, -1),
    }
    for line, order in tails.items():
        assert lines_of([*made, *map(kf, order)]) == [*head, "repeat 8 {", f"  {line} }}"]
    odd_first = [*map(kf, range(1, 9, 2)), *map(kf, range(8, 0, -2))]
    assert lines_of([*made, *odd_first]) == [
        *head,
        "repeat 4 {",
        "  kfree(a[2 * i]) }",
        "repeat 4 {",
        "  kfree(a[7 - 2 * i]) }",
    ]


def test_an_object_of_its_round_alone_needs_no_number() -> None:
    ops = [op for k in range(1, 6) for op in (km(k), kf(k))]
    assert lines_of(ops) == ["repeat 5 {", "  a = kmalloc(64, GFP_KERNEL)", "  kfree(a) }"]


def test_an_object_that_a_round_leaves_behind_keeps_its_number() -> None:
    ops = [op for k in range(1, 6) for op in (km(k), Op("check", 0, (k,)))]
    assert lines_of(ops) == ["repeat 5 {", "  a[i] = kmalloc(64, GFP_KERNEL)", "  check(a[i]) }"]


def test_ids_that_do_not_move_evenly_are_written_out() -> None:
    ops = [km(1), km(2), km(3), kf(3), kf(1), kf(2)]
    assert lines_of(ops)[-3:] == ["kfree(a[2])", "kfree(a[0])", "kfree(a[1])"]


def test_a_long_round_with_the_same_objects_is_a_nested_repeat() -> None:
    one = [*(km(k) for k in range(1, 21)), *(kf(k) for k in range(1, 21))]
    lines = lines_of(one * 10)
    assert lines == [
        "repeat 10 {",
        "  repeat 20 {",
        "    a[i] = kmalloc(64, GFP_KERNEL) }",
        "  repeat 20 {",
        "    kfree(a[i]) } }",
    ]
    assert parse("\n".join(lines)) == one * 10


def test_parts_cover_a_script_without_gap() -> None:
    ops = [
        km(1),
        *[km(2), kf(2)] * 5,
        *(km(k) for k in range(3, 40)),
        *(kf(k) for k in range(39, 2, -1)),
        kf(1),
    ]
    parts = parts_of(ops)
    assert parts[:2] == [Round(0, 1, 1), Round(1, 2, 5)]
    assert [part.start for part in parts] == [0, *(part.end for part in parts[:-1])]
    assert parts[-1].end == len(ops)
    assert all(part.length <= LONGEST_PATTERN for part in parts)


def test_parts_of_a_stretch_stay_within_it() -> None:
    ops = [km(1), kf(1)] * 10
    parts = parts_of(ops, 4, 15)
    assert (parts[0].start, parts[-1].end) == (4, 15)
