"""One history as a page's data: its calls as lines, its lives in columns, what is at fault.

Time counts calls: state k is that after k calls, and a life is seen in the states `from` to `to` - 1. The
objects that a bulk call made belong to that call.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from kmem_oracle.campaign.recorder import NEVER, Blamed, History, Life
from kmem_oracle.language.labels import Labels
from kmem_oracle.language.render import line_of_each
from kmem_oracle.language.script import Op
from kmem_oracle.reports.html.places import Places
from kmem_spec.apis import APIS, Api
from kmem_spec.calls import Answer, Asked
from kmem_spec.finding import Finding
from kmem_spec.units import NULL, ZERO_SIZE_PTR

FOREVER: Final = 1 << 31  # a state that no history comes to
MOST_OTHERS: Final = 4
NUMBERS: Final = frozenset({"measure", "describe", "compute", "adjust", "bulk"})
Extent = tuple[int, int]


class Chapter:
    """A history on its way into a page."""

    def __init__(self, name: str, history: History, names: Mapping[str, int]) -> None:
        """Prepare; `names` are those of the flags of a mask."""
        self.name = name
        self.history = history
        self.calls = [op for op in history.ops if op.api != "item"]
        self._labels = Labels(self.calls)
        self._lines = line_of_each(self.calls, names, self._labels)
        self._call_of: list[int] = []  # by event
        call = -1
        for op in history.ops:
            call += op.api != "item"
            self._call_of.append(call)
        self.extents: list[Extent] = [(life.start, life.length + life.guard) for life in history.lives]
        if history.blamed is not None:
            self.extents.append((history.blamed.start, history.blamed.length))

    def call(self, event: int) -> int:
        """Return the call that an event belongs to; -1 for one before the first that was kept."""
        at = event - self.history.first
        return self._call_of[at] if 0 <= at < len(self._call_of) else -1

    def seen(self, birth: int, death: int) -> tuple[int, int]:
        """Return the first state in which something is seen that an event made, and the first without it."""
        return self.call(birth) + 1, FOREVER if death == NEVER else self.call(death) + 1

    def data(self, places: Places) -> dict[str, object]:
        """Return the data of a page."""
        history = self.history
        return {
            "name": self.name,
            "first": history.first,
            "lines": "\n".join(self._lines),
            "gave": "\n".join(self._outcomes()),
            "places": places.table(),
            "lives": self._columns(history.lives, places),
            "makers": self._columns(history.makers, None),
            "fault": None if history.finding is None else self._fault(history.finding, places),
        }

    def _columns(self, lives: Sequence[Life], places: Places | None) -> dict[str, object]:
        """Return lives in columns; caches and pools have their addresses as text, as they have no extent."""
        seen = [self.seen(life.birth, life.death) for life in lives]
        where = [f"{life.start:x}" if places is None else places.of(life.start) for life in lives]
        return {
            "at": where,
            "length": [life.length for life in lives],
            "guard": [life.guard for life in lives],
            "size": [life.size for life in lives],
            "usable": [life.usable for life in lives],
            "kind": [life.kind for life in lives],
            "api": [life.api for life in lives],
            "home": [self._home(life) for life in lives],
            "label": [self._label(life) for life in lives],
            "from": [first for first, _ in seen],
            "to": [last for _, last in seen],
        }

    def _label(self, life: Life) -> str:
        """Return the name that the script has for an object."""
        return self._labels.of(life.item).one() if life.item > 0 else "?"

    def _home(self, life: Life) -> str:
        """Return the name of the cache or pool that an object is of."""
        if not life.home:
            return ""
        of = (
            maker
            for maker in self.history.makers
            if maker.start == life.home
            and maker.birth <= life.birth
            and (maker.death == NEVER or maker.death >= life.birth)
        )
        found = next(of, None)
        return f"{life.home:#x}" if found is None else self._label(found)

    def _outcomes(self) -> list[str]:
        """Return what each call gave, empty where that is the object that it made, or nothing."""
        made = {life.birth for life in self.history.lives}
        outcomes: list[str] = []
        for at, (op, answer) in enumerate(zip(self.history.ops, self.history.answers, strict=True)):
            if op.api != "item":
                outcomes.append("" if self.history.first + at in made else _outcome(op, answer))
        return outcomes

    def _fault(self, finding: Finding, places: Places) -> dict[str, object]:
        """Return what is at fault: the clause, the call, the bytes and whose they are."""
        blamed = self.history.blamed
        others = self._others(finding, blamed)
        marks = [] if blamed is None else [self._mark_of(blamed, finding, places)]
        for place in others:
            life = self.history.lives[place]
            marks.append(
                {
                    "at": places.of(life.start),
                    "length": life.length,
                    "guard": life.guard,
                    "life": place,
                    "role": "other",
                    "label": self._label(life),
                    "api": life.api,
                    "call": self.call(life.birth),
                }
            )
        return {
            "clause": finding.clause,
            "call": self.call(finding.event),
            "others": sorted({self.call(other) for other in finding.others if self.call(other) >= 0}),
            "marks": marks,
        }

    def _others(self, finding: Finding, blamed: Blamed | None) -> list[int]:
        """Return the lives of the other objects involved: what the other events made, or freed."""
        found: list[int] = []
        for event in finding.others:
            lives = [at for at, life in enumerate(self.history.lives) if life.birth == event] or [
                at for at, life in enumerate(self.history.lives) if life.death == event
            ]
            if blamed is not None and len(lives) > 1:
                lives = [at for at in lives if _share(self.history.lives[at], blamed)] or lives
            found += [at for at in lives if blamed is None or at != blamed.life]
        return list(dict.fromkeys(found))[:MOST_OTHERS]

    def _mark_of(self, blamed: Blamed, finding: Finding, places: Places) -> dict[str, object]:
        """Return the mark of the object that the call at fault made or was given."""
        asked = blamed.asked
        life = None if blamed.life == NEVER else self.history.lives[blamed.life]
        return {
            "at": places.of(blamed.start),
            "length": blamed.length,
            "guard": 0 if life is None else life.guard,
            "life": blamed.life,
            "role": "new" if blamed.new else "given",
            "label": "" if life is None else self._label(life),
            "api": self.calls[-1].api if life is None or blamed.new else life.api,
            "call": self.call(finding.event if life is None else life.birth),
            "size": blamed.length if life is None else life.size,
            "byte": _byte_at_fault(finding, blamed.answer),
            "align": 0 if asked is None else _alignment_missed(finding, asked, blamed.start),
        }


def _share(life: Life, blamed: Blamed) -> bool:
    """Say whether an object shares a byte with the one that is blamed."""
    end = life.start + life.length + life.guard
    return life.start < blamed.start + blamed.length and blamed.start < end


def _byte_at_fault(finding: Finding, answer: Answer) -> int:
    """Return the offset of the byte that is not as it should be, -1 where the clause speaks of none."""
    return answer.nonzero if "ZERO" in finding.clause else answer.changed


def _alignment_missed(finding: Finding, asked: Asked, start: int) -> int:
    """Return the alignment in bytes that the object should have had, 0 if that is not what is at fault."""
    if "ALIGN" not in finding.clause:
        return 0
    return min((due for due in (asked.minimum, asked.natural, asked.divisor) if start % due), default=0)


def _outcome(op: Op, answer: Answer | None) -> str:
    """Return what a call gave, for people."""
    if answer is None:
        return "did not return"
    api: Api = APIS[op.api]
    if api.role in NUMBERS or api.name == "is_vmalloc_addr":
        return str(answer.result)
    if api.makes or api.role == "locate":
        return {NULL: "NULL", ZERO_SIZE_PTR: "ZERO_SIZE_PTR"}.get(answer.result, f"{answer.result:#x}")
    return ""
