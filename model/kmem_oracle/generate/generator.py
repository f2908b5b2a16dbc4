"""Generation aimed at clauses: phases of calls, each after what a kind of fault needs to show.

A phase starts on a freshly loaded target and ends with everything freed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from kmem_oracle.campaign.play import DRIVERS
from kmem_oracle.generate.area_phases import AreaPhases
from kmem_oracle.generate.copy_phases import CopyPhases
from kmem_oracle.generate.cycles import Cycles
from kmem_oracle.generate.mask_phases import MaskPhases
from kmem_oracle.generate.object_phases import ObjectPhases
from kmem_oracle.generate.page_phases import PagePhases
from kmem_oracle.generate.phase import Phase
from kmem_oracle.generate.shape_phases import ShapePhases
from kmem_oracle.language.script import Op

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


class Generator(Cycles, ObjectPhases, ShapePhases, AreaPhases, PagePhases, CopyPhases, MaskPhases):
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
