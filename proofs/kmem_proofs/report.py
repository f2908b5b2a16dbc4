"""The words of a run: a line for each obligation, tables at the end, and the same as JSON."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from kmem_proofs.verdict import Result, Verdict

LEVELS: Final = {
    "A": "the code itself, unbounded state, all inputs",
    "B": "a formula beside the code",
    "C": "bounded or sampled: every state of a small machine",
}
ARGUED: Final = (
    (
        "induction over steps",
        "initial and preserved are proved; that so it always holds is argued; machines run it",
    ),
    ("the loop of settle", "what holds before, in and after a round is proved; that they chain is argued"),
    (
        "composition",
        "slab and vmalloc draw on pages through steps alone; covered by machines over the kernel",
    ),
    ("progress", "that a policy finds what there is; level C, in every state of small machines"),
)


def lines(result: Result, width: int, mutants: bool) -> list[str]:
    """Return a result as text."""
    word = result.verdict.value if result.green else result.verdict.value.upper()
    parts = [f"{result.name:{width}}  {word:8}  {result.level}"]
    if result.verdict is not Verdict.MISSING:
        what = "states" if result.level == "C" else "paths "
        parts.append(f"{result.paths:5} {what}  rlimit {result.rlimit:>11,}  {result.seconds:5.1f} s")
        if mutants:
            parts.append(f"mutants {result.killed}/{result.mutants}")
        if result.second is not None:
            second = result.second
            parts.append(f"cvc5 {second.agree}/{second.agree + second.unknown + second.disagree}")
        if result.cached:
            parts.append("cached")
    return ["   ".join(parts), *(f"    {line}" for line in result.report)]


def summary(results: Sequence[Result], seconds: float, mutants: bool) -> list[str]:
    """Return how many there are of each level and verdict, what is argued, and what is slow."""
    said = ["", "level  proved  all  what it says"]
    for level, meaning in LEVELS.items():
        of_level = [result for result in results if result.level == level]
        said.append(f"{level:5}  {sum(result.green for result in of_level):6}  {len(of_level):3}  {meaning}")
    said += ["", "argued, not proved"]
    said += [f"  {what:20}  {why}" for what, why in ARGUED]
    if results:
        longest = max(results, key=lambda result: result.seconds)
        total = sum(result.seconds for result in results)
        said += ["", f"slowest: {longest.name}, {longest.seconds:.1f} s of a processor; all: {total:.0f} s"]
    asked = [result.second for result in results if result.second is not None]
    if asked:
        agree, unknown, other = (
            sum(getattr(s, part) for s in asked) for part in ("agree", "unknown", "disagree")
        )
        said.append(f"cvc5, of what Z3 denies: {agree} agree, {unknown} unknown, {other} disagree")
    counts = Counter(result.verdict for result in results)
    words = ", ".join(f"{counts[verdict]} {verdict.value}" for verdict in Verdict)
    ending = ""
    if mutants:
        killed, tried = sum(result.killed for result in results), sum(result.mutants for result in results)
        ending = f", mutants {killed}/{tried}"
    cached = sum(result.cached for result in results)
    ending += f", {cached} from the cache" if cached else ""
    said.append(f"{len(results)} obligations: {words}{ending}        {seconds:.0f} s")
    return said


def as_json(result: Result) -> dict[str, object]:
    """Return a result as the JSON report has it."""
    row: dict[str, object] = {
        "name": result.name,
        "verdict": result.verdict.value,
        "level": result.level,
        "paths": result.paths,
        "rlimit": result.rlimit,
        "seconds": round(result.seconds, 3),
        "mutants": [result.killed, result.mutants],
    }
    if result.second is not None:
        row["cvc5"] = [result.second.agree, result.second.unknown, result.second.disagree]
    if result.report:
        row["report"] = list(result.report)
    return row


def versions_used(*, cross: bool = False) -> dict[str, str]:
    """Return what a verdict depends on."""
    found = {"python": platform.python_version()}
    for name in ("z3-solver", "cvc5", "kmem-oracle") if cross else ("z3-solver", "kmem-oracle"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found
