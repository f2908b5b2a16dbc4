"""The vmalloc space: the guarded steps by which areas, their pages and their frames change.

Where an area goes, and which frames back it, is not decided here, see `space`: a step takes any choice
that keeps the rules of `kmem_spec.area`, and refuses the others before it changes anything.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from kmem_spec.area import GUARD, NOTHING, VMALLOC_SIZE, VMALLOC_START
from kmem_spec.extents import IndexedSpans, SpanTable
from kmem_spec.table import DictTable, Table, require
from kmem_spec.units import PAGE_SIZE


@dataclass(slots=True)
class Areas:
    """Addresses `start` to `end` - 1, and the tables of `kmem_spec.area.Space`."""

    start: int = VMALLOC_START
    end: int = VMALLOC_START + VMALLOC_SIZE
    areas: SpanTable = field(default_factory=IndexedSpans)
    mapped: Table[int] = field(default_factory=DictTable)
    frames: Table[int] = field(default_factory=DictTable)
    backing: Table[int] = field(default_factory=DictTable)
    aliases: Table[int] = field(default_factory=DictTable)

    def map(self, start: int, length: int) -> None:
        """Make an area of which no page is mapped yet.

        Clause   VM-WHOLE, VM-APART
        Units    start an address, length in bytes, guard page included
        Needs    whole pages of the space, none of them another area's or its guard
        Source   mm/vmalloc.c: alloc_vmap_area
        """
        whole = (start % PAGE_SIZE == 0) & (length % PAGE_SIZE == 0) & (length >= PAGE_SIZE + GUARD)
        require(whole & (self.start <= start) & (start + length <= self.end), "VM-WHOLE")
        require(self.areas.apart(start, length), "VM-APART")
        self.areas.put(start, length)
        self.mapped.put(start, 0)

    def back(self, start: int, frame: int) -> None:
        """Map the next page of an area to a frame that is the area's own from now on.

        Clause   VM-UNMAPPED, VM-MAPPED, VM-ONE-FRAME, VM-FRAME
        Units    start and frame addresses
        Needs    an area with a page that is not mapped; a frame that backs no page; the caller has it from
                 the page allocator
        Source   mm/vmalloc.c: vm_area_alloc_pages, vmap_pages_range
        """
        page = self._next_page(start)
        require((frame >= 0) & (self.backing.get(frame, NOTHING) == NOTHING), "VM-FRAME")
        self.frames.put(page, frame)
        self.backing.put(frame, page)
        self.mapped.put(start, page + PAGE_SIZE - start)

    def alias(self, start: int, frame: int) -> None:
        """Map the next page of an area to a frame that stays its owner's.

        Clause   VM-UNMAPPED, VM-MAPPED, VM-ONE-FRAME, VM-FRAME
        Units    start and frame addresses
        Needs    an area with a page that is not mapped
        Source   mm/vmalloc.c: vmap
        """
        page = self._next_page(start)
        require(frame >= 0, "VM-FRAME")
        self.aliases.put(page, frame)
        self.mapped.put(start, page + PAGE_SIZE - start)

    def unback(self, start: int) -> int:
        """Unmap the last mapped page of an area and return its frame, which nobody has then.

        Clause   VM-UNMAPPED, VM-MAPPED, VM-FRAME
        Needs    the page is mapped to a frame of the area's own
        Source   mm/vmalloc.c: vunmap_range, vfree
        """
        page = self._last_page(start)
        frame = self.frames.get(page, NOTHING)
        require((frame != NOTHING) & (self.backing.get(frame, NOTHING) == page), "VM-FRAME")
        self.frames.drop(page)
        self.backing.drop(frame)
        self.mapped.put(start, page - start)
        return frame

    def unalias(self, start: int) -> int:
        """Unmap the last mapped page of an area and return its frame, which stays its owner's.

        Clause   VM-UNMAPPED, VM-MAPPED, VM-FRAME
        Needs    the page is mapped to a frame of somebody else
        Source   mm/vmalloc.c: vunmap
        """
        page = self._last_page(start)
        frame = self.aliases.get(page, NOTHING)
        require(frame != NOTHING, "VM-FRAME")
        self.aliases.drop(page)
        self.mapped.put(start, page - start)
        return frame

    def unmap(self, start: int) -> int:
        """Give up an area of which no page is mapped, and return its length.

        Clause   VM-UNMAPPED
        Needs    an area at `start`
        Source   mm/vmalloc.c: remove_vm_area, free_vmap_area
        """
        length = self.areas.get(start, 0)
        require((length > 0) & (self.mapped.get(start, NOTHING) == 0), "VM-UNMAPPED")
        self.areas.drop(start)
        self.mapped.drop(start)
        return length

    def _next_page(self, start: int) -> int:
        """Return the first page of an area that is not mapped.

        That no frame is behind it follows from VM-INSIDE and VM-APART, and is asked all the same: it
        spares the proof every other area.
        """
        length, mapped = self.areas.get(start, 0), self.mapped.get(start, NOTHING)
        require((length > 0) & (mapped >= 0), "VM-UNMAPPED")
        require(mapped + PAGE_SIZE + GUARD <= length, "VM-MAPPED")
        page = start + mapped
        unmapped = (self.frames.get(page, NOTHING) == NOTHING) & (self.aliases.get(page, NOTHING) == NOTHING)
        require(unmapped, "VM-ONE-FRAME")
        return page

    def _last_page(self, start: int) -> int:
        """Return the last page of an area that is mapped."""
        mapped = self.mapped.get(start, NOTHING)
        require(mapped >= 0, "VM-UNMAPPED")
        require(mapped > 0, "VM-MAPPED")
        return start + mapped - PAGE_SIZE
