"""The structure of a script: calls and repeats as they are written, nothing worked out yet."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Final

from kmem_oracle.language.expression import MOST_SHOWN, ScriptError, expression
from kmem_spec.apis import APIS, Api, Parameter
from kmem_spec.slab_flags import NAMES as SLAB_FLAGS

MAP_FLAGS: Final = {"VM_MAP": 4}
PROTECTIONS: Final = {"PAGE_KERNEL": 0}
FLAGS: Final = SLAB_FLAGS | MAP_FLAGS | PROTECTIONS  # all names of flags that are no masks
WORDS: Final[dict[Parameter, dict[str, int]]] = {
    "ctor": {"ctor": 1, "NULL": 0},
    "dtor": {"dtor": 1, "NULL": 0},
    "alloc_fn": {"mempool_alloc_kmalloc": 1},
    "free_fn": {"mempool_free_kmalloc": 1},
}
HANDLES: Final = frozenset({"cache", "pool"})
ID_KINDS: Final = frozenset({"pointer", "source", "vector", "cache", "pool"})
CALLABLE: Final = {name: api for name, api in APIS.items() if api.role != "item"}  # an item is no call
PROC_FILES: Final = ("/proc/buddyinfo", "/proc/slabinfo", "/proc/vmallocinfo")
_STRING: Final = r'"(?:\\.|[^"\\\n])*+"?'
_TEXT: Final = rf'(?:{_STRING}|(?!//)[^{{}};\n#"])'
_TOKEN: Final = re.compile(rf"(?:#|//)[^\n]*|\n|[^\S\n]+|;|\}}|repeat\b{_TEXT}*+\{{|\{{|{_TEXT}++")


@dataclass(frozen=True, slots=True)
class Argument:
    """An argument as written; `offset` is what is added to a pointer or an array."""

    parameter: Parameter
    tree: ast.expr
    offset: ast.expr | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """A call before its repeats are unrolled; `text` is how it is written, without blanks around it."""

    api: Api
    args: list[Argument]
    target: ast.expr | None
    line: int
    column: int
    text: str

    def error(self, message: str, tree: ast.expr | None = None) -> ScriptError:
        """Return the error that says what is wrong with this call, or with a part of it."""
        if tree is not None:
            return ScriptError.at(tree, message)
        return ScriptError(self.line, self.column, message)


@dataclass(frozen=True, slots=True)
class Cat:
    """A line that prints a file of /proc, which the model alone has."""

    file: str
    line: int
    column: int
    text: str


@dataclass(frozen=True, slots=True)
class Block:
    """A list of calls and blocks, to be run as often as `count` says."""

    count: ast.expr
    line: int
    column: int
    body: list[Line | Cat | Block] = field(default_factory=list)


class NeverClosed(ScriptError):
    """A script that more lines could complete."""


def blocks_of(script: str) -> Block:
    """Return the structure of a script.

    Errors   ScriptError
    """
    stack = [Block(expression("1", 1, 1), 1, 1)]
    line = column = 1
    for match in _TOKEN.finditer(script):
        token = match.group()
        if token == "{":
            raise ScriptError(line, column, "a { belongs after `repeat N`")
        if token == "}":
            if len(stack) == 1:
                raise ScriptError(line, column, "a } without its {")
            stack.pop()
        elif token.startswith("repeat") and token.endswith("{"):
            count = token[6:-1].lstrip()
            at = column + len(token) - 1 - len(count)
            block = Block(expression(count.rstrip(), line, at), line, column)
            stack[-1].body.append(block)
            stack.append(block)
        elif token.strip() and token[0] not in "#;" and not token.startswith("//"):
            text = token.strip()
            is_cat = text.split(maxsplit=1)[0] == "cat"
            stack[-1].body.append(_cat(text, line, column) if is_cat else _call(text, line, column))
        line, column = (line + 1, 1) if token == "\n" else (line, column + len(token))
    if len(stack) > 1:
        raise NeverClosed(stack[-1].line, stack[-1].column, "this repeat is never closed")
    return stack[0]


def _cat(text: str, line: int, column: int) -> Cat:
    """Parse `cat FILE`."""
    file = text.removeprefix("cat").strip()
    if file not in PROC_FILES:
        raise ScriptError(line, column, f"cat prints {', '.join(PROC_FILES)}, not {file[:MOST_SHOWN]!r}")
    return Cat(file, line, column, text)


def _call(text: str, line: int, column: int) -> Line:
    """Parse `api(args)` or `name = api(args)`."""
    named = "=" in text.partition('"')[0]  # a string may hold one, too
    target, rest = text.split("=", 1) if named else ("", text)
    tree = expression(rest.strip(), line, column + len(text) - len(rest.lstrip()))
    if not isinstance(tree, ast.Call) or not isinstance(tree.func, ast.Name) or tree.keywords:
        raise ScriptError(line, column, f"{text!r} is no call: write `a = kmalloc(64, GFP_KERNEL)`")
    api = CALLABLE.get(tree.func.id)
    if api is None:
        close = get_close_matches(tree.func.id, CALLABLE, 1)
        hint = f"did you mean {close[0]}?" if close else "spec/script.md lists those that there are"
        raise ScriptError(line, column, f"unknown call {tree.func.id[:MOST_SHOWN]}: {hint}")
    written = [kind for kind in api.parameters if kind != "offset"]  # written as `pointer + offset`
    if len(tree.args) != len(written):
        shown = ", ".join(api.parameters).replace("pointer, offset", "pointer + offset")
        raise ScriptError(line, column, f"{api.name} takes ({shown})")
    if api.makes != named:
        raise ScriptError(line, column, f"{api.name} {_makes(api)}")
    made = expression(target.strip(), line, column) if named else None
    call = Line(api, [], made, line, column, text)
    call.args.extend(_argument(kind, arg, call) for kind, arg in zip(written, tree.args, strict=True))
    return call


def _makes(api: Api) -> str:
    """Return what a script must know of the result of a call."""
    if api.role == "bulk":
        return "returns no object: it fills the array given last"
    if api.role == "split":
        return "makes an array of pages: name it, as in `p = …`"
    if api.role == "create":
        return f"returns a {api.family}: name it, as in `{api.family[0]} = …`"
    return "returns an object: name it, as in `a = …`" if api.makes else "returns no object"


def _argument(parameter: Parameter, tree: ast.expr, call: Line) -> Argument:
    """Return an argument; words and strings become the numbers that a call holds for them."""
    if parameter == "name":
        return Argument(parameter, ast.copy_location(ast.Constant(_string(tree, call)), tree))
    if parameter in WORDS:
        words = WORDS[parameter]
        if not isinstance(tree, ast.Name) or tree.id not in words:
            wanted = " or ".join(f"`{word}`" for word in words)
            raise call.error(f"{parameter} is {wanted}, not {_shown(tree)}", tree)
        return Argument(parameter, ast.copy_location(ast.Constant(words[tree.id]), tree))
    if parameter in {"vector", "array"} or (parameter == "pointer" and "offset" in call.api.parameters):
        return Argument(parameter, *_split_sum(tree))
    if parameter not in ID_KINDS:
        _check_flags(parameter, tree, call)
    return Argument(parameter, tree)


def _string(tree: ast.expr, call: Line) -> int:
    """Return 1 for a string, 0 for NULL."""
    if isinstance(tree, ast.Constant) and isinstance(tree.value, str):
        return 1
    if isinstance(tree, ast.Name) and tree.id == "NULL":
        return 0
    raise call.error(f"name is a string in double quotes, or NULL, not {_shown(tree)}", tree)


def _check_flags(parameter: Parameter, tree: ast.expr, call: Line) -> None:
    """Refuse flags of one kind where those of another are due."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in FLAGS and node.id not in flags_of(call.api, parameter):
            raise call.error(f"{node.id} belongs elsewhere than in the {parameter} of {call.api.name}", node)


def flags_of(api: Api, parameter: str) -> dict[str, int]:
    """Return the names of flags, other than masks, that a parameter knows."""
    if parameter == "flags":
        return SLAB_FLAGS if api.role == "create" else MAP_FLAGS
    return PROTECTIONS if parameter == "prot" else {}


def _split_sum(tree: ast.expr) -> tuple[ast.expr, ast.expr]:
    """Split `p + 4 - 1` into `p` and the rest."""
    rest: list[tuple[ast.operator, ast.expr]] = []
    whole = tree
    while isinstance(tree, ast.BinOp) and isinstance(tree.op, ast.Add | ast.Sub):
        rest.append((tree.op, tree.right))
        tree = tree.left
    offset: ast.expr = ast.copy_location(ast.Constant(0), whole)
    for op, term in reversed(rest):
        offset = ast.copy_location(ast.BinOp(offset, op, term), whole)
    return tree, offset


def _shown(tree: ast.expr) -> str:
    """Return an expression as text, cut to what a message can hold."""
    text = ast.unparse(tree)
    return text if len(text) <= MOST_SHOWN else text[:MOST_SHOWN] + "…"
