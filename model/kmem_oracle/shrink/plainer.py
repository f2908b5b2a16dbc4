"""Plainer arguments: what to try in place of a call's, and what must change with it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from kmem_oracle.language.rounds import made_by
from kmem_oracle.language.script import ID_PLACES, Op, items_of
from kmem_spec.apis import APIS, Api, Parameter
from kmem_spec.gfp import DIRECT_RECLAIM, GFP_KERNEL, ZERO, has
from kmem_spec.units import PAGE_SIZE

# What is freed has the order and the size that it was made with.
SHAPED: Final = frozenset(
    {
        "allocate",
        "copy",
        "resize",
        "bulk",
        "map",
        "create",
        "adjust",
        "set",
        "locate",
        "compute",
        "free bulk",
    }
)
_FOLLOWS: Final = frozenset({"free", "split"})


def plainer_calls(op: Op) -> Iterator[Op]:
    """Yield the call with one argument plainer."""
    api = APIS[op.api]
    for index, (kind, value) in enumerate(zip(api.parameters, op.args, strict=True)):
        least = 1 if kind == "size" and api.role == "create" else 0  # no cache may have objects of no bytes
        for option in _options(kind, value):
            if least <= option < value or (kind == "gfp" and option != value):
                yield op._replace(args=(*op.args[:index], option, *op.args[index + 1 :]))


def _options(kind: Parameter, value: int) -> list[int]:
    """Return plainer values for an argument, the plainest first."""
    if kind == "gfp":
        return [
            GFP_KERNEL,
            GFP_KERNEL | (value & ZERO),
            *([value & ~ZERO] if has(value, DIRECT_RECLAIM) else []),
        ]
    nearer = [value - (value >> shift) for shift in range(1, value.bit_length())]
    if kind in {"size", "count"}:
        power = 1 << max(0, value.bit_length() - 1)
        return [1, 8, 64, 4096, power // 2, power, *nearer, value - 1]
    if kind == "flags":
        return [0, *(value & ~(1 << bit) for bit in range(value.bit_length()))]
    if kind == "offset":
        return [0, value - value % PAGE_SIZE, *nearer, value - 1]
    if kind in {"order", "number", "align"}:
        return [0, 1, value // 2, value - 1]
    return [0] if kind in {"ctor", "dtor", "prot"} else []


def with_plainer(ops: Sequence[Op], shape: Op, plainer: Op, *, drop: bool) -> list[Op]:
    """Return a script with one shape of call made plainer, and what depends on it made to fit.

    An array that becomes shorter loses objects: calls on those are dropped with `drop`, else they take
    the last one that is left.
    """
    made: dict[int, tuple[Op, Op]] = {}  # what made an object: as it was, and as it is now
    stands: dict[int, int] = {}  # in for objects that are no longer made; 0 for none
    after: list[Op] = []
    for op in ops:
        same = op.api == shape.api and op.args == shape.args
        now = plainer._replace(out=op.out) if same else _following(_fitting(op, stands), made)
        if now is None:
            continue
        was_made, is_made = made_by(op), made_by(now)
        for item in was_made:
            stands.pop(item, None)
            made.pop(item, None)
            if item in is_made:
                made[item] = (op, now)
            else:
                stands[item] = 0 if drop or not is_made else is_made[-1]
        after.append(now)
    return after


def _fitting(op: Op, stands: dict[int, int]) -> Op | None:
    """Return a call without what is no longer made, None if nothing is left of it."""
    if not stands:
        return op
    api, args = APIS[op.api], list(op.args)
    for at in ID_PLACES[op.api]:
        if api.parameters[at] == "vector":
            count = items_of(api, op.args)
            left = next((k for k in range(count) if args[at] + k in stands), count)
            if not left and count:
                left, args[at] = 1, stands[args[at]]
            args[api.parameters.index("count")] = left
        else:
            args[at] = stands.get(args[at], args[at])
        if args[at] == 0 != op.args[at]:
            return None
    return op._replace(args=tuple(args))


def _following(op: Op | None, made: dict[int, tuple[Op, Op]]) -> Op | None:
    """Return a call that ends a block with the order or size that the block has now."""
    if op is None or APIS[op.api].role not in _FOLLOWS:
        return op
    api = APIS[op.api]
    pointer = op.args[api.parameters.index("pointer")]
    if pointer not in made:
        return op
    was, now = made[pointer]
    args = list(op.args)
    for at, kind in enumerate(api.parameters):
        if kind in {"order", "size"} and args[at] == _value(APIS[was.api], was, kind):
            args[at] = _value(APIS[now.api], now, kind)
    return op._replace(args=tuple(args))


def _value(api: Api, op: Op, kind: Parameter) -> int:
    """Return an argument, 0 where the call has none."""
    return op.args[api.parameters.index(kind)] if kind in api.parameters else 0
