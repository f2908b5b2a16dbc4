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
class Result:
    """What is reported of an obligation."""

    name: str
    verdict: Verdict
    level: str = "-"
    paths: int = 0
    rlimit: int = 0
    seconds: float = 0.0
    mutants: int = 0
    survivors: tuple[str, ...] = ()
    report: tuple[str, ...] = ()  # lines

    @property
    def killed(self) -> int:
        """How many mutants were refuted."""
        return self.mutants - len(self.survivors)

    @property
    def green(self) -> bool:
        """Whether it is proved, and no mutant of the code is."""
        return self.verdict is Verdict.PROVED and not self.survivors
