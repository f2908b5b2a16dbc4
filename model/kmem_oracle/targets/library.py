"""Shared libraries as targets: the kernel's own symbols, found by name and called through ctypes.

Runs in the child process only: loading and calling foreign code may crash, hang or write anywhere.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Final

from kmem_spec.apis import APIS, KERNEL_APIS, Parameter

_TYPES: Final[dict[Parameter, type[ctypes.c_uint64 | ctypes.c_uint32]]] = {
    "size": ctypes.c_uint64,
    "count": ctypes.c_uint64,
    "pointer": ctypes.c_uint64,
    "gfp": ctypes.c_uint32,
    "order": ctypes.c_uint32,
}
HOOKS: Final = ("kmem_oracle_reset", "kmem_oracle_profile", "kmem_oracle_on_sleep")


class Unusable(Exception):
    """A target that cannot be used; the message is one line that says why and what to do."""


def load(path: str) -> tuple[dict[str, Callable[..., int | None]], str]:
    """Return the library's functions by kernel name, and the profile it names ("" for none).

    Errors   Unusable
    """
    try:
        library = ctypes.CDLL(path)
    except OSError as error:
        raise Unusable(f"{path}: not a shared library that can be loaded: {error}") from error
    functions: dict[str, Callable[..., int | None]] = {}
    for name in KERNEL_APIS:
        function = _symbol(library, name)
        if function is None:
            continue
        api = APIS[name]
        function.argtypes = [_TYPES[parameter] for parameter in api.parameters]
        function.restype = None if api.role == "free" else ctypes.c_uint64
        functions[name] = function
    if not functions:
        raise Unusable(f"{path}: exports none of the kernel's allocator calls ({', '.join(KERNEL_APIS)})")
    reset = _symbol(library, HOOKS[0])
    if reset is not None:
        reset.argtypes, reset.restype = [], None
        reset()
    profile = _symbol(library, HOOKS[1])
    if profile is None:
        return functions, ""
    profile.argtypes, profile.restype = [], ctypes.c_char_p
    name_given = profile()
    return functions, name_given.decode("utf-8", "replace") if name_given else ""


def _symbol(library: ctypes.CDLL, name: str) -> ctypes._NamedFuncPointer | None:
    """Return a function of the library, or None if it exports no such symbol."""
    try:
        return library[name]
    except AttributeError:
        return None
