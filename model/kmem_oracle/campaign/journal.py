"""The state of a campaign in a folder: which phases are done, and the scripts of what was found.

Each line is written when it is true and read back whole or not at all, so that a campaign that was
interrupted, killed or lost with its machine goes on where it was. What was found stays, whatever the target:
it is played first next time.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from kmem_oracle.campaign.play import Play
from kmem_oracle.language.expression import ScriptError
from kmem_oracle.language.render import lines_of
from kmem_oracle.language.script import Op, parse
from kmem_oracle.targets.target import Target

PROGRESS: Final = "progress.jsonl"
CORPUS: Final = "corpus"


class Journal:
    """The state of one campaign: of one target as it is now, one profile and one seed.

    done     the phases that are done, by index
    calls    judged calls in these
    counts   how often each clause was judged in these
    """

    def __init__(self, folder: Path, target: Target, profile: str, seed: int) -> None:
        """Read what there is.

        Errors   OSError
        """
        self._folder = folder
        (folder / CORPUS).mkdir(parents=True, exist_ok=True)
        self._key = hashlib.sha256(repr((_identity(target), profile, seed)).encode()).hexdigest()[:16]
        self.done: set[int] = set()
        self.calls = 0
        self.counts: Counter[str] = Counter()
        for line in self._lines():
            if line.get("campaign") == self._key:
                self._add(line)
        self._file = (folder / PROGRESS).open("ab", buffering=0)

    def close(self) -> None:
        """Write no more."""
        self._file.close()

    def phase(self, index: int, name: str, calls: int, counts: Mapping[str, int]) -> None:
        """Write down that a phase is done."""
        line = {
            "campaign": self._key,
            "phase": index,
            "name": name,
            "calls": calls,
            "counts": {clause: count for clause, count in counts.items() if count},
        }
        # A line begins with its own end of line, lest it join one that was cut off.
        self._file.write(b"\n" + json.dumps(line).encode() + b"\n")

    def found(self, play: Play, names: Mapping[str, int], before: Path | None = None) -> Path:
        """Keep the script of a violation, in place of the file kept `before`; return where it is."""
        assert play.finding is not None
        script = "\n".join(lines_of(play.told, names)) + "\n"
        mark = hashlib.sha256(script.encode()).hexdigest()[:8]
        path = self._folder / CORPUS / f"{play.finding.clause.lower()}-{mark}.kmem"
        scratch = path.with_suffix(".new")
        scratch.write_text(script, encoding="utf-8")
        with scratch.open("rb") as written:
            os.fsync(written.fileno())
        scratch.replace(path)
        if before is not None and before != path:
            before.unlink(missing_ok=True)
        return path

    def corpus(self) -> Iterator[tuple[Path, Sequence[Op]]]:
        """Yield the scripts found before, those that can be read."""
        for path in sorted((self._folder / CORPUS).glob("*.kmem")):
            try:
                yield path, parse(path.read_text(encoding="utf-8"))
            except (ScriptError, UnicodeDecodeError, OSError):
                continue

    def _lines(self) -> Iterator[dict[str, object]]:
        """Yield the lines that are whole."""
        path = self._folder / PROGRESS
        if not path.exists():
            return
        with path.open(encoding="utf-8", errors="replace") as file:
            for text in file:
                try:
                    line = json.loads(text)
                except ValueError:
                    continue
                if isinstance(line, dict):
                    yield line

    def _add(self, line: dict[str, object]) -> None:
        """Take a line of this campaign."""
        index, calls, counts = line.get("phase"), line.get("calls"), line.get("counts")
        if isinstance(index, int) and isinstance(calls, int) and isinstance(counts, dict):
            if index not in self.done:
                self.calls += calls
                self.counts.update({str(clause): int(count) for clause, count in counts.items()})
            self.done.add(index)


def _identity(target: Target) -> tuple[str, str, str]:
    """Return what tells a target from others, and a file from what it was before."""
    path = Path(target.name)
    content = ""
    if target.kind in ("library", "malloc") and target.name and path.is_file():
        content = hashlib.sha256(path.read_bytes()).hexdigest()
    return target.kind, target.name, content
