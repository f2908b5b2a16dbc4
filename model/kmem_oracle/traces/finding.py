"""Findings: what a trace shows, how sure that is, and what it takes back when events turn out to be lost."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final, Literal

from kmem_spec.clauses import CLAUSES, Who

Certainty = Literal["violation", "suspect"]
Rests = Literal["nothing", "events", "page events"]
LONG: Final = 1000  # events after which what a trace has none of was not recorded
KEPT: Final = 100_000  # findings kept one by one; further ones are counted
SHARE: Final = 100  # one line in so many may be a suspect; from there on, what is frequent explains itself
FREQUENT: Final = 16


@dataclass(slots=True)
class Finding:
    """A clause that a line breaks.

    others    lines of the other events involved, from 1
    group     whose doing it is: a cache, a call site; findings of one clause and group go together
    rests     what the judgement rests on besides the lines themselves: that no event is missing
              between them, or that no pages were freed there
    explained  what event without a trace explains the lines, of a suspect
    """

    clause: str
    certainty: Certainty
    line: int
    others: tuple[int, ...]
    message: str
    group: str = ""
    rests: Rests = "nothing"
    explained: str = ""

    @property
    def who(self) -> Who:
        """Say whose error it is."""
        return CLAUSES[self.clause].who


def shown(text: str, most: int = 80) -> str:
    """Return foreign text fit to be shown: printable, on one line, not longer than `most`."""
    plain = "".join(each if each.isprintable() else repr(each)[1:-1] for each in text[: most + 1])
    return plain if len(plain) <= most else plain[: most - 1] + "…"


@dataclass
class Docket:
    """The findings of one trace.

    further   findings beyond those kept
    folded    by clause and group, how many suspects were taken back because they are too frequent to be
              errors
    missing   what events may be missing anywhere without a mark, if so
    """

    in_force: frozenset[str]
    missing: str = ""
    findings: list[Finding] = field(default_factory=list)
    further: int = 0
    folded: Counter[tuple[str, str]] = field(default_factory=Counter)
    gap_end: int = 0
    _weak: int = 0  # findings, from the first, that are weakened already

    def add(self, found: Finding) -> Finding | None:
        """Take a finding, unless its clause is not judged; what may rest on a lost event is a suspect."""
        if found.clause not in self.in_force:
            return None
        if len(self.findings) >= KEPT:
            self.further += 1
            return None
        if found.certainty == "violation" and found.rests != "nothing":
            if self.missing:
                _weaken(found, self.missing)
            elif found.others and self.gap_end > min(found.others):
                _weaken(found, "lost events")
        self.findings.append(found)
        return found

    def lost(self, start: int, end: int) -> None:
        """Take note that events were lost after line `start` and before line `end`."""
        self.gap_end = max(self.gap_end, end)
        for found in reversed(self.findings[self._weak :]):
            if found.line <= start:
                break
            if found.rests != "nothing":
                _weaken(found, "lost events")
        if start == 0:
            self._weak = len(self.findings)

    def withdraw(self, found: Finding) -> None:
        """Take a finding back."""
        self.findings.remove(found)
        self._weak = min(self._weak, len(self.findings))

    def close(self, lines: int, events: int, page_frees: bool) -> None:
        """Settle what only the whole trace tells: whether it has frees of pages, what is too frequent."""
        for found in self.findings:
            if found.rests == "page events" and events > LONG and not page_frees:
                _weaken(found, "frees of pages, of which this trace has none")
        self._fold(lines)
        suspects = Counter(found.clause for found in self.findings if found.certainty == "suspect")
        if suspects.total() * SHARE > lines:
            for found in self.findings:
                if found.certainty == "suspect" and suspects[found.clause] >= FREQUENT:
                    found.group = ""
            self._fold(lines)

    def _fold(self, lines: int) -> None:
        """Take back the most frequent suspects until no more lines than one in SHARE are suspects."""
        groups = Counter(
            (found.clause, found.group) for found in self.findings if found.certainty == "suspect"
        )
        left = sum(groups.values())
        for group, count in groups.most_common():
            if left * SHARE <= lines or count < FREQUENT:
                break
            self.folded[group] += count
            left -= count
        if self.folded:
            self.findings = [
                found
                for found in self.findings
                if found.certainty == "violation" or (found.clause, found.group) not in self.folded
            ]


def _weaken(found: Finding, explained: str) -> None:
    """Make a violation a suspect."""
    if found.certainty == "violation":
        found.certainty = "suspect"
        found.explained = explained
