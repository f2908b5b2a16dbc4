"""A verdict for each clause: a campaign that keeps going, and another without the clauses that were broken.

What is broken stands in the way of what comes behind it. So a clause has held only in a campaign that found
nothing; they are run until there is one, or too many clauses are broken.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final, Literal

from kmem_oracle.campaign import campaign
from kmem_oracle.campaign.course import CALLS, SECONDS, Budget, Course
from kmem_oracle.campaign.result import Result
from kmem_oracle.commands.judging import target_of, waived_of
from kmem_oracle.language.script import parse
from kmem_oracle.reports import text
from kmem_spec.clauses import CLAUSES

MOST_BROKEN: Final = 8  # clauses
# A script that shows an allocator's fault may on another target be a misuse, where more calls are served.
CALLER: Final = tuple(clause.id for clause in CLAUSES.values() if clause.who == "caller")
Status = Literal["held", "broken", "open"]


@dataclass(frozen=True, slots=True)
class Terms:
    """What is judged, and how: equal terms have equal verdicts.

    target   as on the command line of `kmem-oracle check`
    calls    of each campaign
    seconds  of each campaign
    profile  a name or a .toml file, empty for what the target names, or else `contract`
    waived   clauses not to judge
    broken   clauses that may be broken before the others are left open
    """

    target: str
    calls: int = CALLS
    seconds: float = SECONDS
    seed: int = 1
    profile: str = ""
    waived: tuple[str, ...] = ()
    broken: int = MOST_BROKEN


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a clause: the report of its violation where it is broken, why there is none where open."""

    status: Status
    text: str = ""


def judged_clauses() -> list[str]:
    """Return the clauses that a target may break under some profile."""
    return [clause.id for clause in CLAUSES.values() if clause.who == "allocator" and clause.promises]


def verdicts(terms: Terms) -> dict[str, Verdict]:
    """Judge a target by each of the clauses.

    Errors   CouldNotRun, ProfileError, KeyboardInterrupt
    """
    waived = waived_of(",".join(terms.waived))
    broken: dict[str, str] = {}
    while True:
        result = campaign.campaign(
            target_of(terms.target),
            profile=terms.profile,
            seed=terms.seed,
            budget=Budget(calls=terms.calls, seconds=terms.seconds),
            waived=waived.union(broken),
            progress=lambda *_: None,
            course=Course(keep_going=True),
        )
        if result.interrupted:
            raise KeyboardInterrupt
        for found in result.found:
            assert found.play.finding is not None
            alone = replace(result, found=[found])
            broken.setdefault(found.play.finding.clause, "\n".join(text.verdict_lines(alone, [])))
        if not result.found or len(broken) >= terms.broken:
            return dict(_verdicts(terms, result, broken, ended=not result.found))


def _verdicts(
    terms: Terms, result: Result, broken: dict[str, str], *, ended: bool
) -> Iterator[tuple[str, Verdict]]:
    """Yield the verdict on each clause; `ended` says that the last campaign came to its end."""
    in_force = {clause.id for clause in result.profile.clauses()}
    for clause in judged_clauses():
        if clause in broken:
            yield clause, Verdict("broken", broken[clause])
        elif clause in terms.waived:
            yield clause, Verdict("open", "waived")
        elif clause not in in_force:
            yield clause, Verdict("open", f"profile {result.profile.name} does not promise it")
        elif not text.concerns(clause, result.apis, result.profile):
            yield clause, Verdict("open", "the target has no call that it is about")
        elif not ended:
            others = ", ".join(broken)
            yield clause, Verdict("open", f"not judged to the end: {others} were broken before")
        elif not result.counts.get(clause):
            yield clause, Verdict("open", f"never exercised in {result.calls:,} calls")
        else:
            yield clause, Verdict("held", f"judged {result.counts[clause]:,} times")


def replay(script: str, target: str, *, profile: str = "", waived: tuple[str, ...] = ()) -> str | None:
    """Play a script on a target; return the report of a violation, None if there is none.

    Errors   ScriptError, CouldNotRun, ProfileError
    """
    result = campaign.replay(
        target_of(target),
        parse(script),
        profile=profile,
        budget=Budget(),
        waived=frozenset(waived),
    )
    return None if result.play is None else "\n".join(text.verdict_lines(result, []))
