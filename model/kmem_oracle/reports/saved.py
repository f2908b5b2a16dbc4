"""A violation as files: the script, the same as a C program, a pytest function and a KUnit test, a page."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

from kmem_oracle.campaign.result import Found, Result
from kmem_oracle.reports import text
from kmem_oracle.reports.c_program import c_program
from kmem_oracle.reports.c_source import over_malloc
from kmem_oracle.reports.html import page
from kmem_oracle.reports.html.memory import memory_page
from kmem_oracle.reports.kunit import kunit, why_not
from kmem_oracle.reports.pytest_function import pytest_function
from kmem_oracle.targets.library import FAIL_NTH
from kmem_oracle.threads.campaign import Threaded


def save(folder: str, result: Result, profile: str) -> list[str]:
    """Write the violations into a folder, which is made if need be, and return the files' paths.

    `profile` is what the user named, empty for nothing.
    Errors   OSError
    """
    if isinstance(result.play, Threaded):
        return _save_threads(Path(folder), result, result.play)
    assert result.play is not None
    files: list[str] = []
    times: Counter[str] = Counter()
    for found in result.found or [Found(result.play, result.phase)]:
        assert found.play.finding is not None
        times[found.play.finding.clause] += 1
        number = times[found.play.finding.clause]
        one = replace(result, play=found.play, phase=found.phase, found=[found])
        files += _save_one(folder, one, profile, f"-{number}" if number > 1 else "")
    return files


def _save_one(folder: str, result: Result, profile: str, suffix: str) -> list[str]:
    """Write one violation; `suffix` tells its files from those of another of the same clause.

    A C program is for a library, over malloc one that tells usable sizes; a KUnit test for calls that the
    kernel has; a page where what happened is known.
    """
    assert result.play is not None
    script = Path(text.save(folder, result, suffix))
    stem = script.stem.replace("-", "_")
    if profile.endswith(".toml"):
        profile = str(Path(profile).resolve())
    forms = {f"test_{stem}.py": pytest_function(result, f"test_{stem}", profile or result.profile.name)}
    if over_malloc(result.target):
        linked = "ksize" in result.apis
    else:
        linked = Path(result.target).is_file() and not _needs_us(result)
    if linked:
        forms[f"{script.stem}.c"] = c_program(result, f"{script.stem}.c")
    if why_not(result.play.ops) is None:
        forms[f"{stem}_kunit.c"] = kunit(result, stem)
    if result.play.history is not None:
        forms[f"{script.stem}.html"] = memory_page(result)
    for name, content in sorted(forms.items()):
        (script.parent / name).write_text(content, encoding="utf-8")
    return [str(script), *(str(script.parent / name) for name in sorted(forms))]


def _needs_us(result: Result) -> bool:
    """Say whether memory has to fail that the library has from the system: it alone cannot see to that."""
    assert result.play is not None
    fails = any(op.api == "fail_nth" for op in result.play.ops)
    return fails and FAIL_NTH.encode() not in Path(result.target).read_bytes()


def _save_threads(folder: Path, result: Result, play: Threaded) -> list[str]:
    """Write what threads did, which is no script, and how to have it done again; return the files' paths.

    Errors   OSError
    """
    assert play.finding is not None
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{play.finding.clause.lower()}-seed-{result.seed}-threads.txt"
    again = f"kmem-oracle check {result.target} --threads {play.threads} --seed {result.seed}"
    lines = [f"# {again}", *text.verdict_lines(result, [])]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    if play.history is None:
        return [str(file)]
    picture = file.with_suffix(".html")
    page.write(picture, memory_page(result))
    return [str(picture), str(file)]
