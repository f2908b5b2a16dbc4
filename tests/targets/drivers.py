"""Build the drivers of this folder: targets as processes, each in a file of its own.

As in `build`, a program is named by a hash of all that goes into it, and is never built twice.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from tests.targets.build import HERE, compiler

C_FLAGS: Final = ("-std=c11", "-O1", "-Wall", "-Wextra", "-Werror", "-pthread")
RUST_FLAGS: Final = ("--edition", "2021", "-O", "-D", "warnings")
PYTHON: Final = f"{sys.executable} {HERE / 'driver.py'}"
BAD: Final = f"{sys.executable} {HERE / 'bad' / 'process.py'}"  # and how it is bad


def in_c(fault: str = "", *, directory: Path) -> Path:
    """Return the driver in C over the kmem library, compiled with a fault by name."""
    switches = [f"-DFAULT=FAULT_{fault}"] if fault else []
    sources = [HERE / "driver.c", HERE / "kmem.c"]
    return _built([*compiler(), *C_FLAGS, *switches], sources, sorted(HERE.glob("kmem*.h")), directory)


def in_rust(*, directory: Path) -> Path:
    """Return the driver in Rust with its own allocator."""
    return _built(["rustc", *RUST_FLAGS], [HERE / "driver.rs"], [], directory)


def _built(command: list[str], sources: list[Path], headers: list[Path], directory: Path) -> Path:
    content = hashlib.sha256(repr(command).encode())
    for path in (*sources, *headers):
        content.update(path.read_bytes())
    result = directory / f"{sources[0].name.replace('.', '-')}-{content.hexdigest()[:16]}"
    if not result.exists():
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=directory) as scratch:
            made = Path(scratch) / result.name
            subprocess.run([*command, "-o", str(made), *map(str, sources)], check=True)
            made.replace(result)
    return result
