"""malloc libraries as targets: what C does not promise is not asked of them, and they call themselves."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.targets import build

from kmem_oracle.campaign.campaign import campaign
from kmem_oracle.campaign.course import Budget
from kmem_oracle.campaign.result import Result
from kmem_oracle.reports import saved
from kmem_oracle.targets.target import Target

pytestmark = pytest.mark.needs("cc", "linux")
# Memory is never given back: each object lies where ALIGN lets it, the size asked for in front of it.
SOURCE = """
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
static char *at, *end;
static void *take(size_t align, size_t size) {
    if (size > 1ul << 40) return NULL;
    if (!at || at + size + align + 16 > end) {
        size_t more = (size + align + (64u << 20)) & ~(size_t)4095;
        at = mmap(NULL, more, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (at == MAP_FAILED) return at = NULL;
        end = at + more;
    }
    char *p = (char *)((uintptr_t)(at + 8 + align - 1) / align * align);
    memcpy(p - 8, &size, 8);
    at = p + size;
    return p;
}
static size_t asked(void *p) { size_t size; memcpy(&size, (char *)p - 8, 8); return size; }
void *malloc(size_t size) { return take(ALIGN(size), size); }
void free(void *p) {}
int posix_memalign(void **p, size_t align, size_t size) { return (*p = take(align, size)) ? 0 : 12; }
void *calloc(size_t count, size_t size) {
    size_t total;
    if (__builtin_mul_overflow(count, size, &total)) return NULL;
    char *p = malloc(total); /* its own, not that of the process */
#ifdef BOUND
    if (p && (p < end - (1l << 40) || p > end || asked(p) != total)) __builtin_trap();
#endif
    return p;
}
void *realloc(void *old, size_t size) {
    void *p = malloc(size);
    if (p && old) memcpy(p, old, asked(old) < size ? asked(old) : size);
    return p;
}
#ifdef USABLE
size_t malloc_usable_size(void *p) { return p ? asked(p) : 0; }
#endif
"""
BY_SIZE = "-DALIGN(n)=((n) < 8 ? 1 : 8)"  # as C has had it since 2023: what fits into the object is aligned


def check(folder: Path, *switches: str) -> Result:
    library = build.shared(SOURCE, folder, "-fno-builtin", *switches)
    return campaign(
        Target("malloc", str(library), f"malloc:{library}"),
        profile="",
        seed=1,
        budget=Budget(calls=4_000, shrink=1.0),
        waived=frozenset({"MEM-LIVENESS"}),  # it never frees
        progress=lambda *_: None,
    )


def test_a_library_that_tells_usable_sizes_passes_and_is_asked_for_them(tmp_path: Path) -> None:
    result = check(tmp_path, BY_SIZE, "-DUSABLE")
    assert result.play is None
    assert "ksize" in result.apis


def test_one_that_tells_none_passes_without(tmp_path: Path) -> None:
    result = check(tmp_path, BY_SIZE)
    assert result.play is None
    assert "ksize" not in result.apis


def test_what_is_larger_must_be_aligned(tmp_path: Path) -> None:
    result = check(tmp_path, "-DALIGN(n)=1", "-DUSABLE")
    assert result.play is not None
    assert result.play.finding is not None
    assert result.play.finding.clause == "SLAB-ALIGN"


def test_its_own_calls_of_malloc_come_to_itself(tmp_path: Path) -> None:
    assert check(tmp_path, BY_SIZE, "-DUSABLE", "-DBOUND").play is None


@pytest.mark.parametrize("usable", [True, False])
def test_a_c_program_is_saved_where_it_can_tell_sizes(usable: bool, tmp_path: Path) -> None:
    result = check(tmp_path, "-DALIGN(n)=1", *(["-DUSABLE"] if usable else []))
    suffixes = {Path(file).suffix for file in saved.save(str(tmp_path / "found"), result, "")}
    programs = [file for file in (tmp_path / "found").glob("*.c") if not file.stem.endswith("_kunit")]
    assert bool(programs) == usable
    assert ".kmem" in suffixes
