"""What a driver inside a kernel and its keeper tell each other, in memory that both see; see mailbox.h."""

from __future__ import annotations

import mmap
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from kmem_oracle.targets.access import LARGEST as LONGEST
from kmem_oracle.targets.access import PATTERN
from kmem_oracle.targets.opened import Unusable

SHARED: Final = 1 << 27  # bytes that are shared with a kernel: a power of two, as a virtual device has them
AT: Final = 1 << 26  # where the mailbox is: the parts of a worker lie before it
MOST_THREADS: Final = 16
_HEAD: Final = struct.Struct("<QQqQQQQ")  # bell, done, error, pattern, longest, arena, largest
_REQUEST: Final = struct.Struct(f"<QQ{MOST_THREADS}Q")  # base, threads, counts
_LENGTH: Final = struct.Struct("<Q")
TEXT_AT: Final = AT + _HEAD.size + _REQUEST.size + _LENGTH.size  # where the words of a driver are
_PATTERN_AT: Final = 1 << 16
_ARENA_AT: Final = _PATTERN_AT + (LONGEST + (2 << 16))


@dataclass(frozen=True, slots=True)
class Introduction:
    """What a driver says of its kernel.

    codes      the calls that it knows, each at the place of its code
    calls      those that the kernel has
    constants  by name; version is 0x601 for 6.1
    masks      numbers of the kernel's GFP masks
    """

    codes: tuple[str, ...]
    calls: frozenset[str]
    constants: dict[str, int]
    masks: dict[str, int]


def prepare(shared: mmap.mmap, largest: int) -> None:
    """Lay out the mailbox; the driver touches no object of more than `largest` bytes."""
    _HEAD.pack_into(shared, AT, 0, 0, 0, _PATTERN_AT, LONGEST, _ARENA_AT, largest)
    shared[AT + _PATTERN_AT : AT + _PATTERN_AT + len(PATTERN)] = PATTERN
    _LENGTH.pack_into(shared, TEXT_AT - _LENGTH.size, 0)


def ask(shared: mmap.mmap, base: int, counts: Sequence[int], *, threads: bool) -> None:
    """Write down which parts are to be run, from byte `base` on: side by side, or one alone."""
    padded = (*counts, *[0] * (MOST_THREADS - len(counts)))
    _REQUEST.pack_into(shared, AT + _HEAD.size, base, len(counts) if threads else 0, *padded)


def error_of(shared: mmap.mmap) -> int:
    """Return the number of the error with which the last request ended, 0 for none."""
    return -int(_HEAD.unpack_from(shared, AT)[2])


def introduction(shared: mmap.mmap) -> Introduction:
    """Return what the driver has written of itself.

    Errors   Unusable where that makes no sense
    """
    length = _LENGTH.unpack_from(shared, TEXT_AT - _LENGTH.size)[0]
    text = shared[TEXT_AT : TEXT_AT + length].decode("ascii", "replace")
    codes: list[str] = []
    calls: set[str] = set()
    numbers: dict[str, dict[str, int]] = {"constant": {}, "mask": {}}
    try:
        for line in text.splitlines():
            kind, name, value = line.split()
            if kind == "call":
                codes.append(name)
                if int(value):
                    calls.add(name)
            else:
                numbers[kind][name] = int(value)
    except (ValueError, KeyError) as error:
        raise Unusable(
            f"the kernel's driver introduces itself in words that are none of ours: {line!r}"
        ) from error
    if not codes or "version" not in numbers["constant"]:
        raise Unusable("the kernel's driver has not introduced itself")
    return Introduction(tuple(codes), frozenset(calls), numbers["constant"], numbers["mask"])
