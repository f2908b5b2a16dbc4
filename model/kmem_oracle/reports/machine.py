"""Verdicts as JSON, in the shape that spec/script.md writes down."""

from __future__ import annotations

import json
from pathlib import Path

from kmem_oracle.campaign.result import Found, Result
from kmem_oracle.language.render import lines_of
from kmem_oracle.reports import columns
from kmem_oracle.targets import console
from kmem_oracle.threads.campaign import Threaded
from kmem_spec.clauses import CLAUSES
from kmem_spec.gfp import NAMES


def verdict_of(result: Result) -> str:
    """Return "pass" or "violation"."""
    return "violation" if result.play is not None and result.play.finding is not None else "pass"


def as_json(result: Result, files: list[str]) -> dict[str, object]:
    """Return the verdict on a target."""
    violations = [_violation(result, found) for found in result.found]
    if violations:
        violations[0]["files"] = files
    return {
        "verdict": verdict_of(result),
        "target": result.target,
        "profile": result.profile.name,
        "seed": result.seed,
        "calls": result.calls,
        "seconds": round(result.seconds, 3),
        "clauses": result.counts,
        "violation": violations[0] if violations else None,
        "violations": violations,
        **({"warned": dict(result.warned)} if result.warned else {}),
    }


def _violation(result: Result, found: Found) -> dict[str, object]:
    """Return what there is to say of one violation."""
    finding = found.play.finding
    assert finding is not None
    clause = CLAUSES[finding.clause]
    violation: dict[str, object] = {
        "clause": clause.id,
        "sentence": clause.sentence,
        "source": clause.source,
        "message": finding.message,
        "script": lines_of(found.play.told, NAMES[result.profile.gfp]),
        "times": found.times,
        "files": [],
    }
    if found.play.console:
        violation["console"] = console.tail(found.play.console)
    if isinstance(found.play, Threaded):
        violation["threads"] = columns.as_json(found.play)
    return violation


def error_json(target: str, message: str) -> dict[str, object]:
    """Return the report on a target that could not be run."""
    return {"verdict": "error", "target": target, "message": message, "violation": None}


def write(path: str, report: dict[str, object]) -> None:
    """Write a report to a file.

    Errors   OSError
    """
    Path(path).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
