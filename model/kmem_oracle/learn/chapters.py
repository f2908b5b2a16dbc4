"""The chapters of the specification, spec/*.md, as data: what each says of its clauses.

A section is headed by a clause's id. In this order it has the sentence (quoted), prose, an example, what
breaks the clause and what does not, a reason if nothing is proved of it, and a table of facts. Sentence and
table are filled in from the registry by tests/fill_chapters.py; a test compares them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Final

import kmem_spec

NAMES: Final = ("mem", "slab", "page", "vmalloc", "gfp", "caller")
HEADING: Final = re.compile(r"^### ([A-Z]+(?:-[A-Z]+)+)$", re.MULTILINE)
_TOLD: Final = re.compile(r"\*\*(Broken|Legal)(?: under `([\w.-]+)`)?:\*\* (.*)", re.DOTALL)
_CODE: Final = re.compile(r"```c\n(.*?)```", re.DOTALL)
_UNPROVED: Final = re.compile(r"\*\*Not proved:\*\* (.*)", re.DOTALL)
_ROW: Final = re.compile(r"\| ([\w ]+?) \| (.*) \|")


@dataclass(frozen=True, slots=True)
class Told:
    """What breaks a clause, or looks so and does not: in words, and as a history (see `told`) if seen.

    profile   the promises under which it does, where the chapter names some
    """

    says: str
    history: str = ""
    profile: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """What a chapter says of one clause.

    sentence  as the chapter quotes it
    prose     paragraphs before the example
    example   a legal script
    unproved  why nothing is proved of it, empty where something is
    facts     the table: name of a row, and its text
    """

    clause: str
    chapter: str
    sentence: str
    prose: tuple[str, ...]
    example: str
    broken: tuple[Told, ...]
    legal: tuple[Told, ...]
    unproved: str
    facts: dict[str, str]


def text_of(chapter: str) -> str:
    """Return the text of a chapter: of the installed package, else of the source tree beside it."""
    inside = resources.files("kmem_spec") / "chapters" / f"{chapter}.md"
    if inside.is_file():
        return inside.read_text(encoding="utf-8")
    return (Path(kmem_spec.__file__).parents[1] / f"{chapter}.md").read_text(encoding="utf-8")


@cache
def sections() -> dict[str, Section]:
    """Return the section of each clause, in the order of the chapters.

    Errors   ValueError for a clause with two sections
    """
    found: dict[str, Section] = {}
    for chapter in NAMES:
        for clause, body in split(text_of(chapter)):
            if clause in found:
                raise ValueError(f"{clause} has a section in {found[clause].chapter}.md and in {chapter}.md")
            found[clause] = section(chapter, clause, body)
    return found


def split(text: str) -> list[tuple[str, str]]:
    """Return the sections of a chapter: id, and what stands below it up to the next heading."""
    heads = list(HEADING.finditer(text))
    ends = [head.start() for head in heads[1:]] + [len(text)]
    bodies = [text[head.end() : end] for head, end in zip(heads, ends, strict=True)]
    return [
        (head[1], re.split(r"^## ", body, maxsplit=1, flags=re.MULTILINE)[0])
        for head, body in zip(heads, bodies, strict=True)
    ]


def section(chapter: str, clause: str, body: str) -> Section:
    """Read one section."""
    sentence, example, unproved = "", "", ""
    prose: list[str] = []
    told: list[tuple[str, Told]] = []
    facts: dict[str, str] = {}
    for part in parts(body):
        code, says, why = _CODE.fullmatch(part), _TOLD.fullmatch(part), _UNPROVED.fullmatch(part)
        if code and told:
            kind, last = told.pop()
            told.append((kind, replace(last, history=last.history + code[1])))
        elif code:
            example += code[1]
        elif says:
            told.append((says[1], Told(_line(says[3]), profile=says[2] or "")))
        elif why:
            unproved = _line(why[1])
        elif part.startswith("> "):
            sentence = _line(re.sub(r"^> ?", "", part, flags=re.MULTILINE))
        elif part.startswith("|"):
            facts |= {row[1]: row[2] for row in _ROW.finditer(part) if row[1].strip("- ")}
        else:
            prose.append(_line(part))
    broken, legal = (tuple(each for kind, each in told if kind == word) for word in ("Broken", "Legal"))
    return Section(clause, chapter, sentence, tuple(prose), example, broken, legal, unproved, facts)


def parts(body: str) -> list[str]:
    """Return the paragraphs, code blocks and tables of a section."""
    found: list[str] = []
    for at, stretch in enumerate(re.split(r"(```c\n.*?```)", body, flags=re.DOTALL)):
        found += [stretch] if at % 2 else [each.strip() for each in stretch.split("\n\n") if each.strip()]
    return found


def _line(text: str) -> str:
    """Return a paragraph as one line."""
    return " ".join(text.split())
