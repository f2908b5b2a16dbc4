"""MEM: rules of every allocation, whatever the family."""

from __future__ import annotations

from kmem_spec import gfp
from kmem_spec.apis import Role
from kmem_spec.calls import Answer, Asked
from kmem_spec.clauses import calls, clause, history
from kmem_spec.extents import disjoint
from kmem_spec.units import MAX_ERRNO, NULL, SIZE_MAX, ZERO_SIZE_PTR

SAMPLE = Asked(
    api="kmalloc",
    family="kmalloc",
    size=64,
    limit=1 << 22,
    gfp=gfp.GFP_KERNEL,
    order=0,
    minimum=8,
    natural=64,
    divisor=64,
    slot=64,
    zero_from=0,
    zero_to=0,
    keep=0,
    zone_end=0,
)
ZEROED = SAMPLE._replace(api="kzalloc", zero_to=64)
FLAGGED = SAMPLE._replace(gfp=gfp.GFP_KERNEL | gfp.ZERO, zero_to=64)
PLACE = 0x10000
MAKING: tuple[Role, ...] = ("allocate", "copy", "resize", "map")
NEW: tuple[Role, ...] = ("allocate", "copy")
LAST = SIZE_MAX - MAX_ERRNO  # no object ends beyond


def is_served(asked: Asked) -> bool:
    """Say whether the request is one that can be met: neither empty nor above the limit."""
    return 0 < asked.size <= asked.limit


def zero_is_promised(asked: Asked) -> bool:
    """Say whether the request's outcome has bytes that must be zero."""
    return is_served(asked) & (asked.zero_from < asked.zero_to)


@clause(
    "MEM-NULL",
    "A request that fails returns NULL, one that succeeds an address: never an error code or a small number.",
    source="Documentation/core-api/memory-allocation.rst; include/linux/err.h: MAX_ERRNO",
    of=calls(roles=MAKING),
    applies=is_served,
    witness=(SAMPLE, Answer(NULL)),
    broken=(SAMPLE, Answer(SIZE_MAX - 11)),
)
def failure_is_null(asked: Asked, got: Answer) -> bool:
    """Compare the result with the ranges that hold no object."""
    if got.result == NULL:
        return True
    return (got.result > ZERO_SIZE_PTR) & (got.result + asked.size <= LAST)


@clause(
    "MEM-USABLE",
    "An object's usable size is at least the size asked for.",
    source="mm/slab_common.c: ksize; Documentation/core-api/memory-allocation.rst",
    of=calls(roles=MAKING),
    on="object",
    applies=is_served,
    witness=(SAMPLE, Answer(PLACE, usable=64)),
    broken=(SAMPLE, Answer(PLACE, usable=63)),
)
def usable_holds_size(asked: Asked, got: Answer) -> bool:
    """Compare what ksize gives with the request."""
    return (got.usable < 0) | (got.usable >= asked.size)


@clause(
    "MEM-ZERO",
    "Every byte asked for of memory from a zeroing call is zero.",
    source="include/linux/slab.h: kzalloc, kcalloc; mm/page_alloc.c: get_zeroed_page",
    on="object",
    of=lambda api: api.zeroes,
    applies=zero_is_promised,
    witness=(ZEROED, Answer(PLACE, nonzero=64)),
    broken=(ZEROED, Answer(PLACE, nonzero=63)),
)
def promised_zeroes_are_zero(asked: Asked, got: Answer) -> bool:
    """Look for a byte that is not zero within the promise."""
    return (got.nonzero < asked.zero_from) | (got.nonzero >= asked.zero_to)


@clause(
    "GFP-ZERO",
    "Under __GFP_ZERO every byte asked for is zero, with every base mask.",
    source="include/linux/gfp_types.h: __GFP_ZERO",
    on="object",
    of=lambda api: (api.role in NEW or api.role == "resize") and not api.zeroes,
    applies=lambda asked: (asked.keep == 0) & zero_is_promised(asked),
    witness=(FLAGGED, Answer(PLACE)),
    broken=(FLAGGED, Answer(PLACE, nonzero=0)),
)
def flagged_zeroes_are_zero(asked: Asked, got: Answer) -> bool:
    """Look for a byte that is not zero within the promise."""
    return promised_zeroes_are_zero(asked, got)


@clause(
    "MEM-APART",
    "No two live allocations share a byte, each at its usable size.",
    source="Documentation/core-api/memory-allocation.rst",
    kind="state",
    witness=(0, 64, 64, 8),
    broken=(0, 64, 63, 8),
)
def live_extents_are_apart(start: int, length: int, other: int, other_length: int) -> bool:
    """Compare two live extents."""
    return disjoint(start, length, other, other_length)


@clause(
    "MEM-KEEP",
    "The contents of an allocation change only by its owner.",
    source="Documentation/core-api/memory-allocation.rst",
    of=calls(roles=("look",)),
    witness=(SAMPLE._replace(api="check"), Answer(0)),
    broken=(SAMPLE._replace(api="check"), Answer(0, changed=8)),
)
def contents_are_kept(_asked: Asked, got: Answer) -> bool:
    """Look for a byte that is not as its owner wrote it."""
    return got.changed < 0


history(
    "MEM-RETURNS",
    "A legal call returns, and its bytes can be read and written: no crash, no hang, no report of an error.",
    "Documentation/core-api/memory-allocation.rst",
)
history(
    "MEM-LIVENESS",
    "What once ran from empty runs again after everything is freed, round after round.",
    "no line of documentation: what every caller relies on; waive it with --waive MEM-LIVENESS",
)
