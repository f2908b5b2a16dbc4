"""The judge: reads a history event by event, admits each or names the clause that it breaks.

It accepts every legal outcome: any address, any order of reuse, any size that holds the request. Its
memory of what is live changes only through steps, such as those of `Ledger`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Final

from kmem_spec import caller, kmem_cache, mem, page, pool, reach, slab, vmalloc
from kmem_spec.apis import APIS, Role
from kmem_spec.calls import Answer, Call, Event
from kmem_spec.expect import expect
from kmem_spec.finding import Finding, show_span
from kmem_spec.judging.docket import add_plan
from kmem_spec.judging.losses import Losses
from kmem_spec.judging.pools import EVERYTHING
from kmem_spec.profile import Profile
from kmem_spec.reach import Reach

# importing a chapter registers its clauses
CHAPTERS: Final = (caller, kmem_cache, mem, page, pool, reach, slab, vmalloc)
Take = Callable[[Call, Answer], Finding | None]


class Judge(Losses):
    """Judge one history under one profile."""

    def __init__(
        self, profile: Profile, *, waived: frozenset[str] = frozenset(), looked: bool = False
    ) -> None:
        """Start with no live allocation.

        `waived` names clauses that are not judged; `looked` says that the driver compares an object's
        contents before each free, and would have sent a "check" had they changed.
        """
        self._looked = looked
        super().__init__(profile, waived)
        rules: dict[Role, Take] = {
            "allocate": self.allocate,
            "copy": self.copy,
            "bulk": self.ask_bulk,
            "item": self.item,
            "resize": self.resize,
            "split": self.split,
            "map": self.map,
            "free": self.free,
            "free bulk": self.free_bulk,
            "create": self.create,
            "destroy": self.destroy_cache,
            "adjust": self.shrink,
            "measure": self.measure,
            "describe": self.describe_cache,
            "locate": self.locate,
            "compute": self.compute,
            "look": self.look,
            "set": self._set,
        }
        self._rules = {api.name: rules[api.role] for api in APIS.values()}
        for name in ("kmem_cache_alloc", "kmem_cache_zalloc"):
            self._rules[name] = self.allocate_of
        self._rules["mempool_alloc"] = self.allocate_from
        for name in ("mempool_create", "mempool_create_slab_pool"):
            self._rules[name] = self.create_pool
        self._rules["mempool_resize"] = self.resize_pool
        self._rules["mempool_destroy"] = self.destroy_pool

    def start_over(self) -> None:
        """Forget what is live, as after the target was reset."""
        self.clear()

    def admit(self, event: Event) -> Finding | None:
        """Take the next event: change the ledger if it is legal, else say which clause it breaks.

        Gives    None, or a finding; the object of a finding is not judged any further
        """
        return self.take(*event)

    def take(self, call: Call, answer: Answer) -> Finding | None:
        """Do as `admit` does, with the parts of the event."""
        if answer[5] or self.atomic:
            finding = self._with_notes(call, answer)
        else:
            finding = self._rules[call[0]](call, answer)
        if finding is not None and finding.clause not in self.in_force:
            finding = None
        self.events += 1
        return finding

    def leaks(self) -> list[Finding]:
        """Return a finding for each allocation, cache and pool that is live at the end of the history."""
        if "CALLER-LEAK" not in self.in_force:
            return []
        return [
            self.finding("CALLER-LEAK", f"{show_span(start, live.asked.size)} are never freed", live.birth)
            for start, live in self.records.items()
        ] + [
            self.finding("CALLER-LEAK", f"the {kind} at {handle:#x} is never destroyed", known.birth)
            for kind, table in (("cache", self.caches), ("pool", self.pools))
            for handle, known in table.items()
        ]

    def counts(self) -> dict[str, int]:
        """Return how often each clause in force was judged."""
        total = Counter(self.judged)
        total["MEM-RETURNS"] += self.events
        total["MEM-APART"] += self.accepted
        total["VM-GUARD"] += sum(
            plan.objects for name in APIS for plan in self.plans[name].values() if plan.asked.guard
        )
        total.update(self.followed())
        total["MEM-KEEP"] += self.freed if self._looked else 0
        for plans in self.plans.values():
            for plan in plans.values():
                add_plan(total, plan)
        return {clause.id: total[clause.id] for clause in self.clauses}

    def _set(self, call: Call, _answer: Answer) -> Finding | None:
        """Take a setting: a context, or a failure that is armed, after which failing says nothing."""
        if call.api == "preempt_disable":
            self.atomic += 1
        elif call.api == "preempt_enable":
            self.atomic = max(0, self.atomic - 1)
        else:
            self.judged.update(self.reach.judged)
            self.reach = Reach()
            if call.api == "fail_nth":
                self.set_failing(EVERYTHING, failing=call.args[0] > 0)
            elif call.args[0] in self.pools:
                self.set_failing(call.args[0], failing=call.args[1] > 0)
        return None

    def _with_notes(self, call: Call, answer: Answer) -> Finding | None:
        """Judge a call during which constructors or destructors ran, or one in atomic context."""
        wrong = self.wrong_context(call) if self.atomic else None
        if wrong is not None and wrong.clause in self.in_force:
            self.stand_aside(call, answer.result)
            self.hear(answer.notes)
            return wrong
        # what is freed is free, and what is created is there, before its notes are read
        late = APIS[call.api].role in ("free", "free bulk", "create", "resize")
        heard = None if late else self.hear(answer.notes)
        finding = self._rules[call.api](call, answer)
        return (self.hear(answer.notes) if late else heard) or finding


__all__ = ["Judge", "expect"]
