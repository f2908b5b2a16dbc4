"""Losses: what is judged when a call did not return. It is the caller's error if no such call may be made."""

from __future__ import annotations

from kmem_spec import mem
from kmem_spec.apis import APIS, argument
from kmem_spec.calls import Call, Lost
from kmem_spec.finding import Finding, show
from kmem_spec.gfp import ZERO, may_sleep
from kmem_spec.judging.areas import Areas
from kmem_spec.judging.docket import mask_is_legal_for
from kmem_spec.judging.objects import NO_OP, POINTER_AT, TAKES_ZERO_SIZE
from kmem_spec.units import ZERO_SIZE_PTR


class Losses(Areas):
    """Judge calls that did not return, and calls that no caller may make where it is."""

    def clear(self) -> None:
        """Forget what is live."""
        super().clear()
        self.atomic = 0  # how deep in atomic context

    def lose(self, lost: Lost) -> Finding | None:
        """Take a call that did not return: a violation if the call was legal."""
        call = lost.call
        finding = self.wrong_context(call) or self._wrong_mask(call) or self._wrong_use(call)
        if finding is None and self._waits_for_ever(lost):
            text = f"{show(call)} {lost.how}: all elements are held"
            finding = self.finding("CALLER-POOL", text)
        if finding is None:
            clause = NO_OP[call.api] if self._does_nothing(call) else "MEM-RETURNS"
            finding = self.finding(clause, f"{show(call)} {lost.how}")
        self.events += 1
        return finding if finding.clause in self.in_force else None

    def complain(self, error: str) -> Finding | None:
        """Take an error that a kernel reports of itself in one of the last calls."""
        finding = self.finding("MEM-RETURNS", f"the kernel reports an error of its own: {error}")
        return finding if finding.clause in self.in_force else None

    def wrong_context(self, call: Call) -> Finding | None:
        """Return the caller's error if a call may sleep and is made in atomic context."""
        api = APIS[call.api]
        sleeps = api.sleeps
        if "gfp" in api.parameters and not (api.role == "bulk" and argument(api, call.args, "count") == 0):
            sleeps = sleeps or may_sleep(argument(api, call.args, "gfp"))
        nothing = api.role == "destroy" and call.args[0] == 0  # returns at once
        if not sleeps or not self.atomic or nothing:
            return None
        return self.finding("CALLER-CONTEXT", f"{show(call)} may sleep, and is made in atomic context")

    def _wrong_mask(self, call: Call) -> Finding | None:
        """Return the caller's error if the mask is illegal, or asks for what the cache cannot give."""
        api = APIS[call.api]
        if "gfp" not in api.parameters:
            return None
        mask = argument(api, call.args, "gfp")
        if not mask_is_legal_for(api, mem.SAMPLE._replace(gfp=mask)):
            return self.finding("CALLER-GFP", f"{show(call)} has an illegal mask")
        cache = self.caches.get(argument(api, call.args, "cache"))
        zeroes = api.zeroes or mask & ZERO != 0
        return self.wrong_zeroes(call) if cache is not None and cache.constructor and zeroes else None

    def _wrong_use(self, call: Call) -> Finding | None:
        """Return the caller's error in what a call is given besides its mask."""
        api = APIS[call.api]
        if api.role == "create":
            return self.wrong_creation(call) if api.family == "cache" else self.wrong_pool(call)
        if self._does_nothing(call):
            return None
        if api.role == "copy":
            return self.wrong_source(call) if call.args[0] else None
        starts = list(call.args[len(api.parameters) :])
        if "pointer" in api.parameters:
            starts.append(call.args[POINTER_AT[api.name]])
        for start in starts:
            anything = api.role in ("resize", "measure") and start <= ZERO_SIZE_PTR
            if start in self.ignored or anything or api.name == "is_vmalloc_addr":
                continue
            finding = self.wrong_pointer(api, call, start)
            if finding is not None:
                return finding
        return self._wrong_handle(call)

    def _wrong_handle(self, call: Call) -> Finding | None:
        """Return the caller's error in a call's cache or pool."""
        api = APIS[call.api]
        cache, pool = argument(api, call.args, "cache"), argument(api, call.args, "pool")
        named = "cache" in api.parameters or "pool" in api.parameters
        if not named or cache in self.ignored_handles or pool in self.ignored_handles:
            return None
        if api.role == "destroy":
            return self.wrong_destruction(call) if cache else self.wrong_pool_destruction(call)
        if cache not in self.caches and pool not in self.pools:
            return self.no_handle(call)
        return self.wrong_number(call) if api.name == "mempool_resize" else None

    def _does_nothing(self, call: Call) -> bool:
        """Say whether a call is one that has nothing to do."""
        start = call.args[POINTER_AT[call.api]] if call.api in NO_OP else -1
        return start == 0 or (0 < start <= ZERO_SIZE_PTR and call.api in TAKES_ZERO_SIZE)

    def _waits_for_ever(self, lost: Lost) -> bool:
        """Say whether a call may have waited for an element that nobody was left to free."""
        if lost.call.api != "mempool_alloc" or not lost.how.startswith("did not return"):
            return False
        pool = self.pools.get(lost.call.args[0])
        waits = may_sleep(lost.call.args[1])
        return waits and pool is not None and not self.has_reserve(lost.call.args[0], pool)

    def stand_aside(self, call: Call, made: int) -> None:
        """Judge no further what a call in the wrong context made, moved or freed: whether it did is open."""
        api = APIS[call.api]
        if api.role == "create":
            self.ignore_handle(made)
        elif api.makes or api.role == "item":
            self.ignore(made)
        if api.role in ("free", "resize", "free bulk"):
            starts = [*call.args[len(api.parameters) :], call.args[POINTER_AT[api.name]]]
            for start in starts:
                if start in self.records and start != made:
                    self.put_aside(start)
                elif start in self.records:
                    self.end(start)
