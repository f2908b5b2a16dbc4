"""A cache of a few slots on a machine of a few pages: every state, with the policy of free lists in each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from kmem_model.frames import Frames
from kmem_model.free_lists import FreeLists
from kmem_model.page import Pages
from kmem_model.slab import Cache
from kmem_model.zone import Zone
from kmem_proofs.case import Case
from kmem_proofs.mutants import policies
from kmem_proofs.obligations import Obligation, obligation
from kmem_spec.cache import broken_clauses
from kmem_spec.gfp import GFP_KERNEL
from kmem_spec.table import DictTable
from kmem_spec.units import NULL, PAGE_SIZE

FIRST: Final = 4  # page of the zone
SHRINK: Final = NULL
MOST_KEPT: Final = 5  # partial slabs that the smallest cache keeps
Make = Callable[[Cache, Frames, dict[int, FreeLists]], FreeLists]


class Played:
    """A cache after some steps: how often to allocate is 1, SHRINK is 0, an address is to be freed."""

    def __init__(self, code: Make, pages: int, objects: int, kept: int, steps: Sequence[int]) -> None:
        self.zone = Zone.filled("NORMAL", FIRST, FIRST + pages)
        self.frames = Frames(Pages([self.zone]))
        slot = PAGE_SIZE // objects // 8 * 8
        self.live: DictTable[int] = DictTable()
        self.slabs: DictTable[int] = DictTable()
        cache = Cache("small", slot, 8, slot, 0, objects, DictTable(), slabs=self.slabs, live=self.live)
        self.lists = code(cache, self.frames, {})
        self.lists.min_partial = kept
        self.given: list[int] = []
        for step in steps:
            self.do(step)

    def do(self, step: int) -> int:
        """Do one step; return the address that it gives, or how many slabs it gave back."""
        if step == SHRINK:
            return self.lists.shrink()
        if step == 1:
            self.given.append(self.lists.alloc(GFP_KERNEL))
            return self.given[-1]
        base = self.live[step]
        self.lists.free(base, (step - base) // self.lists.cache.slot)
        return NULL

    @property
    def key(self) -> str:
        """All that makes a difference to what follows."""
        lists = self.lists
        partial, waiting = list(lists.partial), sorted(lists.waiting.items())
        return repr((lists.active, partial, waiting, sorted(self.live)))

    @property
    def holds(self) -> bool:
        """Whether every rule does, and every page is in a slab or free."""
        pages = self.frames.pages
        return (
            broken_clauses([self.lists.cache]) == []
            and NULL not in self.live
            and pages.free_pages == pages.total_pages - len(self.slabs)
        )


def finds_what_there_is(case: Case, code: Make) -> Sequence[bool]:
    """In each state an object is given where a slot or a page is free, and only there; it was not live; each
    live one can be freed; and a shrink gives back the pages of all slabs without a live object."""
    shape = (case.number("pages"), case.number("objects"), case.number("kept"))
    seen: set[str] = set()
    waiting: list[list[int]] = [[]]
    goals: list[bool] = []
    while waiting:
        steps = waiting.pop()
        now = Played(code, *shape, steps)
        if now.key in seen:
            continue
        seen.add(now.key)
        before = set(now.live)
        room = len(before) < shape[1] * len(now.slabs) or now.frames.pages.free_pages > 0
        after = Played(code, *shape, steps)
        address = after.do(1)
        served = (address != NULL) == room and address not in before
        shrunk = Played(code, *shape, steps)
        shrunk.do(SHRINK)
        needed = {now.live[address] for address in before}
        goals.append(now.holds and served and set(shrunk.slabs) == needed)
        if not goals[-1]:
            raise AssertionError(f"after {steps}")
        follow = [1] if room else []
        waiting += [[*steps, step] for step in (*follow, SHRINK, *sorted(before))]
    return goals


def obligations() -> Iterator[Obligation]:
    """Yield all of them."""
    mutants: list[tuple[tuple[str, Make], Callable[[int, int], bool]]] = [  # with where there is room for it
        (("slabs with room are forgotten", policies.ForgetsPartialSlabs), lambda p, n: p > 1 and n > 1),
        (("the first slot is handed out, live or not", policies.HandsOutTheFirst), lambda p, n: n > 1),
        (("empty slabs are kept when asked for", policies.KeepsEmptySlabs), lambda p, n: True),
    ]
    given = ("a slab that was given back is still listed", policies.ListsGivenSlabs)
    for pages, objects in ((2, 2), (3, 2), (2, 3), (1, 4), (3, 1)):
        yield obligation(
            f"SLAB-LIVE/{pages}_slabs_of_{objects}/enumerated",
            finds_what_there_is,
            FreeLists,
            witness={"pages": pages, "objects": objects, "kept": MOST_KEPT},
            mutants=[mutant for mutant, shown in mutants if shown(pages, objects)],
            level="C",
        )
    for kept in (0, 1):  # empty slabs go by themselves: nobody has to ask for it
        yield obligation(
            f"SLAB-LIVE/3_slabs_of_2_{kept}_kept/enumerated",
            finds_what_there_is,
            FreeLists,
            witness={"pages": 3, "objects": 2, "kept": kept},
            mutants=[given, *(mutant for mutant, shown in mutants if shown(3, 2))],
            level="C",
        )
