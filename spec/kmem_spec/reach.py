"""GFP: how deep a mask reaches into memory, and whether a call under it sleeps.

That one request fails and the next succeeds proves nothing: allocators may fail now and then. What has to
happen RETRIES times in a row, with no success of the mask that should reach deeper in between, does. The two
requests have to follow each other: whatever is called in between may make room.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from kmem_spec.calls import Answer, Asked
from kmem_spec.clauses import clause, history
from kmem_spec.gfp import GFP_KERNEL, HIGH, NOFAIL, NOWARN, has, may_sleep
from kmem_spec.mem import MAKING, PLACE, SAMPLE

RETRIES: Final = 16
PATIENCE: Final = 1 << 16  # events after which a row that does not grow is forgotten
ATOMIC_BIT: Final = 0x200  # __GFP_ATOMIC of 6.1, which says nothing that __GFP_HIGH does not
SAYS_NOTHING: Final = NOWARN | ATOMIC_BIT
HARDWALL: Final = 0x100000
Pair = Literal["GFP-ATOMIC-REACH", "GFP-USER", "GFP-NOFAIL"]
ATOMIC: Final = SAMPLE._replace(gfp=0x820)

assert GFP_KERNEL & HARDWALL == 0  # what tells GFP_USER from GFP_KERNEL


@clause(
    "GFP-SLEEP",
    "A call whose mask lacks __GFP_DIRECT_RECLAIM does not sleep.",
    source="include/linux/gfp_types.h: GFP_ATOMIC; include/linux/gfp.h: gfpflags_allow_blocking",
    of=lambda api: api.role in (*MAKING, "bulk") and not api.sleeps,
    applies=lambda asked: not may_sleep(asked.gfp),
    witness=(ATOMIC, Answer(PLACE, slept=0)),
    broken=(ATOMIC, Answer(PLACE, slept=1)),
)
def atomic_call_does_not_sleep(_asked: Asked, got: Answer) -> bool:
    """Look whether the call slept; -1 where nobody could see."""
    return got.slept != 1


history(
    "GFP-ATOMIC-REACH",
    "Where a request with __GFP_HIGH fails, the same one without it fails too: GFP_ATOMIC reaches at least "
    "as deep as GFP_NOWAIT.",
    "mm/page_alloc.c: __zone_watermark_ok, gfp_to_alloc_flags",
)
history(
    "GFP-USER",
    "GFP_USER succeeds where GFP_KERNEL does, and fails where it fails.",
    "include/linux/gfp_types.h: GFP_USER",
)
history(
    "GFP-NOFAIL",
    "A request with __GFP_NOFAIL that may sleep does not return NULL where the same request, made again at "
    "once, succeeds.",
    "include/linux/gfp_types.h: __GFP_NOFAIL",
)


class Request(NamedTuple):
    """A request without its mask, and the mask."""

    api: str
    shape: tuple[int, ...]
    mask: int


def pair_of(one: int, two: int) -> Pair | None:
    """Return the rule that a refusal under one mask breaks where the other is served, None for none."""
    if one == two and has(one, NOFAIL) and may_sleep(one):
        return "GFP-NOFAIL"
    if one == two | HIGH and one != two:
        return "GFP-ATOMIC-REACH"
    return "GFP-USER" if one == two ^ HARDWALL else None


@dataclass(slots=True)
class Reach:
    """Follow refusals that are answered at once by a success under another mask.

    judged      pairs of requests that were compared, by rule
    watching    whether a success has to be told as well
    """

    judged: dict[str, int] = field(default_factory=dict)
    watching: bool = False
    _refused: Request | None = None
    _event: int = -1
    _rows: dict[tuple[Pair, str, tuple[int, ...], int], int] = field(default_factory=dict)
    _grown: int = 0  # event in which a row last grew

    def request(self, request: Request, event: int, *, served: bool) -> Pair | None:
        """Take a request and its event; return the rule if a refusal right before now breaks it."""
        request = request._replace(mask=request.mask & ~SAYS_NOTHING)
        before = self._refused if event == self._event + 1 else None
        self._refused, self._event = None if served else request, event
        if served:
            for key in [key for key in self._rows if key[1:] == request]:
                del self._rows[key]
        if self._rows and event - self._grown > PATIENCE:
            self._rows.clear()
        self.watching = not served or bool(self._rows)
        if before is None or before[:2] != request[:2]:
            return None
        pair = pair_of(before.mask, request.mask)
        if pair is None:
            return None
        self.judged[pair] = self.judged.get(pair, 0) + 1
        if not served:
            return None
        if pair == "GFP-NOFAIL":
            return pair
        key = (pair, *before)
        self._rows[key] = self._rows.get(key, 0) + 1
        self._grown, self.watching = event, True
        return pair if self._rows[key] >= RETRIES else None
