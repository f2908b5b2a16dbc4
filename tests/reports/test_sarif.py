"""SARIF and annotations: what `check`, `run` and `judge` tell a gate."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Final

import pytest
from tests.reports import sarif
from tests.reports.saving import forged
from tests.targets import build
from tests.traces.telling import AT, cache_alloc, cache_free, kfree, kmalloc

from kmem_oracle.campaign.result import Found
from kmem_oracle.cli import main
from kmem_oracle.reports import github
from kmem_oracle.reports import sarif as reported
from kmem_oracle.reports.marks import Mark, Place, file_of, of_result
from kmem_spec.clauses import CLAUSES

WRONG: Final = "a = kmalloc(8, GFP_KERNEL)\nb = kmalloc(64, __GFP_DMA | __GFP_DMA32)\nkfree(a)\n"
HOSTILE: Final = "%0A100%\r\n::set-env name=A::b, c:d \udcff\x1b"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Be in a folder of its own, outside of GitHub."""
    monkeypatch.chdir(tmp_path)
    for name in ("GITHUB_ACTIONS", "GITHUB_WORKSPACE"):
        monkeypatch.delenv(name, raising=False)


def on_github(monkeypatch: pytest.MonkeyPatch) -> None:
    """Be in a step of GitHub Actions."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_WORKSPACE", str(Path.cwd()))


def trace(lines: list[str]) -> str:
    """Write a trace and return its name."""
    Path("trace.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return "trace.txt"


def annotated(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return the annotations that were printed."""
    return [line for line in capsys.readouterr().out.splitlines() if line.startswith("::")]


@pytest.mark.needs("cc")
def test_check_points_at_the_saved_script_and_names_the_clause_with_its_source(targets: Path) -> None:
    library = build.library("KMALLOC_ZERO_NULL", directory=targets)
    assert main(["check", str(library), "--calls", "20000", "--save", "found", "--sarif", "s.sarif"]) == 1
    log = sarif.read(Path("s.sarif"))
    (rule,), (result,) = log.rules, log.results
    clause = CLAUSES["SLAB-ZERO-SIZE"]
    assert rule["id"] == clause.id
    assert rule["shortDescription"]["text"] == clause.sentence
    assert rule["properties"]["source"] == clause.source
    assert result["level"] == "error"
    assert result["message"]["text"] == "kmalloc(0, GFP_KERNEL) gave NULL"
    (script,) = Path("found").glob("*.kmem")
    assert log.places() == [(str(script), 3)]
    assert script.read_text(encoding="utf-8").splitlines()[2:] == result["properties"]["script"]
    assert log.invocation == {"executionSuccessful": True, "exitCode": 1}


@pytest.mark.needs("cc")
def test_without_a_saved_script_it_is_the_target_outside_the_folder_by_its_whole_path(targets: Path) -> None:
    library = build.library("KMALLOC_ZERO_NULL", directory=targets)
    command = ["check", str(library), "--calls", "20000", "--sarif"]
    assert main([*command, "one.sarif"]) == 1
    assert main([*command, "two.sarif", "--seed", "9"]) == 1
    one, two = sarif.read(Path("one.sarif")), sarif.read(Path("two.sarif"))
    assert one.places() == [(f"file://{library.resolve()}", None)]
    assert one.results[0]["partialFingerprints"] == two.results[0]["partialFingerprints"]


def test_run_points_at_the_script_that_was_played(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("a b.kmem").write_text(WRONG, encoding="utf-8")
    for options in ([], ["--quiet"], ["--on", "model", "--on", "model:64"]):
        assert main(["run", "a b.kmem", *options, "--sarif", "s.sarif"]) == 1
        log = sarif.read(Path("s.sarif"))
        assert {result["ruleId"] for result in log.results} == {"CALLER-GFP"}
        assert set(log.places()) == {("a%20b.kmem", None if len(options) > 1 else 2)}
    assert annotated(capsys) == []
    on_github(monkeypatch)
    assert main(["run", "a b.kmem", "--on", "model"]) == 1
    (line,) = annotated(capsys)
    assert line.startswith("::error file=a b.kmem,title=CALLER-GFP,line=2::")
    assert CLAUSES["CALLER-GFP"].sentence in line


@pytest.mark.parametrize("option", ["--trace", "--quiet"])
def test_the_line_is_that_of_the_call_also_among_equal_ones_that_were_skipped(option: str) -> None:
    made, wrong = (
        'c = kmem_cache_create("c", 8, 0, 0, NULL)',
        "a = kmem_cache_alloc(c, __GFP_DMA | __GFP_DMA32)",
    )
    script = f"{made}; kmem_cache_destroy(c)\nrepeat 3 {{\n  {wrong}\n}}\n{made}\n\n{wrong}\n"
    Path("s.kmem").write_text(script, encoding="utf-8")
    assert main(["run", "s.kmem", option, "--sarif", "s.sarif"]) == 1
    assert sarif.read(Path("s.sarif")).places() == [("s.kmem", 7)]


def test_what_passes_has_a_log_without_results(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "model", "--calls", "300", "--sarif", "s.sarif"]) == 0
    log = sarif.read(Path("s.sarif"))
    assert log.results == log.rules == []
    assert log.invocation == {"executionSuccessful": True, "exitCode": 0}


def test_judge_points_at_the_line_and_the_others(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    on_github(monkeypatch)
    file = trace([kmalloc(AT), kfree(AT), kfree(AT)])
    assert main(["judge", file, "--sarif", "s.sarif"]) == 1
    log = sarif.read(Path("s.sarif"))
    (result,) = log.results
    assert (result["ruleId"], result["level"]) == ("CALLER-DOUBLE-FREE", "error")
    assert log.places() == [("trace.txt", 3)]
    others = [each["physicalLocation"]["region"]["startLine"] for each in result["relatedLocations"]]
    assert others == [1, 2]
    (line,) = annotated(capsys)
    assert line.startswith("::error file=trace.txt,title=CALLER-DOUBLE-FREE,line=3::")


@pytest.mark.parametrize(("options", "status", "level"), [([], 0, "warning"), (["--strict"], 1, "error")])
def test_suspects_are_warnings_unless_they_count(
    options: list[str],
    status: int,
    level: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    on_github(monkeypatch)
    file = trace([cache_alloc(AT), cache_free(AT), cache_free(AT)])
    assert main(["judge", file, "--sarif", "s.sarif", *options]) == status
    (result,) = sarif.read(Path("s.sarif")).results
    assert result["level"] == level
    assert "; unless " in result["message"]["text"]
    (line,) = annotated(capsys)
    assert line.startswith(f"::{level} ")


@pytest.mark.parametrize("command", ["check", "run", "judge"])
def test_what_could_not_run_is_said_in_the_log_and_in_an_annotation(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    on_github(monkeypatch)
    assert main([command, "gone", "--sarif", "s.sarif"]) == 2
    log = sarif.read(Path("s.sarif"))
    assert log.results == []
    assert (log.invocation["executionSuccessful"], log.invocation["exitCode"]) == (False, 2)
    (note,) = log.invocation["toolExecutionNotifications"]
    assert note["message"]["text"].startswith("gone: ")
    (line,) = annotated(capsys)
    assert line.startswith("::error title=kmem-oracle::gone: ")


def test_what_was_found_stays_when_another_trace_cannot_be_read() -> None:
    file = trace([kmalloc(AT), kfree(AT), kfree(AT)])
    assert main(["judge", "gone.txt", file, "--sarif", "s.sarif"]) == 1
    log = sarif.read(Path("s.sarif"))
    assert log.places() == [("trace.txt", 3)]
    assert len(log.invocation["toolExecutionNotifications"]) == 1


def test_a_log_that_cannot_be_written_is_found_out_before_the_work(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["check", "model", "--sarif", "no/folder.sarif"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == "kmem-oracle: cannot write no/folder.sarif: " + said.err.partition("sarif: ")[2]


def test_each_violation_points_at_its_own_script() -> None:
    one = forged("gone.so", "ksize(NULL)", "SLAB-KSIZE")
    two = forged("gone.so", "a = kmalloc(9, GFP_KERNEL); ksize(a)", "SLAB-KSIZE")
    one.found = [Found(play, "") for play in (one.play, two.play) if play is not None]
    Path("one.kmem").write_text("1\n", encoding="utf-8")
    Path("two.kmem").write_text("1\n2\n", encoding="utf-8")
    marks = of_result(one, ["one.kmem", "one.c", "two.kmem", "test_two.py"])
    assert [mark.place for mark in marks] == [Place("one.kmem", 1), Place("two.kmem", 2)]


def test_paths_are_from_the_root_of_the_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    on_github(monkeypatch)
    Path("deep").mkdir()
    monkeypatch.chdir("deep")
    Path("lib.so").touch()
    assert file_of("lib.so") == "deep/lib.so"
    monkeypatch.setenv("GITHUB_WORKSPACE", "/somewhere/else")
    assert file_of("lib.so") == "lib.so"


def undone(text: str) -> str:
    """Return what GitHub's runner reads: `%25` last, so that nothing is undone twice."""
    for escaped, plain in (("%0D", "\r"), ("%0A", "\n"), ("%3A", ":"), ("%2C", ","), ("%25", "%")):
        text = text.replace(escaped, plain)
    return text


def test_hostile_text_stays_in_its_place() -> None:
    name = HOSTILE.replace("\udcff", "")
    Path(name.replace("/", "")).touch()
    mark = Mark("MEM-APART", "error", HOSTILE, Place(name, 7), script=(HOSTILE,))
    (line,) = github.lines([mark])
    found = re.fullmatch(r"::error file=([^,:]*),title=MEM-APART,line=7::(.*)", line)
    assert found is not None
    assert undone(found[1]) == name
    assert undone(found[2]).endswith(HOSTILE.replace("\udcff", "\\udcff"))
    assert len(line.splitlines()) == 1
    Path("s.sarif").write_text(json.dumps(reported.log([mark], 1, [HOSTILE])), encoding="utf-8")
    log = sarif.read(Path("s.sarif"))
    assert log.results[0]["message"]["text"] == HOSTILE.replace("\udcff", "\\udcff")
    assert log.places()[0][0].startswith("%250A100%25%0D%0A%3A%3Aset-env%20")


@pytest.mark.parametrize(
    ("name", "uri"),
    [
        ("malloc:", "malloc%3A"),
        ("exec:./mine --fast", "exec%3A./mine%20--fast"),
        ("\udcff.txt", "%FF.txt"),
        ("x" * 5000, "x" * 5000),
    ],
    ids=("malloc", "command", "stray byte", "too long"),
)
def test_what_is_no_file_has_a_reference_of_its_own(name: str, uri: str) -> None:
    log = reported.log([Mark("MEM-APART", "error", "seen", Place(name))], 1)
    Path("s.sarif").write_text(json.dumps(log), encoding="utf-8")
    assert sarif.read(Path("s.sarif")).places() == [(uri, None)]


def test_no_more_annotations_than_github_shows() -> None:
    many = [Mark("MEM-APART", level, "seen", Place("")) for level in ("error", "warning") for _ in range(30)]
    lines = github.lines(many)
    assert [sum(line.startswith(f"::{level} ") for line in lines) for level in ("error", "warning")] == [
        10,
        10,
    ]
