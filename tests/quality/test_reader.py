"""The reader of vectors in C: a correct library passes every program, a faulty one fails."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.targets import build

from kmem_oracle.reports.about import registry
from kmem_oracle.vectors.write import write

pytestmark = [pytest.mark.needs("cc"), pytest.mark.needs("linux")]
SOURCE = Path(__file__).parents[1] / "targets" / "vectors.c"
PRESETS = ("toy", "contract", "linux-6.1", "linux-6.12")
VARIANTS = ("POISON", "FAILS", "KREALLOC_MOVES", "TOP_DOWN", "MERGED_CACHES", "NO_KSIZE")
# Faults of every kind, each with a clause whose programs show it.
FAULTS = {
    "KZALLOC_TAIL": "MEM-ZERO",
    "ZERO_IGNORED_ATOMIC": "GFP-ZERO",
    "ARRAY_CHECK_WEAK": "SLAB-ARRAY",
    "CLASS_193": "MEM-USABLE",
    "KMALLOC_ZERO_NULL": "SLAB-ZERO-SIZE",
    "KFREE_NULL_CRASH": "SLAB-FREE-NULL",
    "KREALLOC_COPY_SHORT": "SLAB-REALLOC-KEEP",
    "KREALLOC_FAIL_FREES": "SLAB-REALLOC-FAIL",
    "PAGE_HALF_ALIGNED": "SLAB-ALIGN-POWER",
    "FREE_PAGES_HALF": "MEM-LIVENESS",
    "NEIGHBOUR_LINK": "MEM-KEEP",
    "CTOR_AGAIN": "CACHE-CTOR-ONCE",
    "DTOR_NOT_AT_DESTROY": "CACHE-DTOR",
    "HWCACHE_IGNORED": "CACHE-ALIGN",
    "BULK_TWICE": "MEM-APART",
    "VM_NO_GUARD": "VM-GUARD",
    "VM_SHARED_FRAME": "VM-FRAME-OWN",
    "VMAP_REVERSED": "VM-CONTENTS",
    "KMEMDUP_SHORT": "SLAB-COPY",
    "GET_ORDER_EXACT": "PAGE-ORDER-OF",
    "POOL_NULL_EARLY": "POOL-RESERVE",
}
LONG = "MEM-LIVENESS"  # whose programs have thousands of rounds


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the vectors and the reader."""
    made = tmp_path_factory.mktemp("reader")
    write(made, list(registry().values()))
    flags = ("-std=c11", "-O1", "-Wall", "-Wextra", "-Werror")
    subprocess.run([*build.compiler(), *flags, "-o", made / "reader", SOURCE, "-ldl"], check=True)
    return made


def read(folder: Path, programs: Path, *library: Path) -> subprocess.CompletedProcess[str]:
    command = [folder / "reader", programs, *library]
    return subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=900)


def every(folder: Path, preset: str) -> Path:
    return folder / preset / "programs.jsonl"


def some(folder: Path, preset: str, wanted: Callable[[str], bool], made: Path) -> Path:
    """Return a file with the programs of some clauses alone."""
    lines = every(folder, preset).read_text(encoding="ascii").splitlines()
    kept, keeps = lines[:2], False
    for line in lines[2:]:
        keeps = wanted(json.loads(line)["clause"]) if line.startswith('{"program"') else keeps
        kept += [line] if keeps else []
    made.write_text("".join(f"{line}\n" for line in kept), encoding="ascii")
    return made


def counts(output: str) -> list[int]:
    """Return how many passed, failed, were undecided, were not run."""
    return [int(number) for number in re.findall(r"(\d+) [a-z]", output.splitlines()[-1])]


def test_the_reader_is_short_and_needs_no_library() -> None:
    text = SOURCE.read_text(encoding="utf-8")
    assert len(text.splitlines()) < 300
    assert set(re.findall(r"#include <(.*)>", text)) <= {
        *("dlfcn.h", "stdarg.h", "stdbool.h", "stdio.h", "stdlib.h", "string.h", "sys/wait.h", "unistd.h")
    }


@pytest.mark.parametrize("preset", PRESETS)
def test_a_correct_library_passes_every_program(preset: str, folder: Path, targets: Path) -> None:
    done = read(folder, every(folder, preset), build.library(directory=targets))
    assert done.returncode == 0, done.stdout
    passed, failed, undecided, missing = counts(done.stdout)
    assert (failed, missing) == (0, 0)
    assert undecided <= 3, "but for those that fill memory, nothing was refused"
    written = (folder / preset / "programs.jsonl").read_text(encoding="ascii").count('{"program"')
    assert passed + undecided == written


@pytest.mark.parametrize("variant", VARIANTS)
def test_correct_libraries_of_other_habits_fail_nothing(
    variant: str, folder: Path, targets: Path, tmp_path: Path
) -> None:
    fails = variant == "FAILS"
    programs = some(folder, "toy", lambda clause: fails or clause != LONG, tmp_path / "some.jsonl")
    done = read(folder, programs, build.library(variant=variant, directory=targets))
    assert done.returncode == 0, done.stdout
    passed, failed, undecided, missing = counts(done.stdout)
    assert failed == 0 < passed
    assert (undecided > 0) == fails
    assert (missing > 0) == (variant == "NO_KSIZE")


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_library_fails(fault: str, folder: Path, targets: Path, tmp_path: Path) -> None:
    programs = some(folder, "contract", lambda clause: clause == FAULTS[fault], tmp_path / "some.jsonl")
    assert read(folder, programs, build.library(directory=targets)).returncode == 0
    done = read(folder, programs, build.library(fault, directory=targets))
    assert done.returncode == 1, done.stdout
    assert re.search(rf"^FAIL {FAULTS[fault]}/\d+: .", done.stdout, re.MULTILINE)


def test_what_is_linked_to_the_reader_is_read_too(folder: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.c"
    mine.write_text(
        "#include <stdlib.h>\n"
        "#include <string.h>\n"
        "void *kmalloc(size_t n, unsigned g)\n"
        "{\n"
        "    size_t size = 8;\n"
        "    for (; n <= 4 << 20 && size < n; size *= 2);\n"
        "    void *p = !n ? (void *)16 : n > 4 << 20 ? NULL : aligned_alloc(size, size);\n"
        "    return n && p && g & 0x100 ? memset(p, 0, n) : p;\n"
        "}\n"
        "void kfree(const void *p) { if ((size_t)p > 16) free((void *)p); }\n",
        encoding="utf-8",
    )
    linked = tmp_path / "linked"
    flags = ("-std=c11", "-O1", "-rdynamic")
    subprocess.run([*build.compiler(), *flags, "-o", linked, SOURCE, mine, "-ldl"], check=True)
    programs = some(folder, "toy", lambda clause: clause != LONG, tmp_path / "some.jsonl")
    done = subprocess.run([linked, programs], capture_output=True, text=True, timeout=600)
    passed, _, _, missing = counts(done.stdout)
    assert passed > 20
    assert missing > 200, "all that it has no calls for"
    assert done.returncode == 0, done.stdout


def test_a_program_that_cannot_be_read_is_said_to_be_so(folder: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.jsonl"
    cut.write_bytes(every(folder, "toy").read_bytes()[:-9])
    done = subprocess.run([folder / "reader", cut], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert re.fullmatch(r"vectors: .*cut.jsonl: line \d+ cannot be read\n", done.stderr)
    gone = subprocess.run([folder / "reader", tmp_path / "none"], capture_output=True, text=True, timeout=60)
    assert (gone.returncode, gone.stderr) == (2, "vectors: cannot read the file of programs\n")


def test_a_library_that_cannot_be_loaded_is_said_to_be_so(folder: Path) -> None:
    done = read(folder, every(folder, "toy"), folder / "nowhere.so")
    assert done.returncode == 2
    assert "nowhere.so" in done.stderr
