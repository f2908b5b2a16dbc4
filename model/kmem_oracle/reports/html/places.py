"""Addresses as a page has them: numbers that scripts hold exactly; regions far apart are moved together."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from typing import Final

from kmem_spec.units import PAGE_SIZE, round_up

FAR: Final = 1 << 30  # bytes; a gap as large as this is not drawn to scale anyway
BETWEEN: Final = 1 << 20
LONGEST: Final = 1 << 46  # bytes of one extent; no machine has more


class Places:
    """Where the used parts of memory are in a page's own numbering."""

    def __init__(self, extents: Iterable[tuple[int, int]]) -> None:
        """Lay out all that may be asked about: starts, and lengths in bytes."""
        ends: list[tuple[int, int]] = []
        for start, length in sorted(extents):
            begin, end = start - start % PAGE_SIZE, start + min(length, LONGEST)
            if ends and begin < ends[-1][1] + FAR:
                ends[-1] = (ends[-1][0], max(ends[-1][1], end))
            else:
                ends.append((begin, end))
        self._bases = [begin for begin, _ in ends]
        self._at: list[int] = []
        following = 0
        for begin, end in ends:
            self._at.append(following)
            following = round_up(following + end - begin + BETWEEN, BETWEEN)

    def of(self, address: int) -> int:
        """Return the place of an address, which is within one of the extents."""
        part = bisect_right(self._bases, address) - 1
        return self._at[part] + address - self._bases[part]

    def table(self) -> list[list[object]]:
        """Return where each part is, and the address that it begins at."""
        return [[at, f"{base:x}"] for at, base in zip(self._at, self._bases, strict=True)]
