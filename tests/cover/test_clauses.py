"""The registry of clauses as data: each can hold and can be broken; whoever names one names a real one."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import kmem_model.kernel
import kmem_oracle.cli
import kmem_spec.cache
import kmem_spec.judge
import kmem_spec.zone
from kmem_spec.apis import APIS
from kmem_spec.calls import Answer, Asked
from kmem_spec.clauses import CLAUSES, CONTRACT, Clause, clause, register
from kmem_spec.profile import load, shipped

REPOSITORY = Path(__file__).parents[2]
SOURCES = sorted([*(REPOSITORY / "spec").rglob("*.py"), *(REPOSITORY / "model").rglob("*.py")])
MODULES = (kmem_model.kernel, kmem_oracle.cli, kmem_spec.cache, kmem_spec.judge, kmem_spec.zone)
JUDGED = [each for each in CLAUSES.values() if each.kind != "history"]
PREFIXES = {"MEM", "GFP", "SLAB", "CACHE", "PAGE", "VM", "KV", "POOL", "CALLER"}
OUTCOMES = [each for each in CLAUSES.values() if each.kind == "outcome"]

# Clauses without a predicate: the judge finds them in the history itself. Each with the test that shows it,
# or with the module in whose ROWS it stands.
HISTORY = {
    "MEM-RETURNS": "test_judge_losses.py::test_a_legal_call_that_does_not_return_is_a_violation",
    "MEM-LIVENESS": "test_judge_liveness.py::test_a_leak_in_any_family_is_found",
    "SLAB-FREE-NULL": "test_judge_losses.py::test_a_legal_call_that_does_not_return_is_a_violation",
    "PAGE-FREE-NULL": "test_judge_losses.py::test_a_legal_call_that_does_not_return_is_a_violation",
    "VM-FREE-NULL": "test_judge_losses.py::test_a_legal_call_that_does_not_return_is_a_violation",
    "CACHE-DESTROY-NULL": "test_judge_losses.py::test_a_legal_call_that_does_not_return_is_a_violation",
    "POOL-NULL": "test_judge_losses.py::test_a_legal_call_that_does_not_return_is_a_violation",
    "CALLER-LEAK": "test_judge.py::test_what_is_live_at_the_end_is_a_leak",
} | {
    name: f"test_judge_{module}.py::{name}"
    for module, names in {
        "cache": ("CACHE-CTOR-ONCE", "CACHE-CTOR-OWN", "CACHE-DTOR"),
        "vmalloc": ("VM-GUARD", "VM-FRAME-OWN", "VM-ADDR"),
        "pool": ("POOL-RESERVE", "POOL-WAITS"),
        "gfp": ("GFP-ATOMIC-REACH", "GFP-USER", "GFP-NOFAIL"),
        "caller": (
            "CALLER-FREE",
            "CALLER-DOUBLE-FREE",
            "CALLER-FAMILY",
            "CALLER-ORDER",
            "CALLER-SIZE",
            "CALLER-GFP",
            "CALLER-CONTEXT",
            "CALLER-BOUNDS",
            "CALLER-CREATE",
            "CALLER-HANDLE",
            "CALLER-CACHE",
            "CALLER-DESTROY",
            "CALLER-POOL",
            "CALLER-CTOR-ZERO",
        ),
    }.items()
    for name in names
}


def premise(each: Clause, arguments: tuple[object, ...]) -> bool:
    """Work out whether the clause applies: an outcome's premise knows only what was asked."""
    return each.applies(*(arguments[:1] if each.kind == "outcome" else arguments))


@pytest.mark.parametrize("each", JUDGED, ids=lambda each: each.id)
def test_the_witness_satisfies_premise_and_rule(each: Clause) -> None:
    assert each.witness
    assert premise(each, each.witness)
    assert each.holds(*each.witness)


@pytest.mark.parametrize("each", JUDGED, ids=lambda each: each.id)
def test_the_broken_example_satisfies_the_premise_alone(each: Clause) -> None:
    assert each.broken
    assert premise(each, each.broken)
    assert not each.holds(*each.broken)


def asked_in(arguments: tuple[object, ...]) -> Asked:
    """Return what a witness of an outcome's clause asked for."""
    asked, got = arguments
    assert isinstance(asked, Asked)
    assert isinstance(got, Answer)
    return asked


@pytest.mark.parametrize("each", OUTCOMES, ids=lambda each: each.id)
def test_the_examples_of_an_outcome_are_of_a_call_that_the_clause_speaks_of(each: Clause) -> None:
    for arguments in (each.witness, each.broken):
        asked = asked_in(arguments)
        assert each.of(APIS[asked.api])
        assert asked.family in (APIS[asked.api].family, "kmalloc"), "SAMPLE stands in where no family matters"
        null = isinstance(arguments[1], Answer) and arguments[1].result == 0
        assert {"any": True, "null": null, "object": not null}[each.on]


@pytest.mark.parametrize("each", OUTCOMES, ids=lambda each: each.id)
def test_a_clause_of_an_outcome_speaks_of_some_call(each: Clause) -> None:
    spoken_of = [api.name for api in APIS.values() if each.of(api)]
    assert spoken_of
    assert not {"item", "fail_nth", "mempool_fail", "preempt_disable", "preempt_enable"} & set(spoken_of)


def test_the_clauses_without_a_predicate_are_these_and_each_has_its_test() -> None:
    assert {each.id for each in CLAUSES.values() if each.kind == "history"} == set(HISTORY)
    for clause_id, reference in HISTORY.items():
        file, _, name = reference.partition("::")
        shown = f'bad("{name}", ' if name == clause_id else f"def {name}("
        text = re.sub(r"\(\s+", "(", (Path(__file__).parent / file).read_text(encoding="utf-8"))
        assert re.sub(r",\s+", ", ", shown) in re.sub(r",\s+", ", ", text), clause_id


@pytest.mark.parametrize("each", CLAUSES.values(), ids=CLAUSES)
def test_a_clause_has_a_mnemonic_a_sentence_and_a_source(each: Clause) -> None:
    assert CLAUSES[each.id] is each
    assert re.fullmatch(r"[A-Z]+(-[A-Z]+)+", each.id), "a mnemonic has words, no numbers"
    assert each.id.partition("-")[0] in PREFIXES
    assert each.sentence[0].isupper() or re.split(r"\W", each.sentence)[0] in APIS
    assert each.sentence.endswith(".")
    assert each.source


@pytest.mark.parametrize("each", CLAUSES.values(), ids=CLAUSES)
def test_a_clause_blames_the_caller_exactly_if_its_id_says_so(each: Clause) -> None:
    assert (each.who == "caller") == each.id.startswith("CALLER-")


@pytest.mark.parametrize("each", JUDGED, ids=lambda each: each.id)
def test_a_clause_of_results_is_one_of_an_outcome(each: Clause) -> None:
    assert each.on == "any" or each.kind == "outcome"


def test_an_id_is_declared_once() -> None:
    before = dict(CLAUSES)
    with pytest.raises(ValueError, match="clause MEM-APART is declared twice"):
        register(CLAUSES["MEM-APART"])
    with pytest.raises(ValueError, match="clause MEM-NULL is declared twice"):
        clause("MEM-NULL", "Again.", source="none", witness=(1,), broken=(0,))(bool)
    assert before == CLAUSES


def named_in(path: Path) -> set[str]:
    """Return the clauses that a source refuses under: `Refused("…")`, `require(…, "…")`, `refuse(…)`."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            where = {"Refused": 0, "require": 1}.get(node.func.id)
            if where is not None:
                found |= {
                    part.value
                    for part in ast.walk(node.args[where])
                    if isinstance(part, ast.Constant) and isinstance(part.value, str)
                }
    return found


def test_every_clause_that_code_refuses_under_is_registered() -> None:
    named = {path: named_in(path) for path in SOURCES}
    assert len(set[str]().union(*named.values())) >= 8, "the scan finds nothing any more"
    assert {
        path.name: names - CLAUSES.keys() for path, names in named.items() if names - CLAUSES.keys()
    } == {}


def test_every_clause_that_a_docstring_names_is_registered() -> None:
    unknown = {
        (path.name, name)
        for path in SOURCES
        for line in re.findall(r"^ +Clause +(.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
        for name in re.findall(r"[A-Z]+(?:-[A-Z]+)+", line)
        if name not in CLAUSES
    }
    assert unknown == set()


def test_every_promise_of_a_clause_is_made_by_a_shipped_profile() -> None:
    made = frozenset[str]().union(*(load(name).promises for name in shipped()))
    wanted = frozenset[str]().union(*(each.promises for each in CLAUSES.values()))
    assert CONTRACT in wanted
    assert wanted <= made


@pytest.mark.parametrize("name", shipped())
def test_a_profile_puts_in_force_no_clause_about_the_inside_of_an_allocator(name: str) -> None:
    inside = {each.id for each in load(name).clauses() if each.kind == "state"}
    assert inside == {"MEM-APART"}
