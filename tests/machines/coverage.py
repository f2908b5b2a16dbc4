"""What the machines came by: which rule ran, what was judged and refused in it, how calls ended."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True, slots=True)
class Coverage:
    """Counts, over all machines that ran in this process.

    ran       by subject and rule
    judged    by rule and clause: of the judge's, and of the model's state
    refused   by rule and clause: mistakes of the caller that kernel and judge named alike
    ended     by subject, call and end, such as "model", "kmalloc", "NULL"
    """

    ran: Counter[tuple[str, str]] = field(default_factory=Counter)
    judged: Counter[tuple[str, str]] = field(default_factory=Counter)
    refused: Counter[tuple[str, str]] = field(default_factory=Counter)
    ended: Counter[tuple[str, str, str]] = field(default_factory=Counter)

    def times(self, clause: str) -> int:
        """Return how often a clause was judged or named."""
        return sum(self.rules_of(clause).values())

    def rules_of(self, clause: str) -> Counter[str]:
        """Return the rules in which a clause was judged or named, and how often."""
        found: Counter[str] = Counter()
        for table in (self.judged, self.refused):
            for (rule, named), count in table.items():
                if named == clause:
                    found[rule] += count
        return found

    def table(self) -> list[str]:
        """Return the table of rules and clauses, a line for each clause: the rules that came by it most."""
        clauses = sorted({clause for _, clause in (*self.judged, *self.refused)})
        return [
            f"{self.times(clause):9,} {clause:20} "
            + " ".join(f"{rule}:{count}" for rule, count in self.rules_of(clause).most_common(6))
            for clause in clauses
        ]


SEEN: Final = Coverage()
