"""Pools: what is judged when mempools are made, used, resized and destroyed."""

from __future__ import annotations

from kmem_spec.apis import APIS, argument
from kmem_spec.calls import Answer, Call
from kmem_spec.expect import of_handle
from kmem_spec.finding import Finding, show
from kmem_spec.gfp import may_sleep
from kmem_spec.judging.bulks import Bulks
from kmem_spec.judging.docket import mask_is_legal_for
from kmem_spec.pool import Pool

ELEMENTS = "mempool_alloc"
EVERYTHING = 0  # in place of a pool, where any call is made to fail
# Calls on a cache that take nothing else, and one that takes an object as well.
OF_CACHE = {"kmem_cache_alloc": False, "kmem_cache_zalloc": False, "kmem_cache_free": True}
HANDLES_AT = {  # where a call names caches and pools, and whether caches
    api.name: tuple(
        (at, kind == "cache") for at, kind in enumerate(api.parameters) if kind in ("cache", "pool")
    )
    for api in APIS.values()
}


class Pools(Bulks):
    """Judge calls on mempools."""

    def clear(self) -> None:
        """Forget what is live."""
        super().clear()
        self.failing: set[int] = set()  # pools whose allocator is made to fail, and EVERYTHING
        self.forget_plans(ELEMENTS)

    def no_handles(self) -> bool:
        """Say whether no cache and no pool is live."""
        return not self.caches and not self.pools

    def long_step(self, call: Call, start: int) -> tuple[object, ...]:
        """Return a call as a step of a cycle: a cache or pool that began in it counts by its birth."""
        name, args = call
        if name in OF_CACHE:  # most of these calls
            cache = self.caches.get(args[0])
            if cache is not None and cache.birth < start:
                live = self.records.get(args[1]) if OF_CACHE[name] else None
                return call if live is None else (name, args[0], (live.birth - start,))
        step = super().long_step(call, start)
        for at, of_caches in HANDLES_AT[call[0]]:
            handle = call[1][at]
            known = self.caches.get(handle) if of_caches else self.pools.get(handle)
            if known is not None and known.birth >= start:
                step = (*step[: at + 1], (known.birth - start,), *step[at + 2 :])
        return step

    def create_pool(self, call: Call, answer: Answer) -> Finding | None:
        """Judge the making of a pool."""
        finding = self.wrong_pool(call)
        cache = argument(APIS[call.api], call.args, "cache")
        unknown = cache in self.ignored_handles or answer.result in self.ignored_handles
        if finding is not None or unknown:
            self.ignore_handle(answer.result)
            return finding
        stuck = self.follow(call, answer) if not self.records or self.following else None
        if answer.result == 0:
            return stuck
        self.rebase()
        size, align = argument(APIS[call.api], call.args, "size"), self.profile.minimum_align
        if cache:
            size, align = self.caches[cache].size, self.caches[cache].align
        self.pools.put(answer.result, Pool(size, align, call.args[0], self.events, cache))
        self.strayed[answer.result] = 0
        self.forget_plans(ELEMENTS)
        return None

    def wrong_pool(self, call: Call) -> Finding | None:
        """Return the caller's error if no such pool may be asked for."""
        if "cache" not in APIS[call.api].parameters:
            return None
        cache = self.caches.get(call.args[1])
        if cache is None:
            return None if call.args[1] in self.ignored_handles else self.no_handle(call)
        if not cache.constructor:
            return None
        return self.finding("CALLER-CREATE", f"{show(call)}: it needs a cache without a constructor")

    def allocate_from(self, call: Call, answer: Answer) -> Finding | None:
        """Judge a request for an element of a pool."""
        handle = call.args[0]
        pool = self.pools.get(handle)
        if pool is None:
            return self.on_unknown(call, answer.result)
        plan = self.plans[ELEMENTS].get(call.args)
        if plan is None:
            asked = of_handle(call, handle, pool.size, pool.align, constructed=False)
            legal = mask_is_legal_for(APIS[ELEMENTS], asked)
            plan = self.plan_for(ELEMENTS, call.args, asked, legal=legal, served=pool.size > 0)
        if plan.legal or self.wrong_mask(call, plan.asked) is None:
            reserve, waits = self.has_reserve(handle, pool), may_sleep(plan.asked.gfp)
            self.judged["POOL-RESERVE"] += reserve
            self.judged["POOL-WAITS"] += waits
            if answer.result == 0 and reserve and "POOL-RESERVE" in self.in_force:
                text = f"{show(call)} gave NULL with {self.held[-handle]} of {pool.sure} elements held"
                return self.finding("POOL-RESERVE", text, pool.birth)
            if answer.result == 0 and waits and "POOL-WAITS" in self.in_force:
                return self.finding("POOL-WAITS", f"{show(call)} gave NULL", pool.birth)
        return self.allocate(call, answer, plan)

    def has_reserve(self, handle: int, pool: Pool) -> bool:
        """Say whether elements of the reserve are left for sure; those not judged may be held for ever."""
        return self.held[-handle] + self.strayed[handle] < pool.sure

    def resize_pool(self, call: Call, answer: Answer) -> Finding | None:
        """Judge a mempool_resize: what a pool is to hold more, it need not hold yet."""
        handle, number = call.args
        pool = self.pools.get(handle)
        if pool is None:
            return self.on_unknown(call)
        finding = self.wrong_number(call)
        if finding is not None:
            return finding
        if self.following:
            self.follow(call, answer)
        if answer.result == 0:
            self.rebase()
            self.pools.put(handle, pool._replace(sure=min(pool.sure, number)))
        return None

    def wrong_number(self, call: Call) -> Finding | None:
        """Return the caller's error if a pool is to keep nothing."""
        if call.args[1] > 0:
            return None
        return self.finding("CALLER-POOL", f"{show(call)}: it is to keep no element")

    def destroy_pool(self, call: Call, answer: Answer) -> Finding | None:
        """Judge the end of a pool."""
        handle = call.args[0]
        if handle == 0:
            self.judged["POOL-NULL"] += 1
            return None
        if self.pass_over_handle(handle):
            return None
        finding = self.wrong_pool_destruction(call)
        if finding is not None:
            return finding
        if self.following:
            self.follow(call, answer)
        self.pools.drop(handle)
        self.set_failing(handle, failing=False)
        self.forget_plans(ELEMENTS)
        return None

    def wrong_pool_destruction(self, call: Call) -> Finding | None:
        """Return the caller's error if a pool may not be destroyed."""
        handle = call.args[0]
        known = self.pools.get(handle)
        if known is None:
            return self.no_handle(call)
        if self.held[-handle] == 0:
            return None
        return self.finding(
            "CALLER-DESTROY", f"{show(call)}: {self.held[-handle]} elements live", known.birth
        )

    def set_failing(self, source: int, *, failing: bool) -> None:
        """Note that a pool's allocator is made to fail, or every call, or no longer."""
        if failing:
            self.failing.add(source)
        else:
            self.failing.discard(source)
        self.injecting = bool(self.failing)
