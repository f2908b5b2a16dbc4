"""Obligations of places: extents apart, page frames and their addresses, and sizes of blocks and classes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from kmem_model import memory
from kmem_proofs.case import Case, Values, implies
from kmem_proofs.mutants import places as mutants
from kmem_proofs.obligations import Obligation, Rows, listed
from kmem_proofs.units import Function, Function2, block, size
from kmem_spec import extents, slab, units
from kmem_spec.units import MAX_ORDER, PAGE_SIZE

Disjoint = Callable[[int, int, int, int], bool]
ORDERS = tuple(range(MAX_ORDER + 1))
PAIR = {"start": 0, "length": 64, "other": 64, "other_length": 8}


def two_extents(case: Case) -> tuple[int, int, int, int]:
    """Return any two extents of positive length."""
    start, length, other, other_length = (case.number(name) for name in PAIR)
    case.assume(start >= 0, length >= 1, other >= 0, other_length >= 1)
    return start, length, other, other_length


def apart_by_bytes(case: Case, code: Disjoint) -> Sequence[bool]:
    """Extents are apart if no byte is in both; if they are not, the higher of their starts is."""
    start, length, other, other_length = two_extents(case)
    at = case.number("at")
    apart = case.call(code, start, length, other, other_length)
    higher = case.either(start < other, other, start)

    def in_both(byte: int) -> bool:
        return (start <= byte) & (byte < start + length) & (other <= byte) & (byte < other + other_length)

    return [implies(apart, in_both(at) ^ True), implies(apart ^ True, in_both(higher))]


def apart_both_ways(case: Case, code: Disjoint) -> Sequence[bool]:
    """The answer is the same the other way round, and no extent is apart from itself."""
    start, length, other, other_length = two_extents(case)
    there = case.call(code, start, length, other, other_length)
    back = case.call(code, other, other_length, start, length)
    return [there == back, case.call(code, start, length, start, length) ^ True]


def parts_are_apart(case: Case, code: Disjoint) -> Sequence[bool]:
    """What is apart from a whole is apart from each part: from an area as from its guard, and from slots."""
    start, length, other, other_length = two_extents(case)
    offset, part = case.number("offset"), case.number("part")
    case.assume(offset >= 0, part >= 1, offset + part <= length)
    case.assume(case.call(code, start, length, other, other_length))
    return [case.call(code, start + offset, part, other, other_length)]


def neighbours_are_apart(case: Case, code: Disjoint) -> Sequence[bool]:
    """An object may begin where another ends: nothing need lie between."""
    start, length, _, other_length = two_extents(case)
    return [case.call(code, start, length, start + length, other_length)]


def frame_of_its_address(case: Case, code: Function) -> Sequence[bool]:
    """Every byte of a page belongs to the frame that the page is the address of."""
    pfn, offset = case.number("pfn"), case.number("offset")
    case.assume(pfn >= 0, offset >= 0, offset < PAGE_SIZE)
    return [case.call(code, memory.address_of(pfn) + offset) == pfn]


def address_of_its_frame(case: Case, code: Function) -> Sequence[bool]:
    """The frame that holds an address begins at a page, less than a page below."""
    address = case.number("address")
    case.assume(address >= memory.PAGE_OFFSET)
    start = case.call(code, memory.pfn_of(address))
    return [start % PAGE_SIZE == 0, start <= address, address < start + PAGE_SIZE]


def frames_are_apart(case: Case, code: Function) -> Sequence[bool]:
    """The pages of two frames share no byte: blocks that are apart as frames are so in memory."""
    one, other = case.number("one"), case.number("other")
    case.assume(one >= 0, other >= 0, one != other)
    return [extents.disjoint(case.call(code, one), PAGE_SIZE, case.call(code, other), PAGE_SIZE)]


def blocks_stay_aligned(case: Case, code: Function) -> Sequence[bool]:
    """A block that is aligned among frames is aligned in memory: PAGE-HEAD gives PAGE-ALIGN."""
    index, order = case.number("index"), case.choose("order", ORDERS)
    case.assume(index >= 0)
    return [case.call(code, index * (1 << order)) % (PAGE_SIZE << order) == 0]


def classes_do_not_grow(case: Case, code: Function) -> Sequence[bool]:
    """An object for a class's own size is of that class: kmalloc_size_roundup may be asked again."""
    wanted = size(case, "size", least=1)
    case.assume(wanted <= PAGE_SIZE << MAX_ORDER)
    given = case.call(code, wanted)
    return [case.call(code, given) == given]


def classes_are_in_order(case: Case, code: Function) -> Sequence[bool]:
    """A larger request never gets a smaller object."""
    wanted, more = size(case, "size", least=1), case.number("more")
    case.assume(more >= 0, wanted + more <= PAGE_SIZE << MAX_ORDER)
    return [case.call(code, wanted) <= case.call(code, wanted + more)]


def block_holds_its_pages(case: Case, code: Function) -> Sequence[bool]:
    """The block of the order has all pages of the size, and less than twice as many: what alloc_pages_exact
    gives back of it is less than half."""
    wanted = size(case, "size", least=1)
    order, pages = case.call(code, wanted), units.pages_for(wanted)
    return [pages <= 1 << order, (1 << order) < 2 * pages]


def orders_are_in_order(case: Case, code: Function) -> Sequence[bool]:
    """A larger size never has a smaller order, and a byte more at most the next."""
    wanted = size(case, "size", least=1)
    case.assume(wanted < PAGE_SIZE << MAX_ORDER)
    order, next_order = case.call(code, wanted), case.call(code, wanted + 1)
    return [order <= next_order, next_order <= order + 1]


def heads_agree(case: Case, code: Function2) -> Sequence[bool]:
    """Whichever of two buddies is freed last, they make the same block."""
    pfn, pages = block(case)
    return [case.call(code, pfn, pages) == case.call(code, units.buddy_of(pfn, pages), pages)]


ROWS: Final[Rows] = {
    "MEM-APART/disjoint/exact": (apart_by_bytes, extents.disjoint),
    "MEM-APART/both_ways/implies": (apart_both_ways, extents.disjoint),
    "VM-GUARD/parts/implies": (parts_are_apart, extents.disjoint),
    "MEM-APART/neighbours/implies": (neighbours_are_apart, extents.disjoint),
    "MEM-APART/pfn_of/exact": (frame_of_its_address, memory.pfn_of),
    "MEM-APART/address_of/exact": (address_of_its_frame, memory.address_of),
    "MEM-APART/frames/implies": (frames_are_apart, memory.address_of),
    "PAGE-ALIGN/address_of/implies": (blocks_stay_aligned, memory.address_of),
    "SLAB-ROUNDUP/again/implies": (classes_do_not_grow, slab.size_class),
    "SLAB-CLASS/monotone/implies": (classes_are_in_order, slab.size_class),
    "PAGE-EXACT/get_order/implies": (block_holds_its_pages, units.get_order),
    "PAGE-ORDER-OF/monotone/implies": (orders_are_in_order, units.get_order),
    "PAGE-MERGED/heads_agree/implies": (heads_agree, units.merged_head),
}
WITNESSES: Final[dict[str, Values]] = {
    "MEM-APART/disjoint/exact": {**PAIR, "at": 63},
    "MEM-APART/both_ways/implies": PAIR,
    "VM-GUARD/parts/implies": {**PAIR, "offset": 8, "part": 8},
    "MEM-APART/neighbours/implies": PAIR,
    "MEM-APART/pfn_of/exact": {"pfn": 3, "offset": 4095},
    "MEM-APART/address_of/exact": {"address": memory.PAGE_OFFSET + 5000},
    "MEM-APART/frames/implies": {"one": 1, "other": 2},
    "PAGE-ALIGN/address_of/implies": {"index": 1, "order": 3},
    "SLAB-ROUNDUP/again/implies": {"size": 65},
    "SLAB-CLASS/monotone/implies": {"size": 65, "more": 64},
    "PAGE-EXACT/get_order/implies": {"size": 12289},
    "PAGE-ORDER-OF/monotone/implies": {"size": 4096},
    "PAGE-MERGED/heads_agree/implies": {"index": 3, "pages": 4},
}


def obligations() -> Iterator[Obligation]:
    """Yield all of them."""
    yield from listed(ROWS, WITNESSES, mutants.FAULTS)
