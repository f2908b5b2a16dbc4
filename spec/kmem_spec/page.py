"""PAGE: rules of __get_free_pages, alloc_pages, alloc_pages_exact, their bulk form and what frees them."""

from __future__ import annotations

from typing import Final

from kmem_spec import gfp
from kmem_spec.calls import Answer, Asked
from kmem_spec.clauses import calls, clause, history
from kmem_spec.mem import MAKING, PLACE, SAMPLE, is_served
from kmem_spec.units import NULL, PAGE_SIZE, get_order

BLOCK: Final = SAMPLE._replace(
    api="__get_free_pages",
    family="page",
    size=2 * PAGE_SIZE,
    order=1,
    minimum=PAGE_SIZE,
    natural=2 * PAGE_SIZE,
    divisor=2 * PAGE_SIZE,
    slot=0,
)
PAGES: Final = calls("page", roles=MAKING)
BULK: Final = BLOCK._replace(api="alloc_pages_bulk", order=4)
LOW: Final = BLOCK._replace(gfp=gfp.GFP_KERNEL | gfp.DMA, zone_end=PLACE + 2 * PAGE_SIZE)


@clause(
    "PAGE-ORDER-MAX",
    "A request above the largest order returns no page.",
    source="mm/page_alloc.c: __alloc_pages; include/linux/mmzone.h: MAX_ORDER",
    of=calls("page", "exact", roles=MAKING),
    applies=lambda asked: asked.size > asked.limit,
    witness=(BLOCK._replace(size=PAGE_SIZE << 11, order=11), Answer(NULL)),
    broken=(BLOCK._replace(size=PAGE_SIZE << 11, order=11), Answer(PLACE)),
)
def above_maximum_gives_no_page(_asked: Asked, got: Answer) -> bool:
    """Compare the result with NULL."""
    return got.result == NULL


@clause(
    "PAGE-ALIGN",
    "A block of 2^k pages starts at a multiple of its size.",
    source="mm/page_alloc.c: __free_one_page; Documentation/core-api/memory-allocation.rst",
    on="object",
    of=PAGES,
    applies=is_served,
    witness=(BLOCK, Answer(PLACE)),
    broken=(BLOCK, Answer(PLACE + PAGE_SIZE)),
)
def block_is_naturally_aligned(asked: Asked, got: Answer) -> bool:
    """Divide the address by the size of the block."""
    return got.result % asked.natural == 0


@clause(
    "PAGE-ZONE",
    "A block lies in a zone at or below the highest that the mask permits.",
    source="mm/page_alloc.c: prepare_alloc_pages; include/linux/gfp.h: gfp_zone",
    on="object",
    of=PAGES,
    applies=lambda asked: is_served(asked) & (asked.zone_end > 0),
    witness=(LOW, Answer(PLACE)),
    broken=(LOW, Answer(PLACE + 2 * PAGE_SIZE)),
)
def block_is_in_a_permitted_zone(asked: Asked, got: Answer) -> bool:
    """Compare the block's end with the end of the permitted zones."""
    return got.result + asked.size <= asked.zone_end


@clause(
    "PAGE-EXACT",
    "alloc_pages_exact gives whole pages, from the start of one.",
    source="mm/page_alloc.c: alloc_pages_exact",
    of=calls("exact", roles=MAKING),
    on="object",
    applies=is_served,
    witness=(BLOCK._replace(api="alloc_pages_exact", family="exact"), Answer(PLACE)),
    broken=(BLOCK._replace(api="alloc_pages_exact", family="exact"), Answer(PLACE + 8)),
)
def exact_pages_start_on_a_page(asked: Asked, got: Answer) -> bool:
    """Divide the address by the size of a page."""
    return got.result % asked.minimum == 0


@clause(
    "PAGE-BULK",
    "alloc_pages_bulk gives at most as many pages as asked for.",
    source="mm/page_alloc.c: __alloc_pages_bulk",
    of=calls("page", roles=("bulk",)),
    witness=(BULK, Answer(3)),
    broken=(BULK, Answer(5)),
)
def pages_are_no_more_than_asked(asked: Asked, got: Answer) -> bool:
    """Compare the count; `order` is the number asked for."""
    return (got.result >= 0) & (got.result <= asked.order)


@clause(
    "PAGE-ORDER-OF",
    "get_order gives the least order whose block holds the size.",
    source="include/asm-generic/getorder.h: get_order",
    of=calls(names=("get_order",)),
    applies=lambda asked: (asked.size > 0) & (asked.size <= asked.limit),
    witness=(BLOCK._replace(api="get_order", size=4097), Answer(1)),
    broken=(BLOCK._replace(api="get_order", size=4096), Answer(1)),
)
def order_is_the_least(asked: Asked, got: Answer) -> bool:
    """Compare with the order worked out."""
    return got.result == get_order(asked.size)


history(
    "PAGE-FREE-NULL",
    "free_pages(0, order) does nothing, for any order.",
    "mm/page_alloc.c: free_pages",
)
