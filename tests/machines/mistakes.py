"""What callers of any family do wrongly. Each of these calls has one mistake, so that it has one name."""

from __future__ import annotations

from typing import Final

from hypothesis import strategies as st
from tests.machines.machine import Machine, picks
from tests.machines.steps import step, task

from kmem_spec.apis import APIS, Api
from kmem_spec.gfp import DMA, DMA32, GFP_KERNEL, GFP_NOWAIT, HIGHMEM, MOVABLE, NOFAIL, RECLAIMABLE, ZERO

NUMBERS: Final = {
    "size": 100,
    "count": 1,
    "gfp": GFP_KERNEL,
    "number": 1,
    "name": 1,
    "alloc_fn": 1,
    "free_fn": 1,
}
TAKING: Final = [
    api.name for api in APIS.values() if api.takes and api.role not in ("look", "locate", "copy")
]
ASKING: Final = [api.name for api in APIS.values() if "gfp" in api.parameters and not api.takes]
SLEEPING: Final = [api.name for api in APIS.values() if api.sleeps or "gfp" in api.parameters]
HANDLED: Final = [
    api.name
    for api in APIS.values()
    if api.role != "set" and {"cache", "pool"} & {*api.parameters} and not api.takes
]
COPYING: Final = [api.name for api in APIS.values() if api.role == "copy"]
WRONG: Final = (GFP_KERNEL | DMA | DMA32, GFP_KERNEL | MOVABLE | RECLAIMABLE, GFP_NOWAIT | NOFAIL)
WRONG_FOR_AREAS: Final = (GFP_NOWAIT, GFP_KERNEL | DMA, GFP_KERNEL | DMA32, GFP_KERNEL | HIGHMEM)


class Mistakes(Machine):
    """Wrong pointers, wrong families, wrong handles, wrong masks, the wrong context."""

    @step(
        when=lambda self: self.can_err() and bool(self.player.things),
        pick=picks,
        name=st.sampled_from(TAKING),
    )
    def pass_to_wrong_family(self, pick: int, name: str) -> None:
        api = APIS[name]
        foreign = [each for each in self.player.things.values() if each.asked.family not in api.takes]
        if foreign:
            args = self.arguments(api, start=self.pick(foreign, pick).start)
            assert self.mistake(name, *args) == "CALLER-FAMILY"

    @step(
        when=lambda self: self.can_err() and bool(self.player.gone),
        pick=picks,
        name=st.sampled_from(TAKING + COPYING),
    )
    def pass_freed(self, pick: int, name: str) -> None:
        api = APIS[name]
        start = self.pick(self.player.gone, pick)
        lives = {each.start for each in (*self.player.things.values(), *self.player.aside.values())}
        if start not in lives:
            freeing = api.role in ("free", "free bulk")
            expected = "CALLER-DOUBLE-FREE" if freeing else "CALLER-FREE"
            assert self.mistake(name, *self.arguments(api, start=start)) == expected

    @step(
        when=lambda self: self.can_err() and bool(self.player.things),
        pick=picks,
        name=st.sampled_from(TAKING + COPYING),
    )
    def pass_pointer_into(self, pick: int, name: str) -> None:
        api = APIS[name]
        start = self.pick(list(self.player.things.values()), pick).start
        assert self.mistake(name, *self.arguments(api, start=start + 1)) == "CALLER-FREE"

    @step(when=lambda self: self.can_err(), pick=picks, name=st.sampled_from(HANDLED))
    def use_no_handle(self, pick: int, name: str) -> None:
        api = APIS[name]
        gone = self.pick(self.player.gone_homes, pick)
        args = tuple(gone if kind in ("cache", "pool") else NUMBERS.get(kind, 0) for kind in api.parameters)
        assert self.mistake(name, *args) == "CALLER-HANDLE"

    @step(when=lambda self: self.can_err(), name=st.sampled_from(ASKING), gfp=st.sampled_from(WRONG))
    def ask_under_wrong_mask(self, name: str, gfp: int) -> None:
        api = APIS[name]
        if self.has_handle_for(api):
            for wrong in (gfp, *(WRONG_FOR_AREAS if api.family == "vmalloc" else ())):
                assert self.mistake(name, *self.arguments(api, gfp=wrong)) == "CALLER-GFP"

    @step(when=lambda self: self.can_err() and self.pool_handle() != 0)
    def ask_pool_for_zeroes(self) -> None:
        assert self.mistake("mempool_alloc", self.pool_handle(), GFP_KERNEL | ZERO) == "CALLER-GFP"

    @step(
        when=lambda self: self.can_err() and self.live("kmalloc", "kv", "vmalloc"),
        pick=picks,
        gfp=st.sampled_from(WRONG),
    )
    def resize_under_wrong_mask(self, pick: int, gfp: int) -> None:
        start, asked, _ = self.player.things[self.one(pick, "kmalloc", "kv", "vmalloc")]
        name = {"kmalloc": "krealloc", "kv": "kvrealloc", "vmalloc": "vrealloc"}[asked.family]
        assert self.mistake(name, start, 100, gfp) == "CALLER-GFP"

    @step(when=lambda self: self.errs() and self.atomic > 0, pick=picks, name=st.sampled_from(SLEEPING))
    def sleep_in_atomic(self, pick: int, name: str) -> None:
        api = APIS[name]
        mine = [each.start for each in self.player.things.values() if each.asked.family in api.takes]
        start = self.pick(mine, pick) if mine else 0
        if self.has_handle_for(api) and (start or api.role in ("free", "resize") or not api.takes):
            assert self.mistake(name, *self.arguments(api, start=start)) == "CALLER-CONTEXT"
        for api in (APIS[each] for each in ASKING):  # where the mask is wrong as well, the context is named
            if self.has_handle_for(api):
                assert self.mistake(api.name, *self.arguments(api, gfp=WRONG[0])) == "CALLER-CONTEXT"

    def can_err(self) -> bool:
        """Say whether mistakes are made here and now: those of context have a rule of their own."""
        return self.errs() and task(self)

    def arguments(self, api: Api, *, start: int = 0, gfp: int = GFP_KERNEL) -> tuple[int, ...]:
        """Return arguments that are right but for those given; those of a vector stand behind."""
        known = {
            **NUMBERS,
            "size": 1 if api.role == "copy" else NUMBERS["size"],
            "gfp": gfp,
            "pointer": start,
            "source": start,
            "cache": self.cache_handle(),
            "pool": self.pool_handle(),
        }
        args = tuple(known.get(kind, 0) for kind in api.parameters)
        return (*args, start) if "vector" in api.parameters else args

    def has_handle_for(self, api: Api) -> bool:
        """Say whether there is the cache or the pool that a call needs, of which no object lives."""
        if "pool" in api.parameters:
            return self.pool_handle() != 0
        return "cache" not in api.parameters or self.cache_handle() != 0

    def cache_handle(self) -> int:
        """Return the address of a cache without a constructor, 0 if there is none."""
        return next(
            (each.handle for each in self.homes.values() if not each.pool and not each.constructed), 0
        )

    def pool_handle(self) -> int:
        """Return the address of a pool of which no element lives, 0 if there is none."""
        used = {thing.home for thing in (*self.player.things.values(), *self.player.aside.values())}
        pools = [home.handle for each, home in self.homes.items() if home.pool and each not in used]
        return pools[0] if pools else 0
