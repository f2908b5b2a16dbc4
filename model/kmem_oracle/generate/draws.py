"""Draws of calls: masks, sizes, objects to make, resize and free. Everything follows from the seed."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from kmem_oracle.language.script import Op
from kmem_spec.apis import APIS, KERNEL_APIS
from kmem_spec.calls import Family
from kmem_spec.gfp import NAMES, ZERO, mask_is_legal
from kmem_spec.profile import Profile
from kmem_spec.slab import CLASS_SIZES
from kmem_spec.units import PAGE_SIZE

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


@dataclass(slots=True)
class Held:
    """An object that the generator believes to be live."""

    api: str
    size: int
    order: int


def boundary_sizes(profile: Profile) -> list[int]:
    """Return sizes at and around every boundary that a legal request can have."""
    edges = {*CLASS_SIZES, *(16 << k for k in range(18)), *(48 << k for k in range(8)), profile.kmalloc_max}
    sizes = {edge + delta for edge in edges for delta in (-1, 0, 1)}
    return sorted(size for size in sizes if 0 < size <= profile.kmalloc_max)


def repeated(count: int, *ops: Op) -> Iterator[Op]:
    """Return the calls in turn, that many times."""
    return itertools.chain.from_iterable(itertools.repeat(ops, count))


class Draws:
    """Draw calls for a target with the calls `apis`, and keep count of what should be live."""

    def __init__(self, seed: int | str, profile: Profile, apis: frozenset[str]) -> None:
        """Draw everything from `seed`."""
        self.seed = seed
        self.random = random.Random(seed)
        self.profile = profile
        names = NAMES[profile.gfp]
        self.bases = [names[name] for name in BASES]
        self.modifiers = [names[name] for name in MODIFIERS]
        self.apis = apis
        makers = [name for name in KERNEL_APIS if APIS[name].role == "allocate" and name in apis]
        self.kmallocs = [name for name in makers if APIS[name].family == "kmalloc"]
        self.pages: list[str] = [name for name in ("__get_free_pages", "get_zeroed_page") if name in apis]
        self.makers = self.kmallocs + self.pages
        self.zeroing = [name for name in self.kmallocs if APIS[name].zeroes]
        self.sizes = boundary_sizes(profile)
        self.small = [size for size in self.sizes if size <= SMALL]
        self.live: dict[int, Held] = {}
        self.next = 1
        self.bytes = 0

    def has(self, *names: str) -> bool:
        """Say whether the target has all of these calls."""
        return self.apis.issuperset(names)

    def of_family(self, family: Family) -> list[str]:
        """Return the target's calls of that family which make an object and take no cache or pool."""
        return [
            name
            for name, api in APIS.items()
            if api.family == family and api.role == "allocate" and name in self.apis
        ]

    def new(self, count: int = 1) -> int:
        """Return the first of so many ids not used yet."""
        first, self.next = self.next, self.next + count
        return first

    def gfp(self) -> int:
        """Draw a legal mask: a base with now and then a modifier, or with __GFP_ZERO."""
        draw = self.random.random()
        mask = self.bases[0] if draw < 0.5 else self.random.choice(self.bases)
        if draw > 0.85:
            more = mask | self.random.choice(self.modifiers)
            mask = more if mask_is_legal(more) else mask
        return mask | ZERO if self.random.random() < 0.2 else mask

    def make(self, api: str, size: int, gfp: int) -> Op:
        """Return a call of the kmalloc family that makes an object of `size` bytes."""
        out = self.next
        self.next += 1
        if 0 < size <= self.profile.kmalloc_max:
            self.live[out] = Held(api, size, -1)
            self.bytes += size
        if "count" not in APIS[api].parameters:
            return Op(api, out, (size, gfp))
        count = self.random.choice([n for n in (1, 2, 3, 4, 7, 8, 16) if size % n == 0])
        pair = (count, size // count) if self.random.random() < 0.5 else (size // count, count)
        return Op(api, out, (*pair, gfp))

    def block(self, order: int, gfp: int) -> Op:
        """Return a call that makes a block of pages, of order 0 where the target has no other."""
        order = order if "__get_free_pages" in self.pages else 0
        out = self.next
        self.next += 1
        if order <= self.profile.max_order:
            self.live[out] = Held("__get_free_pages", PAGE_SIZE << order, order)
            self.bytes += PAGE_SIZE << order
        if order == 0 and "get_zeroed_page" in self.pages and self.random.random() < 0.5:
            return Op("get_zeroed_page", out, (gfp & ~ZERO,))
        if "__get_free_pages" not in self.pages:
            return Op("get_zeroed_page", out, (gfp & ~ZERO,))
        return Op("__get_free_pages", out, (gfp, order))

    def drop(self, item: int) -> Op:
        """Return the call that frees a live object."""
        held = self.live.pop(item)
        self.bytes -= held.size
        if held.order >= 0:
            return Op("free_pages", 0, (item, held.order))
        if self.random.random() < 0.03 and "krealloc" in self.apis:
            return Op("krealloc", item, (item, 0, self.bases[0]))
        return Op("kfree", 0, (item,))

    def resize(self, item: int, size: int, gfp: int) -> Op:
        """Return a krealloc of a live object to `size` bytes."""
        held = self.live[item]
        self.bytes += size - held.size
        held.size = size
        return Op("krealloc", item, (item, size, gfp))

    def drop_all(self, order: str) -> Iterator[Op]:
        """Yield the calls that free everything: in order of making, the other way, or shuffled."""
        items = list(self.live)
        if order == "back":
            items.reverse()
        elif order == "shuffled":
            self.random.shuffle(items)
        elif order == "odd":
            items = items[::2] + items[1::2]
        for item in items:
            if self.random.random() < 0.05:
                yield Op("check", 0, (self.random.choice(items),))
            yield self.drop(item)

    def drop_some(self, left: int) -> Iterator[Op]:
        """Yield frees until `left` objects are live, now and then after another look at one."""
        while len(self.live) > left:
            item = self.random.choice(list(self.live))
            held = self.live[item]
            if held.order < 0 and "ksize" in self.apis and self.random.random() < 0.2:
                yield Op("ksize", 0, (item,))
            yield self.drop(item)

    def size(self) -> int:
        """Draw a size: often a boundary, often small, seldom large."""
        draw = self.random.random()
        if draw < 0.5:
            return self.random.choice(self.small)
        if draw < 0.97:
            return self.random.randrange(1, 1 << self.random.randrange(1, 13))
        return self.random.choice(self.sizes) if draw > 0.998 else self.random.randrange(1, SMALL)

    def pick(self) -> int:
        """Draw a live object: often the newest, else any id at or above a random one."""
        if self.random.random() < 0.3:
            return next(reversed(self.live))
        start = self.random.randrange(max(1, self.next - 4 * len(self.live)), self.next)
        for item in range(start, min(start + 16, self.next)):
            if item in self.live:
                return item
        return next(iter(self.live))
