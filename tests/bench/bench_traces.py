"""Lines judged a second, beside `wc -l` on the same file in the same run.

Run by hand: python tests/bench/bench_traces.py [TRACE]; without a trace, on the piece that the tests carry.
Times are the processor's, the best of several runs: so a busy machine does not matter.
"""

from __future__ import annotations

import lzma
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from kmem_oracle.traces.reading import Options, judge_file
from kmem_oracle.traces.source import Source
from kmem_spec.profile import load

ROUNDS = 7
PIECE = Path(__file__).parents[1] / "traces" / "ftrace-6.1-head.txt.xz"
LEAST = 150_000  # lines a second that were asked for


def text_of(given: list[str], folder: Path) -> Path:
    """Return a file with the lines, unpacked."""
    file = folder / "trace.txt"
    if given:
        lines = [line for block in Source(given[0]).blocks() for line in block]
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return file
    with lzma.open(PIECE, "rb") as packed, file.open("wb") as plain:
        shutil.copyfileobj(packed, plain)
    return file


def best(run: Callable[[], object], clock: Callable[[], float]) -> float:
    """Return the least seconds that a run takes."""
    taken = []
    for _ in range(ROUNDS):
        began = clock()
        run()
        taken.append(clock() - began)
    return min(taken)


def children() -> float:
    """Return the processor's seconds that processes of ours took."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = text_of(sys.argv[1:], Path(folder))
        options = Options(load("contract"))
        summary = judge_file(str(file), options)
        judged = best(lambda: judge_file(str(file), options), time.process_time)
        counted = best(
            lambda: subprocess.run(["wc", "-l", str(file)], capture_output=True, check=True), children
        )
        size = file.stat().st_size
    rate = summary.lines / judged
    print(f"{summary.lines:,} lines, {size >> 20} MiB, {len(summary.findings):,} findings")
    print(f"judge    {judged:.3f} s   {rate:,.0f} lines/s   {size / judged / 1e6:.0f} MB/s")
    print(f"wc -l    {counted:.3f} s   ratio {judged / counted if counted else float('inf'):,.0f}")
    print(f"{'at least' if rate >= LEAST else 'LESS THAN'} {LEAST:,} lines/s")


if __name__ == "__main__":
    main()
