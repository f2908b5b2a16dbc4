"""What tests of the model's calls share: everything that a call can change, and calls that are refused."""

from __future__ import annotations

import copy

import pytest

from kmem_model.kernel import Kernel
from kmem_model.slab import BuiltCache
from kmem_spec.table import Refused


def state(kernel: Kernel) -> object:
    """Return a copy of everything that calls can change."""
    lists = kernel.caches.every
    return copy.deepcopy(
        (
            (kernel.memory.pages, kernel.memory.filled),
            [(zone.free, zone.used, zone.nfree) for zone in kernel.frames.pages.zones],
            [(each.cache.slabs, each.cache.live) for each in lists],
            [each.cache.built for each in lists if isinstance(each.cache, BuiltCache)],
            [(each.handle, each.active, list(each.partial), each.waiting) for each in lists],
            (kernel.caches.owners, kernel.caches.constructed, list(kernel.caches.slab_at)),
            (kernel.blocks.spans, kernel.blocks.records, kernel.freed, kernel.lent),
            {handle: (each.size, each.references) for handle, each in kernel.slab_caches.items()},
            {handle: (each.least, each.reserve, each.out) for handle, each in kernel.pools.items()},
            (kernel.fail_nth, kernel.atomic),
        )
    )


def refused(kernel: Kernel, api: str, *args: object) -> str:
    """Return the clause under which a call is refused, having seen that it changed nothing."""
    before = state(kernel)
    with pytest.raises(Refused) as caught:
        kernel.call(api, args)
    assert state(kernel) == before
    return caught.value.clause
