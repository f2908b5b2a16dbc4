"""The obligations of the vmalloc space: none forgotten, none twice, each with a mutant."""

from __future__ import annotations

import pytest

pytest.importorskip("z3")

from kmem_model.area import Areas
from kmem_proofs.area import obligations
from kmem_proofs.mutants import area as mutants
from kmem_proofs.runner import discharge
from kmem_proofs.spaces import STEPS, TABLES
from kmem_spec.area import GOOD
from kmem_spec.clauses import CLAUSES
from kmem_spec.table import DictTable

# What each step writes and each clause reads, from the code.
WRITES = {
    "map": {"areas", "mapped"},
    "back": {"frames", "backing", "mapped"},
    "alias": {"aliases", "mapped"},
    "unback": {"frames", "backing", "mapped"},
    "unalias": {"aliases", "mapped"},
    "unmap": {"areas", "mapped"},
}
READS = {
    "VM-WHOLE": {"areas"},
    "VM-APART": {"areas"},
    "VM-MAPPED": {"areas", "mapped"},
    "VM-UNMAPPED": {"areas", "mapped"},
    "VM-INSIDE": {"frames", "aliases", "mapped"},
    "VM-FRAMES": {"frames", "aliases", "mapped"},
    "VM-FRAME": {"frames", "backing"},
    "VM-ONE-FRAME": {"frames", "aliases"},
    "VM-HELD": {"frames", "backing"},
}


def test_the_matrix_has_every_pair_of_which_the_step_writes_what_the_clause_reads() -> None:
    expected = {
        (clause, step) for clause, read in READS.items() for step, written in WRITES.items() if read & written
    }
    assert set(mutants.STEPS) == expected
    assert set(READS) == {each.id for each in CLAUSES.values() if each.kind == "state" and "VM-" in each.id}
    assert set(WRITES) == set(STEPS)


def test_every_pair_has_its_obligation() -> None:
    names = [each.name for each in obligations()]
    assert len(names) == len(set(names))
    assert {f"{clause}/{step}/preserved" for clause, step in mutants.STEPS} <= set(names)
    assert {f"{clause}/empty/initial" for clause in READS} <= set(names)


@pytest.mark.parametrize("clause", sorted(READS))
def test_each_clause_reads_what_the_matrix_says(clause: str) -> None:
    read: set[str] = set()

    class Noting(DictTable[int]):
        def __init__(self, name: str, items: dict[int, int]) -> None:
            super().__init__(items)
            self.name = name

        def get(self, key: int, default: int) -> int:  # type: ignore[override]  # as of a table
            read.add(self.name)
            return super().get(key, default)

    tables = [Noting(name, getattr(GOOD, name)) for name in TABLES]
    space = Areas(GOOD.start, GOOD.end, *tables)  # type: ignore[arg-type]  # no area is added
    rule = CLAUSES[clause]
    points = rule.witness[1:]
    assert rule.applies(space, *points)
    assert rule.holds(space, *points)
    assert read == READS[clause]


@pytest.mark.parametrize("name", ["VM-APART/map/preserved", "VM-HELD/unmap/refines"])
def test_the_hardest_are_proved_and_their_mutants_refuted(name: str) -> None:
    (wanted,) = [each for each in obligations() if each.name == name]
    result = discharge(wanted)
    assert result.green
    assert result.killed == result.mutants > 0
