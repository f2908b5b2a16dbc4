"""What a target wrote before it ended is told with how it ended."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.targets import build

from kmem_oracle.campaign.course import Budget
from kmem_oracle.campaign.play import play
from kmem_oracle.language.script import parse
from kmem_oracle.learn.compare import compare
from kmem_oracle.targets.last_words import MOST, SHOWN, await_end, last_line
from kmem_oracle.targets.process import Worker
from kmem_oracle.targets.target import CouldNotRun, Target
from kmem_spec.judge import Judge
from kmem_spec.profile import load

needs_cc = pytest.mark.needs("cc", "linux")
SOURCE = """
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#ifdef AT_LOAD
__attribute__((constructor)) static void load(void) { fputs("no such device\\n", stderr); abort(); }
#endif
void *kmalloc(size_t size, unsigned gfp) {
    static int calls;
    if (++calls == 1) { fputs("first\\n", stderr); return (void *)16; }
    fprintf(stderr, "heap \\x1b[1mcorrupted\\nat %p\\n\\n", (void *)0x1000);
    for (int k = 0; k < LINES; k++) fprintf(stderr, "line %d\\n", k);
    write(STREAM, "bad free\\n", 9);
    STOP;
}
void kfree(const void *p) {}
"""
ops = "a = kmalloc(0, GFP_KERNEL); b = kmalloc(8, GFP_KERNEL)"


def built(folder: Path, *, stop: str = "abort()", file: int = 2, lines: int = 0, more: str = "-DX") -> Target:
    switches = (f"-DSTOP={stop}", f"-DSTREAM={file}", f"-DLINES={lines}", more)
    return Target("library", str(build.shared(SOURCE, folder, *switches)), "mine")


def message(target: Target) -> str:
    with Worker(call_seconds=1.0, memory_limit=0) as worker:
        finding = play(worker, target, parse(ops), Judge(load("contract"))).finding
    assert finding is not None
    assert finding.clause == "MEM-RETURNS"
    return finding.message


@needs_cc
@pytest.mark.parametrize("file", [1, 2])
def test_a_crash_is_told_with_the_last_line_that_was_written(file: int, tmp_path: Path) -> None:
    assert message(built(tmp_path, file=file)).endswith(" crashed with SIGABRT; it wrote: bad free")


@needs_cc
def test_who_writes_more_than_a_pipe_holds_does_not_wait(tmp_path: Path) -> None:
    assert message(built(tmp_path, lines=100_000)).endswith("SIGABRT; it wrote: bad free")


@needs_cc
def test_a_hang_is_told_with_them_too(tmp_path: Path) -> None:
    told = message(built(tmp_path, stop="for(;;)"))
    assert " did not return within " in told
    assert told.endswith("; it wrote: bad free")


@needs_cc
def test_a_crash_at_loading_is_told_with_them_and_with_the_limit(tmp_path: Path) -> None:
    target = built(tmp_path, more="-DAT_LOAD")
    with Worker(call_seconds=1.0, memory_limit=64 << 20) as worker, pytest.raises(CouldNotRun) as caught:
        worker.open(target)
    assert str(caught.value) == (
        "mine: loading it crashed with SIGABRT (with 64 MiB to map; --memory gives it more); "
        "it wrote: no such device"
    )


@needs_cc
def test_words_are_no_outcome(tmp_path: Path) -> None:
    """Two targets that die in the same way do not part, whatever they write."""
    (tmp_path / "other").mkdir()
    one, two = built(tmp_path), built(tmp_path / "other", lines=3)
    sides = compare((one, two), parse(ops), profile="", budget=Budget(), waived=frozenset())
    assert not sides.partings
    assert all(side.finding is not None for side in sides.sides)


def test_a_command_that_ends_at_once_is_told_with_them() -> None:
    target = Target("exec", "python3 -c 'import no_such_thing'", "exec:python3")
    with Worker(call_seconds=5.0, memory_limit=0) as worker, pytest.raises(CouldNotRun) as caught:
        worker.open(target)
    assert str(caught.value).endswith("; it wrote: ModuleNotFoundError: No module named 'no_such_thing'")


@pytest.mark.parametrize(
    ("written", "line"),
    [
        (b"", ""),
        (b"\n \n", ""),
        (b"one\ntwo\n\n", "two"),
        (b"half", "half"),
        (b"a\x1b[2Jb\xff\n", "a?[2Jb\N{REPLACEMENT CHARACTER}"),
        (b"x" * SHOWN, "x" * SHOWN),
        (b"x" * (SHOWN + 1), "x" * SHOWN + "…"),
    ],
)
def test_the_last_line_can_be_shown(written: bytes, line: str) -> None:
    assert last_line(written) == line


@pytest.mark.parametrize("pidfd", [True, False])
def test_the_end_is_awaited_with_and_without_a_handle(pidfd: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not pidfd:
        monkeypatch.delattr(os, "pidfd_open", raising=False)
    elif not hasattr(os, "pidfd_open"):
        pytest.skip("the system has none")
    words, stream = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(stream, b"x" * MOST + b"\nlast\n")
        os._exit(7)
    os.close(stream)
    status, said = await_end(child, words)
    os.close(words)
    assert os.waitstatus_to_exitcode(status) == 7
    assert said == ("last" if pidfd else "")
