"""All that is known of a clause, as text and as JSON: from the registry, the chapters and the lists of proofs."""

from __future__ import annotations

import importlib
import textwrap
from collections.abc import Iterator
from typing import Final

from kmem_oracle.chapters import Section, sections
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
    yield row("in force", ", ".join(profiles(clause)) or "within the model; nobody is judged by it from outside")
    yield row("chapter", f"spec/{section.chapter}.md")
    yield row("example", "legal")
    yield from (f"    {line}" for line in section.example.splitlines())
    for broken in section.broken:
        under = f" (under {broken.profile})" if broken.profile else ""
        yield from wrapped(f"broken    {broken.says}{under}", "  ")
        yield from (f"    {line}" for line in broken.history.splitlines())
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
        yield row("" if at else "proved", f"{each.name} (level {each.level}, {len(each.mutants)} mutants)")
    mutants = [f"{each.name.split('/')[1]}: {says}" for each in proved for says in each.mutants]
    for at, text in enumerate(mutants[:SHOWN]):
        yield row("" if at else "mutants", text)
    if len(mutants) > SHOWN:
        yield row("", f"and {len(mutants) - SHOWN} more (proofs/kmem_proofs/mutants.txt)")


def row(name: str, text: str) -> str:
    """Return one line with its name."""
    return f"  {name:8}  {text}"


def wrapped(text: str, indent: str) -> list[str]:
    """Return text broken into lines."""
    more = indent + (" " * 10 if indent and "    " in text[:12] else "")
    return textwrap.wrap(
        text, WIDTH, initial_indent=indent, subsequent_indent=more, break_long_words=False
    ) or [""]


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
        "broken": [
            {"says": each.says, "history": each.history, "profile": each.profile or None}
            for each in section.broken
        ],
        "obligations": [
            {"name": each.name, "level": each.level, "mutants": list(each.mutants)}
            for each in known.of_clause(clause.id)
        ],
        "not_proved": section.unproved or None,
        "vectors": {"positive": positive, "negative": negative},
        "faults": section.facts.get("faults"),
        "tests": section.facts["tested"].split(", "),
    }
