"""The shadow of a kernel's tree: all that is in it and the driver; the tree stays as it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from kmem_oracle.kernels import shadow


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return a tree with what matters of a kernel's, in which somebody has built."""
    files = {
        "Makefile": "VERSION = 6\nPATCHLEVEL = 1\nSUBLEVEL = 192\n",
        "Kconfig": "",
        "mm/slub.c": "one\n",
        "drivers/Makefile": "",
        "drivers/misc/Makefile": "obj-y += other.o\n",
        "drivers/misc/other.c": "",
        "include/linux/slab.h": "",
        "include/config/auto.conf": "built",
        "include/generated/autoconf.h": "built",
        "arch/um/include/generated/asm/x.h": "built",
        "arch/um/Makefile": "",
        ".config": "built",
    }
    for name, text in files.items():
        path = tmp_path / "linux" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path / "linux"


def snapshot(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_the_driver_is_there_and_the_tree_is_as_it_was(tree: Path, tmp_path: Path) -> None:
    before = snapshot(tree)
    shadow.lay(tree, tmp_path / "shadow")
    laid = tmp_path / "shadow" / "drivers" / "misc"
    assert (laid / "Makefile").read_text().endswith("\nobj-y += kmem_oracle/\n")
    assert "obj-y += other.o" in (laid / "Makefile").read_text()
    assert {"driver.c", "channel_um.c", "native", "Makefile"} <= {
        path.name for path in (laid / "kmem_oracle").iterdir()
    }
    assert snapshot(tree) == before


def test_what_a_build_in_the_tree_left_is_not_seen(tree: Path, tmp_path: Path) -> None:
    shadow.lay(tree, tmp_path / "shadow")
    for name in shadow.LEFT_OVER:
        assert not (tmp_path / "shadow" / name).exists(), name
    assert (tmp_path / "shadow" / "include" / "linux" / "slab.h").is_file()
    assert (tmp_path / "shadow" / "arch" / "um" / "Makefile").is_file()


def test_what_is_changed_in_the_tree_is_seen(tree: Path, tmp_path: Path) -> None:
    shadow.lay(tree, tmp_path / "shadow")
    (tree / "mm" / "slub.c").write_text("two\n")
    (tree / "mm" / "fresh.c").write_text("new\n")
    (tree / "drivers" / "misc" / "other.c").unlink()
    shadow.lay(tree, tmp_path / "shadow")
    assert (tmp_path / "shadow" / "mm" / "slub.c").read_text() == "two\n"
    assert (tmp_path / "shadow" / "mm" / "fresh.c").read_text() == "new\n"
    assert not (tmp_path / "shadow" / "drivers" / "misc" / "other.c").is_symlink()


def test_a_driver_that_is_the_same_is_not_written_again(tree: Path, tmp_path: Path) -> None:
    shadow.lay(tree, tmp_path / "shadow")
    source = tmp_path / "shadow" / "drivers" / "misc" / "kmem_oracle" / "driver.c"
    before = source.stat().st_mtime_ns
    shadow.lay(tree, tmp_path / "shadow")
    assert source.stat().st_mtime_ns == before
