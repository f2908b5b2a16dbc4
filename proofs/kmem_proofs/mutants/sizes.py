"""Faults of the steps that change how pages are divided into blocks: split, merge and divide."""

from __future__ import annotations

from kmem_model.zone import Zone
from kmem_spec.table import require
from kmem_spec.units import MAX_BLOCK, buddy_of, merged_head


def put_in_pieces(zone: Zone, head: int, pages: int) -> None:
    """Free a block as a half and two quarters, which nobody merges."""
    half, quarter = pages // 2, pages // 4
    zone.free.put(head, half)
    zone.free.put(head + half, quarter)
    zone.free.put(head + half + quarter, quarter)


class SplitsTooFar(Zone):
    """Puts the upper half a whole block further up."""

    def split(self, head: int, pages: int) -> None:
        """Split."""
        require((pages > 1) & (self.free.get(head, 0) == pages), "PAGE-APART")
        self.free.put(head, pages // 2)
        self.free.put(head + pages, pages // 2)


class SplitLeavesWhole(Zone):
    """Frees the upper half, and leaves the block as long as it was."""

    def split(self, head: int, pages: int) -> None:
        """Split."""
        require((pages > 1) & (self.free.get(head, 0) == pages), "PAGE-APART")
        self.free.put(head + pages // 2, pages // 2)


class SplitLosesHalf(Zone):
    """Forgets the upper half."""

    def split(self, head: int, pages: int) -> None:
        """Split."""
        require((pages > 1) & (self.free.get(head, 0) == pages), "PAGE-APART")
        self.free.put(head, pages // 2)


class SplitsInPieces(Zone):
    """Splits the upper half again."""

    def split(self, head: int, pages: int) -> None:
        """Split."""
        require((pages > 3) & (self.free.get(head, 0) == pages), "PAGE-APART")
        put_in_pieces(self, head, pages)


class MergesToUpper(Zone):
    """Takes the block that it was given for the head of the whole."""

    def merge(self, head: int, pages: int) -> int:
        """Merge."""
        buddy = buddy_of(head, pages)
        require((self.free.get(head, 0) == pages) & (self.free.get(buddy, 0) == pages), "PAGE-APART")
        self.free.drop(head)
        self.free.drop(buddy)
        self.free.put(head, 2 * pages)
        return head


class MergesTheLargest(Zone):
    """Merges beyond the largest size."""

    def merge(self, head: int, pages: int) -> int:
        """Merge."""
        buddy = buddy_of(head, pages)
        require((self.free.get(head, 0) == pages) & (self.free.get(buddy, 0) == pages), "PAGE-APART")
        whole = merged_head(head, pages)
        self.free.drop(head)
        self.free.drop(buddy)
        self.free.put(whole, 2 * pages)
        return whole


class MergesWithUsed(Zone):
    """Does not look whether the buddy is free."""

    def merge(self, head: int, pages: int) -> int:
        """Merge."""
        require((pages < MAX_BLOCK) & (self.free.get(head, 0) == pages), "PAGE-APART")
        whole = merged_head(head, pages)
        self.free.drop(head)
        self.free.put(whole, 2 * pages)
        return whole


class MergesAnySize(Zone):
    """Merges with a free buddy of any size."""

    def merge(self, head: int, pages: int) -> int:
        """Merge."""
        buddy = buddy_of(head, pages)
        require((pages < MAX_BLOCK) & (self.free.get(head, 0) == pages), "PAGE-APART")
        require(self.free.get(buddy, 0) > 0, "PAGE-APART")
        self.free.drop(head)
        self.free.drop(buddy)
        whole = merged_head(head, pages)
        self.free.put(whole, 2 * pages)
        return whole


class MergesToHalf(Zone):
    """Gives the whole the size of one of its halves."""

    def merge(self, head: int, pages: int) -> int:
        """Merge."""
        whole = super().merge(head, pages)
        self.free.put(whole, pages)
        return whole


class GivesOldHead(Zone):
    """Merges, and goes on with the head that it was given."""

    def merge(self, head: int, pages: int) -> int:
        """Merge."""
        super().merge(head, pages)
        return head


class DividesTooFar(Zone):
    """Puts the upper half a whole block further up."""

    def divide(self, head: int, pages: int) -> None:
        """Divide."""
        super().divide(head, pages)
        self.used.drop(head + pages // 2)
        self.used.put(head + pages, pages // 2)


class DivideLeavesWhole(Zone):
    """Makes an upper half, and leaves the block as long as it was."""

    def divide(self, head: int, pages: int) -> None:
        """Divide."""
        super().divide(head, pages)
        self.used.put(head, pages)


class DivideLosesHalf(Zone):
    """Forgets the upper half."""

    def divide(self, head: int, pages: int) -> None:
        """Divide."""
        super().divide(head, pages)
        self.used.drop(head + pages // 2)


class DividesAPage(Zone):
    """Divides what is not a whole number of halves."""

    def divide(self, head: int, pages: int) -> None:
        """Divide."""
        require(self.used.get(head, 0) == pages, "CALLER-ORDER")
        self.used.put(head + 1, pages - 1)
        self.used.put(head, 1)
