"""The obligations of slab caches and constructors: none forgotten, each with a mutant; layouts on numbers."""

from __future__ import annotations

import pytest

pytest.importorskip("z3")

from kmem_model.layout import SLUB_MAX_ORDER, objects_per_slab, slab_order, slot_size
from kmem_proofs import builds, construct, constructed, layout, objects, slab, slabs
from kmem_proofs.mutants import construct as construct_mutants
from kmem_proofs.mutants import slab as slab_mutants
from kmem_proofs.runner import discharge
from kmem_spec.clauses import CLAUSES
from kmem_spec.units import MAX_BLOCK, MAX_ORDER, PAGE_SIZE

# What each step writes and each clause reads, from the code.
WRITES = {
    "grow": {"owners", "slabs"},
    "alloc": {"live", "slabs"},
    "free": {"live", "slabs"},
    "shrink": {"owners", "slabs"},
}
READS = {
    "SLAB-INSIDE": {"live"},
    "SLAB-APART": {"live"},
    "SLAB-LIVE": {"live", "slabs"},
    "SLAB-EMPTY": {"live", "slabs"},
    "SLAB-COUNT": {"live", "slabs"},
    "SLAB-PAGES": {"slabs"},
    "SLAB-OWNER": {"slabs", "owners"},
}


def test_the_matrix_has_every_pair_of_which_the_step_writes_what_the_clause_reads() -> None:
    expected = {
        (clause, step) for clause, read in READS.items() for step, written in WRITES.items() if read & written
    }
    assert set(slab_mutants.STEPS) == expected
    states = {each.id for each in CLAUSES.values() if each.kind == "state"}
    assert set(READS) == {each for each in states if each.startswith("SLAB-")}
    assert set(construct.PRESERVED) == {each for each in states if each.startswith("CACHE-")}
    assert set(construct_mutants.STEPS) == {
        (clause, step) for clause in construct.PRESERVED for step in builds.STEPS
    }
    assert set(WRITES) == set(slabs.STEPS)


def test_names_are_used_once_and_every_obligation_has_a_mutant() -> None:
    every = [
        each for module in (slab, objects, construct, constructed, layout) for each in module.obligations()
    ]
    assert len({each.name for each in every}) == len(every)
    assert all(each.mutants for each in every)
    bounded = [each.name for each in every if each.level != "A"]
    assert bounded == [
        "SLAB-COUNT/few_alloc/preserved",
        "SLAB-COUNT/few_free/preserved",
        "UNITS/product/exact",
    ]


def test_slabs_have_the_orders_that_are_proved() -> None:
    assert tuple(range(MAX_ORDER + 1)) == slabs.ORDERS
    for words in range(1, MAX_BLOCK * PAGE_SIZE // 8 + 1, 1021):
        order = slab_order(words * 8)
        assert order is not None
        assert order <= MAX_ORDER
        assert order <= SLUB_MAX_ORDER or objects_per_slab(words * 8, order) == 1


@pytest.mark.parametrize(
    ("size", "align", "outside", "slot"), [(40, 64, False, 64), (64, 8, True, 72), (1, 8, False, 8)]
)
def test_slots_on_numbers(size: int, align: int, outside: bool, slot: int) -> None:
    assert slot_size(size, align, pointer_outside=outside) == slot


@pytest.mark.parametrize(
    "name",
    [
        "SLAB-APART/alloc/preserved",
        "SLAB-EMPTY/free/preserved",
        "CACHE-CONSTRUCTED/destruct/preserved",
        "CACHE-DTOR/judge_destruct/refines",
    ],
)
def test_the_hardest_are_proved_and_their_mutants_refuted(name: str) -> None:
    modules = (slab, construct, constructed)
    (wanted,) = [each for module in modules for each in module.obligations() if each.name == name]
    result = discharge(wanted)
    assert result.green, result.report
    assert result.killed == result.mutants > 0
