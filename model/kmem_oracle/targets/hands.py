"""What a driver has in hand: objects, the caches and pools they are from, and how it looks at them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final, NamedTuple, cast

from kmem_oracle.language.script import ID_ZERO_SIZE
from kmem_oracle.targets.access import Access
from kmem_oracle.targets.opened import Function
from kmem_oracle.targets.records import DONE, HEADER, NULL_SEEN, SPOILT, TOUCHING, Notes, Seen
from kmem_spec.apis import APIS
from kmem_spec.gfp import ZERO
from kmem_spec.units import PAGE_SIZE, SIZE_MAX, ZERO_SIZE_PTR

ZEROING: Final = frozenset(api.name for api in APIS.values() if api.zeroes)
MEASURED: Final = frozenset(api.name for api in APIS.values() if api.family == "kmalloc")
# Bytes up to which a call may serve what is too large to be touched as a whole: then its ends are.
SERVED: Final = {
    api.name: 1 << 45 if api.family == "vmalloc" else (1 << 31) - 1
    for api in APIS.values()
    if api.role == "allocate" and api.family in {"vmalloc", "kv"}
}
HIGHEST: Final = 1 << 36  # bytes of a usable size: more is as absurd, and takes the judge long


@dataclass(slots=True, eq=False)
class Home:
    """A cache or a pool.

    handle   its address
    size     bytes of an object
    built    id whose pattern is the constructed state of its objects, 0 for none
    cache    whether it is a cache
    failing  of a pool that allocates through a function of the driver, whether that fails; else None
    objects  ids of objects that are from it
    """

    handle: int
    size: int = 0
    built: int = 0
    cache: bool = False
    failing: bool | None = None
    objects: set[int] = field(default_factory=set)


class Held(NamedTuple):
    """An object in the driver's hands.

    high     largest size in bytes that it was asked to have
    zeroed   whether every call for it so far asked for zeroes
    home     cache or pool that it is from
    """

    start: int
    size: int
    high: int
    zeroed: bool
    home: Home | None = None


new_held: Final[Callable[[tuple[int, int, int, bool, Home | None]], Held]] = partial(tuple.__new__, Held)
NOTHING: Final = {0: Held(0, 0, 0, False), ID_ZERO_SIZE: Held(ZERO_SIZE_PTR, 0, 0, False)}


class Hands:
    """The objects, caches and pools in hand, by id, and how to look at a new object."""

    def __init__(
        self,
        functions: Mapping[str, Function],
        access: Access,
        memory: memoryview,
        largest: int,
        *,
        watched: bool,
    ) -> None:
        """Hold nothing; touch no object of more than `largest` bytes."""
        # Which calls give lists, APIS says and the type of the mapping does not.
        self.functions = cast(Mapping[str, Callable[..., int | None]], functions)
        self.lists = cast(Mapping[str, Callable[..., list[int]]], functions)
        self.access = access
        self.words = memory[: HEADER.size].cast("Q")
        self.largest = largest
        self.notes = Notes(memory, watched=watched)
        self.held: dict[int, Held] = {}
        self.homes: dict[int, Home] = {}
        self.measure = self.functions.get("ksize")
        self.measure_cache = self.functions.get("kmem_cache_size")

    def touchable(self, start: int, size: int) -> bool:
        """Say whether an object may be memory at all, of a size that is touched."""
        return start > ZERO_SIZE_PTR and size <= self.largest and self.access.reachable(start, size)

    def take(self, api: str, out: int, result: int, size: int, gfp: int, changed: int = -1) -> Seen:
        """Look at a new object of no cache, fill it and hold it."""
        if result == 0:
            return NULL_SEEN
        zeroed = gfp & ZERO != 0 or api in ZEROING
        if result == ZERO_SIZE_PTR or size > self.largest or not self.access.reachable(result, size):
            self.held[out] = new_held((result, 0, 0, False, None))
            nonzero = -1
            if result != ZERO_SIZE_PTR and self.largest < size <= SERVED.get(api, 0):
                nonzero = self._ends(result, size, out, zeroed=zeroed)
            return (result, -1, nonzero, changed, DONE)
        usable = -1
        if api in MEASURED and self.measure is not None:
            usable = min(self.measure(result) or 0, HIGHEST)
        self.words[1] = TOUCHING
        nonzero = self.access.nonzero(result, 0, size) if zeroed else -1
        self.access.fill(result, size, out)
        self.held[out] = new_held((result, size, size, zeroed, None))
        return (result, usable, nonzero, changed, DONE)

    def _ends(self, start: int, size: int, identifier: int, *, zeroed: bool) -> int:
        """Touch the first and the last page of what is large; return where zero is missing, or -1."""
        if not self.access.reachable(start, size):
            return -1
        self.words[1] = TOUCHING
        nonzero = -1
        for begin in (0, size - PAGE_SIZE):
            if zeroed and nonzero < 0:
                nonzero = self.access.nonzero(start, begin, begin + PAGE_SIZE)
            self.access.fill(start + begin, PAGE_SIZE, identifier)
        return nonzero

    def take_from(self, home: Home, api: str, out: int, result: int, gfp: int) -> Seen:
        """Look at a new object of a cache or pool, fill it and hold it."""
        if result == 0:
            return NULL_SEEN
        home.objects.add(out)
        if not self.touchable(result, home.size):
            self.held[out] = Held(result, 0, 0, False, home)
            return (result, -1, -1, -1, DONE)
        usable = nonzero = changed = -1
        if home.cache and self.measure_cache is not None:
            usable = min(self.measure_cache(home.handle) or 0, HIGHEST)
        self.words[1] = TOUCHING
        zeroed = gfp & ZERO != 0 or api in ZEROING
        if zeroed:
            nonzero = self.access.nonzero(result, 0, home.size)
        elif home.cache and home.built:
            changed = self.access.changed(result, home.size, home.built)
        self.access.fill(result, home.size, out)
        self.held[out] = Held(result, home.size, home.size, zeroed, home)
        return (result, usable, nonzero, changed, DONE)

    def let_go(self, identifier: int, held: Held) -> None:
        """Bring an object back into its constructed state, if it has one, and hold it no longer."""
        del self.held[identifier]
        if held.home is not None:
            held.home.objects.discard(identifier)
            if held.home.built and held.size:
                self.access.fill(held.start, held.size, held.home.built)

    def spoilt(self, identifier: int, held: Held) -> Seen | None:
        """Compare an object with what was written there; return the record if it has changed."""
        self.words[1] = TOUCHING
        offset = self.access.changed(held.start, held.size, identifier)
        return None if offset < 0 else (identifier, -1, -1, offset, SPOILT)

    def object_at(self, identifier: int) -> Held | None:
        """Return an object by its id, also NULL and ZERO_SIZE_PTR; None if it does not live."""
        return NOTHING[identifier] if identifier <= 0 else self.held.get(identifier)

    def vector(self, first: int, count: int) -> dict[int, Held] | None:
        """Return `count` objects with consecutive ids, None if one of them does not live."""
        objects: dict[int, Held] = {}
        for identifier in range(first, first + count):
            held = self.held.get(identifier)
            if held is None:
                return None
            objects[identifier] = held
        return objects

    def home_at(self, identifier: int) -> Home | None:
        """Return a cache or pool by its id, also NULL; None if it does not live."""
        if identifier <= 0:
            return Home(NOTHING[identifier].start)
        return self.homes.get(identifier)

    def plainly(self, api: str, _out: int, args: tuple[int, ...]) -> Seen:
        """Run a call whose arguments are numbers, and whose result is one, perhaps negative."""
        return ((self.functions[api](*args) or 0) & SIZE_MAX, -1, -1, -1, DONE)
