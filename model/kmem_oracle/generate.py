"""Generation aimed at clauses: phases of calls, each after what a kind of fault needs to show.

A phase starts on a freshly loaded target and ends with everything freed. Everything follows from the seed.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from kmem_oracle.script import ID_NULL, ID_ZERO_SIZE, Op
from kmem_spec.calls import APIS, KERNEL_APIS
from kmem_spec.gfp import NAMES, ZERO, mask_is_legal
from kmem_spec.profile import Profile
from kmem_spec.slab import CLASS_SIZES
from kmem_spec.units import PAGE_SIZE, SIZE_MAX

BASES: Final = (
    "GFP_KERNEL",
    "GFP_ATOMIC",
    "GFP_USER",
    "GFP_NOWAIT",
    "GFP_NOIO",
    "GFP_NOFS",
    "GFP_KERNEL_ACCOUNT",
)
MODIFIERS: Final = (
    "__GFP_NOWARN",
    "__GFP_NORETRY",
    "__GFP_RETRY_MAYFAIL",
    "__GFP_HIGH",
    "__GFP_RECLAIMABLE",
    "__GFP_MEMALLOC",
    "__GFP_NOMEMALLOC",
    "__GFP_HARDWALL",
)
SMALL: Final = PAGE_SIZE * 4  # bytes above which objects are made sparingly: filling them is dear
KEPT: Final = 48 << 20  # bytes that a phase keeps live at most
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


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of calls with one aim."""

    name: str
    ops: Iterator[Op]


@dataclass(slots=True)
class _Object:
    """An object that the generator believes to be live."""

    api: str
    size: int
    order: int


def boundary_sizes(profile: Profile) -> list[int]:
    """Return sizes at and around every boundary that a legal request can have."""
    edges = {*CLASS_SIZES, *(16 << k for k in range(18)), *(48 << k for k in range(8)), profile.kmalloc_max}
    sizes = {edge + delta for edge in edges for delta in (-1, 0, 1)}
    return sorted(size for size in sizes if 0 < size <= profile.kmalloc_max)


class Generator:
    """Make phases for a target with the calls `apis`."""

    def __init__(self, seed: int, profile: Profile, apis: frozenset[str]) -> None:
        """Draw everything from `seed`."""
        self._random = random.Random(seed)
        self._profile = profile
        names = NAMES[profile.gfp]
        self._bases = [names[name] for name in BASES]
        self._modifiers = [names[name] for name in MODIFIERS]
        self._apis = apis
        self._makers = [name for name in KERNEL_APIS if APIS[name].role == "allocate" and name in apis]
        self._kmallocs = [name for name in self._makers if APIS[name].family == "kmalloc" and "kfree" in apis]
        self._pages = [name for name in self._makers if APIS[name].family == "page" and "free_pages" in apis]
        self._zeroing = [name for name in self._kmallocs if APIS[name].zeroes]
        self._sizes = boundary_sizes(profile)
        self._small = [size for size in self._sizes if size <= SMALL]
        self._live: dict[int, _Object] = {}
        self._next = 1
        self._bytes = 0

    def phases(self) -> Iterator[Phase]:
        """Yield phases without end: each aim in turn, again and again with other draws."""
        plan: list[tuple[str, Callable[[int], Iterator[Op]], bool]] = [
            ("boundaries", self._boundaries, bool(self._kmallocs)),
            ("arrays", self._arrays, bool({"kmalloc_array", "kcalloc"} & set(self._kmallocs))),
            ("resize", self._resizes, bool(self._kmallocs) and "krealloc" in self._apis),
            ("pages", self._blocks, bool(self._pages)),
            ("dirty", self._dirty, bool(self._kmallocs)),
            ("mixed", self._mixed, bool(self._makers)),
            ("slabs", self._slabs, bool(self._kmallocs)),
            ("pressure", self._pressure, bool(self._pages)),
            ("cycles", self._cycles, bool(self._makers)),
        ]
        for turn in range(1 << 30):
            for name, make, possible in plan:
                if possible:
                    self._live.clear()
                    self._next, self._bytes = 1, 0
                    yield Phase(name, make(turn))

    def _gfp(self) -> int:
        """Draw a legal mask: a base with now and then a modifier, or with __GFP_ZERO."""
        draw = self._random.random()
        mask = self._bases[0] if draw < 0.5 else self._random.choice(self._bases)
        if draw > 0.85:
            more = mask | self._random.choice(self._modifiers)
            mask = more if mask_is_legal(more) else mask
        return mask | ZERO if self._random.random() < 0.2 else mask

    def _make(self, api: str, size: int, gfp: int) -> Op:
        """Return a call of the kmalloc family that makes an object of `size` bytes."""
        out = self._next
        self._next += 1
        if 0 < size <= self._profile.kmalloc_max:
            self._live[out] = _Object(api, size, -1)
            self._bytes += size
        if "count" not in APIS[api].parameters:
            return Op(api, out, (size, gfp))
        count = self._random.choice([n for n in (1, 2, 3, 4, 7, 8, 16) if size % n == 0])
        pair = (count, size // count) if self._random.random() < 0.5 else (size // count, count)
        return Op(api, out, (*pair, gfp))

    def _block(self, order: int, gfp: int) -> Op:
        """Return a call that makes a block of pages."""
        out = self._next
        self._next += 1
        if order <= self._profile.max_order:
            self._live[out] = _Object("__get_free_pages", PAGE_SIZE << order, order)
            self._bytes += PAGE_SIZE << order
        if order == 0 and "get_zeroed_page" in self._pages and self._random.random() < 0.5:
            return Op("get_zeroed_page", out, (gfp & ~ZERO,))
        if "__get_free_pages" not in self._pages:
            return Op("get_zeroed_page", out, (gfp & ~ZERO,))
        return Op("__get_free_pages", out, (gfp, order))

    def _drop(self, item: int) -> Op:
        """Return the call that frees a live object."""
        held = self._live.pop(item)
        self._bytes -= held.size
        if held.order >= 0:
            return Op("free_pages", 0, (item, held.order))
        if self._random.random() < 0.03 and "krealloc" in self._apis:
            return Op("krealloc", item, (item, 0, self._bases[0]))
        return Op("kfree", 0, (item,))

    def _resize(self, item: int, size: int, gfp: int) -> Op:
        """Return a krealloc of a live object to `size` bytes."""
        held = self._live[item]
        self._bytes += size - held.size
        held.size = size
        return Op("krealloc", item, (item, size, gfp))

    def _drop_all(self, order: str) -> Iterator[Op]:
        """Yield the calls that free everything: in order of making, the other way, or shuffled."""
        items = list(self._live)
        if order == "back":
            items.reverse()
        elif order == "shuffled":
            self._random.shuffle(items)
        elif order == "odd":
            items = items[::2] + items[1::2]
        for item in items:
            if self._random.random() < 0.05:
                yield Op("check", 0, (self._random.choice(items),))
            yield self._drop(item)

    def _boundaries(self, turn: int) -> Iterator[Op]:
        """Every size that matters through every call, a few objects live at a time; what must fail, fails."""
        sizes = self._sizes if turn % 4 == 0 else self._small
        for size in sizes:
            for api in self._kmallocs:
                if size > SMALL and self._random.random() < 0.7:
                    continue
                yield self._make(api, size, self._gfp())
                if len(self._live) > 12 or self._bytes > KEPT // 4:
                    yield from self._drop_some(8)
        for size in (0, self._profile.kmalloc_max + 1, self._profile.kmalloc_max * 2, *IMPOSSIBLE):
            for api in self._kmallocs:
                yield self._make(api, size, self._gfp())
                if "krealloc" in self._apis and self._live:
                    yield Op("krealloc", min(self._live), (min(self._live), size or 1, self._bases[0]))
                    self._live.pop(min(self._live)) if size == 0 else None
        for item in (ID_NULL, ID_ZERO_SIZE):
            yield Op("kfree", 0, (item,))
            if "ksize" in self._apis:
                yield Op("ksize", 0, (item,))
        yield from self._drop_all("shuffled")

    def _drop_some(self, left: int) -> Iterator[Op]:
        """Yield frees until `left` objects are live, now and then after another look at one."""
        while len(self._live) > left:
            item = self._random.choice(list(self._live))
            held = self._live[item]
            if held.order < 0 and "ksize" in self._apis and self._random.random() < 0.2:
                yield Op("ksize", 0, (item,))
            yield self._drop(item)

    def _arrays(self, _turn: int) -> Iterator[Op]:
        """Products around the edge of size_t, and some that fit."""
        for api in sorted({"kmalloc_array", "kcalloc"} & set(self._kmallocs)):
            for count in FACTORS:
                for size in (*FACTORS, SIZE_MAX // count, SIZE_MAX // count + 1):
                    if count * size > self._profile.kmalloc_max and size <= SIZE_MAX:
                        out, self._next = self._next, self._next + 1
                        yield Op(api, out, (count, size, self._gfp()))
                        yield Op("kfree", 0, (out,))
            for _ in range(200):
                yield self._make(api, self._random.choice(self._small), self._gfp())
            yield from self._drop_all("shuffled")

    def _resizes(self, _turn: int) -> Iterator[Op]:
        """Ladders of krealloc: grow, shrink, grow, in place and moving, zeroing and not."""
        for _ in range(400):
            zero = ZERO if self._random.random() < 0.5 else 0
            start = self._random.choice(self._small)
            maker = self._random.choice(self._kmallocs)
            yield self._make(maker, start, self._bases[0] | zero)
            item = self._next - 1
            size = start
            for _ in range(self._random.randrange(1, 7)):
                draw = self._random.random()
                if draw < 0.45:
                    size = min(
                        self._profile.kmalloc_max, size + self._random.choice((1, 7, 8, size, 3 * size))
                    )
                elif draw < 0.8:
                    size = max(1, size - self._random.choice((1, 8, size // 2, size // 3)))
                else:
                    size = self._random.choice(self._small)
                keep_zero = zero if self._random.random() < 0.9 else 0
                yield self._resize(item, size, self._bases[0] | keep_zero)
                if self._random.random() < 0.1:
                    yield Op("krealloc", item, (item, self._profile.kmalloc_max + 1, self._bases[0]))
            if len(self._live) > 40 or self._bytes > KEPT // 4:
                yield from self._drop_some(20)
        yield from self._drop_all("shuffled")

    def _blocks(self, turn: int) -> Iterator[Op]:
        """Blocks of all orders, split and merged in adversarial orders of freeing."""
        top = self._profile.max_order
        for order in range(top + 3):
            yield self._block(order, self._gfp())
        yield self._block(63, self._bases[0])
        yield Op("free_pages", 0, (ID_NULL, 0))
        yield Op("free_pages", 0, (ID_NULL, top))
        yield from self._drop_all("forth")
        for style in ("forth", "back", "odd", "shuffled"):
            for _ in range(60):
                order = min(int(self._random.expovariate(0.6)), top)
                if self._bytes + (PAGE_SIZE << order) < KEPT // 2:
                    yield self._block(order, self._gfp())
                if self._random.random() < 0.3:
                    yield from self._drop_some(len(self._live) - 1)
            yield from self._drop_all(style)
        for order in range(min(top, 5) + 1):
            for _ in range(48):
                yield self._block(order, self._bases[turn % len(self._bases)])
            yield from self._drop_all(self._random.choice(("odd", "back", "shuffled")))

    def _dirty(self, _turn: int) -> Iterator[Op]:
        """Memory made dirty and freed through every path, then asked for with zeroes, size by size."""
        for size in self._sizes:
            if size > SMALL and self._random.random() < 0.6:
                continue
            for _ in range(8 if size <= SMALL else 2):
                yield self._make(self._kmallocs[0], size, self._bases[0])
            yield from self._drop_all(self._random.choice(("forth", "back")))
            for _ in range(6 if size <= SMALL else 2):
                if self._zeroing and self._random.random() < 0.5:
                    yield self._make(
                        self._random.choice(self._zeroing), size, self._random.choice(self._bases)
                    )
                else:
                    gfp = self._random.choice(self._bases) | ZERO
                    yield self._make(self._random.choice(self._kmallocs), size, gfp)
            if len(self._live) > 64 or self._bytes > KEPT // 4:
                yield from self._drop_all("shuffled")
        yield from self._drop_all("shuffled")

    def _size(self) -> int:
        """Draw a size: often a boundary, often small, seldom large."""
        draw = self._random.random()
        if draw < 0.5:
            return self._random.choice(self._small)
        if draw < 0.97:
            return self._random.randrange(1, 1 << self._random.randrange(1, 13))
        return self._random.choice(self._sizes) if draw > 0.998 else self._random.randrange(1, SMALL)

    def _mixed(self, turn: int) -> Iterator[Op]:
        """Everything at random, with many objects live."""
        wanted = self._random.choice((20, 200, 1500))
        for _ in range(6000 if turn == 0 else 20000):
            draw = self._random.random()
            full = len(self._live) >= wanted or self._bytes > KEPT // 2
            if draw < (0.25 if full else 0.6):
                if self._pages and (not self._kmallocs or draw < 0.04):
                    yield self._block(min(int(self._random.expovariate(0.8)), 9), self._gfp())
                elif self._kmallocs:
                    yield self._make(self._random.choice(self._kmallocs), self._size(), self._gfp())
            elif not self._live:
                continue
            elif draw < 0.68 and "krealloc" in self._apis:
                item = self._pick()
                if self._live[item].order < 0:
                    yield self._resize(item, self._size(), self._gfp())
            elif draw < 0.72:
                yield Op("check", 0, (self._pick(),))
            elif draw < 0.74 and "ksize" in self._apis:
                item = self._pick()
                if self._live[item].order < 0:
                    yield Op("ksize", 0, (item,))
            else:
                yield self._drop(self._pick())
        yield from self._drop_all("shuffled")

    def _pick(self) -> int:
        """Draw a live object: often the newest, else any id at or above a random one."""
        if self._random.random() < 0.3:
            return next(reversed(self._live))
        start = self._random.randrange(max(1, self._next - 4 * len(self._live)), self._next)
        for item in range(start, min(start + 16, self._next)):
            if item in self._live:
                return item
        return next(iter(self._live))

    def _slabs(self, turn: int) -> Iterator[Op]:
        """Objects of one size over several slabs; slabs that empty and fill, survivors watched."""
        sizes = self._random.sample(self._small, 6) if turn else [8, 32, 64, 96, 256, 1024, 4096]
        for size in sizes:
            api = self._random.choice(self._kmallocs)
            count = max(40, min(1200, (256 << 10) // size))
            for style in ("forth", "odd", "back", "shuffled"):
                for _ in range(count):
                    yield self._make(api, size, self._bases[0])
                survivors = self._random.sample(list(self._live), 3)
                for item in [item for item in self._live if item not in survivors]:
                    yield self._drop(item)
                for _ in range(count // 2):
                    yield self._make(api, size, self._bases[0])
                for item in survivors:
                    yield Op("check", 0, (item,))
                yield from self._drop_all(style)

    def _pressure(self, turn: int) -> Iterator[Op]:
        """Blocks of one order until a limit or until they fail, freed so that they merge, then larger ones."""
        order = turn % 4
        for _ in range(min(3000, (KEPT * 2) // (PAGE_SIZE << order))):
            yield self._block(order, self._bases[0])
        yield from self._drop_all(("odd", "shuffled", "back", "forth")[turn % 4])
        for larger in range(order, min(self._profile.max_order, order + 6) + 1):
            for _ in range(4):
                yield self._block(larger, self._bases[0])
        yield from self._drop_all("back")

    def _cycles(self, turn: int) -> Iterator[Op]:
        """One call made and undone thousands of times: counters, leaks, liveness."""
        count = 70_000 if turn % 3 == 2 else 3_000
        if self._kmallocs and (turn % 2 == 0 or not self._pages):
            api = self._random.choice(self._kmallocs)
            size = self._random.choice((8, 64, 96, 512, 4096, 8193, 16384, 65536))
            first, undo = self._make(api, size, self._bases[0]), Op("kfree", 0, (1,))
        else:
            order = self._random.choice((0, 1, 2, 3, 4))
            first = self._block(order, self._bases[0])
            undo = Op("free_pages", 0, (1, order))
        self._live.clear()
        for _ in range(count):
            yield first
            yield undo
