"""Phases of masks and failures: how deep each mask reaches, atomic context, failures that are armed."""

from __future__ import annotations

from collections.abc import Iterator

from kmem_oracle.generate.area_phases import PAGE_KERNEL, VM_MAP
from kmem_oracle.generate.cycles import EXHAUST
from kmem_oracle.generate.draws import Draws, repeated
from kmem_oracle.language.script import Op
from kmem_spec.gfp import GFP_KERNEL, GFP_NOWAIT, GFP_USER, NAMES, NOFAIL, NORETRY, ZERO
from kmem_spec.units import PAGE_SIZE

LONELY = 6000  # rounds that use up 24 MiB, a page in each
LITTLE = 1 << 30  # bytes of memory, as a guest has: there each page of an area is slow to map
ROUNDS = 20  # more than the judge wants to see in a row


class MaskPhases(Draws):
    """Phases about what a mask permits."""

    def reach(self, turn: int) -> Iterator[Op]:
        """GFP_ATOMIC reaches as deep as GFP_NOWAIT."""
        return self.used_up(NAMES[self.profile.gfp]["GFP_ATOMIC"], GFP_NOWAIT, turn)

    def equal_reach(self, turn: int) -> Iterator[Op]:
        """GFP_USER reaches as deep as GFP_KERNEL, and no deeper."""
        masks = (GFP_USER | NORETRY, GFP_KERNEL | NORETRY)
        return self.used_up(masks[turn % 2], masks[1 - turn % 2], turn)

    def used_up(self, deep: int, other: int, turn: int) -> Iterator[Op]:
        """Memory used up under one mask, then requests in pairs: the one that reaches as deep comes first."""
        live: list[tuple[int, int]] = []
        yield from self.left_behind()
        for order, number in ((5, EXHAUST // (PAGE_SIZE << 5)), (0, 300)):
            for _ in range(number):
                live.append((self.new(), order))
                yield Op("__get_free_pages", live[-1][0], (deep, order))
        for _ in range(2):  # what nobody uses is to be found before a request fails
            live.append((self.new(), 0))
            yield Op("__get_free_pages", live[-1][0], (GFP_KERNEL | NOFAIL, 0))
        yield from self.pairs(deep, other, ROUNDS)
        yield from self.pairs(GFP_KERNEL | NOFAIL, GFP_KERNEL | NOFAIL, 3)
        for order in (4, 2, 1):  # with just such a block left, or a few
            for item, _ in live[-3 << order :]:
                yield Op("check", 0, (item,))
            for item, of_order in (live.pop(0), live.pop(0)):
                yield Op("free_pages", 0, (item, of_order))
                yield from self.pairs(deep, other, ROUNDS, order)
        for item, order in live if turn % 2 == 0 else live[::-1]:
            yield Op("free_pages", 0, (item, order))

    def left_behind(self) -> Iterator[Op]:
        """Objects made and freed, whose memory their allocator may keep."""
        if self.has("kmalloc", "kfree"):
            for size in (100, 3000):
                item = self.new()
                yield Op("kmalloc", item, (size, GFP_KERNEL))
                yield Op("kfree", 0, (item,))

    def pairs(self, deep: int, other: int, count: int, order: int = 0) -> Iterator[Op]:
        """Make each kind of request under one mask, at once again under another, undo both; many times."""
        one, two = self.new(), self.new()
        for (make, end), (again, undo) in zip(
            self.requests(one, deep, order), self.requests(two, other, order), strict=True
        ):
            yield from repeated(count, make, again, undo, end)

    def requests(self, item: int, mask: int, order: int = 0) -> list[tuple[Op, Op]]:
        """Return a request for a block, and for an object, each with the call that frees it."""
        pages = (Op("__get_free_pages", item, (mask, order)), Op("free_pages", 0, (item, order)))
        objects = (Op("kmalloc", item, (PAGE_SIZE << order, mask)), Op("kfree", 0, (item,)))
        return [pages, *([objects] if self.has("kmalloc", "kfree") else [])]

    def atomic(self, _turn: int) -> Iterator[Op]:
        """Calls in atomic context, under the masks that it allows."""
        atomic = NAMES[self.profile.gfp]["GFP_ATOMIC"]
        masks = (atomic, GFP_NOWAIT, atomic | ZERO)
        cache, create = self.new(), None
        if self.has("kmem_cache_create", "kmem_cache_alloc", "kmem_cache_free", "kmem_cache_destroy"):
            create = Op("kmem_cache_create", cache, (1, 72, 0, 0, 0))
            yield create
        yield Op("preempt_disable", 0, ())
        live: list[Op] = []
        for size in (1, 64, 100, 4096, 20_000):
            for mask in masks:
                for api in self.kmallocs:
                    made = self.make(api, size, mask)
                    self.live.pop(made.out, None)
                    yield made
                    live.append(Op("kfree", 0, (made.out,)))
                for _ in self.pages:
                    made = self.block(0, mask)
                    self.live.pop(made.out, None)
                    yield made
                    live.append(Op("free_pages", 0, (made.out, 0)))
                if create is not None:
                    item = self.new()
                    yield Op("kmem_cache_alloc", item, (cache, mask))
                    live.append(Op("kmem_cache_free", 0, (cache, item)))
        self.bytes = 0
        yield from live
        yield Op("preempt_enable", 0, ())
        if create is not None:
            yield Op("kmem_cache_destroy", 0, (cache,))

    def failures(self, turn: int) -> Iterator[Op]:
        """Every call with the n-th allocation made to fail; then the same call once more."""
        for number in (1, 2, 3, 5) if turn == 0 else (1, 2, 4, 7, 12):
            yield from self.failing_maps(number)
            for makes, end in self.makings():
                yield Op("fail_nth", 0, (number,))
                yield from makes
                yield Op("fail_nth", 0, (0,))
                yield from end
                yield from makes
                yield from end
        yield Op("fail_nth", 0, (0,))

    def failing_maps(self, number: int) -> Iterator[Op]:
        """Maps that fail leave their pages with who has them."""
        if not self.has("alloc_pages", "__free_pages", "vmap", "vunmap"):
            return
        first, area, others = self.new(4), self.new(), self.new(3)
        pages, more = range(first, first + 4), list(enumerate(range(others, others + 3)))
        for item in pages:
            yield Op("alloc_pages", item, (self.bases[0], 0))
        yield Op("fail_nth", 0, (number,))
        yield Op("vmap", area, (first, 4, VM_MAP, PAGE_KERNEL))
        yield Op("fail_nth", 0, (0,))
        for order, item in more:
            yield Op("alloc_pages", item, (self.bases[0], order))
        for item in pages:
            yield Op("check", 0, (item,))
        for order, item in more:
            yield Op("__free_pages", 0, (item, order))
        yield Op("vunmap", 0, (area,))
        for item in pages:
            yield Op("__free_pages", 0, (item, 0))

    def failing_cycles(self, turn: int) -> Iterator[Op]:
        """What works, then the same made to fail until a leak has used up the target, then again."""
        count = 300 if turn == 0 else 500 if self.profile.vmalloc_max <= LITTLE else 1500
        for first, makes, end, last, at in self.large_makings():
            again = [*makes, *end]
            yield from first
            yield from repeated(3, *again)
            for nth in (at, at // 2):
                armed, disarmed = Op("fail_nth", 0, (nth,)), Op("fail_nth", 0, (0,))
                yield from repeated(count, armed, *makes, disarmed, *end)
                yield from repeated(ROUNDS, *again)
            yield from last

    def lonely_leaks(self, turn: int) -> Iterator[Op]:
        """Two ways to make something and to undo it, each alone until a page lost in a round uses all up.

        In the first turn there are none: other aims find what is lost at once.
        """
        ways = [*self.makings()]
        one = self.new()
        if self.has("vmalloc", "vfree"):
            ways.append(([Op("vmalloc", one, (12 * PAGE_SIZE,))], [Op("vfree", 0, (one,))]))
        if self.has("alloc_pages_exact", "free_pages_exact"):
            size = 5 * PAGE_SIZE
            exact = Op("alloc_pages_exact", one, (size, self.bases[0]))
            ways.append(([exact], [Op("free_pages_exact", 0, (one, size))]))
        for place in (2 * turn - 2, 2 * turn - 1):
            makes, end = ways[-1 - place % len(ways)]
            yield from repeated(LONELY if turn else 0, *makes, *end)

    def large_makings(self) -> Iterator[tuple[list[Op], list[Op], list[Op], list[Op], int]]:
        """Yield what comes first, calls that take much memory in pieces, those that undo it, what comes last.

        And a number of pieces after which to fail.
        """
        gfp = self.bases[0]
        one, cache = self.new(), self.new()
        if self.has("vmalloc", "vfree"):
            pages = 30 if self.profile.vmalloc_max <= LITTLE else 150
            yield [], [Op("vmalloc", one, (pages * PAGE_SIZE,))], [Op("vfree", 0, (one,))], [], pages * 4 // 5
        if self.has("kmalloc", "krealloc", "kfree"):
            grown = Op("krealloc", one, (one, 80 * PAGE_SIZE, gfp))
            yield [], [Op("kmalloc", one, (20 * PAGE_SIZE, gfp)), grown], [Op("kfree", 0, (one,))], [], 2
        bulk = ("kmem_cache_create", "kmem_cache_destroy", "kmem_cache_alloc_bulk", "kmem_cache_free_bulk")
        if self.has(*bulk):
            base = self.new(14)
            create = Op("kmem_cache_create", cache, (1, 60_000, 0, 0, 0))
            made = Op("kmem_cache_alloc_bulk", base, (cache, gfp, 14, 0))
            freed = Op("kmem_cache_free_bulk", 0, (cache, 14, base))
            yield [create], [made], [freed], [Op("kmem_cache_destroy", 0, (cache,))], 12

    def makings(self) -> Iterator[tuple[list[Op], list[Op]]]:
        """Yield calls that make something, with those that undo it."""
        gfp = self.bases[0]
        for api in self.kmallocs:
            made = self.make(api, self.random.choice((64, 5000, 100_000)), gfp)
            self.live.pop(made.out, None)
            yield [made], [Op("kfree", 0, (made.out,))]
        if self.has("kmalloc", "krealloc", "kfree"):
            item = self.new()
            grown = [Op("krealloc", item, (item, size, gfp)) for size in (300, 20_000)]
            yield [Op("kmalloc", item, (64, gfp)), *grown], [Op("check", 0, (item,)), Op("kfree", 0, (item,))]
        if self.has("vmalloc", "vfree"):
            item = self.new()
            yield [Op("vmalloc", item, (9 * PAGE_SIZE,))], [Op("vfree", 0, (item,))]
        if self.has("alloc_pages_bulk", "__free_pages"):
            pages = self.new(6)
            ends = [Op("__free_pages", 0, (item, 0)) for item in range(pages, pages + 6)]
            yield [Op("alloc_pages_bulk", pages, (gfp, 6, 0))], ends
        if self.has("kmemdup", "kmalloc", "kfree"):
            source, item = self.new(), self.new()
            makes = [Op("kmalloc", source, (3000, gfp)), Op("kmemdup", item, (source, 2500, gfp))]
            yield makes, [Op("kfree", 0, (item,)), Op("kfree", 0, (source,))]
        if self.has("kmem_cache_create", "kmem_cache_alloc", "kmem_cache_free", "kmem_cache_destroy"):
            cache, items = self.new(), [self.new() for _ in range(4)]
            makes = [Op("kmem_cache_create", cache, (1, 3000, 0, 0, 0))]
            makes += [Op("kmem_cache_alloc", item, (cache, gfp)) for item in items]
            ends = [Op("kmem_cache_free", 0, (cache, item)) for item in items]
            yield makes, [*ends, Op("kmem_cache_destroy", 0, (cache,))]
            if self.has("kmem_cache_alloc_bulk", "kmem_cache_free_bulk"):
                base = self.new(40)
                create = Op("kmem_cache_create", cache, (1, 3000, 0, 0, 0))
                bulk = Op("kmem_cache_alloc_bulk", base, (cache, gfp, 40, 0))
                free = Op("kmem_cache_free_bulk", 0, (cache, 40, base))
                yield [create, bulk], [free, Op("kmem_cache_destroy", 0, (cache,))]
        self.bytes = 0
