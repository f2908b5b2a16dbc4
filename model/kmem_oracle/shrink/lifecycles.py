"""Lives of objects: what a script does with one object from its birth to its end, alone.

A leak is shown shortest by the life that leaks, over and over. So each kind of life that a script holds is
cut out of it: the call that makes an object, all calls on it and on what is made of it, and what these need.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from kmem_oracle.language.rounds import made_by, renumbered, taken_by
from kmem_oracle.language.script import ID_PLACES, Op
from kmem_oracle.language.syntax import HANDLES
from kmem_oracle.shrink.templates import REPEATABLE, undo, with_births
from kmem_spec.apis import APIS, argument
from kmem_spec.expect import size_asked
from kmem_spec.units import MAX_ORDER, PAGE_SIZE

LONGEST: Final = 40  # calls of a life
ROUNDS: Final = (2_600, 300, 20_000)
MOST_CALLS: Final = 100_000
MOST_BYTES: Final = 1 << 30  # that a script may touch, as far as its calls tell
MOST_LIVES: Final = 12
FILLED: Final = 24  # rounds of what fills the memory, more than the judge wants to see fail in a row
CROWDS: Final = (0, 2_000)  # objects alive at once that may fill it: as many as in the script, or so many
MANY: Final = 6  # objects alive at once that are worth a try
_MAKES: Final = REPEATABLE | {"split", "resize"}
_ENDS: Final = frozenset({"free", "free bulk", "destroy"})


def repeated_lives(ops: Sequence[Op]) -> Iterator[list[Op]]:
    """Yield scripts of one life over and over, and of many alike made and ended over and over."""
    found = list(_lives(ops))[:MOST_LIVES]
    for count in ROUNDS:
        for life in found:
            rounds = min(count, MOST_BYTES // max(1, sum(map(_bytes, life))))
            fits = rounds == count or (count == ROUNDS[0] and rounds >= FILLED)
            if fits and rounds * len(life) <= MOST_CALLS:
                yield [*_failing(ops, life), *life * rounds]
        if count == ROUNDS[0]:
            yield from _crowds(ops)


def _bytes(op: Op) -> int:
    """Return how many bytes a call asks for, 0 where its arguments do not tell."""
    api = APIS[op.api]
    if "order" in api.parameters and api.role == "allocate":
        return PAGE_SIZE << min(MAX_ORDER, argument(api, op.args, "order"))
    return size_asked(api, op.args) if api.role == "allocate" and "size" in api.parameters else 0


def _lives(ops: Sequence[Op]) -> Iterator[list[Op]]:
    """Yield lives: one of each set of calls, those of most kinds first, then those of other arguments."""
    seen: dict[tuple[str, ...], list[list[Op]]] = {}
    shapes: set[object] = set()
    for at, op in enumerate(ops):
        if APIS[op.api].role not in REPEATABLE or (op.api, op.args) in shapes:
            continue
        shapes.add((op.api, op.args))
        life = life_of(ops, at)
        if life is not None:
            alike = seen.setdefault(tuple(each.api for each in life), [])
            if life not in alike:
                alike.append(life)
    ranked = sorted(seen.values(), key=lambda alike: -len({op.api for op in alike[0]}))
    for place in range(max(map(len, ranked), default=0)):
        yield from (alike[place] for alike in ranked if place < len(alike))


def life_of(ops: Sequence[Op], at: int) -> list[Op] | None:
    """Return the life of what call `at` makes, None where it is too long.

    What it needs is made before it, and whatever is left is ended behind it.
    """
    living = set(made_by(ops[at]))
    kept = {at}
    last = at
    for last in range(at + 1, len(ops)):
        op = ops[last]
        if not any(item in living for taken in taken_by(op) for item in taken):
            continue
        kept.add(last)
        living -= _ended_by(op)
        if APIS[op.api].role in _MAKES:
            living |= set(made_by(op))
        if not living or len(kept) > LONGEST:
            break
    life = with_births(ops[: last + 1], [index in kept for index in range(last + 1)])
    for op in _left(life):
        life += undo(op, op.out)
    return renumbered(life) if len(life) <= LONGEST else None


def _left(ops: Sequence[Op]) -> list[Op]:
    """Return the calls whose objects nothing ends, the last one first."""
    left: dict[int, Op] = {}
    for op in ops:
        for item in _ended_by(op):
            left.pop(item, None)
        if op.out > 0 and APIS[op.api].role in REPEATABLE:
            left[op.out] = op
    return list(left.values())[::-1]


def _ended_by(op: Op) -> set[int]:
    """Return the ids that a call ends: those of a cache or a pool only where it destroys it."""
    api = APIS[op.api]
    if api.role in {"resize", "split"}:
        return {op.args[at] for at in ID_PLACES[op.api][:1]}
    if api.role not in _ENDS:
        return set()
    handles = {op.args[at] for at in ID_PLACES[op.api] if api.parameters[at] in HANDLES}
    return {item for taken in taken_by(op) for item in taken} - (set() if api.role == "destroy" else handles)


def _failing(ops: Sequence[Op], life: list[Op]) -> list[Op]:
    """Return what shows that a life works, then lives in which memory fails as it did in the script."""
    counts = list(dict.fromkeys(op.args[0] for op in ops if op.api == "fail_nth" and op.args[0]))[-1:]
    if not counts:
        return []
    armed = [Op("fail_nth", 0, (counts[0],)), *life, Op("fail_nth", 0, (0,))]
    return [*life * 3, *armed * 300]


def _crowds(ops: Sequence[Op]) -> Iterator[list[Op]]:
    """Yield scripts that make many objects alike and end them all, over and over."""
    makers = list(_makers_of_many(ops))
    for most in CROWDS:
        for maker, count in makers:
            items = range(1, (most or count) + 1)
            made = [maker._replace(out=item) for item in items]
            yield [*made, *(call for item in items for call in undo(maker, item))] * FILLED


def _makers_of_many(ops: Sequence[Op]) -> Iterator[tuple[Op, int]]:
    """Yield the calls whose objects fill memory: how many of them live at once, those of most bytes first."""
    living: dict[int, tuple[object, ...]] = {}
    now: Counter[tuple[object, ...]] = Counter()
    most: dict[tuple[object, ...], tuple[int, Op]] = {}
    for op in ops:
        for item in _ended_by(op):
            now[living.pop(item, ())] -= 1
        if APIS[op.api].role == "allocate" and op.out > 0 and not taken_by(op) and op.out not in living:
            shape = (op.api, op.args)
            living[op.out] = shape
            now[shape] += 1
            most[shape] = (max(now[shape], most.get(shape, (0, op))[0]), op)
    ranked = sorted(most.values(), key=lambda found: -found[0] * _bytes(found[1]))
    yield from ((op, count) for count, op in ranked[:4] if count >= MANY)
