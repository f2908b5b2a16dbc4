"""Fewer rounds: parts of a script that repeat go as a whole, then as many of their rounds as can."""

from __future__ import annotations

from kmem_oracle.language.rounds import LONGEST_PATTERN, Round, in_order, parts_of, renumbered
from kmem_oracle.shrink.trials import Trials


def fewer_rounds(trials: Trials) -> None:
    """Remove parts of the script as a whole, then find the fewest rounds of those that must stay."""
    _evenly(trials)
    _fewer_parts(trials)
    _shorter_rounds(trials)
    for _ in range(2):
        before = len(trials.best.ops)
        for index in range(before):
            parts = [part for part in parts_of(trials.best.ops) if part.count > 1]
            if index >= len(parts) or trials.late():
                break
            _halve(trials, sorted(parts, key=lambda part: -part.length * part.count)[index])
        if len(trials.best.ops) == before:
            return
        _fewer_parts(trials)


def _evenly(trials: Trials) -> None:
    """Number what is made without gaps, and free it in order, so that more of it repeats."""
    if (even := renumbered(trials.best.ops)) != list(trials.best.ops):
        trials.fails(even)
    for backwards in (False, True):
        if trials.fails(in_order(trials.best.ops, backwards=backwards)):
            return


def _fewer_parts(trials: Trials) -> None:
    """Remove whole parts, those of most calls first, until none can go."""
    going = True
    while going:
        going = False
        parts = sorted(parts_of(trials.best.ops), key=lambda part: -part.length * part.count)
        for part in parts:
            if trials.late():
                return
            if trials.fails([*trials.best.ops[: part.start], *trials.best.ops[part.end :]]):
                going = True
                break


def _shorter_rounds(trials: Trials) -> None:
    """Remove a call from all rounds of a part at once."""
    index = 0
    while not trials.late():
        ops = trials.best.ops
        parts = [part for part in parts_of(ops) if part.count > 1 and part.length > 1]
        if index >= len(parts):
            return
        part = parts[index]
        fewer = (
            [
                op
                for at, op in enumerate(ops)
                if not part.start <= at < part.end or (at - part.start) % part.length != k
            ]
            for k in reversed(range(min(part.length, LONGEST_PATTERN)))
        )
        if not any(trials.fails(candidate) for candidate in fewer):
            index += 1


def _halve(trials: Trials, part: Round) -> None:
    """Find by bisection the fewest rounds of one part: its first ones, or of the last part its last."""
    ops = trials.best.ops
    low, high = 1, part.count
    while low < high and not trials.late():
        middle = (low + high) // 2
        kept = part.length * middle
        last = part.end == len(ops)
        begin = part.end - kept if last else part.start
        if trials.fails([*ops[: part.start], *ops[begin : begin + kept], *ops[part.end :]]):
            high = middle
        else:
            low = middle + 1
