"""Pages and areas: split_page, vmap, and what is told of a place in an area."""

from __future__ import annotations

from kmem_spec.apis import APIS
from kmem_spec.calls import Answer, Call
from kmem_spec.expect import AREAS, expect, extent_of
from kmem_spec.finding import Finding, show
from kmem_spec.judging.docket import Live, new_live
from kmem_spec.judging.pools import Pools
from kmem_spec.units import PAGE_SHIFT, PAGE_SIZE

ELSEWHERE = frozenset({"kmalloc", "cache", "page", "exact"})  # families that no vmalloc memory serves


class Areas(Pools):
    """Judge calls on blocks of pages and on areas."""

    def clear(self) -> None:
        """Forget what is live."""
        super().clear()
        self.given: dict[int, tuple[int, ...]] = {}  # vmap area, and the pages that it was made of

    def split(self, call: Call, _answer: Answer) -> Finding | None:
        """Judge a split_page: from here on each page is an allocation of its own."""
        start, order = call.args
        if start in self.ignored:
            self.pass_over(start)
            for page in range(1 << min(order, self.profile.max_order)):
                self.ignore(start + page * PAGE_SIZE)
            return None
        finding = self.wrong_pointer(APIS[call.api], call, start)
        if finding is not None:
            return finding
        mask = self.records[start].asked.gfp
        asked = expect(Call("alloc_pages", (mask, 0)), self.profile)
        zeroed = self.records[start].zeroed
        self.end(start)
        for page in range(start, start + (PAGE_SIZE << order), PAGE_SIZE):
            self.ledger.accept(page, PAGE_SIZE, new_live((asked, self.events, -1, PAGE_SIZE, zeroed)))
        return None

    def map(self, call: Call, answer: Answer) -> Finding | None:
        """Judge a vmap."""
        api = APIS[call.api]
        pages = call.args[len(api.parameters) :]
        for page in pages:
            if page in self.ignored:
                self.ignore(answer.result)
                return None
            live = self.records.get(page)
            if live is None or live.asked.family not in api.takes:
                self.ignore(answer.result)
                return self.wrong_pointer(api, call, page)
        shape = (0, *call.args[1 : len(api.parameters)])
        plan = self.plans[call.api].get(shape) or self.plan(Call(call.api, shape))
        finding = self.allocate(call, answer, plan)
        if finding is None and answer.result:
            self.given[answer.result] = pages
        return finding

    def locate(self, call: Call, answer: Answer) -> Finding | None:
        """Judge what is told of a place in an object."""
        start, offset = call.args
        live = self.records.get(start)
        if start in self.ignored or (live is None and call.api == "is_vmalloc_addr"):
            return None  # any address may be asked about
        if live is None or live.asked.family not in APIS[call.api].takes:
            return self.wrong_pointer(APIS[call.api], call, start)
        if offset >= extent_of(live.asked, live.seen):
            return None
        if call.api == "vmalloc_to_page":
            return self._frame(call, answer.result, live)
        area = live.asked.family in AREAS
        if not area and live.asked.family not in ELSEWHERE:
            return None
        self.judged["VM-ADDR"] += 1
        if (answer.result != 0) == area or "VM-ADDR" not in self.in_force:
            return None
        text = f"{show(call)} gave {answer.result}: it came from {live.asked.api}"
        return self.finding("VM-ADDR", text, live.birth)

    def _frame(self, call: Call, frame: int, live: Live) -> Finding | None:
        """Judge the page frame behind a page of an area."""
        start, offset = call.args
        number = offset >> PAGE_SHIFT
        clause = "VM-FRAME-OWN"
        self.judged[clause] += 1
        others: tuple[int, ...] = ()
        if live.asked.family == "vmap":
            wrong = self.given.get(start, ())[number : number + 1] not in ((), (frame,))
            why = "not the page that was given"
        elif frame == 0 or frame % PAGE_SIZE:
            wrong, why = True, "no page"
        else:
            area, other = self.frames.get(frame, (start, number))
            wrong = (area, other) != (start, number)
            why = f"which backs page {other} of {area:#x} too"
            others = (self.records[area].birth,) if wrong else ()
            inside = start <= frame < start + extent_of(live.asked, live.seen)
            before = self.backing.get(start, {}).get(number, frame)
            if not wrong and before != frame:
                wrong, why = True, f"and {before:#x} before"
            if not wrong and not inside and not self.spans.apart(frame, PAGE_SIZE):
                wrong, why = True, "where a live object lies"
            if not wrong:
                self.backing.setdefault(start, {})[number] = frame
                self.frames[frame] = (start, number)
        if not wrong or clause not in self.in_force:
            return None
        return self.finding(clause, f"{show(call)} gave {frame:#x}, {why}", live.birth, *others)
