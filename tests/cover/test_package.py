"""The wheel and the sdist: what is in them, and that the wheel is enough."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from kmem_oracle.learn.tour import lesson_names

ROOT = Path(__file__).parents[2]
PACKAGES = {"kmem_spec", "kmem_model", "kmem_oracle", "kmem_proofs"}

pytestmark = pytest.mark.needs("hatchling")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a wheel and a sdist made of this tree."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-t", "sdist", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return folder


def wheel_of(made: Path) -> Path:
    (wheel,) = made.glob("*.whl")
    return wheel


def test_the_wheel_has_the_packages_their_types_and_their_data(made: Path) -> None:
    with zipfile.ZipFile(wheel_of(made)) as wheel:
        names = set(wheel.namelist())
    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == PACKAGES
    assert {f"{package}/py.typed" for package in PACKAGES} <= names
    assert {f"kmem_oracle/tour/{name}.kmem" for name in lesson_names()} <= names
    for file in ("kmem_oracle/targets/native/driver.c", "kmem_spec/profiles/contract.toml"):
        assert file in names
    for package, folder in (("kmem_spec", "spec"), ("kmem_model", "model"), ("kmem_proofs", "proofs")):
        modules = {str(path.relative_to(ROOT / folder)) for path in (ROOT / folder / package).rglob("*.py")}
        assert modules <= names


def test_the_sdist_has_what_the_tests_need(made: Path) -> None:
    (sdist,) = made.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"pyproject.toml", "LICENSE", "README.md", "spec/script.md", "tests/targets/kmem.c"} <= names
    assert "tests/cover/test_package.py" in names


@pytest.mark.needs("check_wheel_contents")
def test_the_wheel_is_as_wheels_should_be(made: Path) -> None:
    command = [sys.executable, "-m", "check_wheel_contents", "--config", str(ROOT / "pyproject.toml")]
    done = subprocess.run([*command, str(wheel_of(made))], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip().endswith(": OK")


def test_the_wheel_alone_judges(made: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=False)
    python = tmp_path / "venv" / "bin" / "python"
    unpacked = subprocess.run(
        [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    with zipfile.ZipFile(wheel_of(made)) as wheel:
        wheel.extractall(unpacked)

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [str(python), "-m", "kmem_oracle.cli", *words]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)

    done = run("run", "tour:kmalloc", "--quiet")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("PASS: no violation\n")
    assert "z3-solver is not installed" in run("--version").stdout
    done = run("verify")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith("pip install 'kmem-oracle[proofs]'\n")
