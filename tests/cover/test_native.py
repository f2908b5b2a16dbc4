"""The driver in C does what the one in Python does: the same calls on the same library, the same records."""

from __future__ import annotations

import ctypes
import itertools
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.targets import build

from kmem_oracle.campaign.play import DRIVERS, runnable
from kmem_oracle.generate.generator import Generator
from kmem_oracle.language.script import Op, parse
from kmem_oracle.targets import native
from kmem_oracle.targets.packed import Packer
from kmem_oracle.targets.process import Worker
from kmem_oracle.targets.records import CHUNK, SKIPPED, RawNote, Record
from kmem_oracle.targets.target import Target
from kmem_spec.apis import APIS
from kmem_spec.profile import load

pytestmark = pytest.mark.needs("cc")
FEW = 1500  # calls of each phase on the library that is right
FEWER = 200  # and on each that is wrong
ADDRESSES = {"allocate", "copy", "resize", "map", "create", "locate", "item"}  # results that may differ
# Libraries that err where a driver looks: contents, zeroes, constructors, what bulk calls give, crashes.
FAULTS = (
    "",
    "KZALLOC_TAIL",
    "KREALLOC_COPY_SHORT",
    "SENSITIVE_BEYOND",
    "CTOR_LINK_INSIDE",
    "DTOR_TWICE",
    "BULK_TWICE",
    "VMAP_REVERSED",
    "KSTRDUP_NO_NUL",
    "CRASH_AT_777",
)


def ready(path: Path) -> Target:
    return Target("library", str(path), path.name)


def driven(*, in_c: bool) -> Worker:
    return Worker(call_seconds=2.0, memory_limit=8 << 30, native=in_c)


def play(path: Path, ops: Sequence[Op], *, in_c: bool) -> tuple[list[Record], list[RawNote], str]:
    """Run calls on a library by one of the drivers, until they end or the library does."""
    with driven(in_c=in_c) as worker:
        return play_on(worker, path, ops)


def play_on(worker: Worker, path: Path, ops: Sequence[Op]) -> tuple[list[Record], list[RawNote], str]:
    records: list[Record] = []
    notes: list[RawNote] = []
    with worker.open(ready(path)) as run:
        for begin in range(0, len(ops), CHUNK):
            run.start(ops[begin : begin + CHUNK])
            seen, noted, death = run.finish()
            records += seen
            notes += noted
            if death is not None:
                return records, notes, f"{death.index}: {death.how}"
    return records, notes, ""


def alike(op: Op, record: Record) -> Record:
    """Return a record without what differs from one process to the next: where memory lies."""
    result = record[0]
    if record[4] == 0 and APIS[op.api].role in ADDRESSES and op.api != "is_vmalloc_addr":
        result = min(result, 17)
    return (result, *record[1:])


def test_it_knows_every_call_by_name() -> None:
    driver = native.compiled()
    assert driver is not None
    names = native.names(ctypes.CDLL(str(driver)))
    assert set(names) == {*APIS, "page_address", "virt_to_page"}
    assert len(names) == len(set(names))


@pytest.mark.parametrize("fault", FAULTS)
def test_the_records_are_those_of_the_driver_in_python(fault: str, tmp_path: Path) -> None:
    path = build.library(fault, directory=tmp_path)
    seen: Counter[str] = Counter()
    with driven(in_c=True) as one, driven(in_c=False) as two:
        with one.open(ready(path)) as run:
            apis = run.apis
        generator = Generator(1, load("contract"), apis)
        for phase in itertools.islice(generator.phases(), len(generator.aims())):
            ops = list(itertools.islice(runnable(phase.ops, apis.union(DRIVERS)), FEWER if fault else FEW))
            compare(phase.name, ops, play_on(one, path, ops), play_on(two, path, ops), seen)
    assert seen.keys() >= apis or fault
    assert seen["usable"]
    assert seen["note"]


def compare(
    phase: str,
    ops: Sequence[Op],
    one: tuple[list[Record], list[RawNote], str],
    two: tuple[list[Record], list[RawNote], str],
    seen: Counter[str],
) -> None:
    (records, notes, end), (others, other_notes, other_end) = one, two
    for place, (op, record, other) in enumerate(zip(ops, records, others, strict=False)):
        assert alike(op, record) == alike(op, other), (phase, place, op)
        if record[4] != SKIPPED:
            seen[op.api] += 1
        seen["usable"] += record[1] >= 0
    assert (len(records), end) == (len(others), other_end), phase
    assert [note[:2] for note in notes] == [note[:2] for note in other_notes], phase
    seen["note"] += len(notes)


ODD = """
    a = kmalloc(0, GFP_KERNEL); kfree(a); kfree(NULL); kfree(ZERO_SIZE_PTR); ksize(NULL)
    b = kmalloc(18446744073709551615, GFP_KERNEL)
    c = kcalloc(4294967297, 4294967296, GFP_KERNEL)
    d = __get_free_pages(GFP_KERNEL, 63)
    e = krealloc(NULL, 100, GFP_KERNEL); e = krealloc(e, 0, GFP_KERNEL)
    f = kmalloc(10, GFP_KERNEL); f = krealloc(f, 200, GFP_KERNEL | __GFP_ZERO)
    g = kmem_cache_alloc(NULL, GFP_KERNEL)
"""


def test_arguments_at_the_edge_are_passed_on_alike(tmp_path: Path) -> None:
    path = build.library(directory=tmp_path)
    ops = [op for op in parse(ODD) if op.api != "kmem_cache_alloc"]
    records, _, end = play(path, ops, in_c=True)
    others, _, other_end = play(path, ops, in_c=False)
    assert (end, other_end) == ("", "")
    assert [alike(op, record) for op, record in zip(ops, records, strict=True)] == [
        alike(op, record) for op, record in zip(ops, others, strict=True)
    ]
    assert records[0][0] == 16
    assert records[5][0] == records[6][0] == records[7][0] == 0


def test_a_library_that_dies_in_a_call_dies_at_the_same_call(tmp_path: Path) -> None:
    path = build.library(directory=tmp_path)
    ops = parse("a = kmalloc(10, GFP_KERNEL)\ng = kmem_cache_alloc(NULL, GFP_KERNEL)\nkfree(a)")
    assert play(path, ops, in_c=True)[2] == play(path, ops, in_c=False)[2] == "1: crashed with SIGSEGV"


def test_more_caches_with_constructors_than_it_has_functions_are_skipped(tmp_path: Path) -> None:
    path = build.library(directory=tmp_path)
    ops = [Op("kmem_cache_create", place, (1, 64, 8, 0, 1)) for place in range(1, 1030)]
    records, _, end = play(path, ops, in_c=True)
    assert end == ""
    made = [record for record in records if record[4] != SKIPPED and record[0]]
    assert [record[4] for record in records[1024:]] == [SKIPPED] * 5 or len(made) < 1024


def test_without_a_compiler_a_library_is_driven_in_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = build.library(directory=tmp_path)
    native.compiled.cache_clear()
    monkeypatch.setenv("CC", "no-such-compiler")
    try:
        assert native.compiled() is None
        ops = parse("a = kmalloc(10, GFP_KERNEL)\nkfree(a)")
        assert [record[4] for record in play(path, ops, in_c=True)[0]] == [0, 0]
    finally:
        native.compiled.cache_clear()


def test_a_home_that_cannot_be_written_means_a_driver_for_this_process_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("not a folder")
    (tmp_path / "own").mkdir()
    monkeypatch.setattr(native, "_scratch", lambda: tmp_path / "own")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    made = native.build("driver.c", native.compiler())
    assert made is not None
    assert made.parent == tmp_path / "own"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    made = native.build("driver.c", native.compiler())
    assert made is not None
    assert native.build("driver.c", native.compiler()) == made
    assert [path.name for path in (tmp_path / "cache" / "kmem-oracle").iterdir()] == [made.name]


def test_where_nothing_can_be_written_there_is_no_driver_in_c(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr(native, "_scratch", lambda: tmp_path / "file" / "below")
    assert native.build("driver.c", native.compiler()) is None


def test_the_folder_of_a_process_ends_with_it() -> None:
    code = "from kmem_oracle.targets import native; print(native._scratch())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    folder = Path(done.stdout.strip())
    assert folder.name.startswith("kmem-oracle-")
    assert not folder.exists()


def test_ids_below_zero_are_packed_as_words() -> None:
    packed = Packer(["kfree", "kmalloc"]).pack([Op("kfree", 0, (-1,)), Op("kmalloc", 7, (5, 6))])
    words = [int.from_bytes(packed[at : at + 8], "little") for at in range(0, len(packed), 8)]
    assert words == [1 << 32, 0, (1 << 64) - 1, 1 | 2 << 32, 7, 5, 6]
