"""Calls made on a subject and judged at once, by several judges, and what lives because of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from tests.machines.coverage import SEEN
from tests.machines.subjects import Subject

from kmem_oracle.language.render import lines_of
from kmem_oracle.language.script import ID_ZERO_SIZE, Op, items_of
from kmem_oracle.targets.reader import Reader
from kmem_spec.apis import APIS
from kmem_spec.calls import Answer, Asked, Call, Event, Lost
from kmem_spec.finding import Finding
from kmem_spec.judge import Judge
from kmem_spec.profile import Profile
from kmem_spec.units import PAGE_SIZE, ZERO_SIZE_PTR

FOR_EVER: Final = "did not return within 1 s"
MAKING: Final = frozenset({"allocate", "copy", "resize", "bulk", "item", "map"})


class Thing(NamedTuple):
    """An object that lives: where, what was asked for, the id of its cache or pool (0 for none)."""

    start: int
    asked: Asked
    home: int


@dataclass(slots=True)
class Home:
    """A cache or pool that lives; `cache` is the id of the cache that a pool is of, 0 for none."""

    handle: int
    pool: bool
    size: int = 0
    constructed: bool = False
    cache: int = 0


class Violation(AssertionError):
    """A call that a judge does not admit; the message has the calls that led there, as a script."""

    def __init__(self, clause: str, message: str) -> None:
        super().__init__(message)
        self.clause = clause


class Player:
    """Make calls by id.

    things   objects that live and are judged, by id
    aside    objects that live and are judged no further, by id
    gone     addresses of objects that were freed
    freed    how many objects that are judged went by a free
    """

    def __init__(self, subject: Subject, profiles: Sequence[Profile]) -> None:
        """Start with nothing live."""
        self.subject = subject
        self.judges = [Judge(profile, looked=True) for profile in profiles]
        self.things: dict[int, Thing] = {}
        self.aside: dict[int, Thing] = {}
        self.homes: dict[int, Home] = {}
        self.gone: list[int] = []
        self.freed = 0
        self.gone_homes: list[int] = [0xDEAD000]
        self.failed = False
        self._reader = Reader()
        self._ops: list[Op] = []
        self._next = 1

    @property
    def first(self) -> Judge:
        """The judge that knows most."""
        return self.judges[0]

    def play(self, api: str, *args: int, home: int = 0) -> Answer:
        """Make a call with ids for pointers, and the `item` calls behind it; return its own answer."""
        shape = APIS[api]
        count = items_of(shape, args) if shape.role in ("bulk", "split") else int(shape.makes)
        out = self._next if count else 0
        self._next += count
        ops = [Op(api, out, args)]
        if shape.role == "bulk":
            ops += [Op("item", out + place, (place,)) for place in range(count)]
        self._ops.append(ops[0])
        before = self._taken(Op(api, out, args))
        records, notes, how = self.subject.run(ops)
        self._reader.begin(notes)
        refusal = self.subject.refusal()
        answers: list[Answer] = []
        for op, record in zip(ops, records, strict=False):
            event = self._reader.event(op, record)
            if event is None:
                self.failed = True
                raise AssertionError(f"{op} was skipped, after:\n" + self.script())
            self._judge(Event(*event), refusal if op is ops[0] else "")
            answers.append(event[1])
            self._note(op, event[1], before, home)
        if how:
            for judge in self.judges:
                self._check(judge.lose(self._reader.lost(ops[len(answers)], how)), "")
        return answers[0]

    def mistake(self, call: Call) -> str:
        """Make a call that no caller may make, by addresses; kernel and judges give it the same name."""
        clause = self.subject.mistake(call)
        self._judge(Event(call, Answer(0)), clause)
        assert clause, f"{call} was taken"
        for identifier, thing in list(self.things.items()):
            if thing.start not in self.first.records:
                self.aside[identifier] = self.things.pop(identifier)
        return clause

    def made(self) -> int:
        """Return the id that the last call could make."""
        return self._next - 1

    def script(self) -> str:
        """Return the calls made so far as a script."""
        return "\n".join(lines_of(self._ops))

    def of(self, *families: str) -> list[int]:
        """Return the ids of live objects of these families."""
        return [each for each, thing in self.things.items() if thing.asked.family in families]

    def _judge(self, event: Event, refusal: str) -> None:
        """Let every judge read an event; what the subject refused is the caller's error, of that name."""
        call, _ = event
        for judge in self.judges:
            waits = refusal == "CALLER-POOL" and call.api == "mempool_alloc"
            self._check(judge.lose(Lost(call, FOR_EVER)) if waits else judge.admit(event), refusal)

    def _check(self, finding: Finding | None, refusal: str) -> None:
        """Fail where a judge finds a violation, or another mistake than the subject."""
        clause = "" if finding is None else finding.clause
        if clause == refusal and (finding is None or finding.who == "caller"):
            return
        self.failed = True
        said = "nothing" if finding is None else f"{clause}: {finding.message}"
        text = f"the subject refused under {refusal or 'nothing'}, the judge found {said}; after:\n"
        raise Violation(clause, text + self.script())

    def _taken(self, op: Op) -> list[int]:
        """Return the ids of the objects that a call may end."""
        role, parameters = APIS[op.api].role, APIS[op.api].parameters
        if role in ("free", "resize", "split"):
            return [op.args[parameters.index("pointer")]]
        if role == "free bulk":
            first = op.args[parameters.index("vector")]
            return list(range(first, first + op.args[parameters.index("count")]))
        return []

    def _note(self, op: Op, answer: Answer, taken: list[int], home: int) -> None:
        """Enter what a call made, strike out what it ended, and count how it ended."""
        role, result = APIS[op.api].role, answer.result
        if role != "item":
            was = self.things.get(taken[0]) if role == "resize" else None
            SEEN.ended[self.subject.name, op.api, _end(op, result, was)] += 1
        records = self.first.records
        if role == "resize" and (result != 0 or not self._lives(taken[0])):
            self._drop(taken[0], result)
        elif role in ("free", "free bulk", "split"):
            self.freed += sum(role != "split" and each in self.things for each in taken)
            for each in taken:
                self._drop(each, 0)
        if role in MAKING and result > ZERO_SIZE_PTR and role != "bulk":
            self.things[op.out] = Thing(result, records[result].asked, home)

    def split(self, identifier: int) -> None:
        """Make single pages of a block: each lives by itself from here on."""
        thing = self.things[identifier]
        order = thing.asked.order
        self.play("split_page", identifier, order)
        first = self._next - (1 << order)
        for place in range(1 << order):
            start = thing.start + place * PAGE_SIZE
            self.things[first + place] = Thing(start, self.first.records[start].asked, 0)

    def _lives(self, identifier: int) -> bool:
        return identifier in self.things and self.things[identifier].start in self.first.records

    def _drop(self, identifier: int, moved_to: int) -> None:
        thing = self.things.pop(identifier, None) or self.aside.pop(identifier, None)
        if thing is not None and thing.start != moved_to:
            self.gone.append(thing.start)


def _end(op: Op, result: int, was: Thing | None) -> str:
    """Return how a call ended, in a word."""
    if APIS[op.api].role in ("free", "free bulk", "destroy", "set"):
        return "nothing" if op.args and op.args[0] in (0, ID_ZERO_SIZE) else "done"
    if was is not None and result > ZERO_SIZE_PTR:
        return "in place" if result == was.start else "moved"
    return {0: "NULL", ZERO_SIZE_PTR: "ZERO_SIZE_PTR"}.get(result, "object")
