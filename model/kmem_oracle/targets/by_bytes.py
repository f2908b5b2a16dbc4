"""Memory that is reached by reading and writing bytes: patterns, comparisons and zeroes over these two.

The pattern of an object is a part of one sequence of bytes, which begins again after PERIOD of them: so one
period says what any object of any size is full of. PERIOD is a prime, so that nothing that moves by whole
words, pages or blocks finds its own pattern again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kmem_oracle.targets.access import PATTERN, ZEROES, first_difference

PERIOD: Final = 65_521  # bytes
ADDRESS_END: Final = 1 << 64
_TWICE: Final = PATTERN[:PERIOD] * 2
CONTENTS: Final = frozenset(  # clauses of which nothing is seen where no memory is
    {
        "MEM-KEEP",
        "MEM-ZERO",
        "GFP-ZERO",
        "SLAB-COPY",
        "SLAB-REALLOC-KEEP",
        "SLAB-REALLOC-ZERO",
        "SLAB-REALLOC-FAIL",
        "CACHE-CTOR",
        "VM-CONTENTS",
        "VM-REALLOC-KEEP",
        "VM-REALLOC-ZERO",
        "VM-REALLOC-FAIL",
    }
)
Read = Callable[[int, int], bytes]
Write = Callable[[int, bytes], None]


def pattern(identifier: int, length: int) -> bytes:
    """Return the first bytes of an object's pattern, PERIOD at most."""
    at = identifier * 40503 % PERIOD  # neighbours differ
    return _TWICE[at : at + min(length, PERIOD)]


class ByBytes:
    """Access to memory through two functions: one reads so many bytes at an address, one writes some."""

    def __init__(self, read: Read, write: Write) -> None:
        """Reach memory by these functions."""
        self.read = read
        self.write = write

    def reachable(self, start: int, length: int) -> bool:
        """Say whether the extent is a part of the address space."""
        return start > 0 and start + length <= ADDRESS_END

    def fill(self, start: int, length: int, identifier: int) -> None:
        """Write the pattern of an object over an extent."""
        for at in range(0, length, PERIOD):
            self.write(start + at, pattern(identifier, length - at))

    def changed(self, start: int, length: int, identifier: int) -> int:
        """Return the offset of the first byte that differs from the object's pattern, or -1."""
        for at in range(0, length, PERIOD):
            due = pattern(identifier, length - at)
            offset = first_difference(self.read(start + at, len(due)), due)
            if offset >= 0:
                return at + offset
        return -1

    def nonzero(self, start: int, begin: int, end: int) -> int:
        """Return the offset from `start` of the first byte from `begin` to `end` that is not zero, or -1."""
        for at in range(begin, end, PERIOD):
            length = min(PERIOD, end - at)
            offset = first_difference(self.read(start + at, length), ZEROES[:length])
            if offset >= 0:
                return at + offset
        return -1


class Unseen:
    """Memory that cannot be reached: only its addresses are known."""

    def reachable(self, _start: int, _length: int) -> bool:
        """Say that nothing can be reached."""
        return False

    def fill(self, _start: int, _length: int, _identifier: int) -> None:
        """Write nothing."""

    def changed(self, _start: int, _length: int, _identifier: int) -> int:
        """See no difference."""
        return -1

    def nonzero(self, _start: int, _begin: int, _end: int) -> int:
        """See no byte that is not zero."""
        return -1

    def read(self, _start: int, _length: int) -> bytes:
        """Return nothing."""
        return b""

    def write(self, _start: int, _data: bytes) -> None:
        """Write nothing."""
