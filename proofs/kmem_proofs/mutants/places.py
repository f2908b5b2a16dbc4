"""Faults of extents, of page frames and their addresses, and of the sizes of blocks and classes."""

from __future__ import annotations

from typing import Final

from kmem_model import memory
from kmem_spec import slab, units
from kmem_spec.units import PAGE_SHIFT, PAGE_SIZE


def only_the_left(start: int, length: int, other: int, _other_length: int) -> bool:
    """Look only whether the first ends before the second."""
    return start + length <= other


def a_byte_may_be_shared(start: int, length: int, other: int, other_length: int) -> bool:
    """Let the last byte of one be the first of the other."""
    return (start + length <= other + 1) | (other + other_length <= start + 1)


def starts_differ(start: int, length: int, other: int, other_length: int) -> bool:
    """Compare the starts alone."""
    return (start != other) & (length + other_length > 0)


def must_not_touch(start: int, length: int, other: int, other_length: int) -> bool:
    """Leave a byte between the two."""
    return (start + length < other) | (other + other_length < start)


def pfn_rounds_up(address: int) -> int:
    """Round to the next page."""
    return memory.pfn_of(address + PAGE_SIZE - 1)


def address_of_half_pages(pfn: int) -> int:
    """Shift by a bit too few."""
    return memory.PAGE_OFFSET + (pfn << (PAGE_SHIFT - 1))


def map_is_shifted(pfn: int) -> int:
    """Begin the direct map a page further up."""
    return memory.address_of(pfn) + PAGE_SIZE


def class_grows_by_itself(size: int) -> int:
    """Give an exact fit the next class."""
    return slab.size_class(size + 1)


def middle_gets_small(size: int) -> int:
    """Give those of 2048 the class of 1024."""
    return 1024 if size == 2048 else slab.size_class(size)


def order_is_one_less(size: int) -> int:
    """Give half the block."""
    return max(units.get_order(size) - 1, 0)


def order_of_the_remainder(size: int) -> int:
    """Look at the last pages alone."""
    return units.get_order(size % (PAGE_SIZE << 2))


def head_is_the_block(pfn: int, _pages: int) -> int:
    """Take the block for the head of the whole."""
    return pfn


FAULTS: Final[dict[str, list[tuple[str, object]]]] = {
    "MEM-APART/disjoint/exact": [("a byte may be shared", a_byte_may_be_shared)],
    "MEM-APART/both_ways/implies": [("one way only", only_the_left)],
    "VM-GUARD/parts/implies": [("starts alone count", starts_differ)],
    "MEM-APART/neighbours/implies": [("they must not touch", must_not_touch)],
    "MEM-APART/pfn_of/exact": [("it rounds up", pfn_rounds_up)],
    "MEM-APART/address_of/exact": [("pages of 2 KiB", address_of_half_pages)],
    "MEM-APART/frames/implies": [("pages of 2 KiB", address_of_half_pages)],
    "PAGE-ALIGN/address_of/implies": [("the map is shifted by a page", map_is_shifted)],
    "SLAB-ROUNDUP/again/implies": [("an exact fit grows", class_grows_by_itself)],
    "SLAB-CLASS/monotone/implies": [("2048 gets 1024", middle_gets_small)],
    "PAGE-EXACT/get_order/implies": [("half the block", order_is_one_less)],
    "PAGE-ORDER-OF/monotone/implies": [("the remainder decides", order_of_the_remainder)],
    "PAGE-MERGED/heads_agree/implies": [("the block is the head", head_is_the_block)],
}
