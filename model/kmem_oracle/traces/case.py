"""The case: what the judges of objects, pages and areas of one trace share."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

from kmem_oracle.traces.direct_map import DirectMap
from kmem_oracle.traces.finding import Certainty, Docket, Finding, Rests
from kmem_spec.profile import Profile

REMEMBERED: Final = 1 << 17  # freed things that are remembered at least; more only while more is live


@dataclass
class Case:
    """What is known of a trace as a whole.

    whole          it shows the whole life: nothing was live before it, nothing is after it
    unseen         why events could not be judged, and how many
    judged         events that were
    page_events    events of pages so far
    page_free      line of the last free of pages
    unmapped_free  the same, while the direct map was not known: objects on those pages may be gone
    page_alloc     line of the last allocation of pages while it was not known
    failed         whether an allocation failed
    hashed         whether pointers are hashed
    modern         whether the events are those of a kernel since 6.17
    """

    profile: Profile
    docket: Docket
    map: DirectMap
    whole: bool = False
    unseen: Counter[str] = field(default_factory=Counter)
    judged: int = 0
    page_events: int = 0
    page_free: int = 0
    unmapped_free: int = 0
    page_alloc: int = 0
    failed: bool = False
    hashed: bool = False
    modern: bool = False

    def find(
        self,
        clause: str,
        line: int,
        others: tuple[int, ...],
        message: str,
        *,
        certainty: Certainty = "violation",
        group: str = "",
        rests: Rests = "nothing",
        explained: str = "",
    ) -> Finding | None:
        """Note a finding."""
        if self.hashed and rests != "nothing" and certainty == "violation":
            certainty, explained = "suspect", "two pointers that share a hash"
        return self.docket.add(Finding(clause, certainty, line, others, message, group, rests, explained))

    def stale(self, line: int) -> bool:
        """Say whether the page of an object of that line may have changed hands unnoticed."""
        return self.unmapped_free > line


def forget_oldest(memory: dict[int, Any], live: int) -> None:  # Any: values are not looked at
    """Keep the memory of what was freed in proportion to what is live."""
    surplus = len(memory) - 2 * max(REMEMBERED, live)
    if surplus > 0:
        for key in list(memory)[: surplus + max(REMEMBERED, live)]:
            del memory[key]
