"""A script played line by line before somebody's eyes, and by their leave where they ask for that."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, Protocol

from kmem_oracle.language.script import Step
from kmem_oracle.language.syntax import PROC_FILES, Cat
from kmem_oracle.learn.holdings import Holdings
from kmem_oracle.learn.session import Session, Turn
from kmem_oracle.reports import trace
from kmem_oracle.reports.excerpt import printable

Say = Callable[[str], None]
NO_FILES: Final = "skipped: only the model has files of /proc"
STEP_HELP: Final = "Enter: make this call · c: go on to the end · q: end here · live · cat /proc/…"
TUNABLES: Final = " : tunables    0    0    0"  # says nothing here, and makes the line long


class Prompt(Protocol):
    """Where lines come from."""

    def __call__(self, prompt: str, /) -> str:
        """Return the next line.

        Errors   EOFError at the end, KeyboardInterrupt where the user interrupts
        """


class Watch:
    """The files of /proc, and what changed in them since they were looked at last."""

    def __init__(self, session: Session) -> None:
        """Look at the files."""
        self._session = session
        self._seen = self._look()

    def changes(self) -> list[str]:
        """Return the lines that have changed, by file."""
        seen, self._seen = self._seen, self._look()
        lines: list[str] = []
        for name, text in self._seen.items():
            changed = trace.changes(seen[name], text)
            lines += [f"{trace.INDENT}{name}", *changed] if changed else []
        return lines

    def _look(self) -> Mapping[str, str]:
        """Return the files, without what never changes."""
        session = self._session
        return {
            name: session.file(name).replace(TUNABLES, "") for name in PROC_FILES if name in session.files
        }


class Stepper:
    """Asks before each call, and says after it what changed.

    free    whether it was told to go on to the end
    """

    def __init__(self, session: Session, holdings: Holdings, prompt: Prompt, say: Say) -> None:
        """Ask through `prompt`."""
        self._session = session
        self._holdings = holdings
        self._prompt = prompt
        self._say = say
        self._watch = Watch(session)
        self.free = False
        say(STEP_HELP)

    def may_go(self, step: Step) -> bool:
        """Show the next line, and ask; say whether it is to be played."""
        while not self.free:
            try:
                given = self._prompt(f"{step.line.line}  {trace.text_of(step)} ? ").strip()
            except (EOFError, KeyboardInterrupt):
                self._say("")
                return False
            if given in ("", "n"):
                return True
            if given == "q":
                return False
            if given == "c":
                self.free = True
            else:
                self._command(given)
        return True

    def after(self) -> None:
        """Say what the last call changed."""
        changed = self._watch.changes()
        if not self.free:
            for line in changed:
                self._say(line)

    def _command(self, given: str) -> None:
        """Do what is asked for between two calls."""
        if given == "live":
            for line in live_lines(self._holdings):
                self._say(line)
        elif given.removeprefix("cat ").strip() in PROC_FILES:
            for line in file_lines(self._session, given.removeprefix("cat ").strip()):
                self._say(line)
        else:
            self._say(STEP_HELP)


def play(
    session: Session,
    steps: Iterable[Step],
    holdings: Holdings,
    lines: trace.Trace,
    say: Say,
    stepper: Stepper | None = None,
) -> Turn | None:
    """Play a script and say what comes of each line; return the turn that broke a clause, None for none.

    Errors   CouldNotRun
    """
    for step in steps:
        if stepper is not None:
            if not stepper.may_go(step):
                break
            lines.every = not stepper.free
        if isinstance(step.line, Cat):
            known = step.line.file in session.files
            shown = file_lines(session, step.line.file)
            _say_all(say, lines.lines(step, "" if known else NO_FILES, "cat"))
            _say_all(say, shown if known else [])
            continue
        assert step.op is not None
        turn = session.call(step.op)
        words = trace.words_of(turn, holdings)
        holdings.note(step, turn)
        _say_all(say, lines.lines(step, words, turn.outcome.words))
        if turn.finding is not None:
            _say_all(say, lines.rest())
            return turn
        if stepper is not None:
            stepper.after()
    _say_all(say, lines.rest())
    return None


def file_lines(session: Session, name: str) -> list[str]:
    """Return the lines of a file of /proc, or why there is none."""
    if name not in session.files:
        return [f"{trace.INDENT}{NO_FILES.removeprefix('skipped: ')}"]
    return trace.indented(session.file(name)) or [f"{trace.INDENT}(empty)"]


def live_lines(holdings: Holdings) -> list[str]:
    """Return a line for each thing that lives."""
    live = holdings.live()
    width = max(map(len, live), default=0)
    return [
        f"{trace.INDENT}{name:{width}}  {thing.address:#x}  line {thing.line}: {printable(thing.text)}"
        for name, thing in live.items()
    ] or [f"{trace.INDENT}nothing lives"]


def _say_all(say: Say, lines: Iterable[str]) -> None:
    for line in lines:
        say(line)
