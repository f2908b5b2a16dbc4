"""Obligations of GFP masks: what each allows, over all masks of 32 bits.

A mask is made of its bits of interest and of what lies between them, all of it arbitrary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from operator import floordiv
from typing import Final

from kmem_proofs.case import Case, Values, implies
from kmem_proofs.gfp import HARDWALL, MASKS
from kmem_proofs.mutants import masks as mutants
from kmem_proofs.obligations import Obligation, Rows, listed, obligation
from kmem_spec import gfp
from kmem_spec.gfp import (
    DIRECT_RECLAIM,
    DMA,
    DMA32,
    HIGHMEM,
    MEMALLOC,
    MOVABLE,
    NAMES_6_1,
    NAMES_6_12,
    NOFAIL,
    NOMEMALLOC,
    NOWARN,
    RECLAIMABLE,
)

Says = Callable[[int], bool]
ZONES: Final = (DMA, HIGHMEM, DMA32)
LEGAL: Final = (*ZONES, MOVABLE, RECLAIMABLE, DIRECT_RECLAIM, NOFAIL)
SLEEPING: Final = ("GFP_KERNEL", "GFP_KERNEL_ACCOUNT", "GFP_USER", "GFP_HIGHUSER", "GFP_NOIO", "GFP_NOFS")
WAKING: Final = ("GFP_ATOMIC", "GFP_NOWAIT")
MODIFIERS: Final = 0x1000  # above it lie modifiers alone, none of which says whether a call may sleep


def mask_of(case: Case, *bits: int, each: bool = False, without: int = 0) -> tuple[int, list[int]]:
    """Return any mask of 32 bits, and for each of `bits`, which ascend, 1 if the mask has it, else 0.

    With `each`, every set of them has paths of its own; the mask has not `without`, which is one of them.
    What is known of quotients is GFP-SLEEP/quotient/exact.
    """
    parts: list[tuple[int, int]] = []  # value and unit, ascending
    given: list[int] = []
    low = 1
    for bit in (*bits, MASKS):
        if bit > low:
            between = case.number(f"below_{bit:#x}")
            case.assume(between >= 0, between < bit // low)
            parts.append((between, low))
        if bit < MASKS:
            name = f"has_{bit:#x}"
            has = 0 if bit == without else case.choose(name, (0, 1)) if each else case.number(name)
            case.assume(has >= 0, has <= 1)
            parts.append((has, bit))
            given.append(has)
            low = 2 * bit
    mask = sum(value * unit for value, unit in parts)
    for bit in bits:
        upper = sum(value * (unit // bit) for value, unit in parts if unit >= bit)
        case.assume(mask // bit == upper)
        if without:
            case.assume((mask + without) // bit == upper + without // bit)
    return mask, given


def quotient_has_no_remainder(case: Case, code: Callable[[int, int], int]) -> Sequence[bool]:
    """What lies below a bit does not change the quotient by it, for each bit of a mask."""
    upper, lower = case.number("upper"), case.number("lower")
    bit = case.choose("bit", tuple(1 << shift for shift in range(32)))
    case.assume(upper >= 0, lower >= 0, lower < bit)
    return [case.call(code, upper * bit + lower, bit) == upper]


def no_bits(*bits: int) -> dict[str, int]:
    """Return the inputs of `mask_of` that make the mask 0."""
    return {f"{part}_{bit:#x}": 0 for bit in (*bits, MASKS) for part in ("below", "has")}


def sleeps_by_its_bit(case: Case, code: Says) -> Sequence[bool]:
    """A call may sleep if and only if its mask has __GFP_DIRECT_RECLAIM."""
    mask, (reclaim,) = mask_of(case, DIRECT_RECLAIM)
    return [case.call(code, mask) == (reclaim == 1)]


def names_say_whether_it_sleeps(case: Case, code: Says, names: dict[str, int]) -> Sequence[bool]:
    """GFP_ATOMIC and GFP_NOWAIT never sleep, the others may: whatever modifiers are added to them."""
    modifiers = case.number("modifiers")
    case.assume(modifiers >= 0, modifiers < MASKS // MODIFIERS)
    goals = []
    for name in (*SLEEPING, *WAKING):
        mask = modifiers * MODIFIERS + names[name] % MODIFIERS
        goals.append(case.call(code, mask) == (name in SLEEPING))
    return goals


def last_page_by_its_bits(case: Case, code: Says) -> Sequence[bool]:
    """A request may take the last page if its mask has __GFP_MEMALLOC, and not __GFP_NOMEMALLOC."""
    mask, (memalloc, nomemalloc) = mask_of(case, MEMALLOC, NOMEMALLOC)
    return [case.call(code, mask) == ((memalloc == 1) & (nomemalloc == 0))]


def names_leave_pages(case: Case, code: Says) -> Sequence[bool]:
    """No mask with a name may take the last page, in either version, whatever lies below __GFP_MEMALLOC."""
    added = case.number("added")
    case.assume(added >= 0, added < MEMALLOC)
    goals = []
    for names in (NAMES_6_1, NAMES_6_12):
        for name in (*SLEEPING, *WAKING):
            goals.append(case.call(code, names[name] // MEMALLOC * MEMALLOC + added) ^ True)
    return goals


def one_zone_at_most(case: Case, code: Says) -> Sequence[bool]:
    """The zone bits are legal if and only if there is one at most: 4 of the 8 sets of them."""
    mask, (dma, highmem, dma32) = mask_of(case, *ZONES)
    return [case.call(code, mask) == (dma + highmem + dma32 <= 1)]


def zone_is_the_kernels(case: Case, code: Callable[[int], int]) -> Sequence[bool]:
    """Of a legal mask: DMA from there, DMA32 from there or below, all others from anywhere."""
    mask, (dma, highmem, dma32) = mask_of(case, *ZONES)
    case.assume(dma + highmem + dma32 <= 1)
    zone = case.call(code, mask)
    return [
        implies(dma == 1, zone == gfp.ZONE_DMA),
        implies(dma32 == 1, zone == gfp.ZONE_DMA32),
        implies(dma + dma32 == 0, zone == gfp.ZONE_NORMAL),
    ]


def legal_by_its_bits(case: Case, code: Says) -> Sequence[bool]:
    """One zone, one mobility, and leave to wait where a request must not fail; no other bit matters."""
    mask, (dma, highmem, dma32, movable, reclaimable, reclaim, nofail) = mask_of(case, *LEGAL, each=True)
    zones, mobility = dma + highmem + dma32 <= 1, movable + reclaimable <= 1
    return [case.call(code, mask) == (zones & mobility & ((nofail == 0) | (reclaim == 1)))]


def says_nothing(case: Case, code: Callable[[int], int], bit: int) -> Sequence[bool]:
    """The bit changes no answer, whatever else the mask has."""
    mask, _ = mask_of(case, bit, without=bit)
    return [case.call(code, mask + bit) == case.call(code, mask)]


def nowarn_is_as_legal(case: Case, code: Says) -> Sequence[bool]:
    """__GFP_NOWARN makes no mask legal, and none illegal."""
    mask, _ = mask_of(case, *LEGAL[:-1], NOWARN, NOFAIL, each=True, without=NOWARN)
    return [case.call(code, mask + NOWARN) == case.call(code, mask)]


ROWS: Final[Rows] = {
    "GFP-SLEEP/may_sleep/exact": (sleeps_by_its_bit, gfp.may_sleep),
    "GFP-SLEEP/names_6_1/exact": (partial(names_say_whether_it_sleeps, names=NAMES_6_1), gfp.may_sleep),
    "GFP-SLEEP/names_6_12/exact": (partial(names_say_whether_it_sleeps, names=NAMES_6_12), gfp.may_sleep),
    "PAGE-WATERMARK/ignores_watermarks/exact": (last_page_by_its_bits, gfp.ignores_watermarks),
    "PAGE-WATERMARK/names/implies": (names_leave_pages, gfp.ignores_watermarks),
    "CALLER-GFP/zone_is_legal/exact": (one_zone_at_most, gfp.zone_is_legal),
    "PAGE-ZONE/highest_zone/exact": (zone_is_the_kernels, gfp.highest_zone),
    "CALLER-GFP/mask_is_legal/exact": (legal_by_its_bits, gfp.mask_is_legal),
    "GFP-SLEEP/user/implies": (partial(says_nothing, bit=HARDWALL), gfp.may_sleep),
    "CALLER-GFP/user/implies": (partial(says_nothing, bit=HARDWALL), gfp.mask_is_legal),
    "PAGE-ZONE/user/implies": (partial(says_nothing, bit=HARDWALL), gfp.highest_zone),
    "CALLER-GFP/user_zone/implies": (partial(says_nothing, bit=HARDWALL), gfp.zone_is_legal),
    "PAGE-WATERMARK/user_last_page/implies": (partial(says_nothing, bit=HARDWALL), gfp.ignores_watermarks),
    "GFP-SLEEP/nowarn/implies": (partial(says_nothing, bit=NOWARN), gfp.may_sleep),
    "CALLER-GFP/nowarn/implies": (nowarn_is_as_legal, gfp.mask_is_legal),
}
WITNESSES: Final[dict[str, Values]] = {
    "GFP-SLEEP/may_sleep/exact": no_bits(DIRECT_RECLAIM),
    "GFP-SLEEP/names_6_1/exact": {"modifiers": 0},
    "GFP-SLEEP/names_6_12/exact": {"modifiers": 0},
    "PAGE-WATERMARK/ignores_watermarks/exact": no_bits(MEMALLOC, NOMEMALLOC),
    "PAGE-WATERMARK/names/implies": {"added": 0xCC0},
    "CALLER-GFP/zone_is_legal/exact": no_bits(*ZONES),
    "PAGE-ZONE/highest_zone/exact": no_bits(*ZONES),
    "CALLER-GFP/mask_is_legal/exact": no_bits(*LEGAL),
    "GFP-SLEEP/user/implies": no_bits(HARDWALL),
    "CALLER-GFP/user/implies": no_bits(HARDWALL),
    "PAGE-ZONE/user/implies": no_bits(HARDWALL),
    "CALLER-GFP/user_zone/implies": no_bits(HARDWALL),
    "PAGE-WATERMARK/user_last_page/implies": no_bits(HARDWALL),
    "GFP-SLEEP/nowarn/implies": no_bits(NOWARN),
    "CALLER-GFP/nowarn/implies": no_bits(*LEGAL, NOWARN),
}


def obligations() -> Iterator[Obligation]:
    """Yield all of them."""
    yield from listed(ROWS, WITNESSES, mutants.FAULTS)
    yield obligation(
        "GFP-SLEEP/quotient/exact",
        quotient_has_no_remainder,
        floordiv,
        witness={"upper": 3, "lower": 5, "bit": 0x20},
        mutants=[("it is rounded up", mutants.rounded_up)],
        level="B",
    )
