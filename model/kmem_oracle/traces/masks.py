"""GFP masks as traces print them, of kernels from 2.6 on."""

from __future__ import annotations

from typing import Final, NamedTuple

from kmem_spec import gfp

LIGHT: Final = (gfp.NAMES_6_1["GFP_HIGHUSER_MOVABLE"] | gfp.COMP | gfp.NOMEMALLOC | gfp.NOWARN) & ~0xC00
KNOWN: Final[dict[str, int]] = (
    gfp.NAMES_6_12
    | gfp.NAMES_6_1
    | {
        "none": 0,
        "0": 0,
        "GFP_TRANSHUGE_LIGHT": LIGHT,
        "GFP_TRANSHUGE": LIGHT | gfp.DIRECT_RECLAIM,
        "GFP_TEMPORARY": 0xCC0 | gfp.RECLAIMABLE,
        "__GFP_WAIT": gfp.DIRECT_RECLAIM,
        "__GFP_REPEAT": 0x4000,
        "__GFP_COLD": 0,
        "__GFP_NOTRACK": 0,
        "__GFP_OTHER_NODE": 0,
        "__GFP_NOLOCKDEP": 0,
        "__GFP_SKIP_KASAN_POISON": 0,
        "__GFP_SKIP_KASAN_UNPOISON": 0,
        "__GFP_SKIP_KASAN": 0,
        "__GFP_SKIP_ZERO": 0,
        "__GFP_ZEROTAGS": 0,
        "__GFP_NO_OBJ_EXT": 0,
    }
)
NUMBERED: Final = (1 << 24) - 1  # bits above move with configuration


class Mask(NamedTuple):
    """A mask; `whole` says that each of its names is known."""

    bits: int
    whole: bool


def parse(text: str) -> Mask:
    """Return the mask that a trace prints, `GFP_KERNEL|__GFP_ZERO` or a number."""
    bits = 0
    whole = True
    for name in text.split("|"):
        known = KNOWN.get(name, KNOWN.get(f"__{name}"))
        if known is not None:
            bits |= known
        elif name.startswith("0x") and len(name) <= 18 and all(c in "0123456789abcdef" for c in name[2:]):
            bits |= int(name, 16) & NUMBERED
            whole = False
        else:
            whole = False
    return Mask(bits, whole)


def may_hold_objects(mask: Mask, order: int) -> bool:
    """Say whether a slab may be made of a block of pages with this mask.

    Source   mm/slub.c: allocate_slab; include/linux/slab.h: GFP_SLAB_BUG_MASK
    """
    bits, whole = mask
    if bits & (gfp.MOVABLE | gfp.HIGHMEM | gfp.ZERO):
        return False
    return not whole or order == 0 or bits & gfp.COMP != 0
