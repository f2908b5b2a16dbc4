"""Histories of our own: a JSON object a line, each a call and what came of it (spec/script.md)."""

from __future__ import annotations

import json
from collections import Counter
from typing import Final

from kmem_oracle.traces.finding import KEPT, Finding
from kmem_oracle.traces.request import Garbled
from kmem_oracle.traces.summary import Sample, Summary
from kmem_spec.apis import APIS
from kmem_spec.calls import Answer, Call, Note
from kmem_spec.judge import Judge
from kmem_spec.profile import Profile

SEEN: Final = ("usable", "nonzero", "changed", "slept")
LARGEST: Final = (1 << 64) - 1
MANY: Final = 1 << 16  # arguments of a call, notes of an answer


class HistoryReader:
    """Hands the calls of lines to the specification's judge.

    A history is whole: what it does not show did not happen, and what lives at its end is leaked unless it
    says that it goes on.
    """

    def __init__(self, profile: Profile, waived: frozenset[str]) -> None:
        self.judge = Judge(profile, waived=waived)
        self.counts: Counter[str] = Counter()
        self.findings: list[Finding] = []
        self.further = 0
        self.garbled = 0
        self.first_garbled = 0
        self.ends = True
        self._shifts: list[tuple[int, int]] = [(0, 1)]  # event from which on, line minus event

    def read(self, lines: list[str], number: int, *, cut: bool = False) -> None:
        """Take lines, of which the first is line `number` + 1."""
        for line in lines:
            number += 1
            if not line or line.isspace() or line.startswith("#"):
                continue
            try:
                self._take(line, number)
            except (ValueError, RecursionError):
                if not (cut and line is lines[-1]):
                    self.garbled += 1
                    self.first_garbled = self.first_garbled or number

    def _take(self, line: str, number: int) -> None:
        """Judge the call of one line.

        Errors   ValueError
        """
        given = json.loads(line)
        if not isinstance(given, dict):
            raise Garbled(line)
        if "kmem-oracle-history" in given:
            self.ends = given.get("ends", True) is True
            return
        call = _call(given)
        usable, nonzero, changed, slept = (_seen(given.get(name, -1)) for name in SEEN)
        notes = tuple(_note(each) for each in _list(given.get("notes", [])))
        answer = Answer(_number(given.get("result")), usable, nonzero, changed, slept, notes)
        event = self.judge.events
        if number - event != self._shifts[-1][1]:
            self._shifts.append((event, number - event))
        found = self.judge.take(call, answer)
        self.counts[call.api] += 1
        if found is not None:
            others = tuple(self._line(other) for other in found.others)
            self._add(Finding(found.clause, "violation", number, others, found.message, call.api))

    def _line(self, event: int) -> int:
        """Return the line of an event."""
        return event + next(shift for start, shift in reversed(self._shifts) if start <= event)

    def _add(self, found: Finding) -> None:
        if len(self.findings) < KEPT:
            self.findings.append(found)
        else:
            self.further += 1

    def sample(self, line: int, _time: float | None) -> Sample:
        """Return what is live now, by family."""
        totals = Counter[str]()
        for record in self.judge.records.values():
            totals[record.asked.family] += record.asked.size
        pages = totals["page"] + totals["exact"]
        return Sample(line, None, totals["kmalloc"] + totals["kv"], totals["cache"], pages, totals["vmalloc"])

    def close(self, summary: Summary) -> None:
        """Fill the summary."""
        summary.events = Counter(self.counts)
        summary.judged = self.judge.events
        summary.live_objects = len(self.judge.records)
        for leak in self.judge.leaks() if self.ends and not summary.stopped else ():
            others = tuple(self._line(other) for other in leak.others)
            self._add(Finding(leak.clause, "violation", self._line(leak.event), others, leak.message))
        summary.findings = sorted(self.findings, key=lambda found: found.line)
        summary.further = self.further


def _call(given: dict[str, object]) -> Call:
    """Return the call of a line, its pointers behind the other arguments as the judge takes them."""
    name = given.get("call")
    if not isinstance(name, str) or name not in APIS:
        raise Garbled(name)
    args: list[int] = []
    several: list[int] = []
    for kind, value in zip(APIS[name].parameters, _list(given.get("args", [])), strict=True):
        if kind in ("vector", "array"):
            several = [_number(each) for each in _list(value)]
            args.append(0)
        else:
            args.append(_number(value))
    return Call(name, (*args, *several))


def _list(value: object) -> list[object]:
    if not isinstance(value, list) or len(value) > MANY:
        raise Garbled(value)
    return value


def _number(value: object) -> int:
    """Return a number, decimal or "0x…"; null, and the text of a name, are 0 and 1."""
    if value is None or value is False:
        return 0
    if value is True:
        return 1
    if isinstance(value, str):
        if not value.startswith("0x"):
            return 1
        if len(value) > 18:
            raise Garbled(value)
        value = int(value, 16)
    if not isinstance(value, int) or not -(1 << 31) <= value <= LARGEST:
        raise Garbled(value)
    return value


def _seen(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not -1 <= value <= LARGEST:
        raise Garbled(value)
    return value


def _note(value: object) -> Note:
    """Return what ran during a call: kind, cache, address."""
    kind, cache, address = _list(value)
    return Note(_number(kind), _number(cache), _number(address))
