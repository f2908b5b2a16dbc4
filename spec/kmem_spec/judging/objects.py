"""Objects: what is judged when one is made, copied, looked at, measured and freed."""

from __future__ import annotations

from dataclasses import dataclass, field

from kmem_spec import mem
from kmem_spec.apis import APIS, argument
from kmem_spec.calls import Answer, Asked, Call
from kmem_spec.clauses import CLAUSES
from kmem_spec.expect import expect, extent_of
from kmem_spec.finding import Finding, describe, show, show_span
from kmem_spec.gfp import may_sleep
from kmem_spec.judging.docket import Docket, Plan, mask_is_legal_for, new_live
from kmem_spec.liveness import RETRIES, Liveness
from kmem_spec.profile import Profile
from kmem_spec.reach import RETRIES as ROW
from kmem_spec.reach import Reach, Request
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
ENDING = frozenset({"free", "free bulk", "destroy", "adjust"})
POINTERS = frozenset({"pointer", "source"})
TAKES_ZERO_SIZE = frozenset({"kfree", "kfree_sensitive", "kvfree"})
POINTER_AT = {
    api.name: next((at for at, kind in enumerate(api.parameters) if kind == "pointer"), 0)
    for api in APIS.values()
}


@dataclass(slots=True)
class Cycle:
    """Liveness followed from some event on."""

    liveness: Liveness = field(default_factory=Liveness)
    start: int = 0

    def begin_at(self, event: int, step: tuple[object, ...], pages: bool) -> None:
        """Begin a cycle with a call."""
        self.start = event
        self.liveness.begin(step, pages)


class Objects(Docket):
    """Judge calls that make, free or look at one object."""

    def __init__(self, profile: Profile, waived: frozenset[str]) -> None:
        """Start with nothing live."""
        self.objects, self.whole = Cycle(), Cycle()
        self.following = self.injecting = False
        self.reach = Reach()
        self.accepted = 0
        self.freed = 0
        super().__init__(profile, waived)

    def clear(self) -> None:
        """Forget what is live."""
        super().clear()
        self.judged.update(self.followed())
        self.forget_cycles()
        self.injecting = False  # whether a failure is armed: then what fails says nothing

    def forget_cycles(self) -> None:
        """Compare no call with one before."""
        self.objects, self.whole = Cycle(), Cycle()
        self.following = False
        self.reach = Reach()

    def followed(self) -> dict[str, int]:
        """Return how often the clauses that compare calls were judged since nothing was known."""
        return {
            "MEM-LIVENESS": self.objects.liveness.judged + self.whole.liveness.judged,
            **self.reach.judged,
        }

    def allocate(self, call: Call, answer: Answer) -> Finding | None:
        """Judge a call that makes an object."""
        api, args = call
        return self.make(call, answer, self.plans[api].get(args) or self.plan(call))

    def make(self, call: Call, answer: Answer, plan: Plan) -> Finding | None:
        """Judge an answer to a request for one object, and take the object."""
        asked = plan.asked
        result = answer.result
        if not plan.legal:
            finding = self.wrong_mask(call, asked)
            if finding is not None:
                self.ignore(result)
                return finding
        if result == 0:
            plan.nulls += 1
            rules = plan.on_null
        else:
            plan.objects += 1
            rules = plan.on_object
        for holds, clause in rules:
            if not holds(asked, answer):
                self.ignore(result)
                return self.finding(clause.id, describe(call, asked, answer, clause.id))
        if (result == 0 or self.reach.refused is not None) and not self.injecting:
            short = self.compare(call, asked, result) if plan.served else None
            if short is not None:
                self.ignore(result)
                return short
        if result == 0 or not plan.served:
            if plan.served and (not self.records or self.following):
                return self.follow(call, answer)
            return None
        if not self.records or self.following:
            self.follow(call, answer)
        return self.take_object(call, answer, asked)

    def take_object(self, call: Call, answer: Answer, asked: Asked) -> Finding | None:
        """Enter a new object into the ledger."""
        result, usable = answer[:2]
        if self.ignored and result in self.ignored:
            self.ignore(result)
            return None
        size = asked.size
        own = (usable if usable > size else size) if asked.minimum < 4096 else extent_of(asked, usable)
        live = new_live((asked, self.events, usable, size, asked.zero_to > 0))
        try:
            self.ledger.accept(result, own + asked.guard, live)
        except Refused as refused:
            return self.overlap(call, result, asked, usable, refused.clause)
        self.accepted += 1
        if asked.handle:
            self.enter(result, asked)
        return self.on_frame(call, result, own, asked) if self.frames else None

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
                return self.finding("VM-FRAME-OWN", text, self.records[area].birth)
        return None

    def plan(self, call: Call) -> Plan:
        """Work out what a shape of call asks for, and keep it for the next such call."""
        asked = expect(call, self.profile)
        legal = mask_is_legal_for(APIS[call.api], asked)
        return self.plan_for(call.api, call.args, asked, legal=legal, served=mem.is_served(asked))

    def copy(self, call: Call, answer: Answer) -> Finding | None:
        """Judge a kmemdup, kstrdup or kstrndup."""
        name, args = call
        source = self.records.get(args[0])
        if args[0] == 0 and name != "kmemdup":
            self.judged["SLAB-COPY"] += 1
            wrong = answer.result != 0
            return self.finding("SLAB-COPY", f"{show(call)} gave {answer.result:#x}") if wrong else None
        if source is None:
            if args[0] in self.ignored:
                self.ignore(answer.result)
                return None
            self.ignore(answer.result)
            return self.finding("CALLER-FREE", f"{show(call)}: no live allocation starts there")
        held = source.asked.size
        size = args[1] if name == "kmemdup" else held
        size = min(held, args[1] + 1) if name == "kstrndup" else size
        if size > held:
            self.ignore(answer.result)
            return self.finding("CALLER-BOUNDS", f"{show(call)}: it has {held} bytes", source.birth)
        shape = (0, size, argument(APIS[name], args, "gfp"))
        plan = self.plans[name].get(shape)
        if plan is None:
            asked = expect(Call("kmemdup", shape), self.profile)._replace(api=name)
            legal = mask_is_legal_for(APIS[name], asked)
            plan = self.plan_for(name, shape, asked, legal=legal, served=mem.is_served(asked))
        return self.make(call, answer, plan)

    def free(self, call: Call, answer: Answer) -> Finding | None:
        """Judge a call that gives an object back."""
        name, args = call
        start = args[POINTER_AT[name]]
        if name in NO_OP and (start == 0 or (0 < start <= ZERO_SIZE_PTR and name in TAKES_ZERO_SIZE)):
            self.judged[NO_OP[name]] += 1
            return None
        if start in self.ignored:
            self.pass_over(start)
            return None
        api = APIS[name]
        live = self.records.get(start)
        if live is None or live.asked.family not in api.takes or len(args) > 1:
            wrong = self.wrong_pointer(api, call, start)
            if wrong is not None or live is None:
                return wrong
        if answer.slept > 0 and not api.sleeps:
            return self.finding("GFP-SLEEP", f"{show(call)} slept", live.birth)
        if self.following:
            self.follow(call, answer)
        self.freed += 1
        if live.asked.handle:
            self.leave(start, live.asked)
        self.ledger.release(start)
        self.note_death(start)
        return None

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
        return first

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
        self.end(start)
        self.ignore(start)
        return self.finding(clause.id, describe(call, live.asked, answer, clause.id), live.birth)

    def follow(self, call: Call, answer: Answer) -> Finding | None:
        """Judge liveness: a call that is part of a cycle which ran before, from empty to empty."""
        if self.injecting:
            return None
        api = APIS[call.api]
        got = answer.result != 0 or api.role in ENDING
        pages = api.family == "page"
        refused = False
        for cycle in (self.objects, self.whole):
            if cycle is self.objects and not self.records and api.role not in ("create", "destroy"):
                cycle.begin_at(self.events, self.step(call, self.events), pages)
            elif cycle is self.whole and api.role == "create" and not self.records and self.no_handles():
                cycle.begin_at(self.events, self.step(call, self.events), pages=False)
            elif cycle.liveness.at < 0:
                continue
            step = self.step(call, cycle.start)
            refused = cycle.liveness.call(step, got, pages and cycle is self.objects) or refused
        self.following = self.objects.liveness.at >= 0 or self.whole.liveness.at >= 0
        if not refused or "MEM-LIVENESS" not in self.in_force:
            return None
        if pages and expect(call, self.profile).order > self.profile.merge_order:
            return None
        text = (
            f"{show(call)} gave NULL, in {RETRIES} rounds in a row; the same calls from empty worked before, "
            f"everything was freed in between, and nothing else was called"
        )
        return self.finding("MEM-LIVENESS", text)

    def no_handles(self) -> bool:
        """Say whether no cache and no pool is live."""
        return True

    def step(self, call: Call, start: int) -> tuple[object, ...]:
        """Return a call as a step of a cycle that began at event `start`: which object, not where it lies."""
        api, args = APIS[call.api], call.args
        known = self.records
        return (
            call.api,
            *(
                (known[arg].birth - start,) if kind in POINTERS and arg in known else arg
                for kind, arg in zip(api.parameters, args, strict=False)
            ),
            *(known[arg].birth - start if arg in known else arg for arg in args[len(api.parameters) :]),
        )

    def compare(self, call: Call, asked: Asked, result: int) -> Finding | None:
        """Judge how deep the mask reaches, against the request before, which was refused."""
        mask = argument(APIS[call.api], call.args, "gfp")
        at = APIS[call.api].parameters.index("gfp") if "gfp" in APIS[call.api].parameters else len(call.args)
        request = Request(call.api, call.args[:at] + call.args[at + 1 :], mask)
        pair = self.reach.request(request, served=result != 0)
        if pair is None or pair not in self.in_force:
            return None
        again = "" if pair == "GFP-NOFAIL" else f", {ROW} times in a row"
        slow = "may sleep" if may_sleep(asked.gfp) else "may not sleep"
        text = f"{show(call)} ({slow}) succeeded at once after the request before it was refused{again}"
        return self.finding(pair, text, self.events - 1)
