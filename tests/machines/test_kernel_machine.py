"""The machines on the model kernel: tables keep the rules, answers are legal, refusals change nothing.

The last test reads the coverage table: no rule, no clause in force, no refusal may have been left out.
"""

from __future__ import annotations

import pytest
from hypothesis import settings
from tests.machines import inside
from tests.machines.coverage import SEEN
from tests.machines.faults import STATE_FAULTS, StateFault
from tests.machines.machine import RULES
from tests.machines.machines import MACHINES, ZONED, run_on_fault, run_on_model

from kmem_model.kernel import Kernel
from kmem_spec.apis import APIS, KERNEL_APIS
from kmem_spec.clauses import CLAUSES
from kmem_spec.table import Refused

DONE: set[str] = set()
STATE = {*inside.OF_ZONES, *inside.OF_SLABS, *inside.OF_SLOTS, *inside.OF_AREAS}
UNSEEN = {
    "PAGE-WATERMARK": "speaks of one request and its floor, not of a state: the page steps judge it",
}


def run_once(name: str, how: settings) -> None:
    """Run a machine on the model unless it was run in this process before."""
    if name not in DONE:
        run_on_model(name, how)
        DONE.add(name)


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
    for name in MACHINES:
        run_once(name, machine_settings)
    print("\n".join(SEEN.table()))
    assert [name for name in sorted(RULES) if SEEN.ran["model", name] == 0] == []
    due = {clause.id for clause in ZONED.clauses()} | STATE
    assert [clause for clause in sorted(due) if SEEN.times(clause) == 0] == []
    mistakes = {clause.id for clause in CLAUSES.values() if clause.who == "caller"}
    named = {clause for _, clause in SEEN.refused}
    assert sorted(mistakes - named) == []


def test_the_table_knows_every_clause_of_a_state() -> None:
    states = {clause.id for clause in CLAUSES.values() if clause.kind == "state"}
    assert states - STATE - UNSEEN.keys() == {"MEM-APART"}  # which the judge judges


def test_every_call_came_to_each_of_its_ends(machine_settings: settings) -> None:
    for name in MACHINES:
        run_once(name, machine_settings)
    ended = {(api, end) for subject, api, end in SEEN.ended if subject == "model"}
    makers = {
        name for name in KERNEL_APIS if APIS[name].role in ("allocate", "copy", "bulk", "map", "create")
    }
    resizes = {name for name in KERNEL_APIS if APIS[name].role == "resize"}
    due = {(name, end) for name in makers for end in ("object", "NULL")}
    due |= {(name, end) for name in resizes for end in ("object", "NULL", "in place", "moved")}
    assert "; ".join(f"{api} {end}" for api, end in sorted(due - ended)) == ""
    assert sorted(set(KERNEL_APIS) - {api for api, _ in ended}) == []
