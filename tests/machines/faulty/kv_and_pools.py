"""Kernels whose answers are wrong, each in one way: those of the kv family and of mempools."""

from __future__ import annotations

from kmem_model.kernel import Kernel
from kmem_model.mempool import Pool
from kmem_spec.units import NULL, SIZE_MAX, ZERO_SIZE_PTR

MIB = 1 << 20


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
