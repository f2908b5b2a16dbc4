"""Threads: what surely lived at once may not share a byte; what cannot be known is not judged."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.targets import build

from kmem_oracle.campaign.course import Budget, Share
from kmem_oracle.campaign.result import Found, Result
from kmem_oracle.language.script import Op
from kmem_oracle.reports import columns, saved
from kmem_oracle.targets.reader import Reader
from kmem_oracle.targets.records import DONE, SKIPPED, SPOILT, Record
from kmem_oracle.targets.shared import Lane
from kmem_oracle.targets.target import CouldNotRun, Target
from kmem_oracle.threads.campaign import AGAIN, Threaded, in_threads
from kmem_oracle.threads.history import NEED_ORDER, Row, alone, ordered
from kmem_oracle.threads.losses import Losses
from kmem_oracle.threads.programs import Programs
from kmem_spec.apis import APIS
from kmem_spec.calls import CONSTRUCTED
from kmem_spec.finding import Finding
from kmem_spec.gfp import GFP_KERNEL
from kmem_spec.judge import Judge
from kmem_spec.liveness import RETRIES
from kmem_spec.profile import load

K = GFP_KERNEL
A = 0x10000


def done(result: int = 0, *, usable: int = -1, changed: int = -1, status: int = DONE) -> Record:
    return (result, usable, -1, changed, status, 0)


def judged(*threads: list[tuple[Op, Record, int, int]]) -> Finding | None:
    """Judge what threads did: each call with what was seen, when it began and when it ended."""
    rows = ordered(
        [[op for op, *_ in thread] for thread in threads],
        [Lane([seen for _, seen, *_ in thread], [(b, e) for *_, b, e in thread]) for thread in threads],
    )
    judge, reader = Judge(load("contract"), waived=NEED_ORDER, looked=True), Reader()
    for row in rows:
        event = reader.event(row.op, row.record)
        assert event is not None
        finding = judge.take(*event)
        if finding is not None:
            return finding
    return None


def made(item: int, at: int, begin: int, end: int, size: int = 64) -> tuple[Op, Record, int, int]:
    return Op("kmalloc", item, (size, K)), done(at), begin, end


def freed(item: int, begin: int, end: int) -> tuple[Op, Record, int, int]:
    return Op("kfree", 0, (item,)), done(), begin, end


def test_memory_freed_while_another_call_runs_may_be_given_by_it() -> None:
    one = [made(1, A, 0, 10), freed(1, 20, 60)]
    two = [made(2, A, 15, 70)]  # it may have got the memory at any moment after 20
    assert judged(one, two) is None
    assert judged(one, [made(2, A, 15, 21)]) is None


def test_memory_that_surely_lived_may_not_be_given() -> None:
    finding = judged([made(1, A, 0, 10), freed(1, 20, 30)], [made(2, A + 32, 5, 19)])
    assert finding is not None
    assert (finding.clause, finding.event, finding.others) == ("MEM-APART", 1, (0,))


def test_what_another_thread_freed_may_be_had_again_as_soon_as_the_free_began() -> None:
    assert judged([made(1, A, 0, 10)], [freed(1, 11, 12), made(2, A, 13, 14)]) is None


def resize(item: int, size: int, seen: Record, begin: int, end: int) -> tuple[Op, Record, int, int]:
    return Op("krealloc", item, (item, size, K)), seen, begin, end


def test_a_resize_leaves_its_old_memory_when_it_begins_and_has_its_new_when_it_ends() -> None:
    moves = [made(1, A, 0, 10), resize(1, 200, done(A + 0x1000), 20, 40)]
    assert judged(moves, [made(2, A, 25, 30)]) is None
    taken = judged(moves, [made(2, A + 0x1000, 25, 41)])
    assert taken is not None
    assert taken.clause == "MEM-APART"
    stays = judged([made(1, A, 0, 10), resize(1, 64, done(A), 20, 40), freed(1, 50, 51)])
    assert stays is None


def test_a_resize_that_failed_leaves_the_object_and_one_that_lost_bytes_is_a_finding() -> None:
    failed = [made(1, A, 0, 10), resize(1, 200, done(0), 20, 40)]
    taken = judged(failed, [made(2, A, 25, 50)])
    assert taken is not None
    assert taken.clause == "MEM-APART"
    lost = judged([made(1, A, 0, 10), resize(1, 200, done(A, changed=3), 20, 40)])
    assert lost is not None
    assert lost.clause == "MEM-KEEP"


def test_contents_that_another_thread_changed_are_a_finding_at_the_call_that_saw_it() -> None:
    spoilt = (Op("kfree", 0, (1,)), done(1, changed=5, status=SPOILT), 20, 21)
    finding = judged([made(1, A, 0, 10), spoilt])
    assert finding is not None
    assert finding.clause == "MEM-KEEP"
    assert "offset 5" in finding.message


def test_what_was_skipped_is_no_call_and_notes_of_constructors_are_dropped() -> None:
    skipped = (Op("kfree", 0, (9,)), done(status=SKIPPED), 0, 1)
    assert judged([skipped]) is None
    rows = alone([Op("kmem_cache_alloc", 2, (1, K))], [(A, -1, -1, -1, DONE, 8 * CONSTRUCTED)], 5)
    assert [row.record[5] for row in rows] == [0]
    assert [(row.thread, row.at) for row in rows] == [(-1, 5)]


def test_programs_come_from_the_seed_and_use_an_id_once() -> None:
    apis = frozenset(APIS)
    assert Programs("s", apis, 3).phase("everything") == Programs("s", apis, 3).phase("everything")
    assert Programs("s", apis, 3).phase("kmalloc") != Programs("t", apis, 3).phase("kmalloc")
    for name in Programs("s", apis, 3).names():
        phase = Programs("s", apis, 3).phase(name)
        assert [len(programs) for programs in phase.rounds] == [3] * len(phase.rounds)
        ops = [op for programs in phase.rounds for program in programs for op in program]
        ids = [op.out for op in [*phase.before, *ops] if op.out and APIS[op.api].role != "resize"]
        assert len(ids) == len(set(ids))
        ends = [op.args[0] for op in ops if op.api in ("kfree", "vfree", "free_pages")]
        assert len(ends) == len(set(ends))


def test_an_object_that_another_thread_frees_is_left_alone_by_the_one_that_made_it() -> None:
    phase = Programs("s", frozenset(APIS), 4).phase("resizes")
    handed = 0
    for programs in phase.rounds:
        users: dict[int, set[int]] = {}
        enders: dict[int, int] = {}
        for thread, program in enumerate(programs):
            for op in program:
                if op.api in ("check", "krealloc"):
                    users.setdefault(op.args[0], set()).add(thread)
                elif op.out:
                    enders.setdefault(op.out, thread)
                else:
                    item = op.args[0]
                    handed += enders.get(item, thread) != thread
                    assert users.get(item, {thread}) == {thread}
    assert handed > 20


def run(library: Path, *, seed: int = 1, calls: int = 40_000, threads: int = 4) -> Result:
    target = Target("library", str(library), library.name)
    share = Share(target, seed=seed, budget=Budget(calls=calls, call_seconds=4.0))
    return in_threads(share, threads=threads, progress=lambda *_: None)


@pytest.mark.needs("cc")
@pytest.mark.parametrize("variant", ["", "LAYERED"])
def test_a_library_that_locks_passes(variant: str, tmp_path: Path) -> None:
    result = run(build.library(variant=variant, directory=tmp_path), calls=120_000)
    assert result.play is None
    assert result.calls >= 120_000
    assert result.counts["MEM-APART"] > 10_000


# What these can break: two owners write what the other has, and over what the allocator keeps of its pages.
TWO_OWNERS = ("MEM-APART", "MEM-KEEP", "MEM-ZERO", "GFP-ZERO", "MEM-RETURNS", "MEM-USABLE")


@pytest.mark.needs("cc")
@pytest.mark.parametrize(
    "fault", ["RACE_FREELIST", "RACE_BUDDY", "RACE_KREALLOC", "RACE_VM_HOLE", "RACE_POOL"]
)
def test_a_lock_that_is_missing_shows(fault: str, tmp_path: Path) -> None:
    result = run(build.library(fault, directory=tmp_path), calls=400_000)
    assert isinstance(result.play, Threaded)
    assert result.play.finding is not None
    assert result.play.finding.clause in TWO_OWNERS  # which of them breaks first differs from run to run
    assert 0 < result.play.again <= AGAIN
    assert result.play.marked


@pytest.mark.needs("cc")
def test_a_crash_between_threads_is_a_finding(tmp_path: Path) -> None:
    source = (
        "#include <stdlib.h>\n#include <sched.h>\n#include <stdatomic.h>\nstatic atomic_int inside, calls;\n"
        "void *kmalloc(size_t n, unsigned g) {\n"
        "  (void)g; if (atomic_fetch_add(&inside, 1) && ++calls > 9) abort();\n"
        "  void *p = NULL; if (posix_memalign(&p, 4096, n)) p = NULL; sched_yield(); inside--; return p; }\n"
        "void kfree(const void *p) { free((void *)p); }\n"
    )
    library = build.shared(source, tmp_path)
    result = run(library)
    assert result.play is not None
    assert result.play.finding is not None
    assert result.play.finding.clause == "MEM-RETURNS"
    assert "SIGABRT" in result.play.finding.message


@pytest.mark.needs("cc")
def test_a_deadlock_is_a_finding(tmp_path: Path) -> None:
    source = (
        "#include <stdlib.h>\n#include <pthread.h>\n"
        "static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER; static int calls;\n"
        "void *kmalloc(size_t n, unsigned g) { (void)g; void *p = NULL; pthread_mutex_lock(&m);\n"
        "  if (++calls == 500) return NULL; if (posix_memalign(&p, 4096, n)) p = NULL;\n"
        "  pthread_mutex_unlock(&m); return p; }\n"
        "void kfree(const void *p) { free((void *)p); }\n"
    )
    library = build.shared(source, tmp_path)
    target = Target("library", str(library), library.name)
    share = Share(target, budget=Budget(calls=40_000, call_seconds=0.6))
    result = in_threads(share, threads=3, progress=lambda *_: None)
    assert result.play is not None
    assert result.play.finding is not None
    assert result.play.finding.clause == "MEM-RETURNS"
    assert "did not return" in result.play.finding.message


def checked(target: Target, calls: int = 60_000) -> Result:
    share = Share(target, budget=Budget(calls=calls))
    return in_threads(share, threads=4, progress=lambda *_: None)


def test_threads_of_a_target_that_is_no_library_are_declined() -> None:
    with pytest.raises(CouldNotRun, match="a library"):
        checked(Target("model", "", "model"))


@pytest.mark.needs("cc")
def test_malloc_is_called_from_threads() -> None:
    result = checked(Target("malloc", "", "malloc:"), 10_000)
    assert result.play is None
    assert result.calls >= 10_000


UNLOCKED_MALLOC = """
#include <sched.h>
#include <stdlib.h>
#include <string.h>
static struct block { struct block *next; } *list;
static char memory[48 << 20] __attribute__((aligned(1 << 16))), *top = memory;
static void *take(void)
{
    struct block *b = list;
    if (!b)
        return top + 65536 > memory + sizeof memory ? NULL : (top += 65536) - 65536;
    sched_yield(); /* where there is one processor, too, others come between */
    list = b->next;
    return b;
}
int posix_memalign(void **p, size_t align, size_t size)
{
    return size > 65536 || align > 65536 || !(*p = take()) ? 12 : 0;
}
void *calloc(size_t n, size_t size)
{
    void *p = n <= 65536 && size <= 65536 && n * size <= 65536 ? take() : NULL;
    return p ? memset(p, 0, n * size) : NULL;
}
void *realloc(void *p, size_t size) { return size > 65536 ? NULL : p; }
void free(void *p)
{
    struct block *b = p;
    if (b) {
        b->next = list;
        list = b;
    }
}
size_t malloc_usable_size(void *p) { return p ? 65536 : 0; }
"""


@pytest.mark.needs("cc")
def test_a_malloc_without_a_lock_is_found(tmp_path: Path) -> None:
    target = Target("malloc", str(build.shared(UNLOCKED_MALLOC, tmp_path)), "mine")
    plays = (checked(target).play for _ in range(3))  # where the machine is busy, threads may miss each other
    play = next(play for play in plays if play is not None)
    assert play.finding is not None
    shown = {"MEM-APART", "MEM-KEEP", "MEM-RETURNS", "MEM-ZERO", "SLAB-REALLOC-KEEP"}
    assert play.finding.clause in shown, play.finding  # what both write, or the zeroing of one


LOSES = """
#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include <string.h>
#define BLOCK (1ul << 17)
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct block { struct block *next; } *list;
static char memory[32 << 20] __attribute__((aligned(1 << 17))), *top = memory;
void *kmalloc(size_t size, unsigned gfp)
{
    if (!size)
        return (void *)16;
    if (size > BLOCK)
        return NULL;
    pthread_mutex_lock(&lock);
    struct block *b = list;
    if (b)
        list = b->next;
    else if (top + BLOCK <= memory + sizeof memory)
        b = (void *)top, top += BLOCK;
    sched_yield();
    pthread_mutex_unlock(&lock);
    return b && gfp & 0x100 ? memset(b, 0, size) : b;
}
void kfree(const void *p)
{
    struct block *b = (void *)p;
    if (p <= (void *)16 || (TRIES && pthread_mutex_trylock(&lock)))
        return; /* what is freed while another call is on is lost */
    if (!TRIES)
        pthread_mutex_lock(&lock);
    b->next = list;
    list = b;
    pthread_mutex_unlock(&lock);
}
"""


@pytest.mark.needs("cc")
@pytest.mark.parametrize("tries", [0, 1])
def test_memory_that_is_lost_between_threads_is_found(tries: int, tmp_path: Path) -> None:
    library = build.shared(LOSES, tmp_path, f"-DTRIES={tries}")
    result = checked(Target("library", str(library), "mine"), 90_000)
    if not tries:
        assert result.play is None
        return
    assert result.play is not None
    assert result.play.finding is not None
    assert result.play.finding.clause == "MEM-LIVENESS"
    assert "in a row of the same calls of threads" in result.play.finding.message


def test_a_shape_is_lost_after_rounds_in_a_row_that_refuse_half_of_it() -> None:
    losses = Losses()

    def ends(got: int, refused: int) -> tuple[str, tuple[int, ...]] | None:
        for place in range(got + refused):
            losses.call(Op("kmalloc", 1, (64, K)), got=place < got)
        losses.call(Op("kfree", 0, (1,)), got=False)
        return losses.end()

    assert all(ends(2, 2) is None for _ in range(2 * RETRIES)), "nothing was ever served"
    assert ends(4, 0) is None
    assert all(ends(2, 2) is None for _ in range(RETRIES - 1))
    assert ends(3, 1) is None
    assert all(ends(2, 2) is None for _ in range(RETRIES - 1))
    assert ends(0, 4) == ("kmalloc", (64, K))
    assert losses.judged == 2 * RETRIES


def shown() -> Threaded:
    rows = (
        Row(10, False, 0, 0, 10, Op("kmalloc", 1, (64, K)), done(A)),
        Row(1500, False, 2, 1000, 1500, Op("kmalloc", 2, (64, K)), done(A)),
    )
    finding = Finding("MEM-APART", "allocator", 1, (0,), "they share bytes")
    return Threaded(2, finding, threads=3, rows=rows, marked=frozenset({1}), again=4)


def test_each_thread_has_a_column_and_what_it_is_about_a_mark() -> None:
    head, titles, first, second = columns.lines(shown())
    assert "4 of 5 runs" in head
    assert titles.index("thread 0") < titles.index("thread 2")
    assert first.split() == ["0.000-", "0.010", "a", "=", "kmalloc(64,", "GFP_KERNEL)"]
    assert "*b = kmalloc(64, GFP_KERNEL)" in second
    assert second.index("*b") > first.index("a =") + columns.WIDTH
    assert columns.as_json(shown())["again"] == 4


def test_what_threads_did_is_saved_with_how_to_have_it_again(tmp_path: Path) -> None:
    result = Result("./libmine.so", load("contract"), 7, frozenset({"kmalloc"}), play=shown())
    result.found.append(Found(shown(), "kmalloc, 3 threads"))
    (file,) = saved.save(str(tmp_path / "found"), result, "")
    text = Path(file).read_text(encoding="utf-8")
    assert text.startswith("# kmem-oracle check ./libmine.so --threads 3 --seed 7\n")
    assert "*b = kmalloc(64, GFP_KERNEL)" in text


@pytest.mark.needs("cc")
def test_the_command_reports_threads_and_exits_with_1(tmp_path: Path) -> None:
    library = build.library("RACE_BUDDY", directory=tmp_path)
    report = tmp_path / "report.json"
    command = [sys.executable, "-m", "kmem_oracle.cli", "check", str(library), "--threads", "4"]
    ended = subprocess.run([*command, "--json", str(report)], capture_output=True, text=True)
    assert ended.returncode == 1, ended.stderr
    assert "thread" in ended.stdout
    content = json.loads(report.read_text(encoding="utf-8"))
    assert content["violation"]["threads"]["calls"]
    assert content["violation"]["script"] == []


@pytest.mark.parametrize("given", ["0", "65", "two", "-1"])
def test_a_number_of_threads_that_makes_no_sense_is_one_line(given: str) -> None:
    command = [sys.executable, "-m", "kmem_oracle.cli", "check", "model", f"--threads={given}"]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert "1 to 64" in ended.stderr
