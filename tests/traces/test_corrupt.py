"""Corruption planted at seeded places: each kind is found at its line, in whatever trace."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from tests.traces import synthetic
from tests.traces.corrupt import PLANTS, Planted, Trace
from tests.traces.telling import Told

from kmem_oracle.traces.reading import Options, judge_file
from kmem_oracle.traces.summary import Summary
from kmem_spec.profile import load

Plant = Callable[[Trace, Random], Planted]


def check(summary: Summary, planted: Planted) -> None:
    """See that the planted error is found at its line, as surely as it can be."""
    found = [
        each for each in summary.findings if each.line == planted.line and each.clause in planted.clauses
    ]
    assert found, f"line {planted.line}: {[(each.line, each.clause) for each in summary.findings][:10]}"
    if planted.sure:
        assert found[0].certainty == "violation"
    else:
        assert found[0].certainty == "suspect" or summary.of("violation") == found


@pytest.mark.parametrize("plant", PLANTS)
def test_a_piece_of_a_recorded_trace(told: Told, piece: list[str], plant: Plant) -> None:
    trace = Trace(piece)
    for seed in range(3):
        planted = plant(trace, Random(seed))
        check(told(*planted.lines, profile="linux-6.1"), planted)


@pytest.mark.parametrize("plant", PLANTS)
def test_a_machine(told: Told, plant: Plant) -> None:
    trace = Trace(synthetic.ftrace(synthetic.machine_events(11, 2500, skip=100)))
    for seed in range(3):
        planted = plant(trace, Random(seed))
        check(told(*planted.lines, profile="linux-6.1"), planted)


def test_the_piece_itself_is_legal(told: Told, piece: list[str]) -> None:
    for profile in ("contract", "linux-6.1"):
        summary = told(*piece, profile=profile)
        assert summary.of("violation") == []
        assert len(summary.findings) * 100 <= summary.lines
        assert summary.page_offset == 0xFFFF888000000000


def test_the_recorded_trace_is_legal(recorded: Path) -> None:
    summary = judge_file(str(recorded), Options(load("linux-6.1")))
    assert summary.lines == 200_000
    assert summary.of("violation") == []
    assert len(summary.findings) * 100 <= summary.lines
    assert summary.further == 0
    assert summary.garbled == 0


def test_the_recorded_trace_with_all_plants(
    recorded: Path, recorded_lines: list[str], tmp_path: Path
) -> None:
    assert recorded.is_file()
    trace = Trace(recorded_lines)
    file = tmp_path / "planted.txt"
    for seed, plant in enumerate(PLANTS):
        planted = plant(trace, Random(seed))
        file.write_text("\n".join(planted.lines) + "\n", encoding="utf-8")
        check(judge_file(str(file), Options(load("linux-6.1"))), planted)
