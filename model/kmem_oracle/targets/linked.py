"""Symbols of one shared object alone: a search by name goes on into the libraries that it is linked to."""

from __future__ import annotations

import ctypes
import os
from typing import Final

DEEPBIND: Final[int] = getattr(os, "RTLD_DEEPBIND", 0)  # a library's own calls come to itself first
_LINK_MAP: Final = 2  # RTLD_DI_LINKMAP: dlinfo tells what the loader knows of an object


class _LinkMap(ctypes.Structure):
    """The beginning of struct link_map."""

    _fields_ = (("base", ctypes.c_void_p), ("name", ctypes.c_char_p))


class _Place(ctypes.Structure):
    """Dl_info: the object that an address belongs to, and the symbol before it."""

    _fields_ = (
        ("file", ctypes.c_char_p),
        ("base", ctypes.c_void_p),
        ("symbol", ctypes.c_char_p),
        ("address", ctypes.c_void_p),
    )


def _told_by_loader() -> tuple[ctypes._NamedFuncPointer, ctypes._NamedFuncPointer] | None:
    """Return dlinfo and dladdr, None where the system has not both."""
    here = ctypes.CDLL(None)
    try:
        dlinfo, dladdr = here["dlinfo"], here["dladdr"]
    except AttributeError:
        return None
    dlinfo.argtypes, dlinfo.restype = [ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p], ctypes.c_int
    dladdr.argtypes, dladdr.restype = [ctypes.c_void_p, ctypes.c_void_p], ctypes.c_int
    return dlinfo, dladdr


_LOADER: Final = _told_by_loader()  # before any fork


def own(library: ctypes.CDLL, name: str) -> ctypes._NamedFuncPointer | None:
    """Return a function that the library itself defines, or None.

    Where the system does not tell who defines it, what the library or what it is linked to has counts.
    """
    try:
        function = library[name]
    except AttributeError:
        return None
    files = _files(library, function)
    return function if files is None or files[0] == files[1] else None


def _files(library: ctypes.CDLL, function: ctypes._NamedFuncPointer) -> tuple[bytes, bytes] | None:
    """Return the file of a library and the one that defines the function, as the loader names them."""
    if _LOADER is None:
        return None
    dlinfo, dladdr = _LOADER
    found, place = ctypes.POINTER(_LinkMap)(), _Place()
    address = ctypes.cast(function, ctypes.c_void_p)
    told = dlinfo(library._handle, _LINK_MAP, ctypes.byref(found)) == 0
    if not told or dladdr(address, ctypes.byref(place)) == 0:
        return None
    return found.contents.name or b"", place.file or b""
