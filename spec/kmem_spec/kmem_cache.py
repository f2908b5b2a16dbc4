"""CACHE: rules of kmem_cache_create and of the objects of a cache."""

from __future__ import annotations

from typing import Final, NamedTuple

from kmem_spec.calls import Answer, Asked
from kmem_spec.clauses import calls, clause, history
from kmem_spec.mem import MAKING, PLACE, SAMPLE, contents_are_kept
from kmem_spec.units import NULL, is_power_of_two, round_up

HWCACHE_ALIGN: Final = 0x2000  # SLAB_HWCACHE_ALIGN, 6.1
WORD: Final = 8
OBJECT: Final = SAMPLE._replace(
    api="kmem_cache_alloc", family="cache", size=40, limit=40, minimum=64, natural=1, divisor=1, slot=0
)
BULK: Final = OBJECT._replace(api="kmem_cache_alloc_bulk", order=16)


class Shape(NamedTuple):
    """What a cache was created with.

    birth    index of the event that created it
    refs     how often it was created and not destroyed: caches may be merged
    """

    size: int
    align: int
    constructor: bool
    destructor: bool
    birth: int
    refs: int = 1


def alignment(size: int, align: int, flags: int, cache_line: int, minimum: int) -> int:
    """Return the alignment that a cache's objects are promised.

    Units    bytes
    Needs    size > 0; align 0 or a power of two; cache_line a power of two
    Gives    under SLAB_HWCACHE_ALIGN the cache line, halved as long as an object fits the half
    Source   mm/slab_common.c: calculate_alignment
    """
    line = 1
    if flags & HWCACHE_ALIGN != 0:
        line = cache_line
        while size <= line // 2:
            line = line // 2
    return round_up(max(align, line, minimum), WORD)


def creation_is_legal(name: int, size: int, align: int) -> bool:
    """Say whether the documentation lets a caller create such a cache; the flags are not asked.

    Source   mm/slab_common.c: kmem_cache_create_usercopy, calculate_alignment; mm/slub.c: calculate_sizes
    """
    return name != NULL and size > 0 and (align == 0 or is_power_of_two(align))


@clause(
    "CACHE-ALIGN",
    "An object of a cache has the cache's alignment, with SLAB_HWCACHE_ALIGN that of the cache line.",
    source="mm/slab_common.c: calculate_alignment",
    of=calls("cache", "pool", roles=MAKING),
    on="object",
    witness=(OBJECT, Answer(PLACE + 64)),
    broken=(OBJECT, Answer(PLACE + 8)),
)
def object_has_its_alignment(asked: Asked, got: Answer) -> bool:
    """Divide the address by the alignment."""
    return got.result % asked.minimum == 0


@clause(
    "CACHE-CTOR",
    "An object of a cache with a constructor is handed out in its constructed state.",
    source="include/linux/slab.h: kmem_cache_create; mm/slub.c: setup_object",
    of=calls("cache", roles=MAKING),
    on="object",
    applies=lambda asked: asked.constructed != 0,
    witness=(OBJECT._replace(constructed=1), Answer(PLACE)),
    broken=(OBJECT._replace(constructed=1), Answer(PLACE, changed=8)),
)
def object_is_constructed(asked: Asked, got: Answer) -> bool:
    """Look for a byte that is not as the constructor wrote it."""
    return contents_are_kept(asked, got)


@clause(
    "CACHE-BULK",
    "kmem_cache_alloc_bulk gives all objects or none.",
    source="mm/slub.c: kmem_cache_alloc_bulk",
    of=calls("cache", roles=("bulk",)),
    witness=(BULK, Answer(16)),
    broken=(BULK, Answer(15)),
)
def bulk_is_all_or_nothing(asked: Asked, got: Answer) -> bool:
    """Compare the count; `order` is the number asked for."""
    return (got.result == 0) | (got.result == asked.order)


@clause(
    "CACHE-SIZE",
    "kmem_cache_size gives at least the size that the cache was created with.",
    source="mm/slab_common.c: kmem_cache_size",
    of=calls("cache", roles=("describe",)),
    witness=(OBJECT._replace(api="kmem_cache_size"), Answer(40)),
    broken=(OBJECT._replace(api="kmem_cache_size"), Answer(39)),
)
def cache_size_holds_object(asked: Asked, got: Answer) -> bool:
    """Compare the result with the size; where caches are merged it is the largest of theirs."""
    return got.result >= asked.size


@clause(
    "CACHE-MAX",
    "A cache for objects above KMALLOC_MAX_SIZE is not created.",
    source="mm/slub.c: calculate_order",
    of=calls("cache", roles=("create",)),
    promises=("linux-6.1", "linux-6.12"),
    applies=lambda asked: asked.size > asked.limit,
    witness=(OBJECT._replace(api="kmem_cache_create", size=(1 << 22) + 1, limit=1 << 22), Answer(NULL)),
    broken=(OBJECT._replace(api="kmem_cache_create", size=(1 << 22) + 1, limit=1 << 22), Answer(PLACE)),
)
def too_large_is_not_created(_asked: Asked, got: Answer) -> bool:
    """Compare the result with NULL."""
    return got.result == NULL


history(
    "CACHE-CTOR-ONCE",
    "A slot is not constructed again while an object of its page, older than the first time, lives on.",
    "mm/slub.c: setup_object, shuffle_freelist",
)
history(
    "CACHE-CTOR-OWN",
    "Only a cache's own constructor runs on its objects, and none on a live object of any cache.",
    "mm/slub.c: setup_object",
)
history(
    "CACHE-DTOR",
    "A destructor runs once for each constructed slot, when its slab goes: never while the object lives, "
    "never twice, and for all slots by the time the cache is destroyed.",
    "mm/slab.c of 2.6.12: slab_destroy, kmem_cache_destroy",
)
history(
    "CACHE-DESTROY-NULL", "kmem_cache_destroy(NULL) does nothing.", "mm/slab_common.c: kmem_cache_destroy"
)
