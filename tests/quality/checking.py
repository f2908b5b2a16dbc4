"""Run `kmem-oracle check` as a user does, and read what it reports."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

CALLS: Final = 200_000  # the default of check: leaks show after about 100,000
REDUCE: Final = 12  # seconds: tests share their machine
SECONDS: Final = 60


@dataclass(frozen=True)
class Checked:
    """What one run of check gave."""

    status: int
    verdict: str
    clause: str
    script: tuple[str, ...]
    output: str


def check(library: Path, folder: Path, *options: str) -> Checked:
    """Run check on a library in a process of its own; its JSON report goes to `folder`."""
    report = folder / "report.json"
    command = [sys.executable, "-m", "kmem_oracle.cli", "check", str(library), "--json", str(report)]
    command += ["--calls", str(CALLS), "--time", str(SECONDS), "--reduce", str(REDUCE), *options]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=4 * SECONDS)
    output = done.stdout + done.stderr
    if not report.exists():
        return Checked(done.returncode, "no report", "", (), output)
    content = json.loads(report.read_text(encoding="utf-8"))
    found = content["violation"] or {"clause": "", "script": []}
    return Checked(done.returncode, content["verdict"], found["clause"], tuple(found["script"]), output)
