"""Kernel sources: the distribution's package, fetched and unpacked without being installed, or a tree."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from kmem_oracle.kernels.store import cache
from kmem_oracle.targets.target import CouldNotRun

PACKAGES: Final = {  # of Debian, by the tool that they bring
    "make": "make",
    "cc": "gcc",
    "gcc": "gcc",
    "ld": "binutils",
    "flex": "flex",
    "bison": "bison",
    "bc": "bc",
    "xz": "xz-utils",
    "tar": "tar",
    "perl": "perl",
    "qemu-system-x86_64": "qemu-system-x86",
    "lz4": "lz4",
    "zstd": "zstd",
}
Say = Callable[[str], None]


def need(tools: Iterable[str]) -> None:
    """See that tools are there.

    Errors   CouldNotRun, which names all that are not, and how to install them
    """
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if missing:
        packages = " ".join(sorted({PACKAGES.get(tool, tool) for tool in missing}))
        raise CouldNotRun(f"this needs {', '.join(missing)}: install with `apt-get install {packages}`")


def run(command: list[str], *, where: Path, what: str) -> str:
    """Run a command and return what it printed.

    Errors   CouldNotRun, with the last line that says why
    """
    done = subprocess.run(
        command,
        cwd=where,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        stdin=subprocess.DEVNULL,
    )
    if done.returncode == 0:
        return done.stdout
    lines = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    telling = [
        line for line in lines if "error" in line.lower() or "fatal" in line.lower() or line.startswith("E:")
    ]
    why = (telling or lines or ["no message"])[0 if telling else -1]
    raise CouldNotRun(f"{what} failed (exit status {done.returncode}): {why[:300]}")


def tree_of(package: str, say: Say) -> Path:
    """Return the unpacked tree of a source package of the distribution, such as linux-source-6.1.

    It is fetched once; a newer version of the package is another folder.
    Errors   CouldNotRun
    """
    need(["apt-get", "dpkg-deb", "tar", "xz"])
    version = candidate(package)
    sources = cache() / "sources"
    tree = sources / f"{package}_{version.replace(':', '%3a')}"
    if tree.is_dir():
        return tree
    sources.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=sources) as scratch:
        work = Path(scratch)
        say(f"fetching {package} {version}")
        run(["apt-get", "download", "-q", package], where=work, what=f"fetching the package {package}")
        deb = next(work.glob("*.deb"), None)
        if deb is None:
            raise CouldNotRun(f"fetching the package {package} gave no file; is it a package of sources?")
        say(f"unpacking {package}")
        run(["dpkg-deb", "-x", str(deb), "files"], where=work, what=f"unpacking {package}")
        deb.unlink()
        archive = next((work / "files" / "usr" / "src").glob("linux-source-*.tar.*"), None)
        if archive is None:
            raise CouldNotRun(f"{package} holds no linux-source-….tar: give a package of kernel sources")
        run(["tar", "-xf", str(archive)], where=work, what=f"unpacking {archive.name}")
        archive.unlink()
        top = next((path.parent for path in work.glob("*/Kconfig")), None)
        if top is None:
            raise CouldNotRun(f"{package}: {archive.name} holds no kernel sources")
        top.rename(tree)
    return tree


def candidate(package: str) -> str:
    """Return the version of a package that would be fetched.

    Errors   CouldNotRun where it is not to be had
    """
    text = run(["apt-cache", "policy", package], where=Path("/"), what=f"looking up {package}")
    for line in text.splitlines():
        name, _, value = line.strip().partition(": ")
        if name == "Candidate" and value.strip() != "(none)":
            return value.strip()
    raise CouldNotRun(
        f"the package {package} is not known here: `apt-get update` may help; "
        "or give --tree with any kernel's sources"
    )


def version_of(tree: Path) -> str:
    """Return the version that a tree's Makefile states, such as 6.1.192.

    Errors   CouldNotRun where it is no tree of a kernel
    """
    found: dict[str, str] = {}
    try:
        with (tree / "Makefile").open(encoding="utf-8") as lines:
            for line in lines:
                name, _, value = line.partition(" =")
                if name in {"VERSION", "PATCHLEVEL", "SUBLEVEL"}:
                    found.setdefault(name, value.strip())
                if len(found) == 3:
                    return ".".join((found["VERSION"], found["PATCHLEVEL"], found["SUBLEVEL"]))
    except (OSError, UnicodeDecodeError):
        pass
    raise CouldNotRun(f"{tree}: no Linux sources there (no Makefile with VERSION, PATCHLEVEL and SUBLEVEL)")
