"""No hole in what is proved: each guard has its refusal, each step of a zone its clauses; requests."""

from __future__ import annotations

import ast
import inspect
from types import FunctionType

import pytest

pytest.importorskip("z3")

from kmem_model.area import Areas
from kmem_model.slab import BuiltCache, Cache
from kmem_model.zone import Zone
from kmem_proofs import page, requests, zones
from kmem_proofs.catalogue import manifest
from kmem_proofs.mutants import requests as mutants
from kmem_proofs.runner import discharge
from kmem_spec.clauses import CLAUSES
from kmem_spec.constructed import Constructed
from kmem_spec.ledger import Ledger


def guards_of(step: FunctionType) -> set[str]:
    """Return the clauses that a step refuses under: `require(…, "…")` and `Refused("…")`."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(inspect.getsource(step).lstrip())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            where = {"Refused": 0, "require": 1}.get(node.func.id)
            if where is not None:
                clause = node.args[where]
                assert isinstance(clause, ast.Constant)
                found.add(str(clause.value))
    return found


def steps_of(state: type[object]) -> dict[str, FunctionType]:
    """Return the methods that a state has itself and that callers see."""
    return {
        name: each
        for name, each in vars(state).items()
        if isinstance(each, FunctionType) and not name.startswith("_")
    }


# The states, what stands before a step's name in an obligation, and the helpers with guards of their own.
STATES: list[tuple[type[object], str, dict[str, str]]] = [
    (Zone, "", {}),
    (Cache, "", {}),
    (
        Areas,
        "",
        {"back": "_next_page", "alias": "_next_page", "unback": "_last_page", "unalias": "_last_page"},
    ),
    (Ledger, "", {}),
    (Constructed, "judge_", {}),
]


@pytest.mark.parametrize(
    ("state", "prefix", "helpers"), STATES, ids=lambda each: getattr(each, "__name__", "")
)
def test_each_guard_of_a_step_has_an_obligation_that_it_changes_nothing(
    state: type[object], prefix: str, helpers: dict[str, str]
) -> None:
    pairs = {(clause, name) for name, step in steps_of(state).items() for clause in guards_of(step)}
    pairs |= {(clause, name) for name, of in helpers.items() for clause in guards_of(vars(state)[of])}
    assert len(pairs) >= 3
    assert {f"{clause}/{prefix}{name}/refused" for clause, name in pairs} <= set(manifest())


def test_each_guard_of_a_cache_with_a_constructor_has_one() -> None:
    own = {(clause, name) for name, step in steps_of(BuiltCache).items() for clause in guards_of(step)}
    inherited = {
        (clause, f"built_{name}")
        for name in ("grow", "alloc", "shrink")
        for clause in guards_of(vars(Cache)[name])
    }
    assert len(own) == 6
    assert {f"{clause}/{name}/refused" for clause, name in own | inherited} <= set(manifest())


# What each step of a zone writes and each of its clauses reads, from the code; a count is a table's sum.
WRITES = {
    "split": {"free"},
    "merge": {"free"},
    "take": {"free", "used", "nfree"},
    "put": {"free", "used", "nfree"},
    "extend": {"free", "end", "nfree"},
    "divide": {"used"},
}
READS = {
    "PAGE-HEAD": {"free", "used", "end"},
    "PAGE-APART": {"free", "used"},
    "PAGE-WHOLE": {"free", "used", "end"},
    "PAGE-COUNT": {"free", "nfree"},
    "PAGE-MERGED": {"free"},
    "PAGE-WATERMARK": {"nfree"},
}


def test_of_pages_each_step_is_proved_against_each_clause_that_reads_what_it_writes() -> None:
    expected = {
        f"{clause}/{step}/preserved"
        for clause, read in READS.items()
        for step, written in WRITES.items()
        if read & written
    }
    proved = {each.name for each in page.obligations() if each.kind == "preserved"}
    assert proved == expected
    assert set(READS) == {each.id for each in CLAUSES.values() if each.kind == "state" and "PAGE-" in each.id}
    assert set(WRITES) == {step.name for step in zones.STEPS}


def test_requests_are_in_the_manifest_each_with_a_clause_and_mutants_that_are_used() -> None:
    every = list(requests.obligations())
    assert {each.name for each in every} <= set(manifest())
    assert {each.clause for each in every} <= set(CLAUSES)
    assert set(requests.ROWS) == set(requests.WITNESSES) == set(mutants.FAULTS)
    used = {fault for faults in mutants.FAULTS.values() for _, fault in faults} | {
        fault for _, fault in mutants.SERVED
    }
    own = {
        value
        for value in vars(mutants).values()
        if inspect.isfunction(value) and value.__module__ == mutants.__name__
    }
    assert own == used


@pytest.mark.parametrize("name", ["SLAB-MAX/one_rule/implies", "MEM-ZERO/of_handle/exact"])
def test_requests_are_proved_and_their_mutants_refuted(name: str) -> None:
    (wanted,) = [each for each in requests.obligations() if each.name == name]
    result = discharge(wanted)
    assert result.green
    assert result.killed == result.mutants == 2
