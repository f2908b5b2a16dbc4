"""The policy of the vmalloc space: where an area goes, which frames back it, when its addresses come back.

It picks the arguments of the steps of `Areas` and is not trusted: a wrong choice is refused there. Areas go
to the lowest place that holds them. Frames go back at once; addresses at once too, or, as Linux does it,
when enough of them wait.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from kmem_model.area import Areas
from kmem_model.frames import Frames
from kmem_model.holes import Holes
from kmem_spec.area import GUARD
from kmem_spec.units import NULL, PAGE_SIZE

LAZY_MOST: Final = 32 << 20  # bytes that wait before a purge on one CPU; mm/vmalloc.c: lazy_max_pages


class Space:
    """Make and end areas.

    lazy_most    bytes of addresses that may wait for a purge; 0: none waits
    """

    def __init__(self, frames: Frames, areas: Areas | None = None, lazy_most: int = 0) -> None:
        """Take frames from `frames`; lay areas out in `areas`, which has none yet."""
        self.areas = areas or Areas()
        self.lazy_most = lazy_most
        self.holes = Holes(self.areas.start, self.areas.end)
        self.waiting: list[int] = []
        self.waiting_bytes = 0
        self.frames = frames

    def make(self, pages: int, gfp: int) -> int:
        """Return the start of a new area with frames of its own, or NULL; then everything is as before.

        Needs    pages > 0
        Source   mm/vmalloc.c: __vmalloc_node_range, __vmalloc_area_node
        """
        start = self._reserve(pages * PAGE_SIZE + GUARD)
        if start == NULL:
            return NULL
        take, back = self.frames.take, self.areas.back
        for _ in range(pages):
            frame = take(0, gfp)
            if frame == NULL:
                self.end(start)
                return NULL
            back(start, frame)
        return start

    def show(self, frames: Sequence[int]) -> int:
        """Return the start of a new area that shows these frames, in their order, or NULL.

        Needs    a frame or more; they stay whose they are
        Source   mm/vmalloc.c: vmap
        """
        start = self._reserve(len(frames) * PAGE_SIZE + GUARD)
        if start != NULL:
            for frame in frames:
                self.areas.alias(start, frame)
        return start

    def end(self, start: int) -> None:
        """End an area with frames of its own, and give those back.

        Source   mm/vmalloc.c: vfree
        """
        unback, give = self.areas.unback, self.frames.give
        for _ in range(self.mapped(start)):
            give(unback(start), 0)
        self._release(start)

    def hide(self, start: int) -> None:
        """End an area that shows frames of somebody else.

        Source   mm/vmalloc.c: vunmap
        """
        for _ in range(self.mapped(start)):
            self.areas.unalias(start)
        self._release(start)

    def mapped(self, start: int) -> int:
        """Return how many pages of an area are mapped."""
        return self.areas.mapped.get(start, 0) // PAGE_SIZE

    def purge(self) -> bool:
        """Make the addresses of all ended areas usable again, and say whether there were any.

        Source   mm/vmalloc.c: __purge_vmap_area_lazy
        """
        waiting, self.waiting, self.waiting_bytes = self.waiting, [], 0
        for start in waiting:
            self.holes.give(start, self.areas.unmap(start))
        return bool(waiting)

    def _reserve(self, length: int) -> int:
        """Return the start of a new area of `length` bytes without a page, or NULL where none fits.

        Source   mm/vmalloc.c: alloc_vmap_area, which purges before it fails
        """
        start = self.holes.lowest(length)
        if start is None and self.purge():
            start = self.holes.lowest(length)
        if start is None:
            return NULL
        self.areas.map(start, length)
        self.holes.take(start, length)
        return start

    def _release(self, start: int) -> None:
        """Let an area without a page go, now or later."""
        self.waiting.append(start)
        self.waiting_bytes += self.areas.areas.get(start, 0)
        if self.waiting_bytes > self.lazy_most:
            self.purge()
