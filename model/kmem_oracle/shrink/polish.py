"""The last step of a reduction: fewer lines of what is read, where removing calls finds nothing any more.

Works on the text. What repeats is one block, so a line goes from all rounds at once; a block whose last
rounds came out otherwise, since there calls failed and those on what they did not make were skipped, becomes
one block again of whole rounds, for a call on what does not live is skipped.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from kmem_oracle.language.expression import ScriptError
from kmem_oracle.language.render import lines_of
from kmem_oracle.language.script import Op, parse

MORE_ROUNDS: Final = 40  # more than the judge wants to see fail in a row
LONGEST: Final = 120  # lines above which single ones are not worth trying
_HEAD: Final = re.compile(r"repeat (\d+) \{")
_NAME: Final = re.compile(r"\b[a-z]+\d*\b(?![\w(\"])")


@dataclass(frozen=True, slots=True)
class Block:
    """What is inside, as often as `rounds` says."""

    rounds: int
    body: tuple[str | Block, ...]


def shorter(
    ops: Sequence[Op], fails: Callable[[Sequence[Op]], bool], late: Callable[[], bool]
) -> tuple[Op, ...]:
    """Return a script of fewer lines that `fails` in the same way; calls may follow the failure."""
    best, lines = tuple(ops), lines_of(ops)
    going = True
    while going and not late():
        going = False
        for tree in candidates(tree_of(lines)):
            if late():
                break
            try:
                script = parse("\n".join(text_of(tree)))
            except ScriptError:  # a name that nothing has made
                continue
            now = lines_of(script)
            if script and len(now) < len(lines) and fails(script):
                best, lines, going = tuple(script), now, True
                break
    return best if best == tuple(ops) else _fewer_rounds(best, fails, late)


def _fewer_rounds(
    ops: tuple[Op, ...], fails: Callable[[Sequence[Op]], bool], late: Callable[[], bool]
) -> tuple[Op, ...]:
    """Return the same lines with as few rounds of each outer block as are found."""
    best, tree = ops, tree_of(lines_of(ops))
    for at, node in enumerate(tree):
        low, high = 1, node.rounds if isinstance(node, Block) else 1
        while low < high and not late():
            assert isinstance(node, Block)
            middle = (low + high) // 2
            fewer = (*tree[:at], Block(middle, node.body), *tree[at + 1 :])
            script = parse("\n".join(text_of(fewer)))
            if len(lines_of(script)) <= len(text_of(tree)) and fails(script):
                best, tree, high = tuple(script), fewer, middle
            else:
                low = middle + 1
    return best


def candidates(tree: tuple[str | Block, ...]) -> Iterator[tuple[str | Block, ...]]:
    """Yield trees with fewer lines, those first that lose most."""
    blocks = [at for at, node in enumerate(tree) if isinstance(node, Block)]
    for at in sorted(blocks, key=lambda place: -_calls(tree[place])):
        block = tree[at]
        assert isinstance(block, Block)
        if at + 1 < len(tree):
            more = Block(block.rounds + MORE_ROUNDS, block.body)
            yield (more,)
            yield (*tree[:at], more)
            following = next((node for node in tree[at + 1 :] if isinstance(node, Block)), None)
            if following is not None:
                both = Block(more.rounds + following.rounds, _union(block.body, following.body))
                yield (both,)
                yield (*tree[:at], both)
    for at, (one, two) in enumerate(pairwise(tree)):
        if isinstance(one, Block) and isinstance(two, Block):
            fused = Block(max(one.rounds, two.rounds), (*one.body, *two.body))
            yield (*tree[:at], fused, *tree[at + 2 :])
    if len(text_of(tree)) <= LONGEST:
        for name in dict.fromkeys(_NAME.findall("\n".join(text_of(tree)))):
            yield _without_name(tree, name)
        yield from _without_one(tree)


def _without_one(tree: tuple[str | Block, ...]) -> Iterator[tuple[str | Block, ...]]:
    """Yield the tree without one line or one block, the largest first."""
    for at in sorted(range(len(tree)), key=lambda place: -len(text_of((tree[place],)))):
        yield (*tree[:at], *tree[at + 1 :])
    for at, node in enumerate(tree):
        if isinstance(node, Block):
            for body in _without_one(node.body):
                inner = (Block(node.rounds, body),) if body else ()
                yield (*tree[:at], *inner, *tree[at + 1 :])


def _without_name(tree: tuple[str | Block, ...], name: str) -> tuple[str | Block, ...]:
    """Return the tree without the lines that mention a name."""
    kept: list[str | Block] = []
    for node in tree:
        if isinstance(node, str):
            if name not in _NAME.findall(node):
                kept.append(node)
        elif body := _without_name(node.body, name):
            kept.append(Block(node.rounds, body))
    return tuple(kept)


def _union(one: tuple[str | Block, ...], two: tuple[str | Block, ...]) -> tuple[str | Block, ...]:
    """Return all of one body, and what only the other holds behind it."""
    return (*one, *(node for node in two if node not in one))


def _calls(node: str | Block) -> int:
    """Return how many calls a node makes."""
    return 1 if isinstance(node, str) else node.rounds * sum(map(_calls, node.body))


def tree_of(lines: Sequence[str]) -> tuple[str | Block, ...]:
    """Return the lines of a script as calls and blocks."""
    open_blocks: list[tuple[int, list[str | Block]]] = [(1, [])]
    for line in map(str.strip, lines):
        head = _HEAD.fullmatch(line)
        if head is not None:
            open_blocks.append((int(head[1]), []))
            continue
        call = line.rstrip(" }")
        open_blocks[-1][1].append(call)
        for _ in range(line.count("}", len(call))):
            rounds, body = open_blocks.pop()
            open_blocks[-1][1].append(Block(rounds, tuple(body)))
    return tuple(open_blocks[0][1])


def text_of(tree: Sequence[str | Block]) -> list[str]:
    """Return the lines of a tree."""
    lines: list[str] = []
    for node in tree:
        if isinstance(node, str):
            lines.append(node)
        else:
            lines += [f"repeat {node.rounds} {{", *text_of(node.body)]
            lines[-1] += " }"
    return lines
