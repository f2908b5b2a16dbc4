"""Arithmetic in scripts: numbers, GFP names, `i`, and the operators that C and Python share."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Final

MOST_BITS: Final = 128  # of a shift or a power
WIDEST: Final = 256  # bits of a number
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


def evaluate(tree: ast.expr, names: Mapping[str, int], line: int, column: int) -> int:
    """Return the value of an expression.

    Errors   ScriptError for an unknown name, another operator, a division by zero, a huge number
    """
    value = _value(tree, names, line, column)
    if value.bit_length() > WIDEST:
        raise ScriptError(line, column, f"a number of more than {WIDEST} bits")
    return value


def _value(tree: ast.expr, names: Mapping[str, int], line: int, column: int) -> int:
    """Return the value of an expression, of whatever width."""
    match tree:
        case ast.Constant(value=int(number)) if not isinstance(number, bool):
            return number
        case ast.Name(id=name):
            if name in names:
                return names[name]
            raise ScriptError(line, column, f"unknown name {name}")
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -evaluate(operand, names, line, column)
        case ast.UnaryOp(op=ast.Invert(), operand=operand):
            return evaluate(operand, names, line, column) ^ 0xFFFFFFFF
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            first = evaluate(left, names, line, column)
            second = evaluate(right, names, line, column)
            if isinstance(op, ast.LShift | ast.RShift | ast.Pow) and not 0 <= second <= MOST_BITS:
                raise ScriptError(line, column, f"{second} is not from 0 to {MOST_BITS}")
            if isinstance(op, ast.Div | ast.FloorDiv | ast.Mod) and second == 0:
                raise ScriptError(line, column, "division by zero")
            return _OPERATORS[type(op)](first, second)
        case _:
            raise ScriptError(line, column, f"cannot use {ast.unparse(tree)} here")
