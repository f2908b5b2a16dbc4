"""The rules of a state as claims ask for them: by their ids, with their premises."""

from __future__ import annotations

from kmem_proofs.case import implies
from kmem_spec.clauses import CLAUSES


def rule(clause: str, *points: object) -> bool:
    """Return what the clause says of a state at these points, without a branch.

    Needs    the module that declares the clause imported
    """
    declared = CLAUSES[clause]
    return implies(declared.applies(*points), declared.holds(*points))
