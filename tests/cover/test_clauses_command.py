"""`kmem-oracle clauses`: the list, all about one, and what there is not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kmem_oracle.cli import main
from kmem_oracle.learn.chapters import sections
from kmem_oracle.reports.about import registry
from kmem_proofs import known


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["clauses", *arguments]) == 0
    return capsys.readouterr().out


def test_the_list_has_every_clause_once_and_whom_it_binds(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys).splitlines()
    assert sorted(line.split()[0] for line in lines) == sorted(registry())
    binds = {line.split()[0]: line.split()[1] for line in lines}
    assert binds["MEM-APART"] == "allocator"
    assert binds["CALLER-LEAK"] == "caller"
    assert binds["PAGE-WHOLE"] == "within"


def test_a_family_is_listed_alone(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, "vm", "KV").splitlines()
    assert {line.partition("-")[0] for line in lines} == {"VM", "KV"}
    assert len(lines) == sum(clause.partition("-")[0] in ("VM", "KV") for clause in registry())


@pytest.mark.parametrize("clause", ["MEM-APART", "VM-ZERO-SIZE", "PAGE-WATERMARK", "SLAB-CLASS"])
def test_all_about_a_clause_is_said(clause: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = " ".join(printed(capsys, clause.lower()).split())
    section = sections()[clause]
    assert text.startswith(f"{clause}: {' '.join(registry()[clause].sentence.split())}")
    assert registry()[clause].source in text
    for line in [*section.example.splitlines(), *section.broken[0].history.splitlines()]:
        assert " ".join(line.split()) in text
    proved = known.of_clause(clause)
    assert all(f"{each.name} (level {each.level}," in text for each in proved)
    assert bool(proved) != (f"proved no: {section.unproved}" in text)
    assert "positive, " in text
    assert all(path in text for path in section.facts["tested"].split(", "))


def test_several_are_said_one_behind_the_other(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, "VM-ZERO-SIZE", "CALLER-ORDER")
    assert text.index("VM-ZERO-SIZE: ") < text.index("\n\nCALLER-ORDER: ")


def test_the_json_says_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "clauses.json"
    printed(capsys, "SLAB-ALIGN-POWER", "--json", str(path))
    (said,) = json.loads(path.read_text(encoding="utf-8"))["clauses"]
    section = sections()["SLAB-ALIGN-POWER"]
    assert said["id"] == "SLAB-ALIGN-POWER"
    assert said["example"] == section.example
    assert said["broken"][0]["history"] == section.broken[0].history
    assert [each["name"] for each in said["obligations"]] == [
        each.name for each in known.of_clause("SLAB-ALIGN-POWER")
    ]
    assert said["vectors"]["positive"] > 0 < said["vectors"]["negative"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("SLAB-ALLIGN", "unknown clause SLAB-ALLIGN: the nearest are SLAB-ALIGN"),
        ("page-hole", "unknown clause PAGE-HOLE: the nearest are PAGE-WHOLE"),
        ("XYZZY", "unknown clause XYZZY: `kmem-oracle clauses` lists them"),
    ],
)
def test_an_unknown_clause_is_one_line_with_the_nearest(
    name: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["clauses", name]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert said in captured.err
