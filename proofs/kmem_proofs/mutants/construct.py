"""Faults of caches with a constructor, and of what the judge knows of it; which obligation must find each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kmem_model.slab import BuiltCache, Cache
from kmem_spec.cache import NO_SLAB, has_slab
from kmem_spec.construct import NOBODY, Construction
from kmem_spec.constructed import Constructed
from kmem_spec.table import require
from kmem_spec.units import NULL, PAGE_SIZE

Faults = list[tuple[str, type[BuiltCache]]]


class GrowsBuilt(BuiltCache):
    """Takes every slot of a new slab for constructed."""

    def grow(self, base: int) -> None:
        """Grow."""
        BuiltCache.grow(self, base)
        self.built.put(base, self.objects)


class GrowsOverSlabs(BuiltCache):
    """Does not ask whether the pages are in a slab already."""

    def grow(self, base: int) -> None:
        """Grow."""
        require((base > NULL) & (base % self.slab_bytes == 0), "SLAB-PAGES")
        self.owners.fill(base // PAGE_SIZE, 1 << self.order, base)
        self.slabs.put(base, 0)
        self.built.put(base, 0)


class AllocsUnbuilt(BuiltCache):
    """Does not ask whether the slots are constructed."""

    def alloc(self, base: int, index: int) -> int:
        """Alloc."""
        return Cache.alloc(self, base, index)


class AllocsBuiltSlot(BuiltCache):
    """Asks only whether one slot is constructed."""

    def alloc(self, base: int, index: int) -> int:
        """Alloc."""
        require(self.built.get(base, 0) > 0, "CACHE-CONSTRUCTED")
        return Cache.alloc(self, base, index)


class AllocsLast(BuiltCache):
    """Forgets that the slots are constructed as soon as one is handed out."""

    def alloc(self, base: int, index: int) -> int:
        """Alloc."""
        address = BuiltCache.alloc(self, base, index)
        self.built.put(base, 0)
        return address


class AllocsTheNext(BuiltCache):
    """Hands out the slot behind the one that it was told."""

    def alloc(self, base: int, index: int) -> int:
        """Alloc."""
        return BuiltCache.alloc(self, base, index + 1)


class FreesUnbuilt(BuiltCache):
    """Takes what is freed for not constructed any more."""

    def free(self, base: int, index: int) -> None:
        """Free."""
        Cache.free(self, base, index)
        self.constructed.put(base + index * self.slot, NOBODY)


class FreesTheSlab(BuiltCache):
    """Forgets the slab with the object."""

    def free(self, base: int, index: int) -> None:
        """Free."""
        Cache.free(self, base, index)
        self.slabs.drop(base)


class ShrinksBuilt(BuiltCache):
    """Does not ask whether slots are constructed."""

    def shrink(self, base: int) -> None:
        """Shrink."""
        Cache.shrink(self, base)
        self.built.put(base, 0)


class ShrinksCounted(BuiltCache):
    """Leaves the count of the slab's constructed slots, which is 0."""

    def shrink(self, base: int) -> None:
        """Shrink."""
        BuiltCache.shrink(self, base)
        self.built.put(base, 0)


class ShrinksTooFar(BuiltCache):
    """Takes the slot behind the slab for one that goes with it."""

    def shrink(self, base: int) -> None:
        """Shrink."""
        BuiltCache.shrink(self, base)
        self.constructed.put(base + self.slab_bytes, NOBODY)


class ShrinksHalf(BuiltCache):
    """Keeps the slab's pages."""

    def shrink(self, base: int) -> None:
        """Shrink."""
        require((self.built.get(base, NO_SLAB) == 0) & (self.slabs.get(base, NO_SLAB) == 0), "SLAB-EMPTY")
        self.slabs.drop(base)
        self.built.drop(base)


class ConstructsUnnoted(BuiltCache):
    """Counts the slot and does not note it."""

    def construct(self, base: int) -> int:
        """Construct."""
        address = BuiltCache.construct(self, base)
        self.constructed.put(address, NOBODY)
        return address


class ConstructsUncounted(BuiltCache):
    """Notes the slot and does not count it."""

    def construct(self, base: int) -> int:
        """Construct."""
        address = BuiltCache.construct(self, base)
        self.built.put(base, self.built.get(base, 0) - 1)
        return address


class ConstructsOver(BuiltCache):
    """Does not ask whether somebody constructed the slot."""

    def construct(self, base: int) -> int:
        """Construct."""
        index = self.built.get(base, 0)
        require((self.slabs.get(base, NO_SLAB) >= 0) & (index >= 0) & (index < self.objects), "SLAB-INSIDE")
        address = base + index * self.slot
        self.constructed.put(address, self.number)
        self.built.put(base, index + 1)
        return address


class ConstructsTooMany(BuiltCache):
    """Constructs a slot that the slab has not."""

    def construct(self, base: int) -> int:
        """Construct."""
        index = self.built.get(base, 0)
        require((self.slabs.get(base, NO_SLAB) >= 0) & (index >= 0) & (index <= self.objects), "SLAB-INSIDE")
        address = base + index * self.slot
        require(self.constructed.get(address, NOBODY) == NOBODY, "CACHE-CONSTRUCTED")
        self.constructed.put(address, self.number)
        self.built.put(base, index + 1)
        return address


class ConstructsFirst(BuiltCache):
    """Returns the first slot each time."""

    def construct(self, base: int) -> int:
        """Construct."""
        BuiltCache.construct(self, base)
        return base


class ConstructsInUse(BuiltCache):
    """Counts the slot as an object in use."""

    def construct(self, base: int) -> int:
        """Construct."""
        address = BuiltCache.construct(self, base)
        self.slabs.put(base, self.slabs.get(base, NO_SLAB) + 1)
        return address


class DestructsInUse(BuiltCache):
    """Does not ask whether objects of the slab are live."""

    def destruct(self, base: int) -> int:
        """Destruct."""
        index = self.built.get(base, 0) - 1
        address = base + index * self.slot
        mine = self.constructed.get(address, NOBODY) == self.number
        require((self.slabs.get(base, NO_SLAB) >= 0) & (index >= 0) & mine, "CACHE-DESTRUCTED")
        self.constructed.drop(address)
        self.built.put(base, index)
        return address


class DestructsTheFirst(BuiltCache):
    """Begins with the first slot."""

    def destruct(self, base: int) -> int:
        """Destruct."""
        require(self.slabs.get(base, NO_SLAB) == 0, "SLAB-EMPTY")
        index = self.built.get(base, 0) - 1
        require((index >= 0) & (self.constructed.get(base, NOBODY) == self.number), "CACHE-DESTRUCTED")
        self.constructed.drop(base)
        self.built.put(base, index)
        return base


class DestructsTwo(BuiltCache):
    """Counts two slots less."""

    def destruct(self, base: int) -> int:
        """Destruct."""
        address = BuiltCache.destruct(self, base)
        self.built.put(base, self.built.get(base, 0) - 1)
        return address


class DestructsUnnoted(BuiltCache):
    """Counts the slot as destructed and leaves it noted."""

    def destruct(self, base: int) -> int:
        """Destruct."""
        address = BuiltCache.destruct(self, base)
        self.constructed.put(address, self.number)
        return address


class DestructsAnybodys(BuiltCache):
    """Does not ask who constructed the slot."""

    def destruct(self, base: int) -> int:
        """Destruct."""
        require(self.slabs.get(base, NO_SLAB) == 0, "SLAB-EMPTY")
        index = self.built.get(base, 0) - 1
        address = base + index * self.slot
        require((index >= 0) & (self.constructed.get(address, NOBODY) != NOBODY), "CACHE-DESTRUCTED")
        self.constructed.drop(address)
        self.built.put(base, index)
        return address


class DestructsTheSlab(BuiltCache):
    """Forgets the slab with its last slot."""

    def destruct(self, base: int) -> int:
        """Destruct."""
        address = BuiltCache.destruct(self, base)
        self.slabs.drop(base)
        return address


UNBUILT: Final = ("nobody asks whether the slots are constructed", AllocsUnbuilt)
OVER: Final = ("the pages may be in a slab", GrowsOverSlabs)
STEPS: Final[dict[tuple[str, str], Faults]] = {
    ("CACHE-CONSTRUCTED", "grow"): [("a new slab counts as constructed", GrowsBuilt)],
    ("CACHE-CONSTRUCTED", "alloc"): [UNBUILT, ("one constructed slot is enough", AllocsBuiltSlot)],
    ("CACHE-CONSTRUCTED", "free"): [("a free slot is not constructed", FreesUnbuilt)],
    ("CACHE-CONSTRUCTED", "shrink"): [("the slot behind goes as well", ShrinksTooFar)],
    ("CACHE-CONSTRUCTED", "construct"): [
        ("the slot is not noted", ConstructsUnnoted),
        ("there is a slot too many", ConstructsTooMany),
    ],
    ("CACHE-CONSTRUCTED", "destruct"): [
        ("objects are live", DestructsInUse),
        ("the first slot goes first", DestructsTheFirst),
    ],
    ("CACHE-DESTRUCTED", "grow"): [OVER],
    ("CACHE-DESTRUCTED", "alloc"): [("the slots are forgotten", AllocsLast)],
    ("CACHE-DESTRUCTED", "free"): [("the slab goes with its object", FreesTheSlab)],
    ("CACHE-DESTRUCTED", "shrink"): [("nobody asks for constructed slots", ShrinksBuilt)],
    ("CACHE-DESTRUCTED", "construct"): [("the slot is not counted", ConstructsUncounted)],
    ("CACHE-DESTRUCTED", "destruct"): [
        ("two slots less are counted", DestructsTwo),
        ("the slot stays noted", DestructsUnnoted),
    ],
}
REFINES: Final[dict[str, Faults]] = {
    "SLAB-PAGES/built_grow/refines": [OVER],
    "SLAB-LIVE/built_alloc/refines": [("the next slot is handed out", AllocsTheNext)],
    "SLAB-EMPTY/built_shrink/refines": [("the pages stay", ShrinksHalf)],
    "SLAB-COUNT/construct/refines": [("the slot counts as used", ConstructsInUse)],
    "SLAB-COUNT/destruct/refines": [("the slab goes with its slot", DestructsTheSlab)],
    "SLAB-INSIDE/construct/refines": [("there is a slot too many", ConstructsTooMany)],
    "CACHE-CTOR/alloc/refines": [UNBUILT],
    "CACHE-CTOR-ONCE/construct/refines": [
        ("somebody may have constructed it", ConstructsOver),
        ("the first slot is given each time", ConstructsFirst),
    ],
    "CACHE-CTOR-OWN/construct/refines": [
        ("the first slot is given each time", ConstructsFirst),
        ("there is a slot too many", ConstructsTooMany),
    ],
    "CACHE-CTOR-OWN/construct_beside/refines": [("somebody may have constructed it", ConstructsOver)],
    "CACHE-DTOR/destruct/refines": [("anybody's slot will do", DestructsAnybodys)],
    "CACHE-DTOR/destruct_beside/refines": [("anybody's slot will do", DestructsAnybodys)],
    "CACHE-DTOR/shrink/refines": [
        ("nobody asks for constructed slots", ShrinksBuilt),
        ("the count stays", ShrinksCounted),
    ],
}


def _beginning(change: Callable[[BuiltCache], None]) -> Callable[..., BuiltCache]:
    """Return a constructor that begins with something else than nothing."""

    def make(*fields: int) -> BuiltCache:
        cache = BuiltCache(*fields)  # type: ignore[arg-type]  # a name, sizes and tables, as the claim gives them
        change(cache)
        return cache

    return make


def _slab_in_use(cache: BuiltCache) -> None:
    cache.slabs.put(PAGE_SIZE, 1)


def _slot_alone(cache: BuiltCache) -> None:
    cache.constructed.put(PAGE_SIZE, cache.number)


BEGINNINGS: Final[dict[str, list[tuple[str, Callable[..., BuiltCache]]]]] = {
    "CACHE-CONSTRUCTED": [("it has a slab in use that nobody constructed", _beginning(_slab_in_use))],
    "CACHE-DESTRUCTED": [("it has a constructed slot and no slab", _beginning(_slot_alone))],
}


class HastyBuiltCache(BuiltCache):
    """Changes something before it asks."""

    def grow(self, base: int) -> None:
        """Grow."""
        self.built.put(base, 0)
        BuiltCache.grow(self, base)

    def alloc(self, base: int, index: int) -> int:
        """Alloc."""
        self.live.put(base, NULL)
        return BuiltCache.alloc(self, base, index)

    def shrink(self, base: int) -> None:
        """Shrink."""
        self.constructed.put(base, NOBODY)
        BuiltCache.shrink(self, base)

    def construct(self, base: int) -> int:
        """Construct."""
        self.live.put(base, NULL)
        return BuiltCache.construct(self, base)

    def destruct(self, base: int) -> int:
        """Destruct."""
        self.live.put(base, NULL)
        return BuiltCache.destruct(self, base)


HASTY: Final[Faults] = [("it changes a table before it asks", HastyBuiltCache)]


class ForgetsWhen(Constructed):
    """Notes the cache and not the event."""

    def construct(self, address: int, cache: int, event: int, elder: bool, owed: bool) -> None:
        """Construct."""
        super().construct(address, cache, event, elder, owed)
        self.since.drop(address)


class KeepsWhen(Constructed):
    """Forgets the cache and keeps the event."""

    def destruct(self, address: int, cache: int) -> None:
        """Destruct."""
        super().destruct(address, cache)
        self.since.put(address, 0)


class NotesNobody(Constructed):
    """Leaves the slot noted for its last cache."""

    def destruct(self, address: int, cache: int) -> None:
        """Destruct."""
        super().destruct(address, cache)
        self.cache.put(address, cache)
        self.since.put(address, 0)


class AcceptsElders(Constructed):
    """Lets a constructor run again though an object has lived on."""

    def construct(self, address: int, cache: int, event: int, elder: bool, owed: bool) -> None:
        """Construct."""
        super().construct(address, cache, event, False, owed)


class AcceptsDebts(Constructed):
    """Lets a constructor run again before the destructor."""

    def construct(self, address: int, cache: int, event: int, elder: bool, owed: bool) -> None:
        """Construct."""
        super().construct(address, cache, event, elder, False)


class RefusesOthers(Constructed):
    """Refuses a constructor where any cache's had run before an object that has lived on."""

    def construct(self, address: int, cache: int, event: int, elder: bool, owed: bool) -> None:
        """Construct."""
        require(not ((self.cache.get(address, NULL) != NULL) & elder), "CACHE-CTOR-ONCE")
        super().construct(address, cache, event, elder, owed)


class DestructsOthers(Constructed):
    """Lets any cache's destructor run."""

    def destruct(self, address: int, cache: int) -> None:
        """Destruct."""
        super().destruct(address, self.cache.get(address, cache))


class HastyConstructed(Constructed):
    """Changes something before it asks."""

    def construct(self, address: int, cache: int, event: int, elder: bool, owed: bool) -> None:
        """Construct."""
        self.since.put(address, event)
        super().construct(address, cache, event, elder, owed)

    def destruct(self, address: int, cache: int) -> None:
        """Destruct."""
        self.since.put(address, 0)
        super().destruct(address, cache)


KNOWS: Final[dict[str, list[tuple[str, type[Constructed]]]]] = {
    "construct": [("the event is not noted", ForgetsWhen)],
    "destruct": [("the event stays", KeepsWhen), ("the slot stays noted", NotesNobody)],
}
JUDGES: Final[dict[str, list[tuple[str, type[Constructed]]]]] = {
    "construct": [
        ("an object that lived on is no hindrance", AcceptsElders),
        ("a destructor that is owed is no hindrance", AcceptsDebts),
        ("another cache's constructor counts as well", RefusesOthers),
    ],
    "destruct": [("any cache's destructor may run", DestructsOthers)],
}


def the_first_slot_is_none(cache: Construction, address: int) -> bool:
    """CACHE-DESTRUCTED with the first slot left out."""
    base = cache.owners.get(address // PAGE_SIZE, NULL)
    index = (address - base) // cache.slot
    counts = has_slab(cache, base) & (index > 0) & (index < cache.built.get(base, 0))
    return counts & (base + index * cache.slot == address)


FOLLOWS: Final = {"CACHE-DESTRUCTED/index/implies": [("the first slot is none", the_first_slot_is_none)]}
