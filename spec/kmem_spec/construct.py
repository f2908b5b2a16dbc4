"""CACHE: what must hold of the slots of a cache with a constructor, at any slot and any address.

The slots of a slab are constructed one by one, first to last, and destructed last to first. So one number
a slab says which are, and no rule has to speak of all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from kmem_spec.cache import BASE, GOOD, NEXT, NO_SLAB, Sample, Slabs, has_slab, points_of
from kmem_spec.clauses import clause
from kmem_spec.table import DictTable, Table
from kmem_spec.units import NULL, PAGE_SIZE

NOBODY: Final = 0  # in place of the number of a cache


class Construction(Slabs, Protocol):
    """The state of one cache with a constructor."""

    @property
    def number(self) -> int:
        """What tells the cache from others, not NOBODY."""

    @property
    def built(self) -> Table[int]:
        """The base of each slab, and how many of its slots are constructed, counted from the first."""

    @property
    def constructed(self) -> Table[int]:
        """The address of each constructed slot of all caches, and the number of its cache."""


@dataclass(frozen=True, kw_only=True)
class BuiltSample(Sample):
    """A cache with a constructor written out, for witnesses: its second slab is being made."""

    built: DictTable[int]
    constructed: DictTable[int]
    number: int = 7


def _sample(first: int, second: int, *, stray: int = NULL) -> BuiltSample:
    """Return a sample with that many slots of its slabs constructed, and one at `stray`."""
    slots = [BASE + 96 * index for index in range(first)] + [NEXT + 96 * index for index in range(second)]
    return BuiltSample(
        slabs=GOOD.slabs,
        live=GOOD.live,
        owners=GOOD.owners,
        built=DictTable({BASE: first, NEXT: second}),
        constructed=DictTable(dict.fromkeys([*slots, stray] if stray else slots, 7)),
    )


BUILT: Final = _sample(42, 3)
HALF: Final = _sample(41, 3, stray=NEXT + 96 * 3)


def is_due(cache: Construction, base: int, index: int) -> bool:
    """Say whether a slot must be constructed: it counts as such, or an object of its slab is live."""
    in_slab = has_slab(cache, base) & (index >= 0) & (index < cache.objects)
    return in_slab & ((index < cache.built.get(base, 0)) | (cache.slabs.get(base, NO_SLAB) > 0))


@clause(
    "CACHE-CONSTRUCTED",
    "Every slot of a slab is constructed, by its own cache, from when the slab is made until it goes.",
    source="mm/slub.c: allocate_slab, setup_object",
    kind="state",
    promises=(),
    applies=is_due,
    witness=(BUILT, BASE, 41),
    broken=(HALF, BASE, 41),
)
def slot_is_constructed(cache: Construction, base: int, index: int) -> bool:
    """Look up the slot in the count of its slab and by its address."""
    address = base + index * cache.slot
    return (index < cache.built.get(base, 0)) & (cache.constructed.get(address, NOBODY) == cache.number)


@clause(
    "CACHE-DESTRUCTED",
    "What is constructed is a slot of a slab: where a slab goes, each slot was destructed, once.",
    source="mm/slab.c of 2.6.12: slab_destroy",
    kind="state",
    promises=(),
    applies=lambda cache, address: cache.constructed.get(address, NOBODY) == cache.number,
    witness=(BUILT, NEXT + 96 * 2),
    broken=(HALF, NEXT + 96 * 3),
)
def constructed_slot_is_in_its_slab(cache: Construction, address: int) -> bool:
    """Find the slab by the page, and the slot among those that count.

    A proof for slots of any size replaces quotient and remainder by a ghost, the slot's index.
    """
    base = cache.owners.get(address // PAGE_SIZE, NULL)
    index = (address - base) // cache.slot
    counts = has_slab(cache, base) & (index >= 0) & (index < cache.built.get(base, 0))
    return counts & (base + index * cache.slot == address)


def broken_constructions(caches: Sequence[Construction], constructed: Table[int]) -> list[str]:
    """Return the ids of the clauses that do not hold at every point, between calls: no slab is half made.

    Needs    tables that can be listed, not symbolic ones; `constructed` shared by all caches there are
    """
    by_number = {cache.number: cache for cache in caches}
    points = [
        (address, by_number.get(constructed.get(address, NOBODY))) for address in points_of(constructed)
    ]
    found = {
        "CACHE-CONSTRUCTED": all(
            slot_is_constructed(cache, base, index)
            for cache in caches
            for base in points_of(cache.slabs)
            for index in range(cache.objects)
        ),
        "CACHE-DESTRUCTED": all(
            cache is not None and constructed_slot_is_in_its_slab(cache, address) for address, cache in points
        ),
    }
    return [identifier for identifier, holds in found.items() if not holds]
