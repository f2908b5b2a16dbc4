"""The text of a reproducer made shorter: whole rounds, lines that go from all rounds, names that go."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from kmem_oracle.language.render import lines_of
from kmem_oracle.language.script import Op, parse
from kmem_oracle.shrink.polish import shorter, text_of, tree_of


def never() -> bool:
    return False


@pytest.mark.parametrize(
    "text",
    [
        "a = kmalloc(8, GFP_KERNEL)",
        "repeat 3 {\n  a = kmalloc(8, GFP_KERNEL)\n  kfree(a) }",
        "repeat 3 {\n  repeat 4 {\n    a[i] = kmalloc(8, GFP_KERNEL) }\n  repeat 4 {\n    kfree(a[i]) } }",
    ],
)
def test_a_tree_is_the_text_again(text: str) -> None:
    lines = [line.strip() for line in text.splitlines()]
    assert text_of(tree_of(lines)) == lines
    assert parse("\n".join(text_of(tree_of(lines)))) == parse(text)


def test_rounds_that_came_out_otherwise_are_whole_again() -> None:
    text = """
    repeat 30 { a = kmalloc(8, GFP_KERNEL); b = kmalloc(9, GFP_KERNEL); kfree(b); kfree(a) }
    repeat 15 { a = kmalloc(8, GFP_KERNEL); b = kmalloc(9, GFP_KERNEL); kfree(a) }
    a = kmalloc(8, GFP_KERNEL); b = kmalloc(9, GFP_KERNEL)
    """

    def fails(ops: Sequence[Op]) -> bool:
        return sum(op == Op("kmalloc", op.out, (9, 3264)) for op in ops) >= 46 and Op("kfree", 0, (1,)) in ops

    best = lines_of(shorter(parse(text), fails, never))
    assert len(best) <= 4
    assert best[0] == "repeat 46 {"


def test_lines_go_from_all_rounds_and_names_with_all_their_lines() -> None:
    text = "repeat 9 { a = kmalloc(1, GFP_KERNEL); b = kzalloc(2, GFP_KERNEL); check(b); kfree(b); kfree(a) }"

    def fails(ops: Sequence[Op]) -> bool:
        return sum(op.api == "kmalloc" for op in ops) >= 5

    assert lines_of(shorter(parse(text), fails, never)) == ["repeat 5 {", "  a = kmalloc(1, GFP_KERNEL) }"]


def test_what_fails_in_no_other_way_stays() -> None:
    ops = parse("repeat 9 { a = kmalloc(1, GFP_KERNEL); kfree(a) } b = kzalloc(1, GFP_KERNEL)")
    assert shorter(ops, lambda _: False, never) == tuple(ops)
    assert shorter(ops, lambda _: True, lambda: True) == tuple(ops)
