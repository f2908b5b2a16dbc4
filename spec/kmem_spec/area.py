"""VM: what must hold of the vmalloc space, at any area, pair of areas, page or frame of it.

Everything is in bytes and addresses: an area is its start and its length, the guard page behind it
counted in; a page or a frame is the address that it begins at. An area is mapped from its start on, page
by page, so that one number says how far: which is what lets "a page lies within its area" and "an area
that goes has no page left" be proved for areas of any length without a sum over their pages.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, Protocol

from kmem_spec.cache import points_of
from kmem_spec.clauses import clause
from kmem_spec.extents import Spans, SpanTable, disjoint
from kmem_spec.table import DictTable, Table
from kmem_spec.units import PAGE_SIZE

VMALLOC_START: Final = 0xFFFF_C900_0000_0000  # arch/x86/include/asm/pgtable_64_types.h, without KASLR
VMALLOC_SIZE: Final = 32 << 40
VMALLOC_END: Final = VMALLOC_START + VMALLOC_SIZE - 1  # the last byte, as in the kernel
GUARD: Final = PAGE_SIZE
NOTHING: Final = -1  # in place of a frame, a page, or the length that is mapped


class Space(Protocol):
    """The state of the vmalloc space."""

    @property
    def start(self) -> int:
        """The first address."""

    @property
    def end(self) -> int:
        """The first address beyond."""

    @property
    def areas(self) -> SpanTable:
        """The start of each area, and its length, guard page included."""

    @property
    def mapped(self) -> Table[int]:
        """The start of each area, and how many of its bytes are mapped."""

    @property
    def frames(self) -> Table[int]:
        """Each page that is backed by a frame of the area's own, and that frame."""

    @property
    def backing(self) -> Table[int]:
        """Each frame that an area has for itself, and the page that it backs."""

    @property
    def aliases(self) -> Table[int]:
        """Each page that shows somebody else's frame, and that frame."""


@dataclass(frozen=True)
class Sample:
    """A vmalloc space written out, for witnesses."""

    areas: Spans
    mapped: DictTable[int]
    frames: DictTable[int]
    backing: DictTable[int]
    aliases: DictTable[int] = field(default_factory=DictTable)
    start: int = 0
    end: int = 16 * PAGE_SIZE


P: Final = PAGE_SIZE
GOOD: Final = Sample(  # two pages and a guard at page 2, mapped; one page and a guard behind, an alias
    areas=Spans({2 * P: 3 * P, 5 * P: 2 * P}),
    mapped=DictTable({2 * P: 2 * P, 5 * P: P}),
    frames=DictTable({2 * P: 90 * P, 3 * P: 70 * P}),
    backing=DictTable({90 * P: 2 * P, 70 * P: 3 * P}),
    aliases=DictTable({5 * P: 80 * P}),
)
BAD: Final = Sample(  # areas that overlap in a guard, one without a guard, an area gone before its page
    areas=Spans({2 * P: 3 * P, 4 * P: 2 * P, 8 * P: P}),
    mapped=DictTable({2 * P: 3 * P, 4 * P: P, 12 * P: P}),
    frames=DictTable({2 * P: 90 * P, 3 * P: 90 * P, 12 * P: 60 * P}),
    backing=DictTable({90 * P: 2 * P, 60 * P: 13 * P}),
)


def has_area(space: Space, start: int) -> bool:
    """Say whether an area begins at `start`."""
    return space.areas.get(start, 0) != 0


def frame_at(space: Space, page: int) -> int:
    """Return the frame behind a page, the area's own or another's; NOTHING where none is mapped."""
    own, other = space.frames.get(page, NOTHING), space.aliases.get(page, NOTHING)
    return own + other - NOTHING  # one of them is NOTHING, VM-ONE-FRAME


def is_mapped(space: Space, page: int) -> bool:
    """Say whether there is a frame behind a page."""
    return (space.frames.get(page, NOTHING) != NOTHING) | (space.aliases.get(page, NOTHING) != NOTHING)


def is_vmalloc_addr(address: int) -> bool:
    """Say whether an address is of the vmalloc space, whatever is there.

    Source   mm/vmalloc.c: is_vmalloc_addr; x86-64 has the last byte for its end, which so is none
    """
    return (address >= VMALLOC_START) & (address < VMALLOC_END)


def _two_areas(space: Space, one: int, other: int) -> bool:
    return has_area(space, one) & has_area(space, other) & (one != other)


@clause(
    "VM-WHOLE",
    "An area is a page or more and a guard page, begins on a page, and lies in the vmalloc space.",
    source="mm/vmalloc.c: __get_vm_area_node, alloc_vmap_area",
    kind="state",
    promises=(),
    applies=has_area,
    witness=(GOOD, 5 * P),
    broken=(BAD, 8 * P),
)
def area_is_whole(space: Space, start: int) -> bool:
    """Judge the area that begins at `start`."""
    length = space.areas.get(start, 0)
    whole = (start % PAGE_SIZE == 0) & (length % PAGE_SIZE == 0) & (length >= PAGE_SIZE + GUARD)
    return whole & (space.start <= start) & (start + length <= space.end)


@clause(
    "VM-APART",
    "No two areas share a page, their guard pages included.",
    source="mm/vmalloc.c: __get_vm_area_node, alloc_vmap_area, link_va",
    kind="state",
    promises=(),
    applies=_two_areas,
    witness=(GOOD, 2 * P, 5 * P),
    broken=(BAD, 2 * P, 4 * P),
)
def areas_are_apart(space: Space, one: int, other: int) -> bool:
    """Compare two areas."""
    return disjoint(one, space.areas.get(one, 0), other, space.areas.get(other, 0))


@clause(
    "VM-MAPPED",
    "An area is mapped from its start on, by whole pages, and never in its guard page.",
    source="mm/vmalloc.c: vmap_pages_range, __get_vm_area_node; include/linux/vmalloc.h: get_vm_area_size",
    kind="state",
    promises=(),
    applies=has_area,
    witness=(GOOD, 2 * P),
    broken=(BAD, 2 * P),
)
def mapping_stops_at_the_guard(space: Space, start: int) -> bool:
    """Judge how far the area that begins at `start` is mapped."""
    length, mapped = space.areas.get(start, 0), space.mapped.get(start, NOTHING)
    return (mapped % PAGE_SIZE == 0) & (mapped >= 0) & (mapped <= length - GUARD)


@clause(
    "VM-UNMAPPED",
    "An area that goes has no page mapped any more: whatever is mapped is of an area that is there.",
    source="mm/vmalloc.c: remove_vm_area, free_unmap_vmap_area",
    kind="state",
    promises=(),
    applies=lambda space, start: space.mapped.get(start, NOTHING) != NOTHING,
    witness=(GOOD, 2 * P),
    broken=(BAD, 12 * P),
)
def mapping_has_its_area(space: Space, start: int) -> bool:
    """Look up the area of what is mapped from `start` on."""
    return has_area(space, start)


@clause(
    "VM-INSIDE",
    "A page that is mapped lies in the mapped part of an area (one such area must exist).",
    source="mm/vmalloc.c: vmap_pages_range, vunmap_range",
    kind="state",
    promises=(),
    applies=lambda space, page, start: is_mapped(space, page),
    witness=(GOOD, 3 * P, 2 * P),
    broken=(BAD, 12 * P, 4 * P),
)
def page_is_inside(space: Space, page: int, start: int) -> bool:
    """Place a mapped page in the area at `start`."""
    mapped = space.mapped.get(start, NOTHING)
    return (page % PAGE_SIZE == 0) & (start <= page) & (page + PAGE_SIZE <= start + mapped)


@clause(
    "VM-FRAMES",
    "Every page of the mapped part of an area has a frame behind it: none is left out.",
    source="mm/vmalloc.c: vm_area_alloc_pages, vmap_pages_range, on the number of pages",
    kind="state",
    promises=(),
    applies=lambda space, page, start: (
        (page % PAGE_SIZE == 0) & (start <= page) & (page < start + space.mapped.get(start, NOTHING))
    ),
    witness=(GOOD, 3 * P, 2 * P),
    broken=(BAD, 4 * P, 2 * P),
)
def page_is_backed(space: Space, page: int, _start: int) -> bool:
    """Look up the frame of a page in the mapped part of the area at `_start`."""
    return is_mapped(space, page)


@clause(
    "VM-FRAME",
    "The frame behind a page of an area is that page's alone: it backs no other page, of this area or of "
    "another. Pages of a vmap show frames of somebody else.",
    source="mm/vmalloc.c: __vmalloc_area_node, vm_area_alloc_pages",
    kind="state",
    promises=(),
    applies=lambda space, page: space.frames.get(page, NOTHING) != NOTHING,
    witness=(GOOD, 3 * P),
    broken=(BAD, 3 * P),
)
def frame_is_of_its_page(space: Space, page: int) -> bool:
    """Ask the page's frame which page it backs; the answer cannot be two pages."""
    return space.backing.get(space.frames.get(page, NOTHING), NOTHING) == page


@clause(
    "VM-ONE-FRAME",
    "A page has one frame, of its own or of somebody else.",
    source="mm/vmalloc.c: vmap_pages_pte_range, on a page that is mapped already",
    kind="state",
    promises=(),
    witness=(GOOD, 5 * P),
    broken=(
        Sample(GOOD.areas, GOOD.mapped, GOOD.frames, GOOD.backing, aliases=DictTable({2 * P: 80 * P})),
        2 * P,
    ),
)
def page_has_one_frame(space: Space, page: int) -> bool:
    """Look a page up in both tables."""
    own, other = space.frames.get(page, NOTHING), space.aliases.get(page, NOTHING)
    return (own == NOTHING) | (other == NOTHING)


@clause(
    "VM-HELD",
    "A frame that the vmalloc space holds is behind the page that it says: none is left when areas go.",
    source="mm/vmalloc.c: vfree, on the pages of an area",
    kind="state",
    promises=(),
    applies=lambda space, frame: space.backing.get(frame, NOTHING) != NOTHING,
    witness=(GOOD, 70 * P),
    broken=(BAD, 60 * P),
)
def held_frame_is_mapped(space: Space, frame: int) -> bool:
    """Ask the frame's page which frame it has."""
    page = space.backing.get(frame, NOTHING)
    return (frame >= 0) & (space.frames.get(page, NOTHING) == frame)


def area_of(starts: Sequence[int], page: int) -> int:
    """Return the last of `starts` that is not beyond `page`, NOTHING if all are.

    Needs    starts, least first
    """
    before = bisect_right(starts, page)
    return starts[before - 1] if before else NOTHING


def broken_clauses(space: Space) -> list[str]:
    """Return the ids of the clauses that do not hold of a vmalloc space, at every point of it.

    Needs    tables that can be listed, not symbolic ones
    """
    starts = points_of(space.areas)
    own = points_of(space.frames)
    pages = sorted({*own, *points_of(space.aliases)})
    found = {
        "VM-WHOLE": all(area_is_whole(space, start) for start in starts),
        "VM-APART": all(areas_are_apart(space, *pair) for pair in pairwise(starts)),  # so all are
        "VM-MAPPED": all(mapping_stops_at_the_guard(space, start) for start in starts),
        "VM-UNMAPPED": all(mapping_has_its_area(space, start) for start in points_of(space.mapped)),
        "VM-INSIDE": all(page_is_inside(space, page, area_of(starts, page)) for page in pages),
        "VM-FRAMES": all(
            page_is_backed(space, page, start)
            for start in starts
            for page in range(start, start + space.mapped.get(start, NOTHING), PAGE_SIZE)
        ),
        "VM-FRAME": all(frame_is_of_its_page(space, page) for page in own),
        "VM-ONE-FRAME": all(page_has_one_frame(space, page) for page in pages),
        "VM-HELD": all(held_frame_is_mapped(space, frame) for frame in points_of(space.backing)),
    }
    return [identifier for identifier, holds in found.items() if not holds]
