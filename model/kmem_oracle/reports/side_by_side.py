"""Two targets side by side, as text and as JSON."""

from __future__ import annotations

from typing import Final

from kmem_oracle.compare import Comparison, Side
from kmem_oracle.render import lines_of
from kmem_oracle.script import Op
from kmem_spec.clauses import CLAUSES

MOST_SHOWN: Final = 20  # calls whose outcomes differ


def lines(comparison: Comparison) -> list[str]:
    """Return the comparison for people."""
    one, two = comparison.sides
    parted = len(comparison.partings)
    shown = [
        f"{comparison.calls:,} calls on {one.target} and on {two.target}: {parted:,} with other outcomes"
    ]
    if comparison.lacking:
        shown.append(f"not compared, since one of them lacks it: {', '.join(comparison.lacking)}")
    for parting in comparison.partings[:MOST_SHOWN]:
        shown.append(f"call {parting.number}: {_shown(parting.op)}")
        width = max(len(one.target), len(two.target))
        for side, outcome in zip(comparison.sides, parting.outcomes, strict=True):
            shown.append(f"  {side.target:{width}}  {outcome}")
    if parted > MOST_SHOWN:
        shown.append(f"and {parted - MOST_SHOWN:,} more")
    return shown + [_verdict(side) for side in comparison.sides]


def _shown(op: Op) -> str:
    """Return a call as text."""
    return f"object {op.args[0]} of it" if op.api == "item" else lines_of([op])[0]


def _verdict(side: Side) -> str:
    """Say what the judge says of one side."""
    if side.finding is None:
        return f"{side.target}: PASS under {side.profile}"
    clause = CLAUSES[side.finding.clause]
    who = f"VIOLATION of {clause.id} by the {side.finding.who} under {side.profile}"
    return f"{side.target}: {who}: {side.finding.message} ({clause.source})"


def as_json(comparison: Comparison) -> dict[str, object]:
    """Return the comparison as data."""
    rejected = any(side.finding is not None for side in comparison.sides)
    return {
        "verdict": "violation" if rejected else "pass",
        "calls": comparison.calls,
        "lacking": list(comparison.lacking),
        "partings": [
            {"call": parting.number, "script": _shown(parting.op), "outcomes": list(parting.outcomes)}
            for parting in comparison.partings
        ],
        "sides": [
            {
                "target": side.target,
                "profile": side.profile,
                "violation": None
                if side.finding is None
                else {
                    "clause": side.finding.clause,
                    "who": side.finding.who,
                    "message": side.finding.message,
                },
            }
            for side in comparison.sides
        ],
    }
