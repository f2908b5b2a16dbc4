"""The text that a verdict depends on: a module of obligations, all of ours that it imports, the prover."""

from __future__ import annotations

import ast
from functools import cache
from hashlib import sha256
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Final

PACKAGES: Final = ("kmem_spec", "kmem_model", "kmem_proofs", "kmem_oracle")
PROVER: Final = "kmem_proofs.runner"
NOT_READ: Final = ("manifest.txt", "slowest.txt", "py.typed")


@cache
def text_of(module: str) -> str | None:
    """Return the source of one of our modules, None for any other name."""
    if module.partition(".")[0] not in PACKAGES:
        return None
    try:
        spec = find_spec(module)
    except ModuleNotFoundError:  # a name inside of a module
        return None
    return Path(spec.origin).read_text("utf-8") if spec is not None and spec.origin else None


@cache
def imports_of(module: str) -> frozenset[str]:
    """Return our modules that this one names in an import, wherever in it."""
    names: set[str] = {module.rpartition(".")[0]}
    for node in ast.walk(ast.parse(text_of(module) or "")):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                raise ValueError(f"{module} imports by a relative name")  # none of ours does
            names |= {node.module or ""} | {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(name for name in names if text_of(name) is not None)


def closure(module: str) -> list[str]:
    """Return a module and all of ours that it comes to import, in order."""
    found, waiting = {module}, [module]
    while waiting:
        new = imports_of(waiting.pop()) - found
        found |= new
        waiting += new
    return sorted(found)


@cache
def data() -> bytes:
    """Return what the packages have besides code."""
    digest = sha256()
    for package in PACKAGES[:3]:
        for path in sorted(Path(str(files(package))).rglob("*")):
            if path.is_file() and path.suffix not in (".py", ".pyc") and path.name not in NOT_READ:
                digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.digest()


@cache
def fingerprint(module: str) -> str:
    """Return a word that is another when any text is that the module's obligations depend on."""
    digest = sha256(data())
    for name in sorted({*closure(module), *closure(PROVER)}):
        digest.update(f"{name}\0{text_of(name)}\0".encode())
    return digest.hexdigest()
