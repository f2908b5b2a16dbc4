"""CALLER: mistakes of whoever calls. They are never mixed with the allocator's."""

from __future__ import annotations

from kmem_spec.clauses import history


def _caller(identifier: str, sentence: str, source: str) -> None:
    """Register one mistake of the caller."""
    history(identifier, sentence, source, who="caller")


_caller(
    "CALLER-FREE",
    "Only the start of a live allocation may be freed, resized or measured.",
    "Documentation/core-api/memory-allocation.rst; mm/slub.c: free_to_partial_list, on invalid pointers",
)
_caller(
    "CALLER-DOUBLE-FREE",
    "An allocation is freed once.",
    "mm/slub.c: Object already free; mm/page_alloc.c: free_pages_check",
)
_caller(
    "CALLER-FAMILY",
    "Memory goes back through the family that gave it.",
    "Documentation/core-api/memory-allocation.rst",
)
_caller(
    "CALLER-ORDER",
    "A block of pages is freed with the order that it was allocated with.",
    "mm/page_alloc.c: free_pages",
)
_caller(
    "CALLER-SIZE",
    "Exact pages are freed with the size that they were allocated with.",
    "mm/page_alloc.c: free_pages_exact",
)
_caller(
    "CALLER-GFP",
    "A mask names one zone at most, one kind of mobility, and __GFP_NOFAIL only where it may sleep; vmalloc "
    "takes none that may not sleep or that names a zone, mempool_alloc none with __GFP_ZERO.",
    "include/linux/gfp.h: gfp_zone, gfp_migratetype; include/linux/gfp_types.h: __GFP_NOFAIL; "
    "mm/vmalloc.c: __vmalloc_node_range; mm/mempool.c: mempool_alloc",
)
_caller(
    "CALLER-CONTEXT",
    "A call that may sleep is not made in atomic context.",
    "include/linux/sched/mm.h: might_alloc; Documentation/core-api/memory-allocation.rst",
)
_caller(
    "CALLER-BOUNDS",
    "What is copied lies within the object that it is copied from.",
    "mm/util.c: kmemdup, kstrdup",
)
_caller(
    "CALLER-CREATE",
    "A cache has a name, a size above 0 and for alignment 0 or a power of two; a destructor only with a "
    "constructor; a mempool's elements have no constructor.",
    "mm/slab_common.c: kmem_cache_create; mm/slab.c of 2.6.12; mm/mempool.c: mempool_alloc_slab",
)
_caller(
    "CALLER-HANDLE",
    "Only a cache or pool that was created and not destroyed may be used.",
    "mm/slab_common.c: kmem_cache_destroy; mm/mempool.c: mempool_destroy",
)
_caller(
    "CALLER-CACHE",
    "An object goes back to the cache or pool that gave it.",
    "mm/slub.c: cache_from_obj; mm/mempool.c: mempool_free",
)
_caller(
    "CALLER-DESTROY",
    "A cache or pool is destroyed after all its objects are freed.",
    "mm/slab_common.c: kmem_cache_destroy; mm/mempool.c: mempool_destroy",
)
_caller(
    "CALLER-POOL",
    "A mempool keeps one element or more, and somebody is left to free one where a caller waits for it.",
    "mm/mempool.c: mempool_resize, mempool_alloc",
)
_caller(
    "CALLER-CTOR-ZERO",
    "Objects of a cache with a constructor are not asked for zeroed.",
    "mm/slub.c: new_slab, on __GFP_ZERO and constructors",
)
_caller(
    "CALLER-LEAK",
    "What was allocated is freed by the end.",
    "Documentation/dev-tools/kmemleak.rst",
)
