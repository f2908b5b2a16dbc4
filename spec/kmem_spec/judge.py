"""The judge: reads a history event by event, admits each or names the clause that it breaks.

It accepts every legal outcome: any address, any order of reuse, any size that holds the request. Its
memory of what is live changes only through the steps of `Ledger`.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final, NamedTuple

from kmem_spec import caller, gfp, mem, page, slab
from kmem_spec.apis import APIS, Api, Role
from kmem_spec.calls import Answer, Asked, Call, Event, Lost
from kmem_spec.clauses import CLAUSES, Clause
from kmem_spec.expect import expect, resized
from kmem_spec.extents import IndexedSpans, disjoint
from kmem_spec.finding import Finding, describe, show, show_span
from kmem_spec.ledger import Ledger
from kmem_spec.liveness import RETRIES, Liveness
from kmem_spec.profile import Profile
from kmem_spec.table import DictTable, Refused
from kmem_spec.units import ZERO_SIZE_PTR

CHAPTERS: Final = (caller, mem, page, slab)  # importing a chapter registers its clauses
PLANS_KEPT: Final = 1 << 16
DEATHS_KEPT: Final = 1 << 20  # frees remembered, to tell a second free from a pointer never given
FAMILIES: Final = {api.name: api.family for api in APIS.values()}
NO_OP: Final = {"kfree": "SLAB-FREE-NULL", "free_pages": "PAGE-FREE-NULL"}


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
    """What one shape of call asks for, the rules for each result, and how often each came."""

    asked: Asked
    on_null: tuple[Rule, ...]
    on_object: tuple[Rule, ...]
    legal: bool
    served: bool
    nulls: int = 0
    objects: int = 0
    resizes: dict[tuple[int, bool, bool], tuple[Rule, ...]] = field(default_factory=dict)


class Judge:
    """Judge one history under one profile."""

    def __init__(
        self, profile: Profile, *, waived: frozenset[str] = frozenset(), looked: bool = False
    ) -> None:
        """Start with no live allocation.

        `waived` names clauses that are not judged; `looked` says that the driver compares an object's
        contents before each free, and would have sent a "check" had they changed.
        """
        self.profile = profile
        self.events = 0
        self._looked = looked
        self._clauses = tuple(c for c in profile.clauses() if c.id not in waived)
        self._in_force = {c.id for c in self._clauses}
        self._outcomes = tuple(c for c in self._clauses if c.kind == "outcome" and c.id != "MEM-KEEP")
        self._counts: Counter[str] = Counter()
        self._accepted = 0
        self._freed = 0
        self._repeated = 0
        self._plans: dict[str, dict[tuple[int, ...], Plan]] = {name: {} for name in APIS}
        rules: dict[Role, Callable[[Call, Answer], Finding | None]] = {
            "allocate": self._allocate,
            "resize": self._resize,
            "free": self._free,
            "measure": self._measure,
            "look": self._look,
        }
        self._rules = {api.name: rules[api.role] for api in APIS.values() if api.role in rules}
        self.liveness = Liveness()
        self.start_over()

    def start_over(self) -> None:
        """Forget what is live, as after the target was reset."""
        self._repeated += self.liveness.judged
        self.spans = IndexedSpans()
        self.records: DictTable[Live] = DictTable()
        self.ledger: Ledger[Live] = Ledger(self.spans, self.records)
        self._died: deque[tuple[int, int]] = deque(maxlen=DEATHS_KEPT)  # start, event
        self._ignored: Counter[int] = Counter()  # starts of objects that are not judged, and how many
        self.liveness = Liveness()
        self._cycle_start = 0

    def admit(self, event: Event) -> Finding | None:
        """Take the next event: change the ledger if it is legal, else say which clause it breaks.

        Gives    None, or a finding; the object of a finding is not judged any further
        """
        return self.take(*event)

    def take(self, call: Call, answer: Answer) -> Finding | None:
        """Do as `admit` does, with the parts of the event."""
        api, args = call
        if self._ignored and args[0] in self._ignored and APIS[api].role != "allocate":
            self._pass_over(call, answer)
            finding = None
        else:
            finding = self._rules[api](call, answer)
            if finding is not None and finding.clause not in self._in_force:
                finding = None
        self.events += 1
        return finding

    def lose(self, lost: Lost) -> Finding | None:
        """Take a call that did not return: a violation if the call was legal."""
        call = lost.call
        api = APIS[call.api]
        clause = "MEM-RETURNS"
        finding = self._wrong_mask(call)
        if api.role != "allocate" and call.args[0] <= ZERO_SIZE_PTR:
            clause = NO_OP.get(api.name, clause)
        elif api.role != "allocate" and call.args[0] not in self._ignored:
            finding = finding or self._wrong_pointer(api, call)
        finding = finding or self._finding(clause, f"{show(call)} {lost.how}")
        self.events += 1
        return finding if finding.clause in self._in_force else None

    def leaks(self) -> list[Finding]:
        """Return a finding for each allocation that is live at the end of the history."""
        if "CALLER-LEAK" not in self._in_force:
            return []
        return [
            self._finding("CALLER-LEAK", f"{show_span(start, live.asked.size)} are never freed", live.birth)
            for start, live in self.records.items()
        ]

    def counts(self) -> dict[str, int]:
        """Return how often each clause in force was judged."""
        total = Counter(self._counts)
        total["MEM-RETURNS"] += self.events
        total["MEM-APART"] += self._accepted
        total["MEM-LIVENESS"] += self._repeated + self.liveness.judged
        total["MEM-KEEP"] += self._freed if self._looked else 0
        for plans in self._plans.values():
            for plan in plans.values():
                _add(total, plan)
        return {clause.id: total[clause.id] for clause in self._clauses}

    def _allocate(self, call: Call, answer: Answer) -> Finding | None:
        """Judge a call that makes an object."""
        api, args = call
        plan = self._plans[api].get(args) or self._plan(call)
        asked = plan.asked
        result = answer.result
        if not plan.legal:
            finding = self._wrong_mask(call)
            if finding is not None:
                self._ignore(result)
                return finding
        if result == 0:
            plan.nulls += 1
            rules = plan.on_null
        else:
            plan.objects += 1
            rules = plan.on_object
        for holds, clause in rules:
            if not holds(asked, answer):
                self._ignore(result)
                return self._finding(clause.id, describe(call, asked, answer, clause.id))
        if result == 0 or not plan.served:
            if plan.served and (not self.records or self.liveness.at >= 0):
                return self._follow(call, answer)
            return None
        if not self.records or self.liveness.at >= 0:
            self._follow(call, answer)
        if self._ignored and result in self._ignored:
            self._ignore(result)
            return None
        usable = answer.usable
        size = asked.size
        try:
            self.ledger.accept(
                result,
                usable if usable > size else size,
                new_live((asked, self.events, usable, size, asked.zero_to > 0)),
            )
        except Refused as refused:
            return self._overlap(call, result, max(usable, size), refused.clause)
        self._accepted += 1
        return None

    def _resize(self, call: Call, answer: Answer) -> Finding | None:
        """Judge a krealloc."""
        start, size, mask = call.args
        if 0 <= start <= ZERO_SIZE_PTR:
            return self._allocate(Call(call.api, (0, size, mask)), answer)
        finding = self._wrong_pointer(APIS[call.api], call)
        if finding is not None:
            self._ignore(answer.result)
            return finding
        fresh = (0, size, mask)
        plan = self._plans[call.api].get(fresh) or self._plan(Call(call.api, fresh))
        finding = None if plan.legal else self._wrong_mask(call)
        if finding is not None:
            if answer.result != 0:
                self._end(start)
                self._ignore(answer.result)
            return finding
        old = self.records[start]
        # Linux clears the tail also when an object shrinks, so there zeroes are due from the size last
        # asked for; the documentation alone promises them for bytes that no owner has had.
        strict = "size-classes" in self.profile.promises
        asked = resized(
            plan.asked,
            keep=min(old.asked.size, size) if size else old.asked.size,
            zero_from=old.asked.size if strict else old.high,
            zeroed=old.zeroed,
            stays=answer.result == start,
        )
        null = answer.result == 0
        stuck = self._follow(call, answer) if self.liveness.at >= 0 else None
        for holds, clause in self._resize_rules(plan, asked, null):
            self._counts[clause.id] += 1
            if not holds(asked, answer):
                self._end(start)
                self._ignore(answer.result or start)
                return self._finding(clause.id, describe(call, asked, answer, clause.id), old.birth)
        if null:
            return stuck
        self._end(start)
        if not mem.is_served(asked):
            return None
        if self._ignored and answer.result in self._ignored:
            self._ignore(answer.result)
            return None
        live = Live(asked, self.events, answer.usable, max(old.high, size), old.zeroed and asked.zero_to > 0)
        length = max(answer.usable, size)
        try:
            self.ledger.accept(answer.result, length, live)
        except Refused as refused:
            return self._overlap(call, answer.result, length, refused.clause)
        self._accepted += 1
        return None

    def _resize_rules(self, plan: Plan, asked: Asked, null: bool) -> tuple[Rule, ...]:
        """Return the rules for a resize; of the old object they depend only on what makes the key here."""
        key = (asked.minimum, asked.zero_from < asked.zero_to, null)
        rules = plan.resizes.get(key)
        if rules is None:
            skipped = "object" if null else "null"
            rules = plan.resizes[key] = tuple(
                (c.holds, c) for c in self._outcomes if c.on != skipped and c.applies(asked)
            )
        return rules

    def _free(self, call: Call, answer: Answer) -> Finding | None:
        """Judge a call that gives an object back."""
        name, args = call
        start = args[0]
        if start <= ZERO_SIZE_PTR and (start == 0 or (start > 0 and name == "kfree")):
            self._counts[NO_OP[name]] += 1
            return None
        live = self.records.get(start)
        if (
            live is None
            or live.asked.family != FAMILIES[name]
            or (len(args) > 1 and args[1] != live.asked.order)
        ):
            return self._wrong_pointer(APIS[name], call)
        if self.liveness.at >= 0:
            self._follow(call, answer)
        self._freed += 1
        self.ledger.release(start)
        self._died.append((start, self.events))
        return None

    def _measure(self, call: Call, answer: Answer) -> Finding | None:
        """Judge a ksize."""
        start = call.args[0]
        empty = 0 <= start <= ZERO_SIZE_PTR
        finding = None if empty else self._wrong_pointer(APIS[call.api], call)
        clause = CLAUSES["SLAB-KSIZE"]
        if finding is not None or clause.id not in self._in_force:
            return finding
        self._counts[clause.id] += 1
        live = None if empty else self.records[start]
        size, seen, others = (0, -1, ()) if live is None else (live.asked.size, live.seen, (live.birth,))
        asked = mem.SAMPLE._replace(api=call.api, size=size, slot=max(seen, 0))
        if not clause.holds(asked, answer):
            return self._finding(clause.id, describe(call, asked, answer, clause.id), *others)
        if live is not None and seen < 0:
            self.records.put(start, live._replace(seen=answer.result))
        return None

    def _look(self, call: Call, answer: Answer) -> Finding | None:
        """Judge what a driver saw when it compared an object with what it had written there."""
        start = call.args[0]
        live = self.records.get(start)
        if live is None or "MEM-KEEP" not in self._in_force:
            return None
        self._counts["MEM-KEEP"] += 1
        clause = CLAUSES["MEM-KEEP"]
        if clause.holds(live.asked, answer):
            return None
        self._end(start)
        self._ignore(start)
        return self._finding(clause.id, describe(call, live.asked, answer, clause.id), live.birth)

    def _follow(self, call: Call, answer: Answer) -> Finding | None:
        """Judge liveness: a call that is part of a cycle which ran before, from empty to empty."""
        name, args = call
        api = APIS[name]
        step: tuple[object, ...] = call
        if api.role != "allocate" and args[0] > ZERO_SIZE_PTR:  # which object, not where it lies
            step = (name, self.records[args[0]].birth - self._cycle_start, args[1:])
        pages = api.family == "page"
        if not self.records:
            self._cycle_start = self.events
            self.liveness.begin(step, pages)
        got = answer.result != 0 or api.role == "free"
        if not self.liveness.call(step, got, pages) or "MEM-LIVENESS" not in self._in_force:
            return None
        if pages and expect(call, self.profile).order > self.profile.merge_order:
            return None
        text = (
            f"{show(call)} gave NULL, in {RETRIES} rounds in a row; the same calls from empty worked before, "
            f"everything was freed in between, and nothing else was called"
        )
        return self._finding("MEM-LIVENESS", text)

    def _overlap(self, call: Call, start: int, length: int, clause: str) -> Finding | None:
        """Make the finding for an object that shares bytes with live ones; none of them is judged further."""
        others = [
            (other, extent)
            for other, extent in self.spans.items()
            if not disjoint(start, length, other, extent)
        ]
        births = [self.records[other].birth for other, _ in others]
        shown = "; ".join(
            f"{show_span(other, extent)} from {self.records[other].asked.api}" for other, extent in others[:3]
        )
        for other, _ in others:
            self._end(other)
            self._ignore(other)
        self._ignore(start)
        if clause not in self._in_force:
            return None
        text = f"{show(call)} gave {show_span(start, length)}, which shares bytes with the live {shown}"
        return self._finding(clause, text, *births)

    def _plan(self, call: Call) -> Plan:
        """Work out what a shape of call asks for, and keep it for the next such call."""
        plans = self._plans[call.api]
        if len(plans) >= PLANS_KEPT:
            for old in plans.values():
                _add(self._counts, old)
            plans.clear()
        asked = expect(call, self.profile)
        clauses = [clause for clause in self._outcomes if clause.applies(asked)]
        plan = Plan(
            asked,
            tuple((clause.holds, clause) for clause in clauses if clause.on != "object"),
            tuple((clause.holds, clause) for clause in clauses if clause.on != "null"),
            gfp.mask_is_legal(asked.gfp),
            mem.is_served(asked),
        )
        plans[call.args] = plan
        return plan

    def _wrong_mask(self, call: Call) -> Finding | None:
        """Return the caller's error if the call's mask is illegal."""
        if gfp.mask_is_legal(expect(call, self.profile).gfp) or "CALLER-GFP" not in self._in_force:
            return None
        return self._finding("CALLER-GFP", f"{show(call)} has an illegal mask")

    def _wrong_pointer(self, api: Api, call: Call) -> Finding | None:
        """Return the caller's error if the call's pointer is no live object of the call's family."""
        start = call.args[0]
        live = self.records.get(start)
        if live is None:
            death = next((event for freed, event in reversed(self._died) if freed == start), None)
            if death is not None and api.role == "free":
                return self._finding("CALLER-DOUBLE-FREE", f"{show(call)}: freed before", death)
            text = f"{show(call)}: no live allocation starts there"
            return self._finding("CALLER-FREE", text, *(() if death is None else (death,)))
        if live.asked.family != api.family and api.family != "driver":
            return self._finding("CALLER-FAMILY", f"{show(call)}: it came from {live.asked.api}", live.birth)
        if api.name == "free_pages" and call.args[1] != live.asked.order:
            text = f"{show(call)}: it was allocated with order {live.asked.order}"
            return self._finding("CALLER-ORDER", text, live.birth)
        return None

    def _ignore(self, start: int) -> None:
        """Judge the object at `start`, if there is one, no further."""
        if start > ZERO_SIZE_PTR:
            self._ignored[start] += 1

    def _pass_over(self, call: Call, answer: Answer) -> None:
        """Take a call on an object that is not judged: only where it goes matters."""
        start, role = call.args[0], APIS[call.api].role
        moves = role == "resize" and (answer.result != 0 or call.args[1] == 0)
        if role == "free" or moves:
            self._ignored[start] -= 1
            if self._ignored[start] == 0:
                del self._ignored[start]
        if moves:
            self._ignore(answer.result)

    def _finding(self, clause: str, message: str, *others: int) -> Finding:
        """Make a finding at the present event."""
        return Finding(clause, CLAUSES[clause].who, self.events, others, message)

    def _end(self, start: int) -> None:
        """Release an object, and remember when."""
        self.ledger.release(start)
        self._died.append((start, self.events))


def _add(total: Counter[str], plan: Plan) -> None:
    """Add to the totals how often a plan's clauses were judged."""
    for _, clause in plan.on_null:
        total[clause.id] += plan.nulls
    for _, clause in plan.on_object:
        total[clause.id] += plan.objects
