"""Tables and refusals."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmem_spec.extents import IndexedSpans
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


def test_runs_of_keys() -> None:
    table: DictTable[int] = DictTable({3: 0, 9: 1})
    assert table.vacant(4, 5)
    assert table.vacant(3, 0)
    assert not table.vacant(3, 1)
    assert not table.vacant(5, 5)
    table.fill(8, 3, 7)
    assert table == {3: 0, 8: 7, 9: 7, 10: 7}
    table.fill(3, 0, 5)
    table.wipe(9, 100)
    assert table == {3: 0, 8: 7}
    table.wipe(3, 0)
    table.wipe(0, 9)
    assert table == {}


def test_runs_go_by_put_and_drop_so_that_an_index_beside_the_table_is_kept() -> None:
    table = IndexedSpans()
    table.fill(8, 1, 16)
    assert not table.apart(16, 8)
    table.wipe(0, 10)
    assert table.apart(8, 16)


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
