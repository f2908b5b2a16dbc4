"""Phases that go through what a call can be given, one by one: masks, shapes of caches, nothing at all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from kmem_oracle.generate.cache_phases import ALIGNS, HWCACHE_ALIGN, CachePhases
from kmem_oracle.generate.draws import BASES, MODIFIERS, repeated
from kmem_oracle.language.script import ID_NULL, ID_ZERO_SIZE, Op
from kmem_spec.apis import APIS
from kmem_spec.gfp import NAMES, ZERO, mask_is_legal
from kmem_spec.slab import CLASS_SIZES
from kmem_spec.units import PAGE_SIZE

ZONES: Final = ("__GFP_DMA", "__GFP_DMA32")
WORDS: Final = (255, 256, 257, 65_535, 65_536, 65_537, 70_000)  # lengths that 8 and 16 bits cannot hold
EDGES: Final = tuple(
    sorted({size + delta for size in (8 << k for k in range(15)) for delta in (-1, 0, 1, 8)})
)
COUNTED: Final = 256  # with which a counter of 8 bits is at 0 again


class ShapePhases(CachePhases):
    """Phases about each value that matters of each argument."""

    def masks(self, turn: int) -> Iterator[Op]:
        """Every base mask with every modifier and zone, at sizes of all classes, through calls in turn."""
        sizes = [size - self.random.randrange(min(size, 8)) for size in CLASS_SIZES]
        sizes += [PAGE_SIZE * 5, 100_000]
        number = turn
        for mask in self.every_mask():
            chosen = sizes if mask & self.zones() else self.random.sample(sizes, 5)
            for size in chosen:
                number += 1
                made = self.makes(number, size, mask)
                if made is not None:
                    yield from made

    def zones(self) -> int:
        """Return the bits that name a zone."""
        names = NAMES[self.profile.gfp]
        return sum(names[zone] for zone in ZONES)

    def every_mask(self) -> list[int]:
        """Return the masks that are legal: each base alone, and with each modifier and zone."""
        names = NAMES[self.profile.gfp]
        more = [0, *(names[name] for name in (*MODIFIERS, *ZONES))]
        masks = {names[base] | bits for base in BASES for bits in more}
        return sorted(mask for mask in masks if mask_is_legal(mask))

    def makes(self, number: int, size: int, mask: int) -> list[Op] | None:
        """Return calls that make an object, look at it and free it; the families take turns."""
        item = self.new()
        choice = number % 4
        if choice == 3 and self.has("__get_free_pages", "free_pages"):
            order = number // 4 % 4
            return [Op("__get_free_pages", item, (mask, order)), Op("free_pages", 0, (item, order))]
        kvs = self.of_family("kv")
        if choice == 2 and kvs and "kvfree" in self.apis and not mask & self.zones():
            shape = (size, mask) if "count" not in APIS[kvs[0]].parameters else (1, size, mask)
            return [Op(kvs[0], item, shape), Op("kvfree", 0, (item,))]
        if not self.kmallocs:
            return None
        twice = (
            self.make(self.random.choice(self.kmallocs), size, mask),
            self.make(self.kmallocs[0], size, mask),
        )
        for made in twice:
            if self.live.pop(made.out, None):
                self.bytes -= size
        return [*twice, *(Op("kfree", 0, (made.out,)) for made in twice)]

    def nothing(self, _turn: int) -> Iterator[Op]:
        """Resizes and copies of NULL and of ZERO_SIZE_PTR, and of nothing; lengths that wrap."""
        ends = {"krealloc": "kfree", "krealloc_array": "kfree", "kvrealloc": "kvfree", "vrealloc": "vfree"}
        for api, end in ends.items():
            if not self.has(api, end):
                continue
            for was in (ID_NULL, ID_ZERO_SIZE) if end == "kfree" else (ID_NULL,):
                for size in (8, 1, 100, 5000):
                    item = self.new()
                    shape = (1, size) if api == "krealloc_array" else (size,)
                    yield Op(api, item, (was, *shape, self.bases[0]))
                    yield Op("check", 0, (item,))
                    yield Op(end, 0, (item,))
        if self.has("kmalloc", "kfree"):
            for size in (8, self.random.randrange(2, 5000), *WORDS):
                source = self.new()
                yield Op("kmalloc", source, (size, self.bases[0]))
                yield from self.copies_of(source, size)
                yield Op("kfree", 0, (source,))

    def copies_of(self, source: int, size: int) -> Iterator[Op]:
        """Copy an object in every way, and nothing of it."""
        gfp = self.bases[0]
        shapes: list[tuple[str, tuple[int, ...]]] = [
            ("kmemdup", (source, part, gfp)) for part in (0, 1, size)
        ]
        shapes += [("kstrdup", (source, gfp)), ("kstrndup", (source, size - 2, gfp))]
        for api, args in shapes:
            if api in self.apis:
                item = self.new()
                yield Op(api, item, args)
                yield Op("kfree", 0, (item,))

    def shapes(self, turn: int) -> Iterator[Op]:
        """Caches of every size around every power of two, plain, on cache lines, aligned, constructed."""
        for number, size in enumerate(EDGES):
            kinds = (
                (0, 0, False),
                (0, HWCACHE_ALIGN, number % 2 == 0),
                (ALIGNS[(number + turn) % 7], 0, number % 2 == 1),
            )
            for align, flags, constructor in kinds if size < 1 << 15 or turn else kinds[:1]:
                cache, create = self.create(size, align, flags, constructor=constructor)
                yield create
                yield from self.look(cache, constructed=constructor)
                yield from self.destroy(cache)

    def look(self, cache: int, *, constructed: bool) -> Iterator[Op]:
        """Make a few objects of a cache in every way, over dirty ones, and free them."""
        gfp = self.bases[0]
        first = self.new(8)
        items = range(first, first + 5)
        zeroing = 0 if constructed else ZERO
        for mask in (gfp, gfp | zeroing):
            for item in items:
                yield Op("kmem_cache_alloc", item, (cache, mask))
            for item in items if mask == gfp else reversed(items):
                yield Op("kmem_cache_free", 0, (cache, item))
        if self.has("kmem_cache_alloc_bulk", "kmem_cache_free_bulk"):
            yield Op("kmem_cache_alloc_bulk", first, (cache, gfp | zeroing, 8, 0))
            yield Op("kmem_cache_free_bulk", 0, (cache, 8, first))
        if "kmem_cache_size" in self.apis:
            yield Op("kmem_cache_size", 0, (cache,))

    def aliases(self, turn: int) -> Iterator[Op]:
        """Caches that are nearly alike, at once: what is true of one must not become true of another."""
        for size in (24, 72, 200, 330, 1000) if turn == 0 else (40, 96, 128, 260, 700, 2000):
            near = [
                (size, 0, 0, False),
                (size + 7, 0, 0, False),
                (max(8, size - 70), 0, HWCACHE_ALIGN, False),
                (size, 0, 0, True),
                (size + 1, 64, 0, False),
                (size, 0, 0, False),
            ]
            self.random.shuffle(near)
            made: list[tuple[int, bool]] = []
            for of_size, align, flags, constructor in near:
                cache, create = self.create(of_size, align, flags, constructor=constructor)
                made.append((cache, constructor))
                yield create
                yield from self.look(cache, constructed=constructor)
            for cache, constructor in made:
                yield from self.look(cache, constructed=constructor)
            self.random.shuffle(made)
            for cache, _ in made:
                yield from self.destroy(cache)
        if "kmem_cache_destroy" in self.apis:
            many = [self.create(200, 0, 0) for _ in range(COUNTED)]
            yield from (create for _, create in many)
            other, create = self.create(24, 0, 0)
            yield create
            for cache in (many[0][0], other, many[-1][0]):
                yield from self.look(cache, constructed=False)
            for cache in (*(cache for cache, _ in many), other):
                yield from self.destroy(cache)

    def failed_births(self, turn: int) -> Iterator[Op]:
        """Caches and pools that cannot be made, over and over, and then can."""
        one = self.new()
        births = [(Op("kmem_cache_create", one, (1, 200, 0, 0, 0)), Op("kmem_cache_destroy", 0, (one,)))]
        births.append((Op("mempool_create", one, (4, 1, 1, 64)), Op("mempool_destroy", 0, (one,))))
        for create, destroy in births:
            if not self.has(create.api, destroy.api):
                continue
            failing = Op("fail_nth", 0, (1,)), create, Op("fail_nth", 0, (0,)), destroy
            yield from repeated(2, create, destroy)
            yield from repeated(600 if turn == 0 else 3000, *failing)
            yield from repeated(20, create, destroy)
