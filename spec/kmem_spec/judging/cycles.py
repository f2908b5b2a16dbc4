"""Cycles: calls that are compared with those before them, for liveness and for how deep a mask reaches."""

from __future__ import annotations

from dataclasses import dataclass, field

from kmem_spec.apis import APIS, argument
from kmem_spec.calls import Answer, Asked, Call
from kmem_spec.expect import BLOCKS, expect
from kmem_spec.finding import Finding, show
from kmem_spec.gfp import may_sleep
from kmem_spec.judging.docket import Docket
from kmem_spec.liveness import RETRIES, Liveness
from kmem_spec.profile import Profile
from kmem_spec.reach import RETRIES as ROW
from kmem_spec.reach import Reach, Request
from kmem_spec.units import get_order

ENDING = frozenset(
    api.name for api in APIS.values() if api.role in {"free", "free bulk", "destroy", "adjust"}
)
OF_HANDLES = frozenset(api.name for api in APIS.values() if api.role in {"create", "destroy"})
OF_PAGES = frozenset(api.name for api in APIS.values() if api.family in BLOCKS)
POINTERS = frozenset({"pointer", "source"})
NAMED = frozenset({*POINTERS, "cache", "pool", "vector"})  # parameters that are addresses
POINTERS_AT = {
    api.name: tuple(at for at, kind in enumerate(api.parameters) if kind in POINTERS) for api in APIS.values()
}
VECTOR_AT = {api.name: len(api.parameters) for api in APIS.values()}  # behind all others
# Calls that name nothing, and those that name one object alone, with the place of its pointer: most calls.
PLAIN = frozenset(api.name for api in APIS.values() if NAMED.isdisjoint(api.parameters))
OF_ONE = {
    api.name: api.parameters.index("pointer")
    for api in APIS.values()
    if [kind for kind in api.parameters if kind in NAMED] == ["pointer"]
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


class Cycles(Docket):
    """Follow calls from one moment with nothing live to the next, and refusals that a success follows."""

    def __init__(self, profile: Profile, waived: frozenset[str]) -> None:
        """Start with nothing live."""
        self.objects, self.whole = Cycle(), Cycle()
        self.following = False
        self.reach = Reach()
        super().__init__(profile, waived)

    def clear(self) -> None:
        """Forget what is live."""
        super().clear()
        self.judged.update(self.followed())
        self.forget_cycles()
        self.injecting = False  # whether failures are armed: then what fails says nothing

    def forget_cycles(self) -> None:
        """Compare no call with one before."""
        self.objects, self.whole = Cycle(), Cycle()
        self.following = False
        self.reach = Reach()

    def rebase(self) -> None:
        """Compare no call with one before that found more memory: a new cache or pool has taken some."""
        self.judged["MEM-LIVENESS"] += self.objects.liveness.judged
        self.objects = Cycle()
        self.following = self.whole.liveness.at >= 0

    def followed(self) -> dict[str, int]:
        """Return how often the clauses that compare calls were judged since nothing was known."""
        return {
            "MEM-LIVENESS": self.objects.liveness.judged + self.whole.liveness.judged,
            **self.reach.judged,
        }

    def follow(self, call: Call, answer: Answer) -> Finding | None:
        """Judge liveness: a call that is part of a cycle which ran before, from empty to empty."""
        if self.asked_at >= 0:  # what follows a bulk call is part of it
            return None
        name, objects, whole, counts = call[0], self.objects, self.whole.liveness, not self.injecting
        alone = objects.liveness
        got = answer[0] != 0 or name in ENDING
        pages = name in OF_PAGES
        refused = False
        if not self.records and name not in OF_HANDLES:
            step = self.step(call, self.events)
            objects.begin_at(self.events, step, pages)
            refused = alone.call(step, got, pages, counts)
        elif alone.at >= 0:
            refused = alone.call(self.step(call, objects.start), got, pages, counts)
        if whole.at >= 0 or name in OF_HANDLES:
            refused = self._follow_whole(call, got, counts) or refused
        self.following = alone.at >= 0 or whole.at >= 0
        if not refused or "MEM-LIVENESS" not in self.in_force:
            return None
        if pages and self._may_stay_split(call):
            return None
        text = (
            f"{show(call)} gave NULL, in {RETRIES} rounds in a row; the same calls from empty worked before, "
            f"everything was freed in between, and nothing else was called"
        )
        return self.finding("MEM-LIVENESS", text)

    def _may_stay_split(self, call: Call) -> bool:
        """Say whether a block of that size need not be there again after everything was freed.

        Per-processor lists hold pages back, any order above 0 from who may not wait for them to be drained.
        Source   mm/page_alloc.c: free_unref_page_commit, __alloc_pages_direct_reclaim
        """
        asked, profile = expect(call, self.profile), self.profile
        has_lists = profile.merge_order < profile.max_order
        return get_order(asked.size) > (0 if has_lists and not may_sleep(asked.gfp) else profile.merge_order)

    def _follow_whole(self, call: Call, got: bool, counts: bool) -> bool:
        """Take a call as part of a cycle that begins with the making of a cache or a pool."""
        whole = self.whole
        if APIS[call.api].role == "create" and not self.records and self.no_handles():
            whole.begin_at(self.events, self.step(call, self.events), pages=False)
        if whole.liveness.at < 0:
            return False
        return whole.liveness.call(self.step(call, whole.start), got, False, counts)

    def no_handles(self) -> bool:
        """Say whether no cache and no pool is live."""
        return True

    def step(self, call: Call, start: int) -> tuple[object, ...]:
        """Return a call as a step of a cycle that began at event `start`: which object, not where it lies."""
        name, args = call
        if name in PLAIN:
            return call
        at = OF_ONE.get(name)
        if at is None:
            return self.long_step(call, start)
        live = self.records.get(args[at])
        return call if live is None else (name, live.birth - start, args[:at] + args[at + 1 :])

    def long_step(self, call: Call, start: int) -> tuple[object, ...]:
        """Return a call that names several things as a step of a cycle."""
        name, args = call
        known, rest = self.records, list[object](args)
        for at in POINTERS_AT[name]:
            live = known.get(args[at])
            if live is not None:
                rest[at] = (live.birth - start,)
        for at in range(VECTOR_AT[name], len(args)):
            live = known.get(args[at])
            if live is not None:
                rest[at] = live.birth - start
        return (name, *rest)

    def compare(self, call: Call, asked: Asked, result: int) -> Finding | None:
        """Judge how deep the mask reaches, against the request before, which was refused."""
        mask = argument(APIS[call.api], call.args, "gfp")
        at = APIS[call.api].parameters.index("gfp") if "gfp" in APIS[call.api].parameters else len(call.args)
        request = Request(call.api, call.args[:at] + call.args[at + 1 :], mask)
        pair = self.reach.request(request, self.events, served=result != 0)
        if pair is None or pair not in self.in_force:
            return None
        again = "" if pair == "GFP-NOFAIL" else f", {ROW} times in a row"
        slow = "may sleep" if may_sleep(asked.gfp) else "may not sleep"
        text = f"{show(call)} ({slow}) succeeded at once after the request before it was refused{again}"
        return self.finding(pair, text, self.events - 1)
