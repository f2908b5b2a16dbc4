"""What all machines share: how a rule is counted, what befalls any caller, how everything ends."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Concatenate, Final, ParamSpec, TypeVar, cast

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.machines.coverage import SEEN
from tests.machines.player import Home, Player, Thing
from tests.machines.subjects import Subject

from kmem_spec.calls import Answer, Call, Family
from kmem_spec.gfp import (
    DIRECT_RECLAIM,
    DMA,
    GFP_ATOMIC,
    GFP_KERNEL,
    GFP_NOWAIT,
    GFP_USER,
    MEMALLOC,
    NOFAIL,
    NORETRY,
    ZERO,
)
from kmem_spec.profile import Profile

P = ParamSpec("P")
T = TypeVar("T")
M = TypeVar("M", bound="Machine")
BASES: Final = (
    GFP_KERNEL,
    GFP_ATOMIC,
    GFP_NOWAIT,
    GFP_USER,
    0,
    GFP_KERNEL | DMA,
    GFP_ATOMIC | MEMALLOC,
    GFP_KERNEL | NOFAIL,
    GFP_KERNEL | NORETRY,
)
# a mask that fails, and one that then may not succeed: by GFP-ATOMIC-REACH, GFP-USER, GFP-NOFAIL
PAIRS: Final = (
    (GFP_ATOMIC, GFP_NOWAIT),
    (GFP_KERNEL, GFP_USER),
    (GFP_KERNEL | NOFAIL, GFP_KERNEL | NOFAIL),
)
bases = st.sampled_from(BASES)
masks = st.builds(lambda base, zero: base | zero, bases, st.sampled_from([0, 0, ZERO]))
picks = st.integers(0, 1 << 16)
RULES: Final[set[str]] = set()  # the names of all rules
BLOCKS: Final = (10, 9, 6, 3, 0)  # orders in which a starving machine is emptied
FREEING: Final[dict[Family, str]] = {
    "kmalloc": "kfree",
    "kv": "kvfree",
    "vmalloc": "vfree",
    "vmap": "vunmap",
}


def always(_: Machine) -> bool:
    """Let a rule run at any time."""
    return True


def task(machine: Machine) -> bool:
    """Let a rule run where a call may sleep."""
    return machine.atomic == 0


def step(
    when: Callable[[M], bool] = always, **drawn: st.SearchStrategy[object]
) -> Callable[[Callable[Concatenate[M, P], None]], Callable[Concatenate[M, P], None]]:
    """Make a method a rule, which runs `when` it can, and count what it comes by."""

    def declare(method: Callable[Concatenate[M, P], None]) -> Callable[Concatenate[M, P], None]:
        made = precondition(when)(rule(**drawn)(_counted(method)))
        return cast(Callable[Concatenate[M, P], None], made)

    return declare


def start(
    **drawn: st.SearchStrategy[object],
) -> Callable[[Callable[Concatenate[M, P], None]], Callable[Concatenate[M, P], None]]:
    """Make a method a rule that runs once, before all others, and count what it comes by."""

    def declare(method: Callable[Concatenate[M, P], None]) -> Callable[Concatenate[M, P], None]:
        return cast(Callable[Concatenate[M, P], None], initialize(**drawn)(_counted(method)))

    return declare


def _counted(method: Callable[Concatenate[M, P], None]) -> Callable[Concatenate[M, P], None]:
    RULES.add(method.__name__)

    @functools.wraps(method)
    def run(self: M, /, *args: P.args, **kwargs: P.kwargs) -> None:
        self.begin(method.__name__)
        method(self, *args, **kwargs)
        self.end()

    return run


class Machine(RuleBasedStateMachine):
    """Callers of all kinds on one small machine; each fills what it has, and looks before it gives it back.

    atomic    how deep in atomic context
    armed     whether a failure may be armed
    hoard     ids of the blocks that a starved machine lacks
    famines   how often it was starved: that takes a while
    """

    profiles: tuple[Profile, ...] = ()
    families: frozenset[Family] = frozenset()

    def __init__(self) -> None:
        """Begin on a fresh subject."""
        super().__init__()
        self.player = Player(self.open(), self.profiles)
        self.atomic = 0
        self.armed = False
        self.hoard: list[int] = []
        self.famines = 0
        self._rule = "start"
        self._counts = self.player.first.counts()

    def open(self) -> Subject:
        """Return a fresh subject."""
        raise NotImplementedError

    # What befalls any caller.

    @step(when=lambda self: self.has("fail_nth"), n=st.integers(1, 3))
    def inject(self, n: int) -> None:
        self.play("fail_nth", n)
        self.armed = True

    @step(when=lambda self: self.armed)
    def calm(self) -> None:
        self.play("fail_nth", 0)
        self.armed = False

    @step(when=lambda self: self.has("preempt_disable") and self.atomic < 2)
    def enter_atomic(self) -> None:
        self.play("preempt_disable")
        self.atomic += 1

    @step(when=lambda self: self.atomic > 0)
    def leave_atomic(self) -> None:
        self.play("preempt_enable")
        self.atomic -= 1

    @step(when=lambda self: bool(self.player.things), pick=picks)
    def look(self, pick: int) -> None:
        self.play("check", self.pick(list(self.player.things), pick))

    @step(
        when=lambda self: not self.hoard and self.famines < 2, pair=st.sampled_from(PAIRS), keep=st.booleans()
    )
    def starve(self, pair: tuple[int, int], keep: bool) -> None:
        if self.armed:
            self.play("fail_nth", 0)
            self.armed = False
        self.famines += 1
        first, second = (GFP_ATOMIC, GFP_NOWAIT) if self.atomic else pair
        for order in BLOCKS:
            while self.play("__get_free_pages", first, order).result:
                self.hoard.append(self.player.made())
        if self.play("__get_free_pages", second, 0).result:
            self.hoard.append(self.player.made())
        if not keep:
            self.give_hoard()

    @step(when=lambda self: bool(self.hoard))
    def relieve(self) -> None:
        self.give_hoard()

    @step(when=task, pick=picks)
    def rounds(self, pick: int) -> None:
        if self.armed:
            self.play("fail_nth", 0)
            self.armed = False
        self.end_everything()
        names = [name for name in dir(self) if name.startswith("round_of_")]
        for _ in range(3):
            getattr(self, self.pick(names, pick))()

    # What must hold all the time.

    @invariant()
    def every_rule_of_the_state_holds(self) -> None:
        subject = self.player.subject
        broken, judged = subject.broken()
        held = subject.held()
        live = {thing.start for thing in (*self.player.things.values(), *self.player.aside.values())}
        if broken or (held is not None and held != live):
            self.player.failed = True
        assert not broken, f"{broken} after:\n{self.player.script()}"
        assert held is None or held == live, f"held {held}, live {live}, after:\n{self.player.script()}"
        for clause in judged:
            SEEN.judged[self._rule, clause] += 1

    def teardown(self) -> None:
        """Look at everything, give it back, and see that nothing is left."""
        player = self.player
        if not player.failed:
            self._rule = "teardown"
            while self.atomic:
                self.play("preempt_enable")
                self.atomic -= 1
            if self.armed:
                self.play("fail_nth", 0)
            self._name_leaks()
            for identifier in list(player.things):
                self.play("check", identifier)
            self.end_everything()
            self.every_rule_of_the_state_holds()
            self.end()
        player.subject.close(empty=not player.failed)

    def _name_leaks(self) -> None:
        """See that what lives counts as leaked where the history ends here."""
        live = len(self.player.things) + len({(each.pool, each.handle) for each in self.homes.values()})
        for judge in self.player.judges:
            assert len(judge.leaks()) == live
        SEEN.refused["teardown", "CALLER-LEAK"] += live

    # How the rules work.

    @property
    def homes(self) -> dict[int, Home]:
        """The caches and pools that live, by id."""
        return self.player.homes

    def begin(self, name: str) -> None:
        """Begin a rule."""
        self._rule = name
        SEEN.ran[self.player.subject.name, name] += 1

    def end(self) -> None:
        """Count what was judged since the rule began."""
        counts = self.player.first.counts()
        for clause, count in counts.items():
            if count > self._counts[clause]:
                SEEN.judged[self._rule, clause] += count - self._counts[clause]
        self._counts = counts

    def play(self, api: str, *args: int, home: int = 0) -> Answer:
        """Make a call."""
        return self.player.play(api, *args, home=home)

    def mistake(self, api: str, *args: int) -> str:
        """Make a call that no caller may make, by addresses, and return the clause that says so."""
        clause = self.player.mistake(Call(api, args))
        SEEN.refused[self._rule, clause] += 1
        return clause

    def mask(self, gfp: int) -> int:
        """Return the mask as a caller in this context may use it."""
        return gfp & ~(DIRECT_RECLAIM | NOFAIL) if self.atomic else gfp

    def has(self, api: str) -> bool:
        """Say whether the subject has a call."""
        return api in self.player.subject.apis

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


def ready(
    machine: type[Machine], open_subject: Callable[[], Subject], profiles: Sequence[Profile]
) -> type[Machine]:
    """Return a machine that drives what `open_subject` gives, before judges of these profiles."""
    members = {"open": lambda _: open_subject(), "profiles": tuple(profiles), "__doc__": machine.__doc__}
    return cast(type[Machine], type(machine.__name__, (machine,), members))
