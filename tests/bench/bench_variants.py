"""Whether long campaigns find anything in the correct libraries: each call that is rejected is a false alarm.

    python tests/bench/bench_variants.py [VARIANT …] [--seeds N] [--calls N] [--table FILE]

Checks every variant of the C library (tests/targets/kmem_faults.h), and the library as it is, with
seeds 1 to N: by default ten, and 500,000 calls for each. Exits with 1 after a false alarm.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tests.targets import build  # noqa: E402  # it is found by the line above

SECONDS: Final = 600  # more than the calls take
AS_IT_IS: Final = "correct"
LEAST: Final = 0.99  # of the calls asked for: a campaign ends with a whole phase


@dataclass(frozen=True)
class Row:
    """What check said of one variant, all seeds together; `found` has what seeds found."""

    variant: str
    calls: int
    seconds: float
    found: tuple[str, ...]

    def line(self) -> str:
        """Return the row of a table."""
        return (
            f"| {self.variant} | {self.calls:,} | {self.seconds:.0f} | {'; '.join(self.found) or 'nothing'} |"
        )


def run(variant: str, seeds: int, calls: int, directory: Path) -> Row:
    """Check one variant as a user does, once for each seed."""
    library = build.library(variant="" if variant == AS_IT_IS else variant, directory=directory)
    total, seconds, found = 0, 0.0, []
    for seed in range(1, seeds + 1):
        report = directory / "report.json"
        report.unlink(missing_ok=True)
        command = [sys.executable, "-m", "kmem_oracle.cli", "check", str(library), "--json", str(report)]
        command += ["--seed", str(seed), "--calls", str(calls), "--time", str(SECONDS)]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=2 * SECONDS)
        if not report.exists():
            raise SystemExit(
                f"{variant}, seed {seed}: check gave {done.returncode}\n{done.stdout}{done.stderr}"
            )
        result = json.loads(report.read_text(encoding="utf-8"))
        total += int(result["calls"])
        seconds += float(result["seconds"])
        if result["verdict"] != "pass":
            found.append(f"seed {seed}: {result['verdict']} {(result['violation'] or {}).get('clause', '')}")
            print(done.stdout, done.stderr, flush=True)
        elif int(result["calls"]) < LEAST * calls:
            found.append(f"seed {seed}: {result['calls']:,} calls only")
    return Row(variant, total, seconds, tuple(found))


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("variants", nargs="*", help=f"names of variants, {AS_IT_IS} for none; all by default")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--calls", type=int, default=500_000, help="judged for each seed")
    parser.add_argument("--table", type=Path, help="a file for the results as a table")
    options = parser.parse_args()
    known = [AS_IT_IS, *build.variants()]
    wrong = [name for name in options.variants if name not in known]
    if wrong:
        parser.error(f"no variant {wrong[0]}: there are {', '.join(known)}")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for variant in options.variants or known:
            rows.append(run(variant, options.seeds, options.calls, Path(folder)))
            print(rows[-1].line(), flush=True)
    alarms = [row for row in rows if row.found]
    summary = f"{len(rows)} libraries, {sum(row.calls for row in rows):,} calls: {len(alarms)} with a finding"
    print(summary)
    if options.table:
        heads = ["| variant | calls judged | seconds | found |", "|---|---|---|---|"]
        table = "\n".join([*heads, *(row.line() for row in rows), "", summary, ""])
        options.table.write_text(table, encoding="utf-8")
    sys.exit(bool(alarms))


if __name__ == "__main__":
    main()
