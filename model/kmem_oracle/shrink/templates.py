"""Scripts that only repeat: a call made and undone, many made, many made and undone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from kmem_oracle.language.rounds import made_by, reach_of, taken_by
from kmem_oracle.language.script import Op
from kmem_spec.apis import APIS, argument

CYCLES: Final = (2, 20, 300, 2_600, 20_000, 70_000)
REPEATABLE: Final = frozenset({"allocate", "copy", "bulk", "map", "create"})
_FREES: Final = {"kmalloc": "kfree", "kv": "kvfree", "vmalloc": "vfree", "vmap": "vunmap"}


def ids_in(op: Op) -> set[int]:
    """Return all ids in a call."""
    return {item for reach in reach_of(op) for item in reach}


def with_births(ops: Sequence[Op], kept: Sequence[bool]) -> list[Op]:
    """Return the calls that are kept, and before them those that make what they use, in turn."""
    used: set[int] = set()
    chosen: list[Op] = []
    for op, keep in zip(reversed(ops), reversed(kept), strict=True):
        if keep or (op.out > 0 and not used.isdisjoint(made_by(op))):
            chosen.append(op)
            used.update(*taken_by(op))
    return chosen[::-1]


def undo(op: Op, item: int) -> list[Op]:
    """Return the calls that give back what `op` made under the ids from `item` on."""
    api = APIS[op.api]
    if api.role == "create":
        return [Op("kmem_cache_destroy" if api.family == "cache" else "mempool_destroy", 0, (item,))]
    if api.name == "kmem_cache_alloc_bulk":
        return [Op("kmem_cache_free_bulk", 0, (op.args[0], argument(api, op.args, "count"), item))]
    if api.name == "alloc_pages_bulk":
        return [Op("__free_pages", 0, (page, 0)) for page in made_by(op._replace(out=item))]
    if api.family == "cache":
        return [Op("kmem_cache_free", 0, (op.args[0], item))]
    if api.family == "pool":
        return [Op("mempool_free", 0, (item, op.args[0]))]
    if api.family == "exact":
        return [Op("free_pages_exact", 0, (item, argument(api, op.args, "size")))]
    if api.family == "page":
        name = "__free_pages" if api.name == "alloc_pages" else "free_pages"
        return [Op(name, 0, (item, argument(api, op.args, "order")))]
    return [Op(_FREES[api.family], 0, (item,))]


def repeated(op: Op, count: int, before: Sequence[Op] = ()) -> Iterator[list[Op]]:
    """Yield scripts that repeat one call: made and undone; all made, one or all undone, and made again.

    `before` are the calls that make what it needs.
    """
    base = max((item for call in before for item in ids_in(call)), default=0) + 1
    width = max(1, len(made_by(op)))
    one = op._replace(out=base)
    yield [*before, *(call for _ in range(count) for call in (one, *undo(op, base))), one]
    if count > CYCLES[3]:
        return
    items = [base + k * width for k in range(2 * count)]
    made = [op._replace(out=item) for item in items[:count]]
    undone = [undo(op, item) for item in items[:count]]
    again = [op._replace(out=item) for item in items[count:]]
    all_undone = [call for calls in undone for call in calls]
    half = [call for calls in undone[: count // 2] for call in calls]
    yield [*before, *made, *all_undone]
    yield [*before, *made, *undone[0], again[0], again[1]]
    yield [*before, *made, *half, *again[: count // 2]]
    holes = [call for calls in undone[::2] for call in calls]
    if width == 1 and APIS[op.api].role != "create":
        yield [*before, *made, *holes, *(Op("check", 0, (item,)) for item in items[1:count:2])]
    yield [*before, *made, *all_undone, *again]
