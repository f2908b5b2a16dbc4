"""That verdicts are kept exactly as long as nothing that they depend on changes; that a second solver can
dissent; that a counterexample is a picture; what is begun first, and that small machines can fail."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("z3")

from kmem_model.zone import Zone
from kmem_proofs import small, sources, verify
from kmem_proofs.case import Case, rerun
from kmem_proofs.catalogue import catalogue, homes, manifest, slowest
from kmem_proofs.mutants.policies import WantsTheExactSize
from kmem_proofs.mutants.sizes import SplitLeavesWhole
from kmem_proofs.obligations import Obligation
from kmem_proofs.picture import picture
from kmem_proofs.prove import prove
from kmem_proofs.runner import ALL, Asked, discharge
from kmem_proofs.second import Tally, answer_of_cvc5
from kmem_proofs.store import Store, folder
from kmem_proofs.verdict import Result, Second, Verdict
from kmem_spec.zone import broken_clauses

NAME = "PAGE-HEAD/empty/initial"
PROVED = Result(NAME, Verdict.PROVED, "A", 1, 5, 0.25, 1, (), (), Second(3))


def store_in(path: Path, asked: Asked = ALL, z3: str = "5.4.1.0") -> Store:
    return Store(path, homes(), asked, {"z3-solver": z3})


def test_what_is_proved_is_known_the_next_time(tmp_path: Path) -> None:
    store_in(tmp_path).put(PROVED)
    assert store_in(tmp_path).get(NAME) == replace(PROVED, cached=True)
    assert store_in(tmp_path).seconds(NAME) == 0.25
    assert store_in(tmp_path).get("PAGE-APART/empty/initial") is None


@pytest.mark.parametrize("asked", [Asked(seed=1), Asked(cross=True), Asked(mutants=False)])
def test_what_was_asked_otherwise_is_not_known(tmp_path: Path, asked: Asked) -> None:
    store_in(tmp_path).put(PROVED)
    assert store_in(tmp_path, asked).get(NAME) is None


def test_another_solver_knows_nothing(tmp_path: Path) -> None:
    store_in(tmp_path).put(PROVED)
    assert store_in(tmp_path, z3="5.4.2").get(NAME) is None
    assert store_in(tmp_path, z3="5.4.2").seconds(NAME) == 0.25  # that is only where to begin


def test_changed_code_is_proved_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store_in(tmp_path).put(PROVED)
    text_of = sources.text_of

    def changed(module: str) -> str | None:
        text = text_of(module)
        return f"{text}# one more line\n" if module == "kmem_model.zone" else text

    monkeypatch.setattr(sources, "text_of", changed)
    sources.fingerprint.cache_clear()
    try:
        assert store_in(tmp_path).get(NAME) is None
    finally:
        sources.fingerprint.cache_clear()


def test_what_an_obligation_depends_on_is_all_that_it_imports_and_no_more() -> None:
    about_units = sources.closure("kmem_proofs.ledger")
    assert "kmem_spec.extents" in about_units
    assert "kmem_model.zone" not in about_units
    of_pages = sources.closure("kmem_proofs.page")
    assert {"kmem_model.zone", "kmem_proofs.mutants.page", "kmem_spec.watermark"} <= set(of_pages)
    prover = sources.closure(sources.PROVER)
    assert {"kmem_proofs.symbolic", "kmem_proofs.explore", "kmem_proofs.tables"} <= set(prover)


@pytest.mark.parametrize("verdict", [each for each in Verdict if each is not Verdict.PROVED])
def test_what_is_not_proved_is_tried_again(tmp_path: Path, verdict: Verdict) -> None:
    store_in(tmp_path).put(replace(PROVED, verdict=verdict))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["", "[]", '{"key": 3}', "\xff"])
def test_a_file_that_cannot_be_read_is_found_again(tmp_path: Path, text: str) -> None:
    store_in(tmp_path).put(PROVED)
    (path,) = tmp_path.iterdir()
    path.write_text(text, "latin-1")
    assert store_in(tmp_path).get(NAME) is None
    assert store_in(tmp_path).seconds(NAME) is None


def test_a_folder_that_cannot_be_written_keeps_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for store in (store_in(tmp_path / "file"), replace(store_in(tmp_path), folder=None)):
        store.put(PROVED)
        assert store.get(NAME) is None


def test_verdicts_are_kept_in_the_users_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert folder() == tmp_path / "kmem-oracle" / "verify"
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert folder() == tmp_path / "home" / ".cache" / "kmem-oracle" / "verify"


def test_a_second_run_uses_what_the_first_has_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    texts = []
    for fresh in (False, False, True):
        assert verify.run(["floor_of"], fresh=fresh) == 0
        texts.append(capsys.readouterr().out)
    assert ["cached" in text for text in texts] == [False, True, False]
    assert "1 from the cache" in texts[1]


def test_what_took_long_is_begun_first(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    store.put(PROVED)
    names = ["PAGE-APART/empty/initial", NAME, "PAGE-HEAD/split/preserved", "PAGE-HEAD/merge/preserved"]
    assert verify.by_cost(names, ["PAGE-HEAD/merge/preserved"], store) == [
        NAME,
        "PAGE-HEAD/merge/preserved",
        "PAGE-APART/empty/initial",
        "PAGE-HEAD/split/preserved",
    ]
    assert set(slowest()) <= set(manifest())


@pytest.mark.parametrize("seed", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("name", ["PAGE-APART/merge/preserved", "PAGE-WATERMARK/high/implies"])
def test_no_seed_changes_a_verdict(name: str, seed: int) -> None:
    result = discharge(catalogue()[name], Asked(seed=seed))
    assert (result.verdict, result.survivors) == (Verdict.PROVED, ())


def test_progress_is_shown_on_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    show = verify.Progress(3)
    show([NAME])
    show([NAME, "B"])
    text = capsys.readouterr().err
    assert f"1 of 3 begun, 0 s: {NAME}" in text
    assert f"2 of 3 begun, 0 s: {NAME}, B" in text
    assert "\n" not in text


class TestSecondSolver:
    """cvc5."""

    def test_agrees_with_all_that_a_proof_rests_on(self) -> None:
        pytest.importorskip("cvc5")
        result = discharge(catalogue()["PAGE-COUNT/merge/preserved"], Asked(mutants=False, cross=True))
        assert result.verdict is Verdict.PROVED
        assert result.second == Second(agree=30)

    def test_answers_for_itself(self) -> None:
        pytest.importorskip("cvc5")
        assert answer_of_cvc5("(declare-fun x () Int)(assert (= (* 2 x) 7))(check-sat)") == "unsat"
        assert answer_of_cvc5("(declare-fun x () Int)(assert (= (* 2 x) 8))(check-sat)") == "sat"

    @pytest.mark.parametrize(("word", "dissent"), [("sat", (0, 1)), ("unknown (TIMEOUT)", (1, 0))])
    def test_that_does_not_agree_makes_it_red(
        self, monkeypatch: pytest.MonkeyPatch, word: str, dissent: tuple[int, int]
    ) -> None:
        monkeypatch.setattr("kmem_proofs.runner.Tally", lambda: Tally(lambda _: word))
        result = discharge(catalogue()[NAME], Asked(mutants=False, cross=True))
        assert result.verdict is Verdict.DISPUTED
        assert not result.green
        assert result.second == Second(0, *dissent)

    def test_that_is_not_there_is_said(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(verify, "find_spec", lambda name: None if name == "cvc5" else name)
        assert verify.run([], cross=True) == 2
        assert "kmem-oracle verify --cross needs cvc5" in capsys.readouterr().err

    def test_is_told_of_branches_that_are_not_taken(self) -> None:
        def claim(case: Case) -> Sequence[bool]:
            number = case.number("x")
            case.assume(number > 3)
            return [True] if number > 2 else [False]

        asked: list[str] = []
        assert prove(claim, 10**6, denied=asked.append).verdict is Verdict.PROVED
        assert len(asked) == 1
        assert "(assert" in asked[0]


def test_a_picture_shows_blocks_and_what_has_changed() -> None:
    proved = catalogue()["PAGE-APART/split/preserved"]
    (call,) = rerun(proved.claim, proved.witness).case.calls
    assert picture(call.was, call.became) == [
        "         from 0 to 16, 4 to a character",
        "before   free     ..[=",
        "before   used     [=..",
        "after    free     ..[[",
        "after    used     [=..",
        "          before   after",
        "free[8]        8       4   <- changed",
        "free[12]       -       4   <- changed",
        "used[0]        8       8",
        "start          0       0",
        "end           16      16",
        "nfree          8       8",
    ]
    assert picture({}, {}) == []


def test_a_picture_of_too_much_has_no_bars() -> None:
    lines = picture({"free": {0: 1, 1000: 1}}, {"free": {0: 1}})
    assert lines == [
        "            before   after",
        "free[0]          1       1",
        "free[1000]       1       -   <- changed",
    ]


def test_a_refutation_shows_the_picture_and_the_replay() -> None:
    proved = catalogue()["PAGE-APART/split/preserved"]
    mutant = replace(proved, claim=proved.mutants[0].claim)
    text = "\n".join(discharge(mutant, Asked(mutants=False)).report)
    assert "<- changed" in text
    assert "after    free" in text or "after    state" in text or "before   free" in text
    assert f"    # None {SplitLeavesWhole.__name__}(" in text


class TestSmallMachines:
    """Level C."""

    def test_have_as_many_states_as_there_are_legal_ones(self) -> None:
        assert [len(small.legal_states(end)) for end in (1, 2, 4, 8, 12)] == [2, 5, 26, 677, 677 * 26]
        for state in small.legal_states(4):
            assert broken_clauses(small.zone_in(state, Zone, 4)) == []

    def test_say_how_many_states_they_have_seen(self) -> None:
        result = discharge(catalogue()["MEM-LIVENESS/8_pages/enumerated"])
        assert (result.verdict, result.level, result.paths) == (Verdict.PROVED, "C", 678)

    def test_refute_a_policy_that_blocks(self) -> None:
        blocks = replace(
            catalogue()["MEM-LIVENESS/8_pages/enumerated"],
            claim=lambda case: small.policy_never_blocks(case, WantsTheExactSize),
        )
        result = discharge(blocks, Asked(mutants=False))
        assert result.verdict is Verdict.REFUTED
        assert any(line.startswith("raises   AssertionError('the policy, in free=") for line in result.report)

    def test_that_see_no_state_are_vacuous(self) -> None:
        nothing = Obligation("MEM-LIVENESS/none/enumerated", "C", lambda _: [], {}, ())
        assert discharge(nothing, Asked(mutants=False)).verdict is Verdict.VACUOUS

    def test_let_a_mutant_that_no_state_shows_survive(self) -> None:
        same = catalogue()["MEM-LIVENESS/8_pages/enumerated"]
        mutants = tuple(replace(each, claim=same.claim) for each in same.mutants[:1])
        result = discharge(replace(same, mutants=mutants))
        assert result.verdict is Verdict.SURVIVED
        assert result.survivors[0].endswith("no state shows it")
