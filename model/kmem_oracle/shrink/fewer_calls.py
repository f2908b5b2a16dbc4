"""Fewer calls: a script is taken apart call by call, and by what others bind together."""

from __future__ import annotations

from typing import Final

from kmem_oracle.language.script import Op
from kmem_oracle.shrink.templates import ids_in
from kmem_oracle.shrink.trials import Trials
from kmem_spec.apis import APIS

SHORT: Final = 400  # calls up to which each object is tried by itself
BOUND: Final = frozenset({"create", "set", "split", "map"})  # calls that others must follow or precede


def fewest(trials: Trials) -> None:
    """Remove calls, and then objects with all their calls, until nothing can go."""
    _fewer_calls(trials)
    before = len(trials.best.ops)
    if before <= SHORT:
        fewer_objects(trials, before)
        _fewer_pairs(trials)
    if len(trials.best.ops) < before:
        _fewer_calls(trials)


def _fewer_calls(trials: Trials) -> None:
    """Remove stretches of calls, long ones first, until no single one can go."""
    size = max(1, len(trials.best.ops) // 2)
    while size and not trials.late():
        at, removed = 0, False
        while at < len(trials.best.ops) and not trials.late():
            ops = trials.best.ops
            if trials.fails([*ops[:at], *ops[at + size :]]):
                removed = True
            else:
                at += size
        if size == 1 and not removed:
            break
        size = size // 2 if size > 1 else 1


def fewer_objects(trials: Trials, parts: int) -> None:
    """Remove objects, caches and pools with all their calls, many at once; `parts` is how finely to cut.

    That finds what single calls do not where others bind them: a destroy needs every free before it.
    """
    if not any(APIS[op.api].role in BOUND for op in trials.best.ops):
        return
    items = list(dict.fromkeys(op.out for op in trials.best.ops if op.out > 0))
    size, least = len(items) // 2, max(1, len(items) // parts)
    while size >= least and not trials.late():
        at = 0
        while at < len(items) and not trials.late():
            gone = set(items[at : at + size])
            if trials.fails([op for op in trials.best.ops if gone.isdisjoint(ids_in(op))]):
                del items[at : at + size]
            else:
                at += size
        size //= 2


def _fewer_pairs(trials: Trials) -> None:
    """Remove each preempt_disable with its preempt_enable."""
    at = 0
    while at < len(trials.best.ops) and not trials.late():
        ops = trials.best.ops
        pair = Op("preempt_enable", 0, ())
        if ops[at].api == "preempt_disable" and pair in ops[at:]:
            end = ops.index(pair, at)
            at -= trials.fails([*ops[:at], *ops[at + 1 : end], *ops[end + 1 :]])
        at += 1
