"""Mutants of the zone's steps: code with one fault, each of which a proof must refute.

A mutant that is not refuted shows that the claim says less than its name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kmem_model.zone import Zone
from kmem_spec.table import require
from kmem_spec.units import MAX_BLOCK, buddy_of, merged_head
from kmem_spec.zone import Blocks, ZoneState, size_at

# mypy: disable-error-code="override"


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


class TakeLeavesFree(Zone):
    """Hands a block out and leaves it free."""

    def take(self, head: int, pages: int, floor: int = 0) -> None:
        """Take."""
        super().take(head, pages, floor)
        self.free.put(head, pages)


class TakesMore(Zone):
    """Hands out twice what is there."""

    def take(self, head: int, pages: int, floor: int = 0) -> None:
        """Take."""
        super().take(head, pages, floor)
        self.used.put(head, 2 * pages)


class TakesLess(Zone):
    """Hands out half, and forgets the rest."""

    def take(self, head: int, pages: int, floor: int = 0) -> None:
        """Take."""
        super().take(head, pages, floor)
        self.used.put(head, pages // 2)


class TakesUncounted(Zone):
    """Forgets the count."""

    def take(self, head: int, pages: int, floor: int = 0) -> None:
        """Take."""
        super().take(head, pages, floor)
        self.nfree = self.nfree + pages


class ComparesTooEarly(Zone):
    """Compares the floor with what is free before the block is gone."""

    def take(self, head: int, pages: int, floor: int = 0) -> None:
        """Take."""
        require(self.nfree >= floor, "PAGE-WATERMARK")
        super().take(head, pages, self.nfree - pages)


class LeavesOneMore(Zone):
    """Fails where exactly the floor would be left."""

    def take(self, head: int, pages: int, floor: int = 0) -> None:
        """Take."""
        super().take(head, pages, floor + 1)


class PutLeavesUsed(Zone):
    """Frees a block and leaves it in use."""

    def put(self, head: int, pages: int) -> None:
        """Put."""
        super().put(head, pages)
        self.used.put(head, pages)


class PutsMore(Zone):
    """Frees twice what was in use."""

    def put(self, head: int, pages: int) -> None:
        """Put."""
        super().put(head, pages)
        self.free.put(head, 2 * pages)


class PutsLess(Zone):
    """Frees half, and forgets the rest."""

    def put(self, head: int, pages: int) -> None:
        """Put."""
        super().put(head, pages)
        self.free.put(head, pages // 2)


class PutsUncounted(Zone):
    """Forgets the count."""

    def put(self, head: int, pages: int) -> None:
        """Put."""
        super().put(head, pages)
        self.nfree = self.nfree - pages


class PutsInPieces(Zone):
    """Frees a block as several."""

    def put(self, head: int, pages: int) -> None:
        """Put."""
        super().put(head, pages)
        require(pages > 3, "PAGE-HEAD")
        put_in_pieces(self, head, pages)


class ExtendsAnywhere(Zone):
    """Does not ask whether the end is a multiple of the size."""

    def extend(self, pages: int) -> int:
        """Extend."""
        head = self.end
        self.end = head + pages
        self.free.put(head, pages)
        self.nfree = self.nfree + pages
        return head


class ExtendsBackwards(Zone):
    """Puts the new block where the last one ends."""

    def extend(self, pages: int) -> int:
        """Extend."""
        head = super().extend(pages)
        self.free.put(head - pages, pages)
        return head


class ExtendsTooFar(Zone):
    """Leaves a gap at the end."""

    def extend(self, pages: int) -> int:
        """Extend."""
        head = super().extend(pages)
        self.end = self.end + pages
        return head


class ExtendsUncounted(Zone):
    """Forgets the count."""

    def extend(self, pages: int) -> int:
        """Extend."""
        head = super().extend(pages)
        self.nfree = self.nfree - pages
        return head


class ExtendsInPieces(Zone):
    """Adds several blocks."""

    def extend(self, pages: int) -> int:
        """Extend."""
        require(pages > 3, "PAGE-HEAD")
        head = super().extend(pages)
        put_in_pieces(self, head, pages)
        return head


STEPS: Final[dict[tuple[str, str], list[tuple[str, type[Zone]]]]] = {
    ("PAGE-HEAD", "split"): [("the upper half is a block too far up", SplitsTooFar)],
    ("PAGE-APART", "split"): [("the block stays as long as it was", SplitLeavesWhole)],
    ("PAGE-WHOLE", "split"): [
        ("the upper half is forgotten", SplitLosesHalf),
        ("the upper half is a block too far up", SplitsTooFar),
    ],
    ("PAGE-COUNT", "split"): [("the upper half is forgotten", SplitLosesHalf)],
    ("PAGE-MERGED", "split"): [("the upper half is split again", SplitsInPieces)],
    ("PAGE-HEAD", "merge"): [
        ("the whole begins at the upper half", MergesToUpper),
        ("the largest blocks are merged", MergesTheLargest),
    ],
    ("PAGE-APART", "merge"): [
        ("the buddy may be in use", MergesWithUsed),
        ("the buddy may be of any size", MergesAnySize),
    ],
    ("PAGE-WHOLE", "merge"): [("the whole is as long as a half", MergesToHalf)],
    ("PAGE-COUNT", "merge"): [
        ("the whole is as long as a half", MergesToHalf),
        ("the buddy may be of any size", MergesAnySize),
    ],
    ("PAGE-MERGED", "merge"): [("the old head stays in hand", GivesOldHead)],
    ("PAGE-HEAD", "take"): [("the block stays free", TakeLeavesFree)],
    ("PAGE-APART", "take"): [("twice as much is handed out", TakesMore)],
    ("PAGE-WHOLE", "take"): [("half of the block is forgotten", TakesLess)],
    ("PAGE-COUNT", "take"): [("it is not counted", TakesUncounted), ("the block stays free", TakeLeavesFree)],
    ("PAGE-MERGED", "take"): [("the block stays free", TakeLeavesFree)],
    ("PAGE-HEAD", "put"): [("the block stays in use", PutLeavesUsed)],
    ("PAGE-APART", "put"): [("twice as much is freed", PutsMore)],
    ("PAGE-WHOLE", "put"): [("half of the block is forgotten", PutsLess)],
    ("PAGE-COUNT", "put"): [("it is not counted", PutsUncounted), ("half is forgotten", PutsLess)],
    ("PAGE-MERGED", "put"): [("the block is freed in pieces", PutsInPieces)],
    ("PAGE-HEAD", "extend"): [("the new block may begin anywhere", ExtendsAnywhere)],
    ("PAGE-APART", "extend"): [("the last block is freed again", ExtendsBackwards)],
    ("PAGE-WHOLE", "extend"): [("a gap is left at the end", ExtendsTooFar)],
    ("PAGE-COUNT", "extend"): [("it is not counted", ExtendsUncounted)],
    ("PAGE-MERGED", "extend"): [("the pages are added in pieces", ExtendsInPieces)],
}


def _beginning(change: Callable[[Zone], None]) -> Callable[[str, int, int, Blocks, Blocks], Zone]:
    """Return a constructor that begins with something else than nothing."""

    def make(name: str, start: int, end: int, free: Blocks, used: Blocks) -> Zone:
        zone = Zone(name, start, end, free, used)
        change(zone)
        return zone

    return make


def _block_of_three(zone: Zone) -> None:
    zone.free.put(zone.start, 3)


def _two_blocks(zone: Zone) -> None:
    zone.free.put(zone.start, 2)
    zone.used.put(zone.start + 1, 1)


def _a_page(zone: Zone) -> None:
    zone.end = zone.end + 1


def _a_count(zone: Zone) -> None:
    zone.nfree = 1


def _two_buddies(zone: Zone) -> None:
    zone.free.put(0, 1)
    zone.free.put(1, 1)


BEGINNINGS: Final = {
    "PAGE-HEAD": [("it has a block of three pages", _beginning(_block_of_three))],
    "PAGE-APART": [("it has a page in two blocks", _beginning(_two_blocks))],
    "PAGE-WHOLE": [("it has a page and no block", _beginning(_a_page))],
    "PAGE-COUNT": [("it counts a page that is not there", _beginning(_a_count))],
    "PAGE-MERGED": [("it has two free buddies", _beginning(_two_buddies))],
}


class HastyZone(Zone):
    """Changes something before it asks."""

    def split(self, head: int, pages: int) -> None:
        """Split."""
        self.nfree = self.nfree + 1
        super().split(head, pages)

    def merge(self, head: int, pages: int) -> int:
        """Merge."""
        self.nfree = self.nfree + 1
        return super().merge(head, pages)

    def take(self, head: int, pages: int, floor: int = 0) -> None:
        """Take."""
        self.nfree = self.nfree - pages
        super().take(head, pages, floor)

    def put(self, head: int, pages: int) -> None:
        """Put."""
        self.free.put(head, pages)
        super().put(head, pages)

    def extend(self, pages: int) -> int:
        """Extend."""
        self.end = self.end + pages
        return super().extend(pages)


HASTY: Final = {
    name: [("it changes the zone before it asks", HastyZone)]
    for name in ("split", "merge", "take", "put", "extend")
}


class StopsEarly(Zone):
    """Does not make the largest size."""

    def mergeable(self, head: int, pages: int) -> bool:
        """Say whether to go on."""
        return pages < MAX_BLOCK // 2 and super().mergeable(head, pages)


class LooksForALargerBuddy(Zone):
    """Compares the buddy with the wrong size."""

    def mergeable(self, head: int, pages: int) -> bool:
        """Say whether to go on."""
        return pages < MAX_BLOCK and self.free.get(buddy_of(head, pages), 0) == 2 * pages


def head_of_any_size(zone: ZoneState, head: int) -> bool:
    """PAGE-HEAD without the list of sizes."""
    pages = size_at(zone, head)
    return (pages == 0) | ((zone.start <= head) & (head + pages <= zone.end))


def blocks_share_a_page(zone: ZoneState, one: int, other: int) -> bool:
    """PAGE-APART with one page too many."""
    return (one >= other) | (size_at(zone, other) == 0) | (one + size_at(zone, one) <= other + 1)


def only_in_hand_is_merged(zone: ZoneState, head: int, in_hand: int) -> bool:
    """PAGE-MERGED the wrong way round about the block in hand."""
    return (head != in_hand) | (zone.free.get(head, 0) == 0)
