"""SLAB flags: the numbers that kmem_cache_create takes, and what they decide.

Source   include/linux/slab.h of 6.1; since 6.12 the numbers move with configuration.
"""

from __future__ import annotations

from typing import Final

NAMES: Final = {
    "SLAB_CONSISTENCY_CHECKS": 0x100,
    "SLAB_RED_ZONE": 0x400,
    "SLAB_POISON": 0x800,
    "SLAB_HWCACHE_ALIGN": 0x2000,
    "SLAB_CACHE_DMA": 0x4000,
    "SLAB_CACHE_DMA32": 0x8000,
    "SLAB_STORE_USER": 0x10000,
    "SLAB_RECLAIM_ACCOUNT": 0x20000,
    "SLAB_PANIC": 0x40000,
    "SLAB_TYPESAFE_BY_RCU": 0x80000,
    "SLAB_MEM_SPREAD": 0x100000,
    "SLAB_TRACE": 0x200000,
    "SLAB_DEBUG_OBJECTS": 0x400000,
    "SLAB_NOLEAKTRACE": 0x800000,
    "SLAB_ACCOUNT": 0x4000000,
    "SLAB_NO_USER_FLAGS": 0x10000000,
}
RED_ZONE: Final = NAMES["SLAB_RED_ZONE"]
POISON: Final = NAMES["SLAB_POISON"]
HWCACHE_ALIGN: Final = NAMES["SLAB_HWCACHE_ALIGN"]
CACHE_DMA: Final = NAMES["SLAB_CACHE_DMA"]
CACHE_DMA32: Final = NAMES["SLAB_CACHE_DMA32"]
STORE_USER: Final = NAMES["SLAB_STORE_USER"]
RECLAIM_ACCOUNT: Final = NAMES["SLAB_RECLAIM_ACCOUNT"]
PANIC: Final = NAMES["SLAB_PANIC"]
TYPESAFE_BY_RCU: Final = NAMES["SLAB_TYPESAFE_BY_RCU"]
TRACE: Final = NAMES["SLAB_TRACE"]
NOLEAKTRACE: Final = NAMES["SLAB_NOLEAKTRACE"]
ACCOUNT: Final = NAMES["SLAB_ACCOUNT"]

PERMITTED: Final = sum(NAMES.values())  # SLAB_FLAGS_PERMITTED, without what only the kernel itself sets
NEVER_MERGE: Final = RED_ZONE | POISON | STORE_USER | TRACE | TYPESAFE_BY_RCU | NOLEAKTRACE
MERGE_SAME: Final = RECLAIM_ACCOUNT | CACHE_DMA | CACHE_DMA32 | ACCOUNT


def describe(flags: int) -> str:
    """Return `flags` as C source: names, and the number where bits have none."""
    parts = [name for name, bit in NAMES.items() if flags & bit]
    left = flags & ~PERMITTED
    if left or not parts:
        parts.append(f"{left:#x}" if left else "0")
    return " | ".join(parts)
