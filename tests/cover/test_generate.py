"""Generation: the seed says everything, prefixes are legal, phases end empty, every clause is exercised."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial

import pytest
from tests.cover.callers import Caller

from kmem_oracle.campaign.course import CALLS
from kmem_oracle.campaign.play import DRIVERS, play
from kmem_oracle.generate.draws import boundary_sizes
from kmem_oracle.generate.generator import Generator
from kmem_oracle.generate.phase import Phase
from kmem_oracle.language.script import Op
from kmem_oracle.targets.process import Worker
from kmem_oracle.targets.target import Target
from kmem_spec.apis import APIS, KERNEL_APIS
from kmem_spec.judge import Judge
from kmem_spec.profile import PROMISES, Profile, load
from kmem_spec.slab import CLASS_SIZES

SETTINGS = frozenset({"fail_nth", "preempt_disable", "preempt_enable"})  # that a target may have
KMALLOC = frozenset(name for name in KERNEL_APIS if APIS[name].family == "kmalloc")
CACHES = frozenset(name for name in KERNEL_APIS if APIS[name].family == "cache")
PAGES = frozenset(name for name in KERNEL_APIS if APIS[name].family == "page")
AREAS = frozenset(name for name in KERNEL_APIS if APIS[name].family in ("vmalloc", "vmap"))
KV = frozenset(name for name in KERNEL_APIS if APIS[name].family == "kv")
POOLS = frozenset(name for name in KERNEL_APIS if APIS[name].family == "pool")
ALL = frozenset(KERNEL_APIS) | SETTINGS
CONTRACT = load("contract")
FORM_26 = frozenset(
    {"kmem_cache_create_26", "kmem_cache_alloc", "kmem_cache_free", "kmem_cache_shrink", "kmem_cache_destroy"}
)
FAMILIES = {
    "all": ALL,
    "kernel's alone": frozenset(KERNEL_APIS),
    "two": frozenset({"kmalloc", "kfree"}),
    "blocks": frozenset({"__get_free_pages", "free_pages"}),
    "one page": frozenset({"get_zeroed_page", "free_pages"}),
    "no ksize": ALL - {"ksize"},
    "no krealloc": ALL - {"krealloc"},
    "zeroing alone": frozenset({"kzalloc", "kcalloc", "kfree", "krealloc"}),
    "kmalloc family alone": KMALLOC,
    "page family alone": PAGES,
    "caches alone": CACHES,
    "2.6 form alone": FORM_26,
    "vmalloc alone": AREAS - {"vmap", "vunmap"},
    "areas and pages": AREAS | PAGES,
    "kv alone": KV,
    "pools with kmalloc": frozenset({"kmalloc", "kfree"}) | POOLS - {"mempool_create_slab_pool"},
    "pools with all": POOLS | KMALLOC | CACHES,
}
# Clauses about memory that runs out, which the model's 4 GiB do not within the budget.
SHORT = {"GFP-ATOMIC-REACH", "GFP-USER", "GFP-NOFAIL"}


def generator(seed: int, apis: frozenset[str] = ALL, profile: Profile = CONTRACT) -> Generator:
    return Generator(seed, profile, apis)


def turn_of(made: Generator) -> int:
    """Return how many phases a turn has."""
    return sum(possible for *_, possible in made.aims())


FIRST_TURN = turn_of(generator(1))
TURNS = 2 * FIRST_TURN


def read(phases: Iterator[Phase], count: int) -> list[tuple[str, list[Op]]]:
    return [(phase.name, list(phase.ops)) for phase in itertools.islice(phases, count)]


@pytest.fixture(scope="module")
def two_turns() -> list[tuple[str, list[Op]]]:
    """Return the phases of two turns, of one seed and all calls."""
    return read(generator(1).phases(), TURNS)


def calls_of(phases: Iterable[tuple[str, list[Op]]]) -> list[Op]:
    return [op for _, ops in phases for op in ops]


def test_the_same_seed_gives_the_same_phases() -> None:
    assert read(generator(5).phases(), FIRST_TURN) == read(generator(5).phases(), FIRST_TURN)


def test_another_seed_gives_other_calls_with_the_same_aims() -> None:
    one, two = read(generator(5).phases(), FIRST_TURN), read(generator(6).phases(), FIRST_TURN)
    assert [name for name, _ in one] == [name for name, _ in two]
    assert calls_of(one) != calls_of(two)


def test_each_aim_has_its_turn_and_then_another_with_other_draws(
    two_turns: list[tuple[str, list[Op]]],
) -> None:
    names = [name for name, _ in two_turns]
    assert len(set(names)) == FIRST_TURN
    assert names[FIRST_TURN:] == names[:FIRST_TURN]
    for (name, first), (_, second) in zip(two_turns, two_turns[FIRST_TURN:], strict=False):
        assert first != second or name == "orders", name  # which asks for every order


def judged_as_caller(phases: Iterable[tuple[str, list[Op]]], apis: frozenset[str]) -> list[str]:
    """Return what is wrong with the calls of phases, each begun with nothing live, or left at their ends."""
    found = []
    for name, ops in phases:
        caller = Caller(CONTRACT)
        wrong = [f"{name}: {op} {why}" for op in ops if (why := caller.wrong(op))]
        found += wrong[:3]
        if caller.live or caller.depth or caller.forgotten:
            found.append(f"{name}: {caller.live} left, {caller.forgotten} forgotten, depth {caller.depth}")
        if caller.homes and "kmem_cache_destroy" in apis:
            found.append(f"{name}: {caller.homes} left")
    return found


def test_any_prefix_is_legal_and_every_phase_frees_everything(two_turns: list[tuple[str, list[Op]]]) -> None:
    assert judged_as_caller(two_turns, ALL) == []


@pytest.mark.parametrize("family", FAMILIES)
def test_only_calls_that_the_target_has_are_made_and_they_are_legal(family: str) -> None:
    apis = FAMILIES[family]
    made = generator(2, apis)
    phases = read(made.phases(), turn_of(made))
    used = {op.api for op in calls_of(phases)}
    assert used <= apis.union(DRIVERS)
    assert judged_as_caller(phases, apis) == []


@pytest.mark.parametrize("family", FAMILIES)
def test_every_call_that_the_target_has_is_made(family: str) -> None:
    apis = FAMILIES[family]
    made = generator(2, apis)
    used = {op.api for op in calls_of(read(made.phases(), 3 * turn_of(made)))}
    assert apis - used == set()


def test_the_first_turn_fits_into_the_default_budget() -> None:
    for seed in range(1, 9):
        assert sum(len(ops) for _, ops in read(generator(seed).phases(), FIRST_TURN)) <= CALLS, seed


def test_what_a_target_has_is_judged_though_it_frees_nothing() -> None:
    for apis in ({"kmalloc"}, {"kzalloc", "free_pages"}, {"get_order"}, {"get_zeroed_page", "kfree"}):
        made = generator(1, frozenset(apis))
        used = {op.api for op in calls_of(read(made.phases(), turn_of(made)))}
        assert used - set(DRIVERS), apis
        assert used <= apis.union(DRIVERS)


def test_a_target_with_nothing_to_make_has_no_phase() -> None:
    for apis in ({"kfree", "ksize"}, {"vfree"}, {"kmem_cache_alloc", "kmem_cache_free"}, SETTINGS, set()):
        assert list(generator(1, frozenset(apis)).phases()) == []


def test_every_boundary_is_among_the_sizes() -> None:
    sizes = boundary_sizes(CONTRACT)
    for edge in CLASS_SIZES:
        assert {edge - 1, edge, edge + 1} <= set(sizes)
    assert sizes[0] > 0
    assert sizes[-1] == CONTRACT.kmalloc_max
    assert sizes == sorted(set(sizes))


def test_limits_are_those_of_the_profile() -> None:
    small = replace(CONTRACT, kmalloc_max=8192, max_order=3)
    phases = read(generator(1, profile=small).phases(), FIRST_TURN)
    asked = [op.args[0] for op in calls_of(phases) if op.api == "kmalloc"]
    assert {8191, 8192, 8193} <= set(asked)
    for name, ops in phases:
        caller = Caller(small)
        assert [(op, why) for op in ops if (why := caller.wrong(op))] == [], name
        assert caller.live == {}, name


def exercised(target: Target, phases: Iterable[Phase], judge: Judge, calls: int) -> int:
    """Play phases on a target; return how many calls there were."""
    done = 0
    with Worker(call_seconds=20, memory_limit=0) as worker:
        for phase in phases:
            played = play(worker, target, itertools.islice(phase.ops, calls - done), judge)
            assert played.finding is None, (phase.name, played.finding)
            done += played.calls
    return done


def test_every_clause_is_exercised_on_the_model_within_the_default_budget() -> None:
    profile = replace(load("linux-6.1"), promises=PROMISES, merge_order=10)
    judge = Judge(profile, looked=True)
    made = generator(1, profile=profile)
    turn = itertools.islice(made.phases(), turn_of(made))
    assert exercised(Target("model", "", "model"), turn, judge, CALLS) <= CALLS
    seen = judge.counts()
    idle = {clause for clause, count in seen.items() if not count and not clause.startswith("CALLER-")}
    assert idle == {"PAGE-ZONE"} | SHORT, "PAGE-ZONE needs a profile that knows where zones end"


def test_clauses_about_short_memory_are_exercised_on_a_small_machine() -> None:
    judge = Judge(load("linux-6.1"), looked=True)
    reach = (phase for phase in read_reach(generator(1)))
    assert exercised(Target("model", "64", "model:64"), reach, judge, CALLS) > 0
    assert {clause for clause in SHORT if not judge.counts()[clause]} == set()


def read_reach(made: Generator) -> list[Phase]:
    """Return the phases about how deep masks reach."""
    return [Phase(name, 0, partial(_of_turn_0, make)) for name, make, _ in made.aims() if "reach" in name]


def _of_turn_0(make: Callable[[int], Iterator[Op]], _first: int) -> Iterator[Op]:
    return make(0)
