"""The interactive mode: each line is played when it is typed, and what came of it said."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from kmem_oracle.campaign.course import Budget
from kmem_oracle.campaign.result import Result
from kmem_oracle.campaign.start import worker_for
from kmem_oracle.interactive import complete, helps
from kmem_oracle.interactive.prompts import is_typed, prompt_for
from kmem_oracle.language.expression import ScriptError
from kmem_oracle.language.names import LiveNames
from kmem_oracle.language.script import Step, labels_of, unrolled
from kmem_oracle.language.syntax import NeverClosed, blocks_of
from kmem_oracle.learn import lesson
from kmem_oracle.learn.holdings import Holdings
from kmem_oracle.learn.session import Session
from kmem_oracle.reports import text, trace
from kmem_oracle.reports.excerpt import excerpt
from kmem_oracle.targets.process import Worker
from kmem_oracle.targets.target import Target

PROMPT: Final = "> "
MORE: Final = ". "  # the rest of a repeat
LEAVE: Final = frozenset({"quit", "exit"})


class Shell:
    """What was typed, and what lives. It is used once."""

    def __init__(self, target: Target, *, profile: str, waived: frozenset[str], budget: Budget) -> None:
        """Load nothing yet."""
        self._target = target
        self._profile = profile
        self._waived = waived
        self._budget = budget
        self._typed = is_typed()
        self._holdings = Holdings({})
        self._commands: dict[str, Callable[[str], None]] = {
            "help": self._help,
            "live": self._live,
            "save": self._save,
            "reset": self._reset,
        }

    def run(self, script: str) -> tuple[Result, bool]:
        """Play a script, then lines to the end; return the sum, and whether a line could not be
        read that nobody typed.

        Errors   CouldNotRun, ProfileError; ScriptError for the script
        """
        self._over: list[Result] = []  # what was judged on targets that have ended
        self._unread = False
        with worker_for(self._budget, self._target) as worker:
            self._begin(worker)
            try:
                if script:
                    self._play(script)
                self._listen()
            finally:
                self._end()
        return _sum(self._over), self._unread

    def _begin(self, worker: Worker) -> None:
        """Load the target afresh; nothing lives."""
        self._worker = worker
        self._session = Session(worker, self._target, profile=self._profile, waived=self._waived)
        self._ids = LiveNames()
        self._holdings = Holdings({})
        self._lines: list[str] = []  # what was played

    def _end(self) -> None:
        """End the target."""
        self._session.__exit__(None, None, None)
        self._over.append(self._session.result())

    def _listen(self) -> None:
        """Do what is typed, to the end."""
        prompt = prompt_for(
            lambda before: complete.complete(before, self._holdings, [*self._commands, *LEAVE])
        )
        if self._typed:
            print(f"{self._target.label}: type calls, `help`, or Ctrl-D to end")
        given = ""
        while True:
            try:
                given += prompt(MORE if given else PROMPT)
            except EOFError:
                if given:
                    self._do(given)
                return
            except KeyboardInterrupt:  # as in a shell, the line is dropped
                given = ""
                continue
            if given.strip() in LEAVE:
                return
            if self._goes_on(given):
                given += "\n"
                continue
            self._do(given)
            given = ""

    def _goes_on(self, given: str) -> bool:
        """Say whether a repeat is open; an empty line after it says that there is no more."""
        try:
            blocks_of(given)
        except NeverClosed:
            return not given.endswith("\n")
        except ScriptError:
            return False
        return False

    def _do(self, given: str) -> None:
        """Do what was typed."""
        word, _, rest = given.strip().partition(" ")
        try:
            if word in self._commands:
                self._commands[word](rest.strip())
            else:
                self._play(given)
        except ScriptError as error:
            self._unread |= not self._typed  # who types sees it, and types it again
            print("\n".join(self._wrong(given, error)), file=sys.stderr)
        except KeyboardInterrupt:
            print("interrupted: the target was ended; it begins again, and nothing lives")
            self._reset("")

    def _play(self, given: str) -> None:
        """Play lines, and say what came of each.

        Errors   ScriptError
        """
        before = len(self._lines)
        ids = self._ids.copy()
        steps = list(unrolled("\n" * before + given, ids))
        self._ids = ids
        self._holdings.labels = labels_of(ids)
        self._lines += given.split("\n")
        waiting = iter(steps)
        lines = trace.Trace(steps, every=False) if len(steps) > 1 else _Alone(steps)
        while (turn := lesson.play(self._session, waiting, self._holdings, lines, print)) is not None:
            assert turn.finding is not None
            print("\n".join(text.finding_lines(turn.finding, self._target.label)))
            if turn.lost:
                print("the target has ended; it begins again, and nothing lives")
                self._reset("")
                return

    def _wrong(self, given: str, error: ScriptError) -> list[str]:
        """Say what is wrong with a line: below it where it was just typed, else with the line."""
        if self._typed and "\n" not in given:
            return [" " * (len(PROMPT) + error.column - 1) + f"^ {error.message}"]
        before = "\n" * len(self._lines)
        return [f"kmem-oracle: {error}", *excerpt(before + given, error)]

    def _help(self, about: str) -> None:
        """Say what there is, or what something promises."""
        print("\n".join(helps.lines(about)))

    def _live(self, _rest: str) -> None:
        """List what lives."""
        print("\n".join(lesson.live_lines(self._holdings)))

    def _save(self, file: str) -> None:
        """Write what was played as a script."""
        if not file:
            print("save FILE: writes what was played as a script", file=sys.stderr)
            return
        try:
            Path(file).write_text("\n".join(self._lines).strip("\n") + "\n", encoding="utf-8")
        except (OSError, ValueError) as error:
            print(f"kmem-oracle: cannot write {file}: {error}", file=sys.stderr)

    def _reset(self, _rest: str) -> None:
        """Begin again on a freshly loaded target."""
        self._end()
        self._begin(self._worker)


class _Alone(trace.Trace):
    """The outcome of one call that was just typed, without the call."""

    def __init__(self, steps: list[Step]) -> None:
        super().__init__(steps, every=True)

    def lines(self, step: Step, words: str, kind: str) -> list[str]:
        """Return the line."""
        return [f"  {words}"] if words else []


def _sum(results: list[Result]) -> Result:
    """Return the results of one target after the other as one."""
    whole = results[0]
    for other in results[1:]:
        whole.calls += other.calls
        whole.seconds += other.seconds
        whole.counts = {clause: count + other.counts[clause] for clause, count in whole.counts.items()}
        whole.found += other.found
        whole.lacking |= other.lacking
        whole.warned += other.warned
        whole.play = whole.play or other.play
    return whole
