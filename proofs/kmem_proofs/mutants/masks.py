"""Faults of what a GFP mask allows, of the watermarks, and of which masks are compared."""

from __future__ import annotations

from typing import Final

from kmem_spec import gfp, reach, watermark
from kmem_spec.gfp import (
    DIRECT_RECLAIM,
    DMA,
    DMA32,
    HIGH,
    HIGHMEM,
    MEMALLOC,
    MOVABLE,
    NOFAIL,
    NOMEMALLOC,
    NORETRY,
    NOWARN,
    RECLAIMABLE,
    ZERO,
    has,
)
from kmem_spec.reach import ATOMIC_BIT, HARDWALL, Pair


def kswapd_may_sleep(mask: int) -> bool:
    """Take the waking of kswapd for leave to sleep."""
    return has(mask, 0x800)


def low_bits_sleep(mask: int) -> bool:
    """Look at the mask's size, not at its bit."""
    return mask >= DIRECT_RECLAIM


def user_never_sleeps(mask: int) -> bool:
    """Take __GFP_HARDWALL for leave not to."""
    return gfp.may_sleep(mask) and not has(mask, HARDWALL)


def warned_may_sleep(mask: int) -> bool:
    """Take __GFP_NOWARN for leave to sleep."""
    return gfp.may_sleep(mask) or has(mask, NOWARN)


def nomemalloc_is_ignored(mask: int) -> bool:
    """Let __GFP_MEMALLOC win."""
    return has(mask, MEMALLOC)


def memalloc_is_not_needed(mask: int) -> bool:
    """Let any mask without __GFP_NOMEMALLOC take the last page."""
    return not has(mask, NOMEMALLOC)


def user_ignores_watermarks(mask: int) -> bool:
    """Let users take the last page."""
    return gfp.ignores_watermarks(mask) or has(mask, HARDWALL)


def two_zones_are_legal(mask: int) -> bool:
    """Count the zones wrongly."""
    return has(mask, DMA) + has(mask, HIGHMEM) + has(mask, DMA32) <= 2


def highmem_is_no_zone(mask: int) -> bool:
    """Forget that __GFP_HIGHMEM names a zone."""
    return not (has(mask, DMA) and has(mask, DMA32))


def users_have_no_zone(mask: int) -> bool:
    """Refuse users."""
    return gfp.zone_is_legal(mask) and not has(mask, HARDWALL)


def zones_are_swapped(mask: int) -> int:
    """Take DMA for DMA32."""
    if has(mask, DMA32):
        return gfp.ZONE_DMA
    return gfp.ZONE_DMA32 if has(mask, DMA) else gfp.ZONE_NORMAL


def highmem_is_low(mask: int) -> int:
    """Serve __GFP_HIGHMEM from DMA32 alone."""
    return gfp.ZONE_DMA32 if has(mask, HIGHMEM) else gfp.highest_zone(mask)


def users_are_served_low(mask: int) -> int:
    """Serve users from DMA32 alone."""
    return gfp.ZONE_DMA32 if has(mask, HARDWALL) else gfp.highest_zone(mask)


def any_mobility_is_legal(mask: int) -> bool:
    """Forget that a page is either movable or reclaimable."""
    return gfp.zone_is_legal(mask) and (not has(mask, NOFAIL) or gfp.may_sleep(mask))


def any_nofail_is_legal(mask: int) -> bool:
    """Let a request that must not fail not wait."""
    return gfp.zone_is_legal(mask) and not (has(mask, MOVABLE) and has(mask, RECLAIMABLE))


def users_are_illegal(mask: int) -> bool:
    """Refuse users."""
    return gfp.mask_is_legal(mask) and not has(mask, HARDWALL)


def zeroed_is_illegal(mask: int) -> bool:
    """Refuse __GFP_ZERO."""
    return gfp.mask_is_legal(mask) and not has(mask, ZERO)


def warnings_are_needed(mask: int) -> bool:
    """Refuse __GFP_NOWARN."""
    return gfp.mask_is_legal(mask) and not has(mask, NOWARN)


def small_marks_are_doubled(mark: int, mask: int) -> int:
    """Leave more of a small mark than of a large one."""
    return watermark.floor_of(mark, mask) * (2 if mark < 4 else 1)


def noretry_costs(mark: int, mask: int) -> int:
    """Let __GFP_NORETRY leave two pages more."""
    return watermark.floor_of(mark, mask) + (2 if has(mask, NORETRY) else 0)


def nofail_costs(mark: int, mask: int) -> int:
    """Let __GFP_NOFAIL leave all."""
    return mark if has(mask, NOFAIL) else watermark.floor_of(mark, mask)


def users_leave_more(mark: int, mask: int) -> int:
    """Let users leave a page more."""
    return watermark.floor_of(mark, mask) + (1 if has(mask, HARDWALL) else 0)


def atomic_bit_counts(mark: int, mask: int) -> int:
    """Let the bit that 6.12 has no more lower the floor."""
    return 0 if has(mask, ATOMIC_BIT) else watermark.floor_of(mark, mask)


def nomemalloc_lowers(mark: int, mask: int) -> int:
    """Take __GFP_NOMEMALLOC for __GFP_MEMALLOC."""
    return 0 if has(mask, NOMEMALLOC) else watermark.floor_of(mark, mask)


def reserve_is_forgotten(mark: int, reserve: int, mask: int) -> int:
    """Leave the floor alone."""
    return watermark.floor_of(mark, mask) + 0 * reserve


def last_page_is_reserved(mark: int, reserve: int, mask: int) -> int:
    """Keep the reserve against requests that ignore watermarks."""
    return watermark.floor_of(mark, mask) + reserve


def one_page_less_is_left(free: int, pages: int, floor: int, reserve: int) -> bool:
    """Compare with `<`."""
    return not free - (pages - 1) < floor + reserve


def fewer_pages_pass(free: int, pages: int, floor: int, reserve: int) -> bool:
    """Take what is free from what must be left."""
    return not floor + reserve - (pages - 1) <= free


def only_half_passes(free: int, pages: int, floor: int, reserve: int) -> bool:
    """Refuse the single page."""
    return pages > 1 and watermark.passes(free, pages, floor, reserve)


def waiting_is_not_needed(one: int, two: int) -> Pair | None:
    """Hold __GFP_NOFAIL against a request that may not sleep."""
    return "GFP-NOFAIL" if one == two and has(one, NOFAIL) else reach.pair_of(one, two)


def same_is_deeper(one: int, two: int) -> Pair | None:
    """Compare a mask that has __GFP_HIGH with itself."""
    return "GFP-ATOMIC-REACH" if one == two | HIGH else reach.pair_of(one, two)


def deeper_is_swapped(one: int, two: int) -> Pair | None:
    """Let the shallow mask answer for the deep one."""
    return "GFP-ATOMIC-REACH" if two == one | HIGH and one != two else reach.pair_of(one, two)


def both_are_deeper(one: int, two: int) -> Pair | None:
    """Compare GFP_ATOMIC and GFP_NOWAIT both ways."""
    pair = reach.pair_of(one, two)
    return pair if pair is not None else reach.pair_of(two, one)


def users_alone(one: int, two: int) -> Pair | None:
    """Compare GFP_USER with GFP_KERNEL one way only."""
    pair = reach.pair_of(one, two)
    return None if pair == "GFP-USER" and one < two else pair


def users_may_wait_longer(one: int, two: int) -> Pair | None:
    """Compare a mask that may sleep with one that may not."""
    return "GFP-USER" if one == two + DIRECT_RECLAIM else reach.pair_of(one, two)


def any_two_must_not_fail(one: int, two: int) -> Pair | None:
    """Hold __GFP_NOFAIL against a request, whatever the other asks for."""
    return "GFP-NOFAIL" if has(one, NOFAIL) and gfp.may_sleep(one) else reach.pair_of(one, two)


def nowarn_costs(mark: int, mask: int) -> int:
    """Let __GFP_NOWARN leave two pages more."""
    return watermark.floor_of(mark, mask) + (2 if has(mask, NOWARN) else 0)


def rounded_up(value: int, by: int) -> int:
    """Divide, and round up."""
    return (value + by - 1) // by


FAULTS: Final[dict[str, list[tuple[str, object]]]] = {
    "GFP-SLEEP/may_sleep/exact": [
        ("waking kswapd counts", kswapd_may_sleep),
        ("any larger mask may", low_bits_sleep),
    ],
    "GFP-SLEEP/names_6_1/exact": [
        ("waking kswapd counts", kswapd_may_sleep),
        ("users never sleep", user_never_sleeps),
    ],
    "GFP-SLEEP/names_6_12/exact": [
        ("waking kswapd counts", kswapd_may_sleep),
        ("users never sleep", user_never_sleeps),
    ],
    "PAGE-WATERMARK/ignores_watermarks/exact": [
        ("__GFP_MEMALLOC wins", nomemalloc_is_ignored),
        ("__GFP_MEMALLOC is not needed", memalloc_is_not_needed),
    ],
    "PAGE-WATERMARK/names/implies": [("__GFP_MEMALLOC is not needed", memalloc_is_not_needed)],
    "CALLER-GFP/zone_is_legal/exact": [
        ("two zones are legal", two_zones_are_legal),
        ("__GFP_HIGHMEM is no zone", highmem_is_no_zone),
    ],
    "PAGE-ZONE/highest_zone/exact": [
        ("DMA and DMA32 are swapped", zones_are_swapped),
        ("__GFP_HIGHMEM is served low", highmem_is_low),
    ],
    "CALLER-GFP/mask_is_legal/exact": [
        ("both mobilities are legal", any_mobility_is_legal),
        ("what must not fail need not wait", any_nofail_is_legal),
        ("__GFP_ZERO is refused", zeroed_is_illegal),
    ],
    "GFP-SLEEP/user/implies": [("users never sleep", user_never_sleeps)],
    "CALLER-GFP/user/implies": [("users are refused", users_are_illegal)],
    "PAGE-ZONE/user/implies": [("users are served low", users_are_served_low)],
    "CALLER-GFP/user_zone/implies": [("users have no zone", users_have_no_zone)],
    "PAGE-WATERMARK/user_last_page/implies": [("users take the last page", user_ignores_watermarks)],
    "GFP-SLEEP/nowarn/implies": [("__GFP_NOWARN may sleep", warned_may_sleep)],
    "CALLER-GFP/nowarn/implies": [("__GFP_NOWARN is refused", warnings_are_needed)],
    "PAGE-WATERMARK/bits/exact": [("the last page is kept", nomemalloc_lowers)],
    "PAGE-WATERMARK/monotone/implies": [("small marks are doubled", small_marks_are_doubled)],
    "GFP-ATOMIC-REACH/versions/implies": [("the bit of 6.1 counts", atomic_bit_counts)],
    "GFP-NOFAIL/floor/implies": [("it leaves all", nofail_costs)],
    "PAGE-WATERMARK/nomemalloc/implies": [("it takes the last page", nomemalloc_lowers)],
    "GFP-USER/floor/implies": [("the bit counts", users_leave_more)],
    "GFP-ATOMIC-REACH/atomic_bit/implies": [("the bit counts", atomic_bit_counts)],
    "GFP-ATOMIC-REACH/nowarn/implies": [("the bit counts", nowarn_costs)],
    "PAGE-WATERMARK/noretry/implies": [("the bit counts", noretry_costs)],
    "PAGE-WATERMARK/to_leave/exact": [
        ("the reserve is forgotten", reserve_is_forgotten),
        ("the last page is in reserve", last_page_is_reserved),
    ],
    "GFP-ATOMIC-REACH/to_leave/implies": [("the reserve is forgotten", reserve_is_forgotten)],
    "PAGE-WATERMARK/passes/refines": [("a page too few is left", one_page_less_is_left)],
    "PAGE-WATERMARK/block_is_free/implies": [("the sides are swapped", fewer_pages_pass)],
    "PAGE-WATERMARK/smaller_passes/implies": [("a single page is refused", only_half_passes)],
    "PAGE-WATERMARK/deeper_passes/implies": [("the sides are swapped", fewer_pages_pass)],
    "GFP-NOFAIL/pair_of/exact": [
        ("it need not be one that may wait", waiting_is_not_needed),
        ("a deep mask is compared with itself", same_is_deeper),
    ],
    "GFP-ATOMIC-REACH/pair_of/exact": [("the other way round", deeper_is_swapped)],
    "GFP-USER/pair_of/exact": [("masks that sleep differently", users_may_wait_longer)],
    "GFP-USER/both_ways/implies": [("one way only", users_alone)],
    "GFP-ATOMIC-REACH/one_way/implies": [("both ways", both_are_deeper)],
    "GFP-NOFAIL/others/implies": [("any two", any_two_must_not_fail)],
}
