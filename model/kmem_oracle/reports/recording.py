"""The verdict on a trace, as text and as JSON."""

from __future__ import annotations

from collections import defaultdict
from typing import Final

from kmem_oracle.traces.finding import Finding, shown
from kmem_oracle.traces.summary import Summary
from kmem_spec.clauses import CLAUSES

LINES_SHOWN: Final = 5
GROUPS_SHOWN: Final = 20
SIZES_SHOWN: Final = 5


def as_json(summaries: list[Summary], strict: bool) -> dict[str, object]:
    """Return the verdict on traces; where they are several, each finding names its file."""
    return {
        "verdict": "violation" if is_broken(summaries, strict) else "pass",
        "events": sum(summary.count for summary in summaries),
        "judged": sum(summary.judged for summary in summaries),
        "findings": [
            _finding(found) | ({"file": summary.name} if len(summaries) > 1 else {})
            for summary in summaries
            for found in summary.findings
        ],
    }


def error_json(message: str) -> dict[str, object]:
    """Return the report on a trace that could not be read."""
    return {"verdict": "error", "message": message, "events": 0, "judged": 0, "findings": []}


def is_broken(summaries: list[Summary], strict: bool) -> bool:
    """Say whether there is a violation, or under `strict` a suspect."""
    return any(summary.of("violation") or (strict and summary.findings) for summary in summaries)


def _finding(found: Finding) -> dict[str, object]:
    return {
        "clause": found.clause,
        "who": found.who,
        "certainty": found.certainty,
        "line": found.line,
        "others": list(found.others),
        "message": found.message,
    }


def lines(summary: Summary, strict: bool, top: int) -> list[str]:
    """Return the verdict on a trace for people; `top` is how many call sites are named."""
    rate = summary.lines / summary.seconds if summary.seconds else 0.0
    said = [
        f"{shown(summary.name, 200)}: {summary.lines:,} lines ({summary.kind}), {summary.count:,} events, "
        f"{summary.judged:,} judged, in {summary.seconds:.1f} s ({rate:,.0f} lines/s), "
        f"profile {summary.profile}",
        "events: " + ", ".join(f"{name} {count:,}" for name, count in summary.events.most_common()),
    ]
    if summary.stopped:
        said.append(f"{summary.stopped}: the verdict covers what was read so far")
    said += _findings(summary)
    said += _live(summary, top)
    said += _fragmentation(summary)
    if summary.page_offset is not None:
        said.append(f"direct map: from {summary.page_offset:#x}, {summary.page_offset_from}")
    if summary.unjudged:
        said += ["could not be judged:", *(f"  {reason}" for reason in summary.unjudged)]
    return [*said, _verdict(summary, strict)]


def _verdict(summary: Summary, strict: bool) -> str:
    """Return the last line."""
    violations, suspects = len(summary.of("violation")), len(summary.of("suspect"))
    beside = f", {_count(suspects, 'suspect')}" if suspects else ""
    if violations:
        return f"VIOLATION: {_count(violations, 'violation')}{beside}"
    if suspects:
        return f"{'VIOLATION' if strict else 'PASS'}: no violation{beside}" + (
            "" if strict else "; --strict takes suspects as violations"
        )
    return "PASS: no violation"


def _findings(summary: Summary) -> list[str]:
    """Return the findings, those together that have clause, certainty and doer in common."""
    groups: defaultdict[tuple[str, str, str], list[Finding]] = defaultdict(list)
    for found in summary.findings:
        groups[found.certainty, found.clause, found.group].append(found)
    ordered = sorted(groups.items(), key=lambda item: (item[0][0] != "violation", item[1][0].line))
    said = []
    for (certainty, identifier, group), together in ordered[:GROUPS_SHOWN]:
        clause = CLAUSES[identifier]
        first = together[0]
        head = "VIOLATION" if certainty == "violation" else "suspect"
        where = f", {shown(group)}" if group else ""
        said += [
            f"{head} of {identifier} by the {clause.who}{where}: {_where(together)}",
            f"  rule     {clause.sentence}",
            f"  source   {clause.source}",
            f"  seen     line {first.line}: {first.message}{_others(first)}",
        ]
        if first.explained:
            said.append(f"  unless   {first.explained}")
    if len(ordered) > GROUPS_SHOWN:
        said.append(f"and {len(ordered) - GROUPS_SHOWN:,} further groups of findings (--json has them all)")
    if summary.further:
        said.append(f"and {summary.further:,} further findings, which were not kept")
    return said


def _where(found: list[Finding]) -> str:
    """Return the lines of findings."""
    numbers = ", ".join(str(each.line) for each in found[:LINES_SHOWN])
    more = ", …" if len(found) > LINES_SHOWN else ""
    return f"line {numbers}" if len(found) == 1 else f"{len(found):,} lines, {numbers}{more}"


def _others(found: Finding) -> str:
    """Return the other lines that a finding speaks of."""
    if not found.others:
        return ""
    word = "line" if len(found.others) == 1 else "lines"
    return f" ({word} {', '.join(map(str, found.others))})"


def _live(summary: Summary, top: int) -> list[str]:
    """Return what is live at the end, by call site."""
    live = ", ".join(
        _count(number, noun)
        for number, noun in (
            (summary.live_objects, "object"),
            (summary.live_pages, "page"),
            (summary.live_areas, "area"),
        )
        if number
    )
    said = [f"live at the end, of what the trace shows: {live or 'nothing'}"]
    sites = [site for site in summary.sites if site.live][:top]
    if sites:
        said.append("  bytes live  objects    of all  call site")
        said += [f"  {site.live_bytes:10,}  {site.live:7,}  {site.count:8,}  {site.name}" for site in sites]
    return said


def _fragmentation(summary: Summary) -> list[str]:
    """Return bytes asked against bytes given."""
    if not summary.given:
        return []
    wasted = summary.given - summary.asked
    said = [
        f"fragmentation: {summary.asked:,} bytes asked for, {summary.given:,} given, "
        f"{wasted / summary.given:.1%} of them not asked for"
    ]
    sizes = [size for size in summary.sizes if size.wasted > 0][:SIZES_SHOWN]
    if sizes:
        said.append("     slot  objects  not asked for")
        said += [
            f"  {size.given:7,}  {size.count:7,}  {size.wasted:13,}{'  cache' if size.cached else ''}"
            for size in sizes
        ]
    return said


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
