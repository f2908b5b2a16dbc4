"""Faults of the floors of masks."""

from __future__ import annotations

from typing import Final

from kmem_spec import gfp, watermark
from kmem_spec.gfp import HIGH, MEMALLOC
from kmem_spec.reach import HARDWALL


def ignores_high(mark: int, mask: int) -> int:
    """Ignore __GFP_HIGH."""
    return watermark.floor_of(mark, mask & ~HIGH)


def counts_hardwall(mark: int, mask: int) -> int:
    """Let __GFP_HARDWALL raise the floor."""
    return watermark.floor_of(mark, mask) + (1 if gfp.has(mask, HARDWALL) else 0)


def high_costs(mark: int, mask: int) -> int:
    """Let __GFP_HIGH raise the floor."""
    return watermark.floor_of(mark, mask) + (mark if gfp.has(mask, HIGH) else 0)


def memalloc_costs(mark: int, mask: int) -> int:
    """Let __GFP_MEMALLOC raise the floor."""
    return watermark.floor_of(mark, mask) + (mark if gfp.has(mask, MEMALLOC) else 0)


def rounds_up(value: int, by: int) -> int:
    """Round a quotient up."""
    return (value + by - 1) // by


FAULTS: Final[dict[str, list[tuple[str, object]]]] = {
    "PAGE-WATERMARK/floor_of/exact": [("__GFP_HIGH is ignored", ignores_high)],
    "PAGE-WATERMARK/atomic/implies": [("__GFP_HIGH is ignored", ignores_high)],
    "PAGE-WATERMARK/user/implies": [("__GFP_HARDWALL raises the floor", counts_hardwall)],
    "PAGE-WATERMARK/high/implies": [("__GFP_HIGH raises the floor", high_costs)],
    "PAGE-WATERMARK/memalloc/implies": [("__GFP_MEMALLOC raises the floor", memalloc_costs)],
}
