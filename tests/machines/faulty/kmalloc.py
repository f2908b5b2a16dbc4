"""Kernels whose answers are wrong, each in one way: those of kmalloc and copies."""

from __future__ import annotations

from kmem_model.free_lists import FreeLists
from kmem_model.kernel import Kernel
from kmem_spec.calls import Family
from kmem_spec.gfp import ZERO
from kmem_spec.slab import CLASS_SIZES
from kmem_spec.units import SIZE_MAX, ZERO_SIZE_PTR

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


class SmallNumber(Kernel):
    def kmalloc(self, size: int, gfp: int) -> int:
        return ZERO_SIZE_PTR if size in range(1, 9) else super().kmalloc(size, gfp)


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
        if 32 < size <= 64 and self.last and self.caches.find(self.last):
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
