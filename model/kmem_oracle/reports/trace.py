"""A script line by line, as text: each call with what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from kmem_oracle.language.script import Step
from kmem_oracle.learn.holdings import Holdings
from kmem_oracle.learn.session import Turn
from kmem_oracle.reports.excerpt import printable
from kmem_spec.apis import APIS
from kmem_spec.calls import CONSTRUCTED, Answer

WIDEST: Final = 52  # characters of a call beside which its outcome stands
MOST_ITEMS: Final = 3  # addresses of a bulk call
ROUNDS: Final = 3  # of a repeat that are shown, where not all are
INDENT: Final = "      "


class Trace:
    """Lines for steps, in order; of a repeat the first rounds, and those that come to something else.

    every    whether all rounds are shown
    """

    def __init__(self, steps: Sequence[Step], *, every: bool) -> None:
        """Know which lines there will be."""
        self.every = every
        self._digits = max((len(str(step.line.line)) for step in steps), default=1)
        self._width = min(WIDEST, max((len(text_of(step)) for step in steps), default=0))
        self._times: dict[int, int] = {}  # by the place of a line in the script
        self._kinds: dict[int, str] = {}
        self._hidden = 0

    def lines(self, step: Step, words: str, kind: str) -> list[str]:
        """Return the lines for a step that came to `words`; those of one `kind` need not be shown again."""
        place = id(step.line)
        times = self._times.get(place, 0)
        alike = self._kinds.get(place) == kind
        self._times[place], self._kinds[place] = times + 1, kind
        if not self.every and times >= ROUNDS and alike:
            self._hidden += 1
            return []
        line = f"{step.line.line:>{self._digits + 1}}  {text_of(step):{self._width}}  {words}"
        return [*self.rest(), line.rstrip()]

    def rest(self) -> list[str]:
        """Return the line that says how many were left out since the last."""
        hidden, self._hidden = self._hidden, 0
        return [f"{'':{self._digits + 1}}  … {hidden:,} more came to the same"] if hidden else []


def text_of(step: Step) -> str:
    """Return a call as it is written, with the number of its round."""
    text = printable(step.line.text)
    return text if step.round is None else f"{text}  [i = {step.round}]"


def words_of(turn: Turn, holdings: Holdings) -> str:
    """Say what came of a call: an address where there is one."""
    if turn.lost:
        return f"the call {turn.lost}"
    answer = turn.answer
    if answer is None:
        return holdings.why_not(turn.op) if turn.outcome.words == "skipped" else str(turn.outcome)
    return ", ".join([_result(turn, answer), *_besides(answer)])


def _result(turn: Turn, answer: Answer) -> str:
    """Say what a call gave."""
    role = APIS[turn.op.api].role
    if role == "bulk":
        shown = ", ".join(hex(each) for each in turn.items[:MOST_ITEMS])
        return f"{answer.result} objects: {shown}{', …' if answer.result > MOST_ITEMS else ''}".rstrip(": ")
    if role == "look" and answer.changed < 0:
        return "as it was written"
    return str(turn.outcome).replace("an object", hex(answer.result), 1)


def _besides(answer: Answer) -> list[str]:
    """Say what else was seen."""
    built = sum(note.kind == CONSTRUCTED for note in answer.notes)
    undone = len(answer.notes) - built
    said = [(built, "constructor"), (undone, "destructor")]
    shown = [f"the {what} ran {'once' if count == 1 else f'{count} times'}" for count, what in said if count]
    return [*shown, "slept"] if answer.slept == 1 else shown


def changes(before: str, after: str) -> list[str]:
    """Return the lines of a file that differ, as they were and as they are."""
    was, now = before.splitlines(), after.splitlines()
    gone, new = set(was) - set(now), set(now) - set(was)
    marked = [("- ", line) for line in was if line in gone] + [("+ ", line) for line in now if line in new]
    return [f"{INDENT}{mark}{line.rstrip()}" for mark, line in marked]


def indented(text: str) -> list[str]:
    """Return the lines of a file that is shown."""
    return [f"{INDENT}{line.rstrip()}" for line in text.splitlines()]
