"""Build the C targets of this folder with the machine's compiler.

A library is named by a hash of all that goes into it, so an unchanged one is never compiled twice, and
tests that run side by side may ask for the same one.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
_ASIDE: Final = r"^#define FAULT_(\w+) \d+ +/\* (.*) \*/$"
_FAULT: Final = r"^ +FAULT_(\w+), +/\* (.*) \*/$"
FLAGS: Final = ("-std=c11", "-O1", "-fPIC", "-shared", "-Wall", "-Wextra", "-Werror", "-pthread")


def compiler() -> list[str]:
    """Return the compiler's command: $CC, or cc."""
    return shlex.split(os.environ.get("CC", "cc"))


def cc_missing() -> bool:
    """Say whether there is no C compiler here."""
    return shutil.which(compiler()[0]) is None


def faults() -> dict[str, str]:
    """Return what the library can be built to do wrong: name to sentence, in the header's order."""
    return {name: text.split(" | ")[0] for name, text in _listed(_FAULT).items()}


def clauses() -> dict[str, frozenset[str]]:
    """Return by which clauses a fault may be found, for the faults whose line names some."""
    named = {name: text.partition(" | ")[2].split() for name, text in _listed(_FAULT).items()}
    return {name: frozenset(ids) for name, ids in named.items() if ids}


def variants() -> dict[str, str]:
    """Return what the library may be built to do otherwise, and correctly: name to sentence."""
    return _listed(r"^#define VARIANT_(\w+) \d+ +/\* (.*) \*/$")


def aside() -> dict[str, str]:
    """Return the faults that are kept aside and that one thread sees: name to sentence."""
    listed = _listed(_ASIDE, "kmem_history.h")
    return {name: text for name, text in listed.items() if not name.startswith("RACE_")}


def races() -> dict[str, str]:
    """Return the faults that are kept aside and that show between threads alone: name to sentence."""
    listed = _listed(_ASIDE, "kmem_history.h")
    return {name: text for name, text in listed.items() if name.startswith("RACE_")}


def variant_of(fault: str) -> str:
    """Return the variant that a fault which is kept aside is of, "" for none."""
    header = (HERE / "kmem_history.h").read_text(encoding="utf-8")
    number = re.search(rf"^#define FAULT_{fault} (\d)\d+ ", header, re.MULTILINE)
    named = dict(re.findall(r"FAULT / 1000 == (\d) +\? VARIANT_(\w+)", header))
    return named.get(number[1], "") if number else ""


def awkward() -> list[str]:
    """Return the names of the sources in bad/."""
    return sorted(path.stem for path in (HERE / "bad").glob("*.c"))


def library(fault: str = "", variant: str = "", *, directory: Path, arena_mb: int = 0) -> Path:
    """Return the kmem library, compiled with a fault or a variant by name, in `directory`."""
    switches = []
    if fault:
        switches.append(f"-DFAULT=FAULT_{fault}")
    if variant:
        switches.append(f"-DVARIANT=VARIANT_{variant}")
    if arena_mb:
        switches.append(f"-DARENA_MB={arena_mb}")
    name = "-".join(["kmem", fault.lower(), variant.lower(), str(arena_mb or "")])
    return _compiled(name, HERE / "kmem.c", sorted(HERE.glob("kmem*.h")), switches, directory)


def bad(name: str, *, directory: Path) -> Path:
    """Return an awkward library, by the name of its source in bad/."""
    folder = HERE / "bad"
    return _compiled(name, folder / f"{name}.c", sorted(folder.glob("*.h")), [], directory)


def shared(source: str, folder: Path, *switches: str, name: str = "libmine.so") -> Path:
    """Return a text in C compiled to a shared library in `folder`, where it replaces what was there."""
    file, result = folder / f"{name}.c", folder / name
    file.write_text(source, encoding="utf-8")
    command = [*compiler(), "-shared", "-fPIC", "-w", "-pthread", *switches, "-o", str(result), str(file)]
    subprocess.run(command, check=True)
    return result


def _listed(line: str, file: str = "kmem_faults.h") -> dict[str, str]:
    header = (HERE / file).read_text(encoding="utf-8")
    return {found[1]: found[2].strip() for found in re.finditer(line, header, re.MULTILINE)}


def _compiled(name: str, source: Path, headers: list[Path], switches: list[str], directory: Path) -> Path:
    command = [*compiler(), *FLAGS, *switches]
    content = hashlib.sha256(repr(command).encode())
    for path in (source, *headers):
        content.update(path.read_bytes())
    name = re.sub("-+", "-", name).strip("-")
    result = directory / f"{name}-{content.hexdigest()[:16]}.so"
    if not result.exists():
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=directory) as scratch:
            made = Path(scratch) / result.name
            subprocess.run([*command, "-o", str(made), str(source)], check=True)
            made.replace(result)
    return result
