"""The calls of slab caches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from kmem_model.core import Core
from kmem_model.free_lists import FreeLists, Hook
from kmem_model.layout import slot_size
from kmem_spec import slab_flags
from kmem_spec.gfp import DMA, DMA32, ZERO
from kmem_spec.kmem_cache import alignment, creation_is_legal
from kmem_spec.table import Refused, require
from kmem_spec.units import NULL

CACHE_LINE: Final = 64
MINIMUM: Final = 8  # ARCH_SLAB_MINALIGN
WORD: Final = 8
Found = tuple[FreeLists, int, int]


@dataclass(slots=True, eq=False)
class SlabCache:
    """A cache as its callers know it.

    size         bytes of an object: what it was created with, of merged caches the most
    references   how often it was created and not destroyed
    """

    lists: FreeLists
    size: int
    flags: int
    references: int = 1

    def takes(self, slot: int, align: int, flags: int) -> bool:
        """Say whether a new cache of such slots may be merged with this one.

        Source   mm/slab_common.c: find_mergeable, slab_unmergeable
        """
        own = self.lists.cache.slot
        alike = (self.flags ^ flags) & slab_flags.MERGE_SAME == 0
        lonely = (self.flags | flags) & slab_flags.NEVER_MERGE or self.lists.ctor is not None
        return alike and not lonely and slot <= own < slot + WORD and own % align == 0


class CacheCalls(Core):
    """kmem_cache_create and what is done with what it gives.

    Units    sizes in bytes; caches and objects as addresses, a cache's being in no memory
    Errors   Refused under a CALLER clause for the caller's mistakes; then nothing has changed
    """

    merge = False  # whether caches that are alike become one

    def __init__(self, memory_bytes: int = 4 << 30) -> None:
        """Begin without a cache."""
        super().__init__(memory_bytes)
        self.slab_caches: dict[int, SlabCache] = {}

    def kmem_cache_create(
        self, name: bytes | None, size: int, align: int, flags: int, ctor: Hook | None
    ) -> int:
        """Return a new cache, or NULL.

        Clause   CALLER-CREATE, CALLER-CONTEXT
        Gives    NULL for flags that are not permitted, for objects that no block of pages holds, in need;
                 where caches are merged, perhaps one that there is
        Source   mm/slab_common.c: kmem_cache_create_usercopy
        """
        return self._create(name, size, align, flags, ctor, None)

    def kmem_cache_create_26(
        self, name: bytes | None, size: int, offset: int, flags: int, ctor: Hook | None, dtor: Hook | None
    ) -> int:
        """Do as kmem_cache_create, with a destructor: the form that it had until 2.6.22.

        Clause   CALLER-CREATE, CALLER-CONTEXT
        Source   mm/slab.c of 2.6.12: kmem_cache_create, which calls the offset `align`
        """
        lonely = ctor is None or flags & slab_flags.TYPESAFE_BY_RCU
        require(dtor is None or not lonely, "CALLER-CREATE")
        return self._create(name, size, offset, flags, ctor, dtor)

    def kmem_cache_alloc(self, cache: int, gfp: int) -> int:
        """Return the address of an object, or NULL.

        Clause   CALLER-HANDLE, CALLER-CTOR-ZERO, CALLER-GFP, CALLER-CONTEXT
        Source   mm/slub.c: kmem_cache_alloc
        """
        known = self._askable(cache, gfp)
        address = known.lists.alloc(gfp)
        if address != NULL:
            self.freed.discard(address)
            if gfp & ZERO:
                self.memory.zero(address, known.size)
        return address

    def kmem_cache_zalloc(self, cache: int, gfp: int) -> int:
        """Do as kmem_cache_alloc, zeroed.

        Source   include/linux/slab.h: kmem_cache_zalloc
        """
        return self.kmem_cache_alloc(cache, gfp | ZERO)

    def kmem_cache_alloc_bulk(self, cache: int, gfp: int, count: int) -> list[int]:
        """Return the addresses of `count` objects, or of none.

        Clause   CALLER-HANDLE, CALLER-CTOR-ZERO, CALLER-GFP, CALLER-CONTEXT
        Source   mm/slub.c: kmem_cache_alloc_bulk
        """
        known = self._askable(cache, gfp)
        given = known.lists.alloc_bulk(gfp, count)
        self.freed.difference_update(given)
        if gfp & ZERO:
            for address in given:
                self.memory.zero(address, known.size)
        return given

    def kmem_cache_free(self, cache: int, p: int) -> None:
        """Free an object; NULL is none.

        Clause   CALLER-FREE, CALLER-DOUBLE-FREE, CALLER-FAMILY, CALLER-CACHE
        Source   mm/slub.c: kmem_cache_free
        """
        lists, base, index = self._object(cache, p)
        lists.free(base, index)
        self.freed.add(p)

    def kmem_cache_free_bulk(self, cache: int, count: int, objects: Sequence[int]) -> None:
        """Free the first `count` of some objects, last first; all or, if one may not be freed, none.

        Clause   CALLER-FREE, CALLER-DOUBLE-FREE, CALLER-FAMILY, CALLER-CACHE
        Source   mm/slub.c: kmem_cache_free_bulk, build_detached_freelist
        """
        found = {p: self._object(cache, p) for p in objects[:count]}
        require(len(found) == len(objects[:count]), "CALLER-DOUBLE-FREE")
        for p in reversed(objects[:count]):
            lists, base, index = found[p]
            lists.free(base, index)
            self.freed.add(p)

    def kmem_cache_shrink(self, cache: int) -> int:
        """Give back every slab without a live object; return 0 if none is left, else 1.

        Clause   CALLER-HANDLE, CALLER-CONTEXT
        Source   mm/slub.c: __kmem_cache_shrink, __kmem_cache_do_shrink
        """
        known = self._known(cache)
        self.may_wait()
        known.lists.shrink()
        return 1 if known.lists.waiting else 0

    def kmem_cache_size(self, cache: int) -> int:
        """Return the bytes of an object, as asked for, of merged caches the most.

        Clause   CALLER-HANDLE
        Source   mm/slab_common.c: kmem_cache_size
        """
        return self._known(cache).size

    def kmem_cache_destroy(self, cache: int) -> None:
        """Give a cache up with all its pages, if this undoes its first creation; nothing to do for NULL.

        Clause   CALLER-HANDLE, CALLER-CONTEXT, CALLER-DESTROY
        Source   mm/slab_common.c: kmem_cache_destroy
        """
        if cache == NULL:
            return
        known = self._known(cache)
        self.may_wait()
        if known.references > 1:
            known.references -= 1
            return
        require(known.lists.unused, "CALLER-DESTROY")
        self.caches.destroy(known.lists)
        del self.slab_caches[cache]

    def _create(
        self, name: bytes | None, size: int, align: int, flags: int, ctor: Hook | None, dtor: Hook | None
    ) -> int:
        """Make a cache; the address of a new one, of one that it is merged with, or NULL."""
        require(creation_is_legal(NULL if name is None else 1, size, align), "CALLER-CREATE")
        self.may_wait()
        if flags & ~slab_flags.PERMITTED:
            return NULL
        align = alignment(size, align, flags, CACHE_LINE, MINIMUM)
        if self.merge and ctor is None:
            slot = slot_size(size, align)
            for handle, known in reversed(self.slab_caches.items()):
                if known.takes(slot, align, flags):
                    known.references += 1
                    known.size = max(known.size, size)
                    return handle
        if self.frames.fails():  # memory for the descriptor
            return NULL
        lists = self.caches.create(
            (name or b"").decode(errors="replace"),
            size,
            align,
            (DMA if flags & slab_flags.CACHE_DMA else 0) | (DMA32 if flags & slab_flags.CACHE_DMA32 else 0),
            family="cache",
            pointer_outside=ctor is not None or flags & slab_flags.TYPESAFE_BY_RCU != 0,
            ctor=ctor,
            dtor=dtor,
        )
        if lists is None:
            return NULL
        self.slab_caches[lists.handle] = SlabCache(lists, size, flags)
        return lists.handle

    def _known(self, cache: int) -> SlabCache:
        """Return the cache with that address.

        Clause   CALLER-HANDLE
        """
        known = self.slab_caches.get(cache)
        if known is None:
            raise Refused("CALLER-HANDLE")
        return known

    def _askable(self, cache: int, gfp: int) -> SlabCache:
        """Return the cache with that address, if it may be asked for an object under the mask.

        Clause   CALLER-HANDLE, CALLER-CTOR-ZERO, CALLER-GFP, CALLER-CONTEXT
        """
        known = self._known(cache)
        if gfp & ZERO and known.lists.ctor is not None:
            raise Refused("CALLER-CTOR-ZERO")
        self.may_ask(gfp)
        return known

    def _object(self, cache: int, p: int) -> Found:
        """Return where an object lies that the cache with that address gave.

        Clause   CALLER-FREE, CALLER-DOUBLE-FREE, CALLER-FAMILY, CALLER-CACHE
        """
        found = self.caches.find(p)
        if found is None or found[0].family != "cache" or p in self.lent:
            self.refuse(p, freeing=True)
        require(found[0].handle == cache, "CALLER-CACHE")
        return found
