"""The state of the model seen from within: which rules of the spec it breaks, whose each page is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from kmem_model.kernel import Kernel
from kmem_model.memory import pfn_of
from kmem_model.slab import BuiltCache
from kmem_spec import area, cache, construct, zone
from kmem_spec.table import Table
from kmem_spec.units import PAGE_SHIFT

OF_ZONES: Final = ("PAGE-HEAD", "PAGE-APART", "PAGE-WHOLE", "PAGE-COUNT", "PAGE-MERGED")
OF_SLABS: Final = (
    "SLAB-INSIDE",
    "SLAB-APART",
    "SLAB-EMPTY",
    "SLAB-COUNT",
    "SLAB-PAGES",
    "SLAB-OWNER",
    "SLAB-LIVE",
)
OF_SLOTS: Final = ("CACHE-CONSTRUCTED", "CACHE-DESTRUCTED")
OF_AREAS: Final = (
    "VM-WHOLE",
    "VM-APART",
    "VM-MAPPED",
    "VM-UNMAPPED",
    "VM-INSIDE",
    "VM-FRAMES",
    "VM-FRAME",
    "VM-ONE-FRAME",
    "VM-HELD",
)


def listed(table: Table[int]) -> dict[int, int]:
    """Return a copy of a table that can be listed."""
    return {key: table.get(key, 0) for key in cache.points_of(table)}


class Inside:
    """The predicates of the spec over all tables of one kernel; a zone that did not change is not read again.

    judged    clauses that had something to be judged on when last asked
    """

    def __init__(self, kernel: Kernel) -> None:
        """Look into `kernel`."""
        self._kernel = kernel
        self._zones: dict[str, object] = {}
        self.judged: set[str] = set()

    def broken(self) -> list[str]:
        """Return the ids of the clauses that the state breaks; `leak` stands for pages that nobody has,
        `queue` for a free block that is queued twice or is known to be and is not."""
        kernel = self._kernel
        lists = kernel.caches.every
        found: list[str] = []
        self.judged = set(OF_ZONES)
        for each in kernel.frames.pages.zones:
            now = (listed(each.free), listed(each.used), each.nfree)
            if self._zones.get(each.name) != now:
                found += zone.broken_clauses(each)
                self._zones[each.name] = now
        if kernel.caches.slab_at:
            self.judged.update(OF_SLABS)
        found += cache.broken_clauses([each.cache for each in lists])
        if any(waits_live(kernel)):
            found.append("SLAB-LIVE")
        built = [each.cache for each in lists if isinstance(each.cache, BuiltCache)]
        if kernel.caches.constructed:
            self.judged.update(OF_SLOTS)
        found += construct.broken_constructions(built, kernel.caches.constructed)
        areas = kernel.space.areas
        if cache.points_of(areas.areas):
            self.judged.update(OF_AREAS)
        found += area.broken_clauses(areas)
        found += ["queue"] * (not queues_are_true(kernel))
        return found + (["leak"] if pages_in_use(kernel) != pages_owned(kernel) else [])


def waits_live(kernel: Kernel) -> list[bool]:
    """Say for each slab whether its free list is wrong: twice the same slot, a live one, or too few."""
    wrong = []
    for each in kernel.caches.every:
        for base, waiting in each.waiting.items():
            free = each.cache.objects - each.cache.slabs.get(base, -1)
            live = any(not cache.waiting_object_is_not_live(each.cache, base, i, True) for i in waiting)
            wrong.append(live or not len(set(waiting)) == len(waiting) == free)
    return wrong


def queues_are_true(kernel: Kernel) -> bool:
    """Say whether each queue of free blocks has the heads that it is known to have, each once."""
    return all(
        len(heap) == len(queued) and queued.issuperset(heap)
        for shelf in kernel.frames.pages._shelves
        for heap, queued in zip(shelf.heaps, shelf.queued, strict=True)
    )


def pages_in_use(kernel: Kernel) -> dict[int, int]:
    """Return the head of each block that the page allocator has given, and its pages."""
    used: dict[int, int] = {}
    for each in kernel.frames.pages.zones:
        used |= listed(each.used)
    return used


def pages_owned(kernel: Kernel) -> dict[int, int]:
    """Return the same, as those say who were given them: slabs, blocks, exact pages, frames of areas."""
    owned = {pfn_of(base): 1 << each.cache.order for base, each in kernel.caches.slab_at.items()}
    for start, length in listed(kernel.blocks.spans).items():
        family = kernel.block_at(start).family
        if family == "exact":
            owned |= {pfn_of(start) + page: 1 for page in range(length >> PAGE_SHIFT)}
        elif family in ("page", "kmalloc"):
            owned[pfn_of(start)] = length >> PAGE_SHIFT
    return owned | {pfn_of(frame): 1 for frame in cache.points_of(kernel.space.areas.backing)}


def objects_held(kernel: Kernel) -> set[int]:
    """Return the start of everything that is in somebody's hands, the reserves of pools left out."""
    held = set(cache.points_of(kernel.blocks.spans))
    for each in kernel.caches.every:
        held.update(cache.points_of(each.cache.live))
    return held - {element for pool in kernel.pools.values() for element in pool.reserve}


def is_empty(kernel: Kernel) -> bool:
    """Say whether every page comes back once slabs without an object are given up."""
    kernel.caches.shrink()
    return not pages_in_use(kernel) and not kernel.caches.constructed and not objects_held(kernel)


def tables(kernel: Kernel) -> Mapping[str, object]:
    """Return a copy of everything that a call can change, by name."""
    areas, lists = kernel.space.areas, kernel.caches.every
    return {
        "bytes": {number: bytes(page) for number, page in kernel.memory.pages.items()},
        "pages of one byte": dict(kernel.memory.filled),
        "zones": [(listed(each.free), listed(each.used), each.nfree) for each in kernel.frames.pages.zones],
        "areas": [listed(table) for table in (areas.areas, areas.mapped, areas.frames, areas.aliases)],
        "frames": (listed(areas.backing), list(kernel.space.waiting)),
        "slabs": [(each.handle, listed(each.cache.slabs), listed(each.cache.live)) for each in lists],
        "slots": [listed(each.cache.built) for each in lists if isinstance(each.cache, BuiltCache)],
        "free lists": [
            (each.active, list(each.partial), {base: list(free) for base, free in each.waiting.items()})
            for each in lists
        ],
        "owners": (dict(kernel.caches.owners), dict(kernel.caches.constructed)),
        "blocks": listed(kernel.blocks.spans),
        "records": {start: kernel.block_at(start) for start in listed(kernel.blocks.spans)},
        "freed": set(kernel.freed),
        "lent": dict(kernel.lent),
        "caches": {handle: (each.size, each.references) for handle, each in kernel.slab_caches.items()},
        "pools": {
            handle: (each.least, list(each.reserve), set(each.out)) for handle, each in kernel.pools.items()
        },
        "context": (kernel.fail_nth, kernel.atomic),
    }
