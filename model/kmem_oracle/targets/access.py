"""Bytes of the process's own memory, for targets that are libraries: fill, compare, look for zeroes.

A view over the whole address space costs nothing until it is touched; touching what is not mapped is
the crash that the caller of these functions is prepared for.
"""

from __future__ import annotations

import ctypes
import random
from typing import Final, Protocol

ADDRESS_END: Final = 1 << 47
LOWEST: Final = 1 << 12  # nobody maps the first page
PHASES: Final = 1 << 16
LARGEST: Final = 1 << 22  # bytes compared or filled at a time
_NO_ZERO: Final = bytes([0xA5, *range(1, 256)])  # dirty memory must show where zeroes are promised
PATTERN: Final = random.Random(0x6B6D656D).randbytes(LARGEST + PHASES).translate(_NO_ZERO)
ZEROES: Final = bytes(LARGEST)
FEW: Final = 1 << 12  # bytes up to which a copy to compare costs less than a call of memcmp


def phase(identifier: int) -> int:
    """Return where in the pattern the contents of an object begin; neighbours differ."""
    return identifier * 40503 & (PHASES - 1)


class Access(Protocol):
    """How a driver reaches the memory that a target hands out."""

    def reachable(self, start: int, length: int) -> bool:
        """Say whether the extent could be memory of the target at all."""

    def fill(self, start: int, length: int, identifier: int) -> None:
        """Write the pattern of an object over an extent."""

    def changed(self, start: int, length: int, identifier: int) -> int:
        """Return the offset of the first byte that differs from the object's pattern, or -1."""

    def nonzero(self, start: int, begin: int, end: int) -> int:
        """Return the offset from `start` of the first byte from `begin` to `end` that is not zero, or -1."""

    def read(self, start: int, length: int) -> bytes:
        """Return the bytes of an extent."""

    def write(self, start: int, data: bytes) -> None:
        """Set the bytes from `start` on."""


def first_difference(one: bytes, two: bytes) -> int:
    """Return the index of the first byte that differs, or -1."""
    if one == two:
        return -1
    low, high = 0, len(one)
    while high - low > 1:
        middle = (low + high) // 2
        if one[low:middle] == two[low:middle]:
            low = middle
        else:
            high = middle
    return low


class Native:
    """This process's own memory."""

    def __init__(self) -> None:
        """Lay a view over the address space; nothing is read."""
        whole = (ctypes.c_ubyte * ADDRESS_END).from_address(0)
        self._bytes = memoryview(whole).cast("B")
        self._pattern = memoryview(PATTERN)
        # the addresses of two constants, which outlive this object
        self._pattern_at = ctypes.cast(ctypes.c_char_p(PATTERN), ctypes.c_void_p).value or 0
        self._zeroes_at = ctypes.cast(ctypes.c_char_p(ZEROES), ctypes.c_void_p).value or 0
        self._compare = ctypes.CDLL(None).memcmp
        self._compare.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t]

    def reachable(self, start: int, length: int) -> bool:
        """Say whether the extent lies in the user half of the address space."""
        return start >= LOWEST and start + length <= ADDRESS_END

    def fill(self, start: int, length: int, identifier: int) -> None:
        """Write the pattern of an object over an extent."""
        at = identifier * 40503 & (PHASES - 1)
        if length <= LARGEST:
            self._bytes[start : start + length] = self._pattern[at : at + length]
            return
        for piece in range(0, length, LARGEST):
            self.fill(start + piece, min(LARGEST, length - piece), identifier)

    def changed(self, start: int, length: int, identifier: int) -> int:
        """Return the offset of the first byte that differs from the object's pattern, or -1."""
        at = identifier * 40503 & (PHASES - 1)
        if FEW < length <= LARGEST and self._compare(start, self._pattern_at + at, length) == 0:
            return -1
        if length <= LARGEST:
            seen = self._bytes[start : start + length].tobytes()
            if seen == self._pattern[at : at + length].tobytes():
                return -1
            return first_difference(seen, PATTERN[at : at + length])
        for piece in range(0, length, LARGEST):
            offset = self.changed(start + piece, min(LARGEST, length - piece), identifier)
            if offset >= 0:
                return piece + offset
        return -1

    def nonzero(self, start: int, begin: int, end: int) -> int:
        """Return the offset from `start` of the first byte from `begin` to `end` that is not zero, or -1."""
        for at in range(begin, end, LARGEST):
            stop = min(end, at + LARGEST)
            if stop - at > FEW and self._compare(start + at, self._zeroes_at, stop - at) == 0:
                continue
            seen = self._bytes[start + at : start + stop].tobytes()
            offset = first_difference(seen, ZEROES[: stop - at])
            if offset >= 0:
                return at + offset
        return -1

    def read(self, start: int, length: int) -> bytes:
        """Return the bytes of an extent."""
        return self._bytes[start : start + length].tobytes()

    def write(self, start: int, data: bytes) -> None:
        """Set the bytes from `start` on."""
        self._bytes[start : start + len(data)] = data
