"""CALLER: mistakes of whoever calls. They are never mixed with the allocator's."""

from __future__ import annotations

from kmem_spec.clauses import Clause, register


def _caller(identifier: str, sentence: str, source: str) -> None:
    """Register one mistake of the caller."""
    register(Clause(id=identifier, sentence=sentence, source=source, who="caller", kind="history"))


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
    "CALLER-GFP",
    "A mask names one zone at most, one kind of mobility, and __GFP_NOFAIL only where it may sleep.",
    "include/linux/gfp.h: gfp_zone, gfp_migratetype; include/linux/gfp_types.h: __GFP_NOFAIL",
)
_caller(
    "CALLER-LEAK",
    "What was allocated is freed by the end.",
    "Documentation/dev-tools/kmemleak.rst",
)
