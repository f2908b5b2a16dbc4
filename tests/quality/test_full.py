"""A heap of its own that is full, and has no way to be told to fail: what resizing does then is found."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.quality.checking import check
from tests.targets import build

pytestmark = pytest.mark.needs("cc")
# Runs of units of 64 bytes, first fit; the length of each is kept at its first unit.
SOURCE = """
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#define UNITS (1u << 20)
static _Alignas(1 << 22) char heap[64ul * UNITS];
static unsigned lengths[UNITS];
void *kmalloc(size_t size, unsigned gfp) {
    unsigned need = (size + 63) / 64, step = size > 64 && !(size & (size - 1)) ? need : 1, from = 0;
    if (!size) return (void *)16;
    if (size > 4ul << 20) return NULL;
    for (unsigned at = 0; at < UNITS && from + need <= UNITS;)
        if (lengths[at]) { at += lengths[at]; from = (at + step - 1) / step * step; if (at < from) continue; }
        else if (++at >= from + need) {
            lengths[from] = need;
            return gfp & 0x100 ? memset(heap + 64ul * from, 0, 64ul * need) : heap + 64ul * from;
        }
    return NULL;
}
void kfree(const void *p) { if ((uintptr_t)p > 16) lengths[((const char *)p - heap) / 64] = 0; }
void *krealloc(const void *p, size_t size, unsigned gfp) {
    if ((uintptr_t)p <= 16) return kmalloc(size, gfp);
    size_t held = 64ul * lengths[((const char *)p - heap) / 64];
    void *q = kmalloc(size, gfp);
    if (size > 4ul << 20) return NULL;
#ifndef CARELESS
    if (!q) return NULL;
#endif
    if (size) memcpy(q, p, held < size ? held : size);
    kfree(p);
    return q;
}
"""


def test_a_heap_that_copes_passes(tmp_path: Path) -> None:
    checked = check(build.shared(SOURCE, tmp_path, "-O1"), tmp_path)
    assert checked.status == 0, checked.output


@pytest.mark.parametrize("seed", ["1", "2"])
def test_one_that_copies_into_nothing_is_found(seed: str, tmp_path: Path) -> None:
    checked = check(build.shared(SOURCE, tmp_path, "-O1", "-DCARELESS"), tmp_path, "--seed", seed)
    assert (checked.status, checked.clause) == (1, "MEM-RETURNS"), checked.output
    assert "krealloc(" in checked.script[-1]
    assert len(checked.script) <= 12, "\n".join(checked.script)
