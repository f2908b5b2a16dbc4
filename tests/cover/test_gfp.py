"""GFP masks: numbers as in the kernel's headers, and what a mask allows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmem_spec import gfp

MASKS = st.integers(0, (1 << 23) - 1)
ANY_MASK = st.integers(0, (1 << 32) - 1)
VERSIONS = sorted(gfp.NAMES)


def test_the_bits_are_those_of_the_header() -> None:
    bits = [gfp.DMA, gfp.HIGHMEM, gfp.DMA32, gfp.MOVABLE, gfp.RECLAIMABLE, gfp.HIGH]
    assert bits == [1 << shift for shift in range(6)]
    assert gfp.ZERO == 0x100
    assert gfp.DIRECT_RECLAIM == 0x400
    assert (gfp.NOWARN, gfp.NOFAIL, gfp.NORETRY) == (0x2000, 0x8000, 0x10000)
    assert (gfp.MEMALLOC, gfp.COMP, gfp.NOMEMALLOC) == (0x20000, 0x40000, 0x80000)


@pytest.mark.parametrize("version", VERSIONS)
def test_base_masks_are_made_of_their_parts(version: str) -> None:
    names = gfp.NAMES[version]
    reclaim = names["__GFP_DIRECT_RECLAIM"] | names["__GFP_KSWAPD_RECLAIM"]
    assert names["__GFP_RECLAIM"] == reclaim == names["GFP_NOIO"]
    assert names["GFP_NOFS"] == reclaim | names["__GFP_IO"]
    assert names["GFP_KERNEL"] == names["GFP_NOFS"] | names["__GFP_FS"]
    assert names["GFP_USER"] == names["GFP_KERNEL"] | names["__GFP_HARDWALL"]
    assert names["GFP_HIGHUSER"] == names["GFP_USER"] | names["__GFP_HIGHMEM"]
    assert names["GFP_HIGHUSER_MOVABLE"] == names["GFP_HIGHUSER"] | names["__GFP_MOVABLE"]
    assert names["GFP_KERNEL_ACCOUNT"] == names["GFP_KERNEL"] | names["__GFP_ACCOUNT"]


def test_what_changed_between_the_versions() -> None:
    differing = {
        name
        for name in gfp.NAMES_6_1.keys() | gfp.NAMES_6_12.keys()
        if gfp.NAMES_6_1.get(name) != gfp.NAMES_6_12.get(name)
    }
    assert differing == {"__GFP_ATOMIC", "GFP_ATOMIC", "GFP_NOWAIT"}
    assert gfp.NAMES_6_1["GFP_ATOMIC"] == gfp.GFP_ATOMIC == gfp.NAMES_6_12["GFP_ATOMIC"] | 0x200
    assert gfp.NAMES_6_12["GFP_NOWAIT"] == gfp.GFP_NOWAIT | gfp.NOWARN


@given(ANY_MASK, st.integers(0, 31))
def test_has_is_one_bit(mask: int, shift: int) -> None:
    assert gfp.has(mask, 1 << shift) == (mask >> shift) % 2


@pytest.mark.parametrize("version", VERSIONS)
def test_who_may_sleep(version: str) -> None:
    names = gfp.NAMES[version]
    sleeps = {name for name, mask in names.items() if name.startswith("GFP_") and gfp.may_sleep(mask)}
    assert sleeps == {name for name in names if name.startswith("GFP_")} - {
        "GFP_ATOMIC",
        "GFP_NOWAIT",
        "GFP_DMA",
        "GFP_DMA32",
    }


@given(ANY_MASK)
def test_nomemalloc_wins_over_memalloc(mask: int) -> None:
    assert not gfp.ignores_watermarks(mask | gfp.NOMEMALLOC)
    assert not gfp.ignores_watermarks(mask & ~gfp.MEMALLOC)
    assert gfp.ignores_watermarks((mask | gfp.MEMALLOC) & ~gfp.NOMEMALLOC)


LEGAL_ZONES = {
    0: gfp.ZONE_NORMAL,
    1: gfp.ZONE_DMA,
    2: gfp.ZONE_NORMAL,
    4: gfp.ZONE_DMA32,
    8: gfp.ZONE_NORMAL,
    9: gfp.ZONE_DMA,
    0xA: gfp.ZONE_NORMAL,  # ZONE_MOVABLE where there is one
    0xC: gfp.ZONE_DMA32,
}


@pytest.mark.parametrize("zone_bits", range(16))
def test_the_table_of_zones(zone_bits: int) -> None:
    for others in (0, gfp.GFP_KERNEL, gfp.GFP_ATOMIC | gfp.ZERO):
        assert gfp.zone_is_legal(zone_bits | others) == (zone_bits in LEGAL_ZONES)
        if zone_bits in LEGAL_ZONES:
            assert gfp.highest_zone(zone_bits | others) == LEGAL_ZONES[zone_bits]


@given(MASKS)
def test_a_mask_is_legal_unless_its_bits_contradict(mask: int) -> None:
    contradicts = (
        (mask & 7).bit_count() > 1
        or mask & 0x18 == 0x18
        or (mask & gfp.NOFAIL != 0 and mask & gfp.DIRECT_RECLAIM == 0)
    )
    assert gfp.mask_is_legal(mask) == (not contradicts)


@pytest.mark.parametrize(
    ("mask", "legal"),
    [
        (gfp.GFP_KERNEL, True),
        (gfp.GFP_KERNEL | gfp.NOFAIL, True),
        (gfp.GFP_ATOMIC | gfp.NOFAIL, False),
        (gfp.GFP_KERNEL | gfp.DMA | gfp.DMA32, False),
        (gfp.GFP_KERNEL | gfp.MOVABLE | gfp.RECLAIMABLE, False),
    ],
)
def test_masks_of_each_kind(mask: int, legal: bool) -> None:
    assert gfp.mask_is_legal(mask) == legal


@pytest.mark.parametrize("version", VERSIONS)
def test_every_base_mask_is_described_by_its_name(version: str) -> None:
    names = gfp.NAMES[version]
    for name, mask in names.items():
        if name.startswith("GFP_"):
            assert names[gfp.describe(mask, names)] == mask


@given(ANY_MASK, st.sampled_from(VERSIONS))
def test_a_description_says_every_bit_and_no_other(mask: int, version: str) -> None:
    names = gfp.NAMES[version]
    parts = gfp.describe(mask, names).split(" | ")
    described = 0
    for part in parts:
        bits = names[part] if part in names else int(part, 16)
        assert described & bits == 0 or mask == 0
        described |= bits
    assert described == mask


def test_descriptions() -> None:
    names = gfp.NAMES_6_1
    assert gfp.describe(0, names) == "0"
    assert gfp.describe(gfp.GFP_KERNEL | gfp.ZERO, names) == "GFP_KERNEL | __GFP_ZERO"
    assert gfp.describe(gfp.ZERO, names) == "__GFP_ZERO"
    assert gfp.describe(1 << 30, names) == "0x40000000"
    assert gfp.describe(gfp.GFP_ATOMIC | 1 << 30, names) == "GFP_ATOMIC | 0x40000000"
