"""What can be said of an obligation. Only `PROVED` is green."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from kmem_proofs.case import Values


class Verdict(Enum):
    """Of one obligation."""

    PROVED = "proved"
    REFUTED = "refuted"  # by a counterexample that was replayed on the code
    UNKNOWN = "unknown"
    VACUOUS = "vacuous"  # no input meets the hypotheses, or the witness does not
    IDLE = "idle"  # the step writes nothing that its clause reads: it could not have broken it
    SURVIVED = "survived"  # proved, but so is a mutant of the code, or there is none
    DISPUTED = "disputed"  # proved, but the second solver does not say so
    MISSING = "missing"  # the manifest has it, and it was not run


@dataclass(frozen=True, slots=True)
class Proof:
    """A verdict, and how it was come by."""

    verdict: Verdict
    paths: int = 0  # that some input takes
    rlimit: int = 0
    note: str = ""
    counterexample: Values | None = None


@dataclass(frozen=True, slots=True)
class Second:
    """What a second solver says of the answers that a proof rests on: how often it agrees, and the rest."""

    agree: int = 0
    unknown: int = 0
    disagree: int = 0

    @property
    def confirms(self) -> bool:
        """Whether there was something to say, and it agrees throughout."""
        return self.agree > 0 and self.unknown == self.disagree == 0


@dataclass(frozen=True, slots=True)
class Result:
    """What is reported of an obligation."""

    name: str
    verdict: Verdict
    level: str = "-"
    paths: int = 0
    rlimit: int = 0
    seconds: float = 0.0  # of a processor
    mutants: int = 0
    survivors: tuple[str, ...] = ()
    report: tuple[str, ...] = ()  # lines
    second: Second | None = None
    cached: bool = False

    @property
    def killed(self) -> int:
        """How many mutants were refuted."""
        return self.mutants - len(self.survivors)

    @property
    def green(self) -> bool:
        """Whether nothing is left to say."""
        return self.verdict is Verdict.PROVED
