"""Lines removed at random from the rules and the model: who notices?

    python tests/bench/remove_lines.py [--seed N] [--count N] [--only FROM:TO] [--quick] [--list]

Run by hand. A line is a guard (an `if` that refuses or makes a finding, a `require` and its like), one part
of a conjunction in a guard or a predicate, or an update (a table's put or drop, an assignment to state).
Each is removed by itself from a copy of the tree; then `verify`, the machines and the other tests are
asked, in this order, until one is red; with --quick the other tests are not. What neither a proof nor a
machine sees is a hole: exit status 1.
"""

from __future__ import annotations

import argparse
import ast
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = ("spec/kmem_spec", "model/kmem_model")
REFUSING = {"require", "refuse", "may_ask", "may_wait"}
UPDATING = {"put", "drop", "add", "discard", "append", "pop", "update", "accept", "release", "setdefault"}
BEGINNING = {"__init__", "clear"}  # the next call misses what they leave out
FRESH = (ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp)
PYTEST = (sys.executable, "-m", "pytest", "-q", "-x", "--no-header")
RED_PROOF, RED_TEST = r"(\S+) +([A-Z]{4,}) ", r"(?:FAILED|ERROR) (.+)"


@dataclass(frozen=True, order=True)
class Line:
    """What is removed: the bytes `start` to `end` of a file, and what stands there instead."""

    path: str
    start: int
    end: int
    number: int
    text: str
    instead: str


def named(node: ast.expr) -> str:
    """Return the last name of what is called."""
    called = node.func if isinstance(node, ast.Call) else node
    if isinstance(called, ast.Attribute):
        return called.attr
    return called.id if isinstance(called, ast.Name) else ""


def is_guard(node: ast.stmt) -> bool:
    """Say whether a statement stops a call that without it would go on."""
    if isinstance(node, ast.If):
        return not node.orelse and any(
            (isinstance(each, ast.Raise) and each.exc is not None and named(each.exc) == "Refused")
            or (isinstance(each, ast.Expr) and named(each.value) in REFUSING)
            or (isinstance(each, ast.Return) and each.value is not None and named(each.value) == "finding")
            for each in node.body
        )
    return isinstance(node, ast.Expr) and named(node.value) in REFUSING


def made_here(function: ast.AST) -> set[str]:
    """Return the names of what a function makes for itself: to change that changes no state."""
    found: set[str] = set()
    for node in ast.walk(function):
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, FRESH):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {each.id for each in targets if isinstance(each, ast.Name)}
    return found


def is_update(node: ast.stmt, own: set[str]) -> bool:
    """Say whether a statement changes state; `own` are names of what is none."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        called = node.value.func
        return (
            isinstance(called, ast.Attribute) and called.attr in UPDATING and named(called.value) not in own
        )
    targets: list[ast.expr] = []
    if isinstance(node, ast.Assign | ast.Delete):
        targets = node.targets
    elif isinstance(node, ast.AugAssign):
        targets = [node.target]
    parts = [part for each in targets for part in (each.elts if isinstance(each, ast.Tuple) else [each])]
    return any(
        isinstance(part, ast.Attribute) or (isinstance(part, ast.Subscript) and named(part.value) not in own)
        for part in parts
    )


def conjuncts(node: ast.expr) -> list[ast.expr]:
    """Return the parts that must all hold, none where `&` is of masks."""
    if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.And):
        return node.values
    if not isinstance(node, ast.BinOp) or not isinstance(node.op, ast.BitAnd):
        return []
    parts = [*(conjuncts(node.left) or [node.left]), *(conjuncts(node.right) or [node.right])]
    return parts if any(isinstance(part, ast.Compare) for part in parts) else []


def lines_of(path: Path) -> Iterator[Line]:
    """Yield what can be removed from a file."""
    source = path.read_bytes()
    begins = [0, *(match.end() for match in re.finditer(b"\n", source))]

    def place(node: ast.expr | ast.stmt) -> slice:
        last, column = node.end_lineno or node.lineno, node.end_col_offset or 0
        return slice(begins[node.lineno - 1] + node.col_offset, begins[last - 1] + column)

    def text(node: ast.expr | ast.stmt) -> str:
        return source[place(node)].decode()

    def line(node: ast.expr | ast.stmt, instead: str, shown: ast.expr | ast.stmt) -> Line:
        at, says = place(node), " ".join(text(shown).split())
        return Line(str(path.relative_to(ROOT)), at.start, at.stop, shown.lineno, says, instead)

    def walk(node: ast.AST, deciding: bool, own: set[str]) -> Iterator[Line]:
        if isinstance(node, ast.FunctionDef):
            if node.name in BEGINNING:
                return
            deciding, own = isinstance(node.returns, ast.Name) and node.returns.id == "bool", made_here(node)
        inside: list[ast.AST] = list(ast.iter_child_nodes(node))
        if isinstance(node, ast.stmt):
            guard = is_guard(node)
            deciding = deciding or guard
            if guard or is_update(node, own):
                yield line(node, "pass", node)
        if deciding and isinstance(node, ast.expr) and (parts := conjuncts(node)):
            word = " & " if isinstance(node, ast.BinOp) else " and "
            for part in parts:
                rest = word.join(f"({text(other)})" for other in parts if other is not part)
                yield line(node, f"({rest})", part)
            inside = list(parts)
        for each in inside:
            yield from walk(each, deciding, own)

    for statement in ast.parse(source).body:
        yield from walk(statement, False, set())


def drawn(seed: int, count: int) -> tuple[list[Line], int]:
    """Return the lines drawn, and of how many."""
    paths = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
    every = sorted(line for path in paths for line in lines_of(path))
    return random.Random(seed).sample(every, count), len(every)


def red(tree: Path, command: Sequence[str], pattern: str) -> str:
    """Return the first thing that is red in what a command says, "" if all is green."""
    folders = [str(tree / part) for part in ("spec", "model", "proofs")]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(folders), "PYTHONDONTWRITEBYTECODE": "1"}
    found, last = "", ""
    with subprocess.Popen(
        command,
        cwd=tree,
        env=env,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        for said in process.stdout:
            last = said.strip() or last
            match = re.match(pattern, said)
            if match:
                found = " ".join([match[1].split(" - ")[0], *match.groups()[1:]])
                os.killpg(process.pid, signal.SIGKILL)  # one is enough
                break
    return found or (f"stops: {last}" if process.returncode else "")


def judges(tree: Path, changed: Path, quick: bool) -> list[tuple[str, tuple[str, ...], str]]:
    """Return whom to ask, how, and what their red lines look like; what is nearest or quickest first."""
    nearest = [str(each) for each in sorted(tree.glob(f"tests/cover/test_*{changed.stem}*.py"))]
    machines = ("tests/machines/test_kernel_machine.py", "tests/machines")
    every = [
        ("verify", ("kmem-oracle", "verify", "--jobs", "1"), RED_PROOF),
        ("machines", (*PYTEST, *machines), RED_TEST),
        ("tests", (*PYTEST, *nearest, "tests/cover"), RED_TEST),
    ]
    return every[:2] if quick else every


def judged(tree: Path, line: Line, quick: bool) -> tuple[str, str]:
    """Remove a line from the tree, ask in turn who notices, and put it back."""
    path = tree / line.path
    source = path.read_bytes()
    path.write_bytes(source[: line.start] + line.instead.encode() + source[line.end :])
    try:
        for judge, command, pattern in judges(tree, path, quick):
            found = red(tree, command, pattern)
            if found:
                return judge, found
    finally:
        path.write_bytes(source)
    return "nobody", ""


def main() -> int:
    """Print a row for each line: where, what, who noticed, how soon."""
    parser = argparse.ArgumentParser(description="remove lines at random and see who notices")
    parser.add_argument("--seed", type=int, default=4)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--only", default=":", help="FROM:TO of the lines drawn")
    parser.add_argument("--quick", action="store_true", help="ask the proofs and the machines alone")
    parser.add_argument("--list", action="store_true", help="only say what is drawn")
    options = parser.parse_args()
    lines, of = drawn(options.seed, options.count)
    first, last = (int(each) if each else None for each in options.only.split(":"))
    print(f"{len(lines)} of {of} lines, seed {options.seed}", flush=True)
    holes = 0
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(".git", ".*_cache", "__pycache__"))
        for number, line in list(enumerate(lines, 1))[first:last]:
            print(f"{number:2}  {line.path}:{line.number}  {line.text}", flush=True)
            if not options.list:
                start = time.perf_counter()
                who, what = judged(tree, line, options.quick)
                holes += who not in ("verify", "machines")
                print(f"    {who}, {time.perf_counter() - start:.0f} s: {what}", flush=True)
    return 1 if holes else 0


if __name__ == "__main__":
    sys.exit(main())
