"""Everything that a call of the model kernel can change, to see that one changed nothing."""

from __future__ import annotations

import copy

import pytest

from kmem_model.kernel import Kernel
from kmem_spec.table import Refused


def state(kernel: Kernel) -> object:
    """Return a copy of pages, areas, caches, ledger and bytes."""
    areas = kernel.space.areas
    lists = kernel.caches.every
    return copy.deepcopy(
        (
            kernel.memory.pages,
            kernel.memory.filled,
            [(zone.free, zone.used, zone.nfree) for zone in kernel.frames.pages.zones],
            (areas.areas, areas.mapped, areas.frames, areas.backing, areas.aliases),
            kernel.space.waiting,
            [(each.cache.slabs, each.cache.live) for each in lists],
            [(each.active, list(each.partial), each.waiting) for each in lists],
            kernel.caches.owners,
            kernel.blocks.spans,
            kernel.blocks.records,
            kernel.freed,
            kernel.lent,
            kernel.atomic,
        )
    )


def refused(kernel: Kernel, api: str, *args: object) -> str:
    """Return the clause under which a call is refused, having seen that it changed nothing."""
    before = state(kernel)
    with pytest.raises(Refused) as caught:
        kernel.call(api, args)
    assert state(kernel) == before
    return caught.value.clause
