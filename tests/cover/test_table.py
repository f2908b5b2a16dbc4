"""Tables and refusals."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmem_spec.table import DictTable, Refused, require


def test_a_refusal_carries_its_clause_and_comes_only_where_the_condition_fails() -> None:
    require(True, "MEM-USABLE")
    with pytest.raises(Refused) as refusal:
        require(False, "MEM-APART")
    assert refusal.value.clause == "MEM-APART"
    assert str(refusal.value) == "MEM-APART"


def test_get_put_drop() -> None:
    table: DictTable[str] = DictTable()
    assert table.get(1, "none") == "none"
    table.put(1, "one")
    table.put(1, "uno")
    assert table.get(1, "none") == "uno"
    table.drop(1)
    assert table.get(1, "none") == "none"
    assert not table


def test_drop_needs_the_key() -> None:
    table: DictTable[int] = DictTable()
    with pytest.raises(KeyError):
        table.drop(1)


def differs_from(this: int) -> Callable[[int, int], bool]:
    return lambda key, value: key != this


@given(st.dictionaries(st.integers(), st.integers()))
def test_every_asks_of_each_key_with_its_value(content: dict[int, int]) -> None:
    table: DictTable[int] = DictTable(content)
    asked: dict[int, int] = {}

    def ask(key: int, value: int) -> bool:
        asked[key] = value
        return True

    assert table.every(ask)
    assert asked == content
    assert all(not table.every(differs_from(key)) for key in content)
