"""Phases of what is built on kmalloc: copies, arrays that grow, frees of several, mempools."""

from __future__ import annotations

from collections.abc import Iterator

from kmem_oracle.generate.draws import Draws, repeated
from kmem_oracle.language.script import Op
from kmem_spec.gfp import GFP_NOWAIT, ZERO
from kmem_spec.units import SIZE_MAX

OVERFLOWS = ((1 << 61, 8), (1 << 32, 1 << 32), (SIZE_MAX, 2), (2, 1 << 63), (3, 1 << 63))
SIZES = (1, 2, 7, 8, 9, 31, 32, 33, 63, 64, 65, 96, 100, 128, 192, 200, 500, 1000, 4096, 5000, 9000)


class CopyPhases(Draws):
    """Phases for targets with kmemdup and its like, krealloc_array, kfree_bulk, mempool_create."""

    def copies(self, _turn: int) -> Iterator[Op]:
        """Copies of objects and of strings, whole and cut, and of nothing."""
        for size in SIZES:
            source = self.new()
            yield Op("kmalloc", source, (size, self.bases[0]))
            made: list[int] = []
            if "kmemdup" in self.apis:
                for part in sorted({1, size // 2, size - 1, size} - {0}):
                    made.append(self.new())
                    yield Op("kmemdup", made[-1], (source, part, self.gfp() & ~ZERO))
            if "kstrdup" in self.apis:
                made.append(self.new())
                yield Op("kstrdup", made[-1], (source, self.gfp() & ~ZERO))
            if "kstrndup" in self.apis:
                for most in sorted({0, 1, size // 2, max(0, size - 2), size - 1, size, size * 2}):
                    made.append(self.new())
                    yield Op("kstrndup", made[-1], (source, most, self.gfp() & ~ZERO))
            yield Op("check", 0, (source,))
            for item in [source, *made] if size % 2 else [*made, source]:
                yield Op("kfree", 0, (item,))
        for api in ("kstrdup", "kstrndup"):
            if api in self.apis:
                yield Op(api, self.new(), (0, 5, self.bases[0]) if api == "kstrndup" else (0, self.bases[0]))

    def several(self, turn: int) -> Iterator[Op]:
        """Arrays that grow and overflow, frees of several at once, and frees that wipe."""
        if "krealloc_array" in self.apis:
            for size in (1, 8, 24, 100, 1000):
                item = self.new()
                zero = self.random.choice((0, ZERO))
                mask = self.bases[0] | zero
                yield Op("kmalloc", item, (4 * size, mask))
                for count in (8, 2, 16, 3, 33):
                    yield Op("krealloc_array", item, (item, count, size, mask))
                for count, each in OVERFLOWS:
                    yield Op("krealloc_array", item, (item, count, each, mask))
                yield Op("check", 0, (item,))
                yield Op("kfree", 0, (item,))
        if "kfree_sensitive" in self.apis:
            for size in SIZES:
                items = [self.new() for _ in range(8)]
                for item in items:
                    yield Op("kmalloc", item, (size, self.bases[0]))
                for item in items[::2]:
                    yield Op("kfree_sensitive", 0, (item,))
                for item in items[1::2]:
                    yield Op("kfree", 0, (item,))
            for item in (0, -1):
                yield Op("kfree_sensitive", 0, (item,))
        if "kfree_bulk" in self.apis:
            for count in (1, 2, 16, 60):
                first = self.new(count)
                for item in range(first, first + count):
                    yield Op("kmalloc", item, (self.random.choice(SIZES), self.bases[0]))
                yield Op("kfree_bulk", 0, (count, first))
                for item in range(first, first + count):  # it is skipped where one of them was not made
                    yield Op("kfree", 0, (item,))
        if "is_vmalloc_addr" in self.apis:
            for size in (1, 4096, 100_000):
                item = self.new()
                yield Op("kmalloc", item, (size, self.bases[0]))
                yield Op("is_vmalloc_addr", 0, (item, size - 1))
                yield Op("kfree", 0, (item,))

    def several_leaks(self, turn: int) -> Iterator[Op]:
        """Objects freed several at once, over and over."""
        first = self.new(16)
        if turn:
            fill = [Op("kmalloc", item, (4096, self.bases[0])) for item in range(first, first + 16)]
            return repeated(900, *fill, Op("kfree_bulk", 0, (16, first)))
        fill = [Op("kmalloc", item, (1 << 19, self.bases[0])) for item in range(first, first + 4)]
        ends = [Op("kfree", 0, (item,)) for item in range(first, first + 4)]  # of what was not all made
        return repeated(170, *fill, Op("kfree_bulk", 0, (4, first)), *ends)

    def pools_of(self, turn: int) -> Iterator[Op]:
        """Pools whose allocator works, fails and works again: the reserve is always to be had."""
        shapes = ((1, 64), (4, 100), (3, 4096), (16, 24)) if turn == 0 else ((8, 512), (2, 9000))
        for place, (number, size) in enumerate(shapes):
            pool, first, cache = self.new(), self.new(number + 3), 0
            if (place + turn) % 2 and self.has("mempool_create_slab_pool", "kmem_cache_create"):
                cache = self.new()
                yield Op("kmem_cache_create", cache, (1, size, 0, 0, 0))
                yield Op("mempool_create_slab_pool", pool, (number, cache))
            elif "mempool_create" in self.apis:
                yield Op("mempool_create", pool, (number, 1, 1, size))
            items = range(first, first + number + 3)
            for fails in (0, 1, 1, 0):
                if not cache:
                    yield Op("mempool_fail", 0, (pool, fails))
                for item in items:
                    yield Op("mempool_alloc", item, (pool, GFP_NOWAIT if fails else self.bases[0]))
                for item in self.random.sample(items, len(items)):
                    yield Op("mempool_free", 0, (item, pool))
            yield Op("mempool_fail", 0, (pool, 0))
            others: list[int] = []
            if "mempool_resize" in self.apis:
                for wanted in (number + 2, max(1, number // 2)):
                    yield Op("mempool_resize", 0, (pool, wanted))
                    for _ in range(6 if self.has("kmalloc", "kfree") else 0):
                        others.append(self.new())  # what the pool lost may serve others now
                        yield Op("kmalloc", others[-1], (size, self.bases[0]))
                yield Op("mempool_fail", 0, (pool, 1))
                kept = range(first, first + max(1, number // 2))
                for item in kept:
                    yield Op("mempool_alloc", item, (pool, GFP_NOWAIT))
                for item in kept:
                    yield Op("mempool_free", 0, (item, pool))
                yield Op("mempool_fail", 0, (pool, 0))
            for item in others:
                yield Op("kfree", 0, (item,))
            yield Op("mempool_free", 0, (0, pool))
            yield Op("mempool_destroy", 0, (pool,))
            if cache:
                yield Op("kmem_cache_destroy", 0, (cache,))
        yield Op("mempool_destroy", 0, (0,))
        if "mempool_create" in self.apis:
            pool, item = self.new(), self.new()
            use = Op("mempool_alloc", item, (pool, self.bases[0])), Op("mempool_free", 0, (item, pool))
            create, destroy = Op("mempool_create", pool, (8, 1, 1, 60_000)), Op("mempool_destroy", 0, (pool,))
            yield from repeated(200 if turn == 0 else 2000, create, *use, destroy)
            if "mempool_resize" in self.apis:
                smaller = Op("mempool_resize", 0, (pool, 1))
                yield from repeated(200, create, smaller, destroy)
