"""Phases of slab caches: shapes, constructors, twins, bulk, and cycles of each."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from typing import Final

from kmem_oracle.generate.draws import Draws, repeated
from kmem_oracle.language.script import Op
from kmem_spec.gfp import ZERO

HWCACHE_ALIGN: Final = 0x2000
SMALL_SIZES: Final = (1, 7, 8, 9, 16, 24, 31, 40, 56, 63, 64, 65, 96, 100, 120, 128, 192, 200, 256, 320)
SIZES: Final = (
    *SMALL_SIZES,
    *(500, 512, 700, 1000, 1024, 1360, 2000, 2048, 3000, 4000, 4096, 4097, 6000, 8192, 9000, 12000, 20000),
)
ALIGNS: Final = (0, 8, 16, 32, 64, 128, 256, 512, 4096)
SLABS: Final = 40 << 10  # bytes of objects that need more than one slab, however large a slab is


class CachePhases(Draws):
    """Phases for targets with kmem_cache_create, kmem_cache_alloc and kmem_cache_free."""

    def caches(self, turn: int) -> Iterator[Op]:
        """Caches of all shapes: slabs that fill, empty but for survivors, shrink and fill again."""
        for size in self.random.sample(SIZES, 14) if turn else SIZES[::-4]:
            align = self.random.choice(ALIGNS) if self.random.random() < 0.5 else 0
            flags = HWCACHE_ALIGN if self.random.random() < 0.4 else 0
            cache, create = self.create(size, align, flags)
            yield create
            yield from self.use_cache(cache, size, turn)
            yield from self.destroy(cache)
        for size in (self.profile.kmalloc_max + 1, 1 << 31):
            cache, create = self.create(size, 0, 0)
            yield create
            yield from self.destroy(cache)
        yield from self.destroy(0)

    def constructors(self, turn: int) -> Iterator[Op]:
        """Caches with constructors, and destructors where the target has them: reuse, shrink, reuse."""
        sizes = self.random.sample(SIZES[:32], 6) if turn else (3000, 1000, 256, 100, 64, 40, 8)
        for number, size in enumerate(sizes):
            destructor = "kmem_cache_create_26" in self.apis and number % 2 == 0
            align = self.random.choice((0, 0, 64, 128))
            cache, create = self.create(size, align, 0, constructor=True, destructor=destructor)
            yield create
            yield from self.use_cache(cache, size, turn, constructed=True)
            yield from self.destroy(cache)

    def twins(self, turn: int) -> Iterator[Op]:
        """Pairs of equal caches: one is destroyed and made again while objects of the other live."""
        for constructor in (False, True):
            for size in self.random.sample(SIZES[:30], 3 if turn else 4):
                (one, make_one), (two, make_two) = (
                    self.create(size, 0, 0, constructor=constructor) for _ in range(2)
                )
                yield make_one
                yield make_two
                mine: list[int] = []
                others: list[int] = []
                for _ in range(min(60, SLABS // size)):
                    for cache, items in ((one, mine), (two, others)):
                        items.append(self.new())
                        yield Op("kmem_cache_alloc", items[-1], (cache, self.gfp() & ~ZERO))
                yield from self.free_all(one, mine)
                yield from self.destroy(one)
                for item in others[::7]:
                    yield Op("check", 0, (item,))
                three, make_three = self.create(size, 0, 0, constructor=constructor)
                yield make_three
                again = [self.new() for _ in range(20)]
                for item in again:
                    yield Op("kmem_cache_alloc", item, (three, self.bases[0]))
                yield from self.free_all(two, others)
                yield from self.free_all(three, again)
                yield from self.destroy(two)
                yield from self.destroy(three)

    def many_caches(self, turn: int) -> Iterator[Op]:
        """Many caches at once, created and destroyed in any order."""
        live: list[tuple[int, list[int]]] = []
        for _ in range(120 if turn == 0 else 300):
            if len(live) < 40 or self.random.random() < 0.4:
                size = self.random.choice(SIZES)
                constructor = self.random.random() < 0.3
                cache, create = self.create(size, self.random.choice(ALIGNS[:6]), 0, constructor=constructor)
                yield create
                items = [self.new() for _ in range(self.random.randrange(5))]
                for item in items:
                    yield Op("kmem_cache_alloc", item, (cache, self.bases[0]))
                live.append((cache, items))
            else:
                cache, items = live.pop(self.random.randrange(len(live)))
                yield from self.free_all(cache, items)
                yield from self.destroy(cache)
        for cache, items in live:
            yield from self.free_all(cache, items)
            yield from self.destroy(cache)

    def cache_cycles(self, turn: int) -> Iterator[Op]:
        """One cache used over and over."""
        gfp = self.bases[0]
        size = (8192, 4096, 2048, 1024)[turn % 4]
        cache, create = self.create(size, 0, 0)
        yield create
        one = self.new()
        yield from repeated(
            450, Op("kmem_cache_alloc", one, (cache, gfp)), Op("kmem_cache_free", 0, (cache, one))
        )
        items = [self.new() for _ in range(131_072 // size)]
        fill = [Op("kmem_cache_alloc", item, (cache, gfp)) for item in items]
        empty = [Op("kmem_cache_free", 0, (cache, item)) for item in items]
        shrink = [Op("kmem_cache_shrink", 0, (cache,))] if "kmem_cache_shrink" in self.apis else []
        yield from repeated(20, *fill, *empty, *shrink)
        yield from repeated(100 if turn == 0 else 800, *fill, *empty)
        if self.has("kmem_cache_alloc_bulk", "kmem_cache_free_bulk"):
            base = self.new(16)
            yield from repeated(
                60 if turn == 0 else 2000,
                Op("kmem_cache_alloc_bulk", base, (cache, gfp, 16, 0)),
                Op("kmem_cache_free_bulk", 0, (cache, 16, base)),
            )
        yield from self.destroy(cache)

    def cache_births(self, turn: int) -> Iterator[Op]:
        """Caches created, filled and destroyed over and over."""
        gfp = self.bases[0]
        if "kmem_cache_destroy" in self.apis:
            size = (120_000, 3000, 20_000)[turn % 3]
            large, create = self.create(size, 0, 0, constructor=turn % 3 == 1)
            items = [self.new() for _ in range(2 if turn == 0 else 6)]
            fill = [Op("kmem_cache_alloc", item, (large, gfp)) for item in items]
            empty = [Op("kmem_cache_free", 0, (large, item)) for item in items]
            yield from repeated(650 if turn == 0 else 3000, create, *fill, *empty, *self.destroy(large))

    def use_cache(self, cache: int, size: int, turn: int, *, constructed: bool = False) -> Iterator[Op]:
        """Use one cache in all ways that its calls allow."""
        count = max(8, min(330, SLABS // size)) * (1 if turn == 0 else 2)
        shrink = [Op("kmem_cache_shrink", 0, (cache,))] if "kmem_cache_shrink" in self.apis else []
        for alike in (True, constructed):
            items = yield from self.fill(cache, count, alike)
            survivors = self.random.sample(items, 3)
            yield from self.free_all(cache, [item for item in items if item not in survivors])
            yield from shrink
            for item in survivors:
                yield Op("check", 0, (item,))
            more = yield from self.fill(cache, count // 2, alike)
            yield from self.free_all(cache, survivors + more)
        yield from shrink
        if self.has("kmem_cache_alloc_bulk", "kmem_cache_free_bulk"):
            for number in (1, 5, 16, min(200, count), 0):
                base = self.new(max(number, 1))
                yield Op("kmem_cache_alloc_bulk", base, (cache, self.gfp() & ~ZERO, number, 0))
                if number:
                    yield Op("kmem_cache_free_bulk", 0, (cache, number, base))
        if "kmem_cache_size" in self.apis:
            yield Op("kmem_cache_size", 0, (cache,))

    def fill(self, cache: int, count: int, alike: bool) -> Generator[Op, None, list[int]]:
        """Make objects, alike or some of them zeroed; return their ids."""
        items = [self.new() for _ in range(count)]
        same = self.gfp() & ~ZERO  # objects made alike make a short reproducer
        for item in items:
            zeroed = not alike and self.random.random() < 0.3
            mask = self.gfp() & ~ZERO if self.random.random() < 0.05 and not alike else same
            if zeroed and "kmem_cache_zalloc" in self.apis and self.random.random() < 0.6:
                yield Op("kmem_cache_zalloc", item, (cache, mask))
            else:
                yield Op("kmem_cache_alloc", item, (cache, mask | ZERO if zeroed else mask))
        return items

    def free_all(self, cache: int, items: Sequence[int]) -> Iterator[Op]:
        """Free objects in some order."""
        order = list(items)
        style = self.random.randrange(4)
        if style == 0:
            order.reverse()
        elif style == 1:
            self.random.shuffle(order)
        elif style == 2:
            order = order[::2] + order[1::2]
        for item in order:
            yield Op("kmem_cache_free", 0, (cache, item))

    def create(
        self, size: int, align: int, flags: int, *, constructor: bool = False, destructor: bool = False
    ) -> tuple[int, Op]:
        """Return a new id and the call that creates the cache."""
        cache = self.new()
        if destructor or "kmem_cache_create" not in self.apis:
            args = (1, size, align, flags, int(constructor), int(destructor))
            return cache, Op("kmem_cache_create_26", cache, args)
        return cache, Op("kmem_cache_create", cache, (1, size, align, flags, int(constructor)))

    def destroy(self, cache: int) -> list[Op]:
        """Return the call that destroys a cache, if the target has one."""
        return [Op("kmem_cache_destroy", 0, (cache,))] if "kmem_cache_destroy" in self.apis else []
