"""The page of `verify`: every obligation with its level, its mutants and its time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from kmem_oracle.reports.html.page import page
from kmem_spec.clauses import CLAUSES

SCRIPTS: Final = ("tables.js", "proofs.js")


def proofs_page(answer: Mapping[str, object], report: Sequence[str]) -> str:
    """Return the page of a run of `verify`; `answer` is what its JSON report has, `report` what it said."""
    sentences = {clause.id: clause.sentence for clause in CLAUSES.values()}
    data = {**answer, "page": "proofs", "sentences": sentences}
    return page(f"{answer['verdict']} · verify · kmem-oracle", report, data, SCRIPTS)
