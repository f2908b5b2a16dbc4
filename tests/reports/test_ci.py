"""spec/ci.md: its pipelines are what GitHub and GitLab take, and their commands do what the page says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast
from xml.etree import ElementTree

import pytest
from ruamel.yaml import YAML
from tests.reports import sarif
from tests.targets import build

PAGE: Final = Path(__file__).parents[2] / "spec" / "ci.md"
SCHEMAS: Final = {"github": "vendor.github-workflows", "gitlab": "vendor.gitlab-ci"}
FAULT: Final = "KMALLOC_ZERO_NULL"
PIP: Final = """#!/bin/sh
echo "$@" >> installed
"""


def recipe(name: str) -> str:
    """Return the pipeline that the page shows for one of the two."""
    shown = re.findall(r"^```yaml\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.S | re.M)
    return dict(zip(SCHEMAS, map(str, shown), strict=True))[name]


def job(name: str) -> dict[str, Any]:  # what YAML holds is of any type
    """Return the one job of a pipeline."""
    content = YAML(typ="safe").load(recipe(name))
    (only,) = content["jobs"].values() if name == "github" else content.values()
    return cast("dict[str, Any]", only)


@dataclass(frozen=True)
class Machine:
    """A checkout in a pipeline: `make` builds the library given, `pip` notes what it is told."""

    folder: Path
    library: Path | None

    def __post_init__(self) -> None:
        tools = self.folder / "tools"
        tools.mkdir()
        (tools / "pip").write_text(PIP, encoding="utf-8")
        (tools / "pip").chmod(0o755)
        built = f"cp {self.library} $@" if self.library else "true"
        (self.folder / "Makefile").write_text(f"libmine.so:\n\t{built}\n", encoding="utf-8")

    def bash(self, script: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a script as the pipelines do: it ends at the first command that fails."""
        path = f"{self.folder / 'tools'}:{Path(sys.executable).parent}:{os.environ['PATH']}"
        kept = {
            name: text for name, text in os.environ.items() if not name.startswith(("PYTEST_", "GITHUB_"))
        }
        return subprocess.run(
            ["bash", "-e", "-c", script],
            cwd=self.folder,
            env=kept | {"PATH": path} | variables,
            capture_output=True,
            text=True,
            timeout=300,
        )

    def github(self) -> tuple[int, dict[str, str], str]:
        """Run the steps of the workflow; return the last status, what they put out, and what they said."""
        output, said, status = self.folder / "output", "", 0
        output.touch()
        for step in job("github")["steps"]:
            if "run" in step and status == 0:
                done = self.bash(
                    step["run"],
                    GITHUB_ACTIONS="true",
                    GITHUB_OUTPUT=str(output),
                    GITHUB_WORKSPACE=str(self.folder),
                )
                status, said = done.returncode, said + done.stdout + done.stderr
        pairs = [line.split("=", 1) for line in output.read_text(encoding="utf-8").splitlines()]
        return status, dict(pairs), said

    def gitlab(self) -> subprocess.CompletedProcess[str]:
        """Run the script of the job: its lines are one script."""
        return self.bash("\n".join(job("gitlab")["script"]))


def library(kind: str, targets: Path) -> Path | None:
    """Return a library with a fault, a right one, or none."""
    return None if kind == "none" else build.library(FAULT if kind == "fault" else "", directory=targets)


@pytest.mark.needs("check_jsonschema")
@pytest.mark.parametrize("name", ["github", "gitlab"])
def test_a_recipe_is_what_its_published_schema_asks_for(name: str, tmp_path: Path) -> None:
    file = tmp_path / "pipeline.yml"
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", SCHEMAS[name], str(file)]
    file.write_text(recipe(name), encoding="utf-8")
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    file.write_text(
        recipe(name).replace("script:", "scrpt:").replace("runs-on:", "run-on:"), encoding="utf-8"
    )
    assert subprocess.run(command, capture_output=True).returncode == 1


@pytest.mark.needs("cc", "make", "bash")
@pytest.mark.parametrize(("kind", "status"), [("fault", 1), ("right", 0), ("none", 2)])
def test_the_workflow_of_github(kind: str, status: int, targets: Path, tmp_path: Path) -> None:
    ended, put_out, said = Machine(tmp_path, library(kind, targets)).github()
    assert ended == status, said
    assert put_out == {"status": str(status)}
    log = sarif.read(tmp_path / "kmem-oracle.sarif")
    assert log.invocation["exitCode"] == status
    assert [result["ruleId"] for result in log.results] == ["SLAB-ZERO-SIZE"] * (status == 1)
    assert (tmp_path / "found").is_dir() == (status == 1)
    annotations = [line for line in said.splitlines() if line.startswith("::error ")]
    assert len(annotations) == (status != 0)
    if status == 1:
        ((place, line),) = log.places()
        assert annotations[0].startswith(f"::error file={place},title=SLAB-ZERO-SIZE,line={line}::")
        assert (tmp_path / place).is_file()


def test_the_workflow_uploads_what_the_command_writes_and_never_what_was_not_judged() -> None:
    steps = job("github")["steps"]
    (judging,) = [step for step in steps if "kmem-oracle check" in step.get("run", "")]
    (upload,) = [step for step in steps if "upload-sarif" in step.get("uses", "")]
    assert f"--sarif {upload['with']['sarif_file']}" in judging["run"]
    asked = set(re.findall(r"steps\.(\w+)\.outputs\.status == '(\d)'", upload["if"]))
    assert asked == {(judging["id"], "0"), (judging["id"], "1")}
    assert "!cancelled()" in upload["if"], "or it would not run after a step that failed"
    (kept,) = [step for step in steps if "upload-artifact" in step.get("uses", "")]
    assert f"--save {kept['with']['path']}" in judging["run"]


@pytest.mark.needs("cc", "make", "bash")
@pytest.mark.parametrize(("kind", "status"), [("fault", 1), ("right", 0), ("none", 2)])
def test_the_job_of_gitlab(kind: str, status: int, targets: Path, tmp_path: Path) -> None:
    done = Machine(tmp_path, library(kind, targets)).gitlab()
    assert done.returncode == status, done.stdout + done.stderr
    assert (tmp_path / "installed").read_text(encoding="utf-8") == "install kmem-oracle pytest\n"
    artifacts = job("gitlab")["artifacts"]
    there = {path for path in artifacts["paths"] if (tmp_path / path).exists()}
    assert there == ({"found", "kmem-oracle.sarif"} if status == 1 else {"kmem-oracle.sarif"})
    if status == 2:
        return
    report = ElementTree.parse(tmp_path / artifacts["reports"]["junit"])
    failed = [case.get("name") for case in report.iter("testcase") if case.find("failure") is not None]
    assert failed == ["SLAB-ZERO-SIZE"] * status
