"""The machines on the model kernel: tables keep the rules, answers are legal, refusals change nothing.

The last test reads the coverage table: no rule, no clause in force, no refusal may have been left out.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import settings
from tests.machines import inside
from tests.machines.coverage import SEEN
from tests.machines.faults import STATE_FAULTS, StateFault
from tests.machines.machines import MACHINES, ZONED, run_on_fault, run_on_model
from tests.machines.steps import RULES

from kmem_model.kernel import Kernel
from kmem_spec.apis import APIS, KERNEL_APIS
from kmem_spec.clauses import CLAUSES
from kmem_spec.table import Refused

DONE: set[str] = set()
ROUNDS = 4  # how often what was left out is looked for again
STATE = {*inside.OF_ZONES, *inside.OF_SLABS, *inside.OF_SLOTS, *inside.OF_AREAS}
UNSEEN = {
    "PAGE-WATERMARK": "speaks of one request and its floor, not of a state: the page steps judge it",
}


def run_once(name: str, how: settings) -> None:
    """Run a machine on the model unless it was run in this process before."""
    if name not in DONE:
        run_on_model(name, how)
        DONE.add(name)


def sought(left: Callable[[], list[str]], how: settings) -> str:
    """Run all machines, those again that may yet find what is `left`, and return what is left then."""
    for name in MACHINES:
        run_once(name, how)
    few = settings(how, max_examples=how.max_examples // 3)
    for seed in range(ROUNDS):
        if not left():
            break
        print(f"looked for again: {left()}")
        for name in MACHINES:
            run_on_model(name, few, seed=seed)
    return "; ".join(left())


@pytest.mark.parametrize("name", MACHINES)
def test_the_kernel_keeps_every_rule(name: str, machine_settings: settings) -> None:
    run_once(name, machine_settings)
    assert name in DONE


def test_a_kernel_that_merges_caches_keeps_every_rule(machine_settings: settings) -> None:
    before = SEEN.ran["model", "create"]
    run_on_model("pools", machine_settings, merge=True)
    assert SEEN.ran["model", "create"] > before


@pytest.mark.parametrize("fault", STATE_FAULTS, ids=lambda fault: fault.says)
def test_a_fault_within_is_found(
    fault: StateFault, machine_settings: settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fault.of, fault.name, fault.wrong)
    with pytest.raises((AssertionError, Refused, KeyError)) as caught:
        run_on_fault(fault.machine, Kernel, ZONED, machine_settings, look=True)
    error = caught.value
    said = f"{error.clause if isinstance(error, Refused) else ''} {str(error).partition(' after:')[0]}"
    assert any(found in said for found in fault.found), said


def test_no_rule_no_clause_and_no_refusal_was_left_out(machine_settings: settings) -> None:
    due = {clause.id for clause in ZONED.clauses()} | STATE
    mistakes = {clause.id for clause in CLAUSES.values() if clause.who == "caller"}

    def left() -> list[str]:
        named = {clause for _, clause in SEEN.refused}
        idle = [f"rule {name}" for name in sorted(RULES) if SEEN.ran["model", name] == 0]
        return idle + sorted({clause for clause in due if SEEN.times(clause) == 0} | mistakes - named)

    found = sought(left, machine_settings)
    print("\n".join(SEEN.table()))
    assert found == ""


def test_the_table_knows_every_clause_of_a_state() -> None:
    states = {clause.id for clause in CLAUSES.values() if clause.kind == "state"}
    assert states - STATE - UNSEEN.keys() == {"MEM-APART"}  # which the judge judges


def test_every_call_came_to_each_of_its_ends(machine_settings: settings) -> None:
    makers = {
        name for name in KERNEL_APIS if APIS[name].role in ("allocate", "copy", "bulk", "map", "create")
    }
    resizes = {name for name in KERNEL_APIS if APIS[name].role == "resize"}
    due = {(name, end) for name in makers for end in ("object", "NULL")}
    due |= {(name, end) for name in resizes for end in ("object", "NULL", "in place", "moved")}

    def left() -> list[str]:
        ended = {(api, end) for subject, api, end in SEEN.ended if subject == "model"}
        uncalled = set(KERNEL_APIS) - {api for api, _ in ended}
        return sorted({f"{api}: {end}" for api, end in due - ended} | uncalled)

    assert sought(left, machine_settings) == ""
