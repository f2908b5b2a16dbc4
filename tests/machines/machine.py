"""What all machines share: what befalls any caller, what must hold all the time, how everything ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, cast

import hypothesis
from hypothesis import strategies as st
from hypothesis.stateful import invariant
from tests.machines.caller import Caller
from tests.machines.coverage import SEEN
from tests.machines.steps import step, task
from tests.machines.subjects import Subject

from kmem_spec.gfp import (
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
BLOCKS: Final = (10, 9, 6, 3, 0)  # orders in which a starving machine is emptied


class Machine(Caller):
    """Callers of all kinds on one small machine; the driver fills what they have and looks after it."""

    # What befalls any caller.

    @step(when=lambda self: self.has("fail_nth"), n=st.integers(1, 3))
    def inject(self, n: int) -> None:
        self.arm(n)

    @step(when=lambda self: self.armed)
    def calm(self) -> None:
        self.disarm()

    @step(
        when=lambda self: self.has("preempt_disable") and self.atomic == 0 and self.sections < 2,
        depth=st.integers(1, 2),
    )
    def enter_atomic(self, depth: int) -> None:
        self.sections += 1
        for _ in range(depth):
            self.play("preempt_disable")
            self.atomic += 1

    @step(when=lambda self: self.atomic > 0)
    def leave_atomic(self) -> None:
        while self.atomic:
            self.play("preempt_enable")
            self.atomic -= 1

    @step(when=lambda self: bool(self.player.things), pick=picks)
    def look(self, pick: int) -> None:
        self.play("check", self.pick(list(self.player.things), pick))

    @step(
        when=lambda self: not self.hoard and self.famines < 2, pair=st.sampled_from(PAIRS), keep=st.booleans()
    )
    def starve(self, pair: tuple[int, int], keep: bool) -> None:
        self.disarm()
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
        self.disarm()
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
            SEEN.judged[self.rule_name, clause] += 1

    def teardown(self) -> None:
        """Look at everything, give it back, and see that nothing is left."""
        player = self.player
        if not player.failed:
            self.rule_name = "teardown"
            while self.atomic:
                self.play("preempt_enable")
                self.atomic -= 1
            self.disarm()
            self._name_leaks()
            for identifier in list(player.things):
                self.play("check", identifier)
            self.end_everything()
            self.every_rule_of_the_state_holds()
            for judge in player.judges:  # the driver looks at an object before each free
                assert judge.counts()["MEM-KEEP"] >= player.freed
            self.end()
        player.subject.close(empty=not player.failed)

    def _name_leaks(self) -> None:
        """See that what lives counts as leaked where the history ends here."""
        live = len(self.player.things) + len({(each.pool, each.handle) for each in self.homes.values()})
        for judge in self.player.judges:
            assert len(judge.leaks()) == live
        SEEN.refused["teardown", "CALLER-LEAK"] += live


def ready(
    machine: type[Machine],
    open_subject: Callable[[], Subject],
    profiles: Sequence[Profile],
    seed: int | None = None,
) -> type[Machine]:
    """Return a machine that drives what `open_subject` gives, before judges of these profiles.

    Without a seed it draws the same each time, if the settings say so.
    """
    members = {"open": lambda _: open_subject(), "profiles": tuple(profiles), "__doc__": machine.__doc__}
    made = cast(type[Machine], type(machine.__name__, (machine,), members))
    return made if seed is None else hypothesis.seed(seed)(made)
