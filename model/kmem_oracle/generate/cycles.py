"""Phases that repeat: counters that wrap, leaks, memory that does not come back."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Final

from kmem_oracle.generate.draws import Draws, repeated
from kmem_oracle.language.script import Op
from kmem_spec.gfp import NAMES
from kmem_spec.units import PAGE_SIZE

EXHAUST: Final = 96 << 20  # bytes after which a target counts as one that does not run out
ROUNDS: Final = 24  # more than the judge wants to see fail in a row
FILLERS: Final = ((32 * PAGE_SIZE, 80), (PAGE_SIZE, 80), (64, 200))  # sizes, and how many fill what is left
FREED: Final = Op("kfree", 0, (1,))


class Cycles(Draws):
    """Phases made of one stretch of calls over and over, from empty to empty."""

    def leaks(self, turn: int) -> Iterator[Op]:
        """Objects made, resized and freed, alone, until a leak of a page each time has used up the target."""
        gfp = self.bases[0]
        size = (8193, 3 * PAGE_SIZE, 40_000)[turn % 3]
        count = 16_450 if turn % 2 == 0 else 2_000
        return repeated(count, Op("kmalloc", 1, (size, gfp)), FREED)

    def resize_leaks(self, turn: int) -> Iterator[Op]:
        """Objects that move when they grow, and objects resized to nothing, alone, many times."""
        gfp = self.bases[0]
        small, large = ((16 * PAGE_SIZE, 64 * PAGE_SIZE), (PAGE_SIZE, 8 * PAGE_SIZE), (96, 8192))[turn % 3]
        grow, undo = Op("krealloc", 1, (1, large, gfp)), Op("krealloc", 1, (1, 0, gfp))
        moves = repeated(1_200, Op("kmalloc", 1, (small, gfp)), grow, FREED)
        return itertools.chain(moves, repeated(600, Op("kmalloc", 1, (large * 2, gfp)), undo))

    def page_leaks(self, turn: int) -> Iterator[Op]:
        """Blocks made and freed alone: first the largest, whose leaks tell soonest."""
        gfp = self.bases[0]
        for order in range(self.profile.max_order, 4 if turn == 0 else -1, -1):
            yield from self._alone(order, min(8_000, ROUNDS + 7 * EXHAUST // 8 // (PAGE_SIZE << order)), gfp)

    def block_leaks(self, turn: int) -> Iterator[Op]:
        """A few dozen blocks of one order taken and given back, many times."""
        gfp = self.bases[0]
        for order in (0, 1, 3) if turn == 0 else (2, 4, 0):
            items = range(2, 42)
            make = [Op("__get_free_pages", item, (gfp, order)) for item in items]
            end = [Op("free_pages", 0, (item, order)) for item in items]
            yield from repeated(20 if turn == 0 else 400, *make, *end)

    def reserve_leaks(self, turn: int) -> Iterator[Op]:
        """All memory taken, the reserves as well, and given back, again and again."""
        atomic = NAMES[self.profile.gfp]["GFP_ATOMIC"]
        top = self.profile.max_order
        large = [(self.new(), top) for _ in range(EXHAUST // (PAGE_SIZE << top))]
        small = [(self.new(), order) for order in (5, 3, 0) for _ in range(40)]
        make = [Op("__get_free_pages", item, (atomic, order)) for item, order in (*large, *small)]
        end = [Op("free_pages", 0, (item, order)) for item, order in (*small, *large)]
        yield from repeated(2 if turn == 0 else 30, *make, *end)

    def slab_leaks(self, turn: int) -> Iterator[Op]:
        """A few slabs filled and emptied, many times."""
        gfp = self.bases[0]
        size, number = ((8192, 16), (4096, 24), (2048, 40), (1024, 80))[turn % 4]
        return repeated(420 if turn < 2 else 2000, *self._filled(size, number, gfp))

    def full(self, turn: int) -> Iterator[Op]:
        """All memory taken by ever smaller objects, then every call that needs some; older ones are kept."""
        gfp = self.bases[turn % 2]
        kept = [self.make("kmalloc", size, gfp) for size in (8, 96, 1000, 5000, 40_000)]
        yield from kept
        for size, number in ((512 * PAGE_SIZE, EXHAUST // (512 * PAGE_SIZE)), *FILLERS):
            yield from (self.make("kmalloc", size, gfp) for _ in range(number))
        for size in (2 * PAGE_SIZE, 64 * PAGE_SIZE, 512 * PAGE_SIZE):
            for op in kept:
                yield Op("krealloc", op.out, (op.out, size, gfp))
                yield Op("check", 0, (op.out,))
            for api in self.kmallocs:
                yield self.make(api, size, self.gfp())
        yield from (self.drop(item) for item in sorted(self.live))

    def exhaust_objects(self, turn: int) -> Iterator[Op]:
        """One size: a few rounds, then until it fails, twice, then rounds again."""
        size = (8192, 32 * PAGE_SIZE, PAGE_SIZE, 512 * PAGE_SIZE)[turn % 4]
        gfp = self.bases[0]
        number = min(EXHAUST // size, 20_000)
        for wanted in (1, 1, number, *([number] * (turn % 3)), *(1 for _ in range(ROUNDS))):
            yield from self._filled(size, wanted, gfp)

    def exhaust_pages(self, turn: int) -> Iterator[Op]:
        """Blocks of every order alone, then small ones until they fail, then every order again."""
        gfp = self.bases[0]
        top = self.profile.max_order
        order = (max(0, top - 1), 4, 2, 6)[turn % 4]
        for wanted in range(order, top + 1):
            yield from self._alone(wanted, 2, gfp)
        items = range(2, 2 + min(EXHAUST // (PAGE_SIZE << order), 25_000))
        for item in items:
            yield Op("__get_free_pages", item, (gfp, order))
        for item in items if turn == 0 else (*items[::2], *items[1::2]):
            yield Op("free_pages", 0, (item, order))
        for wanted in range(top, order - 1, -1):
            yield from self._alone(wanted, ROUNDS, gfp)

    def counters(self, turn: int) -> Iterator[Op]:
        """One call made and undone more often than a counter of 8, then of 16 bits can count."""
        count = 70_000 if turn % 3 == 2 else 520
        makers = [name for name in self.makers if name in self.kmallocs] if turn % 2 == 0 else self.makers
        for maker in makers or self.makers:
            first = self.block(0, self.bases[0]) if maker in self.pages else None
            first = first or self.make(maker, self.random.choice((8, 64, 96, 512, PAGE_SIZE)), self.bases[0])
            undo = self.drop(first.out)
            undo = undo if undo.api != "krealloc" else Op("kfree", 0, (first.out,))
            yield from repeated(count, first, undo)

    def _alone(self, order: int, rounds: int, gfp: int) -> Iterator[Op]:
        """Return a block made and freed, nothing else live, so often."""
        make, undo = Op("__get_free_pages", 1, (gfp, order)), Op("free_pages", 0, (1, order))
        return repeated(rounds, make, undo)

    def _filled(self, size: int, number: int, gfp: int) -> Iterator[Op]:
        """Yield that many objects made, then all freed."""
        items = range(2, 2 + number) if number > 1 else (1,)
        for item in items:
            yield Op("kmalloc", item, (size, gfp))
        for item in items:
            yield Op("kfree", 0, (item,))
