"""Faults of the steps of the vmalloc space, and which obligation must find each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kmem_model.area import Areas
from kmem_spec.area import GUARD, NOTHING
from kmem_spec.table import require
from kmem_spec.units import PAGE_SIZE

Faults = list[tuple[str, type[Areas]]]


def ask_whether_whole(space: Areas, start: int, length: int) -> None:
    """Do as the first guard of `map`."""
    whole = (start % PAGE_SIZE == 0) & (length % PAGE_SIZE == 0) & (length >= PAGE_SIZE + GUARD)
    require(whole & (space.start <= start) & (start + length <= space.end), "VM-WHOLE")


class MapsAnywhere(Areas):
    """Does not ask where the area begins and ends."""

    def map(self, start: int, length: int) -> None:
        """Map."""
        require(self.areas.apart(start, length), "VM-APART")
        self.areas.put(start, length)
        self.mapped.put(start, 0)


class MapsGuardsAlone(Areas):
    """Takes a guard page for an area."""

    def map(self, start: int, length: int) -> None:
        """Map."""
        whole = (start % PAGE_SIZE == 0) & (length % PAGE_SIZE == 0) & (length > 0)
        require(whole & (self.start <= start) & (start + length <= self.end), "VM-WHOLE")
        require(self.areas.apart(start, length), "VM-APART")
        self.areas.put(start, length)
        self.mapped.put(start, 0)


class MapsWithoutGuard(Areas):
    """Leaves the guard page out where it compares."""

    def map(self, start: int, length: int) -> None:
        """Map."""
        require(self.areas.apart(start, length - GUARD), "VM-APART")
        ask_whether_whole(self, start, length)
        self.areas.put(start, length)
        self.mapped.put(start, 0)


class MapsOverOthers(Areas):
    """Asks only whether an area begins in the same place and is as long."""

    def map(self, start: int, length: int) -> None:
        """Map."""
        require(self.areas.get(start, 0) != length, "VM-APART")
        ask_whether_whole(self, start, length)
        self.areas.put(start, length)
        self.mapped.put(start, 0)


class MapsAsMapped(Areas):
    """Takes a new area for mapped, guard page and all."""

    def map(self, start: int, length: int) -> None:
        """Map."""
        super().map(start, length)
        self.mapped.put(start, length)


class MapsBehind(Areas):
    """Notes what is mapped a page too far up."""

    def map(self, start: int, length: int) -> None:
        """Map."""
        super().map(start, length)
        self.mapped.put(start + PAGE_SIZE, 0)


class BacksTheGuard(Areas):
    """Goes on into the guard page."""

    def _next_page(self, start: int) -> int:
        """Return the page."""
        length, mapped = self.areas.get(start, 0), self.mapped.get(start, NOTHING)
        require((length > 0) & (mapped >= 0), "VM-UNMAPPED")
        require(mapped + PAGE_SIZE <= length, "VM-MAPPED")
        return start + mapped


class BacksWithoutArea(Areas):
    """Does not ask whether there is an area."""

    def _next_page(self, start: int) -> int:
        """Return the page."""
        return start + self.mapped.get(start, 0)


class BacksThePageAhead(Areas):
    """Leaves a page out."""

    def _next_page(self, start: int) -> int:
        """Return the page."""
        return super()._next_page(start) + PAGE_SIZE


class BacksTheSamePage(Areas):
    """Backs the last mapped page once more."""

    def _next_page(self, start: int) -> int:
        """Return the page."""
        return super()._next_page(start) - PAGE_SIZE


class BacksUncounted(Areas):
    """Forgets how far the area is mapped."""

    def back(self, start: int, frame: int) -> None:
        """Back."""
        super().back(start, frame)
        self.mapped.put(start, self.mapped.get(start, 0) - PAGE_SIZE)

    def alias(self, start: int, frame: int) -> None:
        """Alias."""
        super().alias(start, frame)
        self.mapped.put(start, self.mapped.get(start, 0) - PAGE_SIZE)


class BacksWithAnyFrame(Areas):
    """Takes a frame that backs another page."""

    def back(self, start: int, frame: int) -> None:
        """Back."""
        page = self._next_page(start)
        require(frame >= 0, "VM-FRAME")
        self.frames.put(page, frame)
        self.backing.put(frame, page)
        self.mapped.put(start, page + PAGE_SIZE - start)


class BacksTheWrongPage(Areas):
    """Notes of the frame that it backs the page behind."""

    def back(self, start: int, frame: int) -> None:
        """Back."""
        super().back(start, frame)
        self.backing.put(frame, self.backing.get(frame, NOTHING) + PAGE_SIZE)


class HoldsUnused(Areas):
    """Holds the frame and maps it nowhere."""

    def back(self, start: int, frame: int) -> None:
        """Back."""
        super().back(start, frame)
        self.frames.drop(self.backing.get(frame, NOTHING))


class UnmapsTwo(Areas):
    """Counts two pages less."""

    def unback(self, start: int) -> int:
        """Unback."""
        frame = super().unback(start)
        self.mapped.put(start, self.mapped.get(start, 0) - PAGE_SIZE)
        return frame

    def unalias(self, start: int) -> int:
        """Unalias."""
        frame = super().unalias(start)
        self.mapped.put(start, self.mapped.get(start, 0) - PAGE_SIZE)
        return frame


class CountsAtThePage(Areas):
    """Notes what is left at the page that went, not at the area."""

    def unback(self, start: int) -> int:
        """Unback."""
        page = self._last_page(start)
        frame = super().unback(start)
        self.mapped.put(page, 0)
        return frame

    def unalias(self, start: int) -> int:
        """Unalias."""
        page = self._last_page(start)
        frame = super().unalias(start)
        self.mapped.put(page, 0)
        return frame


class KeepsThePage(Areas):
    """Gives the frame back and leaves the page mapped to it."""

    def unback(self, start: int) -> int:
        """Unback."""
        page = self._last_page(start)
        frame = super().unback(start)
        self.frames.put(page, frame)
        return frame

    def unalias(self, start: int) -> int:
        """Unalias."""
        page = self._last_page(start)
        frame = super().unalias(start)
        self.aliases.put(page, frame)
        return frame


class TurnsThePageAround(Areas):
    """Leaves the page before with a frame of the other kind besides its own."""

    def unback(self, start: int) -> int:
        """Unback."""
        frame = super().unback(start)
        self.aliases.put(start, frame)
        return frame

    def unalias(self, start: int) -> int:
        """Unalias."""
        frame = super().unalias(start)
        self.frames.put(start, frame)
        return frame


class LosesTheFrame(Areas):
    """Forgets to give the frame up."""

    def unback(self, start: int) -> int:
        """Unback."""
        page = self._last_page(start)
        frame = super().unback(start)
        self.backing.put(frame, page)
        return frame


class GivesTheFirstFrame(Areas):
    """Returns the frame of the area's first page."""

    def unback(self, start: int) -> int:
        """Unback."""
        first = self.frames.get(start, NOTHING)
        super().unback(start)
        return first

    def unalias(self, start: int) -> int:
        """Unalias."""
        first = self.aliases.get(start, NOTHING)
        super().unalias(start)
        return first


class LeavesTheGuard(Areas):
    """Leaves the guard page as an area."""

    def unmap(self, start: int) -> int:
        """Unmap."""
        length = super().unmap(start)
        self.areas.put(start, GUARD)
        return length


class GrowsInstead(Areas):
    """Makes the area longer."""

    def unmap(self, start: int) -> int:
        """Unmap."""
        length = super().unmap(start)
        self.areas.put(start, length + PAGE_SIZE)
        self.mapped.put(start, 0)
        return length


class KeepsTheArea(Areas):
    """Forgets what was mapped and keeps the area."""

    def unmap(self, start: int) -> int:
        """Unmap."""
        length = super().unmap(start)
        self.areas.put(start, length)
        return length


class KeepsTheMapping(Areas):
    """Forgets the area and keeps what was mapped."""

    def unmap(self, start: int) -> int:
        """Unmap."""
        length = super().unmap(start)
        self.mapped.put(start, 0)
        return length


class UnmapsMapped(Areas):
    """Does not ask whether a page is still mapped."""

    def unmap(self, start: int) -> int:
        """Unmap."""
        length = self.areas.get(start, 0)
        require((length > 0) & (self.mapped.get(start, NOTHING) >= 0), "VM-UNMAPPED")
        self.areas.drop(start)
        self.mapped.drop(start)
        return length


class GivesUsableLength(Areas):
    """Returns the length without the guard page."""

    def unmap(self, start: int) -> int:
        """Unmap."""
        return super().unmap(start) - GUARD


class ShowsTheNextFrame(Areas):
    """Shows the frame behind the one that was given."""

    def alias(self, start: int, frame: int) -> None:
        """Alias."""
        super().alias(start, frame + PAGE_SIZE)


class UnmapsUncounted(Areas):
    """Forgets how far the area is mapped then."""

    def unback(self, start: int) -> int:
        """Unback."""
        frame = super().unback(start)
        self.mapped.put(start, self.mapped.get(start, 0) + PAGE_SIZE)
        return frame

    def unalias(self, start: int) -> int:
        """Unalias."""
        frame = super().unalias(start)
        self.mapped.put(start, self.mapped.get(start, 0) + PAGE_SIZE)
        return frame


class UnmapsAsMapped(Areas):
    """Leaves the area noted as mapped."""

    def unmap(self, start: int) -> int:
        """Unmap."""
        length = super().unmap(start)
        self.mapped.put(start, length)
        return length


class AsksTheLastPage(Areas):
    """Asks whether the page before the next is mapped."""

    def _next_page(self, start: int) -> int:
        """Return the page."""
        page = super()._next_page(start)
        require(self.frames.get(page - PAGE_SIZE, NOTHING) == NOTHING, "VM-ONE-FRAME")
        return page


STEPS: Final[dict[tuple[str, str], Faults]] = {
    ("VM-WHOLE", "map"): [
        ("an area may begin and end anywhere", MapsAnywhere),
        ("a guard page alone is an area", MapsGuardsAlone),
    ],
    ("VM-WHOLE", "unmap"): [("the guard page stays", LeavesTheGuard)],
    ("VM-APART", "map"): [
        ("the guard page is not compared", MapsWithoutGuard),
        ("only starts are compared", MapsOverOthers),
    ],
    ("VM-APART", "unmap"): [("the area grows instead", GrowsInstead)],
    ("VM-MAPPED", "map"): [("a new area counts as mapped", MapsAsMapped)],
    ("VM-MAPPED", "back"): [("the guard page is mapped", BacksTheGuard)],
    ("VM-MAPPED", "alias"): [("the guard page is mapped", BacksTheGuard)],
    ("VM-MAPPED", "unback"): [("two pages less are counted", UnmapsTwo)],
    ("VM-MAPPED", "unalias"): [("two pages less are counted", UnmapsTwo)],
    ("VM-MAPPED", "unmap"): [("the area stays", KeepsTheArea)],
    ("VM-UNMAPPED", "map"): [("the mapping is noted elsewhere", MapsBehind)],
    ("VM-UNMAPPED", "back"): [("nobody asks for an area", BacksWithoutArea)],
    ("VM-UNMAPPED", "alias"): [("nobody asks for an area", BacksWithoutArea)],
    ("VM-UNMAPPED", "unback"): [("the mapping is noted elsewhere", CountsAtThePage)],
    ("VM-UNMAPPED", "unalias"): [("the mapping is noted elsewhere", CountsAtThePage)],
    ("VM-UNMAPPED", "unmap"): [("the mapping stays", KeepsTheMapping)],
    ("VM-INSIDE", "map"): [("only starts are compared", MapsOverOthers)],
    ("VM-INSIDE", "back"): [
        ("a page is left out", BacksThePageAhead),
        ("the page is not counted", BacksUncounted),
    ],
    ("VM-INSIDE", "alias"): [
        ("nobody asks for an area", BacksWithoutArea),
        ("the page is not counted", BacksUncounted),
    ],
    ("VM-INSIDE", "unback"): [("the page stays mapped", KeepsThePage)],
    ("VM-INSIDE", "unalias"): [("the page stays mapped", KeepsThePage)],
    ("VM-INSIDE", "unmap"): [("pages are still mapped", UnmapsMapped)],
    ("VM-FRAMES", "map"): [("a new area counts as mapped", MapsAsMapped)],
    ("VM-FRAMES", "back"): [
        ("the frame is mapped nowhere", HoldsUnused),
        ("a page is left out", BacksThePageAhead),
    ],
    ("VM-FRAMES", "alias"): [("a page is left out", BacksThePageAhead)],
    ("VM-FRAMES", "unback"): [("the page still counts", UnmapsUncounted)],
    ("VM-FRAMES", "unalias"): [("the page still counts", UnmapsUncounted)],
    ("VM-FRAMES", "unmap"): [("the area stays noted as mapped", UnmapsAsMapped)],
    ("VM-FRAME", "back"): [
        ("the frame may back another page", BacksWithAnyFrame),
        ("the frame names another page", BacksTheWrongPage),
    ],
    ("VM-FRAME", "unback"): [("the page stays mapped", KeepsThePage)],
    ("VM-ONE-FRAME", "back"): [("the same page is backed again", BacksTheSamePage)],
    ("VM-ONE-FRAME", "alias"): [("the same page is mapped again", BacksTheSamePage)],
    ("VM-ONE-FRAME", "unback"): [("another page gets a second frame", TurnsThePageAround)],
    ("VM-ONE-FRAME", "unalias"): [("another page gets a second frame", TurnsThePageAround)],
    ("VM-HELD", "back"): [
        ("the frame names another page", BacksTheWrongPage),
        ("the frame is mapped nowhere", HoldsUnused),
    ],
    ("VM-HELD", "unback"): [("the frame is not given up", LosesTheFrame)],
}

REFINES: Final[dict[str, Faults]] = {
    "MEM-APART/map/refines": [("only starts are compared", MapsOverOthers)],
    "VM-ALIGN/map/refines": [
        ("an area may begin and end anywhere", MapsAnywhere),
        ("a guard page alone is an area", MapsGuardsAlone),
    ],
    "VM-ADDR/map/refines": [("an area may begin and end anywhere", MapsAnywhere)],
    "VM-GUARD/map/refines": [("the guard page is not compared", MapsWithoutGuard)],
    "VM-GUARD/back/refines": [("the guard page is mapped", BacksTheGuard)],
    "VM-GUARD/alias/refines": [("the guard page is mapped", BacksTheGuard)],
    "VM-FRAME-OWN/back/refines": [
        ("the frame may back another page", BacksWithAnyFrame),
        ("a page is left out", BacksThePageAhead),
    ],
    "VM-FRAME-OWN/alias/refines": [("another frame is shown", ShowsTheNextFrame)],
    "VM-FRAME/unback/refines": [
        ("the frame of the first page is given", GivesTheFirstFrame),
        ("the frame is not given up", LosesTheFrame),
    ],
    "VM-FRAME/unalias/refines": [
        ("the frame of the first page is given", GivesTheFirstFrame),
        ("the page stays mapped", KeepsThePage),
    ],
    "VM-UNMAPPED/unmap/refines": [
        ("the guard page is not counted", GivesUsableLength),
        ("the area stays", KeepsTheArea),
    ],
    "VM-HELD/unmap/refines": [("pages are still mapped", UnmapsMapped)],
    "VM-ONE-FRAME/guard/implies": [("the last page is asked", AsksTheLastPage)],
}


def _beginning(change: Callable[[Areas], None]) -> Callable[..., Areas]:
    """Return a constructor that begins with something else than nothing."""

    def make(*fields: int) -> Areas:
        space = Areas(*fields)  # type: ignore[arg-type]  # two bounds and five tables, as the claim gives them
        change(space)
        return space

    return make


def _guard_alone(space: Areas) -> None:
    space.areas.put(0, GUARD)


def _two_in_one_place(space: Areas) -> None:
    space.areas.put(0, 2 * PAGE_SIZE)
    space.areas.put(PAGE_SIZE, 2 * PAGE_SIZE)


def _mapping_alone(space: Areas) -> None:
    space.mapped.put(0, 0)


def _page_counted(space: Areas) -> None:
    space.mapped.put(0, PAGE_SIZE)


def _page_alone(space: Areas) -> None:
    space.frames.put(0, 0)


def _two_frames(space: Areas) -> None:
    space.frames.put(0, 0)
    space.aliases.put(0, 0)


def _frame_alone(space: Areas) -> None:
    space.backing.put(0, 0)


BEGINNINGS: Final[dict[str, list[tuple[str, Callable[..., Areas]]]]] = {
    "VM-WHOLE": [("it has a guard page alone", _beginning(_guard_alone))],
    "VM-APART": [("it has two areas with a page in common", _beginning(_two_in_one_place))],
    "VM-MAPPED": [("it has an area of which nobody knows what is mapped", _beginning(_guard_alone))],
    "VM-UNMAPPED": [("it has something mapped and no area", _beginning(_mapping_alone))],
    "VM-INSIDE": [("it has a page and no area", _beginning(_page_alone))],
    "VM-FRAMES": [("it has a page mapped and no frame", _beginning(_page_counted))],
    "VM-FRAME": [("it has a page with a frame that is not held", _beginning(_page_alone))],
    "VM-ONE-FRAME": [("it has a page with two frames", _beginning(_two_frames))],
    "VM-HELD": [("it holds a frame that backs no page", _beginning(_frame_alone))],
}


class HastyAreas(Areas):
    """Changes something before it asks."""

    def map(self, start: int, length: int) -> None:
        """Map."""
        self.mapped.put(start, 0)
        super().map(start, length)

    def back(self, start: int, frame: int) -> None:
        """Back."""
        self.backing.put(frame, start)
        super().back(start, frame)

    def alias(self, start: int, frame: int) -> None:
        """Alias."""
        self.aliases.put(start, frame)
        super().alias(start, frame)

    def unback(self, start: int) -> int:
        """Unback."""
        self.mapped.put(start, self.mapped.get(start, NOTHING) - PAGE_SIZE)
        return super().unback(start)

    def unalias(self, start: int) -> int:
        """Unalias."""
        self.mapped.put(start, self.mapped.get(start, NOTHING) - PAGE_SIZE)
        return super().unalias(start)

    def unmap(self, start: int) -> int:
        """Unmap."""
        self.mapped.put(start, NOTHING)
        return super().unmap(start)


HASTY: Final[Faults] = [("it changes a table before it asks", HastyAreas)]
