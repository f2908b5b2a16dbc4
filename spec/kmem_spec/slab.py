"""SLAB: rules of kmalloc and what is built on it: kmalloc_array, krealloc, kmemdup, kfree, ksize."""

from __future__ import annotations

from typing import Final

from kmem_spec.calls import Answer, Asked
from kmem_spec.clauses import calls, clause, history
from kmem_spec.mem import (
    MAKING,
    PLACE,
    SAMPLE,
    contents_are_kept,
    is_served,
    promised_zeroes_are_zero,
    zero_is_promised,
)
from kmem_spec.units import NULL, PAGE_SIZE, SIZE_MAX, ZERO_SIZE_PTR, get_order

CLASS_SIZES: Final = (8, 16, 32, 64, 96, 128, 192, 256, 512, 1024, 2048, 4096, 8192)
MAX_CACHE_SIZE: Final = CLASS_SIZES[-1]
ARRAY: Final = SAMPLE._replace(api="kmalloc_array", size=1 << 66, natural=1, divisor=1)
RESIZED: Final = SAMPLE._replace(api="krealloc", keep=32)
COPIED: Final = SAMPLE._replace(api="kmemdup", keep=64)
ROUNDED: Final = SAMPLE._replace(api="kmalloc_size_roundup", size=65, slot=0)
KMALLOC: Final = calls("kmalloc", roles=MAKING)
RESIZING: Final = calls("kmalloc", roles=("resize",))


def size_class(size: int, smallest: int = 8) -> int:
    """Return the bytes that the object for a request of `size` has.

    Needs    1 <= size; smallest a power of two; only its multiples are classes: from 64 on, 96 is none
    Gives    the least class, or from page-backed memory the least block of pages, that holds the request
    Source   mm/slab_common.c: kmalloc_slab, setup_kmalloc_cache_index_table
    """
    for slot in CLASS_SIZES:
        if size <= slot and slot % smallest == 0:
            return slot
    return PAGE_SIZE << get_order(size)


def is_placed(asked: Asked) -> bool:
    """Say whether a request that can be met chooses a place; a resize that stays does not."""
    return is_served(asked) & (asked.minimum > 1)


@clause(
    "SLAB-ZERO-SIZE",
    "A request for 0 bytes returns ZERO_SIZE_PTR.",
    source="include/linux/slab.h: ZERO_SIZE_PTR; mm/util.c: kvmalloc_node",
    of=calls("kmalloc", "kv", roles=MAKING),
    applies=lambda asked: (asked.size == 0) & (asked.keep == 0),
    witness=(SAMPLE._replace(size=0), Answer(ZERO_SIZE_PTR)),
    broken=(SAMPLE._replace(size=0), Answer(NULL)),
)
def zero_size_gives_its_pointer(_asked: Asked, got: Answer) -> bool:
    """Compare the result with ZERO_SIZE_PTR."""
    return got.result == ZERO_SIZE_PTR


@clause(
    "SLAB-MAX",
    "A request above KMALLOC_MAX_SIZE returns NULL.",
    source="include/linux/slab.h: KMALLOC_MAX_SIZE",
    of=KMALLOC,
    applies=lambda asked: (asked.limit < asked.size) & (asked.size <= SIZE_MAX),
    witness=(SAMPLE._replace(size=(1 << 22) + 1), Answer(NULL)),
    broken=(SAMPLE._replace(size=(1 << 22) + 1), Answer(PLACE)),
)
def above_maximum_gives_null(_asked: Asked, got: Answer) -> bool:
    """Compare the result with NULL."""
    return got.result == NULL


@clause(
    "SLAB-ARRAY",
    "An array whose product does not fit size_t gives NULL, over all of 2^64 times 2^64.",
    source="include/linux/slab.h: kmalloc_array, kcalloc, krealloc_array",
    of=KMALLOC,
    applies=lambda asked: asked.size > SIZE_MAX,
    witness=(ARRAY, Answer(NULL)),
    broken=(ARRAY, Answer(PLACE)),
)
def overflow_gives_null(_asked: Asked, got: Answer) -> bool:
    """Compare the result with NULL."""
    return got.result == NULL


@clause(
    "SLAB-ALIGN",
    "kmalloc memory is aligned to ARCH_KMALLOC_MINALIGN.",
    source="Documentation/core-api/memory-allocation.rst; include/linux/slab.h: ARCH_KMALLOC_MINALIGN",
    on="object",
    of=KMALLOC,
    applies=is_placed,
    witness=(SAMPLE, Answer(PLACE + 8)),
    broken=(SAMPLE, Answer(PLACE + 4)),
)
def address_has_minimum_alignment(asked: Asked, got: Answer) -> bool:
    """Divide the address by the minimum alignment."""
    return got.result % asked.minimum == 0


@clause(
    "SLAB-ALIGN-POWER",
    "kmalloc memory of a power-of-two size is aligned to that size.",
    source="Documentation/core-api/memory-allocation.rst: Selecting memory allocator",
    on="object",
    of=KMALLOC,
    applies=lambda asked: is_placed(asked) & (asked.natural > asked.minimum),
    witness=(SAMPLE, Answer(PLACE)),
    broken=(SAMPLE, Answer(PLACE + 32)),
)
def address_has_natural_alignment(asked: Asked, got: Answer) -> bool:
    """Divide the address by the size."""
    return got.result % asked.natural == 0


@clause(
    "SLAB-ALIGN-DIVISOR",
    "kmalloc memory is aligned to the largest power of two that divides its size.",
    source="Documentation/core-api/memory-allocation.rst (6.12)",
    on="object",
    of=KMALLOC,
    applies=lambda asked: is_placed(asked) & (asked.divisor > asked.minimum),
    promises=("linux-6.12",),
    witness=(SAMPLE._replace(size=96, natural=1, divisor=32), Answer(PLACE + 32)),
    broken=(SAMPLE._replace(size=96, natural=1, divisor=32), Answer(PLACE + 16)),
)
def address_has_divisor_alignment(asked: Asked, got: Answer) -> bool:
    """Divide the address by the size's largest power-of-two divisor."""
    return got.result % asked.divisor == 0


@clause(
    "SLAB-CLASS",
    "An object has exactly the size of the least kmalloc class that holds the request.",
    source="mm/slab_common.c: kmalloc_slab, ksize",
    on="object",
    of=KMALLOC,
    applies=lambda asked: is_placed(asked) & (asked.slot > 0),
    promises=("size-classes",),
    witness=(SAMPLE, Answer(PLACE, usable=64)),
    broken=(SAMPLE, Answer(PLACE, usable=96)),
)
def usable_is_the_class(asked: Asked, got: Answer) -> bool:
    """Compare what ksize gives with the size class."""
    return (got.usable < 0) | (got.usable == asked.slot)


@clause(
    "SLAB-KSIZE",
    "ksize gives one size until a resize, not below what was asked for; 0 for NULL and ZERO_SIZE_PTR.",
    source="mm/slab_common.c: ksize",
    of=calls(roles=("measure",)),
    witness=(SAMPLE._replace(api="ksize", slot=0), Answer(96)),
    broken=(SAMPLE._replace(api="ksize", slot=64), Answer(96)),
)
def ksize_is_true(asked: Asked, got: Answer) -> bool:
    """Compare with the size asked for, and with the size seen before if there is one (`slot`)."""
    empty = (asked.size == 0) & (got.result == 0)
    return empty | (
        (asked.size > 0) & (got.result >= asked.size) & ((asked.slot == 0) | (got.result == asked.slot))
    )


@clause(
    "SLAB-REALLOC-KEEP",
    "krealloc keeps the contents up to the lesser of the old and the new size.",
    source="mm/slab_common.c: krealloc",
    on="object",
    of=RESIZING,
    applies=lambda asked: (asked.keep > 0) & is_served(asked),
    witness=(RESIZED, Answer(PLACE, changed=32)),
    broken=(RESIZED, Answer(PLACE, changed=31)),
)
def kept_bytes_are_kept(asked: Asked, got: Answer) -> bool:
    """Look for a changed byte among those that come over."""
    return (got.changed < 0) | (got.changed >= asked.keep)


@clause(
    "SLAB-REALLOC-FAIL",
    "A krealloc that returns NULL leaves the old object as it was.",
    source="mm/slab_common.c: krealloc",
    on="null",
    of=RESIZING,
    applies=lambda asked: (asked.keep > 0) & (asked.size > 0),
    witness=(RESIZED, Answer(NULL)),
    broken=(RESIZED, Answer(NULL, changed=0)),
)
def failed_resize_changes_nothing(asked: Asked, got: Answer) -> bool:
    """Look for a changed byte in the old object."""
    return contents_are_kept(asked, got)


@clause(
    "SLAB-REALLOC-FREE",
    "krealloc to 0 bytes frees the object and returns ZERO_SIZE_PTR.",
    source="mm/slab_common.c: krealloc",
    of=RESIZING,
    applies=lambda asked: (asked.keep > 0) & (asked.size == 0),
    witness=(RESIZED._replace(size=0), Answer(ZERO_SIZE_PTR)),
    broken=(RESIZED._replace(size=0), Answer(NULL)),
)
def resize_to_nothing_gives_its_pointer(asked: Asked, got: Answer) -> bool:
    """Compare the result with ZERO_SIZE_PTR."""
    return zero_size_gives_its_pointer(asked, got)


@clause(
    "SLAB-REALLOC-ZERO",
    "If every call so far had __GFP_ZERO, krealloc gives zeroes beyond the largest size yet asked for.",
    source="mm/slab_common.c: krealloc, on __GFP_ZERO",
    on="object",
    of=RESIZING,
    applies=lambda asked: (asked.keep > 0) & zero_is_promised(asked),
    witness=(RESIZED._replace(zero_from=32, zero_to=64), Answer(PLACE, nonzero=16)),
    broken=(RESIZED._replace(zero_from=32, zero_to=64), Answer(PLACE, nonzero=32)),
)
def grown_bytes_are_zero(asked: Asked, got: Answer) -> bool:
    """Look for a byte that is not zero among those that no owner has had."""
    return promised_zeroes_are_zero(asked, got)


@clause(
    "SLAB-COPY",
    "kmemdup, kstrdup and kstrndup return a copy, a string with its NUL.",
    source="mm/util.c: kmemdup, kstrdup, kstrndup",
    of=calls(roles=("copy",)),
    on="object",
    applies=lambda asked: (asked.keep > 0) & is_served(asked),
    witness=(COPIED, Answer(PLACE)),
    broken=(COPIED, Answer(PLACE, changed=63)),
)
def copy_is_true(asked: Asked, got: Answer) -> bool:
    """Look for a byte that differs from what was to be copied."""
    return kept_bytes_are_kept(asked, got)


@clause(
    "SLAB-ROUNDUP",
    "kmalloc_size_roundup gives at least the size, 0 for 0, and the size class where classes are promised.",
    source="mm/slab_common.c: kmalloc_size_roundup",
    of=calls(names=("kmalloc_size_roundup",)),
    applies=lambda asked: asked.size <= asked.limit,
    witness=(ROUNDED, Answer(96)),
    broken=(ROUNDED, Answer(64)),
)
def rounded_size_holds(asked: Asked, got: Answer) -> bool:
    """Compare the result with the size and its class."""
    holds = (got.result >= asked.size) & ((asked.size > 0) | (got.result == 0))
    return holds & ((asked.slot == 0) | (got.result == asked.slot))


history(
    "SLAB-FREE-NULL",
    "kfree(NULL) and kfree(ZERO_SIZE_PTR) do nothing, nor do kfree_sensitive and kvfree of these.",
    "mm/slab_common.c: kfree, kfree_sensitive; mm/util.c: kvfree",
)
