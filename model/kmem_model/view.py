"""Memory by any address: the direct map, and the vmalloc space, whose bytes are those of its frames."""

from __future__ import annotations

from collections.abc import Iterator

from kmem_model.area import Areas
from kmem_model.memory import IN_PAGE, Memory
from kmem_spec.area import NOTHING, VMALLOC_START
from kmem_spec.units import PAGE_SIZE


class View:
    """The calls of `Memory`, for any address.

    Errors   LookupError, the page fault, where a page of the vmalloc space is not mapped
    """

    __slots__ = ("_areas", "_memory")

    def __init__(self, memory: Memory, areas: Areas) -> None:
        """Look into `memory` through the pages of `areas`."""
        self._memory = memory
        self._areas = areas

    def read(self, start: int, length: int) -> bytes:
        """Return the bytes of an extent."""
        if start < VMALLOC_START:
            return self._memory.read(start, length)
        return b"".join(self._memory.read(at, part) for at, part in self.pieces(start, length))

    def write(self, start: int, data: bytes) -> None:
        """Set the bytes from `start` on."""
        if start < VMALLOC_START:
            self._memory.write(start, data)
            return
        done = 0
        for at, part in list(self.pieces(start, len(data))):
            self._memory.write(at, data[done : done + part])
            done += part

    def fill(self, start: int, length: int, byte: int) -> None:
        """Set each byte of an extent to `byte`."""
        if start < VMALLOC_START:
            self._memory.fill(start, length, byte)
            return
        for at, part in list(self.pieces(start, length)):
            self._memory.fill(at, part, byte)

    def zero(self, start: int, length: int) -> None:
        """Set each byte of an extent to zero."""
        self.fill(start, length, 0)

    def copy(self, source: int, target: int, length: int) -> None:
        """Set the `length` bytes at `target` to what those at `source` were, also where they overlap."""
        self.write(target, self.read(source, length))

    def first_other(self, start: int, length: int, byte: int) -> int | None:
        """Return the offset of the first byte of an extent that is not `byte`, or None."""
        if start < VMALLOC_START:
            return self._memory.first_other(start, length, byte)
        done = 0
        for at, part in self.pieces(start, length):
            offset = self._memory.first_other(at, part, byte)
            if offset is not None:
                return done + offset
            done += part
        return None

    def frame_at(self, address: int) -> int | None:
        """Return the address of the frame behind an address of the vmalloc space, None where there is none.

        Source   mm/vmalloc.c: vmalloc_to_page
        """
        page = address & ~IN_PAGE
        frame = self._areas.frames.get(page, NOTHING)
        if frame == NOTHING:
            frame = self._areas.aliases.get(page, NOTHING)
        return None if frame == NOTHING else frame

    def pieces(self, start: int, length: int) -> Iterator[tuple[int, int]]:
        """Yield where the bytes of an extent of the vmalloc space are: from where in a frame, how many."""
        end = start + length
        while start < end:
            offset = start & IN_PAGE
            frame = self.frame_at(start)
            if frame is None:
                raise LookupError(f"no page is mapped at {start:#x}")
            part = min(PAGE_SIZE - offset, end - start)
            yield frame + offset, part
            start += part
