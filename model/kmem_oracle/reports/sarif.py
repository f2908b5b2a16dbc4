"""Findings as SARIF 2.1.0, the form in which GitHub and others take them (OASIS, Static Analysis Results
Interchange Format, 27 March 2020).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Final
from urllib.parse import quote

from kmem_oracle.reports.marks import Mark, Place, file_of
from kmem_spec.clauses import CLAUSES

VERSION: Final = "2.1.0"
SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"
SAME: Final = "clauseCallTarget/v1"  # a fingerprint of what does not change from run to run


def log(marks: Sequence[Mark], status: int, notes: Sequence[str] = ()) -> dict[str, object]:
    """Return the log of one run of a command.

    `status` is its exit status; `notes` say what could not be run.
    """
    ids = sorted({mark.clause for mark in marks})
    names = {place.name for mark in marks for place in (mark.place, *mark.others)}
    files = {name: file_of(name) for name in names}  # asked once: a trace may have 100,000 findings
    invocation: dict[str, object] = {"executionSuccessful": status in (0, 1), "exitCode": status}
    if notes:
        invocation["toolExecutionNotifications"] = [
            {"level": "error", "message": {"text": _clean(note)}} for note in notes
        ]
    driver = {
        "name": "kmem-oracle",
        "version": metadata.version("kmem-oracle"),
        "rules": [_rule(clause) for clause in ids],
    }
    run = {
        "tool": {"driver": driver},
        "invocations": [invocation],
        "results": [_result(mark, ids.index(mark.clause), files) for mark in marks],
    }
    return {"$schema": SCHEMA, "version": VERSION, "runs": [run]}


def _rule(identifier: str) -> dict[str, object]:
    """Return a clause as a rule."""
    clause = CLAUSES[identifier]
    return {
        "id": clause.id,
        "shortDescription": {"text": clause.sentence},
        "fullDescription": {"text": f"{clause.sentence} Owed by the {clause.who}."},
        "help": {
            "text": f"{clause.sentence}\nSource: {clause.source}\nMore: kmem-oracle clauses {clause.id}"
        },
        "properties": {"source": clause.source, "who": clause.who},
    }


def _result(mark: Mark, rule: int, files: Mapping[str, str | None]) -> dict[str, object]:
    """Return a finding as a result; `rule` is the place of its clause among the rules."""
    result: dict[str, object] = {
        "ruleId": mark.clause,
        "ruleIndex": rule,
        "kind": "fail",
        "level": mark.level,
        "message": {"text": _clean(mark.message)},
        "locations": [_location(mark.place, files)],
    }
    if mark.others:
        result["relatedLocations"] = [_location(place, files) for place in mark.others]
    if mark.same:
        joined = "\0".join(mark.same).encode("utf-8", "backslashreplace")
        result["partialFingerprints"] = {SAME: hashlib.sha256(joined).hexdigest()}
    if mark.script:
        result["properties"] = {"script": [_clean(line) for line in mark.script]}
    return result


def _location(place: Place, files: Mapping[str, str | None]) -> dict[str, object]:
    """Return where a finding is; what is no file is named as if it were one, as GitHub asks for one."""
    path = files[place.name]
    physical: dict[str, object] = {"artifactLocation": {"uri": _uri(place.name, path)}}
    if place.line is not None:
        physical["region"] = {"startLine": place.line}
    location: dict[str, object] = {"physicalLocation": physical}
    if path is None:
        location["logicalLocations"] = [{"name": _clean(place.name)}]
    return location


def _uri(name: str, path: str | None) -> str:
    """Return a relative reference, or an absolute one of a file outside the checkout."""
    escaped = quote(os.fsencode(name if path is None else path))
    return f"file://{escaped}" if path is not None and path.startswith("/") else escaped


def _clean(text: str) -> str:
    """Return foreign text as UTF-8 can hold it: what stands for a stray byte is spelt out."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
