"""How many faults of a list `kmem-oracle check` finds, how fast, and whether its scripts show them again.

    python tests/bench/bench_faults.py LIST [--seed N] [--time SECONDS] [--table FILE]

LIST is `aside` (faults after the kernel's own, tests/targets/kmem_history.h), `known` (kmem_faults.h), or
names of faults of either, with commas between. Each is checked on one core, where taskset can see to that.
Faults that show between threads alone are not run: they are listed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tests.targets import build  # noqa: E402  # it is found by the line above

CALLS: Final = 100_000_000  # more than the time lets through
HEADS: Final = ("fault", "found by", "seconds", "to reduce", "calls judged", "lines", "replayed")
AGAIN: Final = 3  # times that each script is replayed


@dataclass(frozen=True)
class Row:
    """What check found of one fault; `clause` is empty where it found nothing.

    seconds    from the first call to the violation
    reducing   seconds of the rest: the interpreter's start, the reduction, the report
    calls      judged
    length     lines of the reproducer
    replayed   how often that broke the same clause again, of AGAIN times
    """

    fault: str
    clause: str
    seconds: float
    reducing: float
    calls: int
    length: int
    replayed: int

    def cells(self) -> tuple[str, ...]:
        """Return the row as text."""
        cells = (self.fault, self.clause or "-", f"{self.seconds:.1f}", f"{self.reducing:.1f}")
        script = (str(self.length), f"{self.replayed} of {AGAIN}") if self.length else ("", "")
        return *cells, f"{self.calls:,}", *script


def run(fault: str, seed: int, seconds: int, directory: Path) -> Row:
    """Check one library as a user does."""
    library = build.library(fault, directory=directory)
    core = ["taskset", "-c", "0"] if shutil.which("taskset") and 0 in os.sched_getaffinity(0) else []
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [*core, sys.executable, "-m", "kmem_oracle.cli", "check", str(library)]
        command += ["--seed", str(seed), "--time", str(seconds), "--calls", str(CALLS), "--json", str(report)]
        begin = time.monotonic()
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=6 * seconds)
        took = time.monotonic() - begin
        if not report.exists():
            raise SystemExit(f"{fault}: check gave {done.returncode}\n{done.stdout}{done.stderr}")
        result = json.loads(report.read_text(encoding="utf-8"))
        found = result["violation"] or {"clause": "", "script": []}
        clause = str(found["clause"]) or ("error" if result["verdict"] == "error" else "")
        script = Path(folder) / "found.kmem"
        script.write_text("\n".join(found["script"]) + "\n", encoding="utf-8")
        play = [*core, sys.executable, "-m", "kmem_oracle.cli", "run", str(script), "--on", str(library)]
        replayed = 0
        for _ in range(AGAIN if found["script"] else 0):
            again = subprocess.run(play, capture_output=True, text=True, errors="replace", check=False)
            replayed += again.returncode == 1 and f"VIOLATION of {clause} " in again.stdout
    length, to_find = len(found["script"]), float(result["seconds"])
    return Row(fault, clause, to_find, took - to_find, int(result["calls"]), length, replayed)


def summary(rows: list[Row]) -> str:
    """Return found of all, and the middle and the longest of what they took."""
    found = [row for row in rows if row.clause and row.clause != "error"]
    times = [row.seconds for row in found] or [0.0]
    lengths = [row.length for row in found] or [0]
    return (
        f"{len(found)} of {len(rows)} found; seconds: median {statistics.median(times):.1f}, "
        f"longest {max(times):.1f}; to reduce: longest {max(row.reducing for row in rows):.1f}; lines of the "
        f"script: median {statistics.median(lengths):g}, longest {max(lengths)}; replayed each time: "
        f"{sum(row.replayed == AGAIN for row in found)}"
    )


def table(rows: list[Row], title: str) -> str:
    """Return the rows as a table for a README."""
    lines = [title, "", "| " + " | ".join(HEADS) + " |", "|---|---|---|---|---|---|---|"]
    lines += ["| " + " | ".join(row.cells()) + " |" for row in rows]
    return "\n".join([*lines, "", summary(rows), ""])


def listed(name: str) -> list[str]:
    """Return the faults that a list holds."""
    if name == "aside":
        return list(build.aside())
    if name == "known":
        return list(build.faults())
    names = name.split(",")
    wrong = [fault for fault in names if fault not in {**build.aside(), **build.faults()}]
    if wrong:
        raise SystemExit(f"no fault {wrong[0]}: name faults of tests/targets, or the list aside or known")
    return names


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("list", help="aside, known, or names of faults with commas between")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--time", type=int, default=60, help="seconds for a fault")
    parser.add_argument("--table", type=Path, help="a file for the results as a table")
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for fault in listed(options.list):
            rows.append(run(fault, options.seed, options.time, Path(folder)))
            name, clause, seconds, reducing, calls, length, replayed = rows[-1].cells()
            times = f"{seconds:>5} s + {reducing:>5} s {calls:>12} calls"
            print(f"{name:<26} {clause:<20} {times} {length:>5} {replayed:>7}", flush=True)
    print(summary(rows))
    if options.table:
        title = f"`{options.list}`, seed {options.seed}, {options.time} s each"
        options.table.write_text(table(rows, title), encoding="utf-8")
    for fault, text in build.races().items() if options.list == "aside" else ():
        print(f"not run, between threads: {fault}: {text}")


if __name__ == "__main__":
    main()
