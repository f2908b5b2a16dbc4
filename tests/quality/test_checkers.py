"""The table of checkers.md and the scenarios behind it: each clause is found, each legal use admitted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.cover.judging import PROFILES
from tests.quality.checkers import HISTORIES, LEGAL, TRACES, line_of
from tests.traces.telling import BASE, brief

from kmem_oracle.traces.reading import Options, judge_file
from kmem_spec.clauses import CLAUSES
from kmem_spec.profile import load

TABLE = Path(__file__).with_name("checkers.md")
NOT_HERE = "-"


@dataclass(frozen=True)
class Row:
    """A row of the table."""

    entry: str
    history: str
    trace: str
    remark: str


def rows() -> list[Row]:
    """Return the rows of all its tables."""
    cells = [
        [cell.strip() for cell in line.strip("|\n").split("|")]
        for line in TABLE.read_text(encoding="utf-8").splitlines()
        if line.startswith("| ") and not line.startswith("| entry")
    ]
    return [Row(*row) for row in cells]


ROWS = rows()


def test_the_table_and_the_scenarios_are_the_same() -> None:
    assert len({row.entry for row in ROWS if row.entry != "test_double_free"}) >= 100
    for row in ROWS:
        history = HISTORIES[row.entry].clause if row.entry in HISTORIES else NOT_HERE
        clause, certainty, _ = TRACES.get(row.entry, (NOT_HERE, "", []))
        assert (row.history, row.trace) == (history, clause + ", suspect" * (certainty == "suspect")), (
            row.entry
        )
        assert {history, clause} - {NOT_HERE, LEGAL} <= set(CLAUSES)
        if NOT_HERE in (row.history, row.trace):
            assert row.remark, f"{row.entry}: why not?"
    assert set(HISTORIES) | set(TRACES) == {row.entry for row in ROWS} & (set(HISTORIES) | set(TRACES))


@pytest.mark.parametrize("entry", HISTORIES)
def test_histories(tmp_path: Path, entry: str) -> None:
    scenario = HISTORIES[entry]
    head = f'{{"kmem-oracle-history": 1, "ends": {str(scenario.ends).lower()}}}'
    file = tmp_path / "history.jsonl"
    file.write_text("\n".join([head, *map(line_of, scenario.events)]) + "\n", encoding="utf-8")
    summary = judge_file(str(file), Options(PROFILES[scenario.profile]))
    assert (summary.kind, summary.count, summary.garbled) == ("history", len(scenario.events), 0)
    found = [(each.clause, each.certainty) for each in summary.findings]
    assert found == ([] if scenario.clause == LEGAL else [(scenario.clause, "violation")])
    if not scenario.ends and scenario.clause not in (LEGAL, "GFP-NOFAIL"):
        assert summary.findings[0].line == len(scenario.events) + 1


@pytest.mark.parametrize("entry", TRACES)
def test_traces(tmp_path: Path, entry: str) -> None:
    clause, certainty, lines = TRACES[entry]
    file = tmp_path / "trace.txt"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    options = Options(load("contract"), page_offset=BASE, whole=clause == "CALLER-LEAK")
    found = brief(judge_file(str(file), options).findings)
    if clause == LEGAL:
        assert found == []
    else:
        ((seen, sure, line, _),) = found
        at = len(lines) - 1 if clause == "GFP-NOFAIL" else len(lines)
        assert (seen, sure, line) == (clause, certainty, at)
