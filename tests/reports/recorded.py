"""Runs of which is kept what happened."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

from kmem_oracle.campaign.campaign import replay
from kmem_oracle.campaign.course import Budget
from kmem_oracle.campaign.play import play
from kmem_oracle.campaign.recorder import Recorder
from kmem_oracle.campaign.result import Result
from kmem_oracle.campaign.start import worker_for
from kmem_oracle.language.script import Op, parse
from kmem_oracle.targets.target import Target
from kmem_spec.calls import Answer, Call
from kmem_spec.finding import Finding
from kmem_spec.profile import Profile, load

BUDGET = Budget(call_seconds=20)


@dataclass(frozen=True)
class Heard:
    """A run, its events, and what was called in each."""

    result: Result
    profile: Profile
    ops: list[Op]
    events: list[tuple[Call, Answer]]


class Listener(Recorder):
    """A judge that keeps the events, too."""

    def clear(self) -> None:
        super().clear()
        self.heard: list[tuple[Call, Answer]] = []

    def take(self, call: Call, answer: Answer) -> Finding | None:
        self.heard.append((call, answer))
        return super().take(call, answer)


def target(name: str) -> Target:
    """Return a target by the name of a model or a path."""
    kind, _, memory = name.partition(":")
    if kind == "model":
        return Target("model", memory, name)
    return Target("library", str(Path(name).resolve()), name)


def recorded(name: str, script: str, profile: str = "contract") -> Result:
    """Run a script and keep what happened."""
    ops = parse(script)
    return replay(target(name), ops, profile=profile, budget=BUDGET, waived=frozenset(), history=True)


def heard(name: str, script: str) -> Heard:
    """Run a script, keep what happened and the events as the judge read them."""
    profile = load("contract")
    judge = Listener(profile, looked=True)
    where = target(name)
    with worker_for(BUDGET, where) as worker, worker.open(where) as run:
        apis = run.apis
    with worker_for(BUDGET, where) as worker:
        outcome = play(worker, where, parse(script), judge)
    assert outcome.history is not None
    result = Result(where.label, profile, 1, apis, calls=outcome.calls)
    result.remember("", outcome.history)
    return Heard(result, profile, list(outcome.history.ops), judge.heard)


def mixed_script(seed: int = 1, room: int = 60, calls: int = 700) -> str:
    """Return a script with objects of every family, made, resized and freed at random."""
    draw = random.Random(seed)
    lines = [
        'c = kmem_cache_create("c", 200, 0, 0, NULL)',
        "m = mempool_create_slab_pool(4, c)",
    ]
    frees: list[str] = []
    for number in range(calls):
        name = f"x{number}"
        if len(frees) > room or (frees and draw.random() < 0.4):
            lines.append(frees.pop(draw.randrange(len(frees))))
            continue
        size = draw.choice((1, 8, 30, 64, 100, 500, 2048, 5000, 40_000))
        order = draw.randrange(4)
        make, free = draw.choice(
            (
                (f"{name} = kmalloc({size}, GFP_KERNEL)", f"kfree({name})"),
                (f"{name} = kzalloc({size}, GFP_ATOMIC)", f"kfree({name})"),
                (
                    f"{name} = kmalloc({size}, 0xCC0); {name} = krealloc({name}, {2 * size}, GFP_KERNEL)",
                    f"kfree({name})",
                ),
                (f"{name} = vmalloc({size})", f"vfree({name})"),
                (f"{name} = kvmalloc({size}, GFP_KERNEL)", f"kvfree({name})"),
                (f"{name} = __get_free_pages(GFP_KERNEL, {order})", f"free_pages({name}, {order})"),
                (f"{name} = alloc_pages_exact({size}, GFP_KERNEL)", f"free_pages_exact({name}, {size})"),
                (f"{name} = kmem_cache_alloc(c, GFP_KERNEL)", f"kmem_cache_free(c, {name})"),
                (f"kmem_cache_alloc_bulk(c, GFP_KERNEL, 5, {name})", f"kmem_cache_free_bulk(c, 5, {name})"),
                (f"{name} = mempool_alloc(m, GFP_KERNEL)", f"mempool_free({name}, m)"),
                (
                    f"alloc_pages_bulk(GFP_KERNEL, 3, {name}); v{name} = vmap({name}, 3, 4, PAGE_KERNEL)",
                    f"vunmap(v{name})",
                ),
            )
        )
        lines.append(make)
        frees.append(free)
    return "\n".join(lines)


def big_script(calls: int, room: int = 4_000) -> str:
    """Return a script of so many calls on objects of many sizes."""
    draw = random.Random(1)
    lines: list[str] = []
    live: list[int] = []
    for number in range(calls):
        if len(live) > room or (live and draw.random() < 0.45):
            at = draw.randrange(len(live))
            live[at], live[-1] = live[-1], live[at]
            lines.append(f"kvfree(x{live.pop()})")
        else:
            live.append(number)
            lines.append(
                f"x{number} = kvmalloc({draw.choice((8, 24, 64, 100, 192, 700, 2048, 9000))}, GFP_KERNEL)"
            )
    return "\n".join(lines)
