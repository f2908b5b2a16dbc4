"""What a kernel prints on its console: which of it is a complaint, and which complaints it owes its caller.

Source   lib/bug.c, mm/slub.c: slab_bug, mm/page_alloc.c: warn_alloc, mm/vmalloc.c
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

TAIL: Final = 25  # lines of a console that are shown
_STAMP: Final = re.compile(r"^(<\d>)?(\[ *\d+\.\d+\] ?)?(\[ *T\d+\] ?)?")
_COMPLAINT: Final = re.compile(
    r"^(WARNING: |BUG[: ]|INFO: |kernel BUG |Slab 0x|.*page allocation failure|vmalloc error)"
)
_TROUBLE: Final = re.compile(r"BUG|Kernel panic|mode fault|general protection|invoked oom-killer")
_NUMBERS: Final = re.compile(r"0x[0-9a-f]+|(?<=pfn:)[0-9a-f]+|(?<![-\w])\d+\b")
# What a kernel says of legal calls that it refuses, by what stands in the line.
OWED: Final = (
    ("page allocation failure", "a request that may fail found no memory"),
    ("vmalloc error", "an area for which there is no memory, or no space"),
    ("__vmalloc_node_range", "vmalloc of nothing, or of more than there is"),
    ("__alloc_pages", "an order above the maximum"),
    ("get_page_from_freelist", "__GFP_NOFAIL for a block above order 1"),
    ("kvmalloc_node", "more than INT_MAX bytes"),
)


def complaints(printed: Iterable[str]) -> tuple[str, ...]:
    """Return the lines in which a kernel complains, without numbers that differ from time to time."""
    found = []
    for text in printed:
        for line in text.splitlines():
            words = _STAMP.sub("", line)
            if _COMPLAINT.match(words):
                found.append(_without_numbers(words))
    return tuple(found)


def _without_numbers(line: str) -> str:
    """Return a complaint as it is each time: of a warning, the place and the function."""
    if line.startswith("WARNING: "):
        place = re.search(r" at (\S+) (\S+?)(\+|$)", line)
        if place is not None:
            return f"WARNING at {place[1]} {place[2]}"
    return _NUMBERS.sub("#", line)[:160]


def owed(complaint: str) -> str:
    """Return why a kernel owes its caller a complaint, empty where it does not."""
    return next((why for words, why in OWED if words in complaint), "")


def is_error(complaint: str) -> bool:
    """Say whether a complaint is of an error in the kernel's memory, and not one that is owed."""
    return complaint.startswith(("BUG", "kernel BUG", "WARNING at mm/")) and not owed(complaint)


def tail(console: str) -> list[str]:
    """Return the lines of a console that tell most: from the first complaint or panic on, and the last."""
    lines = [line.rstrip() for line in console.splitlines() if line.strip()]
    first = next((at for at, line in enumerate(lines) if _TROUBLE.search(line)), max(0, len(lines) - TAIL))
    return lines[first : first + TAIL - 1] + lines[max(first + TAIL - 1, len(lines) - 1) :]
