"""Where the scripts of the tour are: in the package, or beside it in a clone of the project."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import kmem_spec

PREFIX: Final = "tour:"
_PLACES: Final = (Path(__file__).parents[1] / "tour", Path(kmem_spec.__file__).parents[1] / "tour")


def lesson_names() -> list[str]:
    """Return the names of the scripts of the tour."""
    return sorted({path.stem for folder in _PLACES for path in folder.glob("*.kmem")})


def path_of(script: str) -> Path:
    """Return the file that a name stands for: `tour:NAME`, or its path.

    Errors   OSError for a script that the tour does not have
    """
    if not script.startswith(PREFIX):
        return Path(script)
    name = script.removeprefix(PREFIX)
    for folder in _PLACES:
        if name in lesson_names() and (folder / f"{name}.kmem").exists():
            return folder / f"{name}.kmem"
    raise FileNotFoundError(f"the tour has {', '.join(lesson_names())}")
