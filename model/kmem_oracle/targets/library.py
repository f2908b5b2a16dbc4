"""Shared libraries as targets: the kernel's own symbols, found by name and called through ctypes.

Runs in the child process only: loading and calling foreign code may crash, hang or write anywhere.
"""

from __future__ import annotations

import _ctypes
import ctypes
from collections.abc import Callable
from typing import Final

from kmem_oracle.targets.access import Native
from kmem_oracle.targets.linked import DEEPBIND, own
from kmem_oracle.targets.native import MEMORY_FAIL_NTH, memory_function
from kmem_oracle.targets.opened import Function, Opened, Unusable
from kmem_oracle.targets.prototypes import UINT, WORD, Adapters, CType, Symbol, declare
from kmem_spec.apis import APIS, KERNEL_APIS

RESET: Final = "kmem_oracle_reset"
PROFILE: Final = "kmem_oracle_profile"
ON_SLEEP: Final = "kmem_oracle_on_sleep"
FAIL_NTH: Final = "kmem_oracle_fail_nth"
# What an allocator may have of its own under a name that this process has as well.
TWICE: Final = ("malloc", "calloc", "realloc", "free", "memalign", "posix_memalign", "sbrk", "mmap")
CALLBACK: Final = ctypes.CFUNCTYPE(None)
_PAGE_HELPERS: Final = ("page_address", "virt_to_page")
_SWITCHES: Final[tuple[tuple[str, str, tuple[CType, ...]], ...]] = (  # call, symbol, types of arguments
    ("fail_nth", FAIL_NTH, (UINT,)),
    ("preempt_disable", "preempt_disable", ()),
    ("preempt_enable", "preempt_enable", ()),
)


def open_library(path: str) -> Opened:
    """Load a library, reset it, and return its calls.

    Errors   Unusable
    """
    try:
        library = _loaded(path)
    except OSError as error:
        raise Unusable(f"{path}: not a shared library that can be loaded: {error}") from error
    symbols = _symbols(library)
    functions = _functions(symbols)
    if not functions:
        raise Unusable(f"{path}: exports none of the kernel's allocator calls ({', '.join(KERNEL_APIS)})")
    reset = _hook(library, RESET, None)
    if reset is not None:
        reset()
    profile = _hook(library, PROFILE, ctypes.c_char_p)
    name = b"" if profile is None else profile() or b""
    return Opened(
        functions,
        Native(),
        name.decode("utf-8", "replace"),
        watch=_watch(library),
        symbols={name: _address(function) for name, function in symbols.items()},
        hook=_address(_hook(library, ON_SLEEP, None, CALLBACK)),
    )


def _loaded(path: str) -> ctypes.CDLL:
    """Load a library; one with a malloc of its own so that its own calls come to that.

    Errors   OSError
    """
    library = ctypes.CDLL(path)
    if DEEPBIND and any(own(library, name) is not None for name in TWICE):
        _ctypes.dlclose(library._handle)
        library = ctypes.CDLL(path, mode=ctypes.DEFAULT_MODE | DEEPBIND)
    return library


def _symbols(library: ctypes.CDLL) -> dict[str, Symbol]:
    """Return the functions that the library has: the kernel's, what these need, and our hooks."""
    symbols: dict[str, Symbol] = {}
    for name in (*KERNEL_APIS, *_PAGE_HELPERS):
        function = own(library, name)
        if function is None:
            continue
        symbols[name] = function
        if name in _PAGE_HELPERS:
            function.argtypes, function.restype = [WORD], WORD
        else:
            declare(name, function)
    for name, hook, arguments in _SWITCHES:
        switch = _hook(library, hook, None, *arguments)
        if switch is not None:
            symbols[name] = switch
    of_memory = memory_function(MEMORY_FAIL_NTH)  # of a library without a hook of its own, the system's fails
    if of_memory is not None:
        of_memory.argtypes, of_memory.restype = (UINT,), None
        symbols.setdefault("fail_nth", of_memory)
    return symbols


def _functions(symbols: dict[str, Symbol]) -> dict[str, Function]:
    """Return the calls that can be made, and the driver's that there are hooks for if there are any."""
    adapters = Adapters(symbols)
    functions = {
        name: adapters.function(name) for name in KERNEL_APIS if symbols.keys() >= {name, *APIS[name].needs}
    }
    if functions:
        functions |= {name: symbols[name] for name, _, _ in _SWITCHES if name in symbols}
    return functions


def _address(function: Symbol | None) -> int:
    """Return the address of a function, 0 for none."""
    return 0 if function is None else ctypes.cast(function, ctypes.c_void_p).value or 0


def _watch(library: ctypes.CDLL) -> Callable[[Callable[[], None]], None] | None:
    """Return what registers a function that the library calls when it sleeps, None if it has none."""
    register = _hook(library, ON_SLEEP, None, CALLBACK)
    if register is None:
        return None
    kept: list[object] = []

    def watch(asleep: Callable[[], None]) -> None:
        kept.append(CALLBACK(asleep))
        register(kept[-1])

    return watch


def _hook(library: ctypes.CDLL, name: str, result: CType | None, *arguments: CType) -> Symbol | None:
    """Return a function of the library with its types, or None if it exports no such symbol."""
    function = own(library, name)
    if function is not None:
        function.argtypes, function.restype = arguments, result
    return function
