"""Histories: calls with what came of them, which a judge must admit, or reject under one clause.

Three sources. What breaks a clause is told in its chapter, by hand. A legal run of each script is recorded on
the model. And each answer of a short run is changed, in ways that a faulty allocator might: the judge names
the clause that the change breaks, or admits it as another legal outcome. Of those that say the same, one is
kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from kmem_oracle.language import told
from kmem_oracle.language.script import parse
from kmem_oracle.learn.chapters import Told, sections
from kmem_oracle.vectors.presets import TOY
from kmem_oracle.vectors.record import Recorder, lowered
from kmem_oracle.vectors.scripts import is_asked, scripts
from kmem_spec.apis import APIS, Role
from kmem_spec.calls import Answer, Event, Lost
from kmem_spec.clauses import Clause
from kmem_spec.finding import Finding
from kmem_spec.gfp import NAMES
from kmem_spec.judge import Judge
from kmem_spec.profile import Profile
from kmem_spec.units import PAGE_SIZE, SIZE_MAX, ZERO_SIZE_PTR

AT_END: Final = -1  # in place of the event that breaks the clause
OF_THE_END: Final = frozenset({"CALLER-LEAK"})  # found when nothing follows any more
EVERYWHERE: Final = frozenset({"MEM-RETURNS", "MEM-KEEP"})  # judged whatever the answer: no answer is another
FAR: Final = 1 << 32  # bytes behind which no driver looks
SHORT: Final = 12  # events of a run whose answers are changed
MAKING: Final = frozenset[Role]({"allocate", "copy", "resize", "map", "create", "item"})
NUMBERS: Final = frozenset[Role]({"measure", "describe", "compute", "locate", "bulk"})


@dataclass(frozen=True, slots=True)
class History:
    """Events, and what a judge must say of them.

    clause  what event `at` breaks, and none before it; of one that is admitted, what it shows
    """

    name: str
    clause: str
    says: str
    admitted: bool
    at: int
    events: tuple[Event | Lost, ...]


class Maker:
    """Makes the histories of one profile."""

    def __init__(self, profile: Profile) -> None:
        """Take a judge and a model to ask."""
        self.profile = profile
        self._judge = Judge(profile)
        self._recorder = Recorder()

    def histories(self, clause: Clause) -> Iterator[History]:
        """Yield the histories of a clause, none where the profile does not promise it."""
        profile = self.profile
        if not is_asked(clause, profile):
            return
        section = sections()[clause.id]
        for kind, several in (("told", section.broken), ("legal", section.legal)):
            for number, each in enumerate(several, 1):
                if each.history and each.profile in ("", profile.name):
                    yield from self._told(clause, f"{clause.id}/{kind}-{number}", each, broken=kind == "told")
        seen: set[tuple[str, str, bool]] = set()
        for script in scripts(clause, profile):
            ops = parse(script.text, NAMES[profile.gfp])
            first = script.name == "1"
            if (len(ops) > SHORT and not first) or script.parts[0][0] > 1:
                continue
            self._judge = Judge(profile)  # one that has not much to count yet
            run = self._recorder.run(ops)
            run = lowered(run) if profile.name == TOY else run
            if self._verdict(run) != []:
                continue  # a machine that has more than this one
            yield History(
                f"{clause.id}/run-{script.name}", clause.id, "a legal run", True, AT_END, tuple(run)
            )
            if len(run) <= SHORT and clause.who == "allocator":
                yield from self._changed(clause, script.name, run, seen)

    def _told(self, clause: Clause, name: str, each: Told, *, broken: bool) -> Iterator[History]:
        """Yield what a chapter tells, if it is so under this profile."""
        events = tuple(told.events(each.history))
        found = self._verdict(events, ends=clause.id in OF_THE_END)
        if not broken and not found:
            yield History(name, clause.id, each.says, True, AT_END, events)
        elif broken and [finding.clause for finding in found] == [clause.id]:
            at = AT_END if clause.id in OF_THE_END else found[0].event
            yield History(name, clause.id, each.says, False, at, events)

    def _verdict(self, events: Sequence[Event | Lost], *, ends: bool = False) -> list[Finding]:
        """Return what a judge finds in a history, events counted from 0."""
        judge = self._judge
        judge.start_over()
        base = judge.events
        found = [judge.lose(each) if isinstance(each, Lost) else judge.admit(each) for each in events]
        left = judge.leaks() if ends else []
        return [replace(each, event=each.event - base) for each in [*found, *left] if each is not None]

    def _changed(
        self, clause: Clause, script: str, run: Sequence[Event], seen: set[tuple[str, str, bool]]
    ) -> Iterator[History]:
        """Yield the histories that one changed answer makes of a run, those that show the clause."""
        for at, event in enumerate(run):
            before = run[:at]
            for says, answer in answers(event, before):
                last: Event | Lost = (
                    Lost(event.call, "crashes") if answer is None else Event(event.call, answer)
                )
                admitted = self._shown(clause, before, last)
                key = (event.call.api, says, bool(admitted))
                if admitted is None or key in seen:
                    continue
                seen.add(key)
                name = f"{clause.id}/{'other' if admitted else 'broken'}-{script}-{at}-{len(seen)}"
                text = f"{event.call.api}: {says}"
                yield History(name, clause.id, text, admitted, AT_END if admitted else at, (*before, last))

    def _shown(self, clause: Clause, before: Sequence[Event], last: Event | Lost) -> bool | None:
        """Say whether the last event is judged by the clause and admitted, or breaks it; None for neither."""
        judge = self._judge
        judge.start_over()
        for event in before:
            judge.admit(event)
        times = judge.counts()[clause.id]
        finding = judge.lose(last) if isinstance(last, Lost) else judge.admit(last)
        if finding is not None:
            return False if finding.clause == clause.id else None
        return True if judge.counts()[clause.id] > times and clause.id not in EVERYWHERE else None


def answers(event: Event, before: Sequence[Event]) -> Iterator[tuple[str, Answer | None]]:
    """Yield other answers to a call, and in which way each is another; None where it does not return."""
    call, answer = event
    role = APIS[call.api].role
    yield "does not return", None
    if role in MAKING:
        if answer.result:
            yield "NULL", Answer(0)
            for far in (1, 4, 8, 32, 64, 2048, PAGE_SIZE, 1 << 22):
                yield f"{far} bytes on", answer._replace(result=answer.result + far)
        yield "ZERO_SIZE_PTR", Answer(ZERO_SIZE_PTR)
        yield "an error code", Answer(SIZE_MAX - 11)
        yield "an object", Answer(1 << 46)
        lives = [
            each.answer.result for each in before if APIS[each.call.api].role in MAKING and each.answer.result
        ]
        if lives:
            yield "where another begins", answer._replace(result=lives[-1])
    if role in NUMBERS:
        for more in (-1, 1, 64):
            if answer.result + more >= 0:
                yield f"{more:+} in number", answer._replace(result=answer.result + more)
        yield "0", answer._replace(result=0)
    sizes = dict(zip(APIS[call.api].parameters, call.args, strict=False))
    size = sizes.get("size", 8) or 8
    if role in MAKING and answer.result:
        for less in (1, -8):
            yield f"usable {-less:+}", answer._replace(usable=max(size - less, 0))
        for place in (0, size - 1, size) if size < FAR else ():
            yield f"byte at {place - size:+} of its end is not zero", answer._replace(nonzero=place)
    if role in MAKING or role == "look":
        for place in (0, size - 1) if size < FAR else ():
            yield f"byte at {place - size:+} of its end has changed", answer._replace(changed=place)
    yield "slept", answer._replace(slept=1)
