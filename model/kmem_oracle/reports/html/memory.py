"""The page of a run or a finding: memory through time, and the clause that was broken."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

from kmem_oracle.campaign.recorder import MOST, History
from kmem_oracle.campaign.result import Found, Result
from kmem_oracle.reports import text
from kmem_oracle.reports.html.chapter import Chapter
from kmem_oracle.reports.html.page import page
from kmem_oracle.reports.html.places import Places
from kmem_spec.clauses import CLAUSES
from kmem_spec.gfp import NAMES

if TYPE_CHECKING:
    from kmem_oracle.reports.html.inside import Inside

SCRIPTS: Final = (
    "history.js",
    "layout.js",
    "map.js",
    "scene.js",
    "timeline.js",
    "lists.js",
    "panels.js",
    "memory.js",
)


def memory_page(result: Result, files: Sequence[str] = ()) -> str:
    """Return the page of a run: each violation's history, or without one those of the last phases.

    `files` are those that were saved beside it.
    """
    chapters = [
        _chapter(_name(found, place, len(result.found)), found.play.history, result) | {"found": place}
        for place, found in enumerate(result.found)
        if found.play.history is not None
    ] or [_chapter(name, history, result) for name, history in result.histories]
    data = {
        "page": "memory",
        "oracle": version("kmem-oracle"),
        "target": result.target,
        "profile": result.profile.name,
        "seed": result.seed,
        "calls": result.calls,
        "seconds": round(result.seconds, 3),
        "verdict": "violation" if result.found else "pass",
        "generated": result.generated,
        "interrupted": result.interrupted,
        "most": MOST,
        "judged": sum(1 for count in result.counts.values() if count),
        "clauses": {name: CLAUSES[name].sentence for name, count in result.counts.items() if count},
        "found": [_words(found) for found in result.found],
        "chapters": chapters,
    }
    return page(_title(result), text.verdict_lines(result, list(files)), data, SCRIPTS)


def _title(result: Result) -> str:
    """Return what a browser calls the page."""
    clauses = [found.play.finding.clause for found in result.found if found.play.finding is not None]
    return f"{', '.join(clauses) or 'pass'} · {result.target} · kmem-oracle"


def _name(found: Found, place: int, count: int) -> str:
    """Return what the history of a violation is called."""
    assert found.play.finding is not None
    return f"{place + 1} of {count}: {found.play.finding.clause}" if count > 1 else ""


def _words(found: Found) -> dict[str, object]:
    """Return what there is to say of a violation, whether or not there is a history of it."""
    finding = found.play.finding
    assert finding is not None
    clause = CLAUSES[finding.clause]
    return {
        "clause": clause.id,
        "sentence": clause.sentence,
        "source": clause.source,
        "who": finding.who,
        "message": finding.message,
        "phase": found.phase,
        "times": found.times,
    }


def _chapter(name: str, history: History, result: Result) -> dict[str, object]:
    """Return the data of one history."""
    chapter = Chapter(name, history, NAMES[result.profile.gfp])
    within = _inside(result.target, chapter)
    places = Places([*chapter.extents, *([] if within is None else within.extents)])
    data = chapter.data(places)
    data["inside"] = None if within is None else within.data(places)
    return data


def _inside(target: str, chapter: Chapter) -> Inside | None:
    """Return what the model had inside, None where the target is another."""
    if target.partition(":")[0] != "model":
        return None
    from kmem_oracle.reports.html.inside import inside  # no other target has any use for the model

    return inside(target, chapter)
