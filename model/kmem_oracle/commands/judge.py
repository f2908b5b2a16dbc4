"""`kmem-oracle judge FILE…`: judge recorded traces and histories."""

from __future__ import annotations

import argparse

from kmem_oracle.commands.common import (
    COULD_NOT_RUN,
    PASS,
    VIOLATION,
    Commands,
    Parser,
    fail,
    positive,
    write_report,
)
from kmem_oracle.commands.gate import gate_options, tell, tell_failure
from kmem_oracle.commands.judging import waived_of
from kmem_oracle.reports import marks, recording
from kmem_oracle.reports.html import page
from kmem_oracle.reports.html.traces import plain, traces_page
from kmem_oracle.targets.target import CouldNotRun
from kmem_oracle.traces.reading import Options, judge_file
from kmem_oracle.traces.source import CannotRead
from kmem_oracle.traces.summary import Summary
from kmem_spec.profile import ProfileError, load

FORMATS = (
    "ftrace text, `trace-cmd report`, `perf script` or a history, plain or gzip, xz or zstd; - for a pipe"
)


def add(commands: Commands[Parser]) -> None:
    """Add the command."""
    command = commands.add_parser(
        "judge",
        help="judge what a kernel recorded of its allocators, or a history",
        description="Judge what a kernel recorded of its allocators, line by line, or a history of calls.",
    )
    command.add_argument("files", nargs="+", metavar="FILE", help=FORMATS)
    command.add_argument("--profile", default="", help="promises to judge by: a name or a .toml file")
    command.add_argument("--waive", default="", metavar="CLAUSE,…", help="clauses not to judge")
    command.add_argument("--json", metavar="FILE", help="write the verdict as JSON")
    gate_options(command)
    command.add_argument(
        "--html", metavar="FILE", help="write a page: live bytes over time, call sites, more"
    )
    command.add_argument(
        "--strict",
        action="store_true",
        help="take suspects as violations: what only events explain that the kernel does not emit",
    )
    command.add_argument(
        "--page-offset",
        type=_address,
        metavar="ADDRESS",
        help="where the direct map begins, such as 0xffff888000000000 (default: found in the trace)",
    )
    command.add_argument(
        "--whole",
        action="store_true",
        help="the trace begins before the first call and ends after the last: what is live at its end leaks",
    )
    command.add_argument(
        "--partial",
        action="store_true",
        help="events were filtered, by task, CPU or call site: what missing ones explain is a suspect",
    )
    command.add_argument(
        "--top", type=positive, default=10, metavar="N", help="call sites shown (default 10)"
    )
    command.examples(
        ("trace.txt", "judge what ftrace, `trace-cmd report` or `perf script` printed"),
        ("- --json verdict.json", "read a pipe, such as trace_pipe; Ctrl-C ends it, and nothing is lost"),
        ("trace.txt.gz --whole", "the machine was recorded from its start to its end: what is live leaks"),
    )
    command.set_defaults(run=judge)


def judge(arguments: argparse.Namespace) -> int:
    """Judge traces, each on its own."""
    try:
        options = Options(
            load(arguments.profile or "contract"),
            page_offset=arguments.page_offset,
            whole=arguments.whole,
            partial=arguments.partial,
            waived=waived_of(arguments.waive),
        )
    except (CouldNotRun, ProfileError) as error:
        write_report(arguments.json, recording.error_json(str(error)))
        tell_failure(arguments, str(error))
        return fail(str(error))
    summaries: list[Summary] = []
    said: list[str] = []
    message = ""
    notes: list[str] = []
    for name in arguments.files:
        try:
            summary = judge_file(name, options)
        except CannotRead as error:
            message = str(error)
            notes.append(message)
            fail(message)
            continue
        summaries.append(summary)
        lines = recording.lines(summary, arguments.strict, arguments.top)
        said.extend(lines)
        print("\n".join(lines), flush=True)
        if summary.stopped:
            notes.append(f"{summary.name}: {summary.stopped}; the verdict covers {summary.lines:,} lines")
            fail(notes[-1])
        if summary.stopped == "interrupted":
            break
    write_report(
        arguments.json,
        recording.as_json(summaries, arguments.strict) if summaries else recording.error_json(message),
    )
    broken = recording.is_broken(summaries, arguments.strict)
    status = VIOLATION if broken else COULD_NOT_RUN if notes else PASS
    tell(arguments, marks.of_traces(summaries, arguments.strict), status, notes)
    if arguments.html is not None:
        text = traces_page("violation" if broken else "pass", [plain(each) for each in summaries], said)
        try:
            page.write(arguments.html, text)
        except OSError as error:
            return fail(f"cannot write {arguments.html}: {error.strerror}")
    return status


def _address(given: str) -> int:
    """Return an address on a page."""
    try:
        address = int(given, 0)
    except ValueError:
        address = -1
    if not 0 <= address < 1 << 64 or address % 4096:
        raise argparse.ArgumentTypeError("must be an address that 4096 divides, such as 0xffff888000000000")
    return address
