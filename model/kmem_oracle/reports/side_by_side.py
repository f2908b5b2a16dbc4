"""Two targets side by side, as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from kmem_oracle.language.render import line_of_each
from kmem_oracle.learn.compare import Comparison, Parting, Side
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
    width = max(len(one.target), len(two.target))
    for parting, call in _shown(comparison, MOST_SHOWN):
        shown.append(f"call {parting.number}: {call}")
        for side, outcome in zip(comparison.sides, parting.outcomes, strict=True):
            shown.append(f"  {side.target:{width}}  {outcome}")
    if parted > MOST_SHOWN:
        shown.append(f"and {parted - MOST_SHOWN:,} more")
    if comparison.unreached:
        shown.append(f"not compared, since one of them was gone: the last {comparison.unreached:,} calls")
    return shown + [_verdict(side) for side in comparison.sides]


def _shown(comparison: Comparison, most: int) -> Iterator[tuple[Parting, str]]:
    """Yield the first partings, each with its call as text."""
    if comparison.partings:
        calls = line_of_each(comparison.script)
        for parting in comparison.partings[:most]:
            line = calls[parting.number - 1]
            yield parting, line if parting.item is None else f"object {parting.item} of {line}"


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
        "unreached": comparison.unreached,
        "partings": [
            {
                "call": parting.number,
                "script": call,
                "outcomes": [
                    {"is": outcome.words, "usable": None if outcome.usable < 0 else outcome.usable}
                    for outcome in parting.outcomes
                ],
            }
            for parting, call in _shown(comparison, len(comparison.partings))
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
