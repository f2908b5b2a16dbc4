"""Build a user-mode kernel with the driver in it.

The kernel's own build does what is new since the last time; sources, objects and the finished kernel lie in
the cache.
"""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from kmem_oracle.kernels import shadow
from kmem_oracle.kernels.source import Say, need, run, tree_of, version_of
from kmem_oracle.kernels.store import Kernel, cache, keep
from kmem_oracle.targets.target import CouldNotRun

FRAGMENT: Final = shadow.LINUX / "um.config"
ALLOCATORS: Final = ("slub", "slab", "slob")
TOOLS: Final = ("make", "gcc", "ld", "flex", "bison", "bc", "perl")


def build(
    *,
    package: str,
    tree: Path | None,
    slab: str,
    options: Sequence[str],
    name: str,
    jobs: int,
    say: Say,
) -> Kernel:
    """Build a kernel and keep it.

    Needs    `options` are lines of a configuration, such as CONFIG_INIT_ON_ALLOC_DEFAULT_ON=y
    Errors   CouldNotRun
    """
    need(TOOLS)
    if tree is None:
        tree, label = tree_of(package, say), package
    else:
        tree = tree.resolve()
        label = str(tree)
    version = version_of(tree)
    wanted = _configuration(slab, options)
    short = ".".join(version.split(".")[:2])
    name = name or "-".join([short, slab] if label == package else [short, slab, tree.name])
    if not all(part.isalnum() or part in "-_." for part in name) or name.startswith("."):
        raise CouldNotRun(f"--name {name!r}: letters, digits, dots, - and _ only")
    work = cache() / "builds" / name
    out = work / "objects"
    try:
        shadow.lay(tree, work / "tree")
        out.mkdir(parents=True, exist_ok=True)
        _configure(work, out, wanted, label)
        say(
            f"building {name}: Linux {version} with {slab.upper()}, {jobs} processes "
            "(a few minutes the first time)"
        )
        run([*_make(out), f"-j{jobs}", "linux"], where=work / "tree", what="building the kernel")
        kernel = Kernel(name, "uml", version, label, shadow.driver_hash(), tuple(options))
        kernel.folder.mkdir(parents=True, exist_ok=True)
        fresh = kernel.folder / "linux.new"
        shutil.copyfile(out / "linux", fresh)
        fresh.chmod(0o755)
        fresh.rename(kernel.image)
        keep(kernel)
    except OSError as error:
        raise CouldNotRun(f"building {name}: {error.filename}: {error.strerror}") from error
    return kernel


def _make(out: Path) -> list[str]:
    """Return how the kernel's make is called."""
    compiler = os.environ.get("CC")
    return ["make", "-s", "ARCH=um", f"O={out}", *([f"CC={shlex.quote(compiler)}"] if compiler else [])]


def _configuration(slab: str, options: Sequence[str]) -> str:
    """Return the lines that the configuration is to have."""
    lines = [FRAGMENT.read_text(encoding="utf-8")]
    lines += [f"CONFIG_{slab.upper()}=y"]
    if slab == "slub":
        lines += ["CONFIG_SLUB_DEBUG=y"]
    return "\n".join([*lines, *options, ""])


def _configure(work: Path, out: Path, wanted: str, label: str) -> None:
    """Configure a kernel, unless it has been with the same lines; see that what was asked for is there.

    Errors   CouldNotRun, OSError
    """
    fragment = work / "fragment"
    if fragment.is_file() and fragment.read_text(encoding="utf-8") == wanted and (out / ".config").is_file():
        return
    fragment.write_text(wanted, encoding="utf-8")
    run(
        [*_make(out), f"KCONFIG_ALLCONFIG={fragment}", "allnoconfig"],
        where=work / "tree",
        what=f"configuring {label}",
    )
    there = set((out / ".config").read_text(encoding="utf-8").splitlines())
    asked = [line for line in wanted.splitlines() if line.startswith("CONFIG_") and not line.endswith("=n")]
    lacking = [line for line in asked if line not in there]
    ours = set(_soft())
    hard = [line for line in lacking if line not in ours]
    if hard:
        fragment.unlink()
        raise CouldNotRun(
            f"{label} cannot be configured with {', '.join(hard)}: "
            "it has no such option, or needs others for it"
        )


def _soft() -> list[str]:
    """Return the lines of our own that a kernel may lack."""
    return [line for line in FRAGMENT.read_text(encoding="utf-8").splitlines() if line.startswith("CONFIG_")]
