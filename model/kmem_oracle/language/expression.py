"""Arithmetic in scripts: numbers, GFP names, `i`, and the operators that C and Python share."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Final, Self

MOST_BITS: Final = 128  # of a shift or a power
WIDEST: Final = 256  # bits of a number
MOST_SHOWN: Final = 60  # characters of a script in a message
_OPERATORS: Final[dict[type[ast.operator], Callable[[int, int], int]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.floordiv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
    ast.BitOr: operator.or_,
    ast.BitAnd: operator.and_,
    ast.Pow: operator.pow,
}


class ScriptError(ValueError):
    """A script that cannot be read; line and column count from 1."""

    def __init__(self, line: int, column: int, message: str) -> None:
        super().__init__(f"line {line}, column {column}: {message}")
        self.line = line
        self.column = column
        self.message = message

    @classmethod
    def at(cls, tree: ast.expr, message: str) -> Self:
        """Return the error that says what is wrong with an expression, which knows its place."""
        return cls(tree.lineno, tree.col_offset + 1, message)


def expression(text: str, line: int, column: int) -> ast.expr:
    """Return an expression whose parts know their places in the script, columns from 0.

    Errors   ScriptError
    """
    try:
        tree = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:  # the last from deep nesting
        shown = text if len(text) <= MOST_SHOWN else text[:MOST_SHOWN] + "…"
        raise ScriptError(line, column, f"cannot read {shown!r}") from error
    encoded = None if text.isascii() else text.encode()
    for node in ast.walk(tree):
        if isinstance(node, ast.expr):
            within = node.col_offset  # in bytes
            if encoded is not None:
                within = len(encoded[:within].decode(errors="replace"))
            node.lineno, node.col_offset = line, column - 1 + within
    return tree


def evaluate(tree: ast.expr, names: Mapping[str, int]) -> int:
    """Return the value of an expression.

    Errors   ScriptError for an unknown name, another operator, a division by zero, a huge number
    """
    value = _value(tree, names)
    if value.bit_length() > WIDEST:
        raise ScriptError.at(tree, f"a number of more than {WIDEST} bits")
    return value


def _value(tree: ast.expr, names: Mapping[str, int]) -> int:
    """Return the value of an expression, of whatever width."""
    match tree:
        case ast.Constant(value=int(number)) if not isinstance(number, bool):
            return number
        case ast.Name(id=name):
            if name in names:
                return names[name]
            close = get_close_matches(name, names, 1)
            raise ScriptError.at(
                tree, f"unknown name {name[:MOST_SHOWN]}" + (f": did you mean {close[0]}?" if close else "")
            )
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -evaluate(operand, names)
        case ast.UnaryOp(op=ast.Invert(), operand=operand):
            return evaluate(operand, names) ^ 0xFFFFFFFF
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            first = evaluate(left, names)
            second = evaluate(right, names)
            if isinstance(op, ast.LShift | ast.RShift | ast.Pow) and not 0 <= second <= MOST_BITS:
                raise ScriptError.at(right, f"{second} is not from 0 to {MOST_BITS}")
            if isinstance(op, ast.Div | ast.FloorDiv | ast.Mod) and second == 0:
                raise ScriptError.at(right, "division by zero")
            return _OPERATORS[type(op)](first, second)
        case _:
            raise ScriptError.at(tree, f"cannot use {ast.unparse(tree)} here")
