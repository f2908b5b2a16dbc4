"""PAGE: rules of __get_free_pages, get_zeroed_page and free_pages."""

from __future__ import annotations

from typing import Final

from kmem_spec import gfp
from kmem_spec.calls import Answer, Asked
from kmem_spec.clauses import Clause, clause, register
from kmem_spec.mem import PLACE, SAMPLE, is_served
from kmem_spec.units import NULL, PAGE_SIZE

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
LOW: Final = BLOCK._replace(gfp=gfp.GFP_KERNEL | gfp.DMA, zone_end=PLACE + 2 * PAGE_SIZE)


def is_page(asked: Asked) -> bool:
    """Say whether the request is for pages."""
    return asked.family == "page"


@clause(
    "PAGE-ORDER-MAX",
    "A request above the largest order returns no page.",
    source="mm/page_alloc.c: __alloc_pages; include/linux/mmzone.h: MAX_ORDER",
    applies=lambda asked: is_page(asked) & (asked.size > asked.limit),
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
    applies=lambda asked: is_page(asked) & is_served(asked),
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
    applies=lambda asked: is_page(asked) & is_served(asked) & (asked.zone_end > 0),
    witness=(LOW, Answer(PLACE)),
    broken=(LOW, Answer(PLACE + 2 * PAGE_SIZE)),
)
def block_is_in_a_permitted_zone(asked: Asked, got: Answer) -> bool:
    """Compare the block's end with the end of the permitted zones."""
    return got.result + asked.size <= asked.zone_end


register(
    Clause(
        id="PAGE-FREE-NULL",
        sentence="free_pages(0, order) does nothing, for any order.",
        source="mm/page_alloc.c: free_pages",
        kind="history",
    )
)
