"""All that is known of a clause, as text and as JSON: from registry, chapters and the lists of proofs."""

from __future__ import annotations

import importlib
import textwrap
from collections.abc import Iterator
from typing import Final

from kmem_oracle.learn.chapters import Section, Told, sections
from kmem_oracle.vectors.index import vectors_of
from kmem_proofs import known
from kmem_spec.clauses import CLAUSES, Clause
from kmem_spec.profile import load, shipped

# importing these registers the clauses: those of outcomes, then those of the state within
MODULES: Final = ("judge", "zone", "cache", "construct", "area")
WIDTH: Final = 118
SHOWN: Final = 12  # mutants that are listed one by one


def registry() -> dict[str, Clause]:
    """Return every clause."""
    for name in MODULES:
        importlib.import_module(f"kmem_spec.{name}")
    return CLAUSES


def who(clause: Clause) -> str:
    """Return whom a clause binds: the allocator, the caller, or only the tables within the model."""
    return "within" if clause.kind == "state" and not clause.promises else clause.who


def profiles(clause: Clause) -> list[str]:
    """Return the profiles under which a clause is in force."""
    return [name for name in shipped() if load(name).promises & clause.promises]


def lines(clause: Clause) -> Iterator[str]:
    """Yield all about a clause, as text."""
    section = sections()[clause.id]
    yield from wrapped(f"{clause.id}: {clause.sentence}", "")
    yield ""
    for paragraph in section.prose:
        yield from wrapped(paragraph, "  ")
    yield ""
    yield row("binds", who(clause))
    yield row("source", clause.source)
    yield row(
        "in force", ", ".join(profiles(clause)) or "within the model; nobody is judged by it from outside"
    )
    yield row("chapter", f"spec/{section.chapter}.md")
    yield row("example", "legal, on the model as on any other")
    yield from (f"    {line}" for line in section.example.splitlines())
    for word, several in (("broken", section.broken), ("legal", section.legal)):
        for each in several:
            under = f" (under {each.profile})" if each.profile else ""
            yield from wrapped(f"{word:9} {each.says}{under}", "  ")
            yield from (f"    {line}" for line in each.history.splitlines())
    yield from _proofs(clause, section)
    positive, negative = vectors_of(clause)
    yield row("vectors", f"{positive} positive, {negative} negative (`kmem-oracle vectors DIR`)")
    if "faults" in section.facts:
        yield row("faults", section.facts["faults"])
    yield from wrapped(f"tested    {section.facts['tested']}", "  ")


def _proofs(clause: Clause, section: Section) -> Iterator[str]:
    """Yield the obligations and their mutants."""
    proved = known.of_clause(clause.id)
    if not proved:
        yield from wrapped(f"proved    no: {section.unproved}", "  ")
        return
    for at, each in enumerate(proved):
        number = len(each.mutants)
        mutants = f"{number} mutant{'s' if number > 1 else ''}"
        yield row("" if at else "proved", f"{each.name} (level {each.level}, {mutants})")
    every = [f"{each.name.split('/')[1]}: {says}" for each in proved for says in each.mutants]
    for at, text in enumerate(every[:SHOWN]):
        yield row("" if at else "mutants", text)
    if len(every) > SHOWN:
        yield row("", f"and {len(every) - SHOWN} more (proofs/kmem_proofs/mutants.txt)")


def row(name: str, text: str) -> str:
    """Return one line with its name."""
    return f"  {name:8}  {text}"


def wrapped(text: str, indent: str) -> list[str]:
    """Return text broken into lines."""
    more = indent + (" " * 10 if indent and "    " in text[:12] else "")
    return textwrap.wrap(
        text, WIDTH, initial_indent=indent, subsequent_indent=more, break_long_words=False
    ) or [""]


def _told(told: Told) -> dict[str, object]:
    """Return what a chapter tells."""
    return {"says": told.says, "history": told.history, "profile": told.profile or None}


def as_json(clause: Clause) -> dict[str, object]:
    """Return all about a clause, for other programs."""
    section = sections()[clause.id]
    positive, negative = vectors_of(clause)
    return {
        "id": clause.id,
        "sentence": clause.sentence,
        "binds": who(clause),
        "kind": clause.kind,
        "source": clause.source,
        "profiles": profiles(clause),
        "chapter": f"spec/{section.chapter}.md",
        "prose": list(section.prose),
        "example": section.example,
        "broken": [_told(each) for each in section.broken],
        "legal": [_told(each) for each in section.legal],
        "obligations": [
            {"name": each.name, "level": each.level, "mutants": list(each.mutants)}
            for each in known.of_clause(clause.id)
        ],
        "not_proved": section.unproved or None,
        "vectors": {"positive": positive, "negative": negative},
        "faults": section.facts.get("faults"),
        "tests": section.facts["tested"].split(", "),
    }
