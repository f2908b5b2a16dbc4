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
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from kmem_oracle.expression import ScriptError, evaluate
from kmem_oracle.names import Key, Names
from kmem_oracle.syntax import FLAGS, HANDLES, ID_KINDS, Argument, Block, Line, blocks_of
from kmem_spec.apis import APIS, Api, Parameter, argument
from kmem_spec.gfp import NAMES_6_1
from kmem_spec.units import SIZE_MAX

ID_NULL: Final = 0
ID_ZERO_SIZE: Final = -1
SPECIAL: Final = {"NULL": ID_NULL, "ZERO_SIZE_PTR": ID_ZERO_SIZE}
RESERVED: Final = frozenset({*SPECIAL, "ctor", "dtor", "mempool_alloc_kmalloc", "mempool_free_kmalloc"})
MOST_CALLS: Final = 10_000_000
MOST_ITEMS: Final = 65_536  # objects that one call makes or takes
_UINT: Final = 0xFFFFFFFF
_INT: Final = 0x7FFFFFFF
_HIGHEST: Final[dict[Parameter, int]] = {
    "gfp": _UINT,
    "order": _UINT,
    "flags": _UINT,
    "number": _INT,
}
ID_PLACES: Final = {
    api.name: tuple(at for at, kind in enumerate(api.parameters) if kind in ID_KINDS) for api in APIS.values()
}


class Op(NamedTuple):
    """One call of a script: `out` is the id of the object it makes (0 for none), pointers are ids.

    A call that makes several gives them the ids from `out` on; a vector is the id of its first object.
    """

    api: str
    out: int
    args: tuple[int, ...]


def parse(text: str, names: Mapping[str, int] = NAMES_6_1) -> list[Op]:
    """Return the calls of a script, repeats unrolled.

    Errors   ScriptError with line and column
    """
    ops: list[Op] = []
    try:
        unrolled = _Unroll({**names, **FLAGS})
        for count, op in enumerate(unrolled.block(blocks_of(text))):
            if count > MOST_CALLS:
                raise ScriptError(1, 1, f"more than {MOST_CALLS:,} calls once its repeats are unrolled")
            if op is not None:
                ops.append(op)
    except RecursionError as error:
        raise ScriptError(1, 1, "nested too deeply") from error
    numbers = unrolled.ids.numbers()
    return ops if numbers is None else [_renumbered(op, numbers) for op in ops]


def _renumbered(op: Op, numbers: list[int]) -> Op:
    """Return a call with its final ids."""
    places = ID_PLACES[op.api]
    args = tuple(numbers[value] if at in places and value > 0 else value for at, value in enumerate(op.args))
    return Op(op.api, numbers[op.out], args)


class _Unroll:
    """Work out the calls of a script one by one; `ids` are provisional until the last one is known."""

    def __init__(self, names: dict[str, int]) -> None:
        self.ids = Names()
        self._names = names

    def block(self, block: Block) -> Iterator[Op | None]:
        """Yield the calls of a block, as often as it says; None for each of its rounds."""
        count = evaluate(block.count, self._names, block.line, block.column)
        if not 0 <= count <= MOST_CALLS:
            raise ScriptError(block.line, block.column, f"cannot repeat {count} times")
        outer = self._names.get("i")
        for index in range(count):
            self._names["i"] = index
            yield None
            for item in block.body:
                if isinstance(item, Block):
                    yield from self.block(item)
                    self._names["i"] = index
                else:
                    yield self._op(item)
        if outer is not None:
            self._names["i"] = outer

    def _op(self, line: Line) -> Op:
        """Return one call with its arguments worked out."""
        api = line.api
        args = [0] * len(api.parameters)
        for arg in line.args:
            if arg.parameter not in ID_KINDS and arg.parameter != "array":
                args[api.parameters.index(arg.parameter)] = self._number(arg.parameter, arg.tree, line)
        items = items_of(api, tuple(args))
        if items > MOST_ITEMS:
            raise line.error(f"{api.name} of {items:,} objects: at most {MOST_ITEMS:,} go into an array")
        out = 0
        for arg in line.args:
            if arg.parameter == "array":
                out = self._array(arg, items, line)
            elif arg.parameter == "vector":
                args[api.parameters.index("vector")] = self._array(arg, items, line)
            elif arg.parameter in ID_KINDS:
                args[api.parameters.index(arg.parameter)] = self._pointer(arg, line)
                if arg.offset is not None:
                    args[api.parameters.index("offset")] = self._number("offset", arg.offset, line)
        if line.target is not None:
            out = self._target(line.target, items, line)
        return Op(api.name, out, tuple(args))

    def _number(self, parameter: Parameter, tree: ast.expr, line: Line) -> int:
        """Return the value of an argument that is a number."""
        value = evaluate(tree, self._names, line.line, line.column)
        highest = _HIGHEST.get(parameter, SIZE_MAX)
        if line.api.name == "kmem_cache_create" and parameter in {"size", "align"}:
            highest = _UINT  # unsigned int there, size_t in the 2.6 form
        if not 0 <= value <= highest:
            raise line.error(f"{parameter} {value} is not from 0 to {highest}")
        return value

    def _key(self, tree: ast.expr, what: str, line: Line) -> Key:
        """Return the name and index of an object: `a` or `a[i]`."""
        index, base = None, tree
        if isinstance(tree, ast.Subscript):
            index = evaluate(tree.slice, self._names, line.line, line.column)
            base = tree.value
        if not isinstance(base, ast.Name) or base.id in self._names or base.id in RESERVED:
            raise line.error(f"{ast.unparse(base)} is no name for {what}")
        return base.id, index

    def _pointer(self, arg: Argument, line: Line) -> int:
        """Return the provisional id of what an argument names."""
        kind = arg.parameter if arg.parameter in HANDLES else "object"
        what = f"a {kind}" if kind in HANDLES else "an object"
        if isinstance(arg.tree, ast.Name) and arg.tree.id in SPECIAL:
            if kind in HANDLES and arg.tree.id != "NULL":
                raise line.error(f"{arg.tree.id} is no name for {what}")
            return SPECIAL[arg.tree.id]
        return self.ids.one(self._key(arg.tree, what, line), kind, line)

    def _array(self, arg: Argument, items: int, line: Line) -> int:
        """Return the provisional id of the first object of an array: `p` or `p + 4`."""
        tree = arg.tree
        if isinstance(tree, ast.Name) and tree.id == "NULL" and arg.parameter == "vector" and not items:
            return ID_NULL
        name, index = self._key(tree, "an array", line)
        if index is not None:
            raise line.error(f"{name}[{index}] is one object: the array from there on is {name} + {index}")
        assert arg.offset is not None
        start = evaluate(arg.offset, self._names, line.line, line.column)
        use = self.ids.fill if arg.parameter == "array" else self.ids.take
        return use(name, start, items, line)

    def _target(self, tree: ast.expr, items: int, line: Line) -> int:
        """Return the provisional id of what a call makes."""
        if isinstance(tree, ast.Name) and tree.id in SPECIAL:
            raise line.error("NULL and ZERO_SIZE_PTR are no names for an object")
        key = self._key(tree, "an object", line)
        if line.api.role == "split":
            return self.ids.fill(key[0], key[1] or 0, items, line)
        return self.ids.make(key, line)


def items_of(api: Api, args: tuple[int, ...]) -> int:
    """Return how many objects a call takes or makes through an array; 0 if it has none."""
    if api.role == "split":
        order = argument(api, args, "order")
        return 1 << order if order < 64 else SIZE_MAX
    many = "vector" in api.parameters or "array" in api.parameters
    return argument(api, args, "count") if many else 0
