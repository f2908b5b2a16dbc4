"""What was asked for, judged wherever the memory lies; and what must not fail, where it did."""

from __future__ import annotations

from typing import Final

from kmem_oracle.traces.case import Case
from kmem_oracle.traces.request import ObjectRequest, PageRequest

NAMES: Final = 1 << 16


class Asked:
    """The requests for one kind of memory.

    refused   what must not fail and did, in words, each with the line of the last time
    """

    def __init__(self, case: Case) -> None:
        self.case = case
        self.refused: dict[str, int] = {}

    def judge(
        self,
        line: int,
        request: ObjectRequest | PageRequest,
        group: str,
        at: str = "",
        *,
        given: bool,
        atomic: bool,
    ) -> None:
        """Report what is wrong with a request; what is the allocator's error only if memory was `given`."""
        for clause, message in request.wrong:
            if given or clause.startswith("CALLER"):
                self.case.find(clause, line, (), f"{message}{at}", group=group)
        if atomic and request.sleeps:
            message = f"{request.text} may sleep, in an interrupt{at}"
            self.case.find("CALLER-CONTEXT", line, (), message, group=group)

    def refuse(self, line: int, refusal: str) -> None:
        """Take note that a request failed which must not."""
        if len(self.refused) < NAMES:
            self.refused[refusal] = line

    def grant(self, line: int, refusal: str, group: str) -> None:
        """See whether the request that succeeds has failed before."""
        before = self.refused.pop(refusal, 0)
        if before:
            message = f"{refusal}; the same request succeeds at line {line}"
            self.case.find("GFP-NOFAIL", before, (line,), message, group=group)
