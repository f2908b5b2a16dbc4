"""What repeats in a script: stretches of calls that come again, each place's object moving on evenly."""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from kmem_oracle.language.names import Stretch, merged
from kmem_oracle.language.script import ID_PLACES, Op, items_of
from kmem_spec.apis import APIS

LONGEST_PATTERN: Final = 18  # calls of a round whose objects differ from round to round
LONGEST_SAME: Final = 50_000  # calls of a round that comes again with the very same objects
FEWEST_ROUNDS: Final = 3
PLENTY: Final = 32  # rounds of so many calls each that no longer pattern is looked for


@dataclass(frozen=True, slots=True)
class Round:
    """`count` repetitions of the calls from `start` on, `length` calls each."""

    start: int
    length: int
    count: int

    @property
    def end(self) -> int:
        """Return the index behind the last call."""
        return self.start + self.length * self.count


def parts_of(ops: Sequence[Op], begin: int = 0, end: int | None = None) -> list[Round]:
    """Cut a stretch of a script into what repeats and single calls."""
    end = len(ops) if end is None else end
    places: dict[Op, list[int]] = {}
    for index in range(begin, end):
        places.setdefault(ops[index], []).append(index)
    parts: list[Round] = []
    at = begin
    while at < end:
        best = Round(at, 1, 1)
        for length in range(1, LONGEST_PATTERN + 1):
            best = _better(best, Round(at, length, _rounds(ops, at, length, end)))
            if best.count >= PLENTY:
                break
        same = places[ops[at]]
        following = bisect_right(same, at)
        if following < len(same) and LONGEST_PATTERN < same[following] - at <= LONGEST_SAME:
            length = same[following] - at
            best = _better(best, Round(at, length, _same_rounds(ops, at, length, end)))
        parts.append(best)
        at = best.end
    return parts


def _better(one: Round, two: Round) -> Round:
    """Return the round that saves more calls, if it repeats often enough to be worth writing as one."""
    saves = (two.count - 1) * two.length > (one.count - 1) * one.length
    return two if two.count >= FEWEST_ROUNDS and saves else one


def _same_rounds(ops: Sequence[Op], start: int, length: int, end: int) -> int:
    """Return how often the `length` calls at `start` come in a row with the very same objects."""
    first = ops[start : start + length]
    count = 1
    while start + (count + 1) * length <= end:
        if ops[start + count * length : start + (count + 1) * length] != first:
            break
        count += 1
    return count


def _rounds(ops: Sequence[Op], start: int, length: int, end: int) -> int:
    """Return how often the `length` calls at `start` come in a row, each place's id moving on evenly."""
    first, second = ops[start : start + length], ops[start + length : start + 2 * length]
    if start + 2 * length > end or any(_shape(a) != _shape(b) for a, b in zip(first, second, strict=True)):
        return 1
    steps = [
        [b - a for a, b in zip(ids_of(one), ids_of(two), strict=True)]
        for one, two in zip(first, second, strict=True)
    ]
    count = 2
    while True:
        later = ops[start + count * length : start + (count + 1) * length]
        if start + (count + 1) * length > end:
            return count
        for one, two, step in zip(first, later, steps, strict=True):
            due = [item + count * by for item, by in zip(ids_of(one), step, strict=True)]
            if _shape(one) != _shape(two) or ids_of(two) != due:
                return count
        count += 1


def ids_of(op: Op) -> list[int]:
    """Return the ids in a call: the one it makes, then those it takes; of an array the first."""
    return [op.out, *(op.args[at] for at in ID_PLACES[op.api])]


def made_by(op: Op) -> range:
    """Return the ids of the objects that a call makes."""
    if op.out <= 0:
        return range(0)
    api = APIS[op.api]
    return range(op.out, op.out + (items_of(api, op.args) if api.role in {"bulk", "split"} else 1))


def taken_by(op: Op) -> list[range]:
    """Return the ids that a call takes, one range for each argument that is one or a vector."""
    kinds = APIS[op.api].parameters
    return [
        range(op.args[at], op.args[at] + (items_of(APIS[op.api], op.args) if kinds[at] == "vector" else 1))
        for at in ID_PLACES[op.api]
        if op.args[at] > 0
    ]


def reach_of(op: Op) -> list[range]:
    """Return all ids in a call: those it makes, then those it takes."""
    return [made_by(op), *taken_by(op)]


def arrays_in(op: Op) -> list[Stretch]:
    """Return the ids that a call takes or makes as arrays."""
    api = APIS[op.api]
    count = max(1, items_of(api, op.args))
    starts = [op.out] if api.role in {"bulk", "split"} else []
    starts += [value for kind, value in zip(api.parameters, op.args, strict=True) if kind == "vector"]
    return [(start, start + count) for start in starts if start > 0]


def renumbered(ops: Sequence[Op]) -> list[Op]:
    """Return the same calls, their ids without gaps in the order in which they come."""
    arrays = merged({span for op in ops for span in arrays_in(op)})
    stretches = {item: span for span in arrays for item in range(*span)}
    numbers: dict[int, int] = {}
    for op in ops:
        for item in ids_of(op):
            if item > 0 and item not in numbers:
                first = len(numbers) + 1
                span = stretches.get(item, (item, item + 1))
                numbers.update((other, first + place) for place, other in enumerate(range(*span)))
    return [
        op._replace(
            out=numbers.get(op.out, 0),
            args=tuple(
                numbers.get(arg, arg) if at in ID_PLACES[op.api] else arg for at, arg in enumerate(op.args)
            ),
        )
        for op in ops
    ]


def in_order(ops: Sequence[Op], *, backwards: bool) -> list[Op]:
    """Return the same calls, but frees that come in a row in the order of their ids."""
    ordered: list[Op] = []
    for (role, _), calls in itertools.groupby(ops, key=lambda op: (APIS[op.api].role, op.api)):
        row = list(calls)
        ordered.extend(sorted(row, key=ids_of, reverse=backwards) if role == "free" else row)
    return ordered


def _shape(op: Op) -> tuple[object, ...]:
    """Return what of a call is no id."""
    places = ID_PLACES[op.api]
    return (
        op.api,
        op.out > 0,
        *(min(arg, 1) if at in places else arg for at, arg in enumerate(op.args)),
    )
