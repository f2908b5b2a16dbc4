"""Reading: from a file to its summary."""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import chain
from typing import Final

from kmem_oracle.traces.gaps import Gaps
from kmem_oracle.traces.history import HistoryReader
from kmem_oracle.traces.judge import TraceJudge
from kmem_oracle.traces.source import CannotRead, Source
from kmem_oracle.traces.summary import Series, Summary
from kmem_oracle.traces.text import TextReader
from kmem_spec.profile import Profile

STRIDE: Final = 1024  # lines between two looks at what is live
PATIENCE: Final = 1_000_000  # lines without an event after which there is no hope of one


@dataclass(frozen=True, slots=True)
class Options:
    """How a trace is judged; see TraceJudge."""

    profile: Profile
    page_offset: int | None = None
    whole: bool = False
    partial: bool = False
    waived: frozenset[str] = frozenset()


def judge_file(name: str, options: Options) -> Summary:
    """Judge the trace in a file, or from standard input for "-", line by line.

    Gives    also what was found before an interrupt, or before damage, which `stopped` names
    Errors   CannotRead for what is no trace
    """
    source = Source(name)
    try:
        return _judge(source, options)
    finally:
        source.close()


def _judge(source: Source, options: Options) -> Summary:
    summary = Summary(source.name, profile=options.profile.name)
    began = time.perf_counter()
    judge = TraceJudge(
        options.profile,
        page_offset=options.page_offset,
        whole=options.whole,
        partial=options.partial,
        waived=options.waived,
    )
    blocks = source.blocks()
    text = TextReader(judge)
    reader: TextReader | HistoryReader = text
    series = Series()
    try:
        first = next(blocks, [])
        head = next((line for line in first if line and not line.isspace() and line[0] != "#"), "")
        if head.startswith("{"):
            reader = HistoryReader(options.profile, options.waived)
        else:
            summary.kind = kind_of(head)
        for lines in chain([first], blocks):
            for at in range(0, len(lines), STRIDE):
                some = lines[at : at + STRIDE]
                cut = source.unended and at + STRIDE >= len(lines)
                reader.read(some, summary.lines, cut=cut)
                summary.lines += len(some)
                if series.due():
                    told = text.time_of(some[-1]) if reader is text else None
                    live = reader if isinstance(reader, HistoryReader) else judge
                    series.add(live.sample(summary.lines, told))
            judge.tidy()
            if summary.lines > PATIENCE and not _counts(reader):
                raise CannotRead(f"{source.name}: no event of an allocator in {summary.lines:,} lines")
    except KeyboardInterrupt:
        summary.stopped = "interrupted"
    summary.samples = series.samples
    if source.fault:
        summary.stopped = f"damaged after line {summary.lines:,}: {source.fault}"
    if not _counts(reader):
        why = f" ({summary.stopped})" if summary.stopped else ""
        raise CannotRead(
            f"{source.name}: no event of an allocator in {summary.lines:,} lines{why}; record kmem:* with "
            "ftrace, trace-cmd or perf, as text"
        )
    if isinstance(reader, HistoryReader):
        summary.kind = "history"
        reader.close(summary)
    else:
        summary.events = reader.events()
        _text_notes(reader.gaps, summary)
        judge.close(summary, reader.requests())
    _line_notes(source, reader, summary)
    summary.seconds = time.perf_counter() - began
    return summary


def _counts(reader: TextReader | HistoryReader) -> int:
    """Return how many events there were."""
    return reader.counts.total() if isinstance(reader, HistoryReader) else reader.events().total()


def kind_of(line: str) -> str:
    """Return what wrote a trace of which this is the first line that is no comment."""
    if "kmem:" in line or "vmalloc:" in line:
        return "perf"
    if line.startswith(("cpus=", "version =", "CPU ")):
        return "trace-cmd"
    return "ftrace"


def _text_notes(gaps: Gaps, summary: Summary) -> None:
    """Note what the recorder says is missing."""
    if gaps.begins:
        summary.unjudged.append(
            f"events of the CPUs whose buffers were full, before line {gaps.begins:,}; what they "
            "may explain is a suspect"
        )
    if gaps.markers:
        summary.unjudged.append(
            f"events that the recorder lost: {gaps.lost:,} or more at {gaps.markers:,} places; what they "
            "may explain is a suspect"
        )


def _line_notes(source: Source, reader: TextReader | HistoryReader, summary: Summary) -> None:
    """Note lines that could not be read."""
    summary.garbled = reader.garbled
    if reader.garbled:
        summary.unjudged.append(
            f"{reader.garbled:,} lines that are garbled or cut off, the first of them "
            f"line {reader.first_garbled:,}"
        )
    if source.cut:
        summary.unjudged.append(f"{source.cut:,} lines that are too long")
