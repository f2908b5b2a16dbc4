"""Findings as annotations of GitHub Actions: lines of output that it shows beside the code.

What stands in a line is escaped as its runner undoes it: `%`, CR and LF everywhere, `:` and `,` in properties
(docs.github.com: Workflow commands for GitHub Actions; actions/runner, ActionCommand).
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

from kmem_oracle.reports.marks import Mark, file_of
from kmem_spec.clauses import CLAUSES

MOST: Final = 10  # of each level: GitHub shows no more of one step


def wanted(environment: Mapping[str, str] = os.environ) -> bool:
    """Say whether this runs in GitHub Actions."""
    return environment.get("GITHUB_ACTIONS") == "true"


def lines(marks: Iterable[Mark]) -> list[str]:
    """Return an annotation for each finding, of each level the first MOST."""
    told: Counter[str] = Counter()
    said = []
    for mark in marks:
        told[mark.level] += 1
        if told[mark.level] <= MOST:
            said.append(_line(mark))
    return said


def failure(message: str) -> str:
    """Return the annotation that says why nothing could be run."""
    return f"::error title=kmem-oracle::{_data(message)}"


def _line(mark: Mark) -> str:
    """Return one finding."""
    properties = {"title": mark.clause}
    file = file_of(mark.place.name)
    if file is not None:
        properties = {"file": file} | properties
        if mark.place.line is not None:
            properties["line"] = str(mark.place.line)
    shown = ",".join(f"{name}={_property(value)}" for name, value in properties.items())
    return f"::{mark.level} {shown}::{_data(f'{CLAUSES[mark.clause].sentence} {mark.message}')}"


def _data(text: str) -> str:
    """Return foreign text as the message of an annotation."""
    whole = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return whole.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    """Return foreign text as the value of a property."""
    return _data(text).replace(":", "%3A").replace(",", "%2C")
