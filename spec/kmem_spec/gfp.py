"""GFP masks: the numbers, and what a mask allows.

Source   include/linux/gfp_types.h of 6.1 and 6.12. Bits above 0x800000 move with configuration since
6.12 and are left out. Predicates use masks of one bit, so that proofs run them as they are.
"""

from __future__ import annotations

from typing import Final

__GFP: Final = {
    "DMA": 0x1,
    "HIGHMEM": 0x2,
    "DMA32": 0x4,
    "MOVABLE": 0x8,
    "RECLAIMABLE": 0x10,
    "HIGH": 0x20,
    "IO": 0x40,
    "FS": 0x80,
    "ZERO": 0x100,
    "DIRECT_RECLAIM": 0x400,
    "KSWAPD_RECLAIM": 0x800,
    "WRITE": 0x1000,
    "NOWARN": 0x2000,
    "RETRY_MAYFAIL": 0x4000,
    "NOFAIL": 0x8000,
    "NORETRY": 0x10000,
    "MEMALLOC": 0x20000,
    "COMP": 0x40000,
    "NOMEMALLOC": 0x80000,
    "HARDWALL": 0x100000,
    "THISNODE": 0x200000,
    "ACCOUNT": 0x400000,
}
DMA: Final = __GFP["DMA"]
HIGHMEM: Final = __GFP["HIGHMEM"]
DMA32: Final = __GFP["DMA32"]
MOVABLE: Final = __GFP["MOVABLE"]
RECLAIMABLE: Final = __GFP["RECLAIMABLE"]
HIGH: Final = __GFP["HIGH"]
ZERO: Final = __GFP["ZERO"]
DIRECT_RECLAIM: Final = __GFP["DIRECT_RECLAIM"]
NOWARN: Final = __GFP["NOWARN"]
NOFAIL: Final = __GFP["NOFAIL"]
NORETRY: Final = __GFP["NORETRY"]
MEMALLOC: Final = __GFP["MEMALLOC"]
COMP: Final = __GFP["COMP"]
NOMEMALLOC: Final = __GFP["NOMEMALLOC"]

GFP_KERNEL: Final = 0xCC0
GFP_USER: Final = 0x100CC0
GFP_NOWAIT: Final = 0x800  # 6.12 adds NOWARN, which changes no outcome
GFP_ATOMIC: Final = 0xA20  # 6.1; without bit 0x200 in 6.12

_COMMON: Final = {f"__GFP_{name}": bit for name, bit in __GFP.items()} | {
    "__GFP_RECLAIM": 0xC00,
    "GFP_KERNEL": GFP_KERNEL,
    "GFP_KERNEL_ACCOUNT": 0x400CC0,
    "GFP_USER": GFP_USER,
    "GFP_HIGHUSER": 0x100CC2,
    "GFP_HIGHUSER_MOVABLE": 0x100CCA,
    "GFP_NOIO": 0xC00,
    "GFP_NOFS": 0xC40,
    "GFP_DMA": 0x1,
    "GFP_DMA32": 0x4,
}
NAMES_6_1: Final = _COMMON | {"__GFP_ATOMIC": 0x200, "GFP_ATOMIC": 0xA20, "GFP_NOWAIT": 0x800}
NAMES_6_12: Final = _COMMON | {"GFP_ATOMIC": 0x820, "GFP_NOWAIT": 0x2800}
NAMES: Final = {"6.1": NAMES_6_1, "6.12": NAMES_6_12}

ZONE_DMA: Final = 0
ZONE_DMA32: Final = 1
ZONE_NORMAL: Final = 2


def has(mask: int, bit: int) -> bool:
    """Say whether `mask` has `bit`, a mask of one bit."""
    return mask & bit != 0


def may_sleep(mask: int) -> bool:
    """Say whether a call under `mask` may sleep.

    Source   include/linux/gfp.h: gfpflags_allow_blocking
    """
    return has(mask, DIRECT_RECLAIM)


def ignores_watermarks(mask: int) -> bool:
    """Say whether a request under `mask` may take the last page; NOMEMALLOC wins over MEMALLOC.

    Source   mm/page_alloc.c: __gfp_pfmemalloc_flags
    """
    return has(mask, MEMALLOC) and not has(mask, NOMEMALLOC)


def zone_is_legal(mask: int) -> bool:
    """Say whether the zone bits of `mask` name one zone at most.

    Source   include/linux/gfp.h: GFP_ZONE_BAD
    """
    zones = 0
    for bit in (DMA, HIGHMEM, DMA32):
        if has(mask, bit):
            zones += 1
    return zones <= 1


def highest_zone(mask: int) -> int:
    """Return the highest zone that `mask` may be served from, on a 64-bit machine with all zones.

    Needs    zone_is_legal(mask)
    Source   include/linux/gfp.h: gfp_zone
    """
    if has(mask, DMA):
        return ZONE_DMA
    if has(mask, DMA32):
        return ZONE_DMA32
    return ZONE_NORMAL


def mask_is_legal(mask: int) -> bool:
    """Say whether the documentation lets a caller use `mask` with kmalloc or the page calls.

    Source   include/linux/gfp.h: gfp_zone, gfp_migratetype; include/linux/gfp_types.h: __GFP_NOFAIL
    """
    if not zone_is_legal(mask):
        return False
    if has(mask, MOVABLE) and has(mask, RECLAIMABLE):
        return False
    return not has(mask, NOFAIL) or may_sleep(mask)


def describe(mask: int, names: dict[str, int]) -> str:
    """Return `mask` as C source: a base mask and its modifiers, or the number where bits have no name."""
    if mask == 0:
        return "0"
    best = ""
    for name, bits in names.items():
        if not name.startswith("__") and mask & bits == bits and bits > names.get(best, 0):
            best = name
    parts, left = ([best], mask & ~names[best]) if best else ([], mask)
    for name, bit in names.items():
        if name.startswith("__") and bit & (bit - 1) == 0 and left & bit:
            parts.append(name)
            left &= ~bit
    return " | ".join([*parts, f"{left:#x}"] if left else parts)
