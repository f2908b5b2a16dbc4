"""Policies that find nothing where there is something, or less than there is: none of them breaks a step."""

from __future__ import annotations

from kmem_model.free_lists import FreeLists
from kmem_model.page import Pages
from kmem_model.space import Space
from kmem_spec.gfp import HIGH, MEMALLOC
from kmem_spec.units import NULL
from kmem_spec.zone import Blocks


def free_sizes(pages: Pages) -> list[int]:
    """Return the sizes of all free blocks."""
    return [size for zone in pages.zones if isinstance(zone.free, Blocks) for size in zone.free.values()]


class WantsTheExactSize(Pages):
    """Divides no block."""

    def alloc(self, order: int, gfp: int) -> int | None:
        """Allocate."""
        return super().alloc(order, gfp) if 1 << order in free_sizes(self) else None


class KeepsTheLargest(Pages):
    """Gives up where it would have to divide a block of four pages into single ones."""

    def alloc(self, order: int, gfp: int) -> int | None:
        """Allocate."""
        kept = order == 0 and min(free_sizes(self), default=0) >= 4
        return None if kept else super().alloc(order, gfp)


class NeverMerges(Pages):
    """Leaves free buddies side by side."""

    def free(self, pfn: int, order: int) -> None:
        """Free."""
        self.zones[0].put(pfn, 1 << order)


class IgnoresHigh(Pages):
    """Gives requests with __GFP_HIGH no more than others."""

    def alloc(self, order: int, gfp: int) -> int | None:
        """Allocate."""
        return super().alloc(order, gfp & ~HIGH)


class ReachesTheLastPage(Pages):
    """Leaves no page to anybody."""

    def alloc(self, order: int, gfp: int) -> int | None:
        """Allocate."""
        return super().alloc(order, gfp | MEMALLOC)


class ForgetsPartialSlabs(FreeLists):
    """Looks only at the slab in use."""

    def free(self, base: int, index: int) -> None:
        """Free."""
        super().free(base, index)
        self.partial.pop(base, None)


class HandsOutTheFirst(FreeLists):
    """Takes the first slot of the slab in use, live or not."""

    def alloc(self, gfp: int) -> int:
        """Allocate."""
        if self.active == NULL or not self.waiting[self.active]:
            return super().alloc(gfp)
        return self.cache.alloc(self.active, 0)


class KeepsEmptySlabs(FreeLists):
    """Gives no slab back when it is asked to."""

    def shrink(self) -> int:
        """Shrink."""
        return 0


class ListsGivenSlabs(FreeLists):
    """Takes a slab that has gone back for one with room."""

    def free(self, base: int, index: int) -> None:
        """Free."""
        super().free(base, index)
        if base not in self.waiting:
            self.partial[base] = None


class NeverPurges(Space):
    """Leaves addresses waiting though there is no other place."""

    def purge(self) -> bool:
        """Purge."""
        return False


class LeavesAHole(Space):
    """Reserves one page more than is needed."""

    def show(self, frames: object) -> int:
        """Give nothing where the area would fill its place."""
        wanted = list(frames) if isinstance(frames, list) else []
        return NULL if self.holes.lowest((len(wanted) + 2) * 4096) is None else super().show(wanted)


class LosesAFrame(Space):
    """Keeps the first frame of an area that ends."""

    def end(self, start: int) -> None:
        """End."""
        if self.mapped(start):
            self.areas.unback(start)
        super().end(start)
