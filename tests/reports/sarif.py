"""What SARIF 2.1.0 asks of a log: the required properties of what we write, and the values it allows."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import urlsplit

LEVELS: Final = {"none", "note", "warning", "error"}
Node = dict[str, Any]  # what JSON holds is of any type


@dataclass(frozen=True)
class Log:
    """A log that keeps the rules, and its parts."""

    run: Node

    @property
    def results(self) -> list[Node]:
        return cast("list[Node]", self.run["results"])

    @property
    def rules(self) -> list[Node]:
        return cast("list[Node]", self.run["tool"]["driver"]["rules"])

    @property
    def invocation(self) -> Node:
        (invocation,) = self.run["invocations"]
        return cast("Node", invocation)

    def places(self) -> list[tuple[str, int | None]]:
        """Return where the results point."""
        physical = [result["locations"][0]["physicalLocation"] for result in self.results]
        return [
            (each["artifactLocation"]["uri"], each.get("region", {}).get("startLine")) for each in physical
        ]


def read(path: Path) -> Log:
    """Return a log, after a look at each rule of the standard that concerns what we write."""
    log = json.loads(path.read_text(encoding="utf-8"))
    assert log["version"] == "2.1.0"
    assert set(log) == {"$schema", "version", "runs"}
    (run,) = log["runs"]
    driver = run["tool"]["driver"]
    assert driver["name"] == "kmem-oracle"
    assert driver["version"]
    ids = [rule["id"] for rule in driver["rules"]]
    assert len(ids) == len(set(ids))
    for rule in driver["rules"]:
        assert all(rule[part]["text"] for part in ("shortDescription", "fullDescription", "help"))
    for result in run["results"]:
        assert ids[result["ruleIndex"]] == result["ruleId"]
        assert result["level"] in LEVELS
        assert result["kind"] == "fail"  # another kind would need the level "none"
        assert result["message"]["text"]
        assert result["locations"], "GitHub takes no result without one"
        for location in (*result["locations"], *result.get("relatedLocations", ())):
            look_at_location(location)
    for invocation in run["invocations"]:
        assert isinstance(invocation["executionSuccessful"], bool)
        for notification in invocation.get("toolExecutionNotifications", ()):
            assert notification["level"] in LEVELS
            assert notification["message"]["text"]
    return Log(run)


def look_at_location(location: Node) -> None:
    """Assert that a location has a reference as RFC 3986 has it, and counts lines from 1."""
    physical = location["physicalLocation"]
    uri = physical["artifactLocation"]["uri"]
    assert uri.isascii()
    assert not set(uri) & set(' "<>\\^`{|}')
    assert urlsplit(uri).scheme in ("", "file")
    assert physical.get("region", {"startLine": 1})["startLine"] >= 1
