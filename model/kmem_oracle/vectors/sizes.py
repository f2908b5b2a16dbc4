"""Sizes in bytes that scripts ask for: around the classes of kmalloc, beyond them, and more than there is."""

from __future__ import annotations

from typing import Final

SIZES: Final = (
    1,
    7,
    8,
    9,
    13,
    16,
    24,
    63,
    64,
    65,
    96,
    97,
    100,
    128,
    192,
    193,
    256,
    512,
    777,
    1024,
    1025,
    4096,
)
LARGE: Final = (4097, 8192, 8193, 20000, 32768)
HUGE: Final = (40000, 131073, 1 << 20, 4 << 20)
IMPOSSIBLE: Final = ("2**47", "2**63", "2**64 - 4096", "2**64 - 1")
