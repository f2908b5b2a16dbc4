"""How often each clause was judged on which kernels, and how fast: by hand, on kernels built before.

    python tests/bench/bench_kernels.py CALLS NAME [NAME …]

A NAME is what follows `linux:`, with clauses to waive after a slash: 6.1-slob/CACHE-CTOR-ONCE,CACHE-MAX.
Prints the table of spec/kernels.md.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path


def judged(name: str, waived: str, calls: int, folder: Path) -> dict[str, object]:
    """Return the report of a campaign on a kernel."""
    report = folder / "report.json"
    command = [sys.executable, "-m", "kmem_oracle.cli", "check", f"linux:{name}", "--calls", str(calls)]
    command += ["--time", "900", "--waive", waived, "--json", str(report)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    print(f"{name}: exit {done.returncode}: {done.stdout.splitlines()[0] if done.stdout else done.stderr}")
    told: dict[str, object] = json.loads(report.read_text(encoding="utf-8"))
    return told


def main(calls: int, names: list[str]) -> None:
    """Judge kernels and print the table."""
    counts: dict[str, dict[str, int]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for each in names:
            name, _, waived = each.partition("/")
            told = judged(name, waived, calls, Path(folder))
            clauses = told.get("clauses")
            assert isinstance(clauses, dict), told
            assert told["verdict"] == "pass", told
            counts[name] = clauses
    print("\n| clause |", " | ".join(counts), "|")
    print("|---" * (len(counts) + 1) + "|")
    for clause in sorted({clause for clauses in counts.values() for clause in clauses}):
        cells = [f"{counts[name].get(clause, 0):,}" if clause in counts[name] else "" for name in counts]
        if any(cell not in ("", "0") for cell in cells):
            print(f"| {clause} |", " | ".join(cells), "|")


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
