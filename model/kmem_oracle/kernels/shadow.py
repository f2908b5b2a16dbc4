"""A shadow of a kernel's tree: links to all that is in it, and the driver's folder besides.

The tree itself stays as it is, whoever owns it and whatever was built in it; what is changed in it is seen at
the next build.
"""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Final

NATIVE: Final = Path(__file__).parents[1] / "targets" / "native"
LINUX: Final = Path(__file__).parents[1] / "targets" / "linux"
PLACE: Final = Path("drivers/misc")
NAME: Final = "kmem_oracle"
# What a build in the tree leaves there: kbuild would not build elsewhere beside it.
LEFT_OVER: Final = (
    ".config",
    "include/config",
    "include/generated",
    "arch/x86/include/generated",
    "arch/um/include/generated",
)
SHARED: Final = (
    "target.h",
    "driver.h",
    "memory.h",
    "hands.h",
    "calls.h",
    "constructors.h",
    "calls_cache.h",
    "run.h",
)


def driver_hash() -> str:
    """Return a hash of all that the driver is made of."""
    content = hashlib.sha256()
    for path in _driver_files().values():
        content.update(path.read_bytes())
    return content.hexdigest()[:16]


def _driver_files() -> dict[str, Path]:
    """Return the files of the driver by where they go in its folder."""
    files = {
        path.name: path
        for path in sorted(LINUX.iterdir())
        if path.suffix in {".c", ".h"} and path.name != "init.c"
    }
    files["Makefile"] = LINUX / "Makefile"
    return files | {f"native/{name}": NATIVE / name for name in SHARED}


def lay_driver(folder: Path) -> None:
    """Lay the driver's files into a folder; one that is there already and the same is left alone."""
    for name, path in _driver_files().items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        content = path.read_bytes()
        if not place.is_file() or place.read_bytes() != content:
            place.write_bytes(content)


def lay(tree: Path, shadow: Path) -> None:
    """Make, or bring up to date, the shadow of a tree.

    Errors   OSError
    """
    _links(tree.resolve(), shadow, [PLACE, *(Path(name).parent for name in LEFT_OVER)])
    for name in LEFT_OVER:
        _drop(shadow / name)
    folder = shadow / PLACE
    makefile = (tree / PLACE / "Makefile").read_text(encoding="utf-8", errors="surrogateescape")
    _drop(folder / "Makefile")
    (folder / "Makefile").write_text(
        f"{makefile}\nobj-y += {NAME}/\n", encoding="utf-8", errors="surrogateescape"
    )
    lay_driver(folder / NAME)


def _links(tree: Path, shadow: Path, own: list[Path]) -> None:
    """Link all of a folder; folders on the way to one of `own` are folders themselves."""
    shadow.mkdir(parents=True, exist_ok=True)
    there = {path.name for path in tree.iterdir()}
    for path in shadow.iterdir():
        if path.name not in there and path.name != NAME:
            _drop(path)
    for path in tree.iterdir():
        below = [Path(*part.parts[1:]) for part in own if part.parts[:1] == (path.name,)]
        link = shadow / path.name
        if below and path.is_dir():
            if link.is_symlink():
                link.unlink()
            _links(path, link, below)
        elif not link.is_symlink() or link.readlink() != path:
            _drop(link)
            link.symlink_to(path)


def _drop(path: Path) -> None:
    """Remove what is there, if anything is."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
