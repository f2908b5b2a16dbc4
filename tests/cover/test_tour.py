"""The tour: every script passes on the model and on the C library; what it says goes wrong, does."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, NamedTuple

import pytest
from tests.targets import build

from kmem_oracle.cli import main
from kmem_oracle.commands.common import PASS, VIOLATION
from kmem_oracle.language.script import parse
from kmem_oracle.learn.promises import promises_of
from kmem_spec.apis import APIS
from kmem_spec.clauses import CLAUSES

TOUR: Final = Path(__file__).parents[2] / "spec" / "tour"
# Every call that the tour is about; gfp.kmem is about masks.
STOPS: Final = (
    "kmalloc",
    "kzalloc",
    "kmalloc_array",
    "kcalloc",
    "kfree",
    "kmem_cache_create",
    "kmem_cache_create_26",
    "kmem_cache_alloc",
    "kmem_cache_free",
    "vmalloc",
    "vzalloc",
    "vfree",
)
SMALL: Final = {"gfp": 8}  # MiB of memory, where little of it is the point
WRONG: Final = re.compile(r"^# wrong: (.*?) +# (skipped: )?([A-Z-]+)$", re.MULTILINE)
FAULT: Final = re.compile(r"^# fault: (\w+) +# ([A-Z0-9 -]+?)(?::.*)?$", re.MULTILINE)
PROMISE: Final = re.compile(r"^# promises ([A-Z0-9-]+) +\S", re.MULTILINE)


class Mistake(NamedTuple):
    """A line that is wrong, where it stands, and the clause that it breaks; or would, were it not skipped."""

    stop: str
    start: int
    end: int
    line: str
    skipped: bool
    clause: str


def text_of(stop: str) -> str:
    return (TOUR / f"{stop}.kmem").read_text(encoding="utf-8")


def mistakes() -> list[Mistake]:
    return [
        Mistake(stop, found.start(), found.end(), found[1], bool(found[2]), found[3])
        for stop in (*STOPS, "gfp")
        for found in WRONG.finditer(text_of(stop))
    ]


def faults() -> list[tuple[str, str, str]]:
    return [(stop, found[1], found[2]) for stop in (*STOPS, "gfp") for found in FAULT.finditer(text_of(stop))]


def model_of(stop: str) -> str:
    return f"model:{SMALL[stop]}" if stop in SMALL else "model"


def library_of(stop: str, targets: Path, fault: str = "") -> str:
    return str(build.library(fault, directory=targets, arena_mb=SMALL.get(stop, 0)))


def played(capsys: pytest.CaptureFixture[str], script: Path, target: str) -> tuple[int, list[str]]:
    capsys.readouterr()
    status = main(["run", str(script), "--on", target])
    out, err = capsys.readouterr()
    assert err == ""
    return status, out.splitlines()


def broken_clause(lines: list[str]) -> str:
    (line,) = [line for line in lines if line.startswith("VIOLATION of ")]
    return line.split()[2]


# What it says of itself.


def test_every_stop_has_its_script_and_is_in_the_readme() -> None:
    assert {path.stem for path in TOUR.glob("*.kmem")} == {*STOPS, "gfp"}
    readme = (TOUR / "README.md").read_text(encoding="utf-8")
    for stop in (*STOPS, "gfp"):
        assert f"{stop}.kmem" in readme


@pytest.mark.parametrize("stop", [*STOPS, "gfp"])
def test_a_stop_names_clauses_that_its_call_promises(stop: str) -> None:
    text = text_of(stop)
    named = re.findall(r"\b(?:MEM|SLAB|CACHE|VM|GFP|PAGE|CALLER)-[A-Z-]+[A-Z]\b", text)
    assert set(named) <= CLAUSES.keys()
    promised = PROMISE.findall(text)
    assert len(promised) >= 2
    made = {op.api for op in parse(text)}
    assert stop in made or stop == "gfp"
    assert set(promised) <= {clause for name in made for clause in promises_of(APIS[name])}
    assert len(list(FAULT.finditer(text))) >= 1
    listed = text.count("# wrong:"), text.count("# fault:")
    assert listed == (len(WRONG.findall(text)), len(FAULT.findall(text)))  # each is tried below


# On the model and on the library.


@pytest.mark.parametrize("stop", [*STOPS, "gfp"])
def test_a_stop_passes_on_the_model(capsys: pytest.CaptureFixture[str], stop: str) -> None:
    status, lines = played(capsys, TOUR / f"{stop}.kmem", model_of(stop))
    assert (status, lines[-1]) == (PASS, "PASS: no violation")
    assert not any("not freed at the end" in line for line in lines)
    skipped = [line for line in lines if "skipped: " in line]
    assert all("is NULL since line" in line for line in skipped)


@pytest.mark.needs("cc")
@pytest.mark.parametrize("stop", [*STOPS, "gfp"])
def test_a_stop_passes_on_the_library(capsys: pytest.CaptureFixture[str], targets: Path, stop: str) -> None:
    status, lines = played(capsys, TOUR / f"{stop}.kmem", library_of(stop, targets))
    assert (status, lines[-1]) == (PASS, "PASS: no violation")


@pytest.mark.parametrize("mistake", mistakes(), ids=lambda mistake: f"{mistake.stop}-{mistake.line}")
@pytest.mark.parametrize("on", ["model", pytest.param("library", marks=pytest.mark.needs("cc"))])
def test_a_wrong_line_breaks_the_clause_behind_it(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, targets: Path, mistake: Mistake, on: str
) -> None:
    text = text_of(mistake.stop)
    script = tmp_path / "wrong.kmem"
    script.write_text(text[: mistake.start] + mistake.line + text[mistake.end :], encoding="utf-8")
    target = model_of(mistake.stop) if on == "model" else library_of(mistake.stop, targets)
    status, lines = played(capsys, script, target)
    number = text[: mistake.start].count("\n") + 1
    (line,) = [line for line in lines if line.split()[:1] == [str(number)]]
    if (
        on == "library" and mistake.clause == "CALLER-CONTEXT"
    ):  # it has no preempt_disable, so no such context
        assert status == PASS
    elif mistake.skipped:
        assert status == PASS
        assert line.endswith(f"to use it again breaks {mistake.clause}")
    else:
        assert (status, broken_clause(lines)) == (VIOLATION, mistake.clause)


@pytest.mark.needs("cc")
@pytest.mark.parametrize(("stop", "fault", "clauses"), faults())
def test_a_fault_breaks_the_clause_behind_it(
    capsys: pytest.CaptureFixture[str], targets: Path, stop: str, fault: str, clauses: str
) -> None:
    status, lines = played(capsys, TOUR / f"{stop}.kmem", library_of(stop, targets, fault))
    assert status == VIOLATION
    assert broken_clause(lines) in clauses.split()
