"""Rules of the whole machine about kmalloc and its kin, and copies made in it."""

from __future__ import annotations

import ctypes

from hypothesis import strategies as st
from hypothesis.stateful import MultipleResults, consumes, multiple, rule
from tests.bench.whole_library import HUGE, MASKS, MAX_SIZE, SIZES, Library, Thing, objects
from tests.targets.binding import GFP_KERNEL, ZERO_SIZE_PTR, read
from tests.targets.probing import vector


class KmallocRules(Library):
    """kmalloc, krealloc, kfree, what overflows, what is nothing; kmemdup, kstrdup."""

    @rule(target=objects, size=SIZES, gfp=MASKS, name=st.sampled_from(["kmalloc", "kmalloc", "kzalloc"]))
    def kmalloc(self, size: int, gfp: int, name: str) -> MultipleResults[Thing]:
        return self.given(
            self.allocated(name, size, size, gfp, gfp=gfp, zero=name == "kzalloc", align=_natural(size))
        )

    @rule(
        target=objects,
        count=st.integers(1, 50),
        size=SIZES,
        gfp=MASKS,
        name=st.sampled_from(["kmalloc_array", "kcalloc"]),
    )
    def array(self, count: int, size: int, gfp: int, name: str) -> MultipleResults[Thing]:
        total = count * size
        return self.given(
            self.allocated(
                name, total, count, size, gfp, gfp=gfp, zero=name == "kcalloc", align=_natural(total)
            )
        )

    @rule(count=st.integers(2**32, 2**64 - 1) | HUGE, size=st.integers(2, 2**64 - 1) | HUGE)
    def array_that_overflows(self, count: int, size: int) -> None:
        if count * size >= 2**64:
            for name in ("kmalloc_array", "kcalloc", "kvmalloc_array", "kvcalloc"):
                assert self.step(name, count, size, GFP_KERNEL) == 0, "a product that overflows"
            assert self.step("vmalloc_array", count, size) == self.step("vcalloc", count, size) == 0

    @rule(huge=HUGE)
    def too_much(self, huge: int) -> None:
        assert self.step("kmalloc", MAX_SIZE + 1, GFP_KERNEL) == self.step("kmalloc", huge, GFP_KERNEL) == 0
        assert self.step("__get_free_pages", GFP_KERNEL, 11) == 0
        assert self.step("vmalloc", huge) == 0
        assert self.step("kvmalloc", huge, GFP_KERNEL) == self.step("vmalloc_32", huge) == 0

    @rule(gfp=MASKS)
    def nothing(self, gfp: int) -> None:
        for name in ("kmalloc", "kzalloc", "kvmalloc"):
            assert self.step(name, 0, gfp, gfp=gfp) == ZERO_SIZE_PTR, "no ZERO_SIZE_PTR"
        assert self.step("vmalloc", 0) == 0
        for address in (0, ZERO_SIZE_PTR):
            for name in ("kfree", "kfree_sensitive", "kvfree"):
                self.step(name, address)
            if self.kmem.has_ksize:
                assert self.step("ksize", address) == 0
        self.step("free_pages", 0, 0)
        self.step("vfree", 0)
        self.step("kmem_cache_destroy", 0)

    @rule(target=objects, thing=consumes(objects), size=SIZES, gfp=MASKS)
    def krealloc(self, thing: Thing, size: int, gfp: int) -> MultipleResults[Thing]:
        return self.resized(thing, "krealloc", size, size, gfp, gfp=gfp, free=("kfree", Thing, None))

    @rule(target=objects, thing=consumes(objects), count=st.integers(1, 20), size=SIZES, gfp=MASKS)
    def krealloc_array(self, thing: Thing, count: int, size: int, gfp: int) -> MultipleResults[Thing]:
        assert self.step("krealloc_array", thing.address, 2**63, 2 + count, gfp, gfp=gfp) == 0
        return self.resized(
            thing, "krealloc_array", count * size, count, size, gfp, gfp=gfp, free=("kfree", Thing, None)
        )

    @rule(thing=consumes(objects))
    def krealloc_to_nothing(self, thing: Thing) -> None:
        self.resized(thing, "krealloc", 0, 0, GFP_KERNEL, gfp=GFP_KERNEL, free=("kfree", Thing, None))

    @rule(thing=consumes(objects), name=st.sampled_from(["kfree", "kfree", "kfree_sensitive", "kvfree"]))
    def kfree(self, thing: Thing, name: str) -> None:
        self.leave(thing)
        self.step(name, thing.address)

    @rule(things=st.lists(consumes(objects), min_size=1, max_size=5))
    def kfree_bulk(self, things: list[Thing]) -> None:
        for thing in things:
            self.leave(thing)
        self.step("kfree_bulk", len(things), vector([thing.address for thing in things]))

    @rule(size=SIZES)
    def roundup(self, size: int) -> None:
        if size <= MAX_SIZE and self.kmem.has_ksize:
            address = self.step("kmalloc", size, GFP_KERNEL)
            if address:
                assert size <= self.step("kmalloc_size_roundup", size) <= self.step("ksize", address)
                self.step("kfree", address)

    @rule(target=objects, thing=objects, part=st.integers(1, 100))
    def kmemdup(self, thing: Thing, part: int) -> MultipleResults[Thing]:
        size = min(len(thing.content), part)
        if not thing.alive or not size:
            return multiple()
        copy = self.step("kmemdup", thing.address, size, GFP_KERNEL)
        return self.copied(copy, thing.content[:size])

    @rule(target=objects, length=st.integers(0, 300) | st.just(70_000), most=st.integers(0, 300) | st.none())
    def kstrdup(self, length: int, most: int | None) -> MultipleResults[Thing]:
        text = (b"kmem" * (length // 4 + 1))[:length]
        if most is None:
            return self.copied(self.step("kstrdup", vector_of(text), GFP_KERNEL), text + b"\0")
        copy = self.step("kstrndup", vector_of(text), most, GFP_KERNEL)
        return self.copied(copy, text[:most] + b"\0")

    def copied(self, address: int, content: bytes) -> MultipleResults[Thing]:
        """Check a copy, and let it live."""
        if not address:
            return multiple()
        assert read(address, len(content)) == content, "the copy differs"
        usable = self.call("ksize", address) if self.kmem.has_ksize else len(content)
        assert usable >= len(content), "usable size is less than the copy"
        thing = Thing(address, len(content), usable, b"")
        self.enter(thing, usable, ("kfree", Thing, None))
        return multiple(thing)


def _natural(size: int) -> int:
    """Return the alignment that kmalloc owes."""
    return size if size >= 8 and size & (size - 1) == 0 else 8


def vector_of(text: bytes) -> int:
    """Return the address of a string that lives for ever."""
    buffer = ctypes.create_string_buffer(text)
    Library.kept.append(buffer)
    return ctypes.addressof(buffer)
