"""Caches: what is judged when they are made, used and destroyed, and of their objects."""

from __future__ import annotations

from typing import Final

from kmem_spec import mem, slab_flags
from kmem_spec.apis import APIS, argument
from kmem_spec.calls import Answer, Asked, Call
from kmem_spec.expect import of_handle
from kmem_spec.finding import Finding, show
from kmem_spec.judging.docket import Plan, mask_is_legal_for
from kmem_spec.judging.notes import Notes
from kmem_spec.kmem_cache import Shape, alignment, creation_is_legal
from kmem_spec.pool import Pool
from kmem_spec.table import DictTable

OF_CACHES: Final = ("kmem_cache_alloc", "kmem_cache_zalloc")


class Caches(Notes):
    """Judge calls on slab caches."""

    def clear(self) -> None:
        """Forget what is live."""
        super().clear()
        self.pools: DictTable[Pool] = DictTable()
        self._forget_shapes()

    def _forget_shapes(self) -> None:
        """Forget what a request for an object of a cache asks for: the same address may be another's now."""
        for name in OF_CACHES:
            self.forget_plans(name)

    def create(self, call: Call, answer: Answer) -> Finding | None:
        """Judge the making of a cache."""
        _, size, align, flags, constructor = call.args[:5]
        finding = self.wrong_creation(call)
        limit = self.profile.kmalloc_max
        asked = mem.SAMPLE._replace(api=call.api, family="cache", size=size, limit=limit)
        finding = finding or self.broken(call, asked, answer)
        if finding is not None or answer.result in self.ignored_handles:
            self.ignore_handle(answer.result)
            return finding
        stuck = self.follow(call, answer) if not self.records or self.following else None
        if answer.result == 0:
            return stuck
        self.rebase()
        due = alignment(size, align, flags, self.profile.cache_line, self.profile.minimum_align)
        destructor = argument(APIS[call.api], call.args, "dtor") != 0
        shape = Shape(size, due, constructor != 0, destructor, self.events)
        twin = self.caches.get(answer.result)
        if twin is not None and twin.constructor != shape.constructor and "CACHE-CTOR-OWN" in self.in_force:
            has = "has a constructor" if twin.constructor else "has none"
            text = f"{show(call)} gave the live cache {answer.result:#x}, which {has}"
            self.caches.drop(answer.result)
            self._forget_shapes()
            for _ in range(twin.refs + 1):
                self.ignore_handle(answer.result)
            return self.finding("CACHE-CTOR-OWN", text, twin.birth)
        if twin is not None:  # caches may be merged; then their objects serve both
            shape = twin._replace(size=max(size, twin.size), align=max(due, twin.align), refs=twin.refs + 1)
        self.caches.put(answer.result, shape)
        self._forget_shapes()
        return None

    def wrong_creation(self, call: Call) -> Finding | None:
        """Return the caller's error if no such cache may be asked for."""
        name, size, align, flags, constructor = call.args[:5]
        destructor = argument(APIS[call.api], call.args, "dtor")
        lonely = constructor == 0 or flags & slab_flags.TYPESAFE_BY_RCU != 0
        if creation_is_legal(name, size, align) and not (destructor and lonely):
            return None
        return self.finding("CALLER-CREATE", f"{show(call)}: no such cache may be asked for")

    def destroy_cache(self, call: Call, answer: Answer) -> Finding | None:
        """Judge the end of a cache."""
        handle = call.args[0]
        if handle == 0:
            self.judged["CACHE-DESTROY-NULL"] += 1
            return None
        if self.pass_over_handle(handle):
            return None
        finding = self.wrong_destruction(call)
        if finding is not None:
            return finding
        known = self.caches[handle]
        if known.refs > 1:
            self.caches.put(handle, known._replace(refs=known.refs - 1))
            return None
        if self.following:
            self.follow(call, answer)
        self.caches.drop(handle)
        self._forget_shapes()
        return self.end_slots(handle, known)

    def wrong_destruction(self, call: Call) -> Finding | None:
        """Return the caller's error if a cache may not be destroyed."""
        handle = call.args[0]
        known = self.caches.get(handle)
        if known is None:
            return self.no_handle(call)
        if known.refs > 1:
            return None
        if self.held[handle]:
            text = f"{show(call)}: {self.held[handle]} objects live"
            return self.finding("CALLER-DESTROY", text, known.birth)
        pools = [pool.birth for pool in self.pools.values() if pool.cache == handle and pool.sure > 0]
        if pools:
            return self.finding("CALLER-DESTROY", f"{show(call)}: a mempool has objects of it", *pools)
        return None

    def no_handle(self, call: Call) -> Finding:
        """Make the finding for a cache or pool that is not there."""
        return self.finding("CALLER-HANDLE", f"{show(call)}: there is none")

    def ignore_handle(self, handle: int) -> None:
        """Judge the cache or pool at `handle`, if there is one, no further."""
        if handle:
            self.ignored_handles[handle] += 1

    def pass_over_handle(self, handle: int) -> bool:
        """Take the end of a cache or pool if it is not judged."""
        if handle not in self.ignored_handles:
            return False
        self.ignored_handles[handle] -= 1
        if self.ignored_handles[handle] == 0:
            del self.ignored_handles[handle]
        return True

    def on_unknown(self, call: Call, made: int = 0) -> Finding | None:
        """Take a call on a cache or pool that is not there, or that is not judged."""
        self.ignore(made)
        at = next(at for at, kind in enumerate(APIS[call.api].parameters) if kind in ("cache", "pool"))
        return None if call.args[at] in self.ignored_handles else self.no_handle(call)

    def allocate_of(self, call: Call, answer: Answer) -> Finding | None:
        """Judge a request for an object of a cache."""
        plan = self.plans[call.api].get(call.args)
        if plan is None:
            shape = self.caches.get(call.args[0])
            if shape is None:
                return self.on_unknown(call, answer.result)
            plan = self._plan_of(call, shape)
        if plan.asked.constructed:
            if plan.asked.zero_to:
                self.ignore(answer.result)
                return self.wrong_zeroes(call)
            by = self.constructed.cache.get(answer.result, 0)
            if by not in (0, plan.asked.handle) and "CACHE-CTOR-OWN" in self.in_force:
                self.ignore(answer.result)
                text = f"{show(call)} gave {answer.result:#x}, last constructed by cache {by:#x}"
                return self.finding("CACHE-CTOR-OWN", text, self.constructed.since.get(answer.result, 0))
        return self.allocate(call, answer, plan)

    def wrong_zeroes(self, call: Call) -> Finding:
        """Make the finding for zeroes that are asked for where a constructor writes."""
        return self.finding("CALLER-CTOR-ZERO", f"{show(call)}: the cache has a constructor")

    def _plan_of(self, call: Call, shape: Shape) -> Plan:
        """Work out what a request for an object of a cache asks for."""
        asked = self.asked_of(call, shape)
        legal = mask_is_legal_for(APIS[call.api], asked)
        return self.plan_for(call.api, call.args, asked, legal=legal, served=True)

    def asked_of(self, call: Call, shape: Shape) -> Asked:
        """Return what a call on a cache asks for."""
        return of_handle(call, call.args[0], shape.size, shape.align, constructed=shape.constructor)

    def describe_cache(self, call: Call, answer: Answer) -> Finding | None:
        """Judge a kmem_cache_size."""
        shape = self.caches.get(call.args[0])
        if shape is None:
            return self.on_unknown(call)
        return self.broken(call, self.asked_of(call, shape), answer, shape.birth)

    def shrink(self, call: Call, answer: Answer) -> Finding | None:
        """Judge a kmem_cache_shrink: it changes nothing that can be seen."""
        if call.args[0] not in self.caches:
            return self.on_unknown(call)
        if self.following:
            self.follow(call, answer)
        return None
