"""The rules of a state as claims ask for them, with their premises; what a refusal leaves."""

from __future__ import annotations

from collections.abc import Sequence

from kmem_proofs.case import Case, implies, same
from kmem_spec.clauses import CLAUSES


def rule(clause: str, *points: object) -> bool:
    """Return what the clause says of a state at these points, without a branch.

    Needs    the module that declares the clause imported
    """
    declared = CLAUSES[clause]
    return implies(declared.applies(*points), declared.holds(*points))


def stays(
    case: Case, state: object, tables: Sequence[str], clause: str, step: str, *given: int
) -> list[bool]:
    """Return that each table of the state is as it was, at any point, after the step was refused."""
    x, before = case.number("x"), [case.snapshot(getattr(state, name)) for name in tables]
    case.refused(clause, getattr(state, step), *given)
    return [same(table, getattr(state, name), x) for table, name in zip(before, tables, strict=True)]
