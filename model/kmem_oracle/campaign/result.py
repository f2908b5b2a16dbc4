"""What a campaign found out, as reports take it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from kmem_oracle.campaign.play import Play
from kmem_oracle.campaign.recorder import MOST, History
from kmem_spec.profile import Profile


@dataclass(slots=True)
class Found:
    """A violation: how it comes about, in which phase it was found, how often it was met."""

    play: Play
    phase: str
    index: int = 0
    times: int = 1


@dataclass(slots=True)
class Result:
    """What a campaign found out.

    before    calls that were judged in earlier runs of the same campaign
    play      the first violation
    found     all that differ in the clause, or in the call that broke it
    by_phase  how often each clause was judged in each phase, where that was asked for
    warned    what a kernel complained of, and how often
    generated whether the calls were generated, to exercise every clause that the target has calls for
    lacking   calls of a script that were not made, since the target has no such call
    histories what happened, phase by phase, in the last phases; where that was asked for
    behind    how many of the calls looked behind a violation
    again     how often the violations were met that earlier parts have
    """

    target: str
    profile: Profile
    seed: int
    apis: frozenset[str]
    calls: int = 0
    before: int = 0
    seconds: float = 0.0
    counts: dict[str, int] = field(default_factory=dict)
    play: Play | None = None
    phase: str = ""
    interrupted: bool = False
    found: list[Found] = field(default_factory=list)
    by_phase: dict[str, Counter[str]] = field(default_factory=dict)
    generated: bool = False
    warned: Counter[str] = field(default_factory=Counter)
    lacking: frozenset[str] = frozenset()
    histories: list[tuple[str, History]] = field(default_factory=list)
    behind: int = 0
    again: Counter[tuple[str, str]] = field(default_factory=Counter)

    def remember(self, phase: str, history: History) -> None:
        """Keep a history, and of those before it no more than MOST events in all."""
        self.histories.append((phase, history))
        while len(self.histories) > 1 and sum(len(each.ops) for _, each in self.histories) > MOST:
            del self.histories[0]


Progress = Callable[[str, Result], None]


def signature(outcome: Play) -> tuple[str, str]:
    """Return what tells violations apart: the clause, and the call that broke it."""
    assert outcome.finding is not None
    return outcome.finding.clause, outcome.ops[-1].api if outcome.ops else ""
