"""Calls on pools. Their elements come from functions of the driver, which can be told to fail."""

from __future__ import annotations

from kmem_oracle.targets.caches import CacheCalls
from kmem_oracle.targets.hands import Home
from kmem_oracle.targets.records import DONE, NULL_SEEN, SKIP_SEEN, Seen

POOL_NEEDS = ("kmalloc", "kfree")  # what the driver's functions for a pool are put over


class PoolCalls(CacheCalls):
    """mempool_create and what a pool is for."""

    def create_pool(self, api: str, out: int, args: tuple[int, ...]) -> Seen:
        """Run a mempool_create whose elements are from kmalloc."""
        number, _, _, size = args
        home = Home(0, size, failing=False)

        def give(gfp: int) -> int:
            return 0 if home.failing else self.functions["kmalloc"](size, gfp) or 0

        def take_back(start: int) -> None:
            self.functions["kfree"](start)

        home.handle = self.functions[api](number, give, take_back, size) or 0
        return self.hold_pool(out, home)

    def create_slab_pool(self, api: str, out: int, args: tuple[int, ...]) -> Seen:
        """Run a mempool_create_slab_pool."""
        number, cache = args
        slab = self.home_at(cache)
        if slab is None:
            return SKIP_SEEN
        handle = self.functions[api](number, slab.handle) or 0
        return self.hold_pool(out, Home(handle, slab.size, slab.built))

    def hold_pool(self, out: int, home: Home) -> Seen:
        """Hold a new pool, if there is one."""
        if home.handle:
            self.homes[out] = home
        return (home.handle, -1, -1, -1, DONE)

    def pool_free(self, api: str, _out: int, args: tuple[int, ...]) -> Seen:
        """Run a mempool_free."""
        return self.free_to(api, args[0], args[1], home_first=False)

    def pool_fail(self, _api: str, _out: int, args: tuple[int, ...]) -> Seen:
        """Let the function that gives a pool its elements fail from now on, or no longer."""
        home = self.homes.get(args[0])
        if home is None or home.failing is None:
            return SKIP_SEEN
        home.failing = args[1] != 0
        if "mempool_fail" in self.functions:  # a process, whose pools have functions of its own
            self.functions["mempool_fail"](home.handle, args[1])
        return NULL_SEEN
