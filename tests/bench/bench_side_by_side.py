"""Side by side on the same faults: a uniform soak in C, a Hypothesis machine, and `kmem-oracle check`.

    python tests/bench/bench_side_by_side.py [--seconds N] [--faults N] [--results FILE] [--table FILE]

Each of them gets every fault of the C library that one thread can see, and every correct variant, for at most
20 seconds, one after the other, each in a process of its own. A crash or a hang counts as found. The order is
drawn from a seed, so that the first N faults are a sample; `--results` keeps what is done, and a later run
goes on from there. Seconds are those until the first failure, for check and the machine without the
reduction. Length is that of the reproducer: calls up to the failure for the soak, which reduces nothing,
steps of the shortest failing example for the machine, lines of the script for check.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tests.bench.whole_library import NOTES  # noqa: E402  # it is found by the line above
from tests.targets import build  # noqa: E402

HERE: Final = Path(__file__).parent
SEED: Final = 1
MEMORY: Final = 8 << 30  # bytes of address space for a contender
STARTING: Final = 3  # seconds that an interpreter may take to begin
CALLS: Final = 100_000_000  # more than the time lets through
SMALL: Final = 4  # MiB that the variant SMALL_ARENA has
ALARM: Final = -14  # how a process ends whose call has hung


@dataclass(frozen=True)
class Result:
    """What one contender made of one library: seconds and length are 0 where there are none."""

    library: str
    contender: str
    found: str
    seconds: float = 0.0
    length: int = 0


def limits() -> None:
    """Limit the memory of a contender, and its cores."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def ended(code: int) -> str:
    """Return how a signal ended a contender, "" if none did."""
    return "hang" if code == ALARM else "crash" if code < 0 else ""


def run(command: list[str], seconds: float) -> tuple[int | None, str, float]:
    """Return the exit status, None where it was stopped, the output, and the seconds that it took."""
    began = time.monotonic()
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=seconds, preexec_fn=limits
        )
    except subprocess.TimeoutExpired:
        return None, "", seconds
    return done.returncode, done.stdout + done.stderr, time.monotonic() - began


def soak(library: Path, variant: str, seconds: int, folder: Path) -> tuple[str, float, int]:
    """Run the soak, compiled once."""
    program = folder / "soak"
    if not program.exists():
        command = [*build.compiler(), "-O2", "-std=gnu11", "-o", str(program), str(HERE / "soak.c"), "-ldl"]
        subprocess.run(command, check=True)
    code, output, took = run([str(program), str(library), str(SEED), str(seconds)], seconds + STARTING)
    if code == 0:
        return "", 0.0, 0
    if code != 1:
        return ("hang" if code is None else ended(code) or f"error {output}"), took, 0
    calls, _, what = output.strip().partition(" ")
    return what.partition(":")[0], took, int(calls)


def machine(library: Path, variant: str, seconds: int, folder: Path) -> tuple[str, float, int]:
    """Run the Hypothesis machine until it fails, or the time is up."""
    notes = folder / "notes"
    notes.write_bytes(bytes(NOTES.size))
    command = [sys.executable, str(HERE / "whole_machine.py"), str(library), str(notes)]
    command += ["--arena", str(SMALL)] if variant == "SMALL_ARENA" else []
    code, output, took = run(command, seconds + STARTING)
    _, shortest, first, what = NOTES.unpack_from(notes.read_bytes())
    if first:
        return what.rstrip(b"\0").decode("ascii", "replace"), first, shortest
    if code is None:
        return "", 0.0, 0
    return ended(code) or f"error {output[-300:]}", took, 0


def check(library: Path, variant: str, seconds: int, folder: Path) -> tuple[str, float, int]:
    """Run `kmem-oracle check`."""
    report = folder / "report.json"
    report.unlink(missing_ok=True)
    command = [sys.executable, "-m", "kmem_oracle.cli", "check", str(library), "--json", str(report)]
    command += ["--seed", str(SEED), "--time", str(seconds), "--calls", str(CALLS)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=10 * seconds)
    if not report.exists():
        return f"error {done.stdout}{done.stderr}", 0.0, 0
    result = json.loads(report.read_text(encoding="utf-8"))
    if result["violation"] is None:
        return "" if result["verdict"] == "pass" else "error", 0.0, 0
    return result["violation"]["clause"], float(result["seconds"]), len(result["violation"]["script"])


CONTENDERS: Final[dict[str, Callable[[Path, str, int, Path], tuple[str, float, int]]]] = {
    "soak": soak,
    "machine": machine,
    "check": check,
}


def libraries(faults: int) -> list[tuple[str, str]]:
    """Return what is judged, each as variant and fault: faults in a drawn order, then what is correct."""
    drawn = sorted([*build.faults(), *build.aside()])
    random.Random(SEED).shuffle(drawn)
    return [*(("", name) for name in drawn[:faults]), *((name, "") for name in ("", *build.variants()))]


def cell(result: Result | None) -> str:
    """Return one contender's part of a row."""
    if result is None:
        return "not run"
    if not result.found:
        return "-"
    return f"{result.found}, {result.seconds:.1f} s" + (f", {result.length}" if result.length else "")


def summary(rows: dict[str, dict[str, Result]], alarms: dict[str, dict[str, Result]], name: str) -> str:
    """Return a contender's row of the summary."""
    mine = [row[name] for row in rows.values() if name in row]
    found = [result for result in mine if result.found]
    lengths = [result.length for result in found if result.length] or [0]
    times = [result.seconds for result in found] or [0.0]
    false = [variant for variant, row in alarms.items() if name in row and row[name].found]
    return (
        f"| {name} | {len(found)} of {len(mine)} | {statistics.median(times):.1f} s | {max(times):.1f} s "
        f"| {statistics.median(lengths):g} | {max(lengths)} | {sum(not each.length for each in found)} "
        f"| {len(false)} of {len([row for row in alarms.values() if name in row])} |"
    )


def table(results: list[Result], seconds: int) -> str:
    """Return all results as a page."""
    by: dict[str, dict[str, Result]] = {}
    for result in results:
        by.setdefault(result.library, {})[result.contender] = result
    correct = {"correct", *build.variants()}
    alarms = {name: row for name, row in by.items() if name in correct}
    rows = {name: row for name, row in by.items() if name not in correct}
    lines = [
        "# Side by side",
        "",
        "A uniform soak in C (tests/bench/soak.c), a Hypothesis machine (tests/bench/whole_machine.py) and",
        f"`check`, in one run of tests/bench/bench_side_by_side.py: {seconds} s for each of them and each",
        f"library, seed {SEED}. A crash or a hang counts as found. Length: calls up to the failure for the",
        "soak, steps of the shortest failing example for the machine, lines of the script for check.",
        "",
        "| contender | found | time: median | longest | length: median | longest | crashed or hung: no "
        "length | false alarms |",
        "|---|---|---|---|---|---|---|---|",
        *(summary(rows, alarms, name) for name in CONTENDERS),
        "",
    ]
    for heading, part in (("fault", rows), ("correct library", alarms)):
        lines += [f"| {heading} | " + " | ".join(CONTENDERS) + " |", "|---|---|---|---|"]
        lines += [
            f"| {name} | " + " | ".join(cell(row.get(each)) for each in CONTENDERS) + " |"
            for name, row in sorted(part.items())
        ]
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=int, default=20, help="for each contender and library")
    parser.add_argument("--faults", type=int, default=1000, help="how many, in the order drawn")
    parser.add_argument("--contender", choices=CONTENDERS, action="append", help="only this one")
    parser.add_argument("--results", type=Path, help="a file that keeps the results, one JSON object a line")
    parser.add_argument("--table", type=Path, help="a file for the results as a page")
    options = parser.parse_args()
    results: list[Result] = []
    if options.results and options.results.exists():
        lines = options.results.read_text(encoding="utf-8").splitlines()
        results = [Result(**json.loads(line)) for line in lines]
    done = {(result.library, result.contender) for result in results}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for variant, fault in libraries(options.faults):
            label = fault or variant or "correct"
            for contender in options.contender or CONTENDERS:
                if (label, contender) in done:
                    continue
                library = build.library(fault, variant, directory=folder)
                found, seconds, length = CONTENDERS[contender](library, variant, options.seconds, folder)
                results.append(Result(label, contender, found, round(seconds, 1), length))
                print(f"{label:<28} {contender:<8} {cell(results[-1])}", flush=True)
                if options.results:
                    with options.results.open("a", encoding="utf-8") as file:
                        file.write(json.dumps(asdict(results[-1])) + "\n")
    page = table(results, options.seconds)
    if options.table:
        options.table.write_text(page, encoding="utf-8")
    print(
        "\n".join(
            line
            for line in page.splitlines()
            if line.startswith(("| contender", *(f"| {c} |" for c in CONTENDERS)))
        )
    )


if __name__ == "__main__":
    main()
