"""Processes that are no targets, or cease to be: all they do is a finding or one line; nothing stays."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest
from tests.cover.behind import NONE, bad, command, gone, marked
from tests.targets import drivers

from kmem_oracle.campaign.course import Budget
from kmem_oracle.campaign.play import Play, play
from kmem_oracle.language.script import parse
from kmem_oracle.learn.compare import compare
from kmem_oracle.targets.process import Worker
from kmem_oracle.targets.target import CouldNotRun, Target
from kmem_spec.judge import Judge
from kmem_spec.profile import load

THREE = "kfree(NULL); kfree(NULL); a = kmalloc(8, GFP_KERNEL); b = kmalloc(8, GFP_KERNEL)"  # the third is bad

pytestmark = [pytest.mark.needs("linux"), pytest.mark.usefixtures("mark")]  # it looks for processes in /proc


def declined(target: Target) -> str:
    """Return why a target cannot be run, and that it is one line about it."""
    with Worker(call_seconds=5.0, memory_limit=0) as worker, pytest.raises(CouldNotRun) as caught:
        worker.open(target)
    message = str(caught.value)
    assert "\n" not in message
    assert message.isprintable()
    assert message.startswith(f"{target.label}: ")
    return message.removeprefix(f"{target.label}: ")


def played(target: Target, script: str, *, seconds: float = 5.0, memory: int = 0) -> Play:
    with Worker(call_seconds=seconds, memory_limit=memory) as worker:
        return play(worker, target, parse(script), Judge(load("contract"), looked=True))


# What is no target.


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("no-such-command-here -x", "cannot be started: No such file or directory"),
        ("/", "cannot be started: Permission denied"),
        ("'unfinished", "no command: No closing quotation"),
    ],
)
def test_a_command_that_cannot_be_started_is_one_line(line: str, why: str) -> None:
    assert declined(command(line)) == why


def test_an_empty_command_is_one_line() -> None:
    with (
        Worker(call_seconds=5.0, memory_limit=0) as worker,
        pytest.raises(CouldNotRun, match="names no command"),
    ):
        worker.open(command(" "))


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("status", "the command ended the process with status 3 before it wrote its hello line"),
        ("closed first", "the command closed its standard output before it wrote its hello line"),
        ("garbage first", "began with Hello!, which is no JSON object"),
        ("binary first", "began with ?[31m?, which is no JSON object"),
        ("endless first", "wrote a line of more than 4,194,304 bytes"),
        ("version", 'began with {"kmem-oracle": 2, "calls": ["kmalloc"]}, not with {"kmem-oracle": 1, …}'),
        ("unknown", "its hello line names unknown calls: kmaloc"),
        ("none", "its hello line names none of the kernel's calls"),
        ("no list", "in its hello line, calls is no list of names"),
        ("profile", "in its hello line, profile is a name"),
        ("foreign pid", "its hello line has pid 1, which is no process of its own"),
    ],
)
def test_a_process_that_begins_badly_is_one_line(how: str, why: str) -> None:
    assert declined(bad(how)).startswith(why)


def test_a_hello_line_that_never_comes_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kmem_oracle.targets.run.LOAD_SECONDS", 1.0)
    assert declined(bad("silent")) == "loading it took more than 1 s; it hangs"


# What ceases to be one.


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("garbage", "with a line for people, which is no JSON object"),
        ("no result", 'with {"resutl":1};'),
        ("text", "with abc;"),
        ("negative", "with -1;"),
        ("too large", "with 18446744073709551616;"),
        ("deep", "with [[[["),
        ("error", "with the error no such call"),
        ("unknown constructor", 'with {"ran": [7, "0x1000"]};'),
        ("endless", "wrote a line of more than 4,194,304 bytes"),
        ("twice", 'wrote {"result":"0x10000"}, for which nothing asked'),
    ],
)
def test_an_answer_that_makes_no_sense_is_one_line(how: str, why: str) -> None:
    with pytest.raises(CouldNotRun) as caught:
        played(bad(how), THREE)
    message = str(caught.value)
    assert why in message
    assert message.startswith(f"exec:{drivers.BAD}")
    assert message.isprintable()


@pytest.mark.parametrize(
    ("how", "seen"),
    [
        ("exit", "ended the process with status 4"),
        ("half a line", "ended the process with status 5"),
        ("closed", "closed its standard output"),
        ("killed", "crashed with SIGKILL"),
        ("crash", "crashed with SIGSEGV"),
        ("hang", "did not return within"),
        ("eat", "ended the process with status 1"),
    ],
)
def test_an_end_in_a_call_is_a_finding(how: str, seen: str) -> None:
    done = played(bad(how), THREE, seconds=2.0, memory=512 << 20)
    assert done.finding is not None
    assert done.finding.clause == "MEM-RETURNS"
    assert seen in done.finding.message
    assert len(done.ops) == 3


def test_a_violation_before_the_nonsense_is_the_finding() -> None:
    wrong = "kfree(NULL); a = kmalloc(0, GFP_KERNEL); b = kmalloc(8, GFP_KERNEL)"
    done = played(bad("garbage"), wrong)
    assert done.finding is not None
    assert done.finding.clause == "SLAB-ZERO-SIZE"
    sides = compare(
        (bad("garbage"), command(drivers.PYTHON)), parse(wrong), profile="", budget=Budget(), waived=NONE
    )
    assert sides.sides[0].finding is not None


@pytest.mark.parametrize("how", ["noisy", "stay"])
def test_what_a_process_writes_elsewhere_or_leaves_behind_does_no_harm(how: str) -> None:
    done = played(bad(how), "kfree(NULL); kfree(NULL); a = kmalloc(8, GFP_KERNEL); kfree(a)")
    assert done == Play(4)  # and the fixture finds nothing of it


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
def test_nothing_outlives_a_command_line_that_is_killed(mark: str, number: signal.Signals) -> None:
    line = [sys.executable, "-m", "kmem_oracle.cli", "check", f"exec:{drivers.BAD} hang"]
    with subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as oracle:
        deadline = time.monotonic() + 20
        while len(marked(mark)) < 4 and time.monotonic() < deadline:  # it, a worker, its child, the command
            time.sleep(0.02)
        oracle.send_signal(number)
        assert oracle.wait(20) != 0
    assert gone(mark)
