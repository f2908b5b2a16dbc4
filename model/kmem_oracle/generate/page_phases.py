"""Phases of the page calls: blocks by order, struct pages, exact sizes, bulk, split."""

from __future__ import annotations

from collections.abc import Iterator

from kmem_oracle.generate.draws import KEPT, Draws, repeated
from kmem_oracle.language.script import ID_NULL, Op
from kmem_spec.gfp import ZERO
from kmem_spec.units import PAGE_SIZE


class PagePhases(Draws):
    """Phases for targets with __get_free_pages, alloc_pages or its like for sizes and in bulk, split_page."""

    def blocks(self, turn: int) -> Iterator[Op]:
        """Blocks of all orders, split and merged in adversarial orders of freeing."""
        top = self.profile.max_order
        for order in range(top + 3):
            yield self.block(order, self.gfp())
        yield self.block(63, self.bases[0])
        yield Op("free_pages", 0, (ID_NULL, 0))
        yield Op("free_pages", 0, (ID_NULL, top))
        yield from self.drop_all("forth")
        for style in ("forth", "back", "odd", "shuffled"):
            for _ in range(60):
                order = min(int(self.random.expovariate(0.6)), top)
                if self.bytes + (PAGE_SIZE << order) < KEPT // 2:
                    yield self.block(order, self.gfp())
                if self.random.random() < 0.3:
                    yield from self.drop_some(len(self.live) - 1)
            yield from self.drop_all(style)
        for order in range(min(top, 5) + 1):
            for _ in range(48):
                yield self.block(order, self.bases[turn % len(self.bases)])
            yield from self.drop_all(self.random.choice(("odd", "back", "shuffled")))

    def pressure(self, turn: int) -> Iterator[Op]:
        """Blocks of one order up to a limit or until they fail, freed to merge again, then larger ones."""
        order = turn % 4
        for _ in range(min(2000, (KEPT * 2) // (PAGE_SIZE << order))):
            yield self.block(order, self.bases[0])
        yield from self.drop_all(("odd", "shuffled", "back", "forth")[turn % 4])
        for larger in range(order, min(self.profile.max_order, order + 6) + 1):
            for _ in range(4):
                yield self.block(larger, self.bases[0])
        yield from self.drop_all("back")

    def struct_pages(self, turn: int) -> Iterator[Op]:
        """Blocks by struct page, freed either way, and some split into single pages, freed in any order."""
        ends = [name for name in ("__free_pages", "free_pages") if name in self.apis]
        live: list[tuple[int, int]] = []
        for order in (0, 1, 2, 3, 4, 0, 5, 1, 0, self.profile.max_order, 2, 0):
            live.append((self.new(), order))
            yield Op("alloc_pages", live[-1][0], (self.gfp(), order))
        yield Op("alloc_pages", self.new(), (self.bases[0], self.profile.max_order + 1))
        self.random.shuffle(live)
        for item, order in live:
            yield Op(self.random.choice(ends), 0, (item, order))
        if "split_page" in self.apis:
            for order in (0, 1, 2, 3, 4) if turn == 0 else (3, 5, 6):
                block, pages = self.new(), self.new(1 << order)
                zero = ZERO if order % 2 else 0
                yield Op("alloc_pages", block, (self.bases[0] | zero, order))
                yield Op("split_page", pages, (block, order))
                for item in self.random.sample(range(pages, pages + (1 << order)), 1 << order):
                    yield Op(self.random.choice(ends), 0, (item, 0))
            whole = self.profile.max_order
            for _ in range(6):  # what was split merges again
                block, pages = self.new(), self.new(8)
                yield Op("alloc_pages", block, (self.bases[0], 3))
                yield Op("split_page", pages, (block, 3))
                for item in range(pages, pages + 8):
                    yield Op(ends[0], 0, (item, 0))
                large = self.new()
                yield Op("alloc_pages", large, (self.bases[0], whole))
                yield Op(ends[0], 0, (large, whole))
            block, pages = self.new(), self.new(16)
            one = [Op(ends[0], 0, (item, 0)) for item in range(pages, pages + 16)]
            make = Op("alloc_pages", block, (self.bases[0], 4))
            yield from repeated(30 if turn == 0 else 1700, make, Op("split_page", pages, (block, 4)), *one)

    def exact_pages(self, turn: int) -> Iterator[Op]:
        """Exact sizes, whose surplus pages go back at once and serve others."""
        live: list[tuple[int, int]] = []
        sizes = (1, PAGE_SIZE, PAGE_SIZE + 1, 3 * PAGE_SIZE, 5 * PAGE_SIZE, 7 * PAGE_SIZE - 1, 9 * PAGE_SIZE)
        largest = PAGE_SIZE << self.profile.max_order
        for size in (*sizes, *sizes, 33 * PAGE_SIZE, 1 << 20, largest - PAGE_SIZE):
            live.append((self.new(), size))
            yield Op("alloc_pages_exact", live[-1][0], (size, self.gfp()))
        yield Op("alloc_pages_exact", self.new(), (largest + 1, self.bases[0]))
        self.random.shuffle(live)
        for item, size in live:
            yield Op("free_pages_exact", 0, (item, size))
        item = self.new()
        for pages, count in ((513, 70), (5, 200), (33, 200 if turn == 0 else 2000)):
            size = pages * PAGE_SIZE
            make = Op("alloc_pages_exact", item, (size, self.bases[0]))
            yield from repeated(count, make, Op("free_pages_exact", 0, (item, size)))

    def bulk_pages(self, turn: int) -> Iterator[Op]:
        """Many single pages at once, freed one by one."""
        end = "__free_pages" if "__free_pages" in self.apis else "free_pages"
        for count in (1, 2, 7, 32, 100) if turn == 0 else (64, 256, 500):
            first = self.new(count)
            yield Op("alloc_pages_bulk", first, (self.gfp(), count, 0))
            for item in self.random.sample(range(first, first + count), count):
                yield Op(end, 0, (item, 0))
        first = self.new(64)
        ends = [Op(end, 0, (item, 0)) for item in range(first, first + 64)]
        yield from repeated(12, Op("alloc_pages_bulk", first, (self.bases[0], 64, 0)), *ends)

    def split_whole(self, turn: int) -> Iterator[Op]:
        """Blocks that were split are whole again."""
        block, pages = self.new(), self.new(4)
        make = [Op("alloc_pages", block, (self.bases[0], 2)), Op("split_page", pages, (block, 2))]
        ends = [Op("__free_pages", 0, (item, 0)) for item in range(pages, pages + 4)]
        return self.whole_blocks([*make, *ends], turn)

    def exact_whole(self, turn: int) -> Iterator[Op]:
        """Blocks of which exact sizes were taken are whole again."""
        item, size = self.new(), (2 + 3 * turn) * PAGE_SIZE + 1
        make = Op("alloc_pages_exact", item, (size, self.bases[0]))
        return self.whole_blocks([make, Op("free_pages_exact", 0, (item, size))], turn)

    def bulk_whole(self, turn: int) -> Iterator[Op]:
        """Blocks of which pages were taken in bulk are whole again."""
        pages = self.new(7)
        ends = [Op("__free_pages", 0, (item, 0)) for item in range(pages, pages + 7)]
        return self.whole_blocks([Op("alloc_pages_bulk", pages, (self.bases[0], 7, 0)), *ends], turn)

    def order_whole(self, turn: int) -> Iterator[Op]:
        """Blocks of which smaller ones were taken are whole again."""
        item, order = self.new(), turn % 4
        make = Op("__get_free_pages", item, (self.bases[0], order))
        return self.whole_blocks([make, Op("free_pages", 0, (item, order))], turn)

    def whole_blocks(self, use: list[Op], turn: int) -> Iterator[Op]:
        """All memory in the largest blocks; in each in turn a small use, then the rest taken; all freed.

        A page that did not come back from a small use keeps its whole block from being one again.
        """
        top, gfp = self.profile.max_order, self.bases[0]
        few = [self.new() for _ in range(2)]
        alone = [
            *(Op("__get_free_pages", item, (gfp, top)) for item in few),
            *(Op("free_pages", 0, (item, top)) for item in few),
        ]
        yield from repeated(2, *alone)
        blocks = [self.new() for _ in range(24 if turn == 0 else 100)]
        rest: list[tuple[int, int]] = []
        for item in blocks:
            yield Op("__get_free_pages", item, (gfp, top))
        for item in blocks:
            yield Op("free_pages", 0, (item, top))
            yield from use
            for order in range(top - 1, -1, -1):
                rest.append((self.new(), order))
                yield Op("__get_free_pages", rest[-1][0], (gfp, order))
        for item, order in rest:
            yield Op("free_pages", 0, (item, order))
        yield from repeated(17, *alone)

    def orders(self, _turn: int) -> Iterator[Op]:
        """get_order and kmalloc_size_roundup around every boundary."""
        for api in ("get_order", "kmalloc_size_roundup"):
            if api in self.apis:
                for size in self.sizes:
                    yield Op(api, 0, (size,))
                for order in range(24):
                    for delta in (-1, 0, 1):
                        yield Op(api, 0, ((PAGE_SIZE << order) + delta,))
        if "kmalloc_size_roundup" in self.apis:
            yield Op("kmalloc_size_roundup", 0, (0,))
