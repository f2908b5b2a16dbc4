"""A judge that writes down what it reads: which calls there were, and what lived from when to when.

What it knows of memory is the judge's own: each entry of a table is one life, from `put` to `drop`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from kmem_oracle.language.script import Op
from kmem_spec.apis import APIS
from kmem_spec.calls import Answer, Asked, Call, Lost
from kmem_spec.expect import extent_of, size_asked
from kmem_spec.finding import Finding
from kmem_spec.judge import Judge
from kmem_spec.judging.docket import Live
from kmem_spec.judging.objects import POINTER_AT
from kmem_spec.kmem_cache import Shape
from kmem_spec.ledger import Ledger
from kmem_spec.pool import Pool
from kmem_spec.profile import Profile
from kmem_spec.table import DictTable
from kmem_spec.units import ZERO_SIZE_PTR

MOST: Final = 100_000  # calls of which a history is kept, the last ones
NEVER: Final = -1
V = TypeVar("V")


@dataclass(slots=True)
class Life:
    """An object, a cache or a pool while it is live.

    length   bytes that it has to itself; of a cache or pool the size of its objects
    guard    bytes behind it that nothing else may have
    kind     the family of an object, or "cache" or "pool" of what makes objects
    home     address of the cache or pool that it is of, 0 for none
    birth    event that made it, from 0; `place` counts what the same event made
    death    event that ended it, NEVER for what still lives
    item     its id in the script, 0 while that is not known
    """

    start: int
    length: int
    guard: int
    size: int
    usable: int
    kind: str
    api: str
    home: int
    birth: int
    place: int
    death: int = NEVER
    item: int = 0


@dataclass(frozen=True, slots=True)
class Blamed:
    """What a finding is about: the object that its call made or was given.

    asked   what is asked of it, None where nothing is
    new     whether the call made it
    life    place in the history's lives, NEVER for what is none of them
    """

    start: int
    length: int
    asked: Asked | None
    answer: Answer
    new: bool
    life: int = NEVER


@dataclass(frozen=True, slots=True)
class History:
    """The last events of a run.

    first     events before the first that was kept
    ops       what was called, an `item` for each object of a bulk call behind it
    answers   what each call gave, None for one that did not return
    lives     objects that lived at some time during these events; those that a violation is about live on,
              and what its call made is the last of them: so both owners of a byte are there
    makers    caches and pools, likewise
    finding   the violation in which it ended, its events counted as the others are
    """

    first: int
    ops: tuple[Op, ...]
    answers: tuple[Answer | None, ...]
    lives: tuple[Life, ...]
    makers: tuple[Life, ...]
    finding: Finding | None = None
    blamed: Blamed | None = None


class Watched(DictTable[V]):
    """A table that tells what begins and what ends in it."""

    __slots__ = ("_began", "_ended")

    def __init__(self, began: Callable[[int, V], None], ended: Callable[[int], None]) -> None:
        super().__init__()
        self._began = began
        self._ended = ended

    def put(self, key: int, value: V) -> None:
        """Set the value at `key`."""
        if key not in self:
            self._began(key, value)
        self[key] = value

    def drop(self, key: int) -> None:
        """Remove `key`, which is present."""
        del self[key]
        self._ended(key)


class Lives:
    """What lives and has lived in one table."""

    def __init__(self, most: int) -> None:
        """Forget in time what ended before the last `most` events."""
        self._most = most
        self._limit = 2 * most
        self.every: list[Life] = []
        self.at: dict[int, Life] = {}

    def begin(self, life: Life) -> None:
        """Note a birth."""
        last = self.every[-1] if self.every else None
        if last is not None and last.birth == life.birth:
            life.place = last.place + 1
        self.at[life.start] = life
        self.every.append(life)
        if len(self.every) > self._limit:
            self.every = self.since(life.birth - self._most)
            self._limit = 2 * (len(self.every) + self._most)

    def end(self, start: int, event: int) -> None:
        """Note a death."""
        self.at.pop(start).death = event

    def since(self, first: int) -> list[Life]:
        """Return what lived at the event `first` or later."""
        return [life for life in self.every if life.death == NEVER or life.death >= first]


class Recorder(Judge):
    """A judge that keeps the last `most` events, and what lived during them."""

    def __init__(
        self,
        profile: Profile,
        *,
        waived: frozenset[str] = frozenset(),
        looked: bool = False,
        most: int = MOST,
    ) -> None:
        self._most = most
        super().__init__(profile, waived=waived, looked=looked)

    def clear(self) -> None:
        """Forget what is live, and what was written down."""
        super().clear()
        self._base = self.events
        self._objects, self._makers = Lives(self._most), Lives(self._most)
        self._answers: deque[Answer | None] = deque(maxlen=self._most)
        self._finding: Finding | None = None
        self._blamed: Blamed | None = None
        self._stray: tuple[int, Asked | None] = (0, None)
        self._aside: list[Life] = []  # lives that are not judged further since the event in hand
        self.records = Watched(self._object, self._objects_end)
        self.ledger = Ledger(self.spans, self.records)
        self.caches = Watched(self._cache, self._maker_ends)
        self.pools = Watched(self._pool, self._maker_ends)

    def take(self, call: Call, answer: Answer) -> Finding | None:
        """Judge an event, and write it down."""
        self._stray = (0, None)
        self._aside.clear()
        finding = super().take(call, answer)
        self._answers.append(answer)
        if finding is not None:
            self._blame(finding, call, answer)
        return finding

    def lose(self, lost: Lost) -> Finding | None:
        """Judge a call that did not return, and write it down."""
        finding = super().lose(lost)
        self._answers.append(None)
        if finding is not None:
            self._blame(finding, lost.call, Answer(0))
        return finding

    def ignore(self, start: int, asked: Asked | None = None) -> None:
        """Judge the object at `start` no further, and remember what was asked of it."""
        super().ignore(start, asked)
        if start > ZERO_SIZE_PTR:
            self._stray = (start, asked)

    def put_aside(self, start: int) -> None:
        """Judge a live object no further, and remember that it was not freed."""
        life = self._objects.at[start]
        super().put_aside(start)
        self._aside.append(life)

    def history(self, past: Sequence[Op]) -> History:
        """Return what was written down; `past` are the calls that became events, from the first one."""
        first = len(past) - len(self._answers)
        for table in (self._objects, self._makers):
            for life in table.since(first):
                op = past[life.birth]
                life.item = op.out + life.place * (APIS[op.api].role == "split")
        lives = self._objects.since(first)
        blamed = None if self._blamed is None else _placed(self._blamed, lives, past)
        makers = tuple(self._makers.since(first))
        return History(
            first, tuple(past[first:]), tuple(self._answers), tuple(lives), makers, self._finding, blamed
        )

    def _object(self, start: int, live: Live) -> None:
        """Note that an object lives."""
        asked = live.asked
        length = self.spans[start] - asked.guard
        now = self.events - self._base
        life = Life(start, length, asked.guard, asked.size, live.seen, asked.family, asked.api, 0, now, 0)
        life.home = asked.handle
        self._objects.begin(life)

    def _objects_end(self, start: int) -> None:
        self._objects.end(start, self.events - self._base)

    def _cache(self, start: int, shape: Shape) -> None:
        now = self.events - self._base
        self._makers.begin(
            Life(start, shape.size, 0, shape.size, NEVER, "cache", "kmem_cache_create", 0, now, 0)
        )

    def _pool(self, start: int, pool: Pool) -> None:
        now = self.events - self._base
        life = Life(start, pool.size, 0, pool.size, NEVER, "pool", "mempool_create", pool.cache, now, 0)
        self._makers.begin(life)

    def _maker_ends(self, start: int) -> None:
        self._makers.end(start, self.events - self._base)

    def _blame(self, finding: Finding, call: Call, answer: Answer) -> None:
        """Note what a finding is about."""
        base = self._base
        others = tuple(other - base for other in finding.others if other >= base)
        self._finding = replace(finding, event=finding.event - base, others=others)
        for life in self._aside:
            life.death = NEVER
        api = APIS[call.api]
        makes = api.makes or api.role == "item"
        start, asked = self._stray
        new = makes and answer.result > ZERO_SIZE_PTR and api.role not in ("create", "split")
        if new and start != answer.result:
            start, asked = answer.result, None
        if not new:
            start, asked = call.args[POINTER_AT[api.name]] if "pointer" in api.parameters else 0, None
        if start <= ZERO_SIZE_PTR:
            start = self._noted(finding, answer)
        if start <= ZERO_SIZE_PTR:
            return
        length = max(answer.usable, 0) if asked is None else extent_of(asked, answer.usable)
        if new and asked is None:
            length = max(length, size_asked(api, call.args))
        self._blamed = Blamed(start, length, asked, answer, new)

    def _noted(self, finding: Finding, answer: Answer) -> int:
        """Return the address at which a constructor or destructor ran that a finding speaks of, or 0."""
        spoken = (note.address for note in answer.notes if f"{note.address:#x}" in finding.message)
        return next(spoken, 0)


def _placed(blamed: Blamed, lives: list[Life], past: Sequence[Op]) -> Blamed:
    """Return what a finding is about with its place among the lives; what was never entered is added."""
    if blamed.new:
        asked, op = blamed.asked, past[-1]
        kind = APIS[op.api].family if asked is None else asked.family
        api = op.api if asked is None else asked.api
        size, guard, home = (
            (blamed.length, 0, 0) if asked is None else (asked.size, asked.guard, asked.handle)
        )
        length = max(blamed.length, 1)
        usable = blamed.answer.usable
        lives.append(
            Life(blamed.start, length, guard, size, usable, kind, api, home, len(past) - 1, 0, NEVER, op.out)
        )
        return replace(blamed, length=length, life=len(lives) - 1)
    place = next((at for at in reversed(range(len(lives))) if lives[at].start == blamed.start), NEVER)
    length = max(blamed.length, lives[place].length if place != NEVER else 1)
    return replace(blamed, length=length, life=place)
