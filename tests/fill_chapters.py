"""Fill the chapters of the specification: `python -m tests.fill_chapters` from the top folder.

It writes each clause's sentence and its table of facts into spec/*.md from the registry, and the mutants of
all obligations into proofs/kmem_proofs/mutants.txt. Whatever else stands in the chapters it leaves alone.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from typing import Final

from tests.targets import build

import kmem_spec.area
import kmem_spec.cache
import kmem_spec.construct
import kmem_spec.judge
import kmem_spec.zone
from kmem_oracle.learn import chapters
from kmem_proofs import known
from kmem_spec.clauses import CLAUSES, CONTRACT, Clause
from kmem_spec.profile import load, shipped

REPOSITORY: Final = Path(__file__).parents[1]
MUTANTS: Final = REPOSITORY / "proofs" / "kmem_proofs" / "mutants.txt"
MODULES: Final = (kmem_spec.area, kmem_spec.cache, kmem_spec.construct, kmem_spec.judge, kmem_spec.zone)
KINDS: Final = {
    "exact": "arithmetic, for all inputs",
    "initial": "holds at the start",
    "preserved": "kept by",
    "refused": "refused, and nothing changes",
    "implies": "follows, or implies",
    "refines": "the step gives what the rule says",
    "enumerated": "every state of a small machine",
}
FEW: Final = 4  # names that are listed one by one


def facts(clause: Clause) -> dict[str, str]:
    """Return the table of a clause: what the registry, the manifest and the tests say of it."""
    table = {"source": source(clause), "in force": in_force(clause)}
    proved = known.of_clause(clause.id)
    if proved:
        table["proved"] = proofs(proved)
        table["mutants"] = f"{sum(len(each.mutants) for each in proved)} of the code under proof, all refuted"
    faults = [name for name, clauses in build.clauses().items() if clause.id in clauses]
    if faults:
        table["faults"] = names(faults) + " of the C library (tests/targets/kmem_faults.h)"
    table["tested"] = ", ".join(tests_of(clause.id))
    return table


def source(clause: Clause) -> str:
    """Return the source, names of files and functions as code."""
    return re.sub(r"((?:Documentation|mm|include|arch)/[\w./-]+)", r"`\1`", clause.source)


def in_force(clause: Clause) -> str:
    """Return under which profiles a clause is in force."""
    if clause.kind == "state" and not clause.promises:
        return "within the model; nobody is judged by it from outside"
    if CONTRACT in clause.promises:
        return "every profile"
    made = [name for name in shipped() if load(name).promises & clause.promises]
    return ", ".join(f"`{name}`" for name in made)


def proofs(proved: list[known.Known]) -> str:
    """Return the obligations, by kind."""

    def kind(each: known.Known) -> str:
        return each.name.rpartition("/")[2]

    texts = []
    ordered = sorted(proved, key=lambda each: list(KINDS).index(kind(each)))
    for word, group in groupby(ordered, kind):
        members = list(group)
        steps = " ".join(f"`{each.name.split('/')[1]}`" for each in members)
        levels = ", ".join(sorted({each.level for each in members}))
        texts.append(f"{word} ({levels}): {steps}")
    return "; ".join(texts)


def names(several: list[str]) -> str:
    """Return some names, few of them in full."""
    more = f" and {len(several) - FEW} more" if len(several) > FEW else ""
    return ", ".join(several[:FEW]) + more


def tests_of(clause: str) -> list[str]:
    """Return the modules of tests that show a clause best: the judge's rows, else others that name it."""
    quoted = re.compile(rf'["\']{clause}["\']')
    found = [
        path.relative_to(REPOSITORY).as_posix()
        for folder in ("cover", "machines", "reports", "quality")
        for path in sorted((REPOSITORY / "tests" / folder).rglob("*.py"))
        if path.name != "test_clauses.py" and quoted.search(path.read_text(encoding="utf-8"))
    ]
    judged = [path for path in found if "/test_judge" in path]
    return (judged or found)[:FEW]


def filled(text: str) -> str:
    """Return a chapter with the sentence and the table of each of its clauses as they should be."""
    heads = list(chapters.HEADING.finditer(text))
    ends = [head.start() for head in heads[1:]] + [len(text)]
    result = text[: heads[0].start()]
    for head, end in zip(heads, ends, strict=True):
        own, mark, group = text[head.end() : end].partition("\n## ")
        result += head[0] + _section(head[1], own) + (mark + group).lstrip("\n")
    return result


def _section(clause_id: str, body: str) -> str:
    """Return a section's body with its sentence and its table."""
    kept = [part for part in chapters.parts(body) if not part.startswith(("> ", "|"))]
    clause = CLAUSES[clause_id]
    rows = [f"| {name} | {value} |" for name, value in facts(clause).items()]
    table = "\n".join(["| | |", "|---|---|", *rows])
    return "\n\n" + "\n\n".join([f"> {clause.sentence}", *kept, table]) + "\n\n"


def paths() -> Iterable[Path]:
    """Return the files of the chapters."""
    return [REPOSITORY / "spec" / f"{name}.md" for name in chapters.NAMES]


def main() -> int:
    """Fill everything."""
    from kmem_proofs.catalogue import catalogue

    MUTANTS.write_text(known.write(catalogue().values()), encoding="utf-8")
    known.obligations.cache_clear()
    for path in paths():
        path.write_text(filled(path.read_text(encoding="utf-8")).rstrip() + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
