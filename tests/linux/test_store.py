"""Built kernels: kept by name, found again, and a clear line where there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from kmem_oracle.cli import main
from kmem_oracle.commands.common import COULD_NOT_RUN, PASS
from kmem_oracle.kernels import shadow, store
from kmem_oracle.kernels.store import Kernel
from kmem_oracle.targets.target import CouldNotRun


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KMEM_ORACLE_CACHE", str(tmp_path))
    return tmp_path


def kept(name: str, *, image: str = "#!/bin/sh\n", driver: str = "") -> Kernel:
    kernel = Kernel(
        name, "uml", "6.1.192", "linux-source-6.1", driver or shadow.driver_hash(), ("CONFIG_X=y",)
    )
    kernel.folder.mkdir(parents=True)
    kernel.image.write_text(image)
    kernel.image.chmod(0o755)
    store.keep(kernel)
    return kernel


def test_a_kernel_is_found_by_its_name_and_by_its_path() -> None:
    kernel = kept("6.1-slub")
    assert store.find("6.1-slub") == kernel
    assert store.find(str(kernel.image)) == kernel


def test_kernels_are_listed_a_name_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    kept("6.12-slub")
    kept("6.1-slab")
    assert main(["kernel", "list"]) == PASS
    assert capsys.readouterr().out == "6.1-slab\n6.12-slub\n"


def test_a_folder_without_a_whole_kernel_is_none(cache: Path) -> None:
    kept("whole")
    (cache / "kernels" / "begun").mkdir()
    (cache / "kernels" / "garbled").mkdir()
    (cache / "kernels" / "garbled" / "kernel.json").write_text("{]")
    kept("lost").image.unlink()
    assert [kernel.name for kernel in store.every()] == ["whole"]


def test_an_unknown_kernel_is_one_line_that_says_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    kept("6.1-slub")
    assert main(["check", "linux:6.2-slub"]) == COULD_NOT_RUN
    (line,) = capsys.readouterr().err.splitlines()
    assert "linux:6.2-slub: no such kernel; built are: 6.1-slub" in line
    assert "kernel build" in line


def test_a_kernel_with_another_driver_is_to_be_built_again(capsys: pytest.CaptureFixture[str]) -> None:
    kept("old", driver="0123456789abcdef")
    assert main(["check", "linux:old"]) == COULD_NOT_RUN
    (line,) = capsys.readouterr().err.splitlines()
    assert "built with another version of the driver" in line


@pytest.mark.needs("linux")
@pytest.mark.parametrize(
    ("image", "said"),
    [
        ("#!/bin/sh\nexit 3\n", "ended the kernel (exit status 3)"),
        (
            "#!/bin/sh\necho 'Kernel panic - not syncing: no luck' >&2\nkill -6 $$\n",
            "ended in a panic of the kernel: no luck",
        ),
        ("\x7fELF garbage", "cannot be started"),
    ],
)
def test_a_kernel_that_does_not_come_up_is_one_line(
    image: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    kept("broken", image=image)
    assert main(["check", "linux:broken"]) == COULD_NOT_RUN
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


def test_a_name_that_is_no_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CouldNotRun, match="no such kernel"):
        store.find("../../etc")
