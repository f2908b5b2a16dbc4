"""The memory that a library has from the system is made to fail: what it does then is judged."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.targets import build

from kmem_oracle.campaign.campaign import campaign
from kmem_oracle.campaign.course import Budget
from kmem_oracle.campaign.result import Result
from kmem_oracle.language.script import parse
from kmem_oracle.reports import saved
from kmem_oracle.targets.process import Worker
from kmem_oracle.targets.target import Target

pytestmark = pytest.mark.needs("cc", "linux")
SOURCE = """
#include <malloc.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#define MAX (4u << 20)
#ifdef THREAD_OWN
static __thread char own[1 << 16]; /* the loader asks malloc for it when a thread first touches it */
#endif
void *kmalloc(size_t size, unsigned gfp) {
#ifdef THREAD_OWN
    *(volatile char *)own = 1;
#endif
    if (!size) return (void *)16;
    if (size > MAX) return NULL;
    void *p;
    size_t align = (size & (size - 1)) == 0 && size > 8 ? size : 8;
    if (posix_memalign(&p, align, size)) return NULL;
    return gfp & 0x100 ? memset(p, 0, malloc_usable_size(p)) : p;
}
void kfree(const void *p) { if ((size_t)p > 16) free((void *)p); }
void *krealloc(const void *p, size_t n, unsigned gfp) {
    if ((size_t)p <= 16) return kmalloc(n, gfp);
    if (!n) { kfree(p); return (void *)16; }
    void *q = kmalloc(n, gfp);
#ifdef FORGETFUL
    if (!q && n <= MAX) kfree(p); /* where the system has no memory, the old object goes as well */
#endif
    if (!q) return NULL;
    size_t old = malloc_usable_size((void *)p);
    memcpy(q, p, old < n ? old : n);
    kfree(p);
    return q;
}
unsigned long __get_free_pages(unsigned gfp, unsigned order) {
    size_t size = 4096ul << order;
    if (order > 10) return 0;
    char *p = mmap(NULL, 2 * size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? 0 : ((unsigned long)p + size - 1) & -size;
}
void free_pages(unsigned long p, unsigned order) { if (p) munmap((void *)p, 4096ul << order); }
"""


def check(path: Path, calls: int) -> Result:
    return campaign(
        Target("library", str(path), str(path)),
        profile="",
        seed=1,
        budget=Budget(calls=calls, shrink=1.0),
        waived=frozenset({"MEM-LIVENESS"}),  # it gives back half of the addresses that it takes for pages
        progress=lambda *_: None,
    )


def test_a_library_that_copes_passes(tmp_path: Path) -> None:
    result = check(build.shared(SOURCE, tmp_path), 40_000)
    assert result.play is None
    assert "fail_nth" in result.apis


def test_what_the_loader_needs_for_the_library_never_fails(tmp_path: Path) -> None:
    """Without it the loader ends the process, whatever the library does."""
    target = Target("library", str(build.shared(SOURCE, tmp_path, "-DTHREAD_OWN")), "mine")
    ops = parse("fail_nth(1); a = kmalloc(100, GFP_KERNEL); b = kmalloc(100, GFP_KERNEL)")
    with Worker(call_seconds=2.0, memory_limit=8 << 30) as worker, worker.open(target) as run:
        run.start(ops)
        records, _, death = run.finish()
    assert death is None
    assert [record[0] != 0 for record in records[1:]] == [False, True]


def test_one_that_loses_an_object_then_is_found_and_nowhere_else(tmp_path: Path) -> None:
    result = check(build.shared(SOURCE, tmp_path, "-DFORGETFUL"), 40_000)
    assert result.play is not None
    assert result.play.finding is not None
    assert result.play.finding.clause == "SLAB-REALLOC-FAIL"
    assert any(op.api == "fail_nth" for op in result.play.ops)
    names = {Path(file).suffix for file in saved.save(str(tmp_path / "found"), result, "")}
    assert ".c" not in names, "a program that links against the library alone cannot make memory fail"


def test_the_nth_request_fails_and_no_other(tmp_path: Path) -> None:
    target = Target("library", str(build.shared(SOURCE, tmp_path)), "mine")
    ops = parse("""
        fail_nth(2)
        a = kmalloc(100, GFP_KERNEL); b = kmalloc(100, GFP_KERNEL); c = kmalloc(100, GFP_KERNEL)
        fail_nth(1); p = __get_free_pages(GFP_KERNEL, 0); q = __get_free_pages(GFP_KERNEL, 0)
        fail_nth(1); fail_nth(0); d = kmalloc(100, GFP_KERNEL)
    """)
    with Worker(call_seconds=2.0, memory_limit=8 << 30) as worker, worker.open(target) as run:
        run.start(ops)
        records, _, death = run.finish()
    assert death is None
    got = [record[0] != 0 for op, record in zip(ops, records, strict=True) if op.out]
    assert got == [True, False, True, False, True, True]


def test_other_targets_keep_their_memory() -> None:
    target = Target("malloc", "", "malloc:")
    with (
        Worker(call_seconds=2.0, memory_limit=8 << 30, native=False) as worker,
        worker.open(target) as run,
    ):
        assert "fail_nth" not in run.apis


OWN_MALLOC = """
#include <stddef.h>
#include <sys/mman.h>
static int loads;
__attribute__((constructor)) static void begin(void) { loads++; }
static char room[8 << 20];
void *malloc(size_t size) { return room + 1; } /* a wrong one, which is found if it is called */
void free(void *p) {}
void *kmalloc(size_t size, unsigned gfp) { return size && loads == 1 ? malloc(size) : (void *)16; }
void kfree(const void *p) { if ((size_t)p > 16) free((void *)p); }
"""


def test_a_library_with_a_malloc_of_its_own_is_judged_by_that(tmp_path: Path) -> None:
    result = check(build.shared(OWN_MALLOC, tmp_path, "-fno-builtin"), 1_000)
    assert result.play is not None
    assert result.play.finding is not None
    assert result.play.finding.clause == "SLAB-ALIGN"
