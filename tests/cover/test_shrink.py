"""Reduction against toy targets: what is left of a long script is what the fault needs, and nothing else."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence

import pytest
from tests.cover.short import K, kf, km

from kmem_oracle.campaign.play import Play
from kmem_oracle.language.render import lines_of
from kmem_oracle.language.rounds import made_by, taken_by
from kmem_oracle.language.script import Op
from kmem_oracle.shrink.shrinker import Shrinker
from kmem_oracle.shrink.templates import undo
from kmem_spec.apis import APIS, argument
from kmem_spec.expect import size_asked
from kmem_spec.finding import Finding
from kmem_spec.gfp import GFP_ATOMIC, ZERO

SECONDS = 20.0
ENDS = frozenset({"free", "free bulk", "destroy", "split"})
CLAUSE = "MEM-KEEP"


class Toy:
    """A target that keeps count of what lives; `sees` is told of each call and says if it breaks a clause."""

    def __init__(self, sees: Callable[[Toy, Op], str]) -> None:
        self.sees = sees
        self.live: dict[int, Op] = {}
        self.made = self.freed = 0

    def play(self, ops: Sequence[Op]) -> Play:
        """Run a script on a fresh target up to the first violation, as `play` does."""
        self.live, self.made, self.freed = {}, 0, 0
        past: list[Op] = []
        for op in ops:
            if any(item not in self.live for reach in taken_by(op) for item in reach):
                continue
            past.append(op)
            clause = misuse(self, op) or self.sees(self, op)
            if clause:
                finding = Finding(clause, "allocator", len(past) - 1, (), "toy")
                return Play(len(past), finding, tuple(past), ())
            self.follow(op)
        return Play(len(past))

    def order(self, item: int) -> int:
        """Return the order of a live block."""
        made = self.live.get(item)
        return argument(APIS[made.api], made.args, "order") if made and made.api == "alloc_pages" else 0

    def follow(self, op: Op) -> None:
        """Note what a call makes and ends."""
        api = APIS[op.api]
        if api.role in ENDS and taken_by(op):
            pointers = [k for k, kind in enumerate(api.parameters) if kind in {"pointer", "vector"}]
            first = op.args[pointers[0]] if pointers else op.args[0]
            for reach in taken_by(op):
                for item in reach if first in reach else ():
                    self.live.pop(item, None)
            self.freed += 1
        if op.out and (
            api.role != "allocate" or not {"size"} & {*api.parameters} or size_asked(api, op.args)
        ):
            for item in made_by(op):
                self.live[item] = op
                self.made += 1


def misuse(toy: Toy, op: Op) -> str:
    """Return the clause that a caller breaks: a cache destroyed with objects, pages freed while mapped."""
    if APIS[op.api].role != "destroy" and op.api != "__free_pages":
        return ""
    users = [made for made in toy.live.values() if APIS[made.api].role in {"allocate", "bulk", "map"}]
    used = op.args[0] in {item for made in users for reach in taken_by(made) for item in reach}
    if APIS[op.api].role == "destroy":
        return "CALLER-DESTROY" if used else ""
    return "CALLER-ORDER" if used or op.args[1] != toy.order(op.args[0]) else ""


def noise(seed: int, calls: int) -> list[Op]:
    """Return a script of many kinds of calls on a few objects."""
    dice = random.Random(seed)
    ops: list[Op] = []
    for _ in range(calls):
        item, size = dice.randrange(1, 40), dice.randrange(1, 5000)
        mask = dice.choice((K, GFP_ATOMIC, K | ZERO))
        ops.append(
            dice.choice(
                (
                    Op("kmalloc", item, (size, mask)),
                    Op("kzalloc", item, (size, mask)),
                    Op("kcalloc", item, (dice.randrange(1, 9), size, mask)),
                    Op("krealloc", item, (item, size, mask)),
                    Op("__get_free_pages", item, (mask, dice.randrange(5))),
                    Op("kfree", 0, (item,)),
                    Op("kfree", 0, (item,)),
                    Op("check", 0, (item,)),
                )
            )
        )
    return ops


def reduced(sees: Callable[[Toy, Op], str], ops: Sequence[Op]) -> list[str]:
    """Reduce a failing script, and show that what comes out fails in the same way."""
    toy = Toy(sees)
    failing = toy.play(ops)
    assert failing.finding is not None, "the script was to fail"
    best = Shrinker(failing, toy.play, SECONDS).run()
    again = toy.play(best.ops)
    assert again.finding is not None
    assert again.finding.clause == failing.finding.clause
    assert len(best.ops) <= len(failing.ops)
    shown = toy.play(best.told)
    assert shown.finding is not None
    assert shown.finding.clause == failing.finding.clause
    return lines_of(best.told)


@pytest.mark.parametrize("seed", range(3))
def test_a_fault_of_one_call_is_left_with_that_call(seed: int) -> None:
    def sees(_: Toy, op: Op) -> str:
        return CLAUSE if op.api == "kmalloc" and op.args[0] == 777 else ""

    assert reduced(sees, [*noise(seed, 3000), km(1, 777, K | ZERO)]) == ["a = kmalloc(777, GFP_KERNEL)"]


@pytest.mark.parametrize("seed", range(3))
def test_a_fault_of_a_pair_is_left_with_the_pair(seed: int) -> None:
    def sees(toy: Toy, op: Op) -> str:
        if op.api != "krealloc" or op.args[0] not in toy.live:
            return ""
        return CLAUSE if toy.live[op.args[0]].api == "kzalloc" and op.args[1] > 100 else ""

    lines = reduced(sees, noise(seed, 3000))
    assert lines == ["a = kzalloc(1, GFP_KERNEL)", "a = krealloc(a, 101, GFP_KERNEL)"]


def test_a_fault_after_300_frees_is_left_with_a_repeat() -> None:
    def sees(toy: Toy, op: Op) -> str:
        return CLAUSE if toy.freed >= 300 and op.api == "kmalloc" else ""

    lines = reduced(sees, noise(1, 3000))
    assert len(lines) <= 4
    assert lines[0] == "repeat 300 {" or lines[0] == "repeat 301 {"
    assert {line.strip(" }") for line in lines[1:]} == {"a = kmalloc(1, GFP_KERNEL)", "kfree(a)"}


def test_a_fault_of_300_live_objects_is_left_with_a_repeat() -> None:
    def sees(toy: Toy, op: Op) -> str:
        return CLAUSE if len(toy.live) >= 299 and op.api == "kmalloc" else ""

    ops = [*noise(1, 500), *(km(k, 96) for k in range(50, 1000))]
    lines = reduced(sees, ops)
    assert lines[0].startswith("repeat 300 {")
    assert lines[1:] == ["  a[i] = kmalloc(1, GFP_KERNEL) }"] or lines[1:] == [
        "  a = kmalloc(1, GFP_KERNEL) }"
    ]


def test_a_leak_is_left_with_the_calls_that_leak() -> None:
    def sees(toy: Toy, op: Op) -> str:
        large = op.api == "kmalloc" and op.args[0] > 8192
        leaked = getattr(toy, "leaked", 0) if toy.made else 0
        toy.__dict__["leaked"] = leaked + large
        return "MEM-LIVENESS" if large and leaked >= 1000 else ""

    ops = [*noise(2, 400), *[op for _ in range(2500) for op in (km(1, 40000), kf(1))]]
    lines = reduced(sees, ops)
    assert len(lines) <= 4
    assert lines[0].startswith("repeat 1")
    assert "kmalloc(8193, GFP_KERNEL)" in "".join(lines)


@pytest.mark.parametrize(
    ("least", "given", "shown"),
    [
        (1025, 5000, "1025"),
        (1, 4711, "1"),
        (4096, 100_000, "4096"),
        (3000, 3001, "3000"),
        (65, 1 << 22, "65"),
    ],
)
def test_a_size_is_left_at_the_least_that_fails(least: int, given: int, shown: str) -> None:
    def sees(_: Toy, op: Op) -> str:
        return CLAUSE if op.api == "kmalloc" and op.args[0] >= least else ""

    assert reduced(sees, [km(1, given, GFP_ATOMIC)]) == [f"a = kmalloc({shown}, GFP_KERNEL)"]


def test_arguments_that_matter_stay() -> None:
    def sees(_: Toy, op: Op) -> str:
        if op.api == "kcalloc":
            return CLAUSE if op.args[0] * op.args[1] > 1 << 64 and op.args[2] == GFP_ATOMIC else ""
        return CLAUSE if op.api == "__get_free_pages" and op.args[1] >= 3 and op.args[0] & ZERO else ""

    (line,) = reduced(sees, [Op("kcalloc", 1, (1 << 33, 1 << 40, GFP_ATOMIC))])
    assert line.startswith("a = kcalloc(")
    assert "GFP_ATOMIC)" in line
    assert reduced(sees, [Op("__get_free_pages", 1, (GFP_ATOMIC | ZERO, 9))]) == [
        "a = __get_free_pages(GFP_KERNEL | __GFP_ZERO, 3)"
    ]


def test_calls_on_the_objects_involved_are_tried_first() -> None:
    tried: list[Sequence[Op]] = []

    def sees(toy: Toy, op: Op) -> str:
        return CLAUSE if op == kf(5) and toy.live[5].args[0] == 96 else ""

    toy = Toy(sees)
    ops = [*(km(k) for k in range(6, 300)), km(5, 96), *(kf(k) for k in range(6, 300)), kf(5)]
    failing = toy.play(ops)

    def test(candidate: Sequence[Op]) -> Play:
        tried.append(candidate)
        return toy.play(candidate)

    best = Shrinker(failing, test, SECONDS).run()
    assert list(tried[0]) == [km(5, 96), kf(5)]
    assert list(best.ops) == [km(5, 96), kf(5)]


def test_another_clause_is_another_fault() -> None:
    def sees(toy: Toy, op: Op) -> str:
        if op.api != "kfree":
            return ""
        return CLAUSE if toy.made >= 2 else "MEM-APART"

    toy = Toy(sees)
    failing = toy.play([km(1), km(2), kf(1)])
    best = Shrinker(failing, toy.play, SECONDS).run()
    assert best.finding is not None
    assert best.finding.clause == CLAUSE
    assert len(best.ops) == 3


def test_a_fault_that_does_not_come_again_is_kept_as_it_was_found() -> None:
    failing = Play(2, Finding(CLAUSE, "allocator", 1, (0,), "once"), (km(1), kf(1)), (0,))
    best = Shrinker(failing, lambda ops: Play(len(ops)), SECONDS).run()
    assert best is failing


def test_a_fault_that_comes_at_times_never_ends_in_a_script_that_was_not_seen_to_fail() -> None:
    dice = random.Random(3)
    seen: set[tuple[Op, ...]] = set()

    def sees(_: Toy, op: Op) -> str:
        return CLAUSE if op.api == "kmalloc" and op.args[0] > 4000 and dice.random() < 0.3 else ""

    toy = Toy(sees)

    def test(ops: Sequence[Op]) -> Play:
        play = toy.play(ops)
        if play.finding is not None:
            seen.add(play.ops)
        return play

    failing = toy.play(noise(4, 2000))
    best = Shrinker(failing, test, SECONDS).run()
    assert best.ops == failing.ops or best.ops in seen


@pytest.mark.parametrize("seconds", [0.0, 0.3])
def test_the_deadline_is_kept(seconds: float) -> None:
    def sees(toy: Toy, op: Op) -> str:
        return CLAUSE if toy.made >= 1000 and op.api == "kfree" else ""

    toy = Toy(sees)
    failing = toy.play(noise(5, 5000))

    def slow(ops: Sequence[Op]) -> Play:
        time.sleep(0.02)
        return toy.play(ops)

    begin = time.monotonic()
    best = Shrinker(failing, slow, seconds).run()
    assert time.monotonic() - begin < seconds + 1.5
    assert best.finding is not None
    assert seconds or best is failing


def test_no_candidate_is_played_twice() -> None:
    played: list[tuple[Op, ...]] = []

    def sees(toy: Toy, op: Op) -> str:
        return CLAUSE if toy.made >= 3 and op.api == "kfree" else ""

    toy = Toy(sees)
    failing = toy.play(noise(6, 300))

    def test(ops: Sequence[Op]) -> Play:
        played.append(tuple(ops))
        return toy.play(ops)

    best = Shrinker(failing, test, SECONDS).run()
    assert len(played) == len(set(played))
    assert len(best.ops) == 4


# The rest of the API.


def caches(seed: int, calls: int) -> list[Op]:
    """Return a script of many calls on a few caches and their objects; all are destroyed at its end."""
    dice = random.Random(seed)
    ops = [Op("kmem_cache_create", 900 + k, (1, 40 * k, 8, 0x2000, 1)) for k in range(1, 5)]
    for turn in range(calls):
        cache, item = dice.randrange(901, 905), 1000 + 10 * turn
        count = dice.randrange(2, 9)
        ops += [
            Op("kmem_cache_alloc", item, (cache, GFP_ATOMIC)),
            Op("kmem_cache_alloc_bulk", item + 1, (cache, K, count, 0)),
            *dice.choice(([], [Op("preempt_disable", 0, ()), Op("preempt_enable", 0, ())])),
            Op("check", 0, (item + count,)),
            Op("kmem_cache_free", 0, (cache, item)),
            Op("kmem_cache_free_bulk", 0, (cache, count, item + 1)),
            Op("kmem_cache_shrink", 0, (cache,)),
        ]
    return ops + [Op("kmem_cache_destroy", 0, (cache,)) for cache in range(901, 905)]


@pytest.mark.parametrize("seed", range(2))
def test_a_fault_of_a_cache_is_left_with_that_cache(seed: int) -> None:
    def sees(_: Toy, op: Op) -> str:
        return CLAUSE if op.api == "kmem_cache_alloc" and op.args == (777, K) else ""

    extra = [Op("kmem_cache_create", 777, (1, 4711, 64, 0x2C00, 1)), Op("kmem_cache_alloc", 5, (777, K))]
    assert reduced(sees, [*caches(seed, 200), *extra]) == [
        'cache = kmem_cache_create("c777", 1, 0, 0, NULL)',
        "a = kmem_cache_alloc(cache, GFP_KERNEL)",
    ]


def test_a_fault_at_the_destroy_is_left_without_the_objects() -> None:
    def sees(toy: Toy, op: Op) -> str:
        return CLAUSE if op.api == "kmem_cache_destroy" and toy.live[op.args[0]].args[1] > 100 else ""

    assert reduced(sees, caches(1, 100)) == [
        'cache = kmem_cache_create("c1", 101, 0, 0, NULL)',
        "kmem_cache_destroy(cache)",
    ]


def test_objects_go_from_a_cache_that_must_be_destroyed() -> None:
    def sees(toy: Toy, op: Op) -> str:
        gone = 901 not in toy.live and 902 not in toy.live and toy.made > 4
        return CLAUSE if gone and op.api == "kmem_cache_destroy" else ""

    lines = reduced(sees, caches(2, 20))
    assert len(lines) <= 6
    assert lines[-1] == "kmem_cache_destroy(cache)"


def test_a_bulk_is_left_as_small_as_the_fault_allows() -> None:
    def sees(toy: Toy, op: Op) -> str:
        made = toy.live.get(op.args[0]) if op.api == "check" else None
        bulk = made is not None and made.api == "kmem_cache_alloc_bulk"
        return (
            CLAUSE
            if bulk and made is not None and op.args[0] == made.out + made.args[2] - 1 > made.out
            else ""
        )

    ops = [
        Op("kmem_cache_create", 1, (1, 64, 0, 0, 0)),
        Op("kmem_cache_alloc_bulk", 10, (1, K, 16, 0)),
        Op("kmem_cache_free_bulk", 0, (1, 4, 12)),
        Op("check", 0, (25,)),
    ]
    assert reduced(sees, ops) == [
        'cache = kmem_cache_create("c1", 1, 0, 0, NULL)',
        "kmem_cache_alloc_bulk(cache, GFP_KERNEL, 2, a)",
        "check(a[1])",
    ]


def test_a_split_block_is_left_as_small_as_the_fault_allows() -> None:
    def sees(toy: Toy, op: Op) -> str:
        return CLAUSE if op.api == "vmap" and op.args[1] >= 3 else ""

    ops = [
        Op("alloc_pages", 1, (GFP_ATOMIC, 5)),
        Op("split_page", 10, (1, 5)),
        *(Op("__free_pages", 0, (item, 0)) for item in range(26, 42)),
        Op("vmap", 99, (10, 16, 4, 0x63)),
    ]
    assert reduced(sees, ops) == [
        "a = alloc_pages(GFP_KERNEL, 2)",
        "b = split_page(a, 2)",
        "c = vmap(b, 3, 0, PAGE_KERNEL)",
    ]


def test_a_block_is_freed_with_the_order_and_the_size_that_it_is_left_with() -> None:
    def sees(toy: Toy, op: Op) -> str:
        if op.api == "__free_pages" and op.args[1] >= 2:
            return CLAUSE
        return CLAUSE if op.api == "free_pages_exact" and op.args[1] > 5000 else ""

    assert reduced(sees, [Op("alloc_pages", 1, (K, 9)), Op("__free_pages", 0, (1, 9))]) == [
        "a = alloc_pages(GFP_KERNEL, 2)",
        "__free_pages(a, 2)",
    ]
    assert reduced(sees, [Op("alloc_pages_exact", 1, (9000, K)), Op("free_pages_exact", 0, (1, 9000))]) == [
        "a = alloc_pages_exact(5001, GFP_KERNEL)",
        "free_pages_exact(a, 5001)",
    ]


def test_numbers_offsets_and_flags_are_left_at_the_least() -> None:
    def sees(_: Toy, op: Op) -> str:
        if op.api == "mempool_resize":
            return CLAUSE if op.args[1] >= 3 else ""
        if op.api == "vmalloc_to_page":
            return CLAUSE if op.args[1] >= 4096 else ""
        return CLAUSE if op.api == "kmem_cache_create_26" and op.args[3] & 0x800 and op.args[5] else ""

    pool = [Op("mempool_create", 1, (9, 1, 1, 64)), Op("mempool_resize", 0, (1, 50))]
    assert reduced(sees, pool) == [
        "pool = mempool_create(0, mempool_alloc_kmalloc, mempool_free_kmalloc, 1)",
        "mempool_resize(pool, 3)",
    ]
    assert reduced(sees, [Op("vmalloc", 1, (99999,)), Op("vmalloc_to_page", 0, (1, 50001))]) == [
        "a = vmalloc(1)",
        "vmalloc_to_page(a + 4096)",
    ]
    assert reduced(sees, [Op("kmem_cache_create_26", 1, (1, 999, 64, 0x42C00, 1, 1))]) == [
        'cache = kmem_cache_create_26("c1", 1, 0, SLAB_POISON, NULL, dtor)'
    ]


def test_a_pair_that_must_stay_together_goes_together() -> None:
    def sees(toy: Toy, op: Op) -> str:
        depth = toy.__dict__.setdefault("depth", 0) if toy.made else 0
        depth += {"preempt_disable": 1, "preempt_enable": -1}.get(op.api, 0)
        toy.__dict__["depth"] = depth
        if depth < 0:
            return "CALLER-ATOMIC"
        return CLAUSE if op.api == "preempt_enable" and toy.made == 2 else ""

    pair = [Op("preempt_disable", 0, ()), Op("kfree", 0, (0,)), Op("preempt_enable", 0, ())]
    lines = reduced(sees, [km(1), *pair, km(2), *pair])
    assert lines == [
        "a = kmalloc(1, GFP_KERNEL)",
        "b = kmalloc(1, GFP_KERNEL)",
        "preempt_disable()",
        "preempt_enable()",
    ]


@pytest.mark.parametrize(
    ("maker", "freer", "before"),
    [
        (Op("kmem_cache_alloc", 0, (1, K)), "kmem_cache_free", [Op("kmem_cache_create", 1, (1, 8, 0, 0, 0))]),
        (Op("mempool_alloc", 0, (1, K)), "mempool_free", [Op("mempool_create", 1, (0, 1, 1, 1))]),
        (Op("vmalloc", 0, (1,)), "vfree", []),
        (Op("kvmalloc", 0, (1, K)), "kvfree", []),
        (Op("alloc_pages_exact", 0, (1, K)), "free_pages_exact", []),
        (Op("alloc_pages", 0, (K, 0)), "__free_pages", []),
        (Op("kmem_cache_create", 0, (1, 1, 0, 0, 0)), "kmem_cache_destroy", []),
    ],
)
def test_a_leak_of_any_family_is_left_with_a_repeat(maker: Op, freer: str, before: list[Op]) -> None:
    def sees(toy: Toy, op: Op) -> str:
        return "MEM-LIVENESS" if op.api == maker.api and toy.freed >= 290 else ""

    dice = random.Random(1)
    ops = [*before]
    for turn in range(400):
        made = maker._replace(out=1000 + turn)
        ops += [made, *undo(made, made.out), *([kf(0)] if dice.random() < 0.5 else [])]
    lines = reduced(sees, ops)
    assert len(lines) <= 5 + len(before), lines
    assert any(line.lstrip().startswith(freer + "(") for line in lines)


def test_a_long_round_is_left_with_the_calls_that_count() -> None:
    def sees(toy: Toy, op: Op) -> str:
        return CLAUSE if toy.made >= 200 and op.api == "vmalloc" else ""

    rounds = [
        op
        for k in range(1, 700)
        for op in (Op("vmalloc", 2 * k, (k % 7 + 1,)), kf(0), Op("check", 0, (2 * k,)), Op("kvfree", 0, (0,)))
    ]
    assert len(reduced(sees, rounds)) <= 3
