"""Verdicts as text."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from kmem_oracle.campaign.play import Play
from kmem_oracle.campaign.result import Found, Result
from kmem_oracle.language.render import lines_of
from kmem_oracle.reports import columns
from kmem_oracle.targets import console
from kmem_oracle.threads.campaign import Threaded
from kmem_spec.apis import APIS
from kmem_spec.clauses import CLAUSES
from kmem_spec.finding import Finding
from kmem_spec.gfp import NAMES
from kmem_spec.profile import Profile

# By the first word of a clause without a predicate, the family whose calls it speaks of.
FAMILY_OF: Final = {"SLAB": "kmalloc", "PAGE": "page", "CACHE": "cache", "VM": "vmalloc", "POOL": "pool"}
OVER_MALLOC: Final = (
    "kmalloc(n) is posix_memalign(n if a power of two, else 8; n), pages likewise; "
    "kcalloc is calloc, krealloc realloc, ksize malloc_usable_size"
)


def save(folder: str, result: Result, suffix: str = "") -> str:
    """Write the script of a violation into a folder, which is made if need be, and return the file's path.

    `suffix` tells its name from that of another of the same clause.
    Errors   OSError
    """
    assert result.play is not None
    assert result.play.finding is not None
    clause = result.play.finding.clause
    path = Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    file = path / f"{clause.lower()}-seed-{result.seed}{suffix}.kmem"
    script = lines_of(result.play.told, NAMES[result.profile.gfp])
    head = f"# {clause}: {CLAUSES[clause].sentence}\n# kmem-oracle run {file.name} --on {result.target}\n"
    file.write_text(head + "\n".join(script) + "\n", encoding="utf-8")
    return str(file)


def concerns(clause: str, apis: frozenset[str], profile: Profile) -> bool:
    """Say whether a target with these calls could break a clause: one of the allocator's, on calls it has."""
    rule = CLAUSES[clause]
    if rule.who == "caller" or (clause == "PAGE-ZONE" and not (profile.dma_end or profile.dma32_end)):
        return False
    if clause == "CACHE-DTOR":
        return "kmem_cache_create_26" in apis  # no other call takes a destructor
    if rule.kind == "outcome":
        speaks_of = [APIS[name] for name in apis if name in APIS and rule.of(APIS[name])]
        if clause.endswith("-ARRAY"):  # a product comes of calls that take a count
            speaks_of = [api for api in speaks_of if {"count", "size"} <= {*api.parameters}]
        return bool(speaks_of) or clause == "MEM-KEEP"
    families = {APIS[name].family for name in apis if name in APIS}
    return FAMILY_OF.get(clause.partition("-")[0], "kmalloc") in families or clause.startswith(("MEM", "GFP"))


def _how(play: Play, phase: str, names: Mapping[str, int]) -> list[str]:
    """Return how a violation comes about: the script, or what threads did."""
    if isinstance(play, Threaded):
        return [f"  phase    {phase}", *columns.lines(play, names)]
    script = lines_of(play.told, names)
    count = f"{len(script)} line{'s' if len(script) != 1 else ''}"
    where = f", from phase {phase!r}:" if phase else ":"
    return [f"  script   {count}{where}", *(f"    {line}" for line in script)]


def verdict_lines(result: Result, files: list[str]) -> list[str]:
    """Return the verdict on a target, for people; `files` are those that were saved."""
    counts = {
        name: count for name, count in result.counts.items() if concerns(name, result.apis, result.profile)
    }
    judged = sum(1 for count in counts.values() if count)
    rate = (result.calls - result.before) / result.seconds if result.seconds else 0.0
    before = f"({result.before:,} of them before) " if result.before else ""
    head = (
        f"{result.target}: {result.calls:,} calls judged {before}in {result.seconds:.1f} s ({rate:,.0f}/s), "
        f"profile {result.profile.name}, seed {result.seed}, "
        f"{judged} of {len(counts)} clauses exercised"
    )
    lines = [head]
    if result.interrupted:
        lines.append("interrupted: the verdict covers the calls judged so far")
    idle = [name for name, count in counts.items() if not count]
    if idle and result.generated and not result.found:
        lines.append(f"never exercised: {', '.join(idle)}")
    if result.lacking:
        lines.append(f"not called, since the target lacks it: {', '.join(sorted(result.lacking))}")
    lines += _warned_lines(result.warned)
    if not result.found:
        return [*lines, "PASS: no violation"]
    for place, found in enumerate(result.found):
        which = (
            f" ({place + 1} of {len(result.found)}, met {found.times} times)" if len(result.found) > 1 else ""
        )
        lines += _found_lines(result, found, which)
    return [*lines, *(f"  saved    {file}" for file in files)]


def _found_lines(result: Result, found: Found, which: str) -> list[str]:
    """Return what there is to say of one violation."""
    assert found.play.finding is not None
    lines = finding_lines(found.play.finding, result.target, which)
    return [
        *lines,
        *_how(found.play, found.phase, NAMES[result.profile.gfp]),
        *(f"  console  {line}" for line in console.tail(found.play.console)),
    ]


def finding_lines(finding: Finding, target: str, which: str = "") -> list[str]:
    """Return the clause that is broken, and what was seen."""
    clause = CLAUSES[finding.clause]
    return [
        f"VIOLATION of {clause.id} by the {finding.who}{which}",
        f"  rule     {clause.sentence}",
        f"  source   {clause.source}",
        *([f"  target   {OVER_MALLOC}"] if target.startswith("malloc:") else []),
        f"  seen     {finding.message}",
    ]


def _warned_lines(warned: Mapping[str, int]) -> list[str]:
    """Return what a kernel complained of, what it does not owe its caller first."""
    owed = sum(count for line, count in warned.items() if console.owed(line))
    lines = [
        f"the kernel complained ({count} times): {line}"
        for line, count in warned.items()
        if not console.owed(line)
    ]
    if owed:
        reasons = sorted({console.owed(line) for line in warned if console.owed(line)})
        lines.append(f"the kernel warned {owed} times, as it should: {'; '.join(reasons)}")
    return lines
