"""SLAB: what must hold of the state of slab caches, at any object, pair of objects, slab or page of it.

A cache is some slabs, blocks of pages cut into slots, and some live objects, each in a slot. Each rule
speaks of points that the prover or the machine picks, never of all of them: so that it is the same
over a table of a thousand objects and over one without bounds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, Protocol

from kmem_spec.clauses import clause
from kmem_spec.extents import disjoint
from kmem_spec.table import DictTable, Table
from kmem_spec.units import NULL, PAGE_SIZE

NO_SLAB: Final = -1  # in place of a slab's count of live objects


class Slabs(Protocol):
    """The state of one cache."""

    @property
    def slot(self) -> int:
        """Bytes from one object to the next."""

    @property
    def objects(self) -> int:
        """Slots of a slab."""

    @property
    def slab_bytes(self) -> int:
        """Bytes of a slab."""

    @property
    def slabs(self) -> Table[int]:
        """The base of each slab, and how many of its objects are live."""

    @property
    def live(self) -> Table[int]:
        """The address of each live object, and the base of its slab."""

    @property
    def owners(self) -> Table[int]:
        """The number of each page of the slabs of all caches, and the base of that slab."""


@dataclass(frozen=True)
class Sample:
    """A cache written out, for witnesses."""

    slabs: DictTable[int]
    live: DictTable[int]
    owners: DictTable[int] = field(default_factory=DictTable)
    slot: int = 96
    objects: int = 42
    slab_bytes: int = PAGE_SIZE


BASE: Final = 16 * PAGE_SIZE
NEXT: Final = BASE + PAGE_SIZE
GOOD: Final = Sample(
    slabs=DictTable({BASE: 2, NEXT: 0}),
    live=DictTable({BASE: BASE, BASE + 96: BASE}),
    owners=DictTable({16: BASE, 17: NEXT}),
)
BAD: Final = Sample(
    slabs=DictTable({BASE: 2, BASE + 64: 0}),
    live=DictTable({BASE: BASE, BASE + 64: BASE, NEXT: NEXT}),
    owners=DictTable({16: BASE + 64}),
)


def has_slab(cache: Slabs, base: int) -> bool:
    """Say whether `base` is the base of a slab of the cache."""
    return cache.slabs.get(base, NO_SLAB) >= 0


def is_live(cache: Slabs, address: int) -> bool:
    """Say whether `address` is that of a live object of the cache."""
    return cache.live.get(address, NULL) != NULL


def _both_live(cache: Slabs, address: int, other: int) -> bool:
    return is_live(cache, address) & is_live(cache, other) & (address != other)


def _two_slabs(cache: Slabs, base: int, others: Slabs, other: int) -> bool:
    return has_slab(cache, base) & has_slab(others, other) & ((cache is not others) | (base != other))


def _page_of_slab(cache: Slabs, base: int, page: int) -> bool:
    start = page * PAGE_SIZE
    return has_slab(cache, base) & (base <= start) & (start < base + cache.slab_bytes)


@clause(
    "SLAB-INSIDE",
    "An object lies whole within its slab, a multiple of the slot size after its base.",
    source="mm/slub.c: shuffle_freelist, allocate_slab, check_valid_pointer",
    kind="state",
    promises=(),
    applies=is_live,
    witness=(GOOD, BASE + 96),
    broken=(BAD, BASE + 64),
)
def object_is_inside_its_slab(cache: Slabs, address: int) -> bool:
    """Place a live object in its slab.

    A proof for slots of any size replaces the remainder by a ghost, the object's index.
    """
    base = cache.live.get(address, NULL)
    last = base + cache.slab_bytes - cache.slot
    return (base <= address) & (address <= last) & ((address - base) % cache.slot == 0)


@clause(
    "SLAB-APART",
    "No two live objects of a cache share a byte.",
    source="mm/slub.c: setup_object, allocate_slab",
    kind="state",
    promises=(),
    applies=_both_live,
    witness=(GOOD, BASE, BASE + 96),
    broken=(BAD, BASE, BASE + 64),
)
def live_objects_are_apart(cache: Slabs, address: int, other: int) -> bool:
    """Compare the slots of two live objects."""
    return disjoint(address, cache.slot, other, cache.slot)


@clause(
    "SLAB-LIVE",
    "An object that waits to be handed out is not live: it is handed out once until it is freed.",
    source="mm/slub.c: ___slab_alloc, get_freepointer; on_freelist",
    kind="state",
    promises=(),
    applies=lambda cache, base, index, waits: has_slab(cache, base) & waits,
    witness=(GOOD, BASE, 2, True),
    broken=(GOOD, BASE, 1, True),
)
def waiting_object_is_not_live(cache: Slabs, base: int, index: int, _waits: bool) -> bool:
    """Look up the object in a slot of which some free list says that it waits."""
    in_slab = (index >= 0) & (index < cache.objects)
    return in_slab & (cache.live.get(base + index * cache.slot, NULL) == NULL)


@clause(
    "SLAB-EMPTY",
    "A slab stays as long as any of its objects is live.",
    source="mm/slub.c: __slab_free, discard_slab, on slabs with no object in use",
    kind="state",
    promises=(),
    applies=is_live,
    witness=(GOOD, BASE),
    broken=(BAD, NEXT),
)
def live_object_has_its_slab(cache: Slabs, address: int) -> bool:
    """Look up the count of the object's slab, which the object is one of.

    `shrink` relies on the count alone. The proof numbers the live objects of a slab from 0 to count - 1
    (a ghost; a free gives the freed number to the object with the last): with none, no object can be live.
    """
    return cache.slabs.get(cache.live.get(address, NULL), NO_SLAB) > 0


@clause(
    "SLAB-COUNT",
    "A slab's count is the number of its live objects.",
    source="mm/slab.h: struct slab, inuse",
    kind="state",
    promises=(),
    applies=has_slab,
    witness=(GOOD, BASE),
    broken=(BAD, BASE + 64),
)
def count_is_of_live_objects(cache: Slabs, base: int) -> bool:
    """Compare a slab's count with its slots, one by one."""
    found = 0
    for index in range(cache.objects):
        found += cache.live.get(base + index * cache.slot, NULL) == base
    return (base % PAGE_SIZE == 0) & (cache.slabs.get(base, NO_SLAB) == found)


@clause(
    "SLAB-PAGES",
    "A slab is whole pages, and no two slabs, of the same cache or of two, share one.",
    source="mm/slub.c: allocate_slab; mm/slab.h: folio_slab",
    kind="state",
    promises=(),
    applies=_two_slabs,
    witness=(GOOD, BASE, GOOD, NEXT),
    broken=(GOOD, BASE, BAD, BASE),
)
def slabs_share_no_page(cache: Slabs, base: int, others: Slabs, other: int) -> bool:
    """Compare the extents of two slabs."""
    whole = (base % PAGE_SIZE == 0) & (other % PAGE_SIZE == 0)
    return whole & disjoint(base, cache.slab_bytes, other, others.slab_bytes)


@clause(
    "SLAB-OWNER",
    "Every page of a slab names that slab.",
    source="mm/slab.h: virt_to_slab",
    kind="state",
    promises=(),
    applies=_page_of_slab,
    witness=(GOOD, BASE, 16),
    broken=(BAD, BASE, 16),
)
def page_names_its_slab(cache: Slabs, base: int, page: int) -> bool:
    """Look up the owner of a page that lies within the slab: what lets `grow` look at its own pages only."""
    return cache.owners.get(page, NULL) == base


def points_of(table: Table[int]) -> list[int]:
    """Return the keys of a table, least first.

    Needs    a table that can be listed, not a symbolic one
    """
    keys: list[int] = []

    def note(key: int, _: int) -> bool:
        keys.append(key)
        return True

    table.every(note)
    return sorted(keys)


def broken_clauses(caches: Sequence[Slabs]) -> list[str]:
    """Return the ids of the clauses that do not hold of some caches with one table of owners, at every point.

    SLAB-LIVE speaks of free lists, which the state does not have: ask it where they are.

    Needs    tables that can be listed, not symbolic ones
    """
    slabs = sorted(
        ((base, cache) for cache in caches for base in points_of(cache.slabs)), key=lambda slab: slab[0]
    )
    objects = [(cache, points_of(cache.live)) for cache in caches]
    pages = [
        (cache, base, base // PAGE_SIZE + page)
        for base, cache in slabs
        for page in range(cache.slab_bytes // PAGE_SIZE)
    ]
    found = {
        "SLAB-INSIDE": all(object_is_inside_its_slab(c, address) for c, live in objects for address in live),
        "SLAB-APART": all(  # neighbours apart, so all apart
            live_objects_are_apart(c, *pair) for c, live in objects for pair in pairwise(live)
        ),
        "SLAB-EMPTY": all(live_object_has_its_slab(c, address) for c, live in objects for address in live),
        "SLAB-COUNT": all(count_is_of_live_objects(cache, base) for base, cache in slabs),
        "SLAB-PAGES": all(
            slabs_share_no_page(cache, base, others, other)
            for (base, cache), (other, others) in pairwise(slabs)
        ),
        "SLAB-OWNER": all(page_names_its_slab(*page) for page in pages),
    }
    return [identifier for identifier, holds in found.items() if not holds]
