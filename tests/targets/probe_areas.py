"""Probes of vmalloc and vmap: what is mapped, what is not, what comes back."""

from __future__ import annotations

from itertools import pairwise

from tests.targets.binding import GFP_KERNEL, ZERO, Kmem, read, write
from tests.targets.probing import PAGE, assert_all_comes_back, every_page, filled, in_child, probe, vector


def page_address(kmem: Kmem, address: int) -> int:
    """Return the address of the page behind a place in an area."""
    page = kmem.call("vmalloc_to_page", address)
    return kmem.call("page_address", page) if page else 0


def dirty(kmem: Kmem) -> None:
    """Leave pages full of 0xff."""
    kmem.call("vfree", filled(kmem, "vmalloc", 200 * PAGE))


@probe("VM_NO_GUARD")
def a_guard_follows_each_area(kmem: Kmem) -> None:
    areas = sorted(filled(kmem, "vmalloc", PAGE) for _ in range(20))
    assert all(low + 2 * PAGE <= high for low, high in pairwise(areas))
    assert all(address % PAGE == 0 for address in areas)
    assert in_child(lambda: read(areas[0] + PAGE, 1)) in ("SIGSEGV", "SIGBUS")
    kmem.call("vfree", areas[0])
    kmem.call("vfree", filled(kmem, "vmalloc", 65 * PAGE))  # some unmap late, in batches of 64 pages
    assert in_child(lambda: read(areas[0], 1)) in ("SIGSEGV", "SIGBUS")


@probe("VM_SHORT", "VM_32_HALF")
def areas_hold_what_was_asked_for(kmem: Kmem) -> None:
    for name in ("vmalloc", "vzalloc", "vmalloc_user", "vmalloc_32"):
        for size in (1, PAGE, PAGE + 1, 8 * PAGE + 5, 70_000, 256 * PAGE):
            kmem.call("vfree", filled(kmem, name, size))
    kmem.call("vfree", 0)


@probe("VM_SHARED_FRAME", "VM_TO_PAGE_NEXT")
def each_page_has_a_frame_of_its_own(kmem: Kmem) -> None:
    area = filled(kmem, "vmalloc", 40 * PAGE)
    places = [area + i * PAGE for i in range(40)]
    frames = [page_address(kmem, place) for place in places]
    assert len(set(frames)) == 40
    assert [page_address(kmem, place + PAGE - 1) for place in places] == frames
    for i, place in enumerate(places):
        write(place + 100, bytes([i + 1]))
    assert [read(frame + 100, 1)[0] for frame in frames] == list(range(1, 41))


@probe("VM_ZERO_LAST", "VM_USER_DIRTY")
def what_is_promised_zero_is_zero(kmem: Kmem) -> None:
    for name in ("vzalloc", "vmalloc_user"):
        for size in (5000, 20 * PAGE, 21 * PAGE - 1):
            dirty(kmem)
            area = kmem.get(name, size)
            assert read(area, size) == bytes(size)
            kmem.call("vfree", area)
    dirty(kmem)
    assert read(kmem.get("vcalloc", 100, 100), 10_000) == bytes(10_000)
    assert read(kmem.get("__vmalloc", 10_000, GFP_KERNEL | ZERO), 10_000) == bytes(10_000)


@probe("VM_WRAPS", "VM_ZERO_SIZE", "VM_ARRAY_UNCHECKED")
def impossible_sizes_give_null(kmem: Kmem) -> None:
    for size in (0, 2**64 - 1, 2**64 - PAGE, 2**63, 2**40, 65 << 20):
        assert kmem.call("vmalloc", size) == 0
    for name in ("vmalloc_array", "vcalloc"):
        assert kmem.call(name, 2**62 + 1, 4) == kmem.call(name, 2**32, 2**32) == kmem.call(name, 0, 9) == 0
    area = kmem.get("vmalloc_array", 100, 100)
    write(area, b"\x11" * 10_000)


@probe("VFREE_LEAKS_FRAME")
def vfree_gives_the_pages_back(kmem: Kmem) -> None:
    assert_all_comes_back(kmem, lambda: dirty(kmem))


@probe("VFREE_LEAKS_RANGE")
def vfree_gives_the_addresses_back(kmem: Kmem) -> None:
    for _ in range(300):
        area = kmem.get("vmalloc", 1 << 20)
        assert area
        kmem.call("vfree", area)


@probe("VREALLOC_LOSES", "VREALLOC_DIRTY", "VREALLOC_FAIL_FREES")
def vrealloc_keeps_and_clears(kmem: Kmem) -> None:
    area = filled(kmem, "vmalloc", 5000, byte=0x42)
    assert kmem.call("vrealloc", area, 2**40, GFP_KERNEL) == 0
    assert read(area, 5000) == b"\x42" * 5000
    dirty(kmem)
    for size in (6000, 20_000, 300):
        area = kmem.get("vrealloc", area, size, GFP_KERNEL)
        assert read(area, min(size, 5000)) == b"\x42" * min(size, 5000)
    assert kmem.call("vrealloc", area, 0, GFP_KERNEL) == 0
    dirty(kmem)
    zeroed = kmem.get("vrealloc", 0, 5000, GFP_KERNEL | ZERO)
    for size in (6000, 30_000, 100, 8000):
        zeroed = kmem.get("vrealloc", zeroed, size, GFP_KERNEL | ZERO)
        assert read(zeroed, size) == bytes(size)


@probe("VM_ADDR_LAST")
def is_vmalloc_addr_knows_areas(kmem: Kmem) -> None:
    area, small = filled(kmem, "vmalloc", 3 * PAGE), filled(kmem, "kmalloc", 100, GFP_KERNEL)
    assert all(kmem.call("is_vmalloc_addr", area + at) for at in (0, 1, PAGE, 3 * PAGE - 1))
    assert not kmem.call("is_vmalloc_addr", small)
    assert not kmem.call("is_vmalloc_addr", 0)


@probe("VMAP_REVERSED", "VUNMAP_FREES")
def vmap_shows_pages_that_stay(kmem: Kmem) -> None:
    pages = [kmem.get("alloc_pages", GFP_KERNEL, 0) for _ in range(5)]
    starts = [kmem.call("page_address", page) for page in pages]
    for i, start in enumerate(starts):
        write(start, bytes([i + 1]) * PAGE)
    area = kmem.get("vmap", vector(pages), 5, 4, 0)
    assert read(area, 5 * PAGE) == b"".join(bytes([i + 1]) * PAGE for i in range(5))
    write(area + 2 * PAGE, b"through the area")
    assert read(starts[2], 16) == b"through the area"
    assert [page_address(kmem, area + i * PAGE) for i in range(5)] == starts
    kmem.call("vunmap", area)
    assert kmem.call("vmalloc_to_page", area) == 0
    assert not set(pages) & set(every_page(kmem))
    assert kmem.call("vmap", vector(pages), 0, 4, 0) == 0
    kmem.call("vunmap", 0)


@probe("VM_FAIL_KEEPS")
def a_vmalloc_that_fails_leaves_nothing(kmem: Kmem) -> None:
    def body() -> None:
        for nth in (1, 2, 15):
            kmem.call("kmem_oracle_fail_nth", nth)
            assert kmem.call("vmalloc", 20 * PAGE) == 0
            kmem.call("kmem_oracle_fail_nth", 0)

    assert_all_comes_back(kmem, body)
