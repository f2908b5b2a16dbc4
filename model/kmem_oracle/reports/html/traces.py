"""The page of `judge`: what was found in traces, live bytes over time, call sites, fragmentation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Final

from kmem_oracle.reports.html.page import page
from kmem_spec.clauses import CLAUSES

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

SCRIPTS: Final = ("tables.js", "chart.js", "traces.js")
MOST_FINDINGS: Final = 2_000
MOST_SITES: Final = 2_000
Trace = Mapping[str, object]


def traces_page(verdict: str, traces: Sequence[Trace], report: Sequence[str]) -> str:
    """Return the page of some traces; `verdict` is "pass" or "violation".

    A trace is plain data: name, kind, profile, lines, judged, seconds, stopped; events (name to count);
    findings (clause, who, certainty, line, others, message, group); samples (line, time or None, and the
    live bytes of kmalloc, caches, pages, areas); sites (name, count, asked, given, live, live_bytes,
    failed); sizes (given, cached, count, asked); unjudged (sentences); further (findings not kept).
    """
    names = ", ".join(str(trace["name"]) for trace in traces)
    rules = {clause.id: {"sentence": clause.sentence, "source": clause.source} for clause in CLAUSES.values()}
    data = {
        "page": "traces",
        "verdict": verdict,
        "rules": rules,
        "traces": [_bounded(trace) for trace in traces],
    }
    return page(f"{verdict} · {names} · kmem-oracle", report, data, SCRIPTS)


def plain(summary: DataclassInstance) -> dict[str, object]:
    """Return the summary of a trace as plain data: its fields, and the fields of what is in its lists."""
    data = _fields(summary)
    for name, value in data.items():
        if isinstance(value, list):
            data[name] = [each if isinstance(each, str) else _fields(each) for each in value]
        elif isinstance(value, Mapping):
            data[name] = dict(value)
    findings = data["findings"]
    assert isinstance(findings, list)
    for found in findings:
        found["who"] = CLAUSES[found["clause"]].who
    return data


def _fields(record: DataclassInstance) -> dict[str, object]:
    """Return the fields of a record by name."""
    return {each.name: getattr(record, each.name) for each in fields(record)}


def _bounded(trace: Trace) -> dict[str, object]:
    """Return a trace with the first of its findings and call sites, and how many there are of them."""
    findings, sites = trace["findings"], trace["sites"]
    assert isinstance(findings, list)
    assert isinstance(sites, list)
    return {
        **trace,
        "findings": findings[:MOST_FINDINGS],
        "sites": sites[:MOST_SITES],
        "all_findings": len(findings),
        "all_sites": len(sites),
    }
