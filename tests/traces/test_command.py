"""`kmem-oracle judge`: exit statuses, the report as JSON, the text for people, histories of our own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.traces.telling import AT, area, cache_alloc, cache_free, kfree, kmalloc

from kmem_oracle.cli import main
from kmem_spec.clauses import CLAUSES

GOOD = [kmalloc(AT), kfree(AT)]
SUSPECT = [cache_alloc(AT), cache_free(AT), cache_free(AT)]
BAD = [*GOOD, kfree(AT)]
FINDING = {"clause", "who", "certainty", "line", "others", "message"}


class Shell:
    """Runs the command on lines."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.capsys = capsys
        self.report = folder / "report.json"
        self.out = self.err = ""

    def file(self, lines: list[str], name: str = "trace.txt") -> str:
        """Write a trace and return its path."""
        path = self.folder / name
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        return str(path)

    def __call__(self, *arguments: str) -> int:
        """Run `judge` and return its exit status."""
        self.capsys.readouterr()
        try:
            status = main(["judge", *arguments, "--json", str(self.report)])
        except SystemExit as leaving:
            assert isinstance(leaving.code, int)
            status = leaving.code
        self.out, self.err = self.capsys.readouterr()
        return status

    def verdict(self) -> dict[str, object]:
        """Return the report."""
        report = json.loads(self.report.read_text(encoding="utf-8"))
        assert isinstance(report, dict)
        return report


@pytest.fixture
def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(tmp_path, capsys)


def test_exit_status_and_report(shell: Shell) -> None:
    assert shell(shell.file(GOOD)) == 0
    assert shell.verdict() == {"verdict": "pass", "events": 2, "judged": 2, "findings": []}
    assert shell.out.splitlines()[-1] == "PASS: no violation"
    assert shell(shell.file(BAD)) == 1
    report = shell.verdict()
    assert set(report) == {"verdict", "events", "judged", "findings"}
    assert report["verdict"] == "violation"
    assert report["findings"] == [
        {
            "clause": "CALLER-DOUBLE-FREE",
            "who": "caller",
            "certainty": "violation",
            "line": 3,
            "others": [1, 2],
            "message": f"kfree of {AT:#x} (g+0x3/0x4) again, and no allocation since line 2",
        }
    ]
    assert shell.out.splitlines()[-1] == "VIOLATION: 1 violation"


def test_suspects_count_under_strict(shell: Shell) -> None:
    file = shell.file(SUSPECT)
    assert shell(file) == 0
    assert shell.verdict()["verdict"] == "pass"
    assert "PASS: no violation, 1 suspect; --strict" in shell.out
    assert "unless   bulk calls, which emit no event" in shell.out
    assert shell(file, "--strict") == 1
    assert shell.verdict()["verdict"] == "violation"


def test_an_error_of_the_allocator_and_one_of_the_caller_both_are_violations(shell: Shell) -> None:
    assert shell(shell.file([kmalloc(AT + 32)])) == 1
    assert "VIOLATION of SLAB-ALIGN-POWER by the allocator" in shell.out
    assert CLAUSES["SLAB-ALIGN-POWER"].sentence in shell.out
    assert CLAUSES["SLAB-ALIGN-POWER"].source in shell.out


def test_several_files_are_judged_each_on_its_own(shell: Shell) -> None:
    files = [shell.file([kmalloc(AT), kfree(AT)], "one"), shell.file([kfree(AT)], "two")]
    assert shell(*files) == 0
    files.append(shell.file(BAD, "three"))
    assert shell(*files) == 1
    report = shell.verdict()
    assert report["events"] == 6
    findings = report["findings"]
    assert isinstance(findings, list)
    assert [(each["file"], each["line"]) for each in findings] == [(files[2], 3)]
    assert shell(files[0], "/nowhere/at/all") == 2
    assert "no such file" in shell.err.lower()
    assert "PASS" in shell.out
    assert shell(files[2], "/nowhere/at/all") == 1


def test_options(shell: Shell) -> None:
    assert shell(shell.file(BAD), "--waive", "CALLER-DOUBLE-FREE") == 0
    assert shell(shell.file(BAD), "--partial") == 0
    assert shell(shell.file([kmalloc(AT)]), "--whole") == 1
    assert shell(shell.file([kmalloc(AT, 40, 96)]), "--profile", "linux-6.1") == 1
    assert shell(shell.file([area(AT, 8192), kfree(AT)]), "--page-offset", "0xffff888000000000") == 1
    for wrong in (["--profile", "nothing"], ["--waive", "NOTHING"], ["--page-offset", "7"], ["--top", "0"]):
        assert shell(shell.file(GOOD), *wrong) == 2
        assert len(shell.err.splitlines()) == 1


def test_the_text_for_people(shell: Shell) -> None:
    lines = [kmalloc(AT + 64 * at, 40, site=f"site{at}+0x1/0x2") for at in range(20)]
    shell(shell.file([*lines, kfree(AT - 4096)]), "--top", "3")
    text = shell.out
    assert "21 events, 20 judged" in text
    assert "live at the end, of what the trace shows: 20 objects" in text
    assert sum("+0x1/0x2" in line for line in text.splitlines()) == 3
    assert "fragmentation: 800 bytes asked for, 1,280 given, 37.5% of them not asked for" in text
    assert "could not be judged:\n  frees of objects whose allocation is not in the trace: 1" in text


def test_many_groups_are_cut_short(shell: Shell) -> None:
    lines = [kmalloc(AT + 64 * at + 4, site=f"site{at}+0x1/0x2") for at in range(40)]
    assert shell(shell.file(lines)) == 1
    assert "and 20 further groups of findings" in shell.out
    findings = shell.verdict()["findings"]
    assert isinstance(findings, list)
    assert len(findings) == 40
    assert all(set(each) == FINDING for each in findings)


HEAD = '{"kmem-oracle-history": 1}'


def test_histories_of_our_own(shell: Shell) -> None:
    lines = [
        HEAD,
        '{"call": "kmalloc", "args": [100, 3264], "result": "0x10000", "usable": 128}',
        "",
        '{"call": "kzalloc", "args": [64, 3264], "result": "0x10080", "nonzero": 63}',
        '{"call": "kfree", "args": ["0x10000"]}',
        '{"call": "kfree", "args": ["0x10000"]}',
    ]
    assert shell(shell.file(lines)) == 1
    report = shell.verdict()
    findings = report["findings"]
    assert isinstance(findings, list)
    assert [(each["clause"], each["line"], each["others"]) for each in findings] == [
        ("MEM-ZERO", 4, []),
        ("CALLER-DOUBLE-FREE", 6, [5]),
    ]
    assert (report["events"], report["judged"]) == (4, 4)


def test_a_history_is_whole_unless_it_says_that_it_goes_on(shell: Shell) -> None:
    call = '{"call": "kmalloc", "args": [100, 3264], "result": "0x10000"}'
    assert shell(shell.file([HEAD, call])) == 1
    assert "CALLER-LEAK" in shell.out
    assert shell(shell.file(['{"kmem-oracle-history": 1, "ends": false}', call])) == 0


def test_histories_that_are_garbled(shell: Shell) -> None:
    call = '{"call": "kmalloc", "args": [100, 3264], "result": "0x10000"}'
    wrong = [
        "nonsense",
        "[1, 2]",
        '{"call": "nothing", "args": []}',
        '{"call": "kmalloc", "args": [100]}',
        '{"call": "kmalloc", "args": [100, 3264], "result": "0xffffffffffffffffff"}',
        '{"call": "kmalloc", "args": [100, 3264], "result": 1e400}',
        '{"call": "kmalloc", "args": [100, 3264], "usable": -9}',
        '{"call": "kmalloc", "args": [100, 3264], "notes": [[1]]}',
        "[" * 100_000,
        '{"call": "kfree", "args": [' + "9" * 5000 + "]}",
    ]
    assert shell(shell.file([HEAD, call, *wrong, '{"call": "kfree", "args": ["0x10000"]}'])) == 0
    assert "10 lines that are garbled or cut off, the first of them line 3" in shell.out


def test_the_example_of_the_specification(shell: Shell) -> None:
    chapter = (Path(__file__).parents[2] / "spec" / "script.md").read_text(encoding="utf-8")
    example = chapter.partition('{"kmem-oracle-history": 1}')[2].partition("```")[0]
    assert shell(shell.file([HEAD, *example.strip().splitlines()])) == 1
    assert "garbled" not in shell.out
    findings = shell.verdict()["findings"]
    assert isinstance(findings, list)
    assert [each["clause"] for each in findings if each["clause"] != "CALLER-LEAK"] == ["MEM-KEEP"]
    assert shell.verdict()["events"] == 7
