"""Every state of a small machine, with the policies run in each. Level C: bounded, but nothing is argued.

What the proofs of single steps leave out is seen here: that steps and policies compose, that exactly the
legal states are reached, and that a policy finds what there is. A policy is not trusted, so a wrong choice is
refused by a step; what it can do wrong is to find nothing, and that counts as broken here.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from itertools import product
from typing import Final, TypeVar

from kmem_model.page import Pages
from kmem_model.zone import Zone
from kmem_proofs import small_area, small_slab
from kmem_proofs.case import Case
from kmem_proofs.mutants import policies
from kmem_proofs.mutants.moves import PutsUncounted, TakeLeavesFree
from kmem_proofs.mutants.sizes import MergesToHalf, SplitLosesHalf
from kmem_proofs.obligations import Obligation, obligation
from kmem_spec.gfp import GFP_ATOMIC, GFP_KERNEL, GFP_USER, MEMALLOC
from kmem_spec.watermark import Marks, floor_of, passes
from kmem_spec.zone import Blocks, ZoneState, broken_clauses

S = TypeVar("S", bound=Hashable)
State = tuple[tuple[tuple[int, int], ...], tuple[tuple[int, int], ...]]  # blocks free, blocks in use
MARKS: Final = Marks(4, 5, 6)


def reached(first: S, following: Callable[[S], Iterable[S]]) -> set[S]:
    """Return all that is reached from `first`."""
    seen, waiting = {first}, [first]
    while waiting:
        new = set(following(waiting.pop())) - seen
        seen |= new
        waiting += new
    return seen


def state_of(zone: ZoneState) -> State:
    """Return what a zone has."""
    if not isinstance(zone.free, Blocks) or not isinstance(zone.used, Blocks):
        raise TypeError("a zone that runs has blocks that can be listed")
    return tuple(sorted(zone.free.items())), tuple(sorted(zone.used.items()))


def told(state: State) -> str:
    """Return a state in words."""
    return f"free={dict(state[0])} used={dict(state[1])}"


def zone_in(state: State, code: type[Zone], end: int, marks: Marks | None = None) -> Zone:
    """Return a zone of pages 0 to `end` - 1 in this state."""
    free, used = dict(state[0]), dict(state[1])
    zone = code("NORMAL", 0, end, Blocks(free), Blocks(used), sum(free.values()))
    if marks is not None:
        zone.marks = marks
    return zone


def divisions(start: int, size: int) -> list[State]:
    """Return every way to divide a block into free and used ones, two free halves never side by side."""
    whole: list[State] = [(((start, size),), ()), ((), ((start, size),))]
    if size == 1:
        return whole
    half = size // 2
    merged = (((start, half), (start + half, half)), ())
    halves = product(divisions(start, half), divisions(start + half, half))
    joined = [(low[0] + high[0], low[1] + high[1]) for low, high in halves]
    return whole + [state for state in joined if state != merged]


def legal_states(end: int) -> list[State]:
    """Return the legal states of pages 0 to `end` - 1: those of the largest blocks, each with each."""
    states: list[State] = [((), ())]
    start = 0
    while start < end:
        size = 1 << (end - start).bit_length() - 1
        pairs = product(states, divisions(start, size))
        states = [(low[0] + high[0], low[1] + high[1]) for low, high in pairs]
        start += size
    return states


def orders_of(end: int) -> range:
    """Return all orders up to one that is larger than the zone."""
    return range(end.bit_length() + 1)


def steps_from(state: State, code: type[Zone], end: int) -> Iterator[Zone]:
    """Yield the zone after each request and each free, whichever block is picked for it."""
    for order in orders_of(end):
        for head, size in state[0]:
            if size >= 1 << order:
                zone, left = zone_in(state, code, end), size
                while left > 1 << order:
                    zone.split(head, left)
                    left //= 2
                zone.take(head, left)
                yield zone
    for head, size in state[1]:
        zone = zone_in(state, code, end)
        zone.put(head, size)
        zone.settle(head, size)
        yield zone


def steps_reach_what_is_legal(case: Case, code: type[Zone]) -> Sequence[bool]:
    """PAGE-WHOLE: the steps of requests and frees, with any choice, reach exactly the legal states."""
    end = case.number("end")
    first = state_of(code.filled("NORMAL", 0, end))
    legal, seen = set(legal_states(end)), {first}
    waiting, goals = [first], []
    while waiting:
        state = waiting.pop()
        zones = list(steps_from(state, code, end))
        goals.append(state in legal and all(broken_clauses(zone) == [] for zone in zones))
        if not goals[-1]:  # of a wrong step no more need be seen
            raise AssertionError(f"after a step from {told(state)}")
        new = {state_of(zone) for zone in zones} - seen
        seen |= new
        waiting += new
    return [*goals, seen == legal]


Policy = Callable[[Sequence[Zone]], Pages]


def policy_never_blocks(case: Case, code: Policy) -> Sequence[bool]:
    """In each legal state the policy serves a request where a free block is large enough, and only there,
    takes back each block, and comes to a legal state; and so by itself it reaches all of them."""
    end = case.number("end")
    states = legal_states(end)
    legal, after, goals = set(states), dict[State, set[State]](), []
    for state in states:
        holds, after[state] = True, set()
        for order in orders_of(end):
            zone = zone_in(state, Zone, end)
            enough = any(size >= 1 << order for _, size in state[0])
            holds = holds and (code([zone]).alloc(order, GFP_KERNEL) is not None) == enough
            after[state].add(state_of(zone))
        for head, size in state[1]:
            zone = zone_in(state, Zone, end)
            code([zone]).free(head, size.bit_length() - 1)
            after[state].add(state_of(zone))
        goals.append(holds and after[state] <= legal and broken_clauses(zone_in(state, Zone, end)) == [])
        if not goals[-1]:
            raise AssertionError(f"the policy, in {told(state)}")
    first = state_of(Zone.filled("NORMAL", 0, end))
    return [*goals, reached(first, after.__getitem__) == legal]


def floors_are_kept_and_reached(case: Case, code: Policy) -> Sequence[bool]:
    """PAGE-WATERMARK: in each legal state a request is served exactly where the kernel's test passes."""
    end = case.number("end")
    goals = []
    for state in legal_states(end):
        nfree, holds = sum(size for _, size in state[0]), True
        for mask in (GFP_KERNEL, GFP_USER, GFP_ATOMIC, GFP_KERNEL | MEMALLOC):
            floor = floor_of(MARKS.min, mask)
            for order in orders_of(end):
                pages = 1 << order
                enough = any(size >= pages for _, size in state[0])
                may = passes(nfree, pages, floor, 0)
                given = code([zone_in(state, Zone, end, MARKS)]).alloc(order, mask)
                holds = holds and (given is not None) == (enough and may)
        goals.append(holds)
        if not holds:
            raise AssertionError(f"a request, in {told(state)}")
    return goals


def obligations() -> Iterator[Obligation]:
    """Yield all of them."""
    yield obligation(
        "PAGE-WHOLE/8_pages/enumerated",
        steps_reach_what_is_legal,
        Zone,
        witness={"end": 8},
        mutants=[
            ("the upper half is forgotten", SplitLosesHalf),
            ("the whole is as long as a half", MergesToHalf),
            ("the block that is taken stays free", TakeLeavesFree),
            ("the count is not raised", PutsUncounted),
        ],
        level="C",
    )
    for end in (8, 12):
        yield obligation(
            f"MEM-LIVENESS/{end}_pages/enumerated",
            policy_never_blocks,
            Pages,
            witness={"end": end},
            mutants=[
                ("only a block of exactly the size is looked for", policies.WantsTheExactSize),
                ("what is freed is not merged", policies.NeverMerges),
                ("the largest block is left alone", policies.KeepsTheLargest),
            ],
            level="C",
        )
    yield obligation(
        "PAGE-WATERMARK/8_pages/enumerated",
        floors_are_kept_and_reached,
        Pages,
        witness={"end": 8},
        mutants=[
            ("__GFP_HIGH is ignored", policies.IgnoresHigh),
            ("every request may take the last page", policies.ReachesTheLastPage),
        ],
        level="C",
    )
    yield from small_slab.obligations()
    yield from small_area.obligations()
