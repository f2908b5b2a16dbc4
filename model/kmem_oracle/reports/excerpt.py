"""Where in a script an error is: its line, and a caret below the place."""

from __future__ import annotations

from typing import Final

from kmem_oracle.language.expression import ScriptError

WIDTH: Final = 100  # characters of a line that are shown
BEFORE: Final = 60  # of them before the place, at most


def excerpt(script: str, error: ScriptError) -> list[str]:
    """Return the line of an error and a caret below it; of a long line the part around the place."""
    line = (script.split("\n")[error.line - 1 : error.line] or [""])[0]
    at = min(error.column - 1, len(line))
    first = max(0, at - BEFORE)
    shown = printable(line[first : first + WIDTH])
    return [f"    {shown.rstrip()}", " " * (4 + at - first) + "^"]


def printable(text: str) -> str:
    """Return a text with blanks for what a terminal might obey."""
    return "".join(each if each.isprintable() else " " for each in text)
