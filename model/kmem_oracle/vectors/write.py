"""Write the set of vectors: a folder for each preset, every line a flat JSON object (spec/vectors.md)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Final

from kmem_oracle.vectors.histories import AT_END, History, Maker
from kmem_oracle.vectors.lines import Line
from kmem_oracle.vectors.presets import preset_line, presets
from kmem_oracle.vectors.programs import program
from kmem_oracle.vectors.scripts import scripts
from kmem_oracle.vectors.states import states
from kmem_spec.calls import CONSTRUCTED, Answer, Event, Lost
from kmem_spec.clauses import Clause
from kmem_spec.profile import Profile

FORMAT: Final = 1
HEADS: Final = ("program", "history", "state")
Files = dict[str, list[Line]]


def vectors(clauses: Iterable[Clause], profile: Profile) -> Files:
    """Return the lines of the files of one preset, by name; a file that would be empty is left out."""
    maker = Maker(profile)
    files: Files = {"programs": [], "histories": []}
    for clause in clauses:
        for script in scripts(clause, profile):
            files["programs"] += program(script, clause, profile)
        for history in maker.histories(clause):
            files["histories"] += lines_of(history)
    return {name: lines for name, lines in files.items() if lines}


def lines_of(history: History) -> Iterator[Line]:
    """Yield the lines of a history."""
    head: Line = {"history": history.name, "clause": history.clause, "says": history.says}
    verdict = "admitted" if history.admitted else "broken"
    at: Line = {} if history.admitted else {"at": "end" if history.at == AT_END else history.at}
    yield head | {"verdict": verdict} | at
    for event in history.events:
        call = event.call
        line: Line = {"call": call.api, "args": " ".join(_number(each) for each in call.args)}
        yield line | ({"lost": 1} if isinstance(event, Lost) else _answered(event))


def _answered(event: Event) -> Line:
    """Return what came of a call; what nobody saw is left out."""
    answer = event.answer
    line: Line = {"gives": _number(answer.result)}
    seen = zip(Answer._fields[1:5], answer[1:5], strict=True)
    line |= {name: value for name, value in seen if value >= 0}
    if answer.notes:
        line["notes"] = " ".join(
            f"{'constructed' if note.kind == CONSTRUCTED else 'destructed'}:{note.cache:#x}:{note.address:#x}"
            for note in answer.notes
        )
    return line


def _number(value: int) -> str:
    """Return a number as text, since JSON's are not safe from 2^53 on."""
    return hex(value) if value >= 1 << 16 else str(value)


def write(folder: Path, clauses: list[Clause]) -> dict[str, dict[str, int]]:
    """Write everything below `folder`; return how many vectors each file has, by preset and name.

    Errors   OSError
    """
    counts: dict[str, dict[str, int]] = {}
    for name, profile in presets().items():
        files = vectors(clauses, profile)
        counts[name] = {kind: count(lines) for kind, lines in files.items()}
        for kind, lines in files.items():
            _write(folder / name / f"{kind}.jsonl", [preset_line(profile), *lines])
    inside = [line for clause in clauses for line in states(clause)]
    counts["any"] = {"states": count(inside)}
    _write(folder / "states.jsonl", inside)
    return counts


def count(lines: Iterable[Line]) -> int:
    """Return how many vectors some lines are."""
    return sum(any(head in line for head in HEADS) for line in lines)


def _write(path: Path, lines: Iterable[Line]) -> None:
    """Write a file, the version of its format first."""
    first: Line = {"format": FORMAT, "kmem-oracle": version("kmem-oracle"), "kind": path.stem}
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(
        json.dumps(line, separators=(",", ":"), ensure_ascii=True) + "\n" for line in [first, *lines]
    )
    path.write_text(text, encoding="ascii")
