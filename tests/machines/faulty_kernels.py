"""Kernels that answer wrongly, each in one way; the judge has to name the clause."""

from __future__ import annotations

from collections.abc import Sequence

from kmem_model.core import Block
from kmem_model.free_lists import FreeLists, Hook
from kmem_model.kernel import Kernel
from kmem_model.mempool import Pool
from kmem_model.view import View
from kmem_spec.area import is_vmalloc_addr
from kmem_spec.calls import Family
from kmem_spec.gfp import DMA, NOFAIL, ZERO, has
from kmem_spec.slab import CLASS_SIZES
from kmem_spec.units import NULL, PAGE_SHIFT, PAGE_SIZE, SIZE_MAX, ZERO_SIZE_PTR, pages_for

MIB = 1 << 20


class ZeroIsNull(Kernel):
    def kmalloc(self, size: int, gfp: int) -> int:
        return super().kmalloc(size, gfp) if size else 0


class NoMaximum(Kernel):
    def kmalloc(self, size: int, gfp: int) -> int:
        return super().kmalloc(min(size, 4 * MIB), gfp)


class WrappingProduct(Kernel):
    def kmalloc_array(self, n: int, size: int, gfp: int) -> int:
        return self.kmalloc(n * size & SIZE_MAX, gfp)


class ClassTooSmall(Kernel):
    def kmalloc(self, size: int, gfp: int) -> int:
        return super().kmalloc(size - 1 if size > 1 else size, gfp)


class ErrorPointer(Kernel):
    def __init__(self, memory_bytes: int) -> None:
        super().__init__(memory_bytes)
        self.api["kmalloc"] = self.failing

    def failing(self, size: int, gfp: int) -> int:
        p = super().kmalloc(size, gfp)
        return SIZE_MAX - 11 if p == 0 and size <= 4 * MIB else p


class OddClass(Kernel):
    """Slots are a word too large, so that no class is aligned to its size."""

    def __init__(self, memory_bytes: int) -> None:
        super().__init__(memory_bytes)
        for place, size in enumerate(CLASS_SIZES):
            lists = self.caches.create(f"kmalloc-{size}", size + 8, 8)
            assert lists is not None
            self._normal[place] = lists


class ShiftedClass(Kernel):
    """Objects of 96 bytes begin 8 bytes late, in the room that their slabs have left."""

    def kmalloc(self, size: int, gfp: int) -> int:
        if not 64 < size <= 96:
            return super().kmalloc(size, gfp)
        p = super().kmalloc(size, gfp & ~ZERO)
        if p == 0:
            return 0
        if gfp & ZERO:
            self.memory.zero(p + 8, 96)
        return p + 8

    def family_at(self, address: int) -> Family | None:
        return super().family_at(self._true(address))

    def room_at(self, address: int) -> int:
        return super().room_at(self._true(address))

    def _own(self, p: int, *, freeing: bool) -> tuple[FreeLists, int, int] | None:
        return super()._own(self._true(p), freeing=freeing)

    def _true(self, p: int) -> int:
        found = self.caches.find(p - 8)
        return p - 8 if found and found[0].cache.slot == 96 else p


class GivenTwice(Kernel):
    last = 0

    def kmalloc(self, size: int, gfp: int) -> int:
        if size > 32 and self.last and self.caches.find(self.last):
            if gfp & ZERO:
                self.memory.zero(self.last, size)
            return self.last
        p = super().kmalloc(size, gfp)
        if size == 64:
            self.last = p
        return p


class NoZeroing(Kernel):
    def kzalloc(self, size: int, gfp: int) -> int:
        return self.kmalloc(size, gfp & ~ZERO)


class NoFlaggedZeroing(Kernel):
    def get_free_pages(self, gfp: int, order: int) -> int:
        return super().get_free_pages(gfp & ~ZERO, order)


class OneTooMany(Kernel):
    def kzalloc(self, size: int, gfp: int) -> int:
        p = super().kzalloc(size, gfp)
        if p > ZERO_SIZE_PTR:
            self.memory.zero(p + self.ksize(p), 1)
        return p


class NothingKept(Kernel):
    def krealloc(self, p: int, size: int, gfp: int) -> int:
        new = super().krealloc(p, size, gfp)
        if new not in (p, 0, ZERO_SIZE_PTR) and p > ZERO_SIZE_PTR:
            self.memory.fill(new, min(size, 8), 0)
        return new


class SpoiledByFailure(Kernel):
    def krealloc(self, p: int, size: int, gfp: int) -> int:
        new = super().krealloc(p, size, gfp)
        if new == 0 and p > ZERO_SIZE_PTR:
            self.memory.fill(p, 1, 0)
        return new


class NullForFreed(Kernel):
    def krealloc(self, p: int, size: int, gfp: int) -> int:
        new = super().krealloc(p, size, gfp)
        return 0 if size == 0 and p > ZERO_SIZE_PTR else new


class DirtyTail(Kernel):
    def krealloc(self, p: int, size: int, gfp: int) -> int:
        return super().krealloc(p, size, gfp & ~ZERO if p > ZERO_SIZE_PTR else gfp)


class GrowingSize(Kernel):
    """ksize tells more when it is asked again."""

    def __init__(self, memory_bytes: int) -> None:
        super().__init__(memory_bytes)
        self.asked: set[int] = set()
        self.api["ksize"] = self.grown

    def kmalloc(self, size: int, gfp: int) -> int:
        p = super().kmalloc(size, gfp)
        self.asked.discard(p)
        return p

    def krealloc(self, p: int, size: int, gfp: int) -> int:
        new = super().krealloc(p, size, gfp)
        self.asked.discard(new)
        return new

    def grown(self, p: int) -> int:
        again = p in self.asked
        self.asked.add(p)
        return super().ksize(p) + (8 if again and p > ZERO_SIZE_PTR else 0)


class NoMaximumOrder(Kernel):
    def get_free_pages(self, gfp: int, order: int) -> int:
        return super().get_free_pages(gfp, min(order, 10))


class ShiftedBlocks(Kernel):
    def get_free_pages(self, gfp: int, order: int) -> int:
        address = super().get_free_pages(gfp, 3 if order == 2 else order)
        return address + PAGE_SIZE if address and order == 2 else address


class AnyZone(Kernel):
    def get_free_pages(self, gfp: int, order: int) -> int:
        return super().get_free_pages(gfp & ~DMA, order)


class ExactShort(Kernel):
    """The last of several exact pages is free again."""

    def alloc_pages_exact(self, size: int, gfp: int) -> int:
        pages = pages_for(size)
        if pages < 2 or pages > 1024:
            return super().alloc_pages_exact(size, gfp)
        start = super().alloc_pages_exact(size - PAGE_SIZE, gfp)
        if start != NULL:
            self.blocks.records.put(start, Block("exact", 0, size))
        return start

    def free_pages_exact(self, address: int, size: int) -> None:
        block = self.block_at(address)
        if block.family == "exact" and block.size == size and pages_for(size) > 1:
            size -= PAGE_SIZE
            self.blocks.records.put(address, Block("exact", 0, size))
        super().free_pages_exact(address, size)


class PageTwice(Kernel):
    def alloc_pages_bulk(self, gfp: int, count: int) -> list[int]:
        pages = super().alloc_pages_bulk(gfp, count)
        return [*pages, pages[-1]] if 1 < len(pages) < count or len(pages) > 2 else pages


class OrderTooLarge(Kernel):
    def get_order(self, size: int) -> int:
        order = super().get_order(size)
        return order + 1 if size == PAGE_SIZE << order else order


class NofailFails(Kernel):
    """Every second request that may not fail does."""

    tries = 0

    def get_free_pages(self, gfp: int, order: int) -> int:
        self.tries += has(gfp, NOFAIL)
        return NULL if has(gfp, NOFAIL) and self.tries % 2 else super().get_free_pages(gfp, order)


class Restless(Kernel):
    def get_free_pages(self, gfp: int, order: int) -> int:
        address = super().get_free_pages(gfp, order)
        self.slept = True
        return address


class NotConstructed(Kernel):
    def _create(
        self, name: bytes | None, size: int, align: int, flags: int, ctor: Hook | None, dtor: Hook | None
    ) -> int:
        return super()._create(name, size, align, flags, None, None)


class ConstructedAgain(Kernel):
    def kmem_cache_alloc(self, cache: int, gfp: int) -> int:
        address = super().kmem_cache_alloc(cache, gfp)
        ctor = self.slab_caches[cache].lists.ctor
        if address and ctor is not None:
            ctor(address)
        return address


class NotDestructed(Kernel):
    def _create(
        self, name: bytes | None, size: int, align: int, flags: int, ctor: Hook | None, dtor: Hook | None
    ) -> int:
        return super()._create(name, size, align, flags, ctor, None)


class OtherConstructor(Kernel):
    """A cache runs the constructor of the cache before it."""

    before: Hook | None = None

    def _create(
        self, name: bytes | None, size: int, align: int, flags: int, ctor: Hook | None, dtor: Hook | None
    ) -> int:
        wrong = self.before if ctor is not None and self.before is not None else ctor
        self.before = ctor or self.before
        return super()._create(name, size, align, flags, wrong, dtor)


class BulkPartial(Kernel):
    def kmem_cache_alloc_bulk(self, cache: int, gfp: int, count: int) -> list[int]:
        given = super().kmem_cache_alloc_bulk(cache, gfp, count)
        if len(given) > 2:
            self.kmem_cache_free(cache, given.pop())
        return given


class CachesAnywhere(Kernel):
    def _create(
        self, name: bytes | None, size: int, align: int, flags: int, ctor: Hook | None, dtor: Hook | None
    ) -> int:
        return super()._create(name, size, 0, 0, ctor, dtor)


class CacheSizeLess(Kernel):
    def kmem_cache_size(self, cache: int) -> int:
        return max(super().kmem_cache_size(cache) - 8, 0)


class CopyShort(Kernel):
    def kmemdup(self, source: int, length: int, gfp: int) -> int:
        new = super().kmemdup(source, length, gfp)
        if new > ZERO_SIZE_PTR:
            self.memory.zero(new + length - 1, 1)
        return new


class NoNul(Kernel):
    def kstrdup(self, source: int, gfp: int) -> int:
        new = super().kstrdup(source, gfp)
        if new:
            self.memory.fill(new, self.ksize(new), 1)
        return new


class RoundedDown(Kernel):
    def kmalloc_size_roundup(self, size: int) -> int:
        return super().kmalloc_size_roundup(size) & ~0xFF


class AreaNotZeroed(Kernel):
    def vzalloc(self, size: int) -> int:
        return self.vmalloc(size)


class AreaForNothing(Kernel):
    def make_area(self, size: int, gfp: int) -> int:
        return super().make_area(size or 1, gfp)


class AreaWraps(Kernel):
    def make_area(self, size: int, gfp: int) -> int:
        return super().make_area(size if size < 1 << 32 else size & 0xFFFFFFFF or 1, gfp)


class AreaArrayWraps(Kernel):
    def _make_array(self, n: int, size: int, gfp: int) -> int:
        return self.make_area(n * size & SIZE_MAX, gfp)


class FramesReversed(Kernel):
    def vmap(self, pages: Sequence[int], count: int, flags: int, prot: int) -> int:
        return super().vmap(pages[::-1], count, flags, prot)


class AreaMovedEmpty(Kernel):
    def resize_area(self, p: int, size: int, gfp: int) -> int:
        new = super().resize_area(p, size, gfp)
        if new not in (NULL, p) and p != NULL:
            self.view.zero(new, 1)
        return new


class NoArea(Kernel):
    def is_vmalloc_addr(self, address: int) -> int:
        return int(is_vmalloc_addr(address + PAGE_SIZE) and address >> PAGE_SHIFT & 1)


class OneFrameForTwo(Kernel):
    """Every second page of an area shows the frame of the page before."""

    def __init__(self, memory_bytes: int) -> None:
        super().__init__(memory_bytes)
        self.view = SharedView(self.memory, self.space.areas)


class SharedView(View):
    """Memory in which two pages have one frame."""

    def frame_at(self, address: int) -> int | None:
        before = super().frame_at(address - PAGE_SIZE)
        odd = address >> PAGE_SHIFT & 1
        return before if odd and before is not None else super().frame_at(address)


class KvArrayWraps(Kernel):
    def kvmalloc_array(self, n: int, size: int, gfp: int) -> int:
        self.may_ask(gfp)
        return self.kvmalloc(n * size & SIZE_MAX, gfp)


class KvTooLarge(Kernel):
    def kvmalloc(self, size: int, gfp: int) -> int:
        return super().kvmalloc(size if size < 1 << 31 else 64, gfp)


class KvUnaligned(Kernel):
    def _lend(self, p: int) -> int:
        return super()._lend(p) + 4 if p > ZERO_SIZE_PTR else p

    def kvfree(self, p: int) -> None:
        super().kvfree(p - 4 if p % 8 == 4 else p)

    def kvrealloc(self, p: int, size: int, gfp: int) -> int:
        return super().kvrealloc(p - 4 if p % 8 == 4 else p, size, gfp)


class BrokenReserve(Kernel):
    """A pool never touches its reserve."""

    def mempool_alloc(self, handle: int, gfp: int) -> int:
        pool = self._pool(handle)
        kept, pool.reserve = pool.reserve, []
        try:
            return super().mempool_alloc(handle, gfp)
        finally:
            pool.reserve = kept


class Impatient(Kernel):
    """A pool whose callers do not wait."""

    def _wait(self, pool: Pool, mask: int) -> int:
        return NULL


class ElementTwice(Kernel):
    """Every third element is one that is out already."""

    tries = 0

    def mempool_alloc(self, handle: int, gfp: int) -> int:
        self.tries += 1
        out = self._pool(handle).out
        return max(out) if out and self.tries % 3 == 0 else super().mempool_alloc(handle, gfp)
