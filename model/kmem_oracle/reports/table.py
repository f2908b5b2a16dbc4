"""How often each phase exercised each clause."""

from __future__ import annotations

from typing import Final

from kmem_oracle.campaign.result import Result
from kmem_oracle.reports.text import concerns

SHOWN: Final = 6  # phases named for each clause


def lines(result: Result) -> list[str]:
    """Return for each clause that the target could break how often it was judged, and where most."""
    shown = [f"{'clause':20} {'judged':>12}  most in"]
    for clause, count in result.counts.items():
        if not concerns(clause, result.apis, result.profile):
            continue
        phases = sorted(
            ((judged[clause], name) for name, judged in result.by_phase.items() if judged[clause]),
            reverse=True,
        )
        where = ", ".join(f"{name} {times:,}" for times, name in phases[:SHOWN])
        more = f", {len(phases) - SHOWN} more" if len(phases) > SHOWN else ""
        shown.append(
            f"{clause:20} {count:12,}  {where}{more}".rstrip() if count else f"{clause:20} {'never':>12}"
        )
    return shown
