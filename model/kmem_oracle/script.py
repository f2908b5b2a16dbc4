"""The call language: a script as text, and as a list of calls with ids in place of pointers.

    a = kmalloc(100, GFP_KERNEL)
    a = krealloc(a, 300, GFP_KERNEL | __GFP_ZERO)
    repeat 300 { b = kzalloc(64, GFP_ATOMIC); kfree(b) }
    kfree(a)

A call on an id that does not live is skipped, so any part of a script is a script. spec/script.md has
the whole language.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from kmem_oracle.expression import ScriptError, evaluate
from kmem_spec.apis import APIS, Api
from kmem_spec.gfp import NAMES_6_1
from kmem_spec.units import SIZE_MAX

ID_NULL: Final = 0
ID_ZERO_SIZE: Final = -1
SPECIAL: Final = {"NULL": ID_NULL, "ZERO_SIZE_PTR": ID_ZERO_SIZE}
MOST_CALLS: Final = 10_000_000
MOST_SHOWN: Final = 60  # characters of a script in a message
_TEXT: Final = r"(?:(?!//)[^{};\n#])"
_TOKEN: Final = re.compile(rf"(?:#|//)[^\n]*|\n|[^\S\n]+|;|\}}|repeat\b{_TEXT}*\{{|\{{|{_TEXT}+")
Ids = dict[tuple[str, int | None], int]


class Op(NamedTuple):
    """One call of a script: `out` is the id of the object it makes (0 for none), pointers are ids."""

    api: str
    out: int
    args: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Line:
    """A call before its repeats are unrolled."""

    api: Api
    args: list[ast.expr]
    target: ast.expr | None
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class _Block:
    """A list of calls and blocks, to be run as often as `count` says."""

    count: ast.expr
    line: int
    column: int
    body: list[_Line | _Block] = field(default_factory=list)


def parse(text: str, names: Mapping[str, int] = NAMES_6_1) -> list[Op]:
    """Return the calls of a script, repeats unrolled.

    Errors   ScriptError with line and column
    """
    ids: Ids = {}
    ops: list[Op] = []
    try:
        for count, op in enumerate(_unroll(_blocks(text), {**names}, ids)):
            if count > MOST_CALLS:
                raise ScriptError(1, 1, f"more than {MOST_CALLS:,} calls once its repeats are unrolled")
            if op is not None:
                ops.append(op)
    except RecursionError as error:
        raise ScriptError(1, 1, "nested too deeply") from error
    return ops


def _blocks(text: str) -> _Block:
    """Return the structure of a script."""
    stack = [_Block(ast.Constant(1), 1, 1)]
    line = column = 1
    for match in _TOKEN.finditer(text):
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
            block = _Block(_expression(count.rstrip(), line, at), line, column)
            stack[-1].body.append(block)
            stack.append(block)
        elif token.strip() and token[0] not in "#;" and not token.startswith("//"):
            stack[-1].body.append(_call(token.strip(), line, column))
        line, column = (line + 1, 1) if token == "\n" else (line, column + len(token))
    if len(stack) > 1:
        raise ScriptError(stack[-1].line, stack[-1].column, "this repeat is never closed")
    return stack[0]


def _expression(text: str, line: int, column: int) -> ast.expr:
    """Parse one expression."""
    try:
        return ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:  # the last from deep nesting
        shown = text if len(text) <= MOST_SHOWN else text[:MOST_SHOWN] + "…"
        raise ScriptError(line, column, f"cannot read {shown!r}") from error


def _call(text: str, line: int, column: int) -> _Line:
    """Parse `api(args)` or `name = api(args)`."""
    target, equals, rest = text.partition("=")
    if not equals:
        target, rest = "", text
    tree = _expression(rest.strip(), line, column)
    if not isinstance(tree, ast.Call) or not isinstance(tree.func, ast.Name) or tree.keywords:
        raise ScriptError(line, column, f"{text!r} is no call: write `a = kmalloc(64, GFP_KERNEL)`")
    api = APIS.get(tree.func.id)
    if api is None:
        raise ScriptError(line, column, f"unknown call {tree.func.id}: known are {', '.join(APIS)}")
    if len(tree.args) != len(api.parameters):
        raise ScriptError(line, column, f"{api.name} takes ({', '.join(api.parameters)})")
    makes = api.role in {"allocate", "resize"}
    if makes != bool(equals):
        wanted = "returns an object: name it, as in `a = …`" if makes else "returns no object"
        raise ScriptError(line, column, f"{api.name} {wanted}")
    where = _expression(target.strip(), line, column) if equals else None
    return _Line(api, tree.args, where, line, column)


def _unroll(block: _Block, names: dict[str, int], ids: Ids) -> Iterator[Op | None]:
    """Yield the calls of a block, as often as it says, with `i` the number of the round; None for a round."""
    count = evaluate(block.count, names, block.line, block.column)
    if not 0 <= count <= MOST_CALLS:
        raise ScriptError(block.line, block.column, f"cannot repeat {count} times")
    for index in range(count):
        names = {**names, "i": index}
        yield None
        for item in block.body:
            if isinstance(item, _Block):
                yield from _unroll(item, names, ids)
            else:
                yield _op(item, names, ids)


def _op(line: _Line, names: dict[str, int], ids: Ids) -> Op:
    """Return one call with its arguments worked out."""
    args = []
    for parameter, tree in zip(line.api.parameters, line.args, strict=True):
        if parameter == "pointer":
            args.append(_id(tree, names, ids, line))
            continue
        value = evaluate(tree, names, line.line, line.column)
        highest = {"gfp": 0xFFFFFFFF, "order": 0xFFFFFFFF}.get(parameter, SIZE_MAX)
        if not 0 <= value <= highest:
            raise ScriptError(line.line, line.column, f"{parameter} {value} is not from 0 to {highest}")
        args.append(value)
    out = 0 if line.target is None else _id(line.target, names, ids, line)
    if line.target is not None and out <= 0:
        raise ScriptError(line.line, line.column, "NULL and ZERO_SIZE_PTR are no names for an object")
    return Op(line.api.name, out, tuple(args))


def _id(tree: ast.expr, names: dict[str, int], ids: Ids, line: _Line) -> int:
    """Return the id of a pointer: `a`, `a[i]`, NULL or ZERO_SIZE_PTR."""
    index = None
    if isinstance(tree, ast.Subscript):
        index = evaluate(tree.slice, names, line.line, line.column)
        tree = tree.value
    if not isinstance(tree, ast.Name) or tree.id in names:
        raise ScriptError(line.line, line.column, f"{ast.unparse(tree)} is no name for an object")
    if tree.id in SPECIAL:
        return SPECIAL[tree.id]
    return ids.setdefault((tree.id, index), len(ids) + 1)
