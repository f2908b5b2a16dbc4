"""Targets in a process of their own: what becomes of it is a sentence, and nothing of it stays behind."""

from __future__ import annotations

import ctypes.util
import os
import signal
import time
from pathlib import Path

import pytest
from tests.cover.behind import marked
from tests.targets import build

from kmem_oracle.campaign.play import Play, play
from kmem_oracle.language.script import Op, parse
from kmem_oracle.targets.model import open_model
from kmem_oracle.targets.process import Worker
from kmem_oracle.targets.records import AHEAD, CHUNK, DONE, ONE_NOTE, SKIPPED
from kmem_oracle.targets.run import describe_exit
from kmem_oracle.targets.target import CouldNotRun, Death, Target
from kmem_oracle.targets.wire import LENGTH, LONGEST, MARK, Inbox, receive, receive_marked, report, send
from kmem_oracle.targets.worker import OUT_OF_MEMORY
from kmem_spec.apis import KERNEL_APIS
from kmem_spec.calls import CONSTRUCTED
from kmem_spec.gfp import GFP_KERNEL
from kmem_spec.judge import Judge
from kmem_spec.profile import load

K = GFP_KERNEL
MODEL = Target("model", "", "model")
MODEL_APIS = set(open_model().functions)
MIB = 1 << 20

pytestmark = [pytest.mark.needs("linux"), pytest.mark.usefixtures("mark")]  # it looks for processes in /proc


def worker(*, call_seconds: float = 5.0, memory: int = 0) -> Worker:
    return Worker(call_seconds=call_seconds, memory_limit=memory)


def library(path: Path) -> Target:
    return Target("library", str(path), "the library")


def declined(target: Target, *, memory: int = 0) -> str:
    """Return why a target cannot be run; the worker must be of use for another afterwards."""
    with worker(memory=memory) as started:
        with pytest.raises(CouldNotRun) as caught:
            started.open(target)
        with started.open(MODEL) as run:
            assert run.apis == MODEL_APIS
    assert "\n" not in str(caught.value)
    return str(caught.value)


def death(target: Target, script: str, *, call_seconds: float = 5.0, memory: int = 0) -> Death:
    """Return how a target dies on a script; the worker must be of use for another afterwards."""
    with worker(call_seconds=call_seconds, memory=memory) as started:
        with started.open(target) as run:
            run.start(parse(script))
            records, _, died = run.finish()
            assert died is not None
            assert len(records) == died.index
        with started.open(MODEL) as run:
            run.start(parse("a = kmalloc(8, GFP_KERNEL)"))
            assert run.finish()[2] is None
    return died


# Runs that end well.


def test_the_model_runs_and_every_run_is_a_fresh_one() -> None:
    with worker() as started:
        for _ in range(3):
            with started.open(MODEL) as run:
                assert run.apis == MODEL_APIS
                assert run.profile == "linux-6.1"
                run.start(parse("a = kmalloc(8, GFP_KERNEL); kfree(a); kfree(a)"))
                records, _, died = run.finish()
                assert died is None
                assert [record[4] for record in records] == [DONE, DONE, SKIPPED]


def test_chunks_may_be_on_their_way_together() -> None:
    with worker() as started, started.open(MODEL) as run:
        for size in range(1, AHEAD + 1):
            run.start([Op("kmalloc", 1, (size * 8, K))] * CHUNK)
        seen = []
        for size in range(1, 3 * AHEAD + 1):
            records, _, died = run.finish()
            assert died is None
            assert len(records) == CHUNK
            seen.append({usable for _, usable, *_ in records})
            if size <= 2 * AHEAD:
                run.start([Op("kmalloc", 1, ((size + AHEAD) * 8, K))] * CHUNK)
        classes = [8, 16, 32, 32, 64, 64, 64, 64, 96]
        assert seen == [{slot} for slot in classes]


def test_a_run_that_is_left_in_the_middle_is_ended() -> None:
    with worker() as started:
        with started.open(MODEL) as run:
            run.start([Op("kmalloc", 1, (8, K))] * CHUNK)
        with pytest.raises(KeyError), started.open(MODEL) as run:
            raise KeyError
        with started.open(MODEL) as run:
            run.start(parse("a = kmalloc(8, GFP_KERNEL)"))
            assert run.finish()[2] is None


def test_a_target_that_is_killed_while_it_reads_is_followed_by_another() -> None:
    with worker() as started:
        for delay in range(30):
            with started.open(MODEL) as run:
                for _ in range(AHEAD):
                    run.start([Op("kfree", 0, (0,))] * CHUNK)
                time.sleep(delay / 5000)


def test_an_exception_ends_the_worker_as_well(mark: str) -> None:
    with pytest.raises(KeyError), worker() as started, started.open(MODEL):
        assert len(marked(mark)) == 2
        raise KeyError
    assert started.message is not None


# What cannot be loaded.


def test_a_text_file_and_a_missing_one_are_no_libraries(tmp_path: Path) -> None:
    text = tmp_path / "text.so"
    text.write_text("no library")
    for path in (text, tmp_path / "missing.so"):
        assert declined(library(path)).startswith(f"{path}: not a shared library that can be loaded: ")
        message = declined(Target("malloc", str(path), "m"))
        assert message.startswith(f"malloc:{path}: cannot be loaded: ")


def test_a_library_without_the_kernels_symbols_is_declined() -> None:
    name = ctypes.util.find_library("m")
    assert name is not None
    assert f"{name}: exports none of the kernel's allocator calls (kmalloc, " in declined(
        Target("library", name, name)
    )


def test_what_a_library_is_linked_to_is_not_judged_in_its_place() -> None:
    name = ctypes.util.find_library("m")  # linked to the C library, which has a malloc
    assert name is not None
    message = declined(Target("malloc", name, name))
    assert message.startswith(f"malloc:{name}: no malloc library: it exports no posix_memalign, no calloc, ")
    own = ctypes.util.find_library("c")
    assert own is not None
    script = "a = kmalloc(100, GFP_KERNEL); kfree(a)"
    for path in (own, ""):
        assert played(Target("malloc", path, "malloc"), script) == Play(2)


@pytest.mark.needs("cc")
def test_a_library_that_crashes_as_it_is_loaded_is_declined(targets: Path) -> None:
    message = declined(library(build.bad("crashes_on_load", directory=targets)))
    assert message == "the library: loading it crashed with SIGSEGV"


@pytest.mark.needs("cc")
def test_a_library_that_takes_all_memory_as_it_is_loaded_is_declined(targets: Path) -> None:
    message = declined(library(build.bad("eats_on_load", directory=targets)), memory=512 * MIB)
    crashed = "the library: loading it crashed with SIGABRT"
    assert message == f"{crashed} (with 512 MiB to map; --memory gives it more)"


@pytest.mark.needs("cc")
def test_a_library_that_hangs_as_it_is_loaded_is_declined(
    targets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kmem_oracle.targets.run.LOAD_SECONDS", 1.0)
    message = declined(library(build.bad("hangs_on_load", directory=targets)))
    assert message == "the library: loading it took more than 1 s; it hangs"


@pytest.mark.needs("cc")
def test_a_process_that_may_map_next_to_nothing_is_declined(targets: Path) -> None:
    message = declined(library(build.library(directory=targets)), memory=MIB)
    assert message


def test_a_worker_that_is_gone_is_declined(mark: str) -> None:
    with worker() as started:
        while not (found := marked(mark)):  # its environment shows a little after its start
            time.sleep(0.01)
        for pid in found:
            os.kill(pid, signal.SIGKILL)
        with pytest.raises(CouldNotRun, match="model: the worker process ended"):
            started.open(MODEL)


# What dies in a call.


@pytest.mark.needs("cc")
def test_a_crash_is_named_with_its_call(targets: Path) -> None:
    faulty = library(build.library("CRASH_AT_777", directory=targets))
    died = death(faulty, "a = kmalloc(776, GFP_KERNEL); kfree(a); b = kmalloc(777, GFP_KERNEL); kfree(b)")
    assert died.index == 2
    assert died.how in {
        "crashed with SIGSEGV",
        "crashed with SIGILL",
        "crashed with SIGTRAP",
        "crashed with SIGABRT",
    }


@pytest.mark.needs("cc")
def test_an_exit_is_named_with_its_status(targets: Path) -> None:
    died = death(
        library(build.bad("exits_in_kfree", directory=targets)), "a = kmalloc(8, GFP_KERNEL); kfree(a)"
    )
    assert died == Death(1, "ended the process with status 0")


@pytest.mark.needs("cc")
def test_a_hang_is_killed_in_time(targets: Path) -> None:
    begin = time.monotonic()
    hangs = library(build.bad("hangs_in_tenth_kmalloc", directory=targets))
    died = death(hangs, "repeat 20 { a = kmalloc(8, GFP_KERNEL) }", call_seconds=0.5)
    assert died.index == 9
    assert died.how.startswith("did not return within 0.")
    assert time.monotonic() - begin < 5


@pytest.mark.needs("cc")
def test_memory_has_its_limit(targets: Path) -> None:
    eats = library(build.bad("eats_in_kmalloc", directory=targets))
    died = death(eats, "repeat 9 { a = kmalloc(8, GFP_KERNEL) }", memory=512 * MIB)
    assert died == Death(4, "crashed with SIGABRT")


@pytest.mark.needs("cc")
def test_memory_that_cannot_be_touched_is_named_so(targets: Path) -> None:
    wild = library(build.bad("wild_address", directory=targets))
    died = death(wild, "repeat 300 { a = kmalloc(8, GFP_KERNEL | __GFP_ZERO) }")
    assert died.how == "gave memory that cannot be used: touching it crashed with SIGSEGV"


@pytest.mark.needs("cc")
def test_what_a_target_prints_goes_nowhere(targets: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with worker() as started, started.open(library(build.bad("noisy", directory=targets))) as run:
        run.start(parse("a = kmalloc(8, GFP_KERNEL); kfree(a)"))
        assert run.finish()[2] is None
    assert capfd.readouterr() == ("", "")


def test_a_target_that_is_killed_from_outside_dies_with_that_signal(mark: str) -> None:
    with worker() as started:
        before = set(marked(mark))
        with started.open(MODEL) as run:
            (child,) = set(marked(mark)) - before
            os.kill(child, signal.SIGKILL)
            run.start([Op("kmalloc", 1, (8, K))])
            records, _, died = run.finish()
            assert records == []
            assert died == Death(0, "crashed with SIGKILL")


def test_a_target_that_dies_between_two_chunks_leaves_no_records_of_the_second(
    mark: str,
) -> None:
    with worker() as started:
        before = set(marked(mark))
        with started.open(MODEL) as run:
            (child,) = set(marked(mark)) - before
            for _ in range(AHEAD + 1):
                run.start([Op("kmalloc", 1, (8, K))] * 10)
                assert run.finish()[2] is None
            os.kill(child, signal.SIGKILL)
            run.start([Op("kmalloc", 1, (8, K))] * 10)
            records, _, died = run.finish()
            assert died is not None
            assert (records, died.index) == ([], 0)


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        (0, "ended the process with status 0"),
        (3, "ended the process with status 3"),
        (-11, "crashed with SIGSEGV"),
        (-signal.SIGRTMIN - 6, f"crashed with signal {signal.SIGRTMIN + 6}"),
        (OUT_OF_MEMORY, "left no memory: the limit of the target's process was reached"),
    ],
)
def test_every_end_has_its_sentence(code: int, sentence: str) -> None:
    assert describe_exit(code) == sentence


# From runs to findings.


def played(target: Target, script: str, *, apis: frozenset[str] = frozenset(), waive: str = "") -> Play:
    judge = Judge(load("contract"), waived=frozenset({waive} - {""}), looked=True)
    with worker(call_seconds=0.5) as started:
        return play(started, target, parse(script), judge)


def test_a_script_is_played_over_many_chunks() -> None:
    done = played(MODEL, f"repeat {5 * CHUNK} {{ a = kmalloc(64, GFP_KERNEL); kfree(a) }}")
    assert done == Play(10 * CHUNK)


def test_a_script_of_nothing_and_one_of_skipped_calls_are_no_violation() -> None:
    assert played(MODEL, "") == Play(0)
    assert played(MODEL, "kfree(a); check(b)") == Play(0)


@pytest.mark.needs("cc")
def test_a_death_is_a_finding_with_the_calls_that_led_to_it(targets: Path) -> None:
    hangs = library(build.bad("hangs_in_tenth_kmalloc", directory=targets))
    script = "kfree(x); ksize(x); repeat 20 { a = kmalloc(8, GFP_KERNEL) }"
    done = played(hangs, script)
    assert done.finding is not None
    assert done.finding.clause == "MEM-RETURNS"
    assert "did not return within" in done.finding.message
    assert done.calls == len(done.ops) == 10
    assert {op.api for op in done.ops} == {"kmalloc"}
    assert played(hangs, script, waive="MEM-RETURNS") == Play(10)


@pytest.mark.needs("cc")
def test_a_finding_names_the_other_calls_among_those_that_were_made(targets: Path) -> None:
    faulty = library(build.library("NEIGHBOUR_LINK", directory=targets))
    done = played(faulty, "kfree(x); repeat 9 { a[i] = kmalloc(32, GFP_KERNEL) }; repeat 9 { kfree(a[i]) }")
    assert done.finding is not None
    assert done.finding.clause == "MEM-KEEP"
    spoilt = done.ops[-1].args[0]
    assert [done.ops[index].out for index in done.others] == [spoilt]


@pytest.mark.needs("cc")
@pytest.mark.parametrize(
    ("fault", "clause", "script"),
    [
        ("CTOR_LAST_SLOT", "CACHE-CTOR", "repeat 300 { a[i] = kmem_cache_alloc(c, GFP_KERNEL) }"),
        ("BULK_TWICE", "MEM-APART", "kmem_cache_alloc_bulk(d, GFP_KERNEL, 16, p)"),
        ("PAGES_BULK_TWICE", "MEM-APART", "alloc_pages_bulk(GFP_KERNEL, 6, p)"),
        (
            "VMAP_REVERSED",
            "VM-CONTENTS",
            "alloc_pages_bulk(GFP_KERNEL, 4, p); v = vmap(p, 4, VM_MAP, PAGE_KERNEL)",
        ),
        ("VREALLOC_LOSES", "VM-REALLOC-KEEP", "v = vmalloc(5000); v = vrealloc(v, 90000, GFP_KERNEL)"),
        ("KSTRNDUP_LONG", "SLAB-COPY", "a = kmalloc(100, GFP_KERNEL); b = kstrndup(a, 10, GFP_KERNEL)"),
        (
            "POOL_NULL_EARLY",
            "POOL-RESERVE",
            "m = mempool_create(2, mempool_alloc_kmalloc, mempool_free_kmalloc, 64); mempool_fail(m, 1)\n"
            "repeat 2 { a[i] = mempool_alloc(m, GFP_NOWAIT) }",
        ),
    ],
)
def test_faults_of_every_family_come_through(targets: Path, fault: str, clause: str, script: str) -> None:
    made = 'c = kmem_cache_create("c", 40, 0, 0, ctor); d = kmem_cache_create("d", 40, 0, 0, NULL)\n'
    faulty, sound = (library(build.library(name, directory=targets)) for name in (fault, ""))
    done = played(faulty, made + script)
    assert done.finding is not None
    assert done.finding.clause == clause
    assert played(sound, made + script).finding is None


@pytest.mark.needs("cc")
def test_what_a_bulk_call_made_is_no_call_of_the_script(targets: Path) -> None:
    faulty = library(build.library("NEIGHBOUR_LINK", directory=targets))
    bulk = 'c = kmem_cache_create("c", 500, 0, 0, NULL); kmem_cache_alloc_bulk(c, GFP_KERNEL, 50, p)\n'
    done = played(faulty, bulk + "repeat 9 { a[i] = kmalloc(32, GFP_KERNEL) }; repeat 9 { kfree(a[i]) }")
    assert done.finding is not None
    assert done.finding.clause == "MEM-KEEP"
    assert done.calls == len(done.ops) < 2 + 18
    assert "item" not in {op.api for op in done.ops}
    assert [done.ops[index].out for index in done.others] == [done.ops[-1].args[0]]
    assert played(library(build.library(directory=targets)), bulk) == Play(2)


@pytest.mark.needs("cc")
def test_the_call_that_made_an_object_in_bulk_is_the_one_to_blame(targets: Path) -> None:
    faulty = library(build.library("PAGES_BULK_TWICE", directory=targets))
    done = played(faulty, "a = kmalloc(8, GFP_KERNEL); alloc_pages_bulk(GFP_KERNEL, 6, p); kfree(a)")
    assert done.finding is not None
    assert [op.api for op in done.ops] == ["kmalloc", "alloc_pages_bulk"]
    assert done.others == (1,)


@pytest.mark.needs("cc")
def test_notes_come_with_the_call_that_they_were_made_in(targets: Path) -> None:
    script = 'c = kmem_cache_create("c", 40, 0, 0, ctor); a = kmem_cache_alloc(c, GFP_KERNEL)'
    for target in (MODEL, library(build.library(directory=targets))):
        with worker() as started, started.open(target) as run:
            for _ in range(AHEAD + 1):  # each part of the shared memory has notes of its own
                run.start(parse(script))
                records, notes, died = run.finish()
                assert died is None
                counts = [record[5] // ONE_NOTE for record in records]
                assert counts[0] == 0
                assert counts[1] == len(notes) > 1
                assert {(kind, cache) for kind, cache, _ in notes} == {(CONSTRUCTED, 1)}
                assert records[1][0] in {address for _, _, address in notes}
            run.start(parse("a = kmalloc(8, GFP_KERNEL)"))
            assert run.finish()[1] == []


def test_the_model_takes_every_call_that_a_library_may_have() -> None:
    assert set(KERNEL_APIS) <= MODEL_APIS


SHORT = """
#include <stddef.h>
#include <sys/mman.h>
void *vmalloc(unsigned long size) /* of an area of an odd number of pages, the second half is missing */
{
    size_t whole = (size + 4095) / 4096 * 4096;
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    char *area = mmap(NULL, whole, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (area == MAP_FAILED)
        return NULL;
    if (whole / 4096 % 2)
        mprotect(area + whole / 8192 * 4096, whole - whole / 8192 * 4096, PROT_NONE);
    return area;
}
void vfree(const void *area) { (void)area; }
"""
ABSURD = """
#include <stdlib.h>
void *kmalloc(size_t size, unsigned gfp) { (void)gfp; return size ? aligned_alloc(16, 16) : (void *)16; }
void kfree(const void *p) { (void)p; }
size_t ksize(const void *p) { return p > (void *)16 ? (size_t)-1 : 0; }
"""


# Messages.


def test_messages_go_through_a_pipe_whole_and_in_order() -> None:
    reader, writer = os.pipe()
    try:
        ops = [("kmalloc", 1, (1 << 63, K)), ("kfree", 0, (-1,))]
        send(writer, ("ops", 16, ops))
        send(writer, ("end",))
        os.close(writer)
        assert receive(reader) == ("ops", 16, ops)
        assert receive(reader) == ("end",)
        assert receive(reader) is None
    finally:
        os.close(reader)


def test_what_a_dead_child_left_of_its_messages_is_dropped() -> None:
    calls: list[tuple[str, int, tuple[int, ...]]] = [("kmalloc", 1, (8, K))] * 1000
    for cut in (0, 1, 5, 1000, 5000):
        reader, writer = os.pipe()
        send(writer, ("ops", 16, calls))
        assert os.read(reader, cut) or not cut
        send(writer, ("end",))
        send(writer, ("open", "model", "", 0), marked=True)
        assert receive_marked(reader) == ("open", "model", "", 0)
        os.close(writer)
        assert receive_marked(reader) is None
        os.close(reader)


def test_half_a_message_is_the_end() -> None:
    for cut in (2, 6):
        reader, writer = os.pipe()
        send(writer, ("a message",))
        os.close(writer)
        data = os.read(reader, 100)
        os.close(reader)
        reader, writer = os.pipe()
        os.write(writer, data[:cut])
        os.close(writer)
        assert receive(reader) is None
        os.close(reader)


def test_what_is_no_message_of_the_workers_is_dropped() -> None:
    reader, writer = os.pipe()
    try:
        inbox = Inbox(reader)
        assert not inbox.arrives(0)
        os.write(writer, b"noise" * 1000 + MARK[:7])
        report(writer, "pid", 7)
        os.write(writer, MARK + LENGTH.pack(LONGEST + 1) + b"too long")
        os.write(writer, MARK + LENGTH.pack(4) + b"[{}]")
        os.write(writer, MARK + LENGTH.pack(3) + b"\xff\xfe]")
        report(writer, "done")
        assert inbox.arrives(0)
        assert [inbox.message(), inbox.message()] == [("pid", 7), ("done",)]
        os.write(writer, MARK + LENGTH.pack(9) + b"[")
        assert not inbox.arrives(0)
        os.close(writer)
        assert inbox.arrives(0)
        assert inbox.message() is None
    finally:
        os.close(reader)


@pytest.mark.needs("cc")
@pytest.mark.parametrize("driver", ["c", "python"])
def test_what_a_target_writes_over_is_laid_to_a_call_that_a_caller_may_make(
    driver: str, targets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KMEM_ORACLE_DRIVER", driver)
    outcome = played(
        library(build.bad("scribbles", directory=targets)), "repeat 30 { a = kmalloc(8, GFP_KERNEL) }"
    )
    assert outcome.finding is not None
    assert outcome.finding.clause == "MEM-RETURNS"
    assert "wrote over memory that is not its own" in outcome.finding.message
    assert len(outcome.ops) == 30


@pytest.mark.needs("cc")
@pytest.mark.parametrize("driver", ["c", "python"])
@pytest.mark.parametrize(("pages", "sees"), [(2**16 + 1, True), (2**16, False)])
def test_what_is_too_large_to_be_touched_as_a_whole_is_touched_at_its_ends(
    driver: str, pages: int, sees: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KMEM_ORACLE_DRIVER", driver)
    short = build.shared(SHORT, tmp_path)
    outcome = played(library(short), f"a = vmalloc({pages} * 4096); vfree(a)")
    assert (outcome.finding is not None) == sees
    if outcome.finding is not None:
        assert outcome.finding.clause == "MEM-RETURNS"
        assert "touching it" in outcome.finding.message


@pytest.mark.needs("cc")
@pytest.mark.parametrize("driver", ["c", "python"])
def test_a_usable_size_beyond_all_memory_is_judged(
    driver: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KMEM_ORACLE_DRIVER", driver)
    absurd = build.shared(ABSURD, tmp_path)
    outcome = played(library(absurd), "a = kmalloc(8, GFP_KERNEL); b = kmalloc(8, GFP_KERNEL)")
    assert outcome.finding is not None
    assert outcome.finding.clause == "MEM-APART"
