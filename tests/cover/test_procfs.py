"""The files of /proc: their format is the kernel's, byte by byte, and they agree with what was asked for."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kmem_model.kernel import Kernel
from kmem_model.procfs import FILES, buddyinfo, slabinfo, vmallocinfo
from kmem_spec.area import VMALLOC_START
from kmem_spec.gfp import GFP_KERNEL
from kmem_spec.units import PAGE_SIZE

MIB = 1 << 20
BUDDY = re.compile(r"Node \d+, zone {1,6}(DMA|DMA32|Normal) ((?: {0,5}\d+ ){11})\n")
SLAB = re.compile(
    r"([\w-]+) +(\d+) +(\d+) +(\d+) +(\d+) +(\d+)"
    r" : tunables    0    0    0 : slabdata +(\d+) +(\d+)      0\n"
)
AREA = re.compile(r"0x([0-9a-f]{16})-0x([0-9a-f]{16}) {1,7}(\d+)((?: \S+)*)\n")


def free_pages(text: str) -> int:
    """Return how many pages buddyinfo says are free."""
    return sum(
        int(count) << order
        for line in text.splitlines(keepends=True)
        if (found := BUDDY.fullmatch(line))
        for order, count in enumerate(found[2].split())
    )


def of_cache(kernel: Kernel, name: str) -> list[int]:
    """Return the numbers of a cache: active objects, all, slot, objects and pages to a slab, slabs twice."""
    for line in slabinfo(kernel).splitlines(keepends=True)[2:]:
        found = SLAB.fullmatch(line)
        assert found is not None, line
        if found[1] == name:
            return [int(number) for number in found.groups()[1:]]
    raise AssertionError(f"no cache {name}")


def test_buddyinfo_of_a_fresh_machine() -> None:
    none = "      0" * 10
    assert buddyinfo(Kernel(8192 * MIB)) == (
        f"Node 0, zone      DMA{none}      4 \n"
        f"Node 0, zone    DMA32{none}   1020 \n"
        f"Node 0, zone   Normal{none}   1024 \n"
    )


def test_buddyinfo_counts_what_is_free() -> None:
    kernel = Kernel(64 * MIB)
    before = buddyinfo(kernel)
    assert free_pages(before) == 64 * MIB // PAGE_SIZE
    block = kernel.get_free_pages(GFP_KERNEL, 3)
    assert free_pages(buddyinfo(kernel)) == 64 * MIB // PAGE_SIZE - 8
    assert buddyinfo(kernel).splitlines()[1] == (
        "Node 0, zone    DMA32      0      0      0      1      1      1      1      1      1      1     11 "
    )
    kernel.free_pages(block, 3)
    assert buddyinfo(kernel) == before


def test_slabinfo_has_a_line_for_each_cache_the_newest_first() -> None:
    kernel = Kernel(64 * MIB)
    kernel.kmem_cache_create(b"task", 100, 0, 0, None)
    version, columns, first, *others = slabinfo(kernel).splitlines()
    assert version == "slabinfo - version: 2.1"
    assert columns == (
        "# name            <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab>"
        " : tunables <limit> <batchcount> <sharedfactor>"
        " : slabdata <active_slabs> <num_slabs> <sharedavail>"
    )
    assert first == (
        "task                   0      0    104   39    1"
        " : tunables    0    0    0 : slabdata      0      0      0"
    )
    assert len(others) == 26
    assert others[-1].startswith("kmalloc-8 ")


def test_slabinfo_counts_objects_as_slub_does() -> None:
    kernel = Kernel(64 * MIB)
    objects = [kernel.kmalloc(100, GFP_KERNEL) for _ in range(65)]
    # The slab that serves next counts as full, and so do those that are.
    assert of_cache(kernel, "kmalloc-128") == [96, 96, 128, 32, 1, 3, 3]
    kernel.kfree(objects[0])
    assert of_cache(kernel, "kmalloc-128") == [95, 96, 128, 32, 1, 3, 3]
    for each in objects[1:]:
        kernel.kfree(each)
    assert of_cache(kernel, "kmalloc-128") == [32, 96, 128, 32, 1, 3, 3]


def test_vmallocinfo_has_a_line_for_each_area_by_address() -> None:
    kernel = Kernel(64 * MIB)
    assert vmallocinfo(kernel) == ""
    kernel.vmalloc(5000)
    user = kernel.vmalloc_user(1)
    pages = [kernel.alloc_pages(GFP_KERNEL, 0) for _ in range(2)]
    shown = kernel.vmap(pages, 2, 4, 0)
    lines = vmallocinfo(kernel)
    assert lines == (
        "0xffffc90000000000-0xffffc90000003000   12288 pages=2 vmalloc N0=2\n"
        "0xffffc90000003000-0xffffc90000005000    8192 pages=1 vmalloc user N0=1\n"
        "0xffffc90000005000-0xffffc90000008000   12288 vmap\n"
    )
    assert kernel.vrealloc(user, 9, GFP_KERNEL) == user
    assert vmallocinfo(kernel) == lines
    kernel.vunmap(shown)
    assert vmallocinfo(kernel) == "".join(lines.splitlines(keepends=True)[:2])


def test_what_waits_for_a_purge_comes_last() -> None:
    kernel = Kernel(64 * MIB)
    kernel.space.lazy_most = 1 << 20
    first = kernel.vmalloc(1)
    kernel.vmalloc(1)
    kernel.vfree(first)
    assert first == VMALLOC_START
    assert vmallocinfo(kernel) == (
        "0xffffc90000002000-0xffffc90000004000    8192 pages=1 vmalloc N0=1\n"
        "0xffffc90000000000-0xffffc90000002000    8192 unpurged vm_area\n"
    )


@pytest.mark.needs("linux")
@pytest.mark.parametrize(("name", "line"), [("buddyinfo", BUDDY), ("slabinfo", SLAB), ("vmallocinfo", AREA)])
def test_the_kernel_below_prints_lines_of_the_same_form(name: str, line: re.Pattern[str]) -> None:
    """Compare with the machine that runs the tests, as far as it shows these files."""
    try:
        lines = Path(f"/proc/{name}").read_text(encoding="ascii").splitlines(keepends=True)
    except OSError:
        pytest.skip(f"this system does not show /proc/{name}")
    if name == "slabinfo":
        assert "".join(lines[:2]) == "".join(slabinfo(Kernel(64 * MIB)).splitlines(keepends=True)[:2])
        lines = [each for each in lines[2:] if re.match(r"(dma-)?kmalloc-", each)]
    for each in lines:
        assert line.fullmatch(each), each


def test_every_file_is_there_at_any_time() -> None:
    kernel = Kernel(8 * MIB)
    while kernel.kmalloc(3000, GFP_KERNEL):
        pass
    assert set(FILES) == {"/proc/buddyinfo", "/proc/slabinfo", "/proc/vmallocinfo"}
    assert free_pages(FILES["/proc/buddyinfo"](kernel)) == kernel.frames.pages.free_pages
    assert FILES["/proc/vmallocinfo"](kernel) == ""
    active, objects, *_ = of_cache(kernel, "kmalloc-4k")
    assert active == objects > 1000
