"""Bulks: what is judged when several objects are made at once."""

from __future__ import annotations

from typing import Final

from kmem_spec import mem
from kmem_spec.apis import APIS
from kmem_spec.calls import Answer, Call
from kmem_spec.finding import Finding
from kmem_spec.gfp import ZERO
from kmem_spec.judging.caches import Caches

Bulk = tuple[Call, int, str]  # the request for each object, how many there are, the clause that says so
NO_BULK: Final[Bulk] = (Call("kmalloc", (0, 0)), 0, "")


class Bulks(Caches):
    """Judge bulk calls for objects of a cache and for pages."""

    def clear(self) -> None:
        """Forget what is live."""
        super().clear()
        self.bulk = NO_BULK

    def ask_bulk(self, call: Call, answer: Answer) -> Finding | None:
        """Judge a request for several objects; an `item` follows for each."""
        self.bulk = NO_BULK
        finding = None
        if APIS[call.api].family == "page":
            asked = mem.SAMPLE._replace(api=call.api, family="page", gfp=call.args[0], order=call.args[1])
            one, clause = Call("alloc_pages", (call.args[0], 0)), "PAGE-BULK"
        else:
            shape = self.caches.get(call.args[0])
            if shape is None:
                return self.on_unknown(call)
            if shape.constructor and call.args[1] & ZERO:
                return self.wrong_zeroes(call)
            asked = self.asked_of(call, shape)
            one, clause = Call("kmem_cache_alloc", call.args[:2]), "CACHE-BULK"
        finding = self.wrong_mask(call, asked) or self.broken(call, asked, answer)
        if finding is not None:
            return finding
        self.bulk = (one, answer.result, clause)
        stuck = self.follow(call, answer) if not self.records or self.following else None
        return stuck if answer.result == 0 else None

    def item(self, call: Call, answer: Answer) -> Finding | None:
        """Judge one object of a bulk."""
        one, count, clause = self.bulk
        place = call.args[0]
        if place >= count:
            self.ignore(answer.result)
            return None
        asked_at = self.events - 1 - place
        if answer.result == 0:
            text = f"the bulk call before gave {count} objects, and object {place} is NULL"
            return self.finding(clause, text, asked_at)
        self.asked_at = asked_at
        finding = self.allocate(one, answer) if one.api == "alloc_pages" else self.allocate_of(one, answer)
        self.asked_at = -1
        return finding
