"""Campaigns: what is found is told apart and kept, whatever ends them; shares make the same whole."""

from __future__ import annotations

import errno
import itertools
import multiprocessing
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.targets import build

from kmem_oracle.campaign import jobs
from kmem_oracle.campaign.campaign import campaign
from kmem_oracle.campaign.course import Budget, Course, Share
from kmem_oracle.campaign.jobs import in_jobs, merged
from kmem_oracle.campaign.journal import CORPUS, PROGRESS, Journal
from kmem_oracle.campaign.play import Play, Playing
from kmem_oracle.campaign.result import Found, Result, signature
from kmem_oracle.generate.generator import Generator
from kmem_oracle.language.script import parse
from kmem_oracle.reports import progress, table, text
from kmem_oracle.targets.process import Worker
from kmem_oracle.targets.records import AHEAD, CHUNK
from kmem_oracle.targets.target import CouldNotRun, Target
from kmem_spec.finding import Finding
from kmem_spec.judge import Judge
from kmem_spec.profile import load

MODEL = Target("model", "64", "model:64")
CONTRACT = load("contract")
NONE: frozenset[str] = frozenset()
TWO_FAULTS = """
#include <stddef.h>
#include <stdlib.h>
static char arena[1 << 20] __attribute__((aligned(4096)));
static size_t used;
void *kmalloc(size_t n, unsigned g) {
    (void)g;
    if (n == 0) return NULL; /* not ZERO_SIZE_PTR */
    if (n > sizeof arena - used) return NULL;
    void *p = arena + used + (n == 64 ? 8 : 0); /* not aligned to 64 */
    used += (n + 127) & ~(size_t)63;
    if (used > sizeof arena - 65536) used = 0;
    return p;
}
void kfree(const void *p) { (void)p; }
"""


def check(target: Target, calls: int = 20_000, course: Course | None = None) -> Result:
    return campaign(
        target,
        profile="",
        seed=1,
        budget=Budget(calls=calls, shrink=1.0),
        waived=NONE,
        progress=lambda *_: None,
        course=course,
    )


def test_of_all_phases_each_share_has_its_own_and_together_they_are_all() -> None:
    generator = Generator(1, CONTRACT, frozenset({"kmalloc", "kfree", "ksize"}))
    whole = list(itertools.islice(generator.phases(), 12))
    shares = [list(itertools.islice(generator.phases(first, 3), 4)) for first in range(3)]
    assert [phase.index for phase in whole] == list(range(12))
    together = sorted((phase for share in shares for phase in share), key=lambda phase: phase.index)
    assert [(one.name, list(one.ops)) for one in whole] == [(one.name, list(one.ops)) for one in together]


@pytest.mark.needs("cc")
def test_to_keep_going_is_to_find_what_else_there_is(tmp_path: Path) -> None:
    target = Target("library", str(build.shared(TWO_FAULTS, tmp_path)), "mine")
    first = check(target)
    assert len(first.found) == 1
    result = check(target, course=Course(keep_going=True))
    clauses = [found.play.finding.clause for found in result.found if found.play.finding is not None]
    assert {"SLAB-ZERO-SIZE", "SLAB-ALIGN-POWER"} <= set(clauses)
    assert len({signature(found.play) for found in result.found}) == len(result.found)
    assert result.found[0].times > 1
    assert result.play is result.found[0].play
    shown = text.verdict_lines(result, [])
    assert sum(line.startswith("VIOLATION") for line in shown) == len(result.found)
    assert f"(1 of {len(result.found)}, met {result.found[0].times} times)" in "\n".join(shown)


def test_a_phase_that_is_done_is_not_played_again_and_still_counts(tmp_path: Path) -> None:
    played: list[str] = []

    def course(calls: int) -> Result:
        return campaign(
            MODEL,
            profile="",
            seed=1,
            budget=Budget(calls=calls),
            waived=NONE,
            progress=lambda phase, _: played.append(phase),
            course=Course(state=tmp_path / "state"),
        )

    one = course(4_000)
    before = list(played)
    played.clear()
    two = course(8_000)
    assert two.before == one.calls == 4_000
    assert two.calls == 8_000
    assert before[0] not in played
    assert two.counts["MEM-APART"] > one.counts["MEM-APART"] > 0
    assert "(4,000 of them before)" in text.verdict_lines(two, [])[0]


@pytest.mark.needs("cc")
def test_what_was_found_is_played_first_next_time_also_on_another_build(tmp_path: Path) -> None:
    library = build.shared(TWO_FAULTS, tmp_path)
    target = Target("library", str(library), "mine")
    found = check(target, course=Course(state=tmp_path / "state"))
    assert found.found
    (kept,) = (tmp_path / "state" / CORPUS).iterdir()
    again = check(target, course=Course(state=tmp_path / "state"))
    assert again.phase == f"found before: {kept.name}"
    mended = TWO_FAULTS.replace("return NULL; /* not", "return (void *)16; /*").replace(
        "n == 64 ? 8 : 0", "0"
    )
    build.shared(mended, tmp_path)
    other = check(target, calls=3_000, course=Course(state=tmp_path / "state"))
    assert other.before == 0
    assert other.phase != f"found before: {kept.name}"
    assert kept.exists()


def test_a_line_that_was_cut_off_is_no_line(tmp_path: Path) -> None:
    journal = Journal(tmp_path, MODEL, "contract", 1)
    journal.phase(0, "boundaries", 10, {"MEM-APART": 3, "MEM-ZERO": 0})
    journal.close()
    file = tmp_path / PROGRESS
    file.write_bytes(file.read_bytes() + b'\n{"campaign": "' + b"\xff\x00garbage")
    again = Journal(tmp_path, MODEL, "contract", 1)
    again.phase(1, "arrays", 5, {"MEM-APART": 1})
    again.close()
    third = Journal(tmp_path, MODEL, "contract", 1)
    assert (third.done, third.calls, third.counts) == ({0, 1}, 15, Counter({"MEM-APART": 4}))
    third.close()
    for other in (Journal(tmp_path, MODEL, "contract", 2), Journal(tmp_path, MODEL, "linux-6.1", 1)):
        assert other.done == set()
        other.close()


def test_a_script_that_cannot_be_read_is_passed_over(tmp_path: Path) -> None:
    journal = Journal(tmp_path, MODEL, "contract", 1)
    (tmp_path / CORPUS / "bad.kmem").write_text("no such call", encoding="utf-8")
    (tmp_path / CORPUS / "good.kmem").write_text("a = kmalloc(8, GFP_KERNEL)\n", encoding="utf-8")
    assert [(path.name, len(ops)) for path, ops in journal.corpus()] == [("good.kmem", 1)]
    journal.close()


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGKILL])
def test_a_campaign_that_is_ended_goes_on_where_it_was(ending: signal.Signals, tmp_path: Path) -> None:
    state = tmp_path / "state"
    command = [sys.executable, "-m", "kmem_oracle.cli", "check", "model:64", "--state", str(state)]
    with subprocess.Popen(
        [*command, "--calls", "900000000", "--time", "600"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as running:
        for _ in range(600):
            if (state / PROGRESS).exists() and (state / PROGRESS).stat().st_size > 2000:
                break
            time.sleep(0.1)
        running.send_signal(ending)
        out, _ = running.communicate(timeout=60)
    if ending is signal.SIGINT:
        assert running.returncode == 2
        assert b"interrupted: the verdict covers" in out
    journal = Journal(state, Target("model", "64", "model:64"), "linux-6.1", 1)
    journal.close()
    assert journal.done
    done = subprocess.run([*command, "--calls", str(journal.calls + 500)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"({journal.calls:,} of them before)" in done.stdout


def found(clause: str, script: str, index: int, times: int = 1) -> Found:
    finding = Finding(clause, "allocator", 0, (), "")
    return Found(Play(1, finding, tuple(parse(script))), f"phase {index}", index, times)


@pytest.mark.parametrize("calls", [2_500, 15_000])
def test_how_far_it_goes_does_not_depend_on_when_phases_begin(
    calls: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kmem_oracle.campaign.pipeline.PLENTY", 3_000)  # phases begin with too little left
    counts = []
    for ready in (True, False):
        with monkeypatch.context() as patch:
            patch.setattr(Worker, "is_ready", lambda self, target, now=ready: self.load(target) or now)
            result = check(MODEL, calls=calls, course=Course(table=True))
        assert result.calls == calls
        counts.append((result.counts, result.by_phase))
    assert counts[0] == counts[1]


@pytest.mark.parametrize("limit", [1, 1_000, 2_048, 5_000])
def test_of_what_was_sent_ahead_no_more_is_judged_than_is_left(limit: int) -> None:
    ops = parse("repeat 4000 { a = kmalloc(8, GFP_KERNEL); kfree(a) }")
    with Worker(call_seconds=5, memory_limit=1 << 33) as worker:
        playing = Playing(worker, MODEL, ops, float("inf"))
        playing.go_ahead()
        assert playing.sent == AHEAD * CHUNK > limit
        playing.limit = limit
        with playing:
            judge = Judge(CONTRACT)
            while (outcome := playing.step(judge)) is None:
                continue
    assert (outcome.calls, outcome.finding) == (limit, None)


def test_shares_are_put_together_the_earliest_violation_first() -> None:
    def part(*several: Found) -> Result:
        result = Result("t", CONTRACT, 1, NONE, calls=10, seconds=2.0, counts={"MEM-APART": 5})
        result.found = list(several)
        result.by_phase = {"arrays": Counter({"MEM-APART": 5})}
        return result

    late = found("MEM-ZERO", "a = kzalloc(8, GFP_KERNEL)", 7)
    early = found("MEM-APART", "a = kmalloc(8, GFP_KERNEL)", 2)
    same = found("MEM-ZERO", "b = kzalloc(99, GFP_KERNEL)", 9, times=4)
    whole = merged([part(late), part(early, same)])
    assert [(each.phase, each.times) for each in whole.found] == [("phase 2", 1), ("phase 7", 5)]
    assert whole.play is early.play
    assert (whole.calls, whole.seconds, whole.counts) == (20, 2.0, {"MEM-APART": 10})
    assert whole.by_phase["arrays"]["MEM-APART"] == 10


def by_jobs(target: Target, count: int, calls: int, course: Course) -> Result:
    share = Share(target, budget=Budget(calls=calls, shrink=1.0), course=course)
    return in_jobs(share, jobs=count, progress=lambda *_: None)


@pytest.mark.needs("cc")
def test_two_jobs_find_what_one_finds(tmp_path: Path) -> None:
    target = Target("library", str(build.shared(TWO_FAULTS, tmp_path)), "mine")
    one = check(target, calls=40_000, course=Course(keep_going=True))
    two = by_jobs(target, 2, 40_000, Course(keep_going=True))
    assert {signature(each.play) for each in one.found} == {signature(each.play) for each in two.found}
    assert two.calls >= 40_000


def test_jobs_and_workers_need_no_room_in_shared_memory_nor_for_temporary_files(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def no_room(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "no space left on device")

    monkeypatch.setattr("multiprocessing.synchronize.SemLock.__init__", no_room)  # they live in /dev/shm
    if sys.platform == "linux":
        monkeypatch.setattr("tempfile.TemporaryFile", no_room)
    assert check(MODEL, calls=100).calls == 100
    assert by_jobs(MODEL, 2, 200, Course()).calls >= 200


def test_a_process_that_died_is_told() -> None:
    ours, theirs = multiprocessing.Pipe()
    theirs.close()
    answer = jobs._answer(ours)
    assert isinstance(answer, CouldNotRun)
    assert str(answer).startswith("one of the processes died")


@pytest.mark.parametrize("keep_going", [False, True])
def test_when_one_job_has_found_it_the_others_are_told_to_stop(keep_going: bool) -> None:
    (one, first), (two, second) = multiprocessing.Pipe(), multiprocessing.Pipe()
    found = Result("t", CONTRACT, 1, NONE, found=[Found(Play(1), "phase")])
    first.send(found)
    second.send(Result("t", CONTRACT, 1, NONE))
    results = jobs._answers([one, two], Course(keep_going=keep_going))
    assert [len(result.found) for result in results] == [1, 0]
    assert second.poll() != keep_going
    assert not any(result.interrupted for result in results)


def test_a_target_that_cannot_be_run_is_told_by_jobs_as_well() -> None:
    with pytest.raises(CouldNotRun, match="not a shared library"):
        by_jobs(Target("library", __file__, "this"), 2, 1_000, Course())


def test_the_table_says_what_was_exercised_where() -> None:
    result = check(MODEL, calls=3_000, course=Course(table=True))
    lines = table.lines(result)
    row = next(line for line in lines if line.startswith("SLAB-ALIGN "))
    assert "boundaries" in row
    assert any(line.split() == ["GFP-NOFAIL", "never"] for line in lines)
    assert "GFP-NOFAIL" in next(line for line in text.verdict_lines(result, []) if "never exercised" in line)


def test_the_line_of_progress_tells_how_far_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    budget = Budget(calls=1_000, seconds=60)
    result = Result("t", CONTRACT, 1, NONE, calls=250)
    line = progress.line(budget, result, "arrays", 5.0)
    assert line == "[#####...............]  25%  250 calls  50/s  15 s left  arrays"
    bar = progress.Bar(budget, shown=True)
    bar("arrays", result)
    bar.clear()
    assert "250 calls" in capsys.readouterr().err
    progress.Bar(budget, shown=False)("arrays", result)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("more", [["--jobs", "2"], ["--keep-going"], ["--table"], ["--state", "somewhere"]])
def test_options_that_do_not_go_together_are_one_line(more: Sequence[str]) -> None:
    command = [sys.executable, "-m", "kmem_oracle.cli", "check", "model", "--threads", "2", *more]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert f"--threads does not go together with {more[0]}" in done.stderr


def test_a_state_that_cannot_be_kept_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder", encoding="utf-8")
    command = [sys.executable, "-m", "kmem_oracle.cli", "check", "model:64", "--calls", "100"]
    done = subprocess.run([*command, "--state", str(tmp_path / "file")], capture_output=True, text=True)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "file" in done.stderr
