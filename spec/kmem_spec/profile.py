"""Profiles: which promises a target makes, and its constants.

A profile is a TOML file; those shipped lie in `profiles/` and are meant to be copied. Every line is
optional: what is left out is as in `contract`.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields
from importlib import resources
from pathlib import Path
from typing import Final

from kmem_spec.clauses import CLAUSES, CONTRACT, Clause
from kmem_spec.units import ADDRESS_BITS, MAX_ORDER, PAGE_SHIFT, PAGE_SIZE, is_power_of_two

PROMISES: Final = frozenset({CONTRACT, "linux-2.6", "linux-6.1", "linux-6.12", "size-classes"})
GFP: Final = ("6.1", "6.12")
ORDERS: Final = ADDRESS_BITS - PAGE_SHIFT


class ProfileError(ValueError):
    """A profile that cannot be used; the message says what, where and what to do."""


@dataclass(frozen=True, slots=True)
class Profile:
    """The promises of a target.

    promises        names of promises; a clause is in force if it names one of them
    gfp             version whose GFP numbers the target uses: "6.1" or "6.12"
    minimum_align   ARCH_KMALLOC_MINALIGN in bytes
    kmalloc_max     KMALLOC_MAX_SIZE in bytes
    max_order       largest order, inclusive
    smallest_class  KMALLOC_MIN_SIZE in bytes, for profiles that promise size classes
    merge_order     largest order of pages that freeing everything makes available again; lists of free
                    pages that each processor keeps for itself may hold back larger ones
    dma_end         first address beyond ZONE_DMA, 0 where addresses tell nothing about zones
    dma32_end       likewise for ZONE_DMA32
    vmalloc_max     bytes that no vmalloc serves more than: there is neither memory nor space for them
    cache_line      bytes, what SLAB_HWCACHE_ALIGN aligns to
    """

    name: str = CONTRACT
    promises: frozenset[str] = frozenset({CONTRACT})
    gfp: str = "6.1"
    minimum_align: int = 8
    kmalloc_max: int = PAGE_SIZE << MAX_ORDER
    max_order: int = MAX_ORDER
    smallest_class: int = 8
    merge_order: int = MAX_ORDER
    dma_end: int = 0
    dma32_end: int = 0
    vmalloc_max: int = 1 << 45
    cache_line: int = 64

    def clauses(self) -> tuple[Clause, ...]:
        """Return the clauses in force."""
        return tuple(clause for clause in CLAUSES.values() if clause.promises & self.promises)


def shipped() -> list[str]:
    """Return the names of the profiles that come with the package."""
    folder = resources.files("kmem_spec") / "profiles"
    return sorted(
        entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml")
    )


def load(name: str) -> Profile:
    """Return the shipped profile of that name, or the one in the file of that path.

    Errors   ProfileError, in one line
    """
    if name in shipped():
        text = (resources.files("kmem_spec") / "profiles" / f"{name}.toml").read_text(encoding="utf-8")
        return parse(text, name)
    path = Path(name)
    if path.suffix != ".toml":
        raise ProfileError(f"unknown profile {name!r}: give one of {', '.join(shipped())}, or a .toml file")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ProfileError(f"profile {name}: cannot be read: {error}") from error
    return parse(text, path.stem)


def parse(text: str, name: str) -> Profile:
    """Return the profile that `text` holds.

    Errors   ProfileError for what is no TOML, an unknown line, a value of the wrong type or out of range
    """
    try:
        given = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ProfileError(f"profile {name}: not TOML: {error}") from error
    known = {field.name for field in fields(Profile)}
    values: dict[str, object] = {"name": name}
    for key, value in given.items():
        if key not in known:
            raise ProfileError(f"profile {name}: unknown line {key!r}; known are {', '.join(sorted(known))}")
        values[key] = _typed(name, key, value)
    profile = Profile(**values)  # type: ignore[arg-type]  # _typed checked each value against the field
    for wrong, message in _rules(profile):
        if wrong:
            raise ProfileError(f"profile {name}: {message}")
    return profile


def _rules(profile: Profile) -> tuple[tuple[bool, str], ...]:
    """Return what can be wrong with values of the right types: whether it is, and how to say it."""
    unknown = ", ".join(sorted(profile.promises - PROMISES))
    return (
        (profile.gfp not in GFP, f"gfp is {profile.gfp!r}; known are {' and '.join(map(repr, GFP))}"),
        (bool(unknown), f"unknown promise {unknown}; known are {', '.join(sorted(PROMISES))}"),
        (CONTRACT not in profile.promises, f"promises lack {CONTRACT!r}, which every profile makes"),
        (not is_power_of_two(profile.minimum_align), "minimum_align is no power of two"),
        (not is_power_of_two(profile.smallest_class), "smallest_class is no power of two"),
        (not is_power_of_two(profile.cache_line), "cache_line is no power of two"),
        (not 0 < profile.vmalloc_max < 1 << ADDRESS_BITS, "vmalloc_max is not from 1 to 2^64 - 1"),
        (
            not 0 < profile.kmalloc_max < 1 << ADDRESS_BITS,
            f"kmalloc_max is not from 1 to 2^{ADDRESS_BITS} - 1",
        ),
        (profile.max_order >= ORDERS, f"max_order is not below {ORDERS}"),
    )


def _typed(name: str, key: str, value: object) -> object:
    """Return `value` if it is of the type that the line `key` wants."""
    if key == "promises":
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return frozenset(value)
        raise ProfileError(f"profile {name}: promises is a list of strings")
    if key in {"name", "gfp"}:
        if isinstance(value, str):
            return value
        raise ProfileError(f"profile {name}: {key} is a string")
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise ProfileError(f"profile {name}: {key} is a number, 0 or more")
