"""A violation as a pytest function, which plays the script again and asserts that nothing is found."""

from __future__ import annotations

from pathlib import Path

from kmem_oracle.campaign.result import Result
from kmem_oracle.language.render import lines_of
from kmem_spec.clauses import CLAUSES
from kmem_spec.gfp import NAMES


def pytest_function(result: Result, name: str, profile: str) -> str:
    """Return a module with one test of that name; `profile` is what `load` knows the profile by."""
    assert result.play is not None
    assert result.play.finding is not None
    finding = result.play.finding
    clause = CLAUSES[finding.clause]
    target = result.target
    if Path(target).is_file():
        target = str(Path(target).resolve())
    script = "\n".join(lines_of(result.play.told, NAMES[result.profile.gfp]))
    names, waived = ("CALLER, replay", ", waived=CALLER") if clause.who == "allocator" else ("replay", "")
    return f'''# {clause.id}: {clause.sentence}
# Source   {clause.source}
# Seen     {finding.message}
# On another target: pytest FILE --kmem-target=TARGET
import pytest

from kmem_oracle.campaign.conformance import {names}

TARGET = {target!r}
PROFILE = {profile!r}
SCRIPT = """
{script}
"""


def {name}(pytestconfig: pytest.Config) -> None:
    for target in pytestconfig.getoption("kmem_target", None) or [TARGET]:
        found = replay(SCRIPT, target, profile=PROFILE{waived})
        assert found is None, found
'''
