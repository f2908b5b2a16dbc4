"""Verdicts that were found before, in the user's cache directory: what is proved stays so while nothing that
it depends on changes. What is not proved is always tried again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from kmem_proofs.runner import Asked
from kmem_proofs.sources import fingerprint
from kmem_proofs.verdict import Result, Second, Verdict


def folder() -> Path | None:
    """Return where verdicts are kept, None where the user has no directory."""
    given = os.environ.get("XDG_CACHE_HOME", "")
    try:
        return (Path(given) if given else Path.home() / ".cache") / "kmem-oracle" / "verify"
    except RuntimeError:
        return None


@dataclass(frozen=True, slots=True)
class Store:
    """Verdicts by the obligation's name; one that was found of other code, or by other solvers, is not used.

    `homes` says in which module an obligation is declared: one that is in none is not kept.
    """

    folder: Path | None
    homes: Mapping[str, str]
    asked: Asked
    versions: Mapping[str, str]

    def get(self, name: str) -> Result | None:
        """Return what is known, None if nothing is."""
        kept = self._kept(name)
        if kept is None or kept.get("key") != self._key(name):
            return None
        try:
            row = dict(kept["result"])
            row["verdict"] = Verdict(row["verdict"])
            row["second"] = None if row["second"] is None else Second(**row["second"])
            row["survivors"], row["report"] = tuple(row["survivors"]), tuple(row["report"])
            return Result(**{**row, "cached": True})
        except (KeyError, TypeError, ValueError):
            return None  # what cannot be read is found again

    def put(self, result: Result) -> None:
        """Keep what is proved."""
        path = self._path(result.name)
        if path is None or not result.green:
            return
        row = {**asdict(result), "verdict": result.verdict.value}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_suffix(f".{os.getpid()}")
            part.write_text(json.dumps({"key": self._key(result.name), "result": row}), "utf-8")
            part.replace(path)
        except OSError:
            return  # it will be found again

    def seconds(self, name: str) -> float | None:
        """Return how long it took the last time, of whatever code that was."""
        try:
            return float((self._kept(name) or {})["result"]["seconds"])
        except (KeyError, TypeError, ValueError):
            return None

    def _path(self, name: str) -> Path | None:
        if self.folder is None or name not in self.homes:
            return None
        return self.folder / f"{sha256(f'{name} {self.asked}'.encode()).hexdigest()}.json"

    def _kept(self, name: str) -> dict[str, Any] | None:  # Any: whatever the file says
        path = self._path(name)
        try:
            kept = json.loads(path.read_text("utf-8")) if path is not None else None
        except (OSError, ValueError):
            return None
        return kept if isinstance(kept, dict) else None

    def _key(self, name: str) -> str:
        return f"{name} {self.asked} {dict(self.versions)} {fingerprint(self.homes[name])}"
