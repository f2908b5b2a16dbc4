"""Generation aimed at clauses: phases of calls, each after what a kind of fault needs to show.

A phase starts on a freshly loaded target and ends with everything freed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Final

from kmem_oracle.area_phases import AreaPhases
from kmem_oracle.copy_phases import CopyPhases
from kmem_oracle.cycles import Cycles
from kmem_oracle.draws import KEPT, SMALL
from kmem_oracle.mask_phases import MaskPhases
from kmem_oracle.page_phases import PagePhases
from kmem_oracle.play import DRIVERS
from kmem_oracle.script import ID_NULL, ID_ZERO_SIZE, Op
from kmem_oracle.shape_phases import ShapePhases
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
IDS: Final = 1 << 20  # more than a phase uses
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


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of calls with one aim.

    index   place among the phases of its seed
    again   returns its calls from the beginning, given the first of the ids that they use
    """

    name: str
    index: int
    again: Callable[[int], Iterator[Op]]

    @property
    def ops(self) -> Iterator[Op]:
        """Return its calls."""
        return self.again(1)


def in_groups(phases: Iterator[Phase], count: int) -> Iterator[Phase]:
    """Yield phases that are `count` of the given ones each: for a target that is costly to load afresh."""
    while group := list(islice(phases, count)):
        if len(group) == 1:
            yield group[0]
            continue
        calls = partial(_one_after_the_other, tuple(group))
        yield Phase(f"{group[0].name} … {group[-1].name}", group[0].index, calls)


def _one_after_the_other(phases: tuple[Phase, ...], first: int) -> Iterator[Op]:
    """Yield the calls of several phases, each with ids of its own."""
    for place, phase in enumerate(phases):
        yield from phase.again(first + place * IDS)


Aim = tuple[str, Callable[[int], Iterator[Op]], bool]
# The aims that need many calls, last. Those that keep the target busy, as they touch all its memory, come
# after those that keep the judge busy: so neither waits for the other.
LATE: Final = (
    "dirty",
    "every size",
    "mixed",
    "either",
    "reach",
    "caches",
    "order whole",
    "split whole",
    "slabs",
    "equal reach",
    "exact whole",
    "pressure",
    "full",
    "counters",
    "page leaks",
    "leaks",
    "reserve leaks",
    "block leaks",
    "area cycles",
    "bulk whole",
    "resize leaks",
    "cache cycles",
    "exhausted pages",
    "cache births",
    "failed births",
    "several leaks",
    "slab leaks",
    "exhausted objects",
    "failing cycles",
    "lonely leaks",
)


class Generator(Cycles, ShapePhases, AreaPhases, PagePhases, CopyPhases, MaskPhases):
    """Make phases for a target."""

    def phases(self, first: int = 0, step: int = 1) -> Iterator[Phase]:
        """Yield phases of calls that the target has: each aim in turn, again and again with other draws.

        A phase draws from a seed of its own, so that it is the same whatever others there are. Of all phases,
        only every `step`-th from the `first` on is there.
        """
        aims = [(place, name) for place, (name, _, possible) in enumerate(self.aims()) if possible]
        for index in range(first, 1 << 40 if aims else 0, step):
            turn, at = divmod(index, len(aims))
            place, name = aims[at]
            yield Phase(name, index, partial(self._calls, place, name, turn))

    def _calls(self, place: int, name: str, turn: int, first: int) -> Iterator[Op]:
        """Yield the calls of a phase, whose ids begin with `first`."""
        known = self.apis.union(DRIVERS)
        fresh = Generator(f"{self.seed}, turn {turn}, {name}", self.profile, self.apis)
        fresh.next = first
        _, make, _ = fresh.aims()[place]
        yield from (op for op in make(turn) if op.api in known)

    def aims(self) -> list[Aim]:
        """Return the aims, those that need many calls last, and for each whether the target has the calls."""
        aims = [
            *self.aims_of_pages_and_objects(),
            *self.aims_of_areas(),
            *self.aims_of_caches(),
            *self.aims_with_many_objects(),
            *self.aims_of_all_memory(),
            *self.aims_of_cycles(),
        ]
        late = {name: place for place, name in enumerate(LATE)}
        return sorted(aims, key=lambda aim: late.get(aim[0], -1))

    def aims_of_pages_and_objects(self) -> list[Aim]:
        """Return the aims about kmalloc and the page calls."""
        kmalloc, plain = bool(self.kmallocs), self.has("kmalloc", "kfree")
        return [
            ("boundaries", self.boundaries, kmalloc),
            ("arrays", self.arrays, bool({"kmalloc_array", "kcalloc"} & set(self.kmallocs))),
            ("resize", self.resizes, kmalloc and "krealloc" in self.apis),
            ("pages", self.blocks, bool(self.pages)),
            ("struct pages", self.struct_pages, self.has("alloc_pages", "__free_pages")),
            ("exact pages", self.exact_pages, self.has("alloc_pages_exact", "free_pages_exact")),
            ("bulk pages", self.bulk_pages, self.has("alloc_pages_bulk", "__free_pages")),
            ("orders", self.orders, bool({"get_order", "kmalloc_size_roundup"} & self.apis)),
            ("copies", self.copies, plain and bool({"kmemdup", "kstrdup", "kstrndup"} & self.apis)),
            ("several", self.several, plain),
            ("nothing", self.nothing, kmalloc),
            ("masks", self.masks, bool(self.makers)),
        ]

    def aims_of_areas(self) -> list[Aim]:
        """Return the aims about vmalloc, vmap and kvmalloc."""
        areas = bool(self.of_family("vmalloc")) and "vfree" in self.apis
        maps = self.has("alloc_pages", "__free_pages", "vmap", "vunmap")
        return [
            ("areas", self.areas, areas),
            ("holes", self.holes, areas),
            ("area resizes", self.area_resizes, areas and "vrealloc" in self.apis),
            ("maps", self.maps, maps),
            ("either", self.either, bool(self.of_family("kv")) and "kvfree" in self.apis),
        ]

    def aims_of_caches(self) -> list[Aim]:
        """Return the aims about caches and pools, context and failures."""
        pools = bool({"mempool_create", "mempool_create_slab_pool"} & self.apis)
        caches = self.has_caches()
        return [
            ("constructors", self.constructors, caches),
            ("twins", self.twins, caches),
            ("many caches", self.many_caches, caches),
            ("shapes", self.shapes, caches),
            ("aliases", self.aliases, caches),
            ("pools", self.pools_of, pools and self.has("mempool_alloc", "mempool_free", "mempool_destroy")),
            ("atomic", self.atomic, bool(self.makers)),
            ("failures", self.failures, self.can_fail()),
        ]

    def aims_with_many_objects(self) -> list[Aim]:
        """Return the aims that need many objects."""
        kmalloc, blocks = bool(self.kmallocs), self.has("__get_free_pages", "free_pages")
        return [
            ("dirty", self.dirty, kmalloc),
            ("every size", self.every_size, kmalloc),
            ("mixed", self.mixed, bool(self.makers)),
            ("caches", self.caches, self.has_caches()),
            ("slabs", self.slabs, kmalloc),
            ("pressure", self.pressure, blocks),
        ]

    def aims_of_all_memory(self) -> list[Aim]:
        """Return the aims that touch all the memory that there is."""
        plain, blocks = self.has("kmalloc", "kfree"), self.has("__get_free_pages", "free_pages")
        exact = self.has("alloc_pages_exact", "free_pages_exact")
        return [
            ("reach", self.reach, blocks),
            ("order whole", self.order_whole, blocks),
            (
                "split whole",
                self.split_whole,
                blocks and self.has("alloc_pages", "split_page", "__free_pages"),
            ),
            ("equal reach", self.equal_reach, blocks),
            ("exact whole", self.exact_whole, blocks and exact),
            ("bulk whole", self.bulk_whole, blocks and self.has("alloc_pages_bulk", "__free_pages")),
            ("area cycles", self.area_cycles, bool(self.of_family("vmalloc")) and "vfree" in self.apis),
            ("full", self.full, plain),
            ("exhausted pages", self.exhaust_pages, blocks),
            ("reserve leaks", self.reserve_leaks, blocks),
            ("exhausted objects", self.exhaust_objects, plain),
        ]

    def aims_of_cycles(self) -> list[Aim]:
        """Return the aims that need the same calls over and over."""
        plain, blocks = self.has("kmalloc", "kfree"), self.has("__get_free_pages", "free_pages")
        return [
            ("counters", self.counters, bool(self.makers)),
            ("page leaks", self.page_leaks, blocks),
            ("block leaks", self.block_leaks, blocks),
            ("leaks", self.leaks, plain),
            ("resize leaks", self.resize_leaks, plain and "krealloc" in self.apis),
            ("cache cycles", self.cache_cycles, self.has_caches()),
            ("cache births", self.cache_births, self.has_caches()),
            ("failed births", self.failed_births, self.can_fail() and self.has_caches()),
            ("several leaks", self.several_leaks, plain and "kfree_bulk" in self.apis),
            ("slab leaks", self.slab_leaks, plain),
            ("failing cycles", self.failing_cycles, self.can_fail()),
            ("lonely leaks", self.lonely_leaks, plain),
        ]

    def can_fail(self) -> bool:
        """Say whether the target has something that can be made to fail."""
        makes = self.kmallocs or self.has("vmalloc", "vfree") or self.has_caches()
        return "fail_nth" in self.apis and bool(makes)

    def has_caches(self) -> bool:
        """Say whether the target has what makes a cache, and objects of it, and frees them."""
        create = bool({"kmem_cache_create", "kmem_cache_create_26"} & self.apis)
        return create and self.has("kmem_cache_alloc", "kmem_cache_free")

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
