"""POOL: rules of mempools. What a pool's elements owe beside, the rules of objects say."""

from __future__ import annotations

from typing import NamedTuple

from kmem_spec.clauses import history


class Pool(NamedTuple):
    """What the judge knows of a pool.

    sure     elements that are obtainable at least, whatever its allocator does
    birth    index of the event that created it
    cache    address of the cache that its elements are of, 0 for none
    """

    size: int
    align: int
    sure: int
    birth: int
    cache: int = 0


history(
    "POOL-RESERVE",
    "While fewer elements than its reserve are held, a mempool_alloc succeeds whatever the allocator does.",
    "mm/mempool.c: mempool_alloc; include/linux/mempool.h",
)
history(
    "POOL-WAITS",
    "A mempool_alloc that may sleep never returns NULL.",
    "mm/mempool.c: mempool_alloc",
)
history(
    "POOL-NULL",
    "mempool_free(NULL, pool) and mempool_destroy(NULL) do nothing.",
    "mm/mempool.c: mempool_free",
)
