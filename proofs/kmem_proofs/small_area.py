"""A vmalloc space of a few pages: every sequence of areas made and ended, with the policy in each state."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from kmem_model.area import Areas
from kmem_model.frames import Frames
from kmem_model.page import machine
from kmem_model.space import Space
from kmem_proofs.case import Case
from kmem_proofs.mutants import policies
from kmem_proofs.obligations import Obligation, obligation
from kmem_spec.area import broken_clauses
from kmem_spec.gfp import GFP_KERNEL, MEMALLOC
from kmem_spec.table import DictTable
from kmem_spec.units import NULL, PAGE_SIZE

FIRST: Final = 16  # page of the space
MEMORY: Final = 16  # pages of the machine
SHOWN: Final = 90 * PAGE_SIZE  # a frame of somebody else
Make = Callable[[Frames, Areas, int], Space]


class Played:
    """A space after some steps: a number of pages is an area to make, minus a start one to end.

    Of an odd number of pages an area has frames of its own; of an even one it shows somebody else's.
    """

    def __init__(self, code: Make, pages: int, lazy: int, steps: Sequence[int]) -> None:
        self.areas = Areas(FIRST * PAGE_SIZE, (FIRST + pages) * PAGE_SIZE)
        self.space = code(Frames(machine(MEMORY * PAGE_SIZE)), self.areas, lazy * PAGE_SIZE)
        self.live: dict[int, int] = {}
        for step in steps:
            self.do(step)

    def do(self, step: int) -> int:
        """Do one step, and return the start of a new area."""
        if step < 0:
            own = self.live.pop(-step) % 2
            (self.space.end if own else self.space.hide)(-step)
            return NULL
        space, own = self.space, step % 2
        start = space.make(step, GFP_KERNEL | MEMALLOC) if own else space.show([SHOWN] * step)
        if start != NULL:
            self.live[start] = step
        return start

    @property
    def key(self) -> str:
        """All that makes a difference to what follows."""
        return repr((sorted(listed(self.areas.areas).items()), sorted(self.live.items()), self.space.waiting))

    @property
    def holds(self) -> bool:
        """Whether every rule does, and each frame is free or behind an area."""
        own = sum(pages for pages in self.live.values() if pages % 2)
        free = self.space.frames.pages.free_pages
        return broken_clauses(self.areas) == [] and free == MEMORY - own

    def places(self, pages: int, size: int) -> set[int]:
        """Return where an area of `pages` and its guard would be apart from all that live."""
        taken = {
            start // PAGE_SIZE + page for start, length in self.live.items() for page in range(length + 1)
        }
        starts = range(FIRST, FIRST + size - pages)
        return {start * PAGE_SIZE for start in starts if taken.isdisjoint(range(start, start + pages + 1))}


def listed(table: object) -> dict[int, int]:
    """Return the entries of a table that runs."""
    if not isinstance(table, DictTable):
        raise TypeError("a space that runs has tables that can be listed")
    return dict(table)


def finds_a_place(case: Case, code: Make) -> Sequence[bool]:
    """In each state an area is made where there is a place for it, and only there, at one of those places."""
    size, lazy = case.number("pages"), case.number("lazy")
    seen: set[str] = set()
    waiting: deque[list[int]] = deque([[]])
    goals: list[bool] = []
    while waiting:
        steps = waiting.popleft()
        now = Played(code, size, lazy, steps)
        if now.key in seen:
            continue
        seen.add(now.key)
        holds = now.holds
        waiting += [[*steps, -start] for start in now.live]
        for pages in range(1, size):
            places = now.places(pages, size)
            start = Played(code, size, lazy, steps).do(pages)
            holds = holds and (start in places if places else start == NULL)
            if places:
                waiting.append([*steps, pages])
        goals.append(holds)
        if not holds:
            raise AssertionError(f"after {steps}")
    return goals


def obligations() -> Iterator[Obligation]:
    """Yield all of them."""
    mutants: list[tuple[str, Make]] = [
        ("the last place that fits is not used", policies.LeavesAHole),
        ("a frame is kept when its area ends", policies.LosesAFrame),
    ]
    for lazy, more in ((0, []), (5, [("waiting addresses are never purged", policies.NeverPurges)])):
        yield obligation(
            f"VM-APART/8_pages_{'lazy' if lazy else 'eager'}/enumerated",
            finds_a_place,
            Space,
            witness={"pages": 8, "lazy": lazy},
            mutants=[*mutants, *more],
            level="C",
        )
