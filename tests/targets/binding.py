"""The kmem library under Python names, through ctypes, in this process."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path
from typing import Final

GFP_KERNEL: Final = 0xCC0
GFP_ATOMIC: Final = 0xA20
ZERO: Final = 0x100
ZERO_SIZE_PTR: Final = 16

Kind = type[ctypes.c_size_t] | type[ctypes.c_uint] | type[ctypes.c_void_p] | type[ctypes.c_ulong]

_SIZE: Final = ctypes.c_size_t
_UINT: Final = ctypes.c_uint
_POINTER: Final = ctypes.c_void_p
_ULONG: Final = ctypes.c_ulong


class Kmem:
    """One loaded library. Addresses are integers, NULL is 0."""

    def __init__(self, path: Path) -> None:
        library = ctypes.CDLL(str(path))
        self.has_ksize = hasattr(library, "ksize")
        self._kmalloc = _typed(library, "kmalloc", _POINTER, _SIZE, _UINT)
        self._kzalloc = _typed(library, "kzalloc", _POINTER, _SIZE, _UINT)
        self._kmalloc_array = _typed(library, "kmalloc_array", _POINTER, _SIZE, _SIZE, _UINT)
        self._kcalloc = _typed(library, "kcalloc", _POINTER, _SIZE, _SIZE, _UINT)
        self._krealloc = _typed(library, "krealloc", _POINTER, _POINTER, _SIZE, _UINT)
        self._kfree = _typed(library, "kfree", None, _POINTER)
        self._ksize = _typed(library, "ksize", _SIZE, _POINTER) if self.has_ksize else None
        self._get_free_pages = _typed(library, "__get_free_pages", _ULONG, _UINT, _UINT)
        self._get_zeroed_page = _typed(library, "get_zeroed_page", _ULONG, _UINT)
        self._free_pages = _typed(library, "free_pages", None, _ULONG, _UINT)
        self._reset = _typed(library, "kmem_oracle_reset", None)

    def kmalloc(self, size: int, gfp: int = GFP_KERNEL) -> int:
        return self._kmalloc(size, gfp) or 0

    def kzalloc(self, size: int, gfp: int = GFP_KERNEL) -> int:
        return self._kzalloc(size, gfp) or 0

    def kmalloc_array(self, count: int, size: int, gfp: int = GFP_KERNEL) -> int:
        return self._kmalloc_array(count, size, gfp) or 0

    def kcalloc(self, count: int, size: int, gfp: int = GFP_KERNEL) -> int:
        return self._kcalloc(count, size, gfp) or 0

    def krealloc(self, address: int, size: int, gfp: int = GFP_KERNEL) -> int:
        return self._krealloc(address, size, gfp) or 0

    def kfree(self, address: int) -> None:
        self._kfree(address)

    def ksize(self, address: int) -> int | None:
        """Return the usable size, or None where the library does not tell."""
        return None if self._ksize is None else int(self._ksize(address) or 0)

    def get_free_pages(self, order: int, gfp: int = GFP_KERNEL) -> int:
        return self._get_free_pages(gfp, order) or 0

    def get_zeroed_page(self, gfp: int = GFP_KERNEL) -> int:
        return self._get_zeroed_page(gfp) or 0

    def free_pages(self, address: int, order: int) -> None:
        self._free_pages(address, order)

    def reset(self) -> None:
        self._reset()


def pattern(owner: int, size: int) -> bytes:
    """Return `size` bytes that hardly any other owner has, none of them zero."""
    word = (owner * 0x9E3779B97F4A7C15 | 0x0101010101010101) & (2**64 - 1)
    return (word.to_bytes(8, "little") * (size // 8 + 1))[:size]


def write(address: int, content: bytes) -> None:
    """Copy bytes to an address."""
    ctypes.memmove(address, content, len(content))


def read(address: int, size: int) -> bytes:
    """Copy bytes from an address."""
    return ctypes.string_at(address, size)


def _typed(
    library: ctypes.CDLL, name: str, result: Kind | None, *arguments: Kind
) -> Callable[..., int | None]:
    function = library[name]
    function.restype = result
    function.argtypes = arguments
    return function
