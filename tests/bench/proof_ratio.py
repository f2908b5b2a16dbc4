"""How long the proofs are beside the code that they prove: lines of text, of code, and of what is around.

Counted are lines that are not blank, nor a comment, nor a docstring.

code proved    functions of spec and model that some obligation's claim runs on its witness, with the fields
               of their classes and the constants of their modules that they name; and, less strictly, the
               whole modules that have one of them
proof text     the modules whose rows the catalogue has, with the states and points that they share
               (`zones`, `slabs`, ...), but for the lines of witnesses and of mutants in them; without
               imports beside functions, which have none either, with them beside whole modules
witnesses      values of `witness=`, and names that are annotated with `Values`
mutants        the folder mutants, and values of `mutants=`
executor       all other modules: what runs a claim, asks the solver, reports and keeps

Run by hand: python tests/bench/proof_ratio.py
"""

from __future__ import annotations

import ast
import io
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FrameType
from typing import Final

import kmem_proofs
from kmem_proofs.case import rerun
from kmem_proofs.catalogue import MODULES, catalogue

PROOFS: Final = Path(kmem_proofs.__file__).parent
SHARED: Final = {"zones", "slabs", "builds", "spaces", "rules", "small_slab", "small_area"}
CODE: Final = ("kmem_spec", "kmem_model")
NO_CODE: Final = {"clauses.py", "table.py"}  # what declares clauses; what a proof replaces by its own tables
NO_LINE: Final = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
}
DOCUMENTED: Final = (ast.Module, ast.ClassDef, ast.FunctionDef)


def lines_of(node: ast.stmt | ast.expr) -> set[int]:
    """Return the numbers of the lines that a node is on, its decorators with it."""
    first = min([node.lineno, *(each.lineno for each in getattr(node, "decorator_list", []))])
    return set(range(first, (node.end_lineno or first) + 1))


def counted(text: str) -> set[int]:
    """Return the numbers of the lines that count."""
    found: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in NO_LINE:
            found.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node) is not None:
            found -= lines_of(node.body[0])
    return found


def values_of(tree: ast.Module, name: str) -> Iterator[set[int]]:
    """Yield the lines of each `name=…` of a call that has lines of its own."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            for keyword in node.keywords:
                others = {each.lineno for each in node.args}
                others |= {each.lineno for each in node.keywords if each is not keyword}
                if keyword.arg == name and keyword.lineno not in others:
                    yield set(range(keyword.lineno, (keyword.end_lineno or 0) + 1)) - {node.lineno}


def parts_of(path: Path) -> tuple[set[int], set[int], set[int]]:
    """Return the lines of a module that are proof text, witnesses, and mutants."""
    text = path.read_text(encoding="utf-8")
    tree, lines = ast.parse(text), counted(text)
    witnesses, mutants = set[int]().union(*values_of(tree, "witness")), set[int]()
    mutants = mutants.union(*values_of(tree, "mutants"))
    for node in tree.body:
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.annotation) in (
            "Final[Values]",
            "Final[dict[str, Values]]",
        ):
            witnesses |= lines_of(node)
    return lines - witnesses - mutants, lines & witnesses, lines & mutants


def run_by_the_claims() -> dict[Path, set[tuple[int, str]]]:
    """Return the functions of spec and model that claims run on their witnesses: first line and name."""
    codes: set[CodeType] = set()

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            codes.add(frame.f_code)

    obligations = catalogue()
    sys.setprofile(note)
    try:
        for each in obligations.values():
            rerun(each.claim, each.witness)
    finally:
        sys.setprofile(None)
    found: dict[Path, set[tuple[int, str]]] = {}
    for code in codes:
        path = Path(code.co_filename)
        if path.parent.name in CODE and path.name not in NO_CODE:
            found.setdefault(path, set()).add((code.co_firstlineno, code.co_name))
    return found


def imports_of(path: Path) -> set[int]:
    """Return the lines of a module's imports."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return set[int]().union(
        *(lines_of(node) for node in body if isinstance(node, ast.Import | ast.ImportFrom))
    )


def constants_of(tree: ast.Module, named: set[str]) -> set[int]:
    """Return the lines of the module's constants that are named, and of those that these name."""
    found: set[int] = set()
    for node in reversed(tree.body):  # a constant stands below what it is made of
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id in named:
            found |= lines_of(node)
            named |= names_in(node)
    return found


def names_in(node: ast.AST) -> set[str]:
    """Return the names that are read in a node."""
    return {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}


def functions_in(path: Path, run: set[tuple[int, str]]) -> set[int]:
    """Return the lines of the functions that were run, of their classes' fields and of their constants."""
    text = path.read_text(encoding="utf-8")
    tree, named = ast.parse(text), set[str]()
    found: set[int] = set()
    for node in ast.walk(tree):
        inside = node.body if isinstance(node, ast.ClassDef) else [node]
        ran = [
            each
            for each in inside
            if isinstance(each, ast.FunctionDef) and (min(lines_of(each)), each.name) in run
        ]
        for each in ran:
            found |= lines_of(each)
            for part in [*each.body, *each.args.defaults]:  # a decorator names examples
                named |= names_in(part)
        if ran and isinstance(node, ast.ClassDef):
            found |= {node.lineno}.union(*(lines_of(e) for e in node.body if isinstance(e, ast.AnnAssign)))
    return (found | constants_of(tree, named)) & counted(text)


def main() -> None:
    """Print the table."""
    run = run_by_the_claims()
    functions = sum(len(functions_in(path, names)) for path, names in run.items())
    modules = sum(len(counted(path.read_text(encoding="utf-8"))) for path in run)
    stating = {module.__name__.rpartition(".")[2] for module in MODULES} | SHARED
    text = imports = witnesses = faults = executor = 0
    for path in sorted(PROOFS.rglob("*.py")):
        own, given, broken = parts_of(path)
        if path.parent != PROOFS:
            faults += len(own | given | broken)
        elif path.stem in stating:
            text, witnesses, faults = text + len(own), witnesses + len(given), faults + len(broken)
            imports += len(own & imports_of(path))
        else:
            executor += len(own | given | broken)
    for name, lines in (
        ("code proved, functions that are run", functions),
        ("code proved, modules with one of them", modules),
        ("proof text", text),
        ("proof text without imports", text - imports),
        ("witnesses", witnesses),
        ("mutants", faults),
        ("executor", executor),
    ):
        print(f"{name:<40}{lines:>6,}")
    print(
        f"to functions, without imports {(text - imports) / functions:.2f}, to modules {text / modules:.2f}"
    )


if __name__ == "__main__":
    main()
