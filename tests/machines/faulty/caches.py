"""Kernels whose answers are wrong, each in one way: those of slab caches."""

from __future__ import annotations

from kmem_model.free_lists import Hook
from kmem_model.kernel import Kernel

MIB = 1 << 20


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


class CacheTooLarge(Kernel):
    def _create(
        self, name: bytes | None, size: int, align: int, flags: int, ctor: Hook | None, dtor: Hook | None
    ) -> int:
        return super()._create(name, size if size <= 4 * MIB else 4096, align, flags, ctor, dtor)


class CacheSizeLess(Kernel):
    def kmem_cache_size(self, cache: int) -> int:
        return max(super().kmem_cache_size(cache) - 8, 0)
