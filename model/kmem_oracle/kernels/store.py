"""Where built kernels are kept: a folder each, in the user's cache or where KMEM_ORACLE_CACHE says."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from kmem_oracle.targets.target import CouldNotRun

IMAGE: Final = "linux"
ABOUT: Final = "kernel.json"


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel that can be booted.

    name      what `linux:NAME` calls it
    how       "uml": a program of the host; "qemu": a stock kernel with its module, in a virtual machine
    version   as the kernel itself says it
    source    what it was built from
    driver    a hash of the driver's sources, which must be those of today
    options   that were set when it was configured, or that it is booted with
    """

    name: str
    how: str
    version: str
    source: str
    driver: str
    options: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """Return where its files are."""
        return kept() / self.name

    @property
    def image(self) -> Path:
        """Return the file that boots."""
        return self.folder / IMAGE


def cache() -> Path:
    """Return the folder for what can be made again."""
    given = os.environ.get("KMEM_ORACLE_CACHE")
    if given:
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kmem-oracle"


def kept() -> Path:
    """Return the folder of all built kernels."""
    return cache() / "kernels"


def keep(kernel: Kernel) -> None:
    """Write down what a folder holds, last of all: a kernel without it is none.

    Errors   OSError
    """
    (kernel.folder / ABOUT).write_text(json.dumps(asdict(kernel), indent=1) + "\n", encoding="utf-8")


def every() -> list[Kernel]:
    """Return all built kernels, by name."""
    kernels = (_read(folder) for folder in sorted(kept().glob("*")))
    return [kernel for kernel in kernels if kernel is not None]


def find(name: str) -> Kernel:
    """Return a built kernel by its name, or by the path of its image.

    Errors   CouldNotRun
    """
    folder = Path(name).resolve().parent if "/" in name else kept() / name
    kernel = _read(folder)
    if kernel is None:
        known = ", ".join(each.name for each in every()) or "none yet"
        raise CouldNotRun(
            f"linux:{name}: no such kernel; built are: {known}; `kmem-oracle kernel build` makes one"
        )
    return kernel


def _read(folder: Path) -> Kernel | None:
    """Return the kernel in a folder, None where there is none that is whole."""
    try:
        about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        kernel = Kernel(**about | {"options": tuple(about["options"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return kernel if (folder / IMAGE).is_file() else None
