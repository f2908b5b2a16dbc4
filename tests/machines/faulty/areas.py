"""Kernels whose answers are wrong, each in one way: those of areas."""

from __future__ import annotations

from collections.abc import Sequence

from kmem_model.kernel import Kernel
from kmem_model.view import View
from kmem_spec.area import is_vmalloc_addr
from kmem_spec.units import NULL, PAGE_SHIFT, PAGE_SIZE, SIZE_MAX

MIB = 1 << 20


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
