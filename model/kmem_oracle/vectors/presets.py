"""The machines that vectors are for: a toy, and what documentation and versions of Linux promise."""

from __future__ import annotations

from dataclasses import asdict
from functools import cache
from importlib import resources
from typing import Final

from kmem_spec.profile import Profile, load, parse, shipped

TOY: Final = "toy"


@cache
def presets() -> dict[str, Profile]:
    """Return the profile of each preset: the toy first, then those that are shipped."""
    text = (resources.files(__package__) / f"{TOY}.toml").read_text(encoding="utf-8")
    return {TOY: parse(text, TOY)} | {name: load(name) for name in shipped()}


def preset_line(profile: Profile) -> dict[str, int | str]:
    """Return the constants of a preset, flat."""
    values = asdict(profile) | {"promises": " ".join(sorted(profile.promises))}
    return {"preset": values.pop("name")} | values
