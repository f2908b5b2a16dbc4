"""Generation: the seed says everything, prefixes are legal, phases end empty, every clause is exercised."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

import pytest

from kmem_oracle.campaign import CALLS
from kmem_oracle.draws import boundary_sizes
from kmem_oracle.generate import Generator, Phase
from kmem_oracle.play import play
from kmem_oracle.script import Op
from kmem_oracle.targets.process import Target, Worker
from kmem_spec.apis import APIS, KERNEL_APIS
from kmem_spec.calls import Call
from kmem_spec.expect import expect
from kmem_spec.gfp import mask_is_legal
from kmem_spec.judge import Judge
from kmem_spec.mem import is_served
from kmem_spec.profile import Profile, load
from kmem_spec.slab import CLASS_SIZES

ALL = frozenset(KERNEL_APIS)
CONTRACT = load("contract")
FIRST_TURN = 16  # phases, each aim once
TURNS = 2 * FIRST_TURN
FAMILIES = {
    "all": ALL,
    "two": frozenset({"kmalloc", "kfree"}),
    "pages": frozenset({"__get_free_pages", "free_pages"}),
    "one page": frozenset({"get_zeroed_page", "free_pages"}),
    "no ksize": ALL - {"ksize"},
    "no krealloc": ALL - {"krealloc"},
    "zeroing alone": frozenset({"kzalloc", "kcalloc", "kfree", "krealloc"}),
}


@dataclass
class Caller:
    """What a caller may do with ids: follows a script and says where it breaks the caller's rules."""

    profile: Profile
    live: dict[int, Op] = field(default_factory=dict)
    reused: int = 0

    def legal(self, op: Op) -> bool:
        """Take one call; every request that can be met is met, any other is refused."""
        api = APIS[op.api]
        if len(op.args) != len(api.parameters):
            return False
        if "gfp" in api.parameters and not mask_is_legal(op.args[api.parameters.index("gfp")]):
            return False
        pointer = op.args[api.parameters.index("pointer")] if "pointer" in api.parameters else 0
        if api.role == "allocate" or (api.role == "resize" and pointer <= 0):
            self.reused += op.out in self.live
            if is_served(expect(Call(op.api, op.args), self.profile)):
                self.live[op.out] = op
            return op.out > 0
        if pointer <= 0:
            return True
        if pointer not in self.live:  # it was never made, since it could not be: the driver skips the call
            return True
        made = APIS[self.live[pointer].api]
        if api.role == "free":
            born = self.live.pop(pointer)
            order = born.args[1] if born.api == "__get_free_pages" else 0
            return made.family == api.family and (api.name == "kfree" or op.args[1] == order)
        if api.role == "resize":
            if op.args[1] == 0:
                del self.live[pointer]
            return made.family == "kmalloc" and op.out == pointer
        return api.family == "driver" or made.family == api.family


def generator(seed: int, apis: frozenset[str] = ALL, profile: Profile = CONTRACT) -> Generator:
    return Generator(seed, profile, apis)


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
        assert first != second, name


def test_any_prefix_is_legal_and_every_phase_frees_everything(two_turns: list[tuple[str, list[Op]]]) -> None:
    for name, ops in two_turns:
        caller = Caller(CONTRACT)
        wrong = [op for op in ops if not caller.legal(op)]
        assert wrong == [], name
        assert caller.live == {}, name
        assert caller.reused == 0, f"{name} forgets what it had under an id"


@pytest.mark.parametrize("family", FAMILIES)
def test_only_calls_that_the_target_has_are_made_and_they_are_legal(family: str) -> None:
    apis = FAMILIES[family]
    used: Counter[str] = Counter()
    for name, ops in read(generator(2, apis).phases(), FIRST_TURN):
        caller = Caller(CONTRACT)
        assert all(caller.legal(op) for op in ops), name
        assert caller.live == {}, name
        used.update(op.api for op in ops)
    assert set(used) - {"check"} == apis


def test_a_target_with_nothing_to_make_or_no_way_to_free_it_has_no_phase() -> None:
    for apis in (
        {"kmalloc"},
        {"get_zeroed_page", "kfree"},
        {"kfree", "ksize"},
        {"kmalloc", "free_pages"},
        set(),
    ):
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
    caller = Caller(small)
    asked = [op.args[0] for op in calls_of(phases) if op.api == "kmalloc"]
    assert {8191, 8192, 8193} <= set(asked)
    for name, ops in phases:
        caller.live.clear()
        assert all(caller.legal(op) for op in ops), name
        assert caller.live == {}, name


def test_every_clause_is_exercised_on_the_model_within_the_default_budget() -> None:
    profile = replace(
        load("linux-6.12"), promises=load("linux-6.12").promises | {"linux-6.1"}, merge_order=10
    )
    judge = Judge(profile, looked=True)
    left = CALLS
    target = Target("model", "", "model")
    seen: dict[str, int] = {}
    idle: set[str] = set()
    with Worker(call_seconds=20, memory_limit=0) as worker:
        for phase in generator(1, profile=profile).phases():
            played = play(worker, target, itertools.islice(phase.ops, left), judge)
            assert played.finding is None, (phase.name, played.finding)
            left -= played.calls
            seen = judge.counts()
            idle = {
                clause for clause, count in seen.items() if not count and not clause.startswith("CALLER-")
            }
            if left <= 0 or idle <= {"PAGE-ZONE"}:
                break
    assert idle == {"PAGE-ZONE"}, "which needs a profile that knows where zones end"
    assert sum(seen.values()) > 0
