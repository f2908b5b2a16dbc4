"""Obligations of slab caches: every step of a cache against every clause of its state.

A cache is arbitrary: slots of any size, any number of slabs and objects, slabs of any order. Each
claim assumes the clauses at the objects, slabs and pages that the step touches and at the points where it
then looks.

SLAB-COUNT is a sum in the rule's own words. Here the live objects of a slab are numbered from 0 to count - 1,
with nobody left out and no number twice, which says the same of slabs of any length; SLAB-COUNT/few_* ask
the rule itself of slabs of a few slots.

Not shown here: that steps compose (induction), and that the policy picks a slot that waits; small machines
are enumerated for that in tests/cover/test_slab.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import product
from typing import Final

from kmem_model.slab import Cache
from kmem_proofs.case import Case, Values, implies
from kmem_proofs.mutants import slab as mutants
from kmem_proofs.obligations import Obligation, obligation
from kmem_proofs.rules import rule, stays
from kmem_proofs.slabs import (
    ARGUMENTS,
    CACHE,
    LOOKING,
    STEPS,
    TABLES,
    B,
    Code,
    P,
    another_cache,
    arbitrary_cache,
    assume_objects,
    assume_products,
    assume_slabs,
    begin,
    is_base,
    is_counted,
    is_numbered,
    is_placed,
    run,
    slabs_of,
)
from kmem_spec.cache import NO_SLAB, has_slab
from kmem_spec.table import DictTable, Refused
from kmem_spec.units import NULL

MAKING: Final = ("grow", "shrink")  # whole slabs


def keeps_objects_inside(case: Case, code: Code, step: str) -> Sequence[bool]:
    """SLAB-INSIDE, of any object by its index; SLAB-INSIDE/index/implies says what the rule says."""
    cache, ghosts, base, index = begin(case, code)
    one = case.number("one")
    assume_objects(case, cache, ghosts, one)
    assume_slabs(case, cache, [base])
    ghosts.index.put(run(case, cache, step, base, index), index)
    return [is_placed(cache, ghosts, one)]


def keeps_objects_apart(case: Case, code: Code, step: str) -> Sequence[bool]:
    """SLAB-APART, of any two objects."""
    cache, ghosts, base, index = begin(case, code)
    one, other = case.number("one"), case.number("other")
    assume_objects(case, cache, ghosts, one, other)
    assume_slabs(case, cache, [base, *slabs_of(cache, one, other)])
    assume_products(case, cache, index, ghosts.index.get(one, -1), ghosts.index.get(other, -1))
    run(case, cache, step, base, index)
    return [rule("SLAB-APART", cache, one, other)]


def keeps_waiting_objects_free(case: Case, code: Code, step: str) -> Sequence[bool]:
    """SLAB-LIVE, of any slot of any slab: a free list loses what is handed out and gets what is freed."""
    cache, ghosts, base, index = begin(case, code)
    slab, slot = case.number("slab"), case.number("slot")
    place = slab + slot * cache.slot
    (holder,) = slabs_of(cache, place)
    case.assume((slot >= 0) & (slot < cache.objects))
    case.assume(rule("SLAB-LIVE", cache, slab, slot, ghosts.waits.get(slab + slot, 0) == 1))
    assume_objects(case, cache, ghosts, place)
    assume_slabs(case, cache, [slab, base, holder], [place // P])
    assume_products(case, cache, slot, ghosts.index.get(place, -1) if step in MAKING else index)
    run(case, cache, step, base, index)
    if step not in MAKING:
        ghosts.waits.put(base + index, 0 if step == "alloc" else 1)
    waits = ghosts.waits.get(slab + slot, 0) == 1
    return [rule("SLAB-LIVE", cache, slab, slot, (slab == base) | waits if step == "grow" else waits)]


def keeps_slabs_of_objects(case: Case, code: Code, step: str) -> Sequence[bool]:
    """SLAB-EMPTY, of any object."""
    cache, ghosts, base, index = begin(case, code)
    one = case.number("one")
    about = base + index * cache.slot
    (slab,) = slabs_of(cache, one)
    for address in (one, about):
        case.assume(rule("SLAB-EMPTY", cache, address), is_numbered(cache, ghosts, address))
    assume_slabs(case, cache, [base, slab], [slab // P])
    run(case, cache, step, base, index)
    return [rule("SLAB-EMPTY", cache, one)]


def keeps_the_count(case: Case, code: Code, step: str) -> Sequence[bool]:
    """SLAB-COUNT, by the numbers of any object and of any slab."""
    cache, ghosts, base, index = begin(case, code)
    one, slab, number = case.number("one"), case.number("slab"), case.number("number")
    about, count = base + index * cache.slot, cache.slabs.get(base, NO_SLAB)
    last = ghosts.ranked.get(base + count - 1, NULL)
    objects = (one, about, last)
    slabs = [base, slab, *slabs_of(cache, one)]
    for address in objects:
        case.assume(rule("SLAB-EMPTY", cache, address), is_numbered(cache, ghosts, address))
    assume_slabs(case, cache, slabs, [each // P for each in slabs] if step == "grow" else [])
    for each in slabs:
        for rank in (number, count - 1, *(ghosts.rank.get(address, -1) for address in objects)):
            case.assume(is_counted(cache, ghosts, each, rank))
    run(case, cache, step, base, index)
    if step == "alloc":  # the new object gets the next number
        ghosts.rank.put(about, count)
        ghosts.ranked.put(base + count, about)
    if step == "free":  # the last object gets the number of the one that goes
        rank = ghosts.rank.get(about, -1)
        ghosts.rank.put(last, rank)
        ghosts.ranked.put(base + rank, last)
    return [is_numbered(cache, ghosts, one), is_counted(cache, ghosts, slab, number)]


def keeps_slabs_apart(case: Case, code: Code, step: str, clause: str, beside: bool) -> Sequence[bool]:
    """SLAB-PAGES or SLAB-OWNER, of any two slabs, both of this cache or the second of another."""
    cache, _, base, index = begin(case, code)
    slab, second, page = case.number("slab"), case.number("second"), case.number("page")
    pages = [page, *(each // P for each in (base, slab, second))]
    assume_slabs(case, cache, [base, slab] if beside else [base, slab, second], pages)
    others = another_cache(case, cache) if beside else cache
    for each in (base, slab):
        case.assume(rule("SLAB-PAGES", cache, each, others, second))
    for each in pages:
        case.assume(rule("SLAB-OWNER", others, second, each))
    case.assume(implies(has_slab(others, second), is_base(second)))
    run(case, cache, step, base, index)
    if clause == "SLAB-PAGES":
        return [rule(clause, cache, slab, others, second)]
    return [rule(clause, others, second, page)]


PRESERVED: Final[dict[str, Callable[..., Sequence[bool]]]] = {
    "SLAB-INSIDE": keeps_objects_inside,
    "SLAB-APART": keeps_objects_apart,
    "SLAB-LIVE": keeps_waiting_objects_free,
    "SLAB-EMPTY": keeps_slabs_of_objects,
    "SLAB-COUNT": keeps_the_count,
    "SLAB-PAGES": partial(keeps_slabs_apart, clause="SLAB-PAGES", beside=False),
    "SLAB-OWNER": partial(keeps_slabs_apart, clause="SLAB-OWNER", beside=False),
}


def begins_legal(case: Case, make: Callable[..., Cache], clause: str) -> Sequence[bool]:
    """A cache without slabs satisfies the clause."""
    slot, one, other, page = (case.number(name) for name in ("size", "one", "other", "page"))
    case.assume(slot >= 1)
    tables = (case.empty(name, DictTable) for name in TABLES)
    cache = case.call(make, "c", slot, 1, slot, 0, 1, *tables)
    points: dict[str, Sequence[object]] = {
        "SLAB-APART": (one, other),
        "SLAB-LIVE": (one, 0, True),
        "SLAB-PAGES": (one, cache, other),
        "SLAB-OWNER": (one, page),
    }
    return [rule(clause, cache, *points.get(clause, (one,)))]


def changes_nothing(case: Case, code: Code, step: str, clause: str) -> Sequence[bool]:
    """A step that is refused under the clause leaves every table as it was; here any state will do."""
    cache, base, index = arbitrary_cache(case, code), case.number("base"), case.number("i")
    assume_slabs(case, cache, [base])
    return stays(case, cache, TABLES, clause, step, base, *([] if step in MAKING else [index]))


def keeps_the_count_of_few(_case: Case, code: Code, step: str) -> Sequence[bool]:
    """SLAB-COUNT in its own words, of every slab of up to five slots."""
    goals = []
    for objects in range(1, 6):
        for used, index in product(range(1 << objects), range(objects)):
            live = DictTable({B + 96 * slot: B for slot in range(objects) if used >> slot & 1})
            cache = code("few", 96, 8, 96, 0, objects, DictTable({16: B}), DictTable({B: len(live)}), live)
            try:
                getattr(cache, step)(B, index)
            except Refused:
                continue
            goals.append(rule("SLAB-COUNT", cache, B))
    return goals


REFUSED: Final[tuple[tuple[str, str, Values], ...]] = (
    ("SLAB-PAGES", "grow", {"base": B}),
    ("SLAB-INSIDE", "alloc", {"i": 42}),
    ("SLAB-LIVE", "alloc", {"i": 1}),
    ("SLAB-INSIDE", "free", {"base": B + 2 * P}),
    ("SLAB-LIVE", "free", {"i": 2}),
    ("SLAB-EMPTY", "shrink", {"base": B}),
)


def obligations() -> Iterator[Obligation]:
    """Yield all of them."""
    for clause, claim in PRESERVED.items():
        for step in STEPS:
            if (clause, step) in mutants.STEPS:  # the step writes a table that the clause reads
                yield obligation(
                    f"{clause}/{step}/preserved",
                    partial(claim, step=step),
                    Cache,
                    witness={**CACHE, **LOOKING, **ARGUMENTS[step]},
                    mutants=mutants.STEPS[clause, step],
                )
        yield obligation(
            f"{clause}/empty/initial",
            partial(begins_legal, clause=clause),
            Cache,
            witness={"size": 96, **LOOKING},
            mutants=mutants.BEGINNINGS[clause],
        )
    for (clause, step), faults in mutants.BESIDE.items():
        yield obligation(
            f"{clause}/{step}_beside/preserved",
            partial(keeps_slabs_apart, step=step, clause=clause, beside=True),
            Cache,
            witness={**CACHE, **LOOKING, **ARGUMENTS[step], "second": B + 4 * P, "page": 20},
            mutants=faults,
        )
    for clause, step, arguments in REFUSED:
        yield obligation(
            f"{clause}/{step}/refused",
            partial(changes_nothing, step=step, clause=clause),
            Cache,
            witness={**CACHE, **LOOKING, **ARGUMENTS[step], **arguments},
            mutants=mutants.HASTY,
        )
    for step in ("alloc", "free"):
        yield obligation(
            f"SLAB-COUNT/few_{step}/preserved",
            partial(keeps_the_count_of_few, step=step),
            Cache,
            witness={},
            mutants=mutants.STEPS["SLAB-COUNT", step],
            level="C",
        )
