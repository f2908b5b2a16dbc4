"""The command line: exit statuses, one line where nothing can be run, the report as JSON."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
from dataclasses import dataclass
from importlib import metadata
from itertools import pairwise
from pathlib import Path

import pytest
from tests.targets import build

from kmem_oracle import cli
from kmem_oracle.campaign.campaign import campaign
from kmem_oracle.campaign.course import Budget
from kmem_oracle.cli import main
from kmem_oracle.commands import completion
from kmem_oracle.commands.common import COULD_NOT_RUN, PASS, VIOLATION
from kmem_oracle.language.script import parse
from kmem_oracle.reports import versions
from kmem_oracle.targets.target import CouldNotRun, Target
from kmem_spec.clauses import CLAUSES
from kmem_spec.profile import load

PASS_KEYS = {"verdict", "target", "profile", "seed", "calls", "seconds", "clauses", "violation", "violations"}
VIOLATION_KEYS = {"clause", "sentence", "source", "message", "script", "times", "files"}
ERROR_KEYS = {"verdict", "target", "message", "violation"}
WRONG_MASK = "a = kmalloc(8, GFP_KERNEL)\nb = kmalloc(64, __GFP_DMA | __GFP_DMA32)\nkfree(a)\n"


@dataclass(frozen=True)
class Done:
    """What one command gave."""

    status: int
    out: str
    err: str

    def only_line(self) -> str:
        """Return the one line on standard error of a command that could not run."""
        assert self.status == COULD_NOT_RUN
        assert self.out == ""
        assert "Traceback" not in self.err
        (line,) = self.err.splitlines()
        assert line.startswith("kmem-oracle: ")
        return line.removeprefix("kmem-oracle: ")


@dataclass(frozen=True)
class Shell:
    """Runs commands in this process."""

    capsys: pytest.CaptureFixture[str]

    def __call__(self, *arguments: str | Path) -> Done:
        self.capsys.readouterr()
        try:
            status = main([str(argument) for argument in arguments])
        except SystemExit as leaving:  # as argparse does
            assert isinstance(leaving.code, int)
            status = leaving.code
        out, err = self.capsys.readouterr()
        return Done(status, out, err)


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(capsys)


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """Return a script that breaks a clause on any target."""
    file = tmp_path / "wrong.kmem"
    file.write_text(WRONG_MASK, encoding="utf-8")
    return file


def report(path: Path) -> dict[str, object]:
    content: dict[str, object] = json.loads(path.read_text(encoding="utf-8"))
    return content


# Verdicts.


def test_a_correct_target_passes(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    done = shell("check", "model", "--calls", "3000", "--seed", "7", "--json", file)
    assert (done.status, done.err) == (PASS, "")
    head, *_, verdict = done.out.splitlines()
    assert head.startswith("model: 3,000 calls judged in ")
    assert "profile linux-6.1, seed 7, " in head
    assert verdict == "PASS: no violation"
    content = report(file)
    assert set(content) == PASS_KEYS
    assert (content["verdict"], content["target"], content["profile"]) == ("pass", "model", "linux-6.1")
    assert (content["seed"], content["calls"], content["violation"]) == (7, 3000, None)
    assert isinstance(content["seconds"], float)
    counts = content["clauses"]
    assert isinstance(counts, dict)
    assert set(counts) == {each.id for each in load("linux-6.1").clauses()}
    assert counts["MEM-APART"] > 1000


def test_a_violation_is_reported_with_its_rule_and_its_script(
    shell: Shell, script: Path, tmp_path: Path
) -> None:
    file = tmp_path / "report.json"
    done = shell("run", script, "--json", file)
    assert (done.status, done.err) == (VIOLATION, "")
    assert "VIOLATION of CALLER-GFP by the caller" in done.out
    assert done.out.splitlines()[-2:] == [
        "    a = kmalloc(8, GFP_KERNEL)",
        "    b = kmalloc(64, GFP_DMA32 | __GFP_DMA)",
    ]
    content = report(file)
    assert set(content) == PASS_KEYS
    assert content["verdict"] == "violation"
    violation = content["violation"]
    assert isinstance(violation, dict)
    assert set(violation) == VIOLATION_KEYS
    clause = CLAUSES["CALLER-GFP"]
    assert (violation["clause"], violation["sentence"], violation["source"]) == (
        clause.id,
        clause.sentence,
        clause.source,
    )
    assert violation["files"] == []
    assert parse("\n".join(violation["script"])) == parse(WRONG_MASK)[:2]


def test_what_is_waived_passes(shell: Shell, script: Path) -> None:
    assert shell("run", script, "--waive", "MEM-APART").status == VIOLATION
    assert shell("run", script, "--waive", "CALLER-GFP").status == PASS
    assert shell("run", script, "--waive", " MEM-APART, CALLER-GFP,").status == PASS


def test_a_saved_script_shows_the_violation_again(shell: Shell, script: Path, tmp_path: Path) -> None:
    folder, file = tmp_path / "found" / "here", tmp_path / "report.json"
    assert shell("run", script, "--save", folder, "--json", file).status == VIOLATION
    violation = report(file)["violation"]
    assert isinstance(violation, dict)
    saved, *others = violation["files"]
    assert Path(saved).parent == folder
    assert [Path(other).name for other in others] == [
        "caller-gfp-seed-0.html",
        "caller_gfp_seed_0_kunit.c",
        "test_caller_gfp_seed_0.py",
    ]
    assert shell("run", saved).status == VIOLATION


@pytest.mark.needs("cc")
def test_a_fault_is_found_again_under_the_same_seed_and_passes_when_waived(
    shell: Shell, targets: Path, tmp_path: Path
) -> None:
    faulty = build.library("KMALLOC_ZERO_NULL", directory=targets)
    reports = []
    for name in ("one.json", "two.json"):
        done = shell("check", faulty, "--seed", "3", "--calls", "20000", "--json", tmp_path / name)
        assert done.status == VIOLATION
        assert "VIOLATION of SLAB-ZERO-SIZE by the allocator" in done.out
        content = report(tmp_path / name)
        assert set(content) == PASS_KEYS
        reports.append({key: value for key, value in content.items() if key != "seconds"})
    assert reports[0] == reports[1]
    violation = reports[0]["violation"]
    assert isinstance(violation, dict)
    assert violation["script"] == ["a = kmalloc(0, GFP_KERNEL)"]
    done = shell("check", faulty, "--seed", "3", "--calls", "3000", "--waive", "SLAB-ZERO-SIZE")
    assert done.status == PASS


@pytest.mark.needs("cc")
def test_a_profile_from_a_file_is_judged_by(shell: Shell, targets: Path, tmp_path: Path) -> None:
    file = tmp_path / "aligned.toml"
    file.write_text("minimum_align = 64\n", encoding="utf-8")
    library = build.library(directory=targets)
    done = shell("check", library, "--profile", file, "--calls", "3000")
    assert done.status == VIOLATION
    assert "profile aligned" in done.out
    assert "VIOLATION of SLAB-ALIGN by" in done.out
    assert shell("check", library, "--profile", "contract", "--calls", "3000").status == PASS


def test_the_machines_own_malloc_passes(shell: Shell) -> None:
    done = shell("check", "malloc:", "--calls", "2000")
    assert (done.status, done.err) == (PASS, "")


def test_a_budget_of_time_ends_a_campaign(shell: Shell) -> None:
    done = shell("check", "model", "--time", "0.2")
    assert done.status == PASS
    assert float(done.out.partition(" judged in ")[2].partition(" ")[0]) < 5


def test_the_list_of_clauses_names_each(shell: Shell) -> None:
    done = shell("clauses")
    assert done.status == PASS
    assert sorted(line.split()[0] for line in done.out.splitlines()) == sorted(CLAUSES)


# Two targets side by side.

COMPARED_KEYS = {"verdict", "calls", "lacking", "unreached", "partings", "sides"}


def test_two_targets_that_do_not_part_pass(shell: Shell, tmp_path: Path) -> None:
    script, file = tmp_path / "right.kmem", tmp_path / "report.json"
    script.write_text("a = kmalloc(100, GFP_KERNEL)\nkfree(a)\n", encoding="utf-8")
    done = shell("run", script, "--on", "model", "--on", "model:64", "--json", file)
    assert (done.status, done.err) == (PASS, "")
    assert done.out.splitlines() == [
        "2 calls on model and on model:64: 0 with other outcomes",
        "model: PASS under linux-6.1",
        "model:64: PASS under linux-6.1",
    ]
    content = report(file)
    assert set(content) == COMPARED_KEYS
    assert (content["verdict"], content["calls"], content["partings"]) == ("pass", 2, [])


def test_calls_that_the_target_lacks_are_named(shell: Shell, tmp_path: Path) -> None:
    script = tmp_path / "more.kmem"
    script.write_text(
        "fail_nth(1)\na = kmalloc(8, GFP_KERNEL)\nv = vmalloc(64)\ncheck(a)\n", encoding="utf-8"
    )
    for option in ("--quiet", "--trace"):
        done = shell("run", script, option, "--on", "malloc:")
        assert (done.status, done.err) == (PASS, "")
        assert done.out.splitlines()[-2:] == [
            "not called, since the target lacks it: fail_nth, vmalloc",
            "PASS: no violation",
        ]
    assert "not called" not in shell("run", script, "--on", "model").out


def test_targets_may_part_and_pass(shell: Shell, tmp_path: Path) -> None:
    script = tmp_path / "sizes.kmem"
    script.write_text("a = kmalloc(5000, GFP_KERNEL)\nv = vmalloc(64)\nkfree(a)\n", encoding="utf-8")
    done = shell("run", script, "--on", "model", "--on", "malloc:")
    assert (done.status, done.err) == (PASS, "")
    lines = done.out.splitlines()
    assert lines[0] == "2 calls on model and on malloc:: 1 with other outcomes"
    assert lines[1] == "not compared, since one of them lacks it: vmalloc"
    assert lines[2] == "call 1: a = kmalloc(5000, GFP_KERNEL)"
    assert [line.split(", ")[0] for line in lines[3:5]] == ["  model    an object", "  malloc:  an object"]
    assert lines[5:] == ["model: PASS under linux-6.1", "malloc:: PASS under contract"]


@pytest.mark.needs("cc")
def test_a_side_that_is_rejected_is_a_violation(shell: Shell, targets: Path, tmp_path: Path) -> None:
    faulty = build.library("KMALLOC_ZERO_NULL", directory=targets)
    script, file = tmp_path / "zero.kmem", tmp_path / "report.json"
    script.write_text("a = kmalloc(0, GFP_KERNEL)\n", encoding="utf-8")
    both = ("run", script, "--on", "model", "--on", faulty)
    done = shell(*both, "--json", file)
    assert (done.status, done.err) == (VIOLATION, "")
    assert f"{faulty}: VIOLATION of SLAB-ZERO-SIZE by the allocator under contract: " in done.out
    sides = report(file)["sides"]
    assert isinstance(sides, list)
    assert sides[0]["violation"] is None
    assert sides[1]["violation"]["clause"] == "SLAB-ZERO-SIZE"
    assert shell(*both, "--waive", "SLAB-ZERO-SIZE").status == PASS


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--on", "model", "--on", "model", "--on", "model"], "--on may be given twice at most: "),
        (["--on", "model", "--on", "missing.so"], "missing.so: no such file; "),
        (["--on", "model", "--on", "model:1"], "model:1: memory is a number of MiB, 8 to "),
        (["--on", "model", "--on", "model", "--save", "here"], "--save takes one target: "),
        (["--on", "model", "--on", "model", "--waive", "MEM-NONE"], "unknown clause to waive: MEM-NONE; "),
        (["--on", "model", "--on", "model", "--profile", "none"], "unknown profile 'none': "),
    ],
)
def test_two_targets_that_cannot_be_compared(
    shell: Shell, script: Path, tmp_path: Path, options: list[str], message: str
) -> None:
    file = tmp_path / "report.json"
    line = shell("run", script, *options, "--json", file).only_line()
    assert line.startswith(message)
    assert report(file)["message"] == line
    named = [value for option, value in pairwise(options) if option == "--on"]
    assert report(file)["target"] == " and ".join(named)


# The model with less memory.


def test_a_model_may_have_less_memory(shell: Shell, tmp_path: Path) -> None:
    script = tmp_path / "large.kmem"
    script.write_text("v = vmalloc(32 << 20)\nvfree(v)\n", encoding="utf-8")
    done = shell("run", script, "--on", "model:16", "--on", "model:64")
    assert done.status == PASS
    assert done.out.splitlines()[1:4] == [
        "call 1: a = vmalloc(2**25)",
        "  model:16  NULL",
        "  model:64  an object",
    ]
    assert shell("check", "model:16", "--calls", "3000").status == PASS


@pytest.mark.parametrize("given", ["7", "x", "-1", "\u00b2", "99999999", "64:64"])
def test_a_model_with_an_odd_memory_is_declined(shell: Shell, given: str) -> None:
    line = shell("check", f"model:{given}").only_line()
    assert line == f"model:{given}: memory is a number of MiB, 8 to 1048576"


# What cannot be run.


def test_what_is_no_target_is_declined(shell: Shell, tmp_path: Path) -> None:
    text = tmp_path / "text.so"
    text.write_text("no library")
    missing = tmp_path / "missing.so"
    for target, message in {
        str(
            missing
        ): f"{missing}: no such file; a target is model (or model:MIB, with so much memory), a path",
        str(tmp_path): f"{tmp_path}: not a file; a target is model (or",
        str(text): f"{text}: not a shared library that can be loaded: ",
        "": ": no such file; ",
        "rust:thing": "unknown target 'rust:thing': a target is model (or",
        "modle": "modle: no such file; a target is model (or",
        f"malloc:{text}": f"malloc:{text}: cannot be loaded: ",
        "a" * 5000: "a" * 5000 + ": no such file",
    }.items():
        assert shell("check", target).only_line().startswith(message)


@pytest.mark.needs("cc")
def test_a_library_without_symbols_is_declined(shell: Shell, targets: Path) -> None:
    bare = build.bad("no_symbols", directory=targets)
    assert f"{bare}: exports none of the kernel's allocator calls" in shell("check", bare).only_line()


def test_a_target_that_frees_nothing_is_declined(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "kmem_oracle.campaign.campaign.Generator", lambda seed, profile, apis: _generator({"kfree", "ksize"})
    )
    with pytest.raises(
        CouldNotRun, match="model: exports no call that makes an object and the one that frees"
    ):
        campaign(
            Target("model", "", "model"),
            profile="",
            seed=1,
            budget=Budget(),
            waived=frozenset(),
            progress=lambda *_: None,
        )


@pytest.mark.parametrize(
    "apis",
    [
        {"kmem_cache_create", "kmem_cache_alloc", "kmem_cache_free"},
        {"vmalloc", "vfree"},
        {"kvmalloc", "kvfree"},
        {"get_order"},
    ],
    ids=lambda apis: min(apis),
)
def test_a_target_with_one_family_alone_is_judged(apis: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kmem_oracle.campaign.campaign.Generator", lambda seed, profile, _: _generator(apis))
    result = campaign(
        Target("model", "", "model"),
        profile="",
        seed=1,
        budget=Budget(calls=400),
        waived=frozenset(),
        progress=lambda *_: None,
    )
    assert result.play is None
    assert result.calls == 400


def _generator(apis: set[str]) -> object:
    from kmem_oracle.generate.generator import Generator

    return Generator(1, load("contract"), frozenset(apis))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--profile", "linux-2.4"], "unknown profile 'linux-2.4': give one of contract, "),
        (["--profile", "missing.toml"], "profile missing.toml: cannot be read: "),
        (["--waive", "MEM-APART,MEM-NONE"], "unknown clause to waive: MEM-NONE; "),
        (["--waive", "mem-apart"], "unknown clause to waive: mem-apart; "),
        (["--calls", "0"], "argument --calls: must be a whole number, 1 or more"),
        (["--calls", "-5"], "argument --calls: must be a whole number, 1 or more"),
        (["--calls", "many"], "argument --calls: must be a whole number, 1 or more"),
        (["--calls", "1e6"], "argument --calls: must be a whole number, 1 or more"),
        (["--time", "0"], "argument --time: must be a number of seconds above 0"),
        (["--time", "nan"], "argument --time: must be a number of seconds above 0"),
        (["--time", "inf"], "argument --time: must be a number of seconds above 0"),
        (["--time", "soon"], "argument --time: must be a number of seconds above 0"),
        (["--call-time", "-1"], "argument --call-time: must be a number of seconds above 0"),
        (["--memory", "0"], "argument --memory: must be a whole number, 1 or more"),
        (["--seed", "x"], "argument --seed: invalid int value: 'x'"),
        (["--colour"], "unrecognized arguments: --colour"),
        (["more"], "unrecognized arguments: more"),
    ],
)
def test_a_bad_option_is_declined(shell: Shell, options: list[str], message: str) -> None:
    assert shell("check", "model", *options).only_line().startswith(message)


def test_a_command_that_is_none_is_declined(shell: Shell) -> None:
    assert "invalid choice: 'chekc'" in shell("chekc", "model").only_line()
    assert "required" in shell().only_line()
    assert "required: target" in shell("check").only_line()


def test_an_error_is_reported_as_json(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    line = shell("check", "missing.so", "--json", file).only_line()
    content = report(file)
    assert set(content) == ERROR_KEYS
    assert content == {"verdict": "error", "target": "missing.so", "message": line, "violation": None}


def test_a_report_that_cannot_be_written_is_an_error(shell: Shell, tmp_path: Path) -> None:
    for file in (tmp_path, tmp_path / "no" / "folder.json", Path("/dev/full")):
        done = shell("check", "model", "--calls", "50", "--json", file)
        assert done.status == COULD_NOT_RUN
        (line,) = done.err.splitlines()
        assert line.startswith(f"kmem-oracle: cannot write {file}: ")


def test_a_script_that_cannot_be_read_is_an_error(shell: Shell, tmp_path: Path) -> None:
    latin, wrong = tmp_path / "latin.kmem", tmp_path / "wrong.kmem"
    latin.write_bytes(b"# \xe9\n")
    wrong.write_text("kfree(NULL)\nkfree(\n", encoding="utf-8")
    assert "cannot be read" in shell("run", tmp_path / "missing.kmem").only_line()
    assert "cannot be read" in shell("run", tmp_path).only_line()
    assert "cannot be read" in shell("run", latin).only_line()
    done = shell("run", wrong)
    assert (done.status, done.out) == (COULD_NOT_RUN, "")
    assert done.err == (
        f"kmem-oracle: {wrong}: line 2, column 1: cannot read 'kfree('\n"  # and where that is
        "    kfree(\n"
        "    ^\n"
    )


# As a program of its own.


def program(*arguments: str, stdout: int = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "kmem_oracle.cli", *arguments]
    return subprocess.run(command, text=True, timeout=60, stdout=stdout, stderr=subprocess.PIPE)


def test_the_program_leaves_with_the_status() -> None:
    done = program("check", "model", "--calls", "50")
    assert (done.returncode, done.stderr) == (PASS, "")
    assert done.stdout.endswith("PASS: no violation\n")
    done = program("check", "missing.so")
    assert (done.returncode, done.stdout) == (COULD_NOT_RUN, "")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "arguments", [["clauses"], ["check", "model", "--calls", "50"]], ids=["clauses", "check"]
)
def test_a_reader_that_goes_away_is_no_traceback(arguments: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = program(*arguments, stdout=writer)
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (COULD_NOT_RUN, "")


def test_a_mistake_of_our_own_is_no_violation() -> None:
    code = (
        "import sys; from kmem_oracle import cli; from kmem_oracle.commands import clauses; "
        "clauses.add = None; sys.argv[1:] = ['clauses']; cli.main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2
    assert "Traceback" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("kmem-oracle: a mistake of kmem-oracle's own")


def test_help_loads_nothing_that_judges() -> None:
    code = (
        "import atexit, sys; atexit.register(lambda: print(*sys.modules, file=sys.stderr)); "
        "from kmem_oracle import cli; cli.main(['--help'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name for name in done.stderr.split() if name.startswith(("kmem_", "z3"))}
    assert loaded == {"kmem_oracle", "kmem_oracle.cli", "kmem_oracle.commands", "kmem_oracle.commands.common"}


def test_the_list_of_commands_says_what_each_says_of_itself() -> None:
    listed = {
        action.dest: action.help
        for each in cli.parser()._actions
        if isinstance(each, argparse._SubParsersAction)
        for action in each._choices_actions
    }
    assert listed == cli.COMMANDS


@pytest.mark.parametrize("command", list(cli.COMMANDS))
def test_each_command_has_examples(shell: Shell, command: str) -> None:
    done = shell(command, "--help")
    assert (done.status, done.err) == (0, "")
    _, _, examples = done.out.partition("\nexamples:\n")
    for line in examples.splitlines()[::2]:
        _, words = line.split("kmem-oracle ", 1)
        given = shlex.split(words.partition(" > ")[0].partition(" | ")[0])
        assert given[0] == command
        cli.parser([command]).parse_args(given)  # leaves with an error if it cannot be read


def test_the_version_names_the_solvers(shell: Shell) -> None:
    done = shell("--version")
    assert (done.status, done.err) == (0, "")
    head, *solvers = done.out.splitlines()
    assert head.startswith(f"kmem-oracle {metadata.version('kmem-oracle')} (")
    assert [line.split()[0] for line in solvers] == list(versions.SOLVERS)


def test_a_solver_that_is_not_there_is_said_to_be_so(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versions, "SOLVERS", ("no-such-solver",))
    assert shell("--version").out.splitlines()[1:] == [
        "no-such-solver is not installed: pip install 'kmem-oracle[proofs]'"
    ]


@pytest.mark.needs("shtab")
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.needs(name)) for name in completion.SHELLS]
)
def test_a_completion_is_one_that_the_shell_reads(shell: Shell, tmp_path: Path, name: str) -> None:
    done = shell("completion", name)
    assert (done.status, done.err) == (PASS, "")
    file = tmp_path / "completion"
    file.write_text(done.out, encoding="utf-8")
    read = subprocess.run([name, "-n", str(file)], capture_output=True, text=True)
    assert (read.returncode, read.stderr) == (0, "")


@pytest.mark.needs("shtab", "bash")
@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["ver"], ["verify"]),
        (["check", "--keep"], ["--keep-going"]),
        (["run", "less"], ["lesson.kmem"]),
        (["run", "--on", "less"], ["lesson.kmem"]),
        (["completion", ""], ["bash", "zsh", "fish"]),
    ],
)
def test_bash_completes_commands_options_and_files(
    shell: Shell, tmp_path: Path, words: list[str], wanted: list[str]
) -> None:
    (tmp_path / "lesson.kmem").touch()
    asked = (
        'COMP_WORDS=(kmem-oracle "$@"); COMP_CWORD=$#; _shtab_kmem_oracle kmem-oracle "${@: -1}" ""; '
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    command = ["bash", "-c", f"{shell('completion', 'bash').out}\n{asked}", "bash", *words]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=True)
    assert done.stdout.split() == wanted


def test_completion_without_its_library_says_what_to_install(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert shell("completion", "bash").only_line() == (
        "completion needs shtab: install it with `pip install 'kmem-oracle[interactive]'`"
    )
