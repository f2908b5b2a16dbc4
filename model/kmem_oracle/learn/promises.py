"""Which clauses speak of which call: what it promises, and what it demands of its caller."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kmem_spec.apis import MAKERS, Api
from kmem_spec.clauses import CLAUSES
from kmem_spec.judge import CHAPTERS

assert CHAPTERS  # they register the clauses

_GIVES: Final = frozenset({"allocate", "copy", "resize", "bulk", "map"})
_FREES: Final = frozenset({"free", "free bulk"})


def _named(*names: str) -> Callable[[Api], bool]:
    return lambda api: api.name in names


def _asks(api: Api) -> bool:
    """Say whether a call may ask the page allocator under a mask of its caller's."""
    return "gfp" in api.parameters


# Of the clauses that are found in a history, and so say of no call by themselves that they are about it.
_ABOUT: Final[dict[str, Callable[[Api], bool]]] = {
    "MEM-APART": lambda api: api.role in _GIVES,
    "MEM-KEEP": lambda api: api.role in _GIVES,
    "MEM-RETURNS": lambda _: True,
    "MEM-LIVENESS": lambda api: api.role in _FREES or api.role == "destroy",
    "CACHE-CTOR": _named("kmem_cache_alloc", "kmem_cache_zalloc", "kmem_cache_alloc_bulk"),
    "CACHE-CTOR-ONCE": _named("kmem_cache_create", "kmem_cache_create_26", "kmem_cache_alloc"),
    "CACHE-CTOR-OWN": _named("kmem_cache_create", "kmem_cache_create_26", "kmem_cache_alloc"),
    "CACHE-DTOR": _named("kmem_cache_create_26", "kmem_cache_shrink", "kmem_cache_destroy"),
    "CACHE-DESTROY-NULL": _named("kmem_cache_destroy"),
    "PAGE-FREE-NULL": _named("free_pages"),
    "POOL-RESERVE": _named("mempool_create", "mempool_create_slab_pool", "mempool_alloc"),
    "POOL-WAITS": _named("mempool_alloc"),
    "POOL-NULL": _named("mempool_free", "mempool_destroy"),
    "GFP-ATOMIC-REACH": _asks,
    "GFP-USER": _asks,
    "GFP-NOFAIL": _asks,
    "SLAB-FREE-NULL": _named("kfree", "kfree_sensitive", "kvfree"),
    "VM-GUARD": lambda api: api.family in ("vmalloc", "vmap") and api.role in _GIVES,
    "VM-FRAME-OWN": lambda api: api.family in ("vmalloc", "vmap") and api.role in _GIVES,
    "VM-ADDR": _named("is_vmalloc_addr"),
    "VM-FREE-NULL": _named("vfree", "vunmap"),
    "CALLER-FREE": lambda api: bool(api.takes) and api.family != "driver",
    "CALLER-DOUBLE-FREE": lambda api: api.role in _FREES,
    "CALLER-FAMILY": lambda api: bool(api.takes) and api.role not in ("copy", "look", "locate"),
    "CALLER-ORDER": lambda api: "order" in api.parameters and bool(api.takes),
    "CALLER-SIZE": _named("free_pages_exact"),
    "CALLER-GFP": _asks,
    "CALLER-CONTEXT": lambda api: api.sleeps or "gfp" in api.parameters,
    "CALLER-BOUNDS": _named("kmemdup"),
    "CALLER-CREATE": lambda api: api.role == "create",
    "CALLER-HANDLE": lambda api: bool({"cache", "pool"}.intersection(api.parameters)),
    "CALLER-CACHE": _named("kmem_cache_free", "kmem_cache_free_bulk", "mempool_free"),
    "CALLER-DESTROY": lambda api: api.role == "destroy",
    "CALLER-POOL": lambda api: api.family == "pool" and api.role != "free",
    "CALLER-CTOR-ZERO": _named("kmem_cache_alloc", "kmem_cache_zalloc", "kmem_cache_alloc_bulk"),
    "CALLER-LEAK": lambda api: api.role in MAKERS or api.role == "bulk",
}


def promises_of(api: Api) -> list[str]:
    """Return the clauses that an allocator keeps in this call, whatever its profile promises."""
    return _clauses(api, "allocator")


def demands_of(api: Api) -> list[str]:
    """Return the clauses that the caller keeps."""
    return [] if api.family == "driver" else _clauses(api, "caller")


def _clauses(api: Api, who: str) -> list[str]:
    """Return the clauses about a call, in the registry's order."""
    if api.family == "driver":
        return []
    return [name for name, clause in CLAUSES.items() if clause.who == who and _speaks_of(name, api)]


def _speaks_of(name: str, api: Api) -> bool:
    """Say whether a clause is about a call."""
    if name in _ABOUT:
        return _ABOUT[name](api)
    if name.endswith("-ARRAY") and "count" not in api.parameters:
        return False
    clause = CLAUSES[name]
    return clause.kind == "outcome" and clause.of(api)
