"""What the judge has before it: the clauses in force, what is live, what is not judged any further."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final, NamedTuple

from kmem_spec import gfp
from kmem_spec.apis import APIS, Api, Role
from kmem_spec.calls import Answer, Asked, Call
from kmem_spec.clauses import CLAUSES, Clause
from kmem_spec.expect import WHOLE_PAGES, extent_of
from kmem_spec.extents import IndexedSpans, disjoint
from kmem_spec.finding import Finding, describe, show, show_span
from kmem_spec.ledger import Ledger
from kmem_spec.profile import Profile
from kmem_spec.table import DictTable
from kmem_spec.units import PAGE_SHIFT, ZERO_SIZE_PTR

PLANS_KEPT: Final = 1 << 16
HANDLE_AT: Final = {"kmem_cache_free": 0, "kmem_cache_free_bulk": 0, "mempool_free": 1}
OF_SLEEP: Final = "GFP-SLEEP"  # of most targets nobody sees whether they sleep
DEATHS_KEPT: Final = 1 << 20  # frees remembered, to tell a second free from a pointer never given


class Live(NamedTuple):
    """The record of a live allocation.

    birth    index of the event that made it
    seen     usable bytes that were observed, -1 if none were
    high     largest size in bytes that it was ever asked to have
    zeroed   whether every call for it so far asked for zeroes
    """

    asked: Asked
    birth: int
    seen: int
    high: int
    zeroed: bool


new_live: Final[Callable[[tuple[Asked, int, int, int, bool]], Live]] = partial(tuple.__new__, Live)
Rule = tuple[Callable[[Asked, Answer], bool], Clause]


@dataclass(slots=True)
class Plan:
    """What one shape of call asks for, the rules for each result, and how often each came.

    on_sleep    the rule for a call of which it was seen whether it slept, if there is one
    simple      whether an object takes no more than its own bytes, and is of no cache or pool
    """

    asked: Asked
    on_null: tuple[Rule, ...]
    on_object: tuple[Rule, ...]
    on_sleep: tuple[Rule, ...]
    legal: bool
    served: bool
    simple: bool
    nulls: int = 0
    objects: int = 0
    resizes: dict[tuple[int, bool, bool], tuple[Rule, ...]] = field(default_factory=dict)


class Docket:
    """The state of a judge, which changes through the steps of its tables alone."""

    def __init__(self, profile: Profile, waived: frozenset[str]) -> None:
        """Start with nothing live; `waived` names clauses that are not judged."""
        self.profile = profile
        self.events = 0
        self.clauses = tuple(c for c in profile.clauses() if c.id not in waived)
        self.in_force = {c.id for c in self.clauses}
        outcomes = [c for c in self.clauses if c.kind == "outcome"]
        self.outcomes = {api.name: tuple(c for c in outcomes if c.of(api)) for api in APIS.values()}
        self.judged: Counter[str] = Counter()
        self.plans: dict[str, dict[tuple[int, ...], Plan]] = {name: {} for name in APIS}
        self.clear()

    def clear(self) -> None:
        """Forget what is live."""
        self.spans = IndexedSpans()
        self.records: DictTable[Live] = DictTable()
        self.ledger: Ledger[Live] = Ledger(self.spans, self.records)
        self.died: dict[int, int] = {}  # start, and the event that last freed it
        self.ignored: Counter[int] = Counter()  # starts of objects that are not judged, and how many
        self.ignored_handles: Counter[int] = Counter()  # likewise of caches and pools
        self.held: Counter[int] = Counter()  # live objects of each cache and pool, by `home_of`
        self.strayed: Counter[int] = Counter()  # objects that are not judged, of each pool
        self.residents: dict[int, dict[int, int]] = {}  # page, and its constructed objects with their births
        self.frames: dict[int, tuple[int, int]] = {}  # page frame, and the area and its page that it backs
        self.backing: dict[int, dict[int, int]] = {}  # area, and the frames seen behind its pages
        self.asked_at = -1  # event of the bulk call whose object is being judged

    def plan_for(self, name: str, args: tuple[int, ...], asked: Asked, *, legal: bool, served: bool) -> Plan:
        """Choose the rules for a shape of call, and keep them for the next such call."""
        plans = self.plans[name]
        if len(plans) >= PLANS_KEPT:
            self.forget_plans(name)
        rules: list[Rule] = [(each.holds, each) for each in self.outcomes[name] if each.applies(asked)]
        plan = plans[args] = Plan(
            asked,
            tuple(rule for rule in rules if rule[1].on != "object" and rule[1].id != OF_SLEEP),
            tuple(rule for rule in rules if rule[1].on != "null" and rule[1].id != OF_SLEEP),
            tuple(rule for rule in rules if rule[1].id == OF_SLEEP),
            legal,
            served,
            asked.family not in WHOLE_PAGES and asked.handle == 0,
        )
        return plan

    def forget_plans(self, name: str) -> None:
        """Drop the plans for a call, not how often they were judged."""
        for plan in self.plans[name].values():
            add_plan(self.judged, plan)
        self.plans[name].clear()

    def broken(self, call: Call, asked: Asked, answer: Answer, *others: int) -> Finding | None:
        """Judge an answer that makes no object by the outcome's rules; `others` are the events involved."""
        for clause in self.outcomes[call.api]:
            if clause.applies(asked):
                self.judged[clause.id] += 1
                if not clause.holds(asked, answer):
                    return self.finding(clause.id, describe(call, asked, answer, clause.id), *others)
        return None

    def finding(self, clause: str, message: str, *others: int) -> Finding:
        """Make a finding at the present event."""
        return Finding(clause, CLAUSES[clause].who, self.events, others, message)

    def end(self, start: int) -> None:
        """Release an object, and remember when."""
        asked = self.records[start].asked
        if asked.handle:
            self.leave(start, asked)
        self.ledger.release(start)
        self.note_death(start)

    def put_aside(self, start: int) -> None:
        """Judge a live object no further."""
        asked = self.records[start].asked
        self.end(start)
        self.ignore(start, asked)

    def enter(self, start: int, asked: Asked) -> None:
        """Count a new object with its cache or pool."""
        self.held[home_of(asked)] += 1
        if asked.constructed:
            since = self.events if self.asked_at < 0 else self.asked_at
            self.residents.setdefault(start >> PAGE_SHIFT, {})[start] = since

    def leave(self, start: int, asked: Asked) -> None:
        """Count an object that goes with its cache or pool no more."""
        self.held[home_of(asked)] -= 1
        if asked.constructed:
            del self.residents[start >> PAGE_SHIFT][start]

    def note_death(self, start: int) -> None:
        """Remember a free."""
        if len(self.died) >= DEATHS_KEPT:
            self.died.clear()
        self.died[start] = self.events
        if self.backing:
            for frame in self.backing.pop(start, {}).values():
                self.frames.pop(frame, None)

    def ignore(self, start: int, asked: Asked | None = None) -> None:
        """Judge the object at `start`, if there is one, no further; `asked` is needed of a pool's."""
        if start > ZERO_SIZE_PTR:
            self.ignored[start] += 1
            if asked is not None and asked.family == "pool":
                self.strayed[asked.handle] += 1

    def pass_over(self, start: int) -> None:
        """Take the free of an object that is not judged."""
        self.ignored[start] -= 1
        if self.ignored[start] == 0:
            del self.ignored[start]

    def overlap(self, call: Call, start: int, asked: Asked, usable: int, clause: str) -> Finding | None:
        """Make the finding for an object that shares bytes with live ones; none of them is judged further."""
        bytes_own = extent_of(asked, usable)
        length = bytes_own + asked.guard
        others = [
            (other, extent)
            for other, extent in self.spans.items()
            if not disjoint(start, length, other, extent)
        ]
        lives = [self.records[other] for other, _ in others]
        if clause == "MEM-APART" and all(
            disjoint(start, bytes_own, other, extent - live.asked.guard)
            for (other, extent), live in zip(others, lives, strict=True)
        ):
            clause = "VM-GUARD"
        shown = "; ".join(
            f"{show_span(other, extent - live.asked.guard)} from {live.asked.api}"
            for (other, extent), live in zip(others[:3], lives, strict=False)
        )
        for other, _ in others:
            self.put_aside(other)
        self.ignore(start, asked)
        if clause not in self.in_force:
            return None
        what = (
            "lies in the guard page of, or has in its own," if clause == "VM-GUARD" else "shares bytes with"
        )
        text = f"{show(call)} gave {show_span(start, bytes_own)}, which {what} the live {shown}"
        return self.finding(clause, text, *(live.birth for live in lives))

    def wrong_pointer(self, api: Api, call: Call, start: int) -> Finding | None:
        """Return the caller's error if `start` is no live object of a family that the call takes."""
        live = self.records.get(start)
        freeing: tuple[Role, ...] = ("free", "free bulk")
        if live is None:
            death = self.died.get(start)
            if death is not None and api.role in freeing:
                return self.finding("CALLER-DOUBLE-FREE", f"{show(call)}: freed before", death)
            text = f"{show(call)}: no live allocation starts there"
            return self.finding("CALLER-FREE", text, *(() if death is None else (death,)))
        asked = live.asked
        if asked.family not in api.takes:
            return self.finding("CALLER-FAMILY", f"{show(call)}: it came from {asked.api}", live.birth)
        if api.family == "page" and "order" in api.parameters and call.args[1] != asked.order:
            text = f"{show(call)}: it was allocated with order {asked.order}"
            return self.finding("CALLER-ORDER", text, live.birth)
        if api.name == "free_pages_exact" and call.args[1] != asked.size:
            text = f"{show(call)}: it was allocated with {asked.size} bytes"
            return self.finding("CALLER-SIZE", text, live.birth)
        at = HANDLE_AT.get(api.name)
        if at is not None and call.args[at] != asked.handle:
            return self.finding("CALLER-CACHE", f"{show(call)}: it is of another", live.birth)
        return None

    def wrong_mask(self, call: Call, asked: Asked) -> Finding | None:
        """Return the caller's error if the call's mask is illegal."""
        if mask_is_legal_for(APIS[call.api], asked) or "CALLER-GFP" not in self.in_force:
            return None
        return self.finding("CALLER-GFP", f"{show(call)} has an illegal mask")


def home_of(asked: Asked) -> int:
    """Return the key of an object's cache or pool: a pool may have the address of a cache."""
    return asked.handle if asked.family == "cache" else -asked.handle


def mask_is_legal_for(api: Api, asked: Asked) -> bool:
    """Say whether the documentation lets a caller use the mask with this call.

    Source   mm/vmalloc.c: __vmalloc_node_range, on GFP_KERNEL; mm/mempool.c: mempool_alloc, on __GFP_ZERO
    """
    mask = asked.gfp
    if api.family == "pool" and mask & gfp.ZERO:
        return False
    if api.family == "vmalloc" and "gfp" in api.parameters:
        zones = mask & (gfp.DMA | gfp.DMA32 | gfp.HIGHMEM)
        return gfp.may_sleep(mask) and not zones and gfp.mask_is_legal(mask)
    return gfp.mask_is_legal(mask)


def add_plan(total: Counter[str], plan: Plan) -> None:
    """Add to the totals how often a plan's clauses were judged."""
    for _, clause in plan.on_null:
        total[clause.id] += plan.nulls
    for _, clause in plan.on_object:
        total[clause.id] += plan.objects
