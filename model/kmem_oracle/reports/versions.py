"""The versions of what a verdict may depend on."""

from __future__ import annotations

import platform
from importlib import metadata
from typing import Final

SOLVERS: Final = ("z3-solver", "cvc5", "crosshair-tool")


def lines() -> list[str]:
    """Return a line for this program, then one for each solver."""
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return [f"kmem-oracle {metadata.version('kmem-oracle')} ({python})", *(_line(name) for name in SOLVERS)]


def _line(name: str) -> str:
    """Return what is installed under that name."""
    try:
        return f"{name} {metadata.version(name)}"
    except metadata.PackageNotFoundError:
        return f"{name} is not installed: pip install 'kmem-oracle[proofs]'"
