"""`kmem-oracle verify`: every obligation discharged, one line each, and what is not green said in full."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Final

from kmem_proofs.pool import Pool
from kmem_proofs.report import as_json, lines, summary, versions_used
from kmem_proofs.verdict import Result, Verdict

if TYPE_CHECKING:  # z3 is an extra: nothing here needs it before it is known to be there
    from kmem_proofs.obligations import Obligation
    from kmem_proofs.runner import Asked
    from kmem_proofs.store import Store

Show = Callable[[Mapping[str, object], Sequence[str]], None]
FENCE: Final = 300.0  # seconds for one obligation with its mutants; budgets in rlimit end long before
FENCE_CROSS: Final = 1200.0


def run(
    patterns: Sequence[str],
    *,
    json_path: str | None = None,
    jobs: int = 2,
    mutants: bool = True,
    seed: int = 0,
    cross: bool = False,
    fresh: bool = False,
    show: Show | None = None,
) -> int:
    """Verify what the patterns name, everything without them; return the exit status.

    `show` is given the report as data, and what was said.
    Gives    0 all proved and all mutants killed, 1 not so, 2 it could not be run
    """
    for package, option in (("z3", ""), ("cvc5", " --cross")):
        if (not option or cross) and find_spec(package) is None:
            say = f"kmem-oracle verify{option} needs {package}: pip install 'kmem-oracle[proofs]'"
            print(say, file=sys.stderr)
            return 2
    from kmem_proofs.catalogue import catalogue, homes, manifest, slowest
    from kmem_proofs.runner import Asked
    from kmem_proofs.store import Store, folder

    asked = Asked(mutants, seed, cross)
    return verify(
        catalogue(),
        manifest(),
        patterns,
        asked=asked,
        jobs=jobs,
        json_path=json_path,
        store=Store(folder(), homes(), asked, versions_used(cross=cross)),
        fresh=fresh,
        slowest=slowest(),
        show=show,
    )


def _print(line: str) -> None:
    print(line, flush=True)  # at once, also into a pipe


def verify(
    obligations: Mapping[str, Obligation],
    listed: Sequence[str],
    patterns: Sequence[str],
    *,
    asked: Asked,
    jobs: int = 2,
    json_path: str | None = None,
    store: Store | None = None,
    fresh: bool = False,
    slowest: Sequence[str] = (),
    say: Callable[[str], None] = _print,
    show: Show | None = None,
) -> int:
    """Verify these obligations against this manifest; `fresh` uses nothing that is stored."""
    start = perf_counter()
    said: list[str] = []
    aloud = say

    def say_and_keep(line: str) -> None:
        said.append(line)
        aloud(line)

    say = say_and_keep
    for pattern in patterns:
        if not any(matches(name, pattern) for name in [*obligations, *listed]):
            print(f"no obligation matches {pattern!r}", file=sys.stderr)
            return 2
    wanted = [name for name in listed if not patterns or any(matches(name, each) for each in patterns)]
    extra = [name for name in obligations if name not in set(listed)]
    extra = [name for name in extra if not patterns or any(matches(name, each) for each in patterns)]
    names = [*wanted, *extra]
    versions = versions_used(cross=asked.cross)
    heading = "  ".join(f"{name} {number}" for name, number in versions.items())
    say(f"{heading}  seed {asked.seed}  manifest {len(listed)}")
    known = {} if store is None or fresh else {name: store.get(name) for name in names if name in obligations}
    done = {name: result for name, result in known.items() if result is not None}
    done |= {name: Result(name, Verdict.MISSING) for name in names if name not in obligations}
    pool = Pool(
        Work(obligations, asked),
        lambda name, why: Result(name, Verdict.UNKNOWN, obligations[name].level, report=(f"because  {why}",)),
        max(jobs, 1),
        FENCE_CROSS if asked.cross else FENCE,
        Progress(len(names)) if sys.stderr.isatty() else lambda _: None,
    )
    ordered = InOrder(names, asked.mutants, say)
    ordered.add(done)
    for result in pool.run(by_cost([name for name in names if name not in done], slowest, store)):
        if store is not None:
            store.put(result)
        ordered.add({result.name: result})
    if len(ordered.said) != len(names):
        raise RuntimeError("an obligation was lost")  # never silently: what is not run is not green
    for name in extra:
        say(f"{name} is not in the manifest")
    results = ordered.said
    green = bool(results) and all(result.green for result in results) and not extra
    for line in summary(results, perf_counter() - start, asked.mutants):
        say(line)
    rows = [as_json(result) for result in results]
    answer = {"verdict": "proved" if green else "not proved", "obligations": rows, "versions": versions}
    try:
        if json_path is not None:
            Path(json_path).write_text(json.dumps(answer, indent=1) + "\n", "utf-8")
        if show is not None:
            show(answer, said)
    except OSError as error:
        print(f"cannot write {error.filename}: {error.strerror}", file=sys.stderr)
        return 2
    return 0 if green else 1


def matches(name: str, pattern: str) -> bool:
    """Say whether `pattern` names the obligation: a part of its name, or a glob of all of it."""
    return pattern in name or fnmatchcase(name, pattern)


def by_cost(names: Sequence[str], slowest: Sequence[str], store: Store | None) -> list[str]:
    """Return the names slowest first, as far as it is known: so that no long one is left to the end."""
    ranks = {name: float(len(slowest) - index) for index, name in enumerate(slowest)}
    costs = {name: (store.seconds(name) if store is not None else None) for name in names}
    return sorted(names, key=lambda name: (-(costs[name] or 0.0), -ranks.get(name, 0.0)))


class Work:
    """Discharges an obligation by its name."""

    def __init__(self, obligations: Mapping[str, Obligation], asked: Asked) -> None:
        self.obligations, self.asked = obligations, asked

    def __call__(self, name: str) -> Result:
        """Discharge it."""
        from kmem_proofs.runner import discharge

        return discharge(self.obligations[name], self.asked)


class InOrder:
    """Says results in the order of `names`, each as soon as those before it are there."""

    def __init__(self, names: Sequence[str], mutants: bool, say: Callable[[str], None]) -> None:
        self.names, self.mutants, self.say = names, mutants, say
        self.width = max((len(name) for name in names), default=0)
        self.done: dict[str, Result] = {}
        self.said: list[Result] = []

    def add(self, results: Mapping[str, Result]) -> None:
        """Take results, and say what is due."""
        self.done |= results
        while len(self.said) < len(self.names) and self.names[len(self.said)] in self.done:
            result = self.done[self.names[len(self.said)]]
            self.said.append(result)
            for line in lines(result, self.width, self.mutants):
                self.say(line)


class Progress:
    """Shows on a terminal how far it is, and what is being worked at."""

    def __init__(self, count: int) -> None:
        self.count, self.begun = count, perf_counter()
        self.seen: set[str] = set()

    def __call__(self, busy: Sequence[str]) -> None:
        """Show it; the line is overwritten by what comes next."""
        self.seen |= set(busy)
        seconds = perf_counter() - self.begun
        text = f"{len(self.seen)} of {self.count} begun, {seconds:.0f} s: {', '.join(busy)}"
        print(f"\r\x1b[K{text[:100]}", end="\r", file=sys.stderr, flush=True)
