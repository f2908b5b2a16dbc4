"""VM and KV: rules of vmalloc, vmap and kvmalloc."""

from __future__ import annotations

from typing import Final

from kmem_spec.calls import Answer, Asked
from kmem_spec.clauses import calls, clause, history
from kmem_spec.mem import MAKING, PLACE, SAMPLE, contents_are_kept, is_served, zero_is_promised
from kmem_spec.slab import (
    above_maximum_gives_null,
    failed_resize_changes_nothing,
    grown_bytes_are_zero,
    kept_bytes_are_kept,
    overflow_gives_null,
)
from kmem_spec.units import NULL, PAGE_SIZE, SIZE_MAX, ZERO_SIZE_PTR

INT_MAX: Final = (1 << 31) - 1
AREA: Final = SAMPLE._replace(
    api="vmalloc",
    family="vmalloc",
    size=2 * PAGE_SIZE,
    limit=1 << 45,
    minimum=PAGE_SIZE,
    natural=1,
    divisor=1,
    slot=0,
    guard=PAGE_SIZE,
)
EITHER: Final = SAMPLE._replace(
    api="kvmalloc", family="kv", size=1 << 20, limit=INT_MAX, natural=1, divisor=1
)
GROWN: Final = AREA._replace(api="vrealloc", keep=PAGE_SIZE)
MAPPED: Final = AREA._replace(api="vmap", family="vmap")
VMALLOC: Final = calls("vmalloc", "vmap", roles=MAKING)
KVMALLOC: Final = calls("kv", roles=MAKING)
RESIZING: Final = calls("kv", "vmalloc", roles=("resize",))


@clause(
    "VM-ZERO-SIZE",
    "A vmalloc of 0 bytes returns NULL.",
    source="mm/vmalloc.c: __vmalloc_node_range",
    of=VMALLOC,
    applies=lambda asked: (asked.size == 0) & (asked.keep == 0),
    witness=(AREA._replace(size=0), Answer(NULL)),
    broken=(AREA._replace(size=0), Answer(ZERO_SIZE_PTR)),
)
def nothing_gives_null(_asked: Asked, got: Answer) -> bool:
    """Compare the result with NULL."""
    return got.result == NULL


@clause(
    "VM-MAX",
    "A vmalloc of more bytes than there can be memory returns NULL, up to 2^64 - 1.",
    source="mm/vmalloc.c: __vmalloc_node_range, on totalram_pages",
    of=VMALLOC,
    applies=lambda asked: (asked.limit < asked.size) & (asked.size <= SIZE_MAX),
    witness=(AREA._replace(size=SIZE_MAX), Answer(NULL)),
    broken=(AREA._replace(size=SIZE_MAX), Answer(PLACE)),
)
def above_memory_gives_null(asked: Asked, got: Answer) -> bool:
    """Compare the result with NULL."""
    return above_maximum_gives_null(asked, got)


@clause(
    "VM-ARRAY",
    "vmalloc_array and vcalloc give NULL where the product does not fit size_t.",
    source="mm/util.c: __vmalloc_array_noprof",
    of=VMALLOC,
    applies=lambda asked: asked.size > SIZE_MAX,
    witness=(AREA._replace(api="vcalloc", size=1 << 66), Answer(NULL)),
    broken=(AREA._replace(api="vcalloc", size=1 << 66), Answer(PLACE)),
)
def area_overflow_gives_null(asked: Asked, got: Answer) -> bool:
    """Compare the result with NULL."""
    return overflow_gives_null(asked, got)


@clause(
    "VM-ALIGN",
    "A vmalloc area starts on a page.",
    source="mm/vmalloc.c: __get_vm_area_node",
    of=VMALLOC,
    on="object",
    applies=is_served,
    witness=(AREA, Answer(PLACE)),
    broken=(AREA, Answer(PLACE + 64)),
)
def area_starts_on_a_page(asked: Asked, got: Answer) -> bool:
    """Divide the address by the size of a page; an area that stays where it was owes it no less."""
    return got.result % PAGE_SIZE == 0


@clause(
    "VM-CONTENTS",
    "A vmap area shows its pages, in their order, and what is written there is written to them.",
    source="mm/vmalloc.c: vmap",
    of=calls("vmap", roles=("map",)),
    on="object",
    witness=(MAPPED, Answer(PLACE)),
    broken=(MAPPED, Answer(PLACE, changed=4096)),
)
def area_shows_its_pages(asked: Asked, got: Answer) -> bool:
    """Look for a byte of the area that is not its page's."""
    return contents_are_kept(asked, got)


@clause(
    "KV-MAX",
    "A kvmalloc of more than INT_MAX bytes returns NULL.",
    source="mm/util.c: kvmalloc_node",
    of=KVMALLOC,
    applies=lambda asked: (asked.limit < asked.size) & (asked.size <= SIZE_MAX),
    witness=(EITHER._replace(size=1 << 31), Answer(NULL)),
    broken=(EITHER._replace(size=1 << 31), Answer(PLACE)),
)
def above_int_max_gives_null(asked: Asked, got: Answer) -> bool:
    """Compare the result with NULL."""
    return above_maximum_gives_null(asked, got)


@clause(
    "KV-ARRAY",
    "kvmalloc_array and kvcalloc give NULL where the product does not fit size_t.",
    source="include/linux/slab.h: kvmalloc_array",
    of=KVMALLOC,
    applies=lambda asked: asked.size > SIZE_MAX,
    witness=(EITHER._replace(api="kvcalloc", size=1 << 66), Answer(NULL)),
    broken=(EITHER._replace(api="kvcalloc", size=1 << 66), Answer(PLACE)),
)
def either_overflow_gives_null(asked: Asked, got: Answer) -> bool:
    """Compare the result with NULL."""
    return overflow_gives_null(asked, got)


@clause(
    "KV-ALIGN",
    "kvmalloc memory is aligned to ARCH_KMALLOC_MINALIGN.",
    source="mm/util.c: kvmalloc_node",
    of=KVMALLOC,
    on="object",
    applies=is_served,
    witness=(EITHER, Answer(PLACE + 8)),
    broken=(EITHER, Answer(PLACE + 4)),
)
def either_has_minimum_alignment(asked: Asked, got: Answer) -> bool:
    """Divide the address by the minimum alignment."""
    return got.result % asked.minimum == 0


@clause(
    "VM-REALLOC-KEEP",
    "vrealloc and kvrealloc keep the contents up to the lesser of the old and the new size.",
    source="mm/vmalloc.c: vrealloc; mm/util.c: kvrealloc",
    of=RESIZING,
    on="object",
    applies=lambda asked: (asked.keep > 0) & is_served(asked),
    witness=(GROWN, Answer(PLACE, changed=PAGE_SIZE)),
    broken=(GROWN, Answer(PLACE, changed=0)),
)
def area_keeps_its_bytes(asked: Asked, got: Answer) -> bool:
    """Look for a changed byte among those that come over."""
    return kept_bytes_are_kept(asked, got)


@clause(
    "VM-REALLOC-FAIL",
    "A vrealloc or kvrealloc that returns NULL leaves the old area as it was.",
    source="mm/vmalloc.c: vrealloc; mm/util.c: kvrealloc",
    of=RESIZING,
    on="null",
    applies=lambda asked: (asked.keep > 0) & (asked.size > 0),
    witness=(GROWN, Answer(NULL)),
    broken=(GROWN, Answer(NULL, changed=0)),
)
def failed_area_resize_changes_nothing(asked: Asked, got: Answer) -> bool:
    """Look for a changed byte in the old area."""
    return failed_resize_changes_nothing(asked, got)


@clause(
    "VM-REALLOC-ZERO",
    "If every call so far had __GFP_ZERO, vrealloc and kvrealloc give zeroes beyond the largest size yet.",
    source="mm/vmalloc.c: vrealloc, on __GFP_ZERO",
    of=RESIZING,
    on="object",
    applies=lambda asked: (asked.keep > 0) & zero_is_promised(asked),
    witness=(GROWN._replace(zero_from=4096, zero_to=8192), Answer(PLACE, nonzero=8192)),
    broken=(GROWN._replace(zero_from=4096, zero_to=8192), Answer(PLACE, nonzero=8191)),
)
def grown_area_is_zero(asked: Asked, got: Answer) -> bool:
    """Look for a byte that is not zero among those that no owner has had."""
    return grown_bytes_are_zero(asked, got)


@clause(
    "VM-REALLOC-FREE",
    "vrealloc to 0 bytes frees the area and returns NULL.",
    source="mm/vmalloc.c: vrealloc",
    of=calls("vmalloc", roles=("resize",)),
    applies=lambda asked: (asked.keep > 0) & (asked.size == 0),
    witness=(GROWN._replace(size=0), Answer(NULL)),
    broken=(GROWN._replace(size=0), Answer(ZERO_SIZE_PTR)),
)
def area_resized_to_nothing_gives_null(_asked: Asked, got: Answer) -> bool:
    """Compare the result with NULL."""
    return got.result == NULL


history(
    "VM-GUARD",
    "Nothing live lies in the page behind a vmalloc or vmap area.",
    "mm/vmalloc.c: __get_vm_area_node; include/linux/vmalloc.h: VM_NO_GUARD",
)
history(
    "VM-FRAME-OWN",
    "Each page of an area is backed by a page of its own, one that no live object has; of a vmap, by the "
    "page that was given.",
    "mm/vmalloc.c: __vmalloc_area_node, vmalloc_to_page",
)
history(
    "VM-ADDR",
    "is_vmalloc_addr is true everywhere in an area, and of no kmalloc object, cache object or page.",
    "mm/vmalloc.c: is_vmalloc_addr",
)
history("VM-FREE-NULL", "vfree(NULL) and vunmap(NULL) do nothing.", "mm/vmalloc.c: vfree, vunmap")
