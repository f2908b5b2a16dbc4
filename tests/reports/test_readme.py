"""The README's commands do what it shows: each is run, in its order, and what it prints compared."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest

from kmem_spec.clauses import CLAUSES

REPOSITORY: Final = Path(__file__).parents[2]
README: Final = (REPOSITORY / "README.md").read_text(encoding="utf-8")
BLOCK: Final = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILES: Final = {"c": "mine.c", "python": "mine.py", "rust": "mine.rs"}
VARIES: Final = re.compile(r"0x[0-9a-f]+|[\d,]+ ?(?=calls|s\b|/s)|\d+\.\d+")
ELSEWHERE: Final = {  # commands that others run, or that need what a test has not
    ".venv/bin/pip install": "the gate runs it word for word",
    ".venv/bin/kmem-oracle verify": "the gate runs it",
    "libmimalloc": "tests/quality/test_found.py plays the script on that library",
    "kernel build": "tests/linux builds one",
    "kernel list": "tests/linux lists one",
    "check linux:": "tests/linux checks one",
    "/sys/kernel/tracing": "tests/traces judges traces",
    "kmem-oracle run   ": "tests/cover/test_interactive.py types into it",
}


@dataclass
class Shown:
    """A command and the lines that are shown below it."""

    command: str
    lines: list[str] = field(default_factory=list)


def shown() -> Iterator[Shown]:
    """Yield the README's commands."""
    for kind, text in BLOCK.findall(README):
        now: Shown | None = None
        for line in text.splitlines():
            if kind == "sh" or line.startswith("$ "):
                if now is not None:
                    yield now
                now = Shown(line.removeprefix("$ "))
            elif now is not None:
                now.lines.append(line)
        if now is not None:
            yield now


COMMANDS: Final = [each for each in shown() if not any(words in each.command for words in ELSEWHERE)]


@pytest.mark.needs("cc", "rustc")
def test_what_the_readme_shows_is_what_comes(tmp_path: Path) -> None:
    for kind, text in BLOCK.findall(README):
        if kind in FILES:
            (tmp_path / FILES[kind]).write_text(text, encoding="utf-8")
    reader = Path("tests/targets/vectors.c")
    (tmp_path / reader).parent.mkdir(parents=True)
    (tmp_path / reader).symlink_to(REPOSITORY / reader)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    for each in COMMANDS:
        done = subprocess.run(
            each.command,
            shell=True,
            cwd=tmp_path,
            env=environment | {"PATH": path},
            capture_output=True,
            text=True,
            check=False,
            input="",
        )
        said = [plain(line) for line in (done.stdout + done.stderr).splitlines()]
        lacking = [line for line in each.lines if plain(line) not in said]
        assert not lacking, f"{each.command}\nshows {lacking}, but came to\n{done.stdout}{done.stderr}"
        assert done.returncode in (0, 1), f"{each.command}\n{done.stderr}"


def plain(line: str) -> str:
    """Return a line without what differs from run to run."""
    return VARIES.sub("#", line).strip()


def test_every_command_is_run_here_or_elsewhere() -> None:
    assert len(COMMANDS) >= 9
    assert all(any(words in each.command for each in shown()) for words in ELSEWHERE)


def test_pictures_are_there() -> None:
    pictures = re.findall(r"!\[[^]]+\]\((\S+)\)", README)
    assert len(pictures) >= 2
    assert all((REPOSITORY / picture).is_file() for picture in pictures)


def test_files_that_are_named_are_there() -> None:
    named = set(re.findall(r"\b(?:spec|tests|model|proofs)/[\w/.]+\.\w+\b", README))
    assert len(named) > 10
    assert [name for name in sorted(named) if not (REPOSITORY / name).exists()] == []


def test_the_table_of_proofs_counts_what_there_is() -> None:
    for module in ("kmem_spec.judge", "kmem_spec.cache", "kmem_spec.zone", "kmem_model.kernel"):
        importlib.import_module(module)  # they register the clauses
    rows = re.findall(
        r"^\| .* \(([A-Z, ]+)\) \| (\d+) \| (\d+), (\d+), (\d+) \| (\d+) \|$", README, re.MULTILINE
    )
    ledger = (REPOSITORY / "proofs" / "kmem_proofs" / "mutants.txt").read_text(encoding="utf-8").splitlines()
    seen: Counter[tuple[str, str]] = Counter()
    family = ""
    for line in ledger:
        if not line.startswith(" "):
            name, level = line.rsplit(" ", 1)
            family = re.split("[-/]", name)[0]
            seen[family, level] += 1
        else:
            seen[family, "mutants"] += 1
    clauses = Counter(name.partition("-")[0] for name in CLAUSES)
    for families, *numbers in rows:
        names = families.split(", ")
        there = [sum(clauses[name] for name in names)]
        there += [sum(seen[name, kind] for name in names) for kind in ("A", "B", "C", "mutants")]
        assert [int(number) for number in numbers] == there, families
    assert {name for families, *_ in rows for name in families.split(", ")} == {*clauses, "UNITS"}
