"""How many times faster `kmem-oracle check` judges calls than a Hypothesis machine does.

    python tests/bench/bench_check.py [LIB] [--calls N] [--rounds N]

Both run on the same library in turns, so that the ratio means something on a machine that others use too.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from kmem_oracle.campaign.course import CALLS

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tests.targets import build  # noqa: E402  # it is found by the line above

MACHINE = Path(__file__).with_name("hypothesis_machine.py")


def machine_rate(library: Path, examples: int) -> float:
    """Return the steps per second of the Hypothesis machine, in a process of its own."""
    command = [sys.executable, str(MACHINE), str(library), "--examples", str(examples), "--json"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    result = json.loads(done.stdout)
    return float(result["steps"]) / float(result["seconds"])


def check_rate(library: Path, calls: int, seed: int) -> float:
    """Return the calls per second of `kmem-oracle check`, as it reports them."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [sys.executable, "-m", "kmem_oracle.cli", "check", str(library)]
        command += ["--calls", str(calls), "--time", "600", "--seed", str(seed), "--json", str(report)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"check gave {done.returncode}\n{done.stdout}{done.stderr}")
        result = json.loads(report.read_text(encoding="utf-8"))
    return float(result["calls"]) / float(result["seconds"])


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("library", nargs="?", type=Path, help="a shared library; the correct one is built")
    parser.add_argument(
        "--calls", type=int, default=CALLS, help="of check, in a round (default that of check)"
    )
    parser.add_argument("--examples", type=int, default=60, help="of the machine, in a round")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    library = options.library or build.library(directory=ROOT / ".pytest_cache" / "targets")
    ratios = []
    for seed in range(options.rounds):
        machine = machine_rate(library.resolve(), options.examples)
        check = check_rate(library.resolve(), options.calls, seed)
        ratios.append(check / machine)
        print(f"check {check:>10,.0f} calls/s   machine {machine:>8,.0f} steps/s   ratio {ratios[-1]:.1f}")
    print(f"median ratio {statistics.median(ratios):.1f}   worst {min(ratios):.1f}")


if __name__ == "__main__":
    main()
