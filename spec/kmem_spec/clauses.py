"""The registry of clauses: each rule with its id, its sentence, its source and its predicate.

An id is a mnemonic, is never reused, and stands unchanged in messages, obligations, tests, mutants and
chapters. A clause of a call's *outcome* is judged on (asked, got), see `calls`; a clause of an
allocator's *state* on the state and points of it, see `zone`; some clauses (a crash, a leak) are found
by the judge or the campaign themselves and have no predicate.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, ParamSpec

from kmem_spec.apis import Api, Role
from kmem_spec.calls import Family

P = ParamSpec("P")
Who = Literal["allocator", "caller"]
Kind = Literal["outcome", "state", "history"]
Results = Literal["any", "null", "object"]
CONTRACT: Final = "contract"  # the promise that every profile makes


@dataclass(frozen=True, slots=True, kw_only=True)
class Clause:
    """One rule.

    `promises` names the promises, any of which puts the clause in force (a profile lists those that it
    makes). `of` says which calls an outcome's clause speaks of, `on` which results. `applies` is the
    premise, of what was asked alone, and `holds` the rule; `witness` are arguments that satisfy both,
    `broken` some that satisfy only the premise.
    """

    id: str
    sentence: str
    source: str
    who: Who = "allocator"
    kind: Kind = "outcome"
    of: Callable[[Api], bool] = lambda _: True
    on: Results = "any"
    promises: frozenset[str] = frozenset({CONTRACT})
    applies: Callable[..., bool] = lambda *_: True
    holds: Callable[..., bool] = lambda *_: True
    witness: tuple[object, ...] = ()
    broken: tuple[object, ...] = ()


CLAUSES: Final[dict[str, Clause]] = {}


def calls(
    *families: Family, roles: tuple[Role, ...] = (), names: tuple[str, ...] = ()
) -> Callable[[Api], bool]:
    """Return the test of a call for its family, role or name; what is not given does not matter."""

    def test(api: Api) -> bool:
        return (
            (not families or api.family in families)
            and (not roles or api.role in roles)
            and (not names or api.name in names)
        )

    return test


def register(clause: Clause) -> Clause:
    """Add a clause; its id must be new."""
    if clause.id in CLAUSES:
        raise ValueError(f"clause {clause.id} is declared twice")
    CLAUSES[clause.id] = clause
    return clause


def clause(
    identifier: str,
    sentence: str,
    *,
    source: str,
    witness: tuple[object, ...],
    broken: tuple[object, ...],
    applies: Callable[..., bool] = lambda *_: True,
    kind: Kind = "outcome",
    of: Callable[[Api], bool] = lambda _: True,
    on: Results = "any",
    promises: tuple[str, ...] = (CONTRACT,),
) -> Callable[[Callable[P, bool]], Callable[P, bool]]:
    """Declare the decorated predicate as the rule of a clause; its name is true when it returns True."""

    def declare(holds: Callable[P, bool]) -> Callable[P, bool]:
        register(
            Clause(
                id=identifier,
                sentence=sentence,
                source=source,
                kind=kind,
                of=of,
                on=on,
                promises=frozenset(promises),
                applies=applies,
                holds=holds,
                witness=witness,
                broken=broken,
            )
        )
        return holds

    return declare


def history(
    identifier: str,
    sentence: str,
    source: str,
    *,
    who: Who = "allocator",
    promises: tuple[str, ...] = (CONTRACT,),
) -> None:
    """Declare a clause without a predicate: the judge finds it in the history itself."""
    register(
        Clause(
            id=identifier,
            sentence=sentence,
            source=source,
            who=who,
            kind="history",
            promises=frozenset(promises),
        )
    )
