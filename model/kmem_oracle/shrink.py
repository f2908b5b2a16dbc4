"""From a violation to a minimal script that shows it: fewer calls first, then plainer arguments.

Any part of a script is a script, so every candidate is simply played. A candidate counts if the same
clause is broken; its calls after that are dropped at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from kmem_oracle.play import Play
from kmem_oracle.script import Op
from kmem_spec.calls import APIS
from kmem_spec.gfp import DIRECT_RECLAIM, GFP_KERNEL, ZERO, has

CYCLES: Final = (2, 20, 300, 2_600, 20_000, 70_000)
FEW: Final = 12  # calls below which a script needs no template

Test = Callable[[Sequence[Op]], Play]


class Shrinker:
    """Reduce one failing script; `test` plays a candidate."""

    def __init__(self, failing: Play, test: Test, seconds: float) -> None:
        """Needs    failing.finding is not None"""
        assert failing.finding is not None
        self.best = failing
        self._clause = failing.finding.clause
        self._test = test
        self._deadline = time.monotonic() + seconds
        self._tried: set[int] = set()

    def run(self) -> Play:
        """Return the shortest script found in the time given, with its finding."""
        self._relevant()
        if len(self.best.ops) > FEW:
            self._templates()
        self._fewer_calls()
        if len(self.best.ops) > FEW:
            self._templates()
        self._plainer_arguments()
        self._fewer_calls()
        return self.best

    def _try(self, ops: Sequence[Op]) -> bool:
        """Play a candidate; keep it if it breaks the same clause with fewer or plainer calls."""
        key = hash(tuple(ops))
        if not ops or key in self._tried or time.monotonic() > self._deadline:
            return False
        self._tried.add(key)
        play = self._test(ops)
        if play.finding is None or play.finding.clause != self._clause:
            return False
        self.best = play
        return True

    def _relevant(self) -> None:
        """Try the calls on the objects involved alone, then with ever more of what went before."""
        ops = self.best.ops
        chosen = {item for index in (*self.best.others, len(ops) - 1) for item in _ids(ops[index])} - {0}
        if self._try([op for op in ops if chosen & set(_ids(op))]):
            return
        window = 8
        while window < len(ops) // 2:
            if self._try([*ops[-window:]]) or self._try(_with_births(ops, len(ops) - window)):
                return
            window *= 4

    def _templates(self) -> None:
        """Try scripts that only repeat: a call made and undone, many made, many made and undone."""
        for last in self._shapes():
            for count in CYCLES:
                if 2 * count >= len(self.best.ops) or time.monotonic() > self._deadline:
                    break
                if any(self._try(ops) for ops in _repeated(last, count)):
                    self._fewer_rounds()
                    return

    def _shapes(self) -> Iterator[Op]:
        """Yield the calls that make objects, the last and the most frequent first, each shape once."""
        counts: dict[tuple[object, ...], int] = {}
        makers: dict[tuple[object, ...], Op] = {}
        for op in self.best.ops:
            if APIS[op.api].role == "allocate":
                counts[op.api, op.args] = counts.get((op.api, op.args), 0) + 1
                makers[op.api, op.args] = op
        involved = [self.best.ops[index] for index in (len(self.best.ops) - 1, *self.best.others)]
        first = [(op.api, op.args) for op in involved if APIS[op.api].role == "allocate"]
        ranked = sorted(counts, key=lambda shape: -counts[shape])[:3]
        for shape in dict.fromkeys([*first, *ranked]):
            yield makers[shape]

    def _fewer_rounds(self) -> None:
        """Halve the distance to the fewest rounds of a script that only repeats."""
        low, best = 0, len(self.best.ops)
        while best - low > 1 and time.monotonic() < self._deadline:
            middle = (low + best) // 2
            if self._try(self.best.ops[len(self.best.ops) - middle :]):
                best = len(self.best.ops)
            else:
                low = middle

    def _fewer_calls(self) -> None:
        """Remove stretches of calls, long ones first, until no single one can go."""
        size = max(1, len(self.best.ops) // 2)
        while size and time.monotonic() < self._deadline:
            at, removed = 0, False
            while at < len(self.best.ops) and time.monotonic() < self._deadline:
                ops = self.best.ops
                if self._try([*ops[:at], *ops[at + size :]]):
                    removed = True
                else:
                    at += size
            if size == 1 and not removed:
                break
            size = size // 2 if size > 1 else 1

    def _plainer_arguments(self) -> None:
        """Try smaller sizes and plainer masks, call by call."""
        index = 0
        while index < len(self.best.ops) and len(self.best.ops) <= 40:
            for plainer in _plainer(self.best.ops[index]):
                ops = list(self.best.ops)
                ops[index] = plainer
                if self._try(ops) and index >= len(self.best.ops):
                    break
            index += 1


def _ids(op: Op) -> list[int]:
    """Return the ids of objects in a call."""
    kinds = APIS[op.api].parameters
    return [op.out, *(arg for arg, kind in zip(op.args, kinds, strict=True) if kind == "pointer")]


def _with_births(ops: Sequence[Op], start: int) -> list[Op]:
    """Return the calls from `start` on, and before them those that make the objects that they use."""
    used = {item for op in ops[start:] for item in _ids(op)}
    return [op for op in ops[:start] if op.out in used and op.out > 0] + list(ops[start:])


def _undo(op: Op, item: int) -> Op:
    """Return the call that frees what `op` made under the id `item`."""
    if APIS[op.api].family == "page":
        return Op("free_pages", 0, (item, op.args[1] if len(op.args) > 1 else 0))
    return Op("kfree", 0, (item,))


def _repeated(op: Op, count: int) -> Iterator[list[Op]]:
    """Yield scripts that repeat one call: made and undone; all made; all made, all undone, all made."""
    yield [call for _ in range(count) for call in (op._replace(out=1), _undo(op, 1))]
    if count > CYCLES[3]:
        return
    made = [op._replace(out=item) for item in range(1, count + 1)]
    undone = [_undo(op, item) for item in range(1, count + 1)]
    yield made + undone
    yield made + undone + [op._replace(out=item) for item in range(count + 1, 2 * count + 1)]


def _plainer(op: Op) -> Iterator[Op]:
    """Yield the call with one argument plainer."""
    for index, (kind, value) in enumerate(zip(APIS[op.api].parameters, op.args, strict=True)):
        options: list[int] = []
        if kind == "gfp":
            options = [GFP_KERNEL, GFP_KERNEL | (value & ZERO)]
            options += [value & ~ZERO] if has(value, DIRECT_RECLAIM) else []
        elif kind in {"size", "count"}:
            power = 1 << max(0, value.bit_length() - 1)
            options = [1, 8, 64, 4096, power // 2, power, value // 2, value - 8, value - 1]
        elif kind == "order":
            options = [0, 1, value // 2, value - 1]
        for option in options:
            if 0 <= option < value or (kind == "gfp" and option != value):
                yield op._replace(args=(*op.args[:index], option, *op.args[index + 1 :]))
