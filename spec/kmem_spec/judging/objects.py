"""Objects: what is judged when one is made, copied, looked at, measured and freed."""

from __future__ import annotations

from typing import Final

from kmem_spec import mem
from kmem_spec.apis import APIS, argument
from kmem_spec.calls import Answer, Asked, Call
from kmem_spec.clauses import CLAUSES
from kmem_spec.expect import expect, extent_of
from kmem_spec.finding import Finding, describe, show, show_span
from kmem_spec.judging.cycles import Cycles
from kmem_spec.judging.docket import Plan, mask_is_legal_for, new_live
from kmem_spec.profile import Profile
from kmem_spec.table import Refused
from kmem_spec.units import PAGE_SHIFT, ZERO_SIZE_PTR

NO_OP = {
    "kfree": "SLAB-FREE-NULL",
    "kfree_sensitive": "SLAB-FREE-NULL",
    "kvfree": "SLAB-FREE-NULL",
    "free_pages": "PAGE-FREE-NULL",
    "vfree": "VM-FREE-NULL",
    "vunmap": "VM-FREE-NULL",
    "mempool_free": "POOL-NULL",
    "kmem_cache_destroy": "CACHE-DESTROY-NULL",
    "mempool_destroy": "POOL-NULL",
}
TAKES_ZERO_SIZE = frozenset({"kfree", "kfree_sensitive", "kvfree"})
POINTER_AT = {
    api.name: next((at for at, kind in enumerate(api.parameters) if kind == "pointer"), 0)
    for api in APIS.values()
}
# For each call that frees one object: where that stands, which families it takes, whether it is all there is.
FREEING: Final = {
    api.name: (POINTER_AT[api.name], api.takes, len(api.parameters) == 1)
    for api in APIS.values()
    if api.role == "free"
}


class Objects(Cycles):
    """Judge calls that make, free or look at one object."""

    def __init__(self, profile: Profile, waived: frozenset[str]) -> None:
        """Start with nothing live."""
        self.accepted = 0
        self.freed = 0
        super().__init__(profile, waived)

    def allocate(self, call: Call, answer: Answer, plan: Plan | None = None) -> Finding | None:
        """Judge a call that makes one object, and take the object; `plan` where `call` says not all."""
        if plan is None:
            api, args = call
            plan = self.plans[api].get(args) or self.plan(call)
        asked = plan.asked
        result, usable = answer[:2]
        if not plan.legal:
            finding = self.wrong_mask(call, asked)
            if finding is not None:
                self.ignore(result, asked)
                return finding
        if result == 0:
            plan.nulls += 1
            rules = plan.on_null
        else:
            plan.objects += 1
            rules = plan.on_object
        for holds, clause in rules:
            if not holds(asked, answer):
                return self.reject(clause.id, call, answer, asked)
        if answer[4] >= 0 and plan.on_sleep:
            holds, clause = plan.on_sleep[0]
            self.judged[clause.id] += 1
            if not holds(asked, answer):
                return self.reject(clause.id, call, answer, asked)
        if (result == 0 or self.reach.watching) and not self.injecting:
            short = self.compare(call, asked, result) if plan.served else None
            if short is not None:
                self.ignore(result, asked)
                return short
        if result == 0 or not plan.served:
            self.ignore(result, asked)
            return self.follow(call, answer) if plan.served and (not self.records or self.following) else None
        if not self.records or self.following:
            self.follow(call, answer)
        if self.ignored and result in self.ignored:
            self.ignore(result, asked)
            return None
        size = asked.size
        own = (usable if usable > size else size) if plan.simple else extent_of(asked, usable) + asked.guard
        live = new_live((asked, self.events, usable, size, asked.zero_to > 0))
        try:
            self.ledger.accept(result, own, live)
        except Refused as refused:
            return self.overlap(call, result, asked, usable, refused.clause)
        self.accepted += 1
        if asked.handle:
            self.enter(result, asked)
        return self.on_frame(call, result, own, asked) if self.frames else None

    def reject(self, clause: str, call: Call, answer: Answer, asked: Asked) -> Finding:
        """Make the finding for an answer that breaks a rule of its outcome."""
        self.ignore(answer.result, asked)
        return self.finding(clause, describe(call, asked, answer, clause))

    def on_frame(self, call: Call, start: int, length: int, asked: Asked) -> Finding | None:
        """Judge whether a new object has a page frame that an area has."""
        if asked.guard:  # an area's own addresses say nothing of its frames
            return None
        for page in range(start >> PAGE_SHIFT, (start + length - 1 >> PAGE_SHIFT) + 1):
            area, number = self.frames.get(page << PAGE_SHIFT, (0, 0))
            if area and "VM-FRAME-OWN" in self.in_force:
                text = (
                    f"{show(call)} gave {show_span(start, length)}: page {number} of the live area {area:#x}"
                )
                birth = self.records[area].birth
                self.put_aside(start)
                return self.finding("VM-FRAME-OWN", text, birth)
        return None

    def plan(self, call: Call) -> Plan:
        """Work out what a shape of call asks for, and keep it for the next such call."""
        asked = expect(call, self.profile)
        legal = mask_is_legal_for(APIS[call.api], asked)
        return self.plan_for(call.api, call.args, asked, legal=legal, served=mem.is_served(asked))

    def copy(self, call: Call, answer: Answer) -> Finding | None:
        """Judge a kmemdup, kstrdup or kstrndup."""
        name, args = call
        if args[0] == 0 and name != "kmemdup":
            self.judged["SLAB-COPY"] += 1
            if answer.result == 0:
                return None
            self.ignore(answer.result)
            return self.finding("SLAB-COPY", f"{show(call)} gave {answer.result:#x}")
        nothing = name == "kmemdup" and args[1] == 0  # for that any source will do
        if not nothing and (args[0] in self.ignored or args[0] not in self.records):
            self.ignore(answer.result)
            return self.wrong_source(call)
        size = 0 if nothing else self.records[args[0]].asked.size
        finding = self.wrong_source(call)
        if finding is not None:
            self.ignore(answer.result)
            return finding
        size = args[1] if name == "kmemdup" else size
        size = min(size, args[1] + 1) if name == "kstrndup" else size
        shape = (0, size, argument(APIS[name], args, "gfp"))
        plan = self.plans[name].get(shape)
        if plan is None:
            asked = expect(Call("kmemdup", shape), self.profile)._replace(api=name)
            legal = mask_is_legal_for(APIS[name], asked)
            plan = self.plan_for(name, shape, asked, legal=legal, served=mem.is_served(asked))
        return self.allocate(call, answer, plan)

    def wrong_source(self, call: Call) -> Finding | None:
        """Return the caller's error if there is nothing to copy, or not as much."""
        start = call.args[0]
        live = self.records.get(start)
        if start in self.ignored or (call.api == "kmemdup" and call.args[1] == 0):
            return None
        if live is None:
            return self.finding("CALLER-FREE", f"{show(call)}: no live allocation starts there")
        if call.api != "kmemdup" or call.args[1] <= live.asked.size:
            return None
        return self.finding("CALLER-BOUNDS", f"{show(call)}: it has {live.asked.size} bytes", live.birth)

    def free(self, call: Call, answer: Answer) -> Finding | None:
        """Judge a call that gives an object back."""
        name, args = call
        at, takes, alone = FREEING[name]
        start = args[at]
        if 0 <= start <= ZERO_SIZE_PTR and name in NO_OP and (start == 0 or name in TAKES_ZERO_SIZE):
            self.judged[NO_OP[name]] += 1
            return None
        if start in self.ignored:
            self.pass_over(start)
            return None
        live = self.records.get(start)
        fits = live is not None and live.asked.family in takes
        if live is None or not fits or not (alone or args[1 - at] == (live.asked.handle or live.asked.order)):
            wrong = self.wrong_pointer(APIS[name], call, start)
            if wrong is not None or live is None:
                return wrong
        if self.following:
            self.follow(call, answer)
        self.freed += 1
        if live.asked.handle:
            self.leave(start, live.asked)
        self.ledger.release(start)
        self.note_death(start)
        return self.wrong_sleep(call, live.birth) if answer[4] > 0 else None

    def wrong_sleep(self, call: Call, *others: int) -> Finding | None:
        """Judge a call that slept and gives something back."""
        if APIS[call.api].sleeps or "GFP-SLEEP" not in self.in_force:
            return None
        return self.finding("GFP-SLEEP", f"{show(call)} slept", *others)

    def free_bulk(self, call: Call, answer: Answer) -> Finding | None:
        """Judge a call that gives several objects back: each as if it were alone."""
        api = APIS[call.api]
        starts = call.args[len(api.parameters) :]
        first = None
        if self.following:
            self.follow(call, answer)
        for start in starts:
            if start in self.ignored:
                self.pass_over(start)
                continue
            finding = self.wrong_pointer(api, call, start)
            if finding is None:
                self.freed += 1
                self.end(start)
            first = first or finding
        return first or (self.wrong_sleep(call) if answer.slept > 0 else None)

    def measure(self, call: Call, answer: Answer) -> Finding | None:
        """Judge a ksize."""
        start = call.args[0]
        empty = 0 <= start <= ZERO_SIZE_PTR
        if start in self.ignored:
            return None
        finding = None if empty else self.wrong_pointer(APIS[call.api], call, start)
        if finding is not None:
            return finding
        live = None if empty else self.records[start]
        size, seen, others = (0, -1, ()) if live is None else (live.asked.size, live.seen, (live.birth,))
        asked = mem.SAMPLE._replace(api=call.api, size=size, slot=max(seen, 0))
        finding = self.broken(call, asked, answer, *others)
        if finding is None and live is not None and seen < 0:
            self.records.put(start, live._replace(seen=answer.result))
        return finding

    def compute(self, call: Call, answer: Answer) -> Finding | None:
        """Judge a function of its arguments alone."""
        return self.broken(call, expect(call, self.profile), answer)

    def look(self, call: Call, answer: Answer) -> Finding | None:
        """Judge what a driver saw when it compared an object with what it had written there."""
        start = call.args[0]
        live = self.records.get(start)
        if live is None or "MEM-KEEP" not in self.in_force:
            return None
        self.judged["MEM-KEEP"] += 1
        clause = CLAUSES["MEM-KEEP"]
        if clause.holds(live.asked, answer):
            return None
        self.put_aside(start)
        return self.finding(clause.id, describe(call, live.asked, answer, clause.id), live.birth)
