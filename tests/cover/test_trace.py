"""`run SCRIPT` before somebody's eyes: what came of each line, where an error is, one line at a time."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest
from tests.targets import build

from kmem_model.procfs import FILES
from kmem_oracle.cli import main
from kmem_oracle.commands.common import COULD_NOT_RUN, PASS, VIOLATION
from kmem_oracle.language.script import parse
from kmem_oracle.language.syntax import PROC_FILES

K = "GFP_KERNEL"


def told(capsys: pytest.CaptureFixture[str], tmp_path: Path, script: str, *options: str) -> list[str]:
    """Run a script on the model, and return what was said before the verdict, without columns of blanks."""
    status, out = run(capsys, tmp_path, script, *options)
    lines = [" ".join(line.split()) for line in out.splitlines()]
    head = next(place for place, line in enumerate(lines) if "calls judged in" in line)
    assert status == (PASS if lines[-1] == "PASS: no violation" else VIOLATION)
    return lines[:head]


def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, script: str, *options: str) -> tuple[int, str]:
    file = tmp_path / "lesson.kmem"
    file.write_text(script, encoding="utf-8")
    capsys.readouterr()
    status = main(["run", str(file), *options])
    out, err = capsys.readouterr()
    assert err == ""
    return status, out


# What comes of each line.


@pytest.mark.parametrize(
    ("line", "outcome"),
    [
        (f"a = kmalloc(100, {K})", "0xffff888001000000, 128 bytes usable"),
        (f"a = kmalloc(0, {K})", "ZERO_SIZE_PTR"),
        (f"a = kmalloc(2**30, {K})", "NULL"),
        ("v = vmalloc(1)", "0xffffc90000000000"),
        ("kfree(NULL)", "done"),
        (f"x = kmalloc(8, {K}); kfree(x)", "done"),
        (f"x = kmalloc(8, {K}); check(x)", "as it was written"),
        (f"x = kmalloc(9, {K}); ksize(x)", "16"),
        ("get_order(5000)", "1"),
        ('c = kmem_cache_create("c", 40, 0, 0, NULL)', "0xffffe900000006c0"),
        (
            f'c = kmem_cache_create("c", 2048, 0, 0, ctor); a = kmem_cache_alloc(c, {K})',
            "0xffff888001000000, 2048 bytes usable, the constructor ran 15 times",
        ),
        (
            'c = kmem_cache_create_26("c", 8000, 0, 0, ctor, dtor); '
            f"a = kmem_cache_alloc(c, {K}); kmem_cache_free(c, a); kmem_cache_destroy(c)",
            "done, the destructor ran 4 times",
        ),
        (
            f'c = kmem_cache_create("c", 40, 0, 0, NULL); kmem_cache_alloc_bulk(c, {K}, 2, p)',
            "2 objects: 0xffff888001000000, 0xffff888001000028",
        ),
        (
            f"alloc_pages_bulk({K}, 5, p)",
            "5 objects: 0xffff888001000000, 0xffff888001001000, 0xffff888001002000, …",
        ),
        (f"alloc_pages_bulk({K}, 0, p)", "0 objects"),
        ("kfree(a)", "skipped: nothing has made a"),
        (
            f"a = kmalloc(8, {K}); kfree(a); kfree(a)",
            "skipped: a ended in line 1; to use it again breaks CALLER-DOUBLE-FREE",
        ),
        (
            f"a = kmalloc(8, {K}); kfree(a); ksize(a)",
            "skipped: a ended in line 1; to use it again breaks CALLER-FREE",
        ),
        (f"a = kmalloc(2**30, {K}); kfree(a)", "skipped: a is NULL since line 1"),
        (
            f"a = kmalloc(8, {K}); a = kmalloc(2**30, {K}); kfree(a)",
            "done",  # the name stays with what lives
        ),
        (
            f"a = kmalloc(8, {K}); b = krealloc(a, 2**30, {K}); kfree(a)",
            "done",
        ),
        (
            f"a = kmalloc(8, {K}); b = krealloc(a, 0, {K}); kfree(a)",
            "skipped: a ended in line 1; to use it again breaks CALLER-DOUBLE-FREE",
        ),
        (
            f"a = vmalloc(8); b = vrealloc(a, 0, {K}); vfree(a)",
            "skipped: a ended in line 1; to use it again breaks CALLER-DOUBLE-FREE",
        ),
        (
            f"repeat 3 {{ p[i] = kmalloc(8, {K}) }}; kfree_bulk(3, p); kfree(p[1])",
            "skipped: p[1] ended in line 1; to use it again breaks CALLER-DOUBLE-FREE",
        ),
        (
            f"a = alloc_pages({K}, 1); s = split_page(a, 1); __free_pages(a, 1)",
            "skipped: a ended in line 1; to use it again breaks CALLER-DOUBLE-FREE",
        ),
        (f"a = alloc_pages({K}, 1); s = split_page(a, 1); __free_pages(s[1], 0)", "done"),
        (
            'c = kmem_cache_create("c", 8, 0, 0, NULL); kmem_cache_destroy(c); kmem_cache_shrink(c)',
            "skipped: c ended in line 1; to use it again breaks CALLER-HANDLE",
        ),
        ("cat /proc/vmallocinfo", ""),
    ],
)
def test_what_comes_of_a_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, line: str, outcome: str
) -> None:
    lines = [each for each in told(capsys, tmp_path, line) if not each.startswith("not freed")]
    call = line.rpartition(";")[2].strip()
    if call.startswith("cat"):
        assert lines == [f"1 {call}", "(empty)"]
    else:
        assert lines[-1] == f"1 {call} {outcome}"


def test_what_lives_at_the_end_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    script = f"a = kmalloc(8, {K})\nrepeat 9 {{ p[i] = vmalloc(1) }}\nb = kmalloc(8, {K}); kfree(b)"
    *_, last = told(capsys, tmp_path, script)
    assert last == "not freed at the end: a, p[0], p[1], p[2], p[3], p[4], p[5], p[6], …"


def test_of_a_repeat_the_first_rounds_are_shown_and_those_that_differ(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    script = f"repeat 20 {{ p[i] = __get_free_pages({K}, 8) }}\nkfree(NULL)"
    lines = told(capsys, tmp_path, script, "--on", "model:16")
    shown = [line.rpartition("] ")[2] for line in lines if line.startswith("1 ")]
    assert [words.startswith("0x") for words in shown] == [True, True, True, False]
    assert lines[3].endswith(" more came to the same")
    assert lines[4].endswith("[i = 15] NULL, slept")
    assert lines[-2 if lines[-1].startswith("not freed") else -1] == "2 kfree(NULL) done"


def test_trace_shows_every_round(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    script = "repeat 700 { repeat 3 { kfree(NULL) } }"
    assert told(capsys, tmp_path, script) == []  # too many to be shown unasked
    lines = told(capsys, tmp_path, script, "--trace")
    assert len(lines) == 2100
    assert lines[-1] == "1 kfree(NULL) [i = 2] done"


def test_quiet_says_the_verdict_alone(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    script = f"a = kmalloc(100, {K}); cat /proc/slabinfo"
    assert told(capsys, tmp_path, script, "--quiet") == []
    assert told(capsys, tmp_path, script)


@pytest.mark.needs("cc")
@pytest.mark.parametrize(
    ("fault", "script"),
    [
        ("", f"a = kmalloc(100, {K}); kfree(a); b = vmalloc(1); kfree(b)"),
        ("BULK_TWICE", f'c = kmem_cache_create("c", 8, 0, 0, NULL); kmem_cache_alloc_bulk(c, {K}, 12, p)'),
        ("CRASH_AT_1025", f"a = kmalloc(8, {K}); b = kmalloc(1025, {K}); kfree(a)"),
        ("KFREE_NULL_CRASH", "kfree(NULL); kfree(NULL)"),
        ("POISON_BEYOND", f"a = kmalloc(8, {K}); b = kmalloc(8, {K}); kfree(a); kfree(b)"),
        ("", f"alloc_pages_bulk({K}, 3000, p); __free_pages(p[2999], 0)"),
    ],
)
def test_a_traced_run_comes_to_the_verdict_of_a_quiet_one(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, targets: Path, fault: str, script: str
) -> None:
    library = str(build.library(fault, directory=targets))
    report = tmp_path / "report.json"
    verdicts = []
    for option in ("--quiet", "--trace"):
        status, _ = run(capsys, tmp_path, script, option, "--on", library, "--json", str(report))
        content = json.loads(report.read_text(encoding="utf-8"))
        content["seconds"] = None
        for violation in [content["violation"], *content["violations"]]:
            if violation is not None:
                violation["message"] = violation["message"].partition("0x")[0]
        verdicts.append((status, content))
    assert verdicts[0] == verdicts[1]
    assert (verdicts[0][0] == VIOLATION) == ("3000" not in script)


def test_nothing_in_a_script_is_for_the_terminal_to_obey(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = 'c = kmem_cache_create("\x1b[2J\x07", 40, 0, 0, NULL)\nkfree(NULL)'
    monkeypatch.setattr(sys, "stdin", io.StringIO("\nlive\n\n"))
    for option in ("--trace", "--step"):
        _, out = run(capsys, tmp_path, script, option)
        assert '" [2J "' in out
        assert all(each.isprintable() or each == "\n" for each in out)


def test_a_call_that_the_target_lacks_is_said_to_be_so(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    lines = told(capsys, tmp_path, "v = vmalloc(1); cat /proc/buddyinfo", "--on", "malloc:")
    assert lines == [
        "1 v = vmalloc(1) not called: the target does not have it",
        "1 cat /proc/buddyinfo skipped: only the model has files of /proc",
    ]


# Files of /proc.


def test_cat_prints_what_the_models_kernel_would(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    _, out = run(capsys, tmp_path, "v = vmalloc(5000)\ncat /proc/vmallocinfo\ncat /proc/buddyinfo")
    lines = out.splitlines()
    assert lines[2] == "      0xffffc90000000000-0xffffc90000003000   12288 pages=2 vmalloc N0=2"
    assert lines[4] == f"      Node 0, zone      DMA{'      0' * 10}      4"


def test_the_files_of_scripts_are_those_of_the_model() -> None:
    assert set(PROC_FILES) == set(FILES)


def test_cat_is_no_call() -> None:
    with_files = f"a = kmalloc(8, {K}); cat /proc/buddyinfo\nrepeat 2 {{ cat /proc/slabinfo; kfree(NULL) }}"
    assert parse(with_files) == parse(f"a = kmalloc(8, {K}); repeat 2 {{ kfree(NULL) }}")


# Where an error is.


@pytest.mark.parametrize(
    ("script", "shown"),
    [
        (
            f"a = kmalloc(8, {K})\n  b = kmalloc(8, GFP_KERNL)\n",
            [
                "line 2, column 18: unknown name GFP_KERNL: did you mean GFP_KERNEL?",
                "  b = kmalloc(8, GFP_KERNL)",
            ],
        ),
        ("kfree(NULL); kfre(NULL)", ["line 1, column 14: unknown call kfre: did you mean kfree?"]),
        (
            "cat /etc/passwd",
            ["line 1, column 1: cat prints /proc/buddyinfo, /proc/slabinfo, /proc/vmallocinfo"],
        ),
        ("repeat 2 {\n", ["line 1, column 1: this repeat is never closed", "repeat 2 {"]),
        ("\tkfree(\x1b[31m)", ["line 1, column 2: cannot read", " kfree( [31m)"]),
        (f"kfree({'x' * 500} y)\r\n", ["line 1, column 1: cannot read", f"kfree({'x' * 94}"]),
        (f"{'kfree(NULL);' * 30} kfree(7)", ["line 1, column 368: 7 is no name for an object"]),
        ('c = kmem_cache_create("ä€", 8, 0, NONE, NULL)', ["line 1, column 35: unknown name NONE"]),
    ],
)
def test_an_error_shows_its_line_and_the_place(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, script: str, shown: list[str]
) -> None:
    file, report = tmp_path / "wrong.kmem", tmp_path / "report.json"
    file.write_bytes(script.encode())
    assert main(["run", str(file), "--json", str(report)]) == COULD_NOT_RUN
    out, err = capsys.readouterr()
    message, line, caret = err.splitlines()
    assert out == ""
    assert message.startswith(f"kmem-oracle: {file}: {shown[0]}")
    if len(shown) > 1:
        assert line == f"    {shown[1]}"
    place = int(message.partition("column ")[2].partition(":")[0])
    source = script.splitlines()[int(message.partition("line ")[2].partition(",")[0]) - 1]
    at = caret.index("^")
    assert caret == " " * at + "^"
    after = source[place - 1 :].encode("ascii", "replace").decode()
    assert line[at:].encode("ascii", "replace").decode().startswith(after[:3].replace("\x1b", " "))
    assert "\x1b" not in err
    assert json.loads(report.read_text(encoding="utf-8"))["message"] == message.removeprefix("kmem-oracle: ")


def test_a_script_may_come_from_standard_input(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("kfree(NULL)\nkfree(7)"))
    assert main(["run", "-"]) == COULD_NOT_RUN
    assert capsys.readouterr().err.startswith("kmem-oracle: standard input: line 2, column 7: 7 is no name")
    monkeypatch.setattr(sys, "stdin", io.StringIO("kfree(NULL)"))
    assert main(["run", "-"]) == PASS
    assert capsys.readouterr().out.startswith(" 1  kfree(NULL)  done\n")


# One line at a time.


def stepped(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    script: str,
    answers: str,
    *options: str,
) -> list[str]:
    monkeypatch.setattr(sys, "stdin", io.StringIO(answers))
    return told(capsys, tmp_path, script, "--step", *options)


TWO = f"a = kmalloc(5000, {K})\nv = vmalloc(1)\nkfree(a)\n"


def test_each_step_says_what_it_changed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    help_line, *lines = stepped(capsys, monkeypatch, tmp_path, TWO, "\nn\n\n")
    assert help_line.startswith("Enter: make this call")
    none = "0 " * 10
    assert lines == [
        "1 a = kmalloc(5000, GFP_KERNEL) 0xffff888001000000, 8192 bytes usable",
        "/proc/buddyinfo",
        f"- Node 0, zone DMA32 {none}1020",
        "+ Node 0, zone DMA32 0 0 0 1 1 1 1 1 1 1 1019",
        "/proc/slabinfo",
        "- kmalloc-8k 0 0 8192 4 8 : slabdata 0 0 0",
        "+ kmalloc-8k 4 4 8192 4 8 : slabdata 1 1 0",
        "2 v = vmalloc(1) 0xffffc90000000000",
        "/proc/buddyinfo",
        "- Node 0, zone DMA32 0 0 0 1 1 1 1 1 1 1 1019",
        "+ Node 0, zone DMA32 1 1 1 0 1 1 1 1 1 1 1019",
        "/proc/vmallocinfo",
        "+ 0xffffc90000000000-0xffffc90000002000 8192 pages=1 vmalloc N0=1",
        "3 kfree(a) done",
        "not freed at the end: v",
    ]


@pytest.mark.parametrize("answers", ["\n\nq\n", "\n\n"], ids=["q", "end of file"])
def test_steps_end_where_one_leaves(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, answers: str
) -> None:
    lines = stepped(capsys, monkeypatch, tmp_path, TWO, answers, "--on", "malloc:")
    assert [line.split()[0] for line in lines if line] == ["Enter:", "1", "2", "not"]


def test_one_may_look_around_and_go_on(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    answers = "live\n\nlive\ncat /proc/vmallocinfo\nwhat\nc\n"
    lines = stepped(capsys, monkeypatch, tmp_path, TWO, answers)
    assert lines[1] == "nothing lives"
    assert "a 0xffff888001000000 line 1: a = kmalloc(5000, GFP_KERNEL)" in lines
    assert "(empty)" in lines
    assert lines.count(lines[0]) == 2  # what nobody knows is answered with what there is
    after = lines[lines.index("(empty)") + 2 :]
    assert after == ["2 v = vmalloc(1) 0xffffc90000000000", "3 kfree(a) done", "not freed at the end: v"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-", "--step"], "--step takes a script from a file: answers come from standard input"),
        (["--step"], "--step takes a script from a file: answers come from standard input"),
        (["--on", "model", "--on", "malloc:"], "two targets are compared by a script, and as a whole"),
        (["-i", "x", "--on", "model", "--on", "malloc:"], "two targets are compared by a script, and as"),
    ],
)
def test_what_does_not_go_together_is_said(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main(["run", *arguments]) == COULD_NOT_RUN
    assert capsys.readouterr().err.startswith(f"kmem-oracle: {message}")
