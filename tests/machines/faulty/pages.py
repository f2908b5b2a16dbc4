"""Kernels whose answers are wrong, each in one way: those of pages."""

from __future__ import annotations

from kmem_model.core import Block
from kmem_model.kernel import Kernel
from kmem_spec.gfp import DMA, NOFAIL, ZERO, has
from kmem_spec.units import NULL, PAGE_SIZE, pages_for

MIB = 1 << 20


class NoFlaggedZeroing(Kernel):
    def get_free_pages(self, gfp: int, order: int) -> int:
        return super().get_free_pages(gfp & ~ZERO, order)


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
