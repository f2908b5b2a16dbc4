"""Who drives a subject: what lives, what may be asked for, how it is given back, what is counted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from hypothesis.stateful import RuleBasedStateMachine
from tests.machines.coverage import SEEN
from tests.machines.player import Home, Player, Thing
from tests.machines.subjects import Subject

from kmem_spec.calls import Answer, Call, Family
from kmem_spec.gfp import DIRECT_RECLAIM, NOFAIL
from kmem_spec.profile import Profile

T = TypeVar("T")
FREEING: Final[dict[Family, str]] = {
    "kmalloc": "kfree",
    "kv": "kvfree",
    "vmalloc": "vfree",
    "vmap": "vunmap",
}


class Caller(RuleBasedStateMachine):
    """Who makes the calls: what lives, what may be asked for here and now, and how it is given back.

    atomic    how deep in atomic context
    armed     whether a failure may be armed
    hoard     ids of the blocks that a starved machine lacks
    famines   how often it was starved: that takes a while
    sections  how often atomic context was entered: there, most rules wait
    """

    profiles: tuple[Profile, ...] = ()

    def __init__(self) -> None:
        """Begin on a fresh subject."""
        super().__init__()
        self.player = Player(self.open(), self.profiles)
        self.atomic = 0
        self.armed = False
        self.hoard: list[int] = []
        self.famines = 0
        self.sections = 0
        self.rule_name = "start"
        self._counts = self.player.first.counts()

    def open(self) -> Subject:
        """Return a fresh subject."""
        raise NotImplementedError("a machine says what it runs on")  # Hypothesis' metaclass bars ABC

    @property
    def homes(self) -> dict[int, Home]:
        """The caches and pools that live, by id."""
        return self.player.homes

    def begin(self, name: str) -> None:
        """Begin a rule."""
        self.rule_name = name
        SEEN.ran[self.player.subject.name, name] += 1

    def end(self) -> None:
        """Count what was judged since the rule began."""
        counts = self.player.first.counts()
        for clause, count in counts.items():
            if count > self._counts[clause]:
                SEEN.judged[self.rule_name, clause] += count - self._counts[clause]
        self._counts = counts

    def play(self, api: str, *args: int, home: int = 0) -> Answer:
        """Make a call."""
        return self.player.play(api, *args, home=home)

    def mistake(self, api: str, *args: int) -> str:
        """Make a call that no caller may make, by addresses, and return the clause that says so."""
        clause = self.player.mistake(Call(api, args))
        SEEN.refused[self.rule_name, clause] += 1
        return clause

    def mask(self, gfp: int) -> int:
        """Return the mask as a caller in this context may use it."""
        return gfp & ~(DIRECT_RECLAIM | NOFAIL) if self.atomic else gfp

    def has(self, api: str) -> bool:
        """Say whether the subject has a call."""
        return api in self.player.subject.apis

    def arm(self, n: int) -> None:
        """Let the n-th request from now fail."""
        self.play("fail_nth", n)
        self.armed = True

    def disarm(self) -> None:
        """Let no request fail any more."""
        if self.armed:
            self.play("fail_nth", 0)
            self.armed = False

    def errs(self) -> bool:
        """Say whether callers make mistakes: only where they are refused."""
        return self.player.subject.refuses

    def live(self, *families: Family) -> bool:
        """Say whether an object of these families lives."""
        return any(thing.asked.family in families for thing in self.player.things.values())

    def one(self, pick: int, *families: Family) -> int:
        """Return the id of a live object of these families."""
        return self.pick(self.player.of(*families), pick)

    def row(self, pick: int, most: int, fits: Callable[[Thing], bool]) -> tuple[int, int]:
        """Return the first id and the number of live objects with consecutive ids, all of which fit.

        Needs    an object that fits
        """
        things = self.player.things
        first = self.pick([each for each, thing in things.items() if fits(thing)], pick)
        count = 1
        while count < most and first + count in things and fits(things[first + count]):
            count += 1
        return first, count

    @staticmethod
    def pick(among: Sequence[T], pick: int) -> T:
        """Return one of some."""
        return among[pick % len(among)]

    def give_back(self, identifier: int) -> None:
        """Free an object by the call of its family."""
        thing = self.player.things.get(identifier) or self.player.aside[identifier]
        family = thing.asked.family
        if family in FREEING:
            self.play(FREEING[family], identifier)
        elif family == "page":
            self.play("free_pages", identifier, thing.asked.order)
        elif family == "exact":
            self.play("free_pages_exact", identifier, thing.asked.size)
        elif family == "pool":
            self.play("mempool_free", identifier, thing.home)
        else:
            self.play("kmem_cache_free", thing.home, identifier)

    def give_hoard(self) -> None:
        """Give back what a starved machine lacks."""
        for identifier in self.hoard:
            if identifier in self.player.things or identifier in self.player.aside:
                self.give_back(identifier)
        self.hoard = []

    def end_everything(self) -> None:
        """Free all objects, then pools, then caches."""
        for identifier in [*self.player.things, *self.player.aside]:
            self.give_back(identifier)
        self.hoard = []
        for identifier, home in sorted(self.homes.items(), key=lambda item: not item[1].pool):
            self.end_home(identifier, home)

    def end_home(self, identifier: int, home: Home) -> None:
        """Destroy a cache or pool of which no object lives."""
        self.play("mempool_destroy" if home.pool else "kmem_cache_destroy", identifier)
        del self.homes[identifier]
        if all(each.handle != home.handle for each in self.homes.values()):
            self.player.gone_homes.append(home.handle)
