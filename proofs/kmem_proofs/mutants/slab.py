"""Faults of the steps of a slab cache, and which obligation must find each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kmem_model.slab import Cache
from kmem_spec.cache import NO_SLAB, Slabs
from kmem_spec.table import require
from kmem_spec.units import NULL, PAGE_SIZE

Faults = list[tuple[str, type[Cache]]]


class GrowsAnywhere(Cache):
    """Does not ask whether the pages are in a slab already."""

    def grow(self, base: int) -> None:
        """Grow."""
        require((base > NULL) & (base % self.slab_bytes == 0), "SLAB-PAGES")
        self.owners.fill(base // PAGE_SIZE, 1 << self.order, base)
        self.slabs.put(base, 0)


class GrowsByTheFirstPage(Cache):
    """Asks only whether the first page is in a slab already, and takes a block from any page on."""

    def grow(self, base: int) -> None:
        """Grow."""
        first = base // PAGE_SIZE
        require(
            (base > NULL) & (base % PAGE_SIZE == 0) & (self.owners.get(first, NULL) == NULL), "SLAB-PAGES"
        )
        self.owners.fill(first, 1 << self.order, base)
        self.slabs.put(base, 0)


class GrowsUnaligned(Cache):
    """Begins a slab a word after the block."""

    def grow(self, base: int) -> None:
        """Grow."""
        super().grow(base)
        self.slabs.drop(base)
        self.slabs.put(base + 8, 0)


class GrowsUnowned(Cache):
    """Notes the owner of all pages but the last."""

    def grow(self, base: int) -> None:
        """Grow."""
        super().grow(base)
        self.owners.drop(base // PAGE_SIZE + (1 << self.order) - 1)


class GrowsInUse(Cache):
    """Counts an object that is not there."""

    def grow(self, base: int) -> None:
        """Grow."""
        super().grow(base)
        self.slabs.put(base, 1)


class AllocsOneTooFar(Cache):
    """Takes the number of slots for a slot."""

    def alloc(self, base: int, index: int) -> int:
        """Alloc."""
        count = self.slabs.get(base, NO_SLAB)
        require((count >= 0) & (index >= 0) & (index <= self.objects), "SLAB-INSIDE")
        address = base + index * self.slot
        require((self.live.get(address, NULL) == NULL) & (count < self.objects), "SLAB-LIVE")
        self.live.put(address, base)
        self.slabs.put(base, count + 1)
        return address


class AllocsTight(Cache):
    """Leaves a byte of each slot to the next."""

    def alloc(self, base: int, index: int) -> int:
        """Alloc."""
        count = self.slabs.get(base, NO_SLAB)
        require((count >= 0) & (index >= 0) & (index < self.objects), "SLAB-INSIDE")
        address = base + index * self.slot - index
        require((self.live.get(address, NULL) == NULL) & (count < self.objects), "SLAB-LIVE")
        self.live.put(address, base)
        self.slabs.put(base, count + 1)
        return address


class AllocsLive(Cache):
    """Does not ask whether the object is live."""

    def alloc(self, base: int, index: int) -> int:
        """Alloc."""
        count = self.slabs.get(base, NO_SLAB)
        require((count >= 0) & (index >= 0) & (index < self.objects), "SLAB-INSIDE")
        require(count < self.objects, "SLAB-LIVE")
        address = base + index * self.slot
        self.live.put(address, base)
        self.slabs.put(base, count + 1)
        return address


class AllocsTheNext(Cache):
    """Hands out the slot behind the one that it was told."""

    def alloc(self, base: int, index: int) -> int:
        """Alloc."""
        return super().alloc(base, index + 1)


class AllocsUncounted(Cache):
    """Forgets the count."""

    def alloc(self, base: int, index: int) -> int:
        """Alloc."""
        address = super().alloc(base, index)
        self.slabs.put(base, self.slabs.get(base, NO_SLAB) - 1)
        return address


class CountsAtTheObject(Cache):
    """Notes the count at the object's address."""

    def alloc(self, base: int, index: int) -> int:
        """Alloc."""
        address = super().alloc(base, index)
        self.slabs.put(address, self.slabs.get(base, NO_SLAB))
        return address

    def free(self, base: int, index: int) -> None:
        """Free."""
        super().free(base, index)
        self.slabs.put(base + index * self.slot, self.slabs.get(base, NO_SLAB))


class GivesTheEnd(Cache):
    """Returns where the object ends."""

    def alloc(self, base: int, index: int) -> int:
        """Alloc."""
        return super().alloc(base, index) + self.slot


class FreesTheFirstByte(Cache):
    """Leaves an object that begins a byte further up."""

    def free(self, base: int, index: int) -> None:
        """Free."""
        super().free(base, index)
        self.live.put(base + index * self.slot + 1, base)


class FreesNothing(Cache):
    """Counts the object as free and leaves it live."""

    def free(self, base: int, index: int) -> None:
        """Free."""
        super().free(base, index)
        self.live.put(base + index * self.slot, base)


class FreesUncounted(Cache):
    """Forgets the count."""

    def free(self, base: int, index: int) -> None:
        """Free."""
        super().free(base, index)
        self.slabs.put(base, self.slabs.get(base, NO_SLAB) + 1)


class FreesTheSlab(Cache):
    """Forgets the slab with the object."""

    def free(self, base: int, index: int) -> None:
        """Free."""
        super().free(base, index)
        self.slabs.drop(base)


class ShrinksInUse(Cache):
    """Does not ask whether an object is live."""

    def shrink(self, base: int) -> None:
        """Shrink."""
        require(self.slabs.get(base, NO_SLAB) >= 0, "SLAB-EMPTY")
        self.owners.wipe(base // PAGE_SIZE, 1 << self.order)
        self.slabs.drop(base)


class ShrinksAsIfInUse(Cache):
    """Keeps the slab, with an object that is not there."""

    def shrink(self, base: int) -> None:
        """Shrink."""
        super().shrink(base)
        self.slabs.put(base, 1)


class ShrinksByAWord(Cache):
    """Keeps the slab but for its first word."""

    def shrink(self, base: int) -> None:
        """Shrink."""
        super().shrink(base)
        self.slabs.put(base + 8, 0)


class ShrinksTooFar(Cache):
    """Takes the page behind for one of the slab's."""

    def shrink(self, base: int) -> None:
        """Shrink."""
        super().shrink(base)
        self.owners.put(base // PAGE_SIZE + (1 << self.order), NULL)


class GrowsNoSlab(Cache):
    """Takes the pages and makes no slab of them."""

    def grow(self, base: int) -> None:
        """Grow."""
        super().grow(base)
        self.slabs.drop(base)


class ShrinksKeepingPages(Cache):
    """Forgets the slab and leaves its pages with its name."""

    def shrink(self, base: int) -> None:
        """Shrink."""
        require(self.slabs.get(base, NO_SLAB) == 0, "SLAB-EMPTY")
        self.slabs.drop(base)


class ShrinksNoSlab(Cache):
    """Takes the pages and leaves the slab."""

    def shrink(self, base: int) -> None:
        """Shrink."""
        super().shrink(base)
        self.slabs.put(base, 0)


ANYWHERE: Final = ("the pages may be in a slab", GrowsAnywhere)
BY_FIRST: Final = ("only the first page is asked", GrowsByTheFirstPage)
ELSEWHERE: Final = ("the count is noted at the object", CountsAtTheObject)
STEPS: Final[dict[tuple[str, str], Faults]] = {
    ("SLAB-INSIDE", "alloc"): [
        ("there is a slot too many", AllocsOneTooFar),
        ("slots share a byte", AllocsTight),
    ],
    ("SLAB-INSIDE", "free"): [("an object is left that begins a byte further up", FreesTheFirstByte)],
    ("SLAB-APART", "alloc"): [
        ("slots share a byte", AllocsTight),
        ("there is a slot too many", AllocsOneTooFar),
    ],
    ("SLAB-APART", "free"): [("an object is left that begins a byte further up", FreesTheFirstByte)],
    ("SLAB-LIVE", "grow"): [ANYWHERE],
    ("SLAB-LIVE", "alloc"): [("the next slot is handed out", AllocsTheNext)],
    ("SLAB-LIVE", "free"): [("the object stays live", FreesNothing)],
    ("SLAB-LIVE", "shrink"): [("all but a word of it stays", ShrinksByAWord)],
    ("SLAB-EMPTY", "grow"): [ANYWHERE],
    ("SLAB-EMPTY", "alloc"): [("it is not counted", AllocsUncounted)],
    ("SLAB-EMPTY", "free"): [
        ("the slab goes with its object", FreesTheSlab),
        ("the object stays live", FreesNothing),
    ],
    ("SLAB-EMPTY", "shrink"): [("objects are live", ShrinksInUse)],
    ("SLAB-COUNT", "grow"): [("an object is counted that is not there", GrowsInUse), ANYWHERE],
    ("SLAB-COUNT", "alloc"): [
        ("it is not counted", AllocsUncounted),
        ("the object may be live", AllocsLive),
    ],
    ("SLAB-COUNT", "free"): [
        ("it is not counted", FreesUncounted),
        ("the object stays live", FreesNothing),
    ],
    ("SLAB-COUNT", "shrink"): [("an object is counted that is not there", ShrinksAsIfInUse)],
    ("SLAB-PAGES", "grow"): [ANYWHERE, BY_FIRST, ("it begins a word further up", GrowsUnaligned)],
    ("SLAB-PAGES", "alloc"): [ELSEWHERE],
    ("SLAB-PAGES", "free"): [ELSEWHERE],
    ("SLAB-PAGES", "shrink"): [("all but a word of it stays", ShrinksByAWord)],
    ("SLAB-OWNER", "grow"): [ANYWHERE, ("the last page is not noted", GrowsUnowned)],
    ("SLAB-OWNER", "alloc"): [ELSEWHERE],
    ("SLAB-OWNER", "free"): [ELSEWHERE],
    ("SLAB-OWNER", "shrink"): [("the page behind is forgotten", ShrinksTooFar)],
}
BESIDE: Final[dict[tuple[str, str], Faults]] = {
    ("SLAB-PAGES", "grow"): [ANYWHERE, BY_FIRST],
    ("SLAB-PAGES", "alloc"): [ELSEWHERE],
    ("SLAB-PAGES", "free"): [ELSEWHERE],
    ("SLAB-PAGES", "shrink"): [("all but a word of it stays", ShrinksByAWord)],
    ("SLAB-OWNER", "grow"): [ANYWHERE, BY_FIRST],
    ("SLAB-OWNER", "shrink"): [("the page behind is forgotten", ShrinksTooFar)],
}
REFINES: Final[dict[str, Faults]] = {
    "SLAB-LIVE/alloc/refines": [
        ("the object may be live", AllocsLive),
        ("the end of the object is given", GivesTheEnd),
    ],
    "MEM-APART/alloc/refines": [
        ("there is a slot too many", AllocsOneTooFar),
        ("the end of the object is given", GivesTheEnd),
    ],
    "SLAB-OWNER/alloc/refines": [("there is a slot too many", AllocsOneTooFar)],
    "SLAB-EMPTY/shrink/refines": [("objects are live", ShrinksInUse)],
    "SLAB-LIVE/free/refines": [
        ("the object stays live", FreesNothing),
        ("an object is left that begins a byte further up", FreesTheFirstByte),
    ],
    "CACHE-ALIGN/alloc/refines": [
        ("slots share a byte", AllocsTight),
    ],
    "CACHE-ALIGN/grow/refines": [("any page will do", GrowsByTheFirstPage)],
    "SLAB-OWNER/grow/refines": [
        ("the pages are no slab", GrowsNoSlab),
        ("the last page is not noted", GrowsUnowned),
    ],
    "SLAB-OWNER/shrink/refines": [
        ("the pages keep the name", ShrinksKeepingPages),
        ("the slab stays", ShrinksNoSlab),
    ],
}


def _beginning(change: Callable[[Cache], None]) -> Callable[..., Cache]:
    """Return a constructor that begins with something else than nothing."""

    def make(*fields: int) -> Cache:
        cache = Cache(*fields)  # type: ignore[arg-type]  # a name, sizes and tables, as the claim gives them
        change(cache)
        return cache

    return make


def _object_alone(cache: Cache) -> None:
    cache.live.put(PAGE_SIZE + 1, PAGE_SIZE)


def _two_objects(cache: Cache) -> None:
    cache.live.put(PAGE_SIZE, PAGE_SIZE)
    cache.live.put(PAGE_SIZE + 1, PAGE_SIZE)


def _slab_and_object(cache: Cache) -> None:
    cache.slabs.put(PAGE_SIZE, 1)
    cache.live.put(PAGE_SIZE, PAGE_SIZE)


def _slab_alone(cache: Cache) -> None:
    cache.slabs.put(PAGE_SIZE, 1)


def _slab_on_no_page(cache: Cache) -> None:
    cache.slabs.put(8, 0)
    cache.slabs.put(16, 0)


BEGINNINGS: Final[dict[str, list[tuple[str, Callable[..., Cache]]]]] = {
    "SLAB-INSIDE": [("it has an object and no slab", _beginning(_object_alone))],
    "SLAB-APART": [("it has two objects with bytes in common", _beginning(_two_objects))],
    "SLAB-LIVE": [("it has an object in use", _beginning(_slab_and_object))],
    "SLAB-EMPTY": [("it has an object and no slab", _beginning(_object_alone))],
    "SLAB-COUNT": [("it counts an object that is not there", _beginning(_slab_alone))],
    "SLAB-PAGES": [("it has slabs that begin on no page", _beginning(_slab_on_no_page))],
    "SLAB-OWNER": [("it has a slab and no page names it", _beginning(_slab_alone))],
}


class HastyCache(Cache):
    """Changes something before it asks."""

    def grow(self, base: int) -> None:
        """Grow."""
        self.slabs.put(base, 0)
        super().grow(base)

    def alloc(self, base: int, index: int) -> int:
        """Alloc."""
        self.slabs.put(base, self.slabs.get(base, NO_SLAB) + 1)
        return super().alloc(base, index)

    def free(self, base: int, index: int) -> None:
        """Free."""
        self.slabs.put(base, self.slabs.get(base, NO_SLAB) - 1)
        super().free(base, index)

    def shrink(self, base: int) -> None:
        """Shrink."""
        self.owners.put(base // PAGE_SIZE, NULL)
        super().shrink(base)


HASTY: Final[Faults] = [("it changes a table before it asks", HastyCache)]


def ends_before_the_last_slot(cache: Slabs, address: int) -> bool:
    """SLAB-INSIDE with a slot less."""
    base = cache.live.get(address, NULL)
    last = base + cache.slab_bytes - 2 * cache.slot
    return (base <= address) & (address <= last) & ((address - base) % cache.slot == 0)


FOLLOWS: Final = {
    "SLAB-INSIDE/index/implies": [("an object may reach beyond its slab's end", ends_before_the_last_slot)]
}
