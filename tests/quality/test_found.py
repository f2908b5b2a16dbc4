"""tests/FOUND.md: each script passes on the model, and shows what it says where the library is installed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from kmem_oracle.campaign.campaign import replay
from kmem_oracle.campaign.course import Budget
from kmem_oracle.language.script import parse
from kmem_oracle.targets.target import Target
from kmem_spec.clauses import CLAUSES

FOUND: Final = Path(__file__).parents[1] / "FOUND.md"
BLOCK: Final = re.compile(
    r"^```kmem\n# (?P<clause>\S+)(?: on malloc:(?P<library>\S+))?\n(?P<script>.*?)^```$", re.M | re.S
)
MODEL: Final = Target("model", "", "model")


@dataclass(frozen=True)
class Case:
    """A script: the clause that it breaks, on which packaged library or "", and its calls."""

    clause: str
    library: str
    script: str


CASES: Final = [
    Case(m["clause"], m["library"] or "", m["script"]) for m in BLOCK.finditer(FOUND.read_text("utf-8"))
]
PACKAGED: Final = [case for case in CASES if case.library]


def found_by(target: Target, case: Case) -> str:
    """Return the clause that a script breaks on a target, "" for none."""
    result = replay(target, parse(case.script), profile="", budget=Budget(), waived=frozenset())
    return "" if result.play is None or result.play.finding is None else result.play.finding.clause


def test_every_block_of_code_is_a_script() -> None:
    assert FOUND.read_text("utf-8").count("```kmem") == len(CASES) >= 20
    assert {case.clause for case in CASES} <= CLAUSES.keys()


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.clause}-{Path(case.library).name}")
def test_a_script_passes_on_the_model(case: Case) -> None:
    assert found_by(MODEL, case) == ""


@pytest.mark.needs("linux")
@pytest.mark.parametrize("case", PACKAGED, ids=lambda case: f"{case.clause}-{Path(case.library).name}")
def test_a_script_shows_it_on_the_packaged_library(case: Case) -> None:
    if not Path(case.library).exists():
        pytest.skip(f"not installed: {case.library}")
    assert found_by(Target("malloc", case.library, f"malloc:{case.library}"), case) == case.clause
