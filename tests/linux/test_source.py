"""Kernel sources: from a package that is fetched and not installed, or from a tree; what lacks is named."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from kmem_oracle.cli import main
from kmem_oracle.commands.common import COULD_NOT_RUN
from kmem_oracle.kernels import source
from kmem_oracle.targets.target import CouldNotRun

APT_CACHE = """#!/bin/sh
case "$2" in
linux-source-6.1) echo "$2:"; echo "  Installed: (none)"; echo "  Candidate: 6.1.1-1";;
esac
"""
APT_GET = """#!/bin/sh
echo fetched >>"{log}"
cp "{deb}" .
"""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KMEM_ORACLE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put an apt-get and an apt-cache first that know one small package; return what says how often."""
    tree = tmp_path / "linux-source-6.1"
    tree.mkdir()
    (tree / "Makefile").write_text("VERSION = 6\nPATCHLEVEL = 1\nSUBLEVEL = 7\n")
    (tree / "Kconfig").write_text("")
    package = tmp_path / "package"
    (package / "DEBIAN").mkdir(parents=True)
    (package / "usr" / "src").mkdir(parents=True)
    fields = ("Package: linux-source-6.1", "Version: 6.1.1-1", "Architecture: all", "Maintainer: x <x@y>")
    (package / "DEBIAN" / "control").write_text("\n".join([*fields, "Description: x", ""]))
    archive = package / "usr" / "src" / "linux-source-6.1.tar.xz"
    subprocess.run(["tar", "-C", tmp_path, "-cJf", archive, tree.name], check=True)
    deb, log, tools = tmp_path / "x.deb", tmp_path / "log", tmp_path / "tools"
    subprocess.run(["dpkg-deb", "-b", package, deb], check=True, capture_output=True)
    tools.mkdir()
    for name, text in {"apt-cache": APT_CACHE, "apt-get": APT_GET.format(log=log, deb=deb)}.items():
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    log.write_text("")
    return log


@pytest.mark.needs("dpkg-deb", "xz")
def test_a_package_is_fetched_once(fetched: Path, cache: Path) -> None:
    said: list[str] = []
    tree = source.tree_of("linux-source-6.1", said.append)
    assert source.version_of(tree) == "6.1.7"
    assert said == ["fetching linux-source-6.1 6.1.1-1", "unpacking linux-source-6.1"]
    assert source.tree_of("linux-source-6.1", said.append) == tree
    assert fetched.read_text() == "fetched\n"
    assert [path.name for path in (cache / "sources").iterdir()] == ["linux-source-6.1_6.1.1-1"]


@pytest.mark.needs("dpkg-deb", "xz")
def test_a_package_that_is_not_to_be_had_is_one_line(fetched: Path) -> None:
    with pytest.raises(CouldNotRun, match="linux-source-9 is not known here: `apt-get update` may help"):
        source.tree_of("linux-source-9", print)
    assert fetched.read_text() == ""


def test_missing_tools_are_named_with_what_installs_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(CouldNotRun) as error:
        source.need(["flex", "bc", "gcc"])
    assert str(error.value) == "this needs flex, bc, gcc: install with `apt-get install bc flex gcc`"


def test_a_folder_that_is_no_kernel_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["kernel", "build", "--tree", str(tmp_path)]) == COULD_NOT_RUN
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("kmem-oracle: ")
    assert "no Linux sources there" in line or "this needs" in line


def test_a_command_that_fails_is_told_by_the_line_that_says_why(tmp_path: Path) -> None:
    script = "echo one; echo 'x.c:3: error: no semicolon'; echo 'make: *** [x] Error 1'; exit 2"
    with pytest.raises(CouldNotRun, match=r"building failed \(exit status 2\): x.c:3: error: no semicolon"):
        source.run(["sh", "-c", script], where=tmp_path, what="building")


def test_a_line_of_configuration_is_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["kernel", "build", "--config", "X=y"]) == COULD_NOT_RUN
    assert "give a line such as CONFIG_INIT_ON_ALLOC_DEFAULT_ON=y" in capsys.readouterr().err
