"""Which fault each obligation of the pages must find.

A mutant that is not refuted shows that the claim says less than its name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kmem_model.zone import Zone
from kmem_proofs.mutants.moves import (
    ComparesTooEarly,
    ExtendsAnywhere,
    ExtendsBackwards,
    ExtendsCountedOff,
    ExtendsInPieces,
    ExtendsTooFar,
    ExtendsUncounted,
    LeavesOneMore,
    PutLeavesUsed,
    PutsCountedOff,
    PutsInPieces,
    PutsLess,
    PutsMore,
    PutsUncounted,
    TakeLeavesFree,
    TakesLess,
    TakesMore,
    TakesUncounted,
)
from kmem_proofs.mutants.sizes import (
    DivideLeavesWhole,
    DivideLosesHalf,
    DividesAPage,
    DividesTooFar,
    GivesOldHead,
    MergesAnySize,
    MergesTheLargest,
    MergesToHalf,
    MergesToUpper,
    MergesWithUsed,
    SplitLeavesWhole,
    SplitLosesHalf,
    SplitsInPieces,
    SplitsTooFar,
)
from kmem_spec.units import MAX_BLOCK, buddy_of
from kmem_spec.zone import Blocks, ZoneState, size_at

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
    ("PAGE-HEAD", "divide"): [
        ("the upper half is a block too far up", DividesTooFar),
        ("a single page is divided", DividesAPage),
    ],
    ("PAGE-APART", "divide"): [("the block stays as long as it was", DivideLeavesWhole)],
    ("PAGE-WHOLE", "divide"): [
        ("the upper half is forgotten", DivideLosesHalf),
        ("the upper half is a block too far up", DividesTooFar),
    ],
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

    def divide(self, head: int, pages: int) -> None:
        """Divide."""
        self.used.put(head + pages, pages)
        super().divide(head, pages)


HASTY: Final = {
    name: [("it changes the zone before it asks", HastyZone)]
    for name in ("split", "merge", "take", "put", "extend", "divide")
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


FOLLOWS: Final[dict[str, list[tuple[str, object]]]] = {
    "PAGE-HEAD/sizes/implies": [("any multiple of its size is a head", head_of_any_size)],
    "PAGE-APART/page/implies": [("blocks may share a page", blocks_share_a_page)],
    "PAGE-MERGED/in_hand/implies": [("only the block in hand is looked at", only_in_hand_is_merged)],
    "PAGE-MERGED/settle/implies": [
        ("merging stops an order too early", StopsEarly),
        ("looks for a buddy of twice the size", LooksForALargerBuddy),
    ],
    "PAGE-WATERMARK/take/preserved": [("the floor is compared before the block is gone", ComparesTooEarly)],
    "PAGE-WATERMARK/put/preserved": [("it is counted off", PutsCountedOff)],
    "PAGE-WATERMARK/extend/preserved": [("it is counted off", ExtendsCountedOff)],
    "PAGE-WATERMARK/take/refines": [
        ("the floor is compared before the block is gone", ComparesTooEarly),
        ("a page more than the floor must be left", LeavesOneMore),
    ],
}
