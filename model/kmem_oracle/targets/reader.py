"""From records to events: ids become addresses, and what ran during a call its notes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from typing import Final

from kmem_oracle.language.script import ID_ZERO_SIZE, MOST_ITEMS, Op
from kmem_oracle.targets.records import (
    ASLEEP,
    LOST,
    ONE_NOTE,
    SKIPPED,
    WATCHED,
    RawNote,
    Record,
)
from kmem_spec.apis import APIS, Api, argument
from kmem_spec.calls import Answer, Call, Lost, Note
from kmem_spec.units import MAX_ORDER, PAGE_SIZE, SIZE_MAX, ZERO_SIZE_PTR

new_call: Final[Callable[[tuple[str, tuple[int, ...]]], Call]] = partial(tuple.__new__, Call)
new_answer: Final[Callable[[tuple[int, int, int, int, int, tuple[Note, ...]]], Answer]] = partial(
    tuple.__new__, Answer
)
NOTES_LOST: Final = (Note(0, 0, 0),)  # in place of notes for which there was no room
SLEPT: Final = (-1, 0, -1, 1)  # by the last word of a record
NULLS: Final = tuple(Answer(0, slept=slept) for slept in SLEPT)
NAMED: Final = frozenset({"pointer", "source", "cache", "pool"})  # parameters that are ids in a script
SIGNED: Final = frozenset({"kmem_cache_shrink", "mempool_resize", "get_order"})  # calls that give an int
NUMBERS, FIRST, BOTH, OTHER = range(4)  # calls without an id, with one or two at the front, others


def _kind(api: Api) -> int:
    """Return what in a call is to be put otherwise."""
    named = [index for index, parameter in enumerate(api.parameters) if parameter in NAMED]
    if (
        "vector" in api.parameters
        or named not in ([], [0], [0, 1])
        or api.name in SIGNED
        or api.role in {"bulk", "split"}
    ):
        return OTHER
    return len(named)


KINDS: Final = {api.name: _kind(api) for api in APIS.values()}


class Reader:
    """Turn calls and records into events."""

    def __init__(self) -> None:
        """Know no object."""
        self._where: dict[int, int] = {0: 0, ID_ZERO_SIZE: ZERO_SIZE_PTR}
        self._notes: Iterator[RawNote] = iter(())

    def begin(self, notes: Iterable[RawNote]) -> None:
        """Begin a chunk, during which these notes were made."""
        self._notes = iter(notes)

    def event(self, op: Op, record: Record) -> tuple[Call, Answer] | None:
        """Return what a record says, None for a call that was skipped."""
        api, out, args = op
        result, usable, nonzero, changed, status, ran = record
        if status:
            if status == SKIPPED:
                return None
            return Call("check", (self._where[result],)), Answer(0, changed=changed)
        kind = KINDS[api]
        if ran >= LOST:
            return self._event(op, record)
        if kind:
            if kind == OTHER:
                return self._event(op, record)
            where = self._where.get
            args = (where(args[0], 0), *args[1:]) if kind == FIRST else (where(args[0], 0), where(args[1], 0))
        if out and result:
            self._where[out] = result
        elif result == 0 and changed < 0:
            return new_call((api, args)), NULLS[ran]
        return new_call((api, args)), new_answer((result, usable, nonzero, changed, SLEPT[ran], ()))

    def lost(self, op: Op, how: str) -> Lost:
        """Return the event of a call that did not return."""
        return Lost(Call(op.api, self._addresses(op)), how)

    def _event(self, op: Op, record: Record) -> tuple[Call, Answer]:
        """Return what a record says, whatever the call and whatever ran."""
        api, out, args = op
        result, usable, nonzero, changed, _, ran = record
        call = Call(api, self._addresses(op))  # first of all: the object made may take over an id
        role = APIS[api].role
        if role == "split":
            for piece in range(1 << min(args[1], MAX_ORDER)):
                self._where[out + piece] = call.args[0] + piece * PAGE_SIZE
        elif out and result and role != "bulk":
            self._where[out] = result
        if api in SIGNED and result >> 63:
            result -= SIZE_MAX + 1
        notes: tuple[Note, ...] = NOTES_LOST
        if not ran & LOST:
            raw = islice(self._notes, ran // ONE_NOTE)
            notes = tuple(Note(kind, self._where.get(cache, 0), address) for kind, cache, address in raw)
        slept = SLEPT[ran & (ASLEEP | WATCHED)]
        return call, Answer(result, usable, nonzero, changed, slept, notes)

    def _addresses(self, op: Op) -> tuple[int, ...]:
        """Return the arguments of a call with addresses for ids, those of a vector behind all others."""
        api = APIS[op.api]
        args = []
        behind: list[int] = []
        for parameter, value in zip(api.parameters, op.args, strict=True):
            if parameter in NAMED:
                args.append(self._where.get(value, 0))
            elif parameter == "vector":
                count = min(argument(api, op.args, "count"), MOST_ITEMS)
                behind += [self._where.get(value + place, 0) for place in range(count)]
                args.append(0)
            else:
                args.append(value)
        return (*args, *behind)
