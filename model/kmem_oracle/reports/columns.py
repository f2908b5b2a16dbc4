"""What threads did around a violation, side by side: a column for each thread, time going down."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from kmem_oracle.language.render import line_of_each
from kmem_oracle.threads.campaign import AGAIN, Threaded
from kmem_spec.gfp import NAMES_6_1

WIDTH: Final = 36  # characters of a thread's column
MOST: Final = 4  # threads that have columns; where there are more, each line names its thread


def lines(play: Threaded, names: Mapping[str, int] = NAMES_6_1) -> list[str]:
    """Return the calls around a violation; `*` marks those that it is about."""
    calls = line_of_each([row.op for row in play.rows], names)
    begin = min((row.begin for row in play.rows), default=0)
    threads = sorted({row.thread for row in play.rows})
    in_columns = len(threads) <= MOST
    head = (
        f"  threads  the calls around it; a violation came again in {play.again} of {AGAIN} runs of the phase"
    )
    shown = [head]
    if in_columns:
        titles = "".join(f"  {_name(thread):{WIDTH}}" for thread in threads)
        shown.append(f"    {'µs':>19}{titles}".rstrip())
    for place, (row, call) in enumerate(zip(play.rows, calls, strict=True)):
        mark = "*" if place in play.marked else " "
        when = f"{(row.begin - begin) / 1000:9.3f}-{(row.end - begin) / 1000:9.3f}"
        if in_columns:
            before = " " * ((WIDTH + 2) * threads.index(row.thread))
            shown.append(f"    {when}{before} {mark}{call}")
        else:
            shown.append(f"    {when} {mark}{_name(row.thread):9} {call}")
    return shown


def _name(thread: int) -> str:
    """Return what a thread is called."""
    return "alone" if thread < 0 else f"thread {thread}"


def as_json(play: Threaded) -> dict[str, object]:
    """Return the calls around a violation."""
    calls = line_of_each([row.op for row in play.rows])
    return {
        "again": play.again,
        "of": AGAIN,
        "calls": [
            {
                "thread": row.thread,
                "begin_ns": row.begin,
                "end_ns": row.end,
                "call": call,
                "marked": place in play.marked,
            }
            for place, (row, call) in enumerate(zip(play.rows, calls, strict=True))
        ],
    }
