"""Probes of copies, kvmalloc, and what is built on kmalloc."""

from __future__ import annotations

from tests.targets.binding import GFP_KERNEL, ZERO, Kmem, read, write
from tests.targets.probing import assert_all_comes_back, filled, general, probe, vector


def dirty(kmem: Kmem, size: int) -> None:
    """Leave objects of a size full of 0xff."""
    for address in [filled(kmem, "kmalloc", size, GFP_KERNEL) for _ in range(100)]:
        kmem.kfree(address)


@probe("KMEMDUP_SHORT", "KSTRDUP_NO_NUL", "KSTRNDUP_LONG")
def copies_are_true(kmem: Kmem) -> None:
    source = kmem.get("kmalloc", 64, GFP_KERNEL)
    write(source, b"hello, kernel\0" + b"\x77" * 50)
    for size in (1, 8, 13, 64):
        dirty(kmem, size)
        assert read(kmem.get("kmemdup", source, size, GFP_KERNEL), size) == read(source, size)
    dirty(kmem, 14)
    assert read(kmem.get("kstrdup", source, GFP_KERNEL), 14) == b"hello, kernel\0"
    for most, text in ((5, b"hello\0"), (13, b"hello, kernel\0"), (99, b"hello, kernel\0"), (0, b"\0")):
        dirty(kmem, len(text))
        assert read(kmem.get("kstrndup", source, most, GFP_KERNEL), len(text)) == text
    assert kmem.call("kmemdup", source, 0, GFP_KERNEL) == 16
    assert kmem.call("kstrdup", 0, GFP_KERNEL) == kmem.call("kstrndup", 0, 5, GFP_KERNEL) == 0


@probe("KREALLOC_ARRAY_FREES")
def krealloc_array_leaves_the_object_on_overflow(kmem: Kmem) -> None:
    old = filled(kmem, "kmalloc", 100, GFP_KERNEL, byte=0x42)
    assert kmem.call("krealloc_array", old, 2**62 + 1, 4, GFP_KERNEL) == 0
    others = [filled(kmem, "kmalloc", 100, GFP_KERNEL) for _ in range(100)]
    assert old not in others
    grown = kmem.get("krealloc_array", old, 100, 10, GFP_KERNEL)
    assert read(grown, 100) == b"\x42" * 100


@probe("ROUNDUP_193")
def roundup_tells_the_usable_size(kmem: Kmem) -> None:
    for size in (*range(1, 1100), 4095, 4097, 8192, 8193, 70_000, 4 << 20):
        address = kmem.get("kmalloc", size, GFP_KERNEL)
        assert kmem.call("kmalloc_size_roundup", size) == kmem.ksize(address) or not kmem.has_ksize
        assert kmem.call("kmalloc_size_roundup", size) >= size
        kmem.kfree(address)
    assert kmem.call("kmalloc_size_roundup", 0) == 0


@probe("SENSITIVE_BEYOND", "KFREE_BULK_FORGETS")
def every_free_frees_its_object_alone(kmem: Kmem) -> None:
    objects = [filled(kmem, "kmalloc", 64, GFP_KERNEL) for _ in range(40)]
    for freed in objects[::2]:
        kmem.call("kfree_sensitive", freed)
    assert all(read(address, 64) == b"\xff" * 64 for address in objects[1::2])
    kmem.call("kfree_sensitive", 0)
    kmem.call("kfree_sensitive", 16)

    def body() -> None:
        several = [kmem.get("kmalloc", 8192, GFP_KERNEL) for _ in range(12)]
        kmem.call("kfree_bulk", 12, vector(several))

    assert_all_comes_back(kmem, body)


@probe("KV_ARRAY_UNCHECKED", "KV_SIZE_32")
def impossible_kv_sizes_give_null(kmem: Kmem) -> None:
    for name in ("kvmalloc_array", "kvcalloc"):
        assert kmem.call(name, 2**62 + 1, 4, GFP_KERNEL) == kmem.call(name, 2**32, 2**32, GFP_KERNEL) == 0
    assert kmem.call("kvmalloc", 2**32 + 100, GFP_KERNEL) == kmem.call("kvmalloc", 2**31, GFP_KERNEL) == 0
    assert kmem.call("kvmalloc", 0, GFP_KERNEL) == 16
    kmem.call("kvfree", 0)
    kmem.call("kvfree", 16)


@probe("KVFREE_LEAKS_AREA", "KVZALLOC_AREA_DIRTY")
def kvmalloc_gives_either_kind_of_memory(kmem: Kmem) -> None:
    def body() -> None:
        for size in (100, 5000, 5 << 20):
            for name in ("kvmalloc", "kvzalloc"):
                address = kmem.get(name, size, GFP_KERNEL)
                if name == "kvzalloc" and address:
                    assert read(address, size).count(0) == size
                if address:  # a small arena has no 5 MiB
                    write(address, b"\xff" * size)
                kmem.call("kvfree", address)

    assert_all_comes_back(kmem, body)
    moved = filled(kmem, "kvmalloc", 3000, GFP_KERNEL, byte=0x42)
    for size in (9000, 70_000, 100):
        moved = kmem.get("kvrealloc", moved, size, GFP_KERNEL)
        assert read(moved, min(size, 3000)) == b"\x42" * min(size, 3000)


@general
def injected_failures_leave_the_old_object(kmem: Kmem) -> None:
    old = filled(kmem, "kmalloc", 100, GFP_KERNEL, byte=0x42)
    kmem.call("kmem_oracle_fail_nth", 1)
    assert kmem.call("krealloc", old, 5000, GFP_KERNEL) == 0
    assert read(old, 100) == b"\x42" * 100
    kmem.call("kmem_oracle_fail_nth", 1)
    assert kmem.call("__get_free_pages", GFP_KERNEL | ZERO, 0) == 0
    kmem.call("kmem_oracle_fail_nth", 2)
    held = [kmem.call("kmalloc", 3000, GFP_KERNEL) for _ in range(2)]
    assert held.count(0) >= 1
