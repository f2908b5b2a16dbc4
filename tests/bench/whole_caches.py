"""Rules of the whole machine about caches and pools."""

from __future__ import annotations

from typing import Final

from hypothesis import strategies as st
from hypothesis.stateful import MultipleResults, consumes, multiple, rule
from tests.bench.whole_library import MASKS, Cache, Library, Thing, cached, caches
from tests.targets.binding import CTOR, CTOR_26, GFP_KERNEL, ZERO, read, write
from tests.targets.probing import vector

HWCACHE_ALIGN: Final = 0x2000


class CacheRules(Library):
    """Caches with constructors and destructors, their objects, single and in bulk; mempools."""

    @rule(
        target=caches,
        size=st.integers(8, 700) | st.sampled_from([32, 64, 96, 128, 1000, 2048, 5000]),
        align=st.sampled_from([0, 0, 8, 16, 64, 128, 256]),
        lines=st.booleans(),
        built=st.sampled_from(["", "", "ctor", "dtor"]),
    )
    def create(self, size: int, align: int, lines: bool, built: str) -> MultipleResults[Cache]:
        flags = HWCACHE_ALIGN * lines
        state = bytes([self.births % 200 + 17]) * size if built else b""
        cache = Cache(0, size, state, counts=built == "dtor")
        if built == "dtor":
            functions = (
                CTOR_26(lambda p, _c, _f: self.construct(cache, p)),
                CTOR_26(lambda p, _c, _f: self.destruct(cache, p)),
            )
            self.kept.append(functions)
            cache.handle = self.step("kmem_cache_create_26", b"mine", size, align, flags, *functions)
        else:
            function = CTOR(lambda p: self.construct(cache, p)) if built else CTOR()
            self.kept.append(function)
            cache.handle = self.step("kmem_cache_create", b"mine", size, align, flags, function)
        if not cache.handle:
            return multiple()
        assert self.step("kmem_cache_size", cache.handle) >= size
        cache.alive = True
        self.all_caches.append(cache)
        line = 64
        while lines and size <= line // 2:
            line //= 2
        cache.built.setdefault(0, max(8, align, line if lines else 8))  # the alignment
        return multiple(cache)

    def construct(self, cache: Cache, address: int) -> None:
        """Construct an object; it must not live."""
        if address in self.live:
            self.wrong = "the constructor of a live object ran"
        if cache.counts:
            if address in cache.built:
                self.wrong = "constructed twice"
            cache.built[address] = 1
        write(address, cache.state)

    def destruct(self, cache: Cache, address: int) -> None:
        """Destruct an object that was constructed; it must not live."""
        if address in self.live:
            self.wrong = "the destructor of a live object ran"
        if cache.built.pop(address, None) is None:
            self.wrong = "a destructor ran for what was not constructed"

    @rule(target=cached, cache=caches, gfp=MASKS, zero=st.booleans())
    def cache_alloc(self, cache: Cache, gfp: int, zero: bool) -> MultipleResults[tuple[Cache, Thing]]:
        if not cache.alive:
            return multiple()
        name = "kmem_cache_zalloc" if zero and not cache.state else "kmem_cache_alloc"
        gfp &= ~ZERO if cache.state else -1
        thing = self.allocated(
            name, cache.size, cache.handle, gfp, gfp=gfp, zero=name == "kmem_cache_zalloc",
            align=cache.built[0], usable=cache.size, cache=cache,
            free=("kmem_cache_free", cache.handle, Thing),
        )  # fmt: skip
        if thing is None:
            return multiple()
        cache.things.append(thing)
        return multiple((cache, thing))

    @rule(target=cached, cache=caches, count=st.integers(1, 20), gfp=MASKS)
    def cache_bulk(self, cache: Cache, count: int, gfp: int) -> MultipleResults[tuple[Cache, Thing]]:
        if not cache.alive:
            return multiple()
        gfp &= ~ZERO if cache.state else -1
        array = vector([0] * count)
        got = self.step("kmem_cache_alloc_bulk", cache.handle, gfp, count, array, gfp=gfp)
        assert got in (0, count), "a part of a bulk"
        made = []
        for address in list(array)[:got]:
            assert address % cache.built[0] == 0, "not aligned"
            assert not gfp & ZERO or not any(read(address, cache.size)), "not zero"
            assert not cache.state or read(address, cache.size) == cache.state, "not as constructed"
            thing = Thing(address, cache.size, cache.size, b"")
            self.enter(thing, cache.size, ("kmem_cache_free", cache.handle, Thing))
            cache.things.append(thing)
            made.append((cache, thing))
        return multiple(*made)

    def uncache(self, cache: Cache, thing: Thing) -> None:
        """Let an object of a cache go, its constructed state restored."""
        self.leave(thing, state=cache.state)
        cache.things.remove(thing)

    @rule(pair=cached)
    def look_at_cached(self, pair: tuple[Cache, Thing]) -> None:
        if pair[1].alive:
            self.check(pair[1])

    @rule(pair=consumes(cached))
    def cache_free(self, pair: tuple[Cache, Thing]) -> None:
        cache, thing = pair
        if thing.alive:
            self.uncache(cache, thing)
            self.step("kmem_cache_free", cache.handle, thing.address)

    @rule(cache=caches, count=st.integers(1, 20))
    def cache_free_bulk(self, cache: Cache, count: int) -> None:
        things = cache.things[:count]
        if cache.alive and things:
            for thing in things:
                self.uncache(cache, thing)
            array = vector([thing.address for thing in things])
            self.step("kmem_cache_free_bulk", cache.handle, len(things), array)

    @rule(cache=caches)
    def cache_shrink(self, cache: Cache) -> None:
        if cache.alive:
            self.step("kmem_cache_shrink", cache.handle)

    @rule(cache=consumes(caches))
    def cache_destroy(self, cache: Cache) -> None:
        self.destroyed(cache)

    def destroyed(self, cache: Cache) -> None:
        """Free what is left of a cache, and destroy it."""
        if not cache.alive:
            return
        for thing in list(cache.things):
            self.uncache(cache, thing)
            self.step("kmem_cache_free", cache.handle, thing.address)
        cache.alive = False
        self.step("kmem_cache_destroy", cache.handle)
        assert not cache.counts or set(cache.built) == {0}, "destroyed without all destructors"

    @rule(count=st.integers(2, 12), size=st.integers(8, 9000))
    def pool(self, count: int, size: int) -> None:
        cache = self.step("kmem_cache_create", b"pool", size, 0, 0, CTOR())
        pool = self.step("mempool_create_slab_pool", count, cache) if cache else 0
        if pool:
            things = [self.step("mempool_alloc", pool, GFP_KERNEL) for _ in range(count)]
            assert all(things), "a pool that may wait gave nothing"
            assert len(set(things)) == count, "overlap"
            for index, address in enumerate(things):
                write(address, bytes([index]) * size)
            for index, address in enumerate(things):
                assert read(address, size) == bytes([index]) * size, "contents changed"
                self.step("mempool_free", address, pool)
            self.step("mempool_destroy", pool)
        if cache:
            self.step("kmem_cache_destroy", cache)
