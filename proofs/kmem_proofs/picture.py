"""A state before and after a call as a small picture in text."""

from __future__ import annotations

from collections.abc import Mapping
from math import gcd
from typing import Final

from kmem_proofs.case import State

WIDTH: Final = 64  # characters of a bar
LENGTHS: Final = ("free", "used", "areas", "spans")  # tables of a start and a length


def picture(was: State, became: State) -> list[str]:
    """Return the picture: a bar of each table of ranges, then each entry and number that is there."""
    if not was:
        return []
    return [*_bars(was, became), *_rows(was, became)]


def _ranges(state: State) -> dict[str, Mapping[int, int]]:
    """Return the tables of ranges."""
    return {
        name: part for name, part in state.items() if name in LENGTHS and isinstance(part, Mapping) and part
    }


def _bars(was: State, became: State) -> list[str]:
    """Return a bar of each table, before and after; none where there is too much to show."""
    ends = [
        (start, start + length)
        for state in (was, became)
        for table in _ranges(state).values()
        for start, length in table.items()
        if length > 0
    ]
    if not ends:
        return []
    low, high = min(start for start, _ in ends), max(end for _, end in ends)
    unit = gcd(*(point - low for pair in ends for point in pair)) or 1
    if (high - low) // unit > WIDTH:
        return []
    lines = [f"{'':8} from {low} to {high}, {unit} to a character"]
    for title, state in (("before", was), ("after", became)):
        for name, table in _ranges(state).items():
            cells = ["."] * ((high - low) // unit)
            for start, length in sorted(table.items()):
                for at in range((start - low) // unit, (start + length - low) // unit):
                    first = at == (start - low) // unit
                    cells[at] = "#" if cells[at] != "." else "[" if first else "="
            lines.append(f"{title:8} {name:8} {''.join(cells)}")
    return lines


def _rows(was: State, became: State) -> list[str]:
    """Return a line for each number and each entry: before, after, and whether that is a change."""
    rows: list[tuple[str, str, str]] = []
    for name, old in was.items():
        new = became.get(name, "?")
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            for key in sorted({*old, *new}):
                rows.append((f"{name}[{key}]", str(old.get(key, "-")), str(new.get(key, "-"))))
        else:
            rows.append((name, str(old), str(new)))
    widths = [max([len(row[column]) for row in rows] + [6]) for column in range(3)]
    lines = [f"{'':{widths[0]}}  {'before':>{widths[1]}}  {'after':>{widths[2]}}"]
    for name, one, other in rows:
        mark = "" if one == other else "   <- changed"
        lines.append(f"{name:{widths[0]}}  {one:>{widths[1]}}  {other:>{widths[2]}}{mark}")
    return lines
