"""Phases of kmalloc's family: sizes, arrays, ladders of krealloc, dirty memory, slabs, all at random."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from kmem_oracle.generate.draws import KEPT, SMALL, Draws
from kmem_oracle.language.script import ID_NULL, ID_ZERO_SIZE, Op
from kmem_spec.gfp import ZERO
from kmem_spec.units import PAGE_SIZE, SIZE_MAX

IMPOSSIBLE: Final = (
    1 << 31,
    (1 << 32) - 1,
    1 << 32,
    (1 << 32) + 1,
    1 << 47,
    1 << 63,
    SIZE_MAX - 4095,
    SIZE_MAX,
)
FACTORS: Final = (
    2,
    3,
    8,
    1 << 16,
    1 << 31,
    1 << 32,
    (1 << 32) + 1,
    1 << 33,
    1 << 61,
    1 << 62,
    1 << 63,
    SIZE_MAX,
)


class ObjectPhases(Draws):
    """Phases for targets with kmalloc or calls like it."""

    def boundaries(self, turn: int) -> Iterator[Op]:
        """Every size that matters through every call, a few objects live at a time; what must fail, fails."""
        sizes = self.sizes if turn % 4 == 0 else self.small
        for size in sizes:
            for api in self.kmallocs:
                if size > SMALL and self.random.random() < 0.7:
                    continue
                yield self.make(api, size, self.gfp())
                if len(self.live) > 12 or self.bytes > KEPT // 4:
                    yield from self.drop_some(8)
        for size in (0, self.profile.kmalloc_max + 1, self.profile.kmalloc_max * 2, *IMPOSSIBLE):
            for api in self.kmallocs:
                yield self.make(api, size, self.gfp())
                if "krealloc" in self.apis and self.live:
                    yield Op("krealloc", min(self.live), (min(self.live), size, self.bases[0]))
                    self.live.pop(min(self.live)) if size == 0 else None
        for item in (ID_NULL, ID_ZERO_SIZE):
            yield Op("kfree", 0, (item,))
            if "ksize" in self.apis:
                yield Op("ksize", 0, (item,))
        yield from self.drop_all("shuffled")

    def every_size(self, turn: int) -> Iterator[Op]:
        """Each size up to a bound once, so that none is left out; a few objects live at a time."""
        for size in range(1, (2048 if turn == 0 else 2 * PAGE_SIZE) + 1):
            yield self.make(self.random.choice(self.kmallocs), size, self.gfp())
            if len(self.live) > 24:
                yield from self.drop_some(16)
        yield from self.drop_all("shuffled")

    def arrays(self, _turn: int) -> Iterator[Op]:
        """Products around the edge of size_t, and some that fit."""
        for api in sorted({"kmalloc_array", "kcalloc"} & set(self.kmallocs)):
            for count in FACTORS:
                # sizes whose product, cut to 64 bits, is a small number: one below the count, one above
                wrapped = [((1 << 64) + small * count) // count for small in (0, 1, 2, 8)]
                for size in (*FACTORS, SIZE_MAX // count, *wrapped):
                    if count * size > self.profile.kmalloc_max and size <= SIZE_MAX:
                        out, self.next = self.next, self.next + 1
                        yield Op(api, out, (count, size, self.gfp()))
                        yield Op("kfree", 0, (out,))
            for _ in range(200):
                yield self.make(api, self.random.choice(self.small), self.gfp())
            yield from self.drop_all("shuffled")

    def resizes(self, _turn: int) -> Iterator[Op]:
        """Ladders of krealloc: grow, shrink, grow, in place and moving, zeroing and not."""
        for _ in range(400):
            zero = ZERO if self.random.random() < 0.5 else 0
            start = self.random.choice(self.small)
            maker = self.random.choice(self.kmallocs)
            yield self.make(maker, start, self.bases[0] | zero)
            item = self.next - 1
            size = start
            for _ in range(self.random.randrange(1, 7)):
                draw = self.random.random()
                if draw < 0.45:
                    size = min(self.profile.kmalloc_max, size + self.random.choice((1, 7, 8, size, 3 * size)))
                elif draw < 0.8:
                    size = max(1, size - self.random.choice((1, 8, size // 2, size // 3)))
                else:
                    size = self.random.choice(self.small)
                keep_zero = zero if self.random.random() < 0.9 else 0
                yield self.resize(item, size, self.bases[0] | keep_zero)
                if self.random.random() < 0.1:
                    yield Op("krealloc", item, (item, self.profile.kmalloc_max + 1, self.bases[0]))
            if len(self.live) > 40 or self.bytes > KEPT // 4:
                yield from self.drop_some(20)
        yield from self.drop_all("shuffled")

    def dirty(self, _turn: int) -> Iterator[Op]:
        """Memory made dirty and freed through every path, then asked for with zeroes, size by size."""
        for size in self.sizes:
            if size > SMALL and self.random.random() < 0.6:
                continue
            for _ in range(8 if size <= SMALL else 2):
                yield self.make(self.kmallocs[0], size, self.bases[0])
            yield from self.drop_all(self.random.choice(("forth", "back")))
            for _ in range(6 if size <= SMALL else 2):
                if self.zeroing and self.random.random() < 0.5:
                    yield self.make(self.random.choice(self.zeroing), size, self.random.choice(self.bases))
                else:
                    gfp = self.random.choice(self.bases) | ZERO
                    yield self.make(self.random.choice(self.kmallocs), size, gfp)
            if len(self.live) > 64 or self.bytes > KEPT // 4:
                yield from self.drop_all("shuffled")
        yield from self.drop_all("shuffled")

    def mixed(self, turn: int) -> Iterator[Op]:
        """Everything at random, with many objects live."""
        wanted = self.random.choice((20, 200, 1500))
        for _ in range(5000 if turn == 0 else 8000):
            draw = self.random.random()
            full = len(self.live) >= wanted or self.bytes > KEPT // 2
            if draw < (0.25 if full else 0.6):
                if self.pages and (not self.kmallocs or draw < 0.04):
                    yield self.block(min(int(self.random.expovariate(0.8)), 9), self.gfp())
                elif self.kmallocs:
                    yield self.make(self.random.choice(self.kmallocs), self.size(), self.gfp())
            elif not self.live:
                continue
            elif draw < 0.68 and "krealloc" in self.apis:
                item = self.pick()
                if self.live[item].order < 0:
                    yield self.resize(item, self.size(), self.gfp())
            elif draw < 0.72:
                yield Op("check", 0, (self.pick(),))
            elif draw < 0.74 and "ksize" in self.apis:
                item = self.pick()
                if self.live[item].order < 0:
                    yield Op("ksize", 0, (item,))
            else:
                yield self.drop(self.pick())
        yield from self.drop_all("shuffled")

    def slabs(self, turn: int) -> Iterator[Op]:
        """Objects of one size over several slabs; slabs that empty and fill, survivors watched."""
        sizes = self.random.sample(self.small, 6) if turn else [8, 32, 64, 96, 256, 1024, 4096]
        for size in sizes:
            api = self.random.choice(self.kmallocs)
            count = max(40, min(300 if turn == 0 else 1200, (256 << 10) // size))
            styles = ("forth", "odd", "back", "shuffled")
            for style in self.random.sample(styles, 2 if turn == 0 else 4):
                for _ in range(count):
                    yield self.make(api, size, self.bases[0])
                survivors = self.random.sample(list(self.live), 3)
                for item in [item for item in self.live if item not in survivors]:
                    yield self.drop(item)
                for _ in range(count // 2):
                    yield self.make(api, size, self.bases[0])
                for item in survivors:
                    yield Op("check", 0, (item,))
                yield from self.drop_all(style)
