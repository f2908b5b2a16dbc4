"""That the verifier can fail: each way in which an obligation is not proved is found and is red."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

pytest.importorskip("z3")

from kmem_model.zone import Zone
from kmem_proofs import verify as verify_module
from kmem_proofs.case import Case, rerun
from kmem_proofs.catalogue import catalogue, manifest
from kmem_proofs.obligations import Obligation, obligation
from kmem_proofs.pool import Pool
from kmem_proofs.prove import prove
from kmem_proofs.runner import ALL, Asked, discharge
from kmem_proofs.verdict import Result, Verdict
from kmem_proofs.verify import run, verify
from kmem_proofs.writes import why_idle
from kmem_spec.clauses import CLAUSES
from kmem_spec.table import Refused
from kmem_spec.units import array_size, get_order
from kmem_spec.zone import Blocks

NAME = "UNITS/get_order/exact"
PROOF_ONLY = Asked(mutants=False)


@pytest.fixture(autouse=True)
def cache_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def small_sizes_have_small_orders(case: Case, code: object, least: int = 1) -> Sequence[bool]:
    """True of sizes up to 8192."""
    assert callable(code)
    size = case.number("size")
    case.assume(size >= least, size <= 8192)
    return [case.call(code, size) <= 1]


def sample(code: object = get_order, **changes: object) -> Obligation:
    """Return an obligation that is proved, with one mutant that is refuted, changed as the test asks."""
    proved = obligation(
        NAME,
        small_sizes_have_small_orders,
        code,
        witness={"size": 5000},
        mutants=[("one more", lambda size: get_order(size) + 1)],
    )
    return replace(proved, **changes)  # type: ignore[arg-type]  # any field


def verified(*obligations: Obligation, listed: Sequence[str] | None = None) -> tuple[int, str]:
    """Return the exit status and the text of a run."""
    said: list[str] = []
    known = {each.name: each for each in obligations}
    names = list(known) if listed is None else listed
    status = verify(known, names, [], asked=ALL, say=said.append)
    return status, "\n".join(said)


def test_what_holds_is_proved() -> None:
    result = discharge(sample())
    assert (result.verdict, result.killed, result.mutants) == (Verdict.PROVED, 1, 1)
    assert result.green
    status, text = verified(sample())
    assert status == 0
    assert "1 obligations: 1 proved" in text


def test_a_false_claim_is_refuted_by_a_counterexample_that_breaks_the_code() -> None:
    def all_orders_are_small(case: Case) -> Sequence[bool]:
        return [case.call(get_order, case.number("size")) <= 1]

    proof = prove(all_orders_are_small, 10**7)
    assert proof.verdict is Verdict.REFUTED
    assert proof.counterexample is not None
    size = proof.counterexample["size"]
    assert isinstance(size, int)
    assert get_order(size) > 1
    assert rerun(all_orders_are_small, proof.counterexample).broken
    status, text = verified(sample(claim=all_orders_are_small))
    assert status == 1
    assert "REFUTED" in text
    assert f"get_order({size})" in text


def test_a_counterexample_is_printed_as_a_program_that_runs() -> None:
    proved = catalogue()["PAGE-APART/split/preserved"]
    result = discharge(replace(proved, claim=proved.mutants[0].claim), PROOF_ONLY)
    assert result.verdict is Verdict.REFUTED
    text = "\n".join(result.report)
    for word in ("given ", "before ", "call     state.split(", "after ", "clause   PAGE-APART asks: "):
        assert word in text
    program = [line[4:] for line in result.report[result.report.index("run it") + 1 :]]
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(program)], capture_output=True, text=True, check=True
    )
    states, goals = done.stdout.splitlines()
    assert states.startswith("None SplitLeavesWhole(")
    assert goals == "[True]"  # the catalogue's own code does not break there


def test_a_hypothesis_that_no_input_meets_is_vacuous() -> None:
    nobody = prove(lambda case: small_sizes_have_small_orders(case, get_order, 9000), 10**7)
    assert nobody.verdict is Verdict.VACUOUS
    result = discharge(sample(witness={"size": 9000}))
    assert result.verdict is Verdict.VACUOUS
    assert verified(sample(witness={"size": 9000}))[0] == 1


def test_a_witness_that_breaks_the_claim_refutes_it() -> None:
    result = discharge(sample(code=lambda size: 2))
    assert result.verdict is Verdict.REFUTED
    assert "broken   the witness" in result.report


def test_a_budget_that_is_too_small_leaves_it_unknown() -> None:
    proved = catalogue()["PAGE-MERGED/merge/preserved"]
    result = discharge(replace(proved, rlimit=20_000), PROOF_ONLY)
    assert result.verdict is Verdict.UNKNOWN
    assert "Z3 gave up" in result.report[0]
    assert verified(replace(proved, rlimit=20_000))[0] == 1


def test_giving_up_kills_no_mutant() -> None:
    slow = catalogue()["PAGE-MERGED/merge/preserved"].mutants
    result = discharge(sample(mutants=slow, rlimit=3_000))
    assert result.verdict is Verdict.SURVIVED
    assert result.killed == 0
    assert not result.green


def test_a_mutant_that_survives_is_red_and_named() -> None:
    same = obligation(
        NAME,
        small_sizes_have_small_orders,
        get_order,
        witness={"size": 1},
        mutants=[("nothing is changed", get_order)],
    )
    result = discharge(same)
    assert (result.verdict, result.killed, result.mutants) == (Verdict.SURVIVED, 0, 1)
    status, text = verified(same)
    assert status == 1
    assert "survives nothing is changed: proved" in text


def test_an_obligation_without_a_mutant_is_red() -> None:
    assert not discharge(sample(mutants=())).green
    assert discharge(sample(mutants=()), PROOF_ONLY).green


def test_code_that_raises_is_refuted() -> None:
    def fails_at_4097(size: int) -> int:
        if size == 4097:
            raise ValueError(size)
        return 0

    result = discharge(sample(code=fails_at_4097))
    assert result.verdict is Verdict.REFUTED
    assert "raises   ValueError(4097)" in result.report


def test_code_that_tells_symbols_from_integers_is_not_proved() -> None:
    def sly(size: int) -> int:
        return 2 if isinstance(size, int) and size != 5000 else 0

    result = discharge(sample(code=sly))
    assert result.verdict is Verdict.UNKNOWN
    assert "the replay differs" in result.report[0]


def test_code_that_is_not_translated_is_not_proved() -> None:
    result = discharge(sample(code=lambda size: int(size**0.5) // 5000))
    assert result.verdict is Verdict.UNKNOWN
    assert "pow" in result.report[0]


def test_a_failure_of_the_translation_alone_is_no_refutation() -> None:
    def half(case: Case) -> Sequence[bool]:
        size = case.number("size")
        return [isinstance(size, int) | (size == 0)]

    proof = prove(half, 10**7, replay_paths=False)
    assert proof.verdict is Verdict.UNKNOWN
    assert "a fault of the encoding" in proof.note


def test_resources_are_counted_the_same_each_time() -> None:
    proved = catalogue()["PAGE-HEAD/take/preserved"]
    first, second = prove(proved.claim, proved.rlimit), prove(proved.claim, proved.rlimit)
    assert (first.rlimit, first.paths) == (second.rlimit, second.paths)
    assert first.verdict is Verdict.PROVED


def test_what_the_manifest_has_and_nobody_runs_is_missing() -> None:
    status, text = verified(sample(), listed=[NAME, "PAGE-HEAD/forgotten/preserved"])
    assert status == 1
    assert "PAGE-HEAD/forgotten/preserved" in text
    assert "1 missing" in text


def test_what_the_manifest_does_not_have_is_red() -> None:
    status, text = verified(sample(), listed=[])
    assert status == 1
    assert f"{NAME} is not in the manifest" in text


def test_nothing_at_all_is_red() -> None:
    status, text = verified()
    assert status == 1
    assert "0 obligations" in text


def test_no_jobs_are_one_job() -> None:
    assert run(["floor_of"], jobs=0, mutants=False) == 0


def test_a_report_that_cannot_be_written_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["floor_of"], json_path="/nowhere/verify.json", jobs=1, mutants=False) == 2
    assert "cannot write /nowhere/verify.json" in capsys.readouterr().err


def test_the_manifest_names_every_obligation_once() -> None:
    assert manifest() == list(catalogue())
    assert len(manifest()) == len(set(manifest())) >= 66


def test_every_obligation_has_a_mutant_and_a_clause() -> None:
    for name, each in catalogue().items():
        assert each.mutants, name
        assert each.clause in CLAUSES or each.clause == "UNITS", name


def test_each_step_writes_what_its_clause_reads() -> None:
    """Else "preserved" would say nothing: the step could not have broken the clause."""
    reasons = {name: why_idle(each) for name, each in catalogue().items()}
    assert {name: why for name, why in reasons.items() if why} == {}


def counted(case: Case, code: type[Zone], looks: str) -> Sequence[bool]:
    """Take a block, and then look at one thing."""
    zone = code("NORMAL", 0, 8, case.table("free", Blocks), case.table("used", Blocks), case.number("nfree"))
    case.accepted(zone.take, case.number("head"), 4)
    seen = {"nfree": lambda: zone.nfree >= -8, "used": lambda: zone.used.get(4, 0) >= 0}
    return [seen[looks]() if looks in seen else zone.end == 8]


def taking(looks: str) -> Obligation:
    claim = partial(counted, looks=looks)
    return obligation(
        "PAGE-COUNT/take/preserved",
        claim,
        Zone,
        witness={"free": {4: 4}, "used": {0: 4}, "nfree": 4, "head": 4},
        mutants=[],
    )


@pytest.mark.parametrize(("looks", "idle"), [("nfree", False), ("used", False), ("end", True)])
def test_a_step_that_writes_nothing_that_its_clause_reads_is_idle(looks: str, idle: bool) -> None:
    why = why_idle(taking(looks))
    assert bool(why) == idle
    if idle:
        assert why.startswith("the step writes free, nfree, used of what its clause reads")
        result = discharge(taking(looks), replace(ALL, mutants=False))
        assert result.verdict is Verdict.IDLE
        assert verified(taking(looks))[0] == 1


@pytest.mark.parametrize("name", ["PAGE-HEAD/split", "PAGE-HEAD/split/perhaps"])
def test_a_name_has_three_parts_and_a_known_kind(name: str) -> None:
    with pytest.raises(ValueError, match="is not CLAUSE/step/kind"):
        sample(name=name)


def test_part_of_the_catalogue_is_proved_and_told_as_json(tmp_path: Path) -> None:
    path = tmp_path / "verify.json"
    assert run(["PAGE-COUNT/*/preserved", "floor_of"], json_path=str(path), jobs=2, mutants=True) == 0
    answer = json.loads(path.read_text())
    assert set(answer) == {"verdict", "obligations", "versions"}
    assert answer["verdict"] == "proved"
    assert answer["versions"]["z3-solver"][0].isdigit()
    rows = {row["name"]: row for row in answer["obligations"]}
    assert len(rows) == 6
    row = rows["PAGE-COUNT/split/preserved"]
    assert set(row) == {"name", "verdict", "level", "paths", "rlimit", "seconds", "mutants"}
    assert (row["verdict"], row["level"], row["paths"], row["mutants"]) == ("proved", "A", 10, [1, 1])
    assert row["rlimit"] > 0


def test_without_mutants_none_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "verify.json"
    assert run(["floor_of"], json_path=str(path), jobs=1, mutants=False) == 0
    assert json.loads(path.read_text())["obligations"][0]["mutants"] == [0, 0]


def test_a_pattern_that_names_nothing_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["PAGE-NOTHING"], jobs=1, mutants=True) == 2
    assert capsys.readouterr().err == "no obligation matches 'PAGE-NOTHING'\n"


def test_without_z3_the_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(verify_module, "find_spec", lambda _: None)
    assert run([], jobs=1, mutants=True) == 2
    assert "kmem-oracle[proofs]" in capsys.readouterr().err


def test_verify_is_imported_without_z3() -> None:
    program = "import sys, kmem_proofs.verify; sys.exit('z3' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_the_fence_ends_what_hangs_or_dies_and_the_rest_goes_on() -> None:
    def work(name: str) -> Result:
        if name == "hangs":
            time.sleep(60)
        if name == "dies":
            os._exit(3)
        return Result(name, Verdict.PROVED)

    pool = Pool(work, lambda name, why: Result(name, Verdict.UNKNOWN, report=(why,)), 2, 0.5)
    results = {result.name: result for result in pool.run(["a", "hangs", "dies", "b", "c"])}
    assert {name for name, result in results.items() if result.green} == {"a", "b", "c"}
    assert results["hangs"].report == ("no answer within 0.5 s",)
    assert results["dies"].report == ("its process died",)


def test_refusals_that_nobody_expects_are_no_hypotheses() -> None:
    """A claim that calls a step without saying what a refusal means is refuted where it is refused."""

    def splits(case: Case) -> Sequence[bool]:
        zone = Zone("NORMAL", 0, 8, case.table("free", Blocks), case.empty("used", Blocks))
        case.call(zone.split, case.number("head"), 4)
        return [True]

    proof = prove(splits, 10**7)
    assert proof.verdict is Verdict.REFUTED
    assert proof.counterexample is not None
    assert isinstance(rerun(splits, proof.counterexample).raised, Refused)


def test_a_product_is_no_product_where_it_wraps() -> None:
    """The claim over 2^64 x 2^64 is not only true where products fit."""
    claim = catalogue()["SLAB-ARRAY/array_size/exact"].claim
    again = rerun(claim, {"count": (1 << 64) - 1, "size": (1 << 64) - 1})
    assert again.holds
    assert again.case.results == [None]
    assert array_size((1 << 64) - 1, 1) == (1 << 64) - 1
