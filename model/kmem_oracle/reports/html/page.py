"""One page: a template, a style, scripts, and the data that these show.

Whatever comes from outside (names, messages, lines of traces) goes in twice at most: escaped, as text, and
inside the data, from where the scripts take it as text alone. The page's policy lets nothing be loaded, and
of styles and scripts only those whose hashes it names.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import zlib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Final

PLAIN: Final = 1 << 16  # characters of data up to which it can be read in the file itself
SHARED: Final = ("data.js", "dom.js")
Data = Mapping[str, object]


def page(title: str, report: Sequence[str], data: Data, scripts: Sequence[str]) -> str:
    """Return a page; `report` is the same in plain text, for readers without scripts."""
    style = _asset("style.css")
    script = "".join(_asset(name) for name in (*SHARED, *scripts))
    kind, text = _packed(data)
    escaped = {"title": html.escape(title), "report": html.escape("\n".join(report))}
    return Template(_asset("template.html")).substitute(
        escaped,
        style=style,
        style_hash=_hash(style),
        script=script,
        script_hash=_hash(script),
        kind=kind,
        data=text,
    )


def write(path: str | Path, text: str) -> None:
    """Write a page.

    Errors   OSError
    """
    Path(path).write_text(text, encoding="utf-8")


def _asset(name: str) -> str:
    """Return a file of this folder."""
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """Return what a policy calls a text by."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _packed(data: Data) -> tuple[str, str]:
    """Return data as a page holds it, and whether that is "plain" or "deflate".

    No `<` is left in it, so that it cannot end the element that it is in.
    """
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=True)
    if len(text) <= PLAIN:
        return "plain", text.replace("<", "\\u003c")
    return "deflate", base64.b64encode(zlib.compress(text.encode(), 9)).decode()
