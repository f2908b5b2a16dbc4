"""Obligations as data: what is claimed, of which code, with a witness and with mutants that must fail.

A name is CLAUSE/step/kind. The kinds: *initial*, it holds of the state that all begins with; *preserved*,
a step that is not refused keeps it; *refused*, a step refused under the clause changes nothing; *implies*,
it follows from other clauses; *refines*, the code gives what the rule's own wording gives; *exact*,
arithmetic for all inputs; *enumerated*, every state of a machine that is small.

The levels: **A**, the code itself explored, unbounded state, all inputs; **B**, a formula beside the code;
**C**, bounded or sampled: the claim is run on its witness alone, and goes over its states by itself, a goal
for each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeVar

from kmem_proofs.case import Case, Claim, Values

C = TypeVar("C")
Level = Literal["A", "B", "C"]
KINDS: Final = ("initial", "preserved", "refused", "implies", "refines", "exact", "enumerated")
RLIMIT: Final = 40_000_000


@dataclass(frozen=True, slots=True)
class Mutant:
    """The claim about changed code."""

    says: str
    claim: Claim


@dataclass(frozen=True, slots=True)
class Obligation:
    """One thing to prove."""

    name: str
    level: Level
    claim: Claim
    witness: Values
    mutants: tuple[Mutant, ...]
    rlimit: int = RLIMIT

    def __post_init__(self) -> None:
        if self.name.count("/") != 2 or self.name.rpartition("/")[2] not in KINDS:
            raise ValueError(f"{self.name} is not CLAUSE/step/kind")

    @property
    def clause(self) -> str:
        """The id of the clause."""
        return self.name.partition("/")[0]

    @property
    def kind(self) -> str:
        """The last part of the name."""
        return self.name.rpartition("/")[2]


def obligation(
    name: str,
    claim: Callable[[Case, C], Sequence[bool]],
    code: C,
    *,
    witness: Values,
    mutants: Iterable[tuple[str, C]],
    level: Level = "A",
    rlimit: int = RLIMIT,
) -> Obligation:
    """Return the obligation that `claim` holds of `code`, and of none of the mutants."""

    def about(this: C) -> Claim:
        return lambda case: claim(case, this)

    broken = tuple(Mutant(says, about(changed)) for says, changed in mutants)
    return Obligation(name, level, about(code), witness, broken, rlimit)


Rows = Mapping[str, tuple[Callable[..., Sequence[bool]], object]]
Faults = Mapping[str, Sequence[tuple[str, object]]]


def listed(rows: Rows, witnesses: Mapping[str, Values], faults: Faults) -> Iterator[Obligation]:
    """Yield an obligation of level A for each row, a claim and the code that it is about, by its name."""
    for name, (claim, code) in rows.items():
        yield obligation(name, claim, code, witness=witnesses[name], mutants=faults[name])
