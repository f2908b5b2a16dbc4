"""The driver of libraries in C: compiled on first use if there is a compiler, and kept in the user's cache.

It does what `kmem_oracle.targets.driver` does, some ten times as fast. KMEM_ORACLE_DRIVER=python keeps it
away.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import functools
import hashlib
import mmap
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from kmem_oracle.targets.access import LARGEST, PATTERN
from kmem_spec.gfp import ZERO

FOLDER: Final = Path(__file__).parent
FLAGS: Final = ("-std=c11", "-O2", "-fPIC", "-shared", "-pthread")
CHOICE: Final = "KMEM_ORACLE_DRIVER"
MEMORY_FAIL_NTH: Final = "kmem_oracle_memory_fail_nth"
COUNTS: Final = "kmem_oracle_memory_counts"
_POINTER: Final = ctypes.c_void_p


def compiler() -> list[str]:
    """Return the compiler's command, $CC or cc, empty where there is none."""
    command = shlex.split(os.environ.get("CC", "cc"))
    return command if command and shutil.which(command[0]) else []


@functools.lru_cache(maxsize=1)
def compiled() -> Path | None:
    """Return the driver as a shared library, or None where it is not wanted or cannot be made."""
    command = compiler()
    if os.environ.get(CHOICE, "c") != "c" or not command:
        return None
    return build("driver.c", command)


def build(source: str, command: list[str]) -> Path | None:
    """Return a source of this folder as a shared library, or None if it cannot be made.

    It is named by a hash of all that goes into it, so that what is unchanged is compiled once.
    """
    content = hashlib.sha256(repr((command, FLAGS, platform.machine(), platform.libc_ver())).encode())
    for path in (FOLDER / source, *sorted(FOLDER.glob("*.h"))):
        content.update(path.read_bytes())
    name = f"{Path(source).stem}-{content.hexdigest()[:16]}.so"
    for folder in _folders():
        result = folder / name
        try:
            if result.exists():
                return result
            folder.mkdir(parents=True, exist_ok=True)
            if os.statvfs(folder).f_flag & os.ST_NOEXEC:
                continue
            with tempfile.TemporaryDirectory(dir=folder) as scratch:
                made = Path(scratch) / name
                line = [*command, *FLAGS, "-o", str(made), str(FOLDER / source)]
                done = subprocess.run(line, capture_output=True, check=False)
                if done.returncode != 0:
                    return None
                made.replace(result)
        except OSError:  # no home, or one that cannot be written
            continue
        return result
    return None


def _folders() -> Iterator[Path]:
    """Yield where a library may be kept: the user's cache, else a folder that ends with this process."""
    with contextlib.suppress(RuntimeError):  # nobody knows a home
        yield Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kmem-oracle"
    with contextlib.suppress(OSError):
        yield _scratch()


@functools.lru_cache(maxsize=1)
def _scratch() -> Path:
    """Return a folder of this process alone.

    Errors   OSError
    """
    folder = tempfile.mkdtemp(prefix="kmem-oracle-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


@functools.lru_cache(maxsize=1)
def failing() -> Path | None:
    """Return the library that makes memory from the system fail, None where it cannot be made."""
    if compiled() is None or sys.platform != "linux":
        return None
    return build("fail.c", compiler())


def memory_function(name: str) -> ctypes._NamedFuncPointer | None:
    """Return a function of that library, None where this process was started without it."""
    try:
        return ctypes.CDLL(None)[name]
    except AttributeError:
        return None


def names(library: ctypes.CDLL) -> tuple[str, ...]:
    """Return the calls that a driver knows, each at the place of its code."""
    function = library.kmem_oracle_name
    function.argtypes, function.restype = [ctypes.c_uint], ctypes.c_char_p
    found: list[str] = []
    while name := function(len(found)):
        found.append(name.decode())
    return tuple(found)


class NativeDriver:
    """The driver in C over one target, in the target's own process."""

    def __init__(
        self,
        library: ctypes.CDLL,
        memory: mmap.mmap,
        symbols: Mapping[str, int],
        largest: int,
        watch: int,
    ) -> None:
        """Write records into `memory`; `symbols` are addresses of functions, `watch` that of a hook or 0."""
        make, bind, hook = library.kmem_oracle_driver, library.kmem_oracle_bind, library.kmem_oracle_watch
        make.argtypes = [_POINTER, ctypes.c_char_p, ctypes.c_uint64, ctypes.c_uint64, ctypes.c_uint]
        make.restype = _POINTER
        bind.argtypes, bind.restype = [_POINTER, ctypes.c_char_p, _POINTER], ctypes.c_bool
        hook.argtypes, hook.restype = [_POINTER, _POINTER], None
        self._memory = ctypes.addressof(ctypes.c_ubyte.from_buffer(memory))
        self._driver: int = make(self._memory, PATTERN, LARGEST, largest, ZERO)
        part_forks = library.kmem_oracle_part_forks
        part_forks.argtypes, part_forks.restype = [_POINTER, ctypes.c_uint64], None
        part_forks(self._driver, len(memory))
        for name, address in symbols.items():
            if not bind(self._driver, name.encode(), address):
                raise AssertionError(f"the driver in C knows no {name}")
        if watch:
            hook(self._driver, watch)
        counts = memory_function(COUNTS)
        if counts is not None:
            count_by = library.kmem_oracle_count_by
            count_by.argtypes, count_by.restype = [_POINTER, _POINTER], None
            count_by(self._driver, ctypes.cast(counts, _POINTER))
        run, run_threads = library.kmem_oracle_run, library.kmem_oracle_run_threads
        run.argtypes, run.restype = [_POINTER, ctypes.c_uint64, ctypes.c_uint64], None
        self._run: Callable[[int, int, int], None] = run
        words = ctypes.POINTER(ctypes.c_uint64)
        run_threads.argtypes = [_POINTER, ctypes.c_uint64, words, ctypes.c_uint64]
        run_threads.restype = ctypes.c_int
        self._run_threads = run_threads

    def run(self, base: int, count: int) -> None:
        """Run the calls of the part at byte `base`."""
        self._run(self._driver, base, count)

    def run_threads(self, base: int, counts: Sequence[int]) -> None:
        """Run the calls of the parts from byte `base` on, each in a thread.

        Errors   OSError where a thread cannot be made
        """
        error = self._run_threads(self._driver, base, (ctypes.c_uint64 * len(counts))(*counts), len(counts))
        if error:
            raise OSError(error, os.strerror(error))
