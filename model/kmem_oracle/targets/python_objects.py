"""Python objects as targets: a class or a mapping with the kernel's calls as methods over integers.

Runs in the worker's child only: what the object does, also as it is imported, it does there.
"""

from __future__ import annotations

import importlib
import importlib.util
import operator
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Final, SupportsIndex

from kmem_oracle.targets.access import Access
from kmem_oracle.targets.by_bytes import ByBytes, Unseen
from kmem_oracle.targets.line_calls import HIGHEST_BYTES, SETTINGS
from kmem_oracle.targets.lines import shown
from kmem_oracle.targets.opened import Function, Gone, Opened, Unusable
from kmem_spec.apis import APIS, KERNEL_APIS
from kmem_spec.units import SIZE_MAX

SIGNED: Final = frozenset({"adjust", "compute"})  # roles of calls whose result may be negative
SMALL: Final = frozenset({"measure", "describe"})  # roles of calls whose result is a number of bytes
Method = Callable[..., object]


def open_python(name: str) -> Opened:
    """Import a module, call what is named there, and return the calls of what it gives.

    `name` is package.module:factory or path/to/file.py:factory; what is no function is taken as it is.
    Errors   Unusable
    """
    label = f"python:{name}"
    where, _, path = name.rpartition(":")
    if not where or not path:
        raise Unusable(f"{label}: names no object: write python:package.module:factory")
    try:
        made: object = _module(where)
        for part in path.split("."):
            made = getattr(made, part)
        if callable(made):
            made = made()
    except BaseException as error:  # what a target raises is its own affair, whatever it is
        raise Unusable(f"{label}: loading it {raised(error)}") from error
    functions = {
        name: _guarded(name, method, label)
        for name in (*KERNEL_APIS, *SETTINGS)
        if (method := _method(made, name)) is not None
    }
    if not functions.keys() & set(KERNEL_APIS):
        raise Unusable(f"{label}: {shown(type(made).__name__)} has none of the kernel's calls (kmalloc, …)")
    profile = _attribute(made, "profile")
    on_sleep = _method(made, "on_sleep")

    def watch(asleep: Callable[[], None]) -> None:
        if on_sleep is not None:
            on_sleep(asleep)

    access = _access(_attribute(made, "access"), label)
    return Opened(
        functions,
        access,
        profile if isinstance(profile, str) else "",
        watch=None if on_sleep is None else watch,
        seen=not isinstance(access, Unseen),
    )


def _module(where: str) -> ModuleType:
    """Import a module by its name, or from a file."""
    if not where.endswith(".py"):
        return importlib.import_module(where)
    file = Path(where).resolve()
    sys.path.insert(0, str(file.parent))  # what lies beside it, it may import
    spec = importlib.util.spec_from_file_location(f"target_{file.stem}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _attribute(made: object, name: str) -> object:
    """Return what an object or a mapping has by a name, None for nothing.

    Inside a class, Python gives another name to what begins with two underscores.
    """
    if isinstance(made, Mapping):
        return made.get(name)
    if name.startswith("__"):
        for base in type(made).__mro__:
            found: object = getattr(made, f"_{base.__name__.lstrip('_')}{name}", None)
            if found is not None:
                return found
    return getattr(made, name, None)


def _method(made: object, name: str) -> Method | None:
    """Return a function that an object or a mapping has by a name, None for none."""
    found = _attribute(made, name)
    return found if callable(found) else None


def _access(given: object, label: str) -> Access:
    """Return access to memory through an object that reads and writes; to none where there is none."""
    if given is None:
        return Unseen()
    read, write = _method(given, "read"), _method(given, "write")
    if read is None or write is None:
        raise Unusable(f"{label}: its access has no read(start, length) and write(start, data)")

    def reading(start: int, length: int) -> bytes:
        data = _run(read, start, length)
        if not isinstance(data, bytes | bytearray | memoryview) or len(data) != length:
            raise Unusable(f"{label}: access.read of {length} bytes gave {shown(repr(data))}")
        return bytes(data)

    def writing(start: int, data: bytes) -> None:
        _run(write, start, data)

    return ByBytes(reading, writing)


def _guarded(name: str, method: Method, label: str) -> Function:
    """Return a call whose result is what it must be, and whose exceptions are findings."""
    role = APIS[name].role
    lowest = -1 << 31 if role in SIGNED else 0
    highest = HIGHEST_BYTES if role in SMALL else SIZE_MAX

    def checked(result: object) -> int:
        if result is None:
            return 0
        value = operator.index(result) if isinstance(result, SupportsIndex) else -1 << 64
        if not lowest <= value <= SIZE_MAX:
            raise Unusable(f"{label}: {name} returned {shown(repr(result))}, which it cannot return")
        return min(value, highest)

    def run(*args: object) -> int:
        return checked(_run(method, *args))

    def run_bulk(*args: object) -> list[int]:
        result = _run(method, *args)
        if not isinstance(result, list | tuple | None):
            raise Unusable(f"{label}: {name} returned {shown(repr(result))}, which is no list")
        return [checked(item) for item in result or ()]

    return run_bulk if role == "bulk" else run


def _run(method: Method, *args: object) -> object:
    """Call a method of the target.

    Errors   Gone where it raises
    """
    try:
        return method(*args)
    except (Gone, Unusable):
        raise
    except BaseException as error:  # it is the target's, whatever it is, and a finding
        raise Gone(raised(error)) from error


def raised(error: BaseException) -> str:
    """Return that an exception was raised, and where, in a few words on one line."""
    trace, place = error.__traceback__, ""
    while trace is not None:
        place = f" ({Path(trace.tb_frame.f_code.co_filename).name}, line {trace.tb_lineno})"
        trace = trace.tb_next
    words = " ".join(str(error).split())
    return f"raised {type(error).__name__}{f': {words}' if words else ''}{place}"
