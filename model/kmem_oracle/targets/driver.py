"""The driver: runs the calls of a script on a target and writes down what it saw.

It fills what it gets with a pattern of the object's id, compares before each free and resize, and looks
for zeroes where they are promised. It judges nothing, and makes also the calls that no caller may make.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from kmem_oracle.targets.access import Access
from kmem_oracle.targets.areas import AreaCalls
from kmem_oracle.targets.copies import CopyCalls
from kmem_oracle.targets.opened import Function
from kmem_oracle.targets.pools import POOL_NEEDS, PoolCalls
from kmem_oracle.targets.records import CALLING, RECORD, Seen
from kmem_spec.apis import APIS, Api

Rule = Callable[[str, int, tuple[int, ...]], Seen]


class Driver(PoolCalls, CopyCalls, AreaCalls):
    """Run calls on one target, whose functions take and give plain integers."""

    def __init__(
        self,
        functions: Mapping[str, Function],
        access: Access,
        memory: memoryview,
        largest: int,
        *,
        watched: bool = False,
    ) -> None:
        """Write records into `memory` after its header; touch no object of more than `largest` bytes.

        `watched` says that the target tells when it sleeps, by a call of `notes.asleep`.
        """
        super().__init__(functions, access, memory, largest, watched=watched)
        self._memory = memory
        self._by_name: dict[str, Rule] = {
            "kstrdup": self.string,
            "kstrndup": self.string,
            "kmem_cache_free": self.cache_free,
            "kmem_cache_free_bulk": self.cache_free_bulk,
            "alloc_pages_bulk": self.pages_bulk,
            "mempool_create": self.create_pool,
            "mempool_create_slab_pool": self.create_slab_pool,
            "mempool_free": self.pool_free,
            "mempool_fail": self.pool_fail,
        }
        self._by_parameters: dict[tuple[str, ...], Rule] = {
            ("size", "gfp"): self.allocate,
            ("count", "size", "gfp"): self.allocate_array,
            ("size",): self.allocate_area,
            ("count", "size"): self.allocate_area,
            ("gfp", "order"): self.allocate_pages,
            ("gfp",): self.allocate_pages,
            ("cache", "gfp"): self.allocate_from,
            ("pool", "gfp"): self.allocate_from,
        }
        self._by_role: dict[str, Rule] = {
            "copy": self.memory,
            "bulk": self.cache_bulk,
            "item": self.item,
            "resize": self.resize,
            "split": self.split,
            "map": self.map,
            "free": self.free,
            "free bulk": self.kfree_bulk,
            "create": self.create,
            "destroy": self.destroy,
            "adjust": self.of_home,
            "measure": self.ksize,
            "describe": self.of_home,
            "locate": self.locate,
            "compute": self.plainly,
            "look": self.check,
            "set": self.plainly,
        }
        self._rules = {api.name: self._rule(api) for api in APIS.values()}

    def run(self, ops: Sequence[tuple[str, int, tuple[int, ...]]], base: int) -> None:
        """Run a chunk; the record of call k goes to byte `base` + k records, notes behind them all."""
        words, pack, memory = self.words, RECORD.pack_into, self._memory
        rules, size = self._rules, RECORD.size
        ran, quiet = self.notes.ran, self.notes.quiet
        at = base
        words[0], words[1] = 0, CALLING
        words[2] = base
        self.notes.begin(base)
        for index, (api, out, args) in enumerate(ops):
            words[1] = CALLING
            words[0] = index
            pack(memory, at, *rules[api](api, out, args), ran[0])
            ran[0] = quiet
            at += size
        words[0] = len(ops)

    def _rule(self, api: Api) -> Rule:
        """Return what runs a call."""
        rule = self._by_name.get(api.name)
        if rule is None:
            rule = self._by_parameters[api.parameters] if api.role == "allocate" else self._by_role[api.role]
        return rule


def runnable(functions: Mapping[str, Function]) -> list[str]:
    """Return which of a target's calls can be run with no more than what it has."""
    needs = {name: POOL_NEEDS if name == "mempool_create" else () for name in APIS}
    return [name for name in functions if name in APIS and functions.keys() >= set(needs[name])]
