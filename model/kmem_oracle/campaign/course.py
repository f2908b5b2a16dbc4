"""What a campaign is asked for: of which target, how long, and how it runs besides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from kmem_oracle.targets.target import Target

CALLS: Final = 200_000
SECONDS: Final = 60.0
CALL_SECONDS: Final = 5.0
SHRINK_SECONDS: Final = 9.0
MEMORY: Final = 8 << 30  # bytes of address space that a target's process may map


@dataclass(frozen=True, slots=True)
class Budget:
    """How long to go on.

    calls         judged calls
    seconds       of the whole campaign, without the reduction of what it finds
    call_seconds  that one call may take before it counts as a hang
    memory        bytes of address space for the target's process
    shrink        seconds for the reduction of a finding
    """

    calls: int = CALLS
    seconds: float = SECONDS
    call_seconds: float = CALL_SECONDS
    memory: int = MEMORY
    shrink: float = SHRINK_SECONDS


def _never() -> bool:
    """Say no."""
    return False


@dataclass(frozen=True, slots=True)
class Course:
    """How a campaign runs besides its budget.

    keep_going  go on after a violation, to find others
    state       folder where its state is kept, and taken up again
    share       which phases are its own: every `share[1]`-th from `share[0]` on
    until       the first phase that is not its own any more
    known       signatures of violations that earlier parts have: they are counted, not reduced
    behind      calls of earlier parts that looked behind a violation, which do not shorten a phase
    table       count the clauses by phase
    stopped     says that another part of the campaign has found what it was after
    history     keep what happened in what is found, as it is when reduced
    histories   keep what happened in the last phases, too
    """

    keep_going: bool = False
    state: Path | None = None
    share: tuple[int, int] = (0, 1)
    until: int = 1 << 40
    known: frozenset[tuple[str, str]] = frozenset()
    behind: int = 0
    table: bool = False
    stopped: Callable[[], bool] = _never
    history: bool = False
    histories: bool = False


@dataclass(frozen=True, slots=True)
class Share:
    """What is asked of a campaign, or of one of the processes that share it.

    `profile` is the name of a profile, or empty for the one that the target names, or else `contract`.
    """

    target: Target
    profile: str = ""
    seed: int = 1
    budget: Budget = field(default_factory=Budget)
    waived: frozenset[str] = frozenset()
    course: Course = field(default_factory=Course)
