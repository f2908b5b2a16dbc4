"""From a violation to a minimal script that shows it: fewer calls first, then plainer arguments.

Any part of a script is a script, so every candidate is simply played. A candidate counts if it breaks the
same clause; calls after that, and calls that were skipped, go at once. Long scripts lose what repeats in
them as a whole, round by round; only short ones are taken apart call by call.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from kmem_oracle.play import Play
from kmem_oracle.rounds import Round, ids_of, parts_of
from kmem_oracle.script import Op
from kmem_spec.apis import APIS
from kmem_spec.calls import Call
from kmem_spec.expect import size_asked
from kmem_spec.gfp import DIRECT_RECLAIM, GFP_KERNEL, ZERO, has
from kmem_spec.units import SIZE_MAX

CYCLES: Final = (2, 20, 300, 2_600, 20_000, 70_000)
FEW: Final = 12  # calls below which a script needs no template
MOST_PARTS: Final = 60  # parts of a script that counts as regular
SHORT: Final = 400  # calls up to which a regular script is taken apart call by call

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
        fits = False
        if len(self.best.ops) > FEW:
            self._uniform()
            fits = self._templates()
            if not fits and self._is_regular():
                self._fewer_rounds()
        if len(self.best.ops) <= SHORT or not self._is_regular():
            self._fewer_calls()
        if len(self.best.ops) > FEW and not fits:
            self._templates()
            self._fewer_rounds()
        self._plainer_arguments()
        if len(self.best.ops) <= FEW:
            self._fewer_calls()
        return self.best

    def _is_regular(self) -> bool:
        """Say whether the script consists of few parts, counting what repeats as one."""
        return len(parts_of(self.best.ops)) <= MOST_PARTS

    def _late(self) -> bool:
        """Say whether the time is up."""
        return time.monotonic() > self._deadline

    def _try(self, ops: Sequence[Op]) -> bool:
        """Play a candidate; keep it if it breaks the same clause."""
        key = hash(tuple(ops))
        if not ops or key in self._tried or self._late():
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
        chosen = {item for index in (*self.best.others, len(ops) - 1) for item in ids_of(ops[index])}
        chosen = {item for item in chosen if item > 0}
        if self._try([op for op in ops if chosen & set(ids_of(op))]):
            return
        window = 8
        while window < len(ops) // 2:
            if self._try(ops[-window:]) or self._try(_with_births(ops, len(ops) - window)):
                return
            window *= 4

    def _uniform(self) -> None:
        """Try the same script with every object of the kmalloc family made by a plain kmalloc."""
        self._try([_plain(op, GFP_KERNEL) for op in self.best.ops])
        if any(op.api != "kmalloc" and APIS[op.api].role == "allocate" for op in self.best.ops):
            self._try([_plain(op, GFP_KERNEL | ZERO) for op in self.best.ops])

    def _templates(self) -> bool:
        """Try scripts that only repeat: a call made and undone, many made, many made and undone."""
        for shape in self._shapes():
            for count in CYCLES:
                if 2 * count >= len(self.best.ops) or self._late():
                    break
                if any(self._try(ops) for ops in _repeated(shape, count)):
                    self._fewer_rounds()
                    return True
        return False

    def _shapes(self) -> Iterator[Op]:
        """Yield the calls that make objects, each shape once: of objects involved first, then frequent."""
        counts: dict[tuple[object, ...], int] = {}
        makers: dict[tuple[object, ...], Op] = {}
        for op in self.best.ops:
            if APIS[op.api].role == "allocate":
                counts[op.api, op.args] = counts.get((op.api, op.args), 0) + 1
                makers[op.api, op.args] = op
        involved = {item for index in (-1, *self.best.others) for item in ids_of(self.best.ops[index])}
        first = [
            (op.api, op.args)
            for op in reversed(self.best.ops)
            if op.out in involved and APIS[op.api].role == "allocate"
        ][:4]
        ranked = sorted(counts, key=lambda shape: -counts[shape])[:2]
        for shape in dict.fromkeys([*first, *ranked]):
            yield makers[shape]

    def _fewer_rounds(self) -> None:
        """Remove parts of the script as a whole, then find the fewest rounds of those that must stay."""
        self._fewer_parts()
        for _ in range(2):
            before = len(self.best.ops)
            for index in range(before):
                parts = [part for part in parts_of(self.best.ops) if part.count > 1]
                if index >= len(parts) or self._late():
                    break
                self._halve(sorted(parts, key=lambda part: -part.length * part.count)[index])
            if len(self.best.ops) == before:
                return
            self._fewer_parts()

    def _fewer_parts(self) -> None:
        """Remove whole parts, those of most calls first, until none can go."""
        going = True
        while going:
            going = False
            parts = sorted(parts_of(self.best.ops), key=lambda part: -part.length * part.count)
            for part in parts:
                if self._late():
                    return
                if self._try([*self.best.ops[: part.start], *self.best.ops[part.end :]]):
                    going = True
                    break

    def _halve(self, part: Round) -> None:
        """Find by bisection the fewest rounds of one part: its first ones, or of the last part its last."""
        ops = self.best.ops
        low, high = 1, part.count
        while low < high and not self._late():
            middle = (low + high) // 2
            kept = part.length * middle
            last = part.end == len(ops)
            begin = part.end - kept if last else part.start
            if self._try([*ops[: part.start], *ops[begin : begin + kept], *ops[part.end :]]):
                high = middle
            else:
                low = middle + 1

    def _fewer_calls(self) -> None:
        """Remove stretches of calls, long ones first, until no single one can go."""
        size = max(1, len(self.best.ops) // 2)
        while size and not self._late():
            at, removed = 0, False
            while at < len(self.best.ops) and not self._late():
                ops = self.best.ops
                if self._try([*ops[:at], *ops[at + size :]]):
                    removed = True
                else:
                    at += size
            if size == 1 and not removed:
                break
            size = size // 2 if size > 1 else 1

    def _plainer_arguments(self) -> None:
        """Try smaller sizes and plainer masks: of all calls of a shape at once, the most frequent first."""
        shapes = dict.fromkeys(
            (op.api, op.args) for op in reversed(self.best.ops) if APIS[op.api].role in {"allocate", "resize"}
        )
        for api, args in list(shapes)[:20]:
            shape: Op | None = Op(api, 0, args)
            while shape is not None and not self._late():
                shape = self._plainer_shape(shape)

    def _plainer_shape(self, shape: Op) -> Op | None:
        """Make the calls of one shape plainer by a step; return what they are now, None if no step goes."""
        for plainer in _plainer(shape):
            if self._try([_replaced(op, shape, plainer) for op in self.best.ops]):
                return plainer
        return None


def _replaced(op: Op, shape: Op, plainer: Op) -> Op:
    """Return `plainer` under the id of `op` if `op` has that shape (then its free fits too), else `op`."""
    if op.api == shape.api and op.args == shape.args:
        return plainer._replace(out=op.out)
    orders = shape.args[1:] if shape.api == "__get_free_pages" else ()
    if orders and op.api == "free_pages" and op.args[1:] == orders:
        return op._replace(args=(op.args[0], plainer.args[1]))
    return op


def _plain(op: Op, gfp: int) -> Op:
    """Return a kmalloc of as many bytes as the call asks for, if it is one of that family."""
    api = APIS[op.api]
    if api.role != "allocate" or api.family != "kmalloc":
        return op
    size = size_asked(api, Call(op.api, op.args).args)
    return op if size > SIZE_MAX else Op("kmalloc", op.out, (size, gfp))


def _with_births(ops: Sequence[Op], start: int) -> list[Op]:
    """Return the calls from `start` on, and before them those that make the objects that they use."""
    used = {item for op in ops[start:] for item in ids_of(op)}
    return [op for op in ops[:start] if op.out in used and op.out > 0] + list(ops[start:])


def _undo(op: Op, item: int) -> Op:
    """Return the call that frees what `op` made under the id `item`."""
    if APIS[op.api].family == "page":
        return Op("free_pages", 0, (item, op.args[1] if len(op.args) > 1 else 0))
    return Op("kfree", 0, (item,))


def _repeated(op: Op, count: int) -> Iterator[list[Op]]:
    """Yield scripts that repeat one call: made and undone; all made, one or all undone, and made again."""
    one = op._replace(out=1)
    yield [*(call for _ in range(count) for call in (one, _undo(op, 1))), one]
    if count > CYCLES[3]:
        return
    made = [op._replace(out=item) for item in range(1, count + 1)]
    undone = [_undo(op, item) for item in range(1, count + 1)]
    again = [op._replace(out=item) for item in range(count + 1, 2 * count + 1)]
    yield made + undone
    yield [*made, undone[0], again[0], again[1]]
    yield [*made, *undone[: count // 2], *again[: count // 2]]
    yield made + undone + again


def _plainer(op: Op) -> Iterator[Op]:
    """Yield the call with one argument plainer."""
    for index, (kind, value) in enumerate(zip(APIS[op.api].parameters, op.args, strict=True)):
        options: list[int] = []
        if kind == "gfp":
            options = [GFP_KERNEL, GFP_KERNEL | (value & ZERO)]
            options += [value & ~ZERO] if has(value, DIRECT_RECLAIM) else []
        elif kind in {"size", "count"}:
            power = 1 << max(0, value.bit_length() - 1)
            options = [1, 8, 64, 4096, power // 2, power]
            options += [value - (value >> shift) for shift in range(1, value.bit_length())] + [value - 1]
        elif kind == "order":
            options = [0, 1, value // 2, value - 1]
        for option in options:
            if 0 <= option < value or (kind == "gfp" and option != value):
                yield op._replace(args=(*op.args[:index], option, *op.args[index + 1 :]))
