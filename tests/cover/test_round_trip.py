"""Rendered scripts read back: the same calls, whatever repeats in them; any part of a script is one."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.cover.short import K, kf, km

from kmem_oracle.language.names import kind_made
from kmem_oracle.language.render import lines_of
from kmem_oracle.language.rounds import made_by, taken_by
from kmem_oracle.language.script import ID_NULL, ID_PLACES, ID_ZERO_SIZE, Op, items_of, parse
from kmem_oracle.language.syntax import ID_KINDS
from kmem_spec.apis import APIS
from kmem_spec.gfp import NAMES, ZERO
from kmem_spec.units import SIZE_MAX

Step = tuple[str, tuple[int, ...], bool]


def played(ops: Sequence[Op], fails: int) -> list[Step]:
    """Return what a script does, object by object: each call, and whether it was made or skipped.

    Objects are numbered as they are made; the k-th request fails if bit k % 64 of `fails` is set. Scripts
    that differ in their ids alone do the same, whatever fails.
    """
    held: dict[int, int] = {}
    steps: list[Step] = []
    asked = made = 0
    for op in ops:
        api = APIS[op.api]
        taken = [item for reach in taken_by(op) for item in reach]
        args = [arg for kind, arg in zip(api.parameters, op.args, strict=True) if kind not in ID_KINDS]
        args += [min(op.args[at], 0) for at in ID_PLACES[op.api]]
        skipped = any(item not in held for item in taken)
        steps.append((op.api, (*args, *(held.get(item, -9) for item in taken)), skipped))
        if skipped:
            continue
        if api.role in {"free", "free bulk", "split"}:
            ends = [at for at in ID_PLACES[op.api] if api.parameters[at] in {"pointer", "vector"}]
            for reach in taken_by(Op("kfree_bulk", 0, (max(1, items_of(api, op.args)), op.args[ends[0]]))):
                for item in reach if api.role == "free bulk" else reach[:1]:
                    held.pop(item, None)
        elif api.role == "destroy":
            held.pop(op.args[0], None)
        items = made_by(op)
        if items:
            asked += 1
            failed = fails >> (asked % 64) & 1 and api.role != "split"
            if failed and op.api == "alloc_pages_bulk":
                items = items[: len(items) // 2]  # the one call that may make fewer
            elif failed:
                continue
            if api.role == "resize":
                held.pop(op.args[0], None)
            for item in items if op.out else ():
                made += 1
                held[item] = made
    return steps


IDS = st.one_of(st.integers(1, 6), st.integers(1, 300))
VALUES = {
    "size": st.sampled_from([0, 1, 8, 64, 100, 1 << 24, (1 << 31) - 1, 1 << 63, SIZE_MAX]),
    "count": st.sampled_from([0, 1, 3, 1 << 32, SIZE_MAX]),
    "gfp": st.sampled_from([0, K, K | ZERO, 0xA20, 0x820, 0x800, 0x2800, 1 << 31, 0xFFFFFFFF]),
    "order": st.sampled_from([0, 1, 10, 11, 0xFFFFFFFF]),
    "pointer": st.one_of(IDS, IDS, st.sampled_from([ID_NULL, ID_ZERO_SIZE])),
    "source": IDS,
    "vector": IDS,
    "array": st.just(0),
    "cache": st.sampled_from([1001, 1001, 1002, 1003, ID_NULL]),
    "pool": st.sampled_from([2001, 2001, 2002, 2003, ID_NULL]),
    "name": st.integers(0, 1),
    "align": st.sampled_from([0, 8, 64]),
    "flags": st.sampled_from([0, 4, 0x2000, 0x2C00, 0x80000000, 0xFFFFFFFF]),
    "ctor": st.integers(0, 1),
    "dtor": st.integers(0, 1),
    "prot": st.sampled_from([0, 0x63, SIZE_MAX]),
    "number": st.sampled_from([0, 1, 7, (1 << 31) - 1]),
    "alloc_fn": st.just(1),
    "free_fn": st.just(1),
    "offset": st.sampled_from([0, 1, 4096, SIZE_MAX]),
}
CALLS = sorted(set(APIS) - {"item"})
OFTEN = [name for name in CALLS if {"vector", "array", "cache", "pool"} & {*APIS[name].parameters}]


@st.composite
def single_ops(draw: st.DrawFn) -> Op:
    """Return a call of any API; objects, caches and pools have ids of their own."""
    api = APIS[draw(st.one_of(st.sampled_from(CALLS), st.sampled_from([*OFTEN, "split_page", "kmalloc"])))]
    values = {**VALUES}
    if {"vector", "array"} & {*api.parameters}:
        values["count"] = st.integers(0, 5)
    if api.name == "kmem_cache_create":
        values["size"] = st.sampled_from([0, 8, 100, (1 << 32) - 1])
    if api.role == "split":
        values["order"] = st.integers(0, 3)
    args = tuple(draw(values[kind]) for kind in api.parameters)
    if not api.makes and api.role != "bulk":
        return Op(api.name, 0, args)
    outs = {"object": IDS, "cache": st.integers(1001, 1003), "pool": st.integers(2001, 2003)}
    return Op(api.name, draw(outs[kind_made(api)]), args)


def legal(ops: Sequence[Op]) -> list[Op]:
    """Return the calls without those that take more of an array than any call makes of it."""
    filled = {item for op in ops if APIS[op.api].role in {"bulk", "split"} for item in made_by(op)}
    made = {item for op in ops for item in made_by(op)}
    kept = []
    for op in ops:
        kinds = APIS[op.api].parameters
        first = op.args[kinds.index("vector")] if "vector" in kinds else 0
        items = set(range(first, first + items_of(APIS[op.api], op.args))) if first else set()
        if filled.isdisjoint(items) or items <= made:
            kept.append(op)
    return kept if len(kept) == len(ops) else legal(kept)  # what went may have made something


@st.composite
def repeated_ops(draw: st.DrawFn) -> list[Op]:
    """Return a few calls again and again, the ids at each place moving on evenly."""
    body = draw(st.lists(single_ops(), min_size=1, max_size=4))
    steps = draw(st.lists(st.integers(-5, 5), min_size=20, max_size=20))
    rounds = []
    for k in range(draw(st.integers(1, 6))):
        moved = iter(steps)
        for op in body:
            args = tuple(
                moved_by(arg, k * next(moved)) if at in ID_PLACES[op.api] and arg > 0 else arg
                for at, arg in enumerate(op.args)
            )
            rounds.append(op._replace(out=moved_by(op.out, k * next(moved)) if op.out else 0, args=args))
    return rounds


def moved_by(item: int, step: int) -> int:
    """Return another id of the same kind."""
    return max(item // 1000 * 1000 + 1, item + step)


@st.composite
def rounds_apart(draw: st.DrawFn) -> list[Op]:
    """Return rounds of calls on a few objects each, which are others in each round."""
    body = [shifted(op, 0, 9) for op in draw(st.lists(single_ops(), min_size=2, max_size=6))]
    cache = draw(st.sampled_from([0, 1]))  # whether each round has a cache of its own, too
    return [shifted(op, k, 12, cache) for k in range(draw(st.integers(3, 6))) for op in body]


LIVES = [
    *(Op("kmem_cache_alloc_bulk", 1, (1001, 0, count, 0)) for count in (2, 4, 4)),
    Op("kmem_cache_alloc_bulk", 3, (1001, 0, 2, 0)),
    *(Op("kmem_cache_free_bulk", 0, (1001, count, 1)) for count in (2, 4, 4)),
    *(Op("kmem_cache_alloc", item, (cache, 0)) for item in (1, 3, 5) for cache in (1001, 1002)),
    *(Op("kmem_cache_free", 0, (cache, item)) for item in (1, 2, 5) for cache in (1001, 1002)),
    *(Op("kmem_cache_create", cache, (1, 8, 0, 0, 0)) for cache in (1001, 1001, 1002)),
    *(Op("kmem_cache_destroy", 0, (cache,)) for cache in (1001, 1002)),
    *(Op("kfree_bulk", 0, (2, item)) for item in (1, 5)),
    *(Op("check", 0, (item,)) for item in (1, 1, 2, 3, 5)),
]


@st.composite
def lives_in_rounds(draw: st.DrawFn) -> list[Op]:
    """Return caches and the lives of their objects, the same in each round with other ids."""
    body = draw(st.lists(st.sampled_from(LIVES), min_size=2, max_size=7))
    cache = draw(st.sampled_from([0, 0, 1]))
    before = [op for op in LIVES if op.api == "kmem_cache_create"] if draw(st.booleans()) else []
    return before + [shifted(op, k, 12, cache) for k in range(draw(st.integers(3, 4))) for op in body]


def shifted(op: Op, turn: int, width: int, handles: int = 0) -> Op:
    """Return a call with its ids folded to few and then moved on by a number of rounds."""

    def other(item: int) -> int:
        if item <= 0:
            return item
        return (item % 1000 - 1) % width + 1 + turn * width if item < 1000 else item + 7 * turn * handles

    args = tuple(other(arg) if at in ID_PLACES[op.api] else arg for at, arg in enumerate(op.args))
    return Op(op.api, other(op.out), args)


SCRIPTS = st.lists(st.one_of(repeated_ops(), rounds_apart(), lives_in_rounds()), max_size=5).map(
    lambda parts: legal([op for part in parts for op in part])
)
TOGETHER = [op for k in range(1, 4) for op in (km(1), kf(k))]
BULKS = [
    op
    for k in range(1, 40, 4)
    for op in (Op("kmem_cache_alloc_bulk", k, (1001, 0, 4, 0)), Op("kmem_cache_free_bulk", 0, (1001, 4, k)))
]
HALVES = [
    op
    for k in range(1, 40, 4)
    for op in (
        Op("kmem_cache_alloc_bulk", k, (1001, 0, 2, 0)),
        Op("kmem_cache_alloc_bulk", k + 2, (1001, 0, 2, 0)),
        Op("kmem_cache_free_bulk", 0, (1001, 4, k)),
    )
]
CACHE = Op("kmem_cache_create", 1001, (1, 8, 0, 0, 0))
ORPHANS = [
    op
    for k in range(1, 6)
    for op in (
        CACHE,
        Op("kmem_cache_alloc", k, (1001, 0)),
        Op("check", 0, (k,)),
        Op("kmem_cache_destroy", 0, (1001,)),
        Op("kmem_cache_free", 0, (1001, k)),
    )
]
LONG = [op for _ in range(4) for k in range(1, 13) for op in (km(k), kf(14 - k))]


@settings(max_examples=400, deadline=None, derandomize=True, database=None)
@given(SCRIPTS, st.sampled_from(["6.1", "6.12"]), st.integers(0, (1 << 64) - 1))
@example(TOGETHER, "6.1", 0)
@example(LONG, "6.1", 0)
@example([op for k in range(5) for op in (km(5 - k), kf(k + 1))], "6.1", 0)
@example([kf(1), kf(2), kf(3), km(1)] * 3, "6.1", 0)
@example([op for k in range(1, 5) for op in (kf(k), km(k))], "6.1", 0)
@example([op for k in range(1, 5) for op in (km(k), Op("ksize", 0, (k,)))], "6.1", 0b1010)
@example(ORPHANS, "6.1", 0b10000)
@example([CACHE, *BULKS], "6.1", 0b110110)
@example([CACHE, *HALVES], "6.1", 0b1_1001_1000)
def test_a_rendered_script_reads_back(ops: list[Op], version: str, fails: int) -> None:
    lines = lines_of(ops, NAMES[version])
    again = parse("\n".join(lines), NAMES[version])
    assert played(again, fails) == played(ops, fails)
    assert len(lines) <= len(ops)


@settings(max_examples=1500, deadline=None, derandomize=True, database=None)
@given(lives_in_rounds().map(legal), st.integers(0, (1 << 32) - 1))
def test_names_that_rounds_share_do_not_mix_their_objects(ops: list[Op], fails: int) -> None:
    assert played(parse("\n".join(lines_of(ops))), fails) == played(ops, fails)


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(SCRIPTS, st.integers(0, 40), st.integers(0, 40))
def test_any_part_of_a_script_is_a_script(ops: list[Op], begin: int, length: int) -> None:
    part = ops[begin : begin + length]
    assert played(parse("; ".join(lines_of(part)).replace("{;", "{")), 0) == played(part, 0)
