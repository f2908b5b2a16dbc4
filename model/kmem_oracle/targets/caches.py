"""Calls on caches and their objects, one by one and in bulk, and bulk calls for pages."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from kmem_oracle.language.script import MOST_ITEMS
from kmem_oracle.targets.hands import Home
from kmem_oracle.targets.objects import ObjectCalls
from kmem_oracle.targets.opened import Imprint
from kmem_oracle.targets.records import CALLING, DONE, NULL_SEEN, SKIP_SEEN, TOUCHING, Seen
from kmem_spec.calls import CONSTRUCTED, DESTRUCTED
from kmem_spec.units import PAGE_SIZE, SIZE_MAX


class Batch(NamedTuple):
    """What a bulk call gave, to be looked at object by object."""

    api: str
    gfp: int
    home: Home | None
    starts: list[int]


class CacheCalls(ObjectCalls):
    """kmem_cache_create and what a cache is for.

    The constructor fills the whole object with the pattern of the cache's id; before an object of such
    a cache is freed, it is brought back into that state. The destructor fills it with another.
    """

    batch: Batch | None = None

    def create(self, api: str, out: int, args: tuple[int, ...]) -> Seen:
        """Run a kmem_cache_create, of either form."""
        named, size, align, flags, *functions = args
        given: list[Imprint | None] = [
            make(out, size) if wanted else None
            for make, wanted in zip((self.constructor, self.destructor), functions, strict=False)
        ]
        name = b"kmem-oracle-%d" % out if named else None
        call: Callable[..., int | None] = self.functions[api]
        handle = call(name, size, align, flags, *given) or 0
        if handle:
            self.homes[out] = Home(handle, size, out if functions[0] else 0, cache=True)
        return (handle, -1, -1, -1, DONE)

    def constructor(self, cache: int, size: int) -> Imprint:
        """Return a function that constructs an object, and notes where it did."""
        return Imprint(self.imprint, CONSTRUCTED, cache, size, cache)

    def destructor(self, cache: int, size: int) -> Imprint:
        """Return a function that undoes the constructed state, and notes where it did."""
        return Imprint(self.imprint, DESTRUCTED, cache, size, -cache)

    def imprint(self, kind: int, cache: int, size: int, pattern: int, start: int) -> None:
        """Write a pattern over an object, and note that a function of its cache did so."""
        self.notes.add(kind, cache, start)
        if self.touchable(start, size):
            was, self.words[1] = self.words[1], TOUCHING
            self.access.fill(start, size, pattern)
            self.words[1] = was

    def destroy(self, api: str, _out: int, args: tuple[int, ...]) -> Seen:
        """Run a kmem_cache_destroy or a mempool_destroy; objects that are left are forgotten."""
        home = self.home_at(args[0])
        if home is None:
            return SKIP_SEEN
        self.homes.pop(args[0], None)
        for identifier in home.objects:
            held = self.held.get(identifier)
            if held is not None and held.home is home:
                del self.held[identifier]
        self.functions[api](home.handle)
        return NULL_SEEN

    def of_home(self, api: str, _out: int, args: tuple[int, ...]) -> Seen:
        """Run a call that takes a cache or pool and numbers, and gives a number."""
        home = self.home_at(args[0])
        if home is None:
            return SKIP_SEEN
        return ((self.functions[api](home.handle, *args[1:]) or 0) & SIZE_MAX, -1, -1, -1, DONE)

    def allocate_from(self, api: str, out: int, args: tuple[int, ...]) -> Seen:
        """Run a call that takes a cache or pool and a mask, and makes an object of it."""
        home = self.home_at(args[0])
        if home is None:
            return SKIP_SEEN
        result = self.functions[api](home.handle, args[1]) or 0
        return self.take_from(home, api, out, result, args[1])

    def free_to(self, api: str, pointer: int, home: int, *, home_first: bool) -> Seen:
        """Give an object back by a call that takes its cache or pool as well."""
        held, to = self.object_at(pointer), self.home_at(home)
        if held is None or to is None:
            return SKIP_SEEN
        if pointer > 0:
            spoilt = self.spoilt(pointer, held)
            if spoilt is not None:
                return spoilt
            self.let_go(pointer, held)
            self.words[1] = CALLING
        if home_first:
            self.functions[api](to.handle, held.start)
        else:
            self.functions[api](held.start, to.handle)
        return NULL_SEEN

    def cache_free(self, api: str, _out: int, args: tuple[int, ...]) -> Seen:
        """Run a kmem_cache_free."""
        return self.free_to(api, args[1], args[0], home_first=True)

    def cache_free_bulk(self, api: str, _out: int, args: tuple[int, ...]) -> Seen:
        """Run a kmem_cache_free_bulk; what changed is found before any is freed."""
        home = self.home_at(args[0])
        return SKIP_SEEN if home is None else self.free_vector(api, (home.handle,), args[1], args[2])

    def cache_bulk(self, api: str, _out: int, args: tuple[int, ...]) -> Seen:
        """Run a kmem_cache_alloc_bulk; each object is looked at by the `item` that follows."""
        home = self.home_at(args[0])
        self.batch = None
        if home is None or args[2] > MOST_ITEMS:
            return SKIP_SEEN
        self.batch = Batch(api, args[1], home, self.lists[api](home.handle, *args[1:3]) or [])
        return (len(self.batch.starts), -1, -1, -1, DONE)

    def pages_bulk(self, api: str, _out: int, args: tuple[int, ...]) -> Seen:
        """Run an alloc_pages_bulk; each page is looked at by the `item` that follows."""
        self.batch = None
        if args[1] > MOST_ITEMS:
            return SKIP_SEEN
        self.batch = Batch(api, args[0], None, self.lists[api](*args[:2]) or [])
        return (len(self.batch.starts), -1, -1, -1, DONE)

    def item(self, _api: str, out: int, args: tuple[int, ...]) -> Seen:
        """Look at one object of the last bulk call."""
        if self.batch is None:
            return SKIP_SEEN
        api, gfp, home, starts = self.batch
        start = starts[args[0]] if args[0] < len(starts) else 0
        if home is None:
            return self.take(api, out, start, PAGE_SIZE, gfp)
        return self.take_from(home, api, out, start, gfp)
