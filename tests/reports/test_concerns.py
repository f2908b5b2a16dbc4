"""Which clauses a target could break at all: no other is said to have been left out."""

from __future__ import annotations

import pytest

from kmem_oracle.reports.text import concerns
from kmem_spec.profile import load


@pytest.mark.parametrize(
    ("clause", "calls", "wanted"),
    [
        ("SLAB-ARRAY", {"kmalloc", "kfree"}, False),
        ("SLAB-ARRAY", {"kmalloc", "kcalloc", "kfree"}, True),
        ("SLAB-ARRAY", {"kmalloc", "krealloc_array", "kfree"}, True),
        ("VM-ARRAY", {"vmalloc", "vfree"}, False),
        ("VM-ARRAY", {"vmalloc_array", "vfree"}, True),
        ("KV-ARRAY", {"kvmalloc", "kvfree"}, False),
        ("KV-ARRAY", {"kvcalloc", "kvfree"}, True),
        ("SLAB-MAX", {"kmalloc", "kfree"}, True),
    ],
)
def test_a_product_is_asked_of_calls_that_take_a_count(clause: str, calls: set[str], wanted: bool) -> None:
    assert concerns(clause, frozenset(calls), load("contract")) is wanted
