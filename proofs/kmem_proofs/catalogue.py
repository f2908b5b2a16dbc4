"""All obligations, and the manifest that says which there must be.

A proof that is not run says nothing, and nothing looks much like green: so every name is written down.
"""

from __future__ import annotations

from importlib.resources import files

import kmem_spec.judge  # noqa: F401  # declares every clause, for the reports
from kmem_proofs import (
    area,
    construct,
    constructed,
    gfp,
    layout,
    ledger,
    marks,
    masks,
    objects,
    page,
    pairs,
    places,
    requests,
    slab,
    small,
    units,
)
from kmem_proofs.obligations import Obligation

MODULES = (
    units,
    layout,
    ledger,
    gfp,
    page,
    area,
    slab,
    objects,
    construct,
    constructed,
    small,
    masks,
    pairs,
    marks,
    places,
    requests,
)


def catalogue() -> dict[str, Obligation]:
    """Return every obligation by its name."""
    found: dict[str, Obligation] = {}
    for module in MODULES:
        for obligation in module.obligations():
            if obligation.name in found:
                raise ValueError(f"obligation {obligation.name} is declared twice")
            found[obligation.name] = obligation
    return found


def homes() -> dict[str, str]:
    """Return the module that declares each obligation."""
    return {each.name: module.__name__ for module in MODULES for each in module.obligations()}


def slowest() -> list[str]:
    """Return the names of some that take long, the longest first; it is only where to begin."""
    return files("kmem_proofs").joinpath("slowest.txt").read_text("utf-8").split()


def manifest() -> list[str]:
    """Return the names that there must be."""
    return files("kmem_proofs").joinpath("manifest.txt").read_text("utf-8").split()
