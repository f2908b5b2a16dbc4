"""Areas: ranges of the vmalloc space, as the events of system vmalloc show them."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from dataclasses import dataclass
from typing import Final

from kmem_oracle.traces.case import Case, forget_oldest
from kmem_oracle.traces.finding import Finding
from kmem_spec.units import PAGE_SIZE, is_power_of_two

RACE: Final = 1000  # lines: the event of a free may come after the area was taken again
FAILING: Final = "an area that was taken back because memory was short, which emits no event"


@dataclass(frozen=True, slots=True)
class Area:
    """An area, with its guard: the line that gave it, where it lies."""

    line: int
    start: int
    size: int


class Areas:
    """The areas that are live."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.live: dict[int, Area] = {}
        self.bytes = 0
        self.gone: dict[int, int] = {}
        self._starts: list[int] = []
        self._largest = 0
        self._racing: dict[int, Finding] = {}

    def allocate(self, line: int, start: int, size: int, align: int, failed: bool) -> None:
        """Judge an area that was found; the kernel searches again after a failure."""
        case = self.case
        case.judged += 1
        if failed or size == 0:
            case.failed = True
            return
        if start % PAGE_SIZE or (is_power_of_two(align) and start % align):
            message = f"the area of {size} bytes at {start:#x} is no multiple of {max(align, PAGE_SIZE)}"
            case.find("VM-ALIGN", line, (), message)
        for old in self._met(start, size):
            self._overlap(line, start, size, old)
        self.live[start] = Area(line, start, size)
        insort(self._starts, start)
        self._largest = max(self._largest, size)
        self.bytes += size
        self.gone.pop(start, None)

    def free(self, line: int, start: int) -> None:
        """Judge an area that is unmapped."""
        case = self.case
        racing = self._racing.pop(start, None)
        if racing is not None and line - racing.line < RACE:
            case.docket.withdraw(racing)
            return
        old = self.live.get(start)
        if old is not None:
            case.judged += 1
            self._drop(old)
            self.gone[start] = line
            return
        inside = self.over(start)
        before = self.gone.pop(start, 0)
        self.gone[start] = line
        if inside:
            message = f"{start:#x} is unmapped, which is within the area of line {inside}"
            case.find("CALLER-FREE", line, (inside,), message, rests="events")
        elif before:
            message = f"the area at {start:#x} is unmapped again, and was not allocated since line {before}"
            case.find(
                "CALLER-DOUBLE-FREE",
                line,
                (before,),
                message,
                certainty="suspect",
                explained="areas of per-CPU memory, which emit no event",
            )
        elif case.whole:
            case.find("CALLER-FREE", line, (), f"{start:#x} is unmapped, which was never allocated")
        else:
            case.unseen["frees of areas whose allocation is not in the trace"] += 1
            return
        case.judged += 1

    def over(self, start: int) -> int:
        """Return the line of the area that an address lies in, 0 for none."""
        place = bisect_right(self._starts, start) - 1
        if place < 0:
            return 0
        area = self.live[self._starts[place]]
        return area.line if start < area.start + area.size else 0

    def tidy(self) -> None:
        """Bound the memory of what is gone."""
        forget_oldest(self.gone, len(self.live))
        while len(self._racing) > 1 << 10:
            del self._racing[next(iter(self._racing))]

    def _met(self, start: int, size: int) -> list[Area]:
        """Return the live areas that an extent shares bytes with: few begin before it."""
        first = max(bisect_right(self._starts, start) - 1, 0)
        last = bisect_left(self._starts, start + size)
        near = [self.live[each] for each in self._starts[first:last]]
        return [area for area in near if start < area.start + area.size]

    def _overlap(self, line: int, start: int, size: int, old: Area) -> None:
        """Report an area that shares bytes with a live one, or only its guard."""
        guard = old.start + old.size - PAGE_SIZE
        clause = "VM-GUARD" if start >= guard > old.start else "MEM-APART"
        what = "the guard of " if clause == "VM-GUARD" else ""
        sure = not self.case.failed
        found = self.case.find(
            clause,
            line,
            (old.line,),
            f"the area of {size} bytes at {start:#x} overlaps {what}the {old.size} bytes at {old.start:#x}",
            certainty="violation" if sure else "suspect",
            rests="events",
            explained="" if sure else FAILING,
        )
        self._drop(old)
        if found is not None:
            self._racing[old.start] = found

    def _drop(self, old: Area) -> None:
        """Take an area out of the books."""
        del self.live[old.start]
        del self._starts[bisect_left(self._starts, old.start)]
        self.bytes -= old.size
