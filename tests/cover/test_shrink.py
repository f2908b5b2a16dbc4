"""Reduction against toy targets: what is left of a long script is what the fault needs, and nothing else."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence

import pytest

from kmem_oracle.play import Play
from kmem_oracle.render import lines_of
from kmem_oracle.script import Op
from kmem_oracle.shrink import Shrinker
from kmem_spec.apis import APIS
from kmem_spec.expect import size_asked
from kmem_spec.finding import Finding
from kmem_spec.gfp import GFP_ATOMIC, GFP_KERNEL, ZERO

K = GFP_KERNEL
SECONDS = 20.0
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
            kinds = APIS[op.api].parameters
            pointer = op.args[kinds.index("pointer")] if "pointer" in kinds else 0
            if pointer > 0 and pointer not in self.live:
                continue
            past.append(op)
            clause = self.sees(self, op)
            if clause:
                finding = Finding(clause, "allocator", len(past) - 1, (), "toy")
                return Play(len(past), finding, tuple(past), ())
            if APIS[op.api].role == "free":
                self.live.pop(pointer, None)
                self.freed += 1
            elif op.out and size_asked(APIS[op.api], op.args):
                self.live.pop(pointer, None)
                self.live[op.out] = op
                self.made += 1
        return Play(len(past))


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


def km(out: int, size: int = 64, gfp: int = K) -> Op:
    return Op("kmalloc", out, (size, gfp))


def kf(item: int) -> Op:
    return Op("kfree", 0, (item,))


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
    return lines_of(best.ops)


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
