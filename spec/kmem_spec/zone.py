"""What must hold of a zone of the page allocator, at arbitrary points of it.

A block is its head and its size in pages; size 0 means that no block begins there. In pages, rather
than orders, "apart" and "whole" are linear in the sizes, which is what lets them be proved for a zone
of any length. Predicates join their parts by `&` and `|`, which fork no path of a proof.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, Protocol

from kmem_spec.clauses import clause
from kmem_spec.table import DictTable, Table
from kmem_spec.units import MAX_BLOCK, MAX_ORDER, buddy_of

NOTHING: Final = -1  # no block is in hand; no head is negative


class BlockTable(Table[int], Protocol):
    """A table of blocks, head to size in pages, that knows its sum."""

    def total(self) -> int:
        """Return the sum of all sizes."""


class Blocks(DictTable[int]):
    """A `BlockTable` for running code."""

    __slots__ = ()

    def total(self) -> int:
        """Return the sum of all sizes."""
        return sum(self.values())

    def __repr__(self) -> str:
        return f"Blocks({super().__repr__()})"


@dataclass(slots=True)
class ZoneState:
    """Pages `start` to `end` - 1: blocks free and in use, and how many pages are free."""

    name: str
    start: int
    end: int
    free: BlockTable = field(default_factory=Blocks)
    used: BlockTable = field(default_factory=Blocks)
    nfree: int = 0


def size_at(zone: ZoneState, head: int) -> int:
    """Return the size of the block that begins at `head`, 0 if none does."""
    return zone.free.get(head, 0) + zone.used.get(head, 0)


def is_natural(head: int, pages: int) -> bool:
    """Say whether `pages` is a legal size of a block and `head` a multiple of it."""
    natural = False
    for order in range(MAX_ORDER + 1):
        natural = natural | ((pages == 1 << order) & (head % (1 << order) == 0))
    return natural


def _zone(free: dict[int, int], used: dict[int, int], nfree: int) -> ZoneState:
    """Return a zone of 8 pages as an example."""
    return ZoneState("NORMAL", 0, 8, Blocks(free), Blocks(used), nfree)


@clause(
    "PAGE-HEAD",
    "A block is 2^order pages, order 0 to 10, its head is a multiple of its size, it lies in its zone, "
    "and it is not both free and in use.",
    source="mm/page_alloc.c: __free_one_page, bad_range",
    kind="state",
    promises=(),
    witness=(_zone({0: 4, 6: 2}, {4: 2}, 6), 4),
    broken=(_zone({0: 2, 6: 2}, {2: 4}, 4), 2),
)
def head_is_legal(zone: ZoneState, head: int) -> bool:
    """Judge the block at `head`, if there is one."""
    free, used = zone.free.get(head, 0), zone.used.get(head, 0)
    pages = free + used
    inside = (zone.start <= head) & (head + pages <= zone.end)
    one_state = ((free == 0) | (used == 0)) & (free >= 0) & (used >= 0)
    return one_state & ((pages == 0) | (is_natural(head, pages) & inside))


@clause(
    "PAGE-APART",
    "No page is in two blocks.",
    source="mm/page_alloc.c: expand, __free_one_page, check_new_pages",
    kind="state",
    promises=(),
    witness=(_zone({0: 4, 6: 2}, {4: 2}, 6), 0, 4),
    broken=(_zone({0: 8}, {4: 2}, 8), 0, 4),
)
def blocks_are_apart(zone: ZoneState, one: int, other: int) -> bool:
    """Judge the blocks at two heads; the order in which they are given matters not to the rule as a whole."""
    return (one >= other) | (size_at(zone, other) == 0) | (one + size_at(zone, one) <= other)


@clause(
    "PAGE-WHOLE",
    "Every page of a zone is in a block (with PAGE-APART: in exactly one).",
    source="mm/page_alloc.c: __free_one_page, expand",
    kind="state",
    promises=(),
    witness=(_zone({0: 4, 6: 2}, {4: 2}, 6), 7, 6),
    broken=(_zone({0: 4}, {4: 2}, 4), 7, 6),
)
def page_is_in_block(zone: ZoneState, page: int, head: int) -> bool:
    """Judge whether `page`, if the zone has it, is in the block at `head`; one such head must exist."""
    outside = (page < zone.start) | (page >= zone.end)
    return outside | ((head <= page) & (page < head + size_at(zone, head)))


@clause(
    "PAGE-COUNT",
    "The count of free pages is the sum of the free blocks.",
    source="mm/page_alloc.c: __mod_zone_freepage_state",
    kind="state",
    promises=(),
    witness=(_zone({0: 4, 6: 2}, {4: 2}, 6),),
    broken=(_zone({0: 4, 6: 2}, {4: 2}, 8),),
)
def free_pages_are_counted(zone: ZoneState) -> bool:
    """Judge the count."""
    return zone.nfree == zone.free.total()


@clause(
    "PAGE-MERGED",
    "No two free buddies of one size below the largest are left unmerged.",
    source="mm/page_alloc.c: __free_one_page; mm/internal.h: page_is_buddy",
    kind="state",
    promises=(),
    witness=(_zone({0: 4, 6: 2}, {4: 2}, 6), 6, NOTHING),
    broken=(_zone({0: 4, 4: 2, 6: 2}, {}, 8), 6, NOTHING),
)
def buddy_is_merged(zone: ZoneState, head: int, in_hand: int) -> bool:
    """Judge the free block at `head`, but for the block at `in_hand` that is still being split or merged."""
    free = zone.free.get(head, 0)
    merged = (head == in_hand) | (free == 0) | (free == MAX_BLOCK)
    for order in range(MAX_ORDER):
        buddy = buddy_of(head, 1 << order)
        alone = (buddy == in_hand) | (zone.free.get(buddy, 0) != 1 << order)
        merged = merged | ((free == 1 << order) & alone)
    return merged


@clause(
    "PAGE-WATERMARK",
    "A request leaves in the zone the pages of its floor: its watermark as its mask lowers it, and the "
    "zone's reserve against it.",
    source="mm/page_alloc.c: __zone_watermark_ok",
    kind="state",
    promises=(),
    witness=(_zone({0: 4, 6: 2}, {4: 2}, 6), 6),
    broken=(_zone({0: 4, 6: 2}, {4: 2}, 6), 7),
)
def floor_is_left(zone: ZoneState, floor: int) -> bool:
    """Judge the zone after a request that must leave `floor` pages."""
    return zone.nfree >= floor


def heads_of(zone: ZoneState) -> list[int]:
    """Return the heads of all blocks, least first.

    Needs    tables that can be listed: `Blocks`, not symbolic ones
    """
    heads: list[int] = []

    def note(head: int, _: int) -> bool:
        heads.append(head)
        return True

    zone.free.every(note)
    zone.used.every(note)
    return sorted(heads)


def broken_clauses(zone: ZoneState) -> list[str]:
    """Return the ids of the clauses that do not hold of `zone`, at every point of it.

    Needs    tables that can be listed: `Blocks`, not symbolic ones
    """
    heads = heads_of(zone)
    holders = {page: head for head in heads for page in range(head, head + size_at(zone, head))}
    pairs = pairwise(heads)  # neighbours apart, so all apart
    found = {
        "PAGE-HEAD": all(head_is_legal(zone, head) for head in heads),
        "PAGE-APART": all(blocks_are_apart(zone, one, other) for one, other in pairs),
        "PAGE-WHOLE": all(
            page_is_in_block(zone, page, holders.get(page, NOTHING)) for page in range(zone.start, zone.end)
        ),
        "PAGE-COUNT": free_pages_are_counted(zone),
        "PAGE-MERGED": all(buddy_is_merged(zone, head, NOTHING) for head in heads),
    }
    return [identifier for identifier, holds in found.items() if not holds]
