"""`kmem-oracle verify`: every obligation discharged, one line each, and what is not green said in full."""

from __future__ import annotations

import json
import platform
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Final

from kmem_proofs.pool import Pool
from kmem_proofs.verdict import Result, Verdict

if TYPE_CHECKING:
    from kmem_proofs.obligations import Obligation

FENCE: Final = 300.0  # seconds for one obligation with its mutants; budgets in rlimit end long before
LEVELS: Final = {
    "A": "the code itself, unbounded state, all inputs",
    "B": "a formula beside the code",
    "C": "bounded or sampled",
}
OUTSIDE: Final = (
    "not in Z3: induction over steps, the loop rule, composition of the allocators, progress of the policy "
    "(covered by enumeration and machines)"
)


def run(patterns: Sequence[str], *, json_path: str | None, jobs: int, mutants: bool) -> int:
    """Verify what the patterns name, everything without them; return the exit status.

    Gives    0 all proved and all mutants killed, 1 not so, 2 it could not be run
    """
    if find_spec("z3") is None:
        print("kmem-oracle verify needs z3: pip install 'kmem-oracle[proofs]'", file=sys.stderr)
        return 2
    # z3 is an extra: nothing before this line needs it
    from kmem_proofs.catalogue import catalogue, manifest

    return verify(catalogue(), manifest(), patterns, json_path=json_path, jobs=jobs, mutants=mutants)


def _print(line: str) -> None:
    print(line, flush=True)  # at once, also into a pipe


def verify(
    obligations: Mapping[str, Obligation],
    listed: Sequence[str],
    patterns: Sequence[str],
    *,
    json_path: str | None,
    jobs: int,
    mutants: bool,
    say: Callable[[str], None] = _print,
) -> int:
    """Verify these obligations against this manifest."""
    start = perf_counter()
    for pattern in patterns:
        if not any(matches(name, pattern) for name in [*obligations, *listed]):
            print(f"no obligation matches {pattern!r}", file=sys.stderr)
            return 2
    wanted = [name for name in listed if not patterns or any(matches(name, each) for each in patterns)]
    extra = [name for name in obligations if name not in set(listed)]
    extra = [name for name in extra if not patterns or any(matches(name, each) for each in patterns)]
    versions = versions_used()
    say("  ".join(f"{name} {number}" for name, number in versions.items()) + f"  manifest {len(listed)}")
    results = _discharged(obligations, [*wanted, *extra], jobs, mutants, say)
    for name in extra:
        say(f"{name} is not in the manifest")
    green = bool(results) and all(result.green for result in results) and not extra
    _summary(results, perf_counter() - start, mutants, say)
    if json_path is not None:
        rows = [as_json(result) for result in results]
        answer = {"verdict": "proved" if green else "not proved", "obligations": rows, "versions": versions}
        try:
            Path(json_path).write_text(json.dumps(answer, indent=1) + "\n", "utf-8")
        except OSError as error:
            print(f"cannot write {json_path}: {error.strerror}", file=sys.stderr)
            return 2
    return 0 if green else 1


def matches(name: str, pattern: str) -> bool:
    """Say whether `pattern` names the obligation: a part of its name, or a glob of all of it."""
    return pattern in name or fnmatchcase(name, pattern)


def _discharged(
    obligations: Mapping[str, Obligation],
    names: Sequence[str],
    jobs: int,
    mutants: bool,
    say: Callable[[str], None],
) -> list[Result]:
    """Return the results in the order of `names`, and say each as soon as those before it are there."""
    from kmem_proofs.runner import discharge

    pool = Pool(
        lambda name: discharge(obligations[name], mutants=mutants),
        lambda name, why: Result(name, Verdict.UNKNOWN, obligations[name].level, report=(f"because  {why}",)),
        max(jobs, 1),
        FENCE,
    )
    width = max((len(name) for name in names), default=0)
    done = {name: Result(name, Verdict.MISSING) for name in names if name not in obligations}
    ordered: list[Result] = []

    def flush() -> None:
        while len(ordered) < len(names) and names[len(ordered)] in done:
            result = done[names[len(ordered)]]
            ordered.append(result)
            for line in lines(result, width, mutants):
                say(line)

    flush()
    for result in pool.run([name for name in names if name in obligations]):
        done[result.name] = result
        flush()
    if len(ordered) != len(names):
        raise RuntimeError("an obligation was lost")  # never silently: what is not run is not green
    return ordered


def lines(result: Result, width: int, mutants: bool) -> list[str]:
    """Return a result as text."""
    word = result.verdict.value if result.verdict is Verdict.PROVED else result.verdict.value.upper()
    parts = [f"{result.name:{width}}  {word:8}  {result.level}"]
    if result.verdict is not Verdict.MISSING:
        parts.append(f"{result.paths:3} paths  rlimit {result.rlimit:>11,}  {result.seconds:5.1f} s")
        if mutants:
            parts.append(f"mutants {result.killed}/{result.mutants}")
    return ["   ".join(parts), *(f"    {line}" for line in result.report)]


def _summary(results: Sequence[Result], seconds: float, mutants: bool, say: Callable[[str], None]) -> None:
    """Say how many of each level and verdict there are, and which mutants survive."""
    say("")
    say("level  proved  all  what it says")
    for level, meaning in LEVELS.items():
        of_level = [result for result in results if result.level == level]
        proved = sum(result.verdict is Verdict.PROVED for result in of_level)
        say(f"{level:5}  {proved:6}  {len(of_level):3}  {meaning}")
    say(OUTSIDE)
    counts = Counter(result.verdict for result in results)
    words = ", ".join(f"{counts[verdict]} {verdict.value}" for verdict in Verdict)
    killed = sum(result.killed for result in results)
    ending = f", mutants {killed}/{sum(result.mutants for result in results)}" if mutants else ""
    say(f"{len(results)} obligations: {words}{ending}        {seconds:.0f} s")


def as_json(result: Result) -> dict[str, object]:
    """Return a result as the JSON report has it."""
    return {
        "name": result.name,
        "verdict": result.verdict.value,
        "level": result.level,
        "paths": result.paths,
        "rlimit": result.rlimit,
        "seconds": round(result.seconds, 3),
        "mutants": [result.killed, result.mutants],
    }


def versions_used() -> dict[str, str]:
    """Return what a verdict depends on."""
    found = {"python": platform.python_version()}
    for name in ("z3-solver", "kmem-oracle"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found
