"""Resizes: krealloc, krealloc_array, vrealloc and kvrealloc of a live object."""

from __future__ import annotations

from kmem_spec import mem
from kmem_spec.apis import APIS
from kmem_spec.calls import Answer, Asked, Call
from kmem_spec.expect import extent_of, resized
from kmem_spec.finding import Finding, describe
from kmem_spec.judging.docket import Live, Plan, Rule
from kmem_spec.judging.objects import Objects
from kmem_spec.table import Refused
from kmem_spec.units import ZERO_SIZE_PTR


class Resizes(Objects):
    """Judge calls that make an object larger or smaller."""

    def resize(self, call: Call, answer: Answer) -> Finding | None:
        """Judge a resize; of nothing it is an allocation."""
        name, args = call
        start, shape = args[0], (0, *args[1:])
        if 0 <= start <= ZERO_SIZE_PTR:
            return self.allocate(Call(name, shape), answer)
        plan = self.plans[name].get(shape) or self.plan(Call(name, shape))
        freed = plan.asked.size == 0
        if start in self.ignored:
            if answer.result != 0 or freed:
                self.pass_over(start)
                self.ignore(answer.result)
            return None
        finding = self.wrong_pointer(APIS[name], call, start)
        if finding is not None:
            self.ignore(answer.result)
            return finding
        finding = None if plan.legal else self.wrong_mask(call, plan.asked)
        if finding is not None:
            if answer.result != 0:
                self.end(start)
                self.ignore(answer.result)
            return finding
        old = self.records[start]
        asked = self._asked(plan, old, stays=answer.result == start)
        null = answer.result == 0
        stuck = self.follow(call, answer) if self.following else None
        for holds, clause in self._rules_for(plan, asked, null):
            self.judged[clause.id] += 1
            if not holds(asked, answer):
                self.end(start)
                self.ignore(answer.result or start)
                return self.finding(clause.id, describe(call, asked, answer, clause.id), old.birth)
        if freed:
            if answer.result != start:  # kvrealloc of 6.1 returns what it was given, which lives on
                self.end(start)
                self.ignore(answer.result)
            return None
        if null:
            return stuck
        self.end(start)
        if mem.is_served(asked):
            return self._take_again(call, answer, asked, old)
        self.ignore(answer.result)
        return None

    def _asked(self, plan: Plan, old: Live, *, stays: bool) -> Asked:
        """Return what the resize asks for.

        Linux clears the tail also when an object shrinks, so there zeroes are due from the size last asked
        for; the documentation alone promises them for bytes that no owner has had.
        """
        size, had = plan.asked.size, old.asked.size
        strict = "size-classes" in self.profile.promises and plan.asked.family == "kmalloc"
        return resized(
            plan.asked,
            keep=min(had, size) if size else had,
            zero_from=had if strict else old.high,
            zeroed=old.zeroed,
            stays=stays,
        )

    def _take_again(self, call: Call, answer: Answer, asked: Asked, old: Live) -> Finding | None:
        """Enter the object as it is now."""
        result, usable = answer[:2]
        if self.ignored and result in self.ignored:
            self.ignore(result)
            return None
        high = max(old.high, asked.size)
        live = Live(asked, self.events, usable, high, old.zeroed and asked.zero_to > 0)
        try:
            self.ledger.accept(result, extent_of(asked, usable) + asked.guard, live)
        except Refused as refused:
            return self.overlap(call, result, asked, usable, refused.clause)
        self.accepted += 1
        return None

    def _rules_for(self, plan: Plan, asked: Asked, null: bool) -> tuple[Rule, ...]:
        """Return the rules for a resize; of the old object they depend only on what makes the key here."""
        key = (asked.minimum, asked.zero_from < asked.zero_to, null)
        rules = plan.resizes.get(key)
        if rules is None:
            skipped = "object" if null else "null"
            rules = plan.resizes[key] = tuple(
                (c.holds, c) for c in self.outcomes[asked.api] if c.on != skipped and c.applies(asked)
            )
        return rules
