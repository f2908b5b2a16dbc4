"""Caches and pools: what is judged when they are made, used, changed and destroyed."""

from __future__ import annotations

from typing import Final

from kmem_spec import mem
from kmem_spec.apis import APIS, argument
from kmem_spec.calls import CONSTRUCTED, DESTRUCTED, Answer, Call, Note
from kmem_spec.constructed import Constructed
from kmem_spec.expect import of_handle
from kmem_spec.finding import Finding, show
from kmem_spec.gfp import may_sleep
from kmem_spec.judging.docket import Plan, mask_is_legal_for
from kmem_spec.judging.resizes import Resizes
from kmem_spec.kmem_cache import Shape, alignment, creation_is_legal
from kmem_spec.pool import Pool
from kmem_spec.table import DictTable, Refused
from kmem_spec.units import PAGE_SHIFT

WORD: Final = 8
OF_CACHES: Final = ("kmem_cache_alloc", "kmem_cache_zalloc")
Bulk = tuple[Call, int, str]  # the request for each object, how many there are, the clause that says so
NO_BULK: Final[Bulk] = (Call("kmalloc", (0, 0)), 0, "")


class Handles(Resizes):
    """Judge calls on slab caches and on mempools."""

    def clear(self) -> None:
        """Forget what is live."""
        super().clear()
        self.caches: DictTable[Shape] = DictTable()
        self.pools: DictTable[Pool] = DictTable()
        self.constructed = Constructed()
        self.slots: dict[int, set[int]] = {}  # cache, and its constructed slots
        self.bulk = NO_BULK
        for name in OF_CACHES:
            self.forget_plans(name)
        self.forget_plans("mempool_alloc")

    def no_handles(self) -> bool:
        """Say whether no cache and no pool is live."""
        return not self.caches and not self.pools

    def step(self, call: Call, start: int) -> tuple[object, ...]:
        """Return a call as a step of a cycle: a cache or pool that began in it counts by its birth."""
        name, *rest = super().step(call, start)
        for at, kind in enumerate(APIS[call.api].parameters):
            if kind in ("cache", "pool"):
                handle = call.args[at]
                known = self.caches.get(handle) if kind == "cache" else self.pools.get(handle)
                if known is not None and known.birth >= start:
                    rest[at] = (known.birth - start,)
        return (name, *rest)

    def create(self, call: Call, answer: Answer) -> Finding | None:
        """Judge the making of a cache."""
        api, args = APIS[call.api], call.args
        name, size, align, flags, constructor = args[:5]
        destructor = argument(api, args, "dtor")
        if not creation_is_legal(name, size, align) or (destructor and not constructor):
            self.ignore(answer.result)
            return self.finding("CALLER-CREATE", f"{show(call)}: no such cache may be asked for")
        limit = self.profile.kmalloc_max
        asked = mem.SAMPLE._replace(api=call.api, family="cache", size=size, limit=limit)
        finding = self.broken(call, asked, answer)
        if finding is not None:
            self.ignore(answer.result)
            return finding
        stuck = self.follow(call, answer) if not self.records or self.following else None
        if answer.result == 0:
            return stuck
        due = alignment(size, align, flags, self.profile.cache_line, self.profile.minimum_align)
        shape = Shape(size, due, constructor != 0, destructor != 0, self.events)
        twin = self.caches.get(answer.result)
        if twin is not None:  # caches may be merged; then their objects serve both
            shape = twin._replace(size=max(size, twin.size), align=max(due, twin.align), refs=twin.refs + 1)
        self.caches.put(answer.result, shape)
        for made in OF_CACHES:
            self.forget_plans(made)
        return None

    def destroy(self, call: Call, answer: Answer) -> Finding | None:
        """Judge the end of a cache or a pool."""
        handle = call.args[0]
        if handle == 0:
            self.judged["CACHE-DESTROY-NULL" if call.api == "kmem_cache_destroy" else "POOL-NULL"] += 1
            return None
        if handle in self.ignored:
            self.pass_over(handle)
            return None
        table: DictTable[Shape] | DictTable[Pool]
        table = self.caches if call.api == "kmem_cache_destroy" else self.pools
        known = table.get(handle)
        if known is None:
            return self.finding("CALLER-HANDLE", f"{show(call)}: there is none")
        if isinstance(known, Shape) and known.refs > 1:
            self.caches.put(handle, known._replace(refs=known.refs - 1))
            return None
        if self.held[handle]:
            return self.finding(
                "CALLER-DESTROY", f"{show(call)}: {self.held[handle]} objects live", known.birth
            )
        if self.following:
            self.follow(call, answer)
        table.drop(handle)
        for made in (*OF_CACHES, "mempool_alloc"):
            self.forget_plans(made)
        left = self.slots.pop(handle, set())
        for slot in left:
            self.constructed.destruct(slot, handle)
        if left and isinstance(known, Shape) and known.destructor and "CACHE-DTOR" in self.in_force:
            text = f"{show(call)}: no destructor ran for {len(left)} constructed slots, one at {min(left):#x}"
            return self.finding("CACHE-DTOR", text, known.birth)
        return None

    def allocate_of(self, call: Call, answer: Answer) -> Finding | None:
        """Judge a request for an object of a cache."""
        plan = self.plans[call.api].get(call.args)
        if plan is None:
            shape = self.caches.get(call.args[0])
            if shape is None:
                return self._no_handle(call, answer)
            plan = self._plan_of(call, shape)
        if plan.asked.constructed:
            if plan.asked.zero_to:
                self.ignore(answer.result)
                return self.finding("CALLER-CTOR-ZERO", f"{show(call)}: the cache has a constructor")
            by = self.constructed.cache.get(answer.result, 0)
            if by not in (0, plan.asked.handle) and "CACHE-CTOR-OWN" in self.in_force:
                self.ignore(answer.result)
                text = f"{show(call)} gave {answer.result:#x}, last constructed by cache {by:#x}"
                return self.finding("CACHE-CTOR-OWN", text, self.constructed.since.get(answer.result, 0))
        return self.make(call, answer, plan)

    def _plan_of(self, call: Call, shape: Shape) -> Plan:
        """Work out what a request for an object of a cache asks for."""
        asked = of_handle(call, call.args[0], shape.size, shape.align, constructed=shape.constructor)
        legal = mask_is_legal_for(APIS[call.api], asked)
        return self.plan_for(call.api, call.args, asked, legal=legal, served=True)

    def _no_handle(self, call: Call, answer: Answer) -> Finding | None:
        """Take a call on a cache or pool that is not there, or that is not judged."""
        known = call.args[0] in self.ignored
        self.ignore(answer.result)
        return None if known else self.finding("CALLER-HANDLE", f"{show(call)}: there is none")

    def ask_bulk(self, call: Call, answer: Answer) -> Finding | None:
        """Judge a request for several objects; an `item` follows for each."""
        pages = APIS[call.api].family == "page"
        if pages:
            asked = mem.SAMPLE._replace(api=call.api, family="page", gfp=call.args[0], order=call.args[1])
            one, clause = Call("alloc_pages", (call.args[0], 0)), "PAGE-BULK"
        else:
            shape = self.caches.get(call.args[0])
            if shape is None:
                self.bulk = (Call("kmem_cache_alloc", call.args[:2]), 0, "")
                return None if call.args[0] in self.ignored else self._no_handle(call, Answer(0))
            asked = of_handle(call, call.args[0], shape.size, shape.align, constructed=shape.constructor)
            one, clause = Call("kmem_cache_alloc", call.args[:2]), "CACHE-BULK"
        if not self.records or self.following:
            self.follow(call, answer)
        finding = self.wrong_mask(call, asked) or self.broken(call, asked, answer)
        self.bulk = (one, 0 if finding else answer.result, clause)
        return finding

    def item(self, call: Call, answer: Answer) -> Finding | None:
        """Judge one object of a bulk."""
        one, count, clause = self.bulk
        if call.args[0] >= count:
            return None
        if answer.result == 0:
            text = f"object {call.args[0]} of the {count} that the call before gave is NULL"
            return self.finding(clause, text, self.events - 1 - call.args[0])
        return self.allocate(one, answer) if one.api == "alloc_pages" else self.allocate_of(one, answer)

    def describe_cache(self, call: Call, answer: Answer) -> Finding | None:
        """Judge a kmem_cache_size."""
        shape = self.caches.get(call.args[0])
        if shape is None:
            return self._no_handle(call, Answer(0))
        asked = of_handle(call, call.args[0], shape.size, shape.align, constructed=False)
        return self.broken(call, asked, answer, shape.birth)

    def adjust(self, call: Call, answer: Answer) -> Finding | None:
        """Judge a kmem_cache_shrink or a mempool_resize."""
        handle = call.args[0]
        if handle not in self.caches and handle not in self.pools:
            return self._no_handle(call, Answer(0))
        if self.following:
            self.follow(call, answer)
        pool = self.pools.get(handle)
        if pool is not None and answer.result == 0:
            self.pools.put(handle, pool._replace(sure=min(pool.sure, call.args[1])))
        return None

    def create_pool(self, call: Call, answer: Answer) -> Finding | None:
        """Judge the making of a pool."""
        if call.api == "mempool_create":
            size, align = argument(APIS[call.api], call.args, "size"), self.profile.minimum_align
        else:
            shape = self.caches.get(call.args[1])
            if shape is None or shape.constructor:
                self.ignore(answer.result)
                wrong = "CALLER-HANDLE" if shape is None else "CALLER-CREATE"
                return self.finding(wrong, f"{show(call)}: it needs a cache without a constructor")
            size, align = shape.size, shape.align
        stuck = self.follow(call, answer) if not self.records or self.following else None
        if answer.result == 0:
            return stuck
        self.pools.put(answer.result, Pool(size, align, call.args[0], self.events))
        self.forget_plans("mempool_alloc")
        return None

    def allocate_from(self, call: Call, answer: Answer) -> Finding | None:
        """Judge a request for an element of a pool."""
        handle = call.args[0]
        pool = self.pools.get(handle)
        if pool is None:
            return self._no_handle(call, answer)
        plan = self.plans[call.api].get(call.args)
        if plan is None:
            asked = of_handle(call, handle, pool.size, pool.align, constructed=False)
            legal = mask_is_legal_for(APIS[call.api], asked)
            plan = self.plan_for(call.api, call.args, asked, legal=legal, served=True)
        reserve, waits = self.held[handle] < pool.sure, may_sleep(plan.asked.gfp)
        self.judged["POOL-RESERVE"] += reserve
        self.judged["POOL-WAITS"] += waits
        if answer.result == 0 and reserve and "POOL-RESERVE" in self.in_force:
            text = f"{show(call)} gave NULL with {self.held[handle]} of {pool.sure} elements held"
            return self.finding("POOL-RESERVE", text, pool.birth)
        if answer.result == 0 and waits and "POOL-WAITS" in self.in_force:
            return self.finding("POOL-WAITS", f"{show(call)} gave NULL", pool.birth)
        return self.make(call, answer, plan)

    def hear(self, notes: tuple[Note, ...]) -> Finding | None:
        """Judge the constructors and destructors that ran during a call."""
        first = None
        for note in notes:
            if note.kind not in (CONSTRUCTED, DESTRUCTED):  # notes were lost: what is known may be wrong
                self.constructed, self.slots = Constructed(), {}
                return first
            if note.cache not in self.caches:
                continue
            found = self._constructed(note) if note.kind == CONSTRUCTED else self._destructed(note)
            first = first or found
        return first

    def _constructed(self, note: Note) -> Finding | None:
        """Judge one run of a constructor."""
        _, cache, address = note
        clause = "CACHE-CTOR-OWN"
        self.judged[clause] += 1
        if not self.spans.apart(address, WORD):
            text = f"the constructor of cache {cache:#x} ran at {address:#x}, where an object lives"
            return self._if_in_force(clause, text)
        since = self.constructed.since.get(address, -1)
        elder = any(birth <= since for birth in self.residents.get(address >> PAGE_SHIFT, {}).values())
        self.judged["CACHE-CTOR-ONCE"] += since >= 0
        try:
            self.constructed.construct(address, cache, self.events, elder, owed=self.caches[cache].destructor)
        except Refused as refused:
            text = f"the constructor of cache {cache:#x} ran again at {address:#x}"
            why = "without its destructor" if refused.clause == "CACHE-DTOR" else "on a page that lived on"
            return self._if_in_force(refused.clause, f"{text}, {why}", since)
        self.slots.setdefault(cache, set()).add(address)
        return None

    def _destructed(self, note: Note) -> Finding | None:
        """Judge one run of a destructor."""
        _, cache, address = note
        self.judged["CACHE-DTOR"] += 1
        if not self.spans.apart(address, WORD):
            text = f"the destructor of cache {cache:#x} ran at {address:#x}, where an object lives"
            return self._if_in_force("CACHE-DTOR", text)
        try:
            self.constructed.destruct(address, cache)
        except Refused as refused:
            text = f"the destructor of cache {cache:#x} ran at {address:#x}, which is not constructed"
            return self._if_in_force(refused.clause, text)
        self.slots[cache].discard(address)
        return None

    def _if_in_force(self, clause: str, text: str, *others: int) -> Finding | None:
        """Make a finding unless the clause is waived."""
        return self.finding(clause, text, *others) if clause in self.in_force else None
