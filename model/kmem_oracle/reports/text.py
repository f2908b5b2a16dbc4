"""Verdicts as text."""

from __future__ import annotations

from kmem_oracle.campaign import Result
from kmem_oracle.render import lines_of
from kmem_spec.clauses import CLAUSES
from kmem_spec.gfp import NAMES


def verdict_lines(result: Result) -> list[str]:
    """Return the verdict on a target, for people."""
    judged = sum(1 for count in result.counts.values() if count)
    rate = result.calls / result.seconds if result.seconds else 0.0
    head = (
        f"{result.target}: {result.calls:,} calls judged in {result.seconds:.1f} s ({rate:,.0f}/s), "
        f"profile {result.profile.name}, seed {result.seed}, "
        f"{judged} of {len(result.counts)} clauses exercised"
    )
    lines = [head]
    if result.interrupted:
        lines.append("interrupted: the verdict covers the calls judged so far")
    if result.play is None or result.play.finding is None:
        return [*lines, "PASS: no violation"]
    finding = result.play.finding
    clause = CLAUSES[finding.clause]
    script = lines_of(result.play.ops, NAMES[result.profile.gfp])
    lines += [
        f"VIOLATION of {clause.id} by the {finding.who}",
        f"  rule     {clause.sentence}",
        f"  source   {clause.source}",
        f"  seen     {finding.message}",
        f"  script   {len(script)} line{'s' if len(script) != 1 else ''}, phase {result.phase}:",
        *(f"    {line}" for line in script),
    ]
    return lines
