"""Where typed lines come from: prompt_toolkit if it is there, else readline, else standard input as it is.

A history of lines is kept in the user's state folder, where that can be written.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib.util
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from kmem_oracle.learn.lesson import Prompt

Complete = Callable[[str], tuple[int, list[str]]]  # of the text before the cursor: where a word begins, words
MOST_LINES: Final = 2000  # of the history that readline keeps


def is_typed() -> bool:
    """Say whether somebody types, and sees what is said."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def prompt_for(complete: Complete) -> Prompt:
    """Return the best way there is to read lines."""
    if not is_typed():
        return plain_prompt()
    if importlib.util.find_spec("prompt_toolkit") is not None and os.environ.get("TERM") != "dumb":
        from kmem_oracle.interactive.toolkit import toolkit_prompt

        return toolkit_prompt(complete, _history("history"))
    return _with_readline(complete, _history("history-readline"))


def plain_prompt() -> Prompt:
    """Return a way to read lines that any Python has; a prompt is shown where somebody types."""

    def read(prompt: str) -> str:
        if is_typed():
            try:
                return input(prompt)
            except (EOFError, KeyboardInterrupt):
                print()
                raise
        line = sys.stdin.readline()
        if not line:
            raise EOFError
        return line.rstrip("\n")

    return read


def _history(name: str) -> Path | None:
    """Return a file for a history, each form of which has its own; None where it cannot be written."""
    try:
        folder = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "kmem-oracle"
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / name
        file.open("a", encoding="utf-8").close()
    except (OSError, RuntimeError):  # the last where nobody knows a home
        return None
    return file


def _with_readline(complete: Complete, history: Path | None) -> Prompt:
    """Return a way to read lines with readline, if Python has it."""
    try:
        import readline
    except ImportError:
        return plain_prompt()
    found: list[str] = []

    def candidate(_word: str, state: int) -> str | None:
        if state == 0:
            start, words = complete(readline.get_line_buffer()[: readline.get_endidx()])
            found[:] = _from(readline.get_begidx() - start, words)
        return found[state] if state < len(found) else None

    readline.set_completer(candidate)
    readline.set_completer_delims(" \t\n=(),;{|")
    readline.parse_and_bind("tab: complete")
    if history is not None:
        with contextlib.suppress(OSError):
            readline.read_history_file(history)
        readline.set_history_length(MOST_LINES)
        atexit.register(_keep, readline.write_history_file, history)
    return plain_prompt()


def _from(ahead: int, words: Iterable[str]) -> list[str]:
    """Return words without the characters that readline thinks are before the word."""
    return [word[ahead:] for word in words] if ahead > 0 else list(words)


def _keep(write: Callable[[Path], None], history: Path) -> None:
    """Write the history down, if it can be."""
    with contextlib.suppress(OSError):
        write(history)
