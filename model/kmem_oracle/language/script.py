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

from kmem_oracle.language.expression import ScriptError, evaluate
from kmem_oracle.language.names import Key, Names
from kmem_oracle.language.syntax import FLAGS, HANDLES, ID_KINDS, Argument, Block, Cat, Line, blocks_of
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


class Step(NamedTuple):
    """A line of a script, and the call that it comes to; None where it is no call.

    `round` is the round of the innermost repeat around it, None outside of any.
    """

    line: Line | Cat
    op: Op | None
    round: int | None = None


class Steps(NamedTuple):
    """A script with its repeats unrolled; `labels` are the names of its ids."""

    steps: list[Step]
    labels: dict[int, str]


def parse(text: str, names: Mapping[str, int] = NAMES_6_1) -> list[Op]:
    """Return the calls of a script, repeats unrolled.

    Errors   ScriptError with line and column
    """
    ids = Names()
    ops = [step.op for step in unrolled(text, ids, names) if step.op is not None]
    numbers = ids.numbers()
    return ops if numbers is None else [_renumbered(op, numbers) for op in ops]


def steps_of(text: str, names: Mapping[str, int] = NAMES_6_1) -> Steps:
    """Return what a script does, step by step.

    Errors   ScriptError with line and column
    """
    ids = Names()
    steps = list(unrolled(text, ids, names))
    numbers = ids.numbers()
    if numbers is not None:
        steps = [
            step if step.op is None else step._replace(op=_renumbered(step.op, numbers)) for step in steps
        ]
    return Steps(steps, labels_of(ids, numbers))


def labels_of(ids: Names, numbers: list[int] | None = None) -> dict[int, str]:
    """Return how each id is written; `numbers` are the final ids of provisional ones."""
    labels = {numbers[known] if numbers else known: label for known, label in ids.labels().items()}
    first = {label: known for known, label in labels.items()}
    for name, (low, high) in ids.filled():
        for index in range(low, high):
            labels.setdefault(first[f"{name}[{low}]"] + index - low, f"{name}[{index}]")
    return labels


def unrolled(text: str, ids: Names, names: Mapping[str, int] = NAMES_6_1) -> Iterator[Step]:
    """Yield what a script does, step by step, under the provisional ids of its names.

    Errors   ScriptError with line and column
    """
    try:
        steps = _Unroll({**names, **FLAGS}, ids).block(blocks_of(text))
        for count, step in enumerate(steps):
            if count > MOST_CALLS:
                raise ScriptError(1, 1, f"more than {MOST_CALLS:,} calls once its repeats are unrolled")
            if step is not None:
                yield step
    except RecursionError as error:
        raise ScriptError(1, 1, "nested too deeply") from error


def _renumbered(op: Op, numbers: list[int]) -> Op:
    """Return a call with its final ids."""
    places = ID_PLACES[op.api]
    args = tuple(numbers[value] if at in places and value > 0 else value for at, value in enumerate(op.args))
    return Op(op.api, numbers[op.out], args)


class _Unroll:
    """Work out the calls of a script one by one; `ids` are provisional until the last one is known."""

    def __init__(self, names: dict[str, int], ids: Names) -> None:
        self.ids = ids
        self._names = names

    def block(self, block: Block, depth: int = 0) -> Iterator[Step | None]:
        """Yield the steps of a block, as often as it says; None for each of its rounds."""
        count = evaluate(block.count, self._names)
        if not 0 <= count <= MOST_CALLS:
            raise ScriptError.at(block.count, f"cannot repeat {count} times")
        outer = self._names.get("i")
        for index in range(count):
            self._names["i"] = index
            yield None
            for item in block.body:
                if isinstance(item, Block):
                    yield from self.block(item, depth + 1)
                    self._names["i"] = index
                else:
                    op = None if isinstance(item, Cat) else self._op(item)
                    yield Step(item, op, index if depth else None)
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
        value = evaluate(tree, self._names)
        highest = _HIGHEST.get(parameter, SIZE_MAX)
        if line.api.name == "kmem_cache_create" and parameter in {"size", "align"}:
            highest = _UINT  # unsigned int there, size_t in the 2.6 form
        if not 0 <= value <= highest:
            raise line.error(f"{parameter} {value} is not from 0 to {highest}", tree)
        return value

    def _key(self, tree: ast.expr, what: str, line: Line) -> Key:
        """Return the name and index of an object: `a` or `a[i]`."""
        index, base = None, tree
        if isinstance(tree, ast.Subscript):
            index = evaluate(tree.slice, self._names)
            base = tree.value
        if not isinstance(base, ast.Name) or base.id in self._names or base.id in RESERVED:
            raise line.error(f"{ast.unparse(base)} is no name for {what}", tree)
        return base.id, index

    def _pointer(self, arg: Argument, line: Line) -> int:
        """Return the provisional id of what an argument names."""
        kind = arg.parameter if arg.parameter in HANDLES else "object"
        what = f"a {kind}" if kind in HANDLES else "an object"
        if isinstance(arg.tree, ast.Name) and arg.tree.id in SPECIAL:
            if kind in HANDLES and arg.tree.id != "NULL":
                raise line.error(f"{arg.tree.id} is no name for {what}", arg.tree)
            return SPECIAL[arg.tree.id]
        return self.ids.one(self._key(arg.tree, what, line), kind, line)

    def _array(self, arg: Argument, items: int, line: Line) -> int:
        """Return the provisional id of the first object of an array: `p` or `p + 4`."""
        tree = arg.tree
        if isinstance(tree, ast.Name) and tree.id == "NULL" and arg.parameter == "vector" and not items:
            return ID_NULL
        name, index = self._key(tree, "an array", line)
        if index is not None:
            raise line.error(
                f"{name}[{index}] is one object: the array from there on is {name} + {index}", tree
            )
        assert arg.offset is not None
        start = evaluate(arg.offset, self._names)
        use = self.ids.fill if arg.parameter == "array" else self.ids.take
        return use(name, start, items, line)

    def _target(self, tree: ast.expr, items: int, line: Line) -> int:
        """Return the provisional id of what a call makes."""
        if isinstance(tree, ast.Name) and tree.id in SPECIAL:
            raise line.error("NULL and ZERO_SIZE_PTR are no names for an object", tree)
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
