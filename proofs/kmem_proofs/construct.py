"""Obligations of caches with a constructor: every step of one against the clauses of its slots.

A cache is arbitrary, as in `slab`. A constructed slot has ghosts in place of a quotient and a remainder: the
slab that it is in, and its index.

The rules of `cache` are not asked again of the steps that a cache with a constructor does differently: the
tables that those rules read are left as Cache's own steps leave them, SLAB-*/built_*/refines.

Not shown here: that whoever grows a slab constructs all its slots, and destructs them before it shrinks. The
steps refuse otherwise; tests/cover/test_kmem_cache.py runs them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Final

from kmem_model.slab import BuiltCache, Cache
from kmem_proofs.builds import (
    ARGUMENTS,
    BUILT,
    STEPS,
    TABLES,
    Code,
    assume_counts,
    begin,
    counts_its_slots,
    is_home,
    run,
)
from kmem_proofs.case import Case, Values, has, implies, same
from kmem_proofs.mutants import construct as mutants
from kmem_proofs.obligations import Obligation, Rows, listed, obligation
from kmem_proofs.rules import rule, stays
from kmem_proofs.slabs import B, P, assume_products, assume_slabs
from kmem_spec.construct import NOBODY, Construction, constructed_slot_is_in_its_slab
from kmem_spec.constructed import Constructed
from kmem_spec.table import DictTable, Refused
from kmem_spec.units import NULL


def keeps_slots_constructed(case: Case, code: Code, step: str) -> Sequence[bool]:
    """CACHE-CONSTRUCTED, of any slot of any slab; with it, that a slab counts no more slots than it has."""
    cache, base, index = begin(case, code)
    slab, slot = case.number("slab"), case.number("slot")
    assume_slabs(case, cache, [base, slab])
    assume_counts(case, cache, slab)
    assume_products(case, cache, slot, cache.built.get(base, 0) - 1, index)
    case.assume(rule("CACHE-CONSTRUCTED", cache, slab, slot))
    run(case, cache, step, base, index)
    return [rule("CACHE-CONSTRUCTED", cache, slab, slot), counts_its_slots(cache, slab)]


def keeps_slots_in_slabs(case: Case, code: Code, step: str) -> Sequence[bool]:
    """CACHE-DESTRUCTED, of any slot by its slab and index; CACHE-DESTRUCTED/index/implies has the rule."""
    cache, base, index = begin(case, code)
    address = case.number("one")
    homes, places = case.table("homes", DictTable), case.table("places", DictTable)
    home = homes.get(address, NULL)
    case.assume(is_home(cache, homes, places, address))
    assume_slabs(case, cache, [base, home], [home // P])
    case.assume(rule("SLAB-EMPTY", cache, base + index * cache.slot))
    following = cache.built.get(base, 0)
    given = run(case, cache, step, base, index)
    if step == "construct":
        homes.put(given, base)
        places.put(given, following)
    return [is_home(cache, homes, places, address)]


PRESERVED: Final[dict[str, Callable[..., Sequence[bool]]]] = {
    "CACHE-CONSTRUCTED": keeps_slots_constructed,
    "CACHE-DESTRUCTED": keeps_slots_in_slabs,
}


def begins_legal(case: Case, make: Callable[..., BuiltCache], clause: str) -> Sequence[bool]:
    """A cache without slabs satisfies the clause."""
    slot, number, one = case.number("size"), case.number("me"), case.number("one")
    case.assume(slot >= 1, number != NOBODY)
    owners, slabs, live, constructed, built = (case.empty(name, DictTable) for name in TABLES)
    cache = case.call(make, "c", slot, 1, slot, 0, 1, owners, slabs, live, number, constructed, built)
    points = (one,) if clause == "CACHE-DESTRUCTED" else (one, case.number("slot"))
    return [rule(clause, cache, *points)]


def changes_nothing(case: Case, code: Code, step: str, clause: str) -> Sequence[bool]:
    """A step that is refused under the clause leaves every table as it was."""
    cache, base, index = begin(case, code)
    return stays(case, cache, TABLES, clause, step, base, *([index] if step == "alloc" else []))


def does_as_the_plain_step(case: Case, code: Code, step: str) -> Sequence[bool]:
    """Where it is not refused, the step does what Cache's does to the tables that the SLAB clauses read."""
    cache, base, index = begin(case, code)
    x = case.number("x")
    tables = [case.snapshot(getattr(cache, name)) for name in TABLES[:3]]
    plain = Cache("c", cache.slot, 1, cache.slot, cache.order, cache.objects, *tables)
    given = run(case, cache, step, base, index)
    arguments = [base, index] if step == "alloc" else [base]
    try:
        expected = getattr(plain, step)(*arguments)
    except Refused:
        return [False]
    left = [same(getattr(cache, name), getattr(plain, name), x) for name in TABLES[:3]]
    return [*left, given == (NULL if expected is None else expected)]


def leaves_the_slabs(case: Case, code: Code, step: str) -> Sequence[bool]:
    """A constructor or destructor changes none of the tables that the SLAB clauses read."""
    cache, base, index = begin(case, code)
    x, before = case.number("x"), [case.snapshot(getattr(cache, name)) for name in TABLES[:3]]
    run(case, cache, step, base, index)
    return [same(table, getattr(cache, name), x) for table, name in zip(before, TABLES[:3], strict=True)]


def constructs_inside(case: Case, code: Code) -> Sequence[bool]:
    """What is constructed lies whole within its slab."""
    cache, base, index = begin(case, code)
    assume_products(case, cache, cache.built.get(base, 0))
    given = run(case, cache, "construct", base, index)
    return [(base <= given) & (given + cache.slot <= base + cache.slab_bytes)]


def hands_out_constructed(case: Case, code: Code) -> Sequence[bool]:
    """What is handed out was constructed by its own cache."""
    cache, base, index = begin(case, code)
    case.assume(rule("CACHE-CONSTRUCTED", cache, base, index))
    given = run(case, cache, "alloc", base, index)
    return [cache.constructed.get(given, NOBODY) == cache.number]


def constructs_what_nobody_did(case: Case, code: Code) -> Sequence[bool]:
    """The judge admits the constructor, whoever has lived on the page and whatever destructor is owed."""
    cache, base, index = begin(case, code)
    known = Constructed(case.table("known", DictTable), case.table("since", DictTable))
    before = case.snapshot(cache.constructed)
    given = run(case, cache, "construct", base, index)
    case.assume(known.cache.get(given, NULL) == before.get(given, NOBODY))
    try:
        known.construct(given, cache.number, 7, True, True)
    except Refused:
        return [False]
    return [known.cache.get(given, NULL) == cache.constructed.get(given, NOBODY)]


def constructs_no_live_object(case: Case, code: Code) -> Sequence[bool]:
    """No object is live where a constructor runs: a slab with a live object has no slot left for it."""
    cache, base, index = begin(case, code)
    following = cache.built.get(base, 0)
    address, place = base + following * cache.slot, case.number("place")
    one = case.number("one")
    slab = cache.live.get(one, NULL)
    case.assume(rule("SLAB-EMPTY", cache, one), rule("CACHE-CONSTRUCTED", cache, base, cache.objects - 1))
    case.assume(
        (place >= 0) & (place < cache.objects), implies(slab != NULL, one == slab + place * cache.slot)
    )
    assume_slabs(case, cache, [base, slab])
    assume_products(case, cache, following, place)
    given = run(case, cache, "construct", base, index)
    return [given == address, (cache.live.get(one, NULL) == NULL) | (one != given)]


def leaves_what_others_did(case: Case, code: Code, step: str) -> Sequence[bool]:
    """What another cache constructed stays so."""
    cache, base, index = begin(case, code)
    one, before = case.number("one"), case.snapshot(cache.constructed)
    owner = before.get(one, NOBODY)
    run(case, cache, step, base, index)
    stays = cache.constructed.get(one, NOBODY) == owner
    return [implies((owner != NOBODY) & (owner != cache.number), stays)]


def destructs_what_it_constructed(case: Case, code: Code) -> Sequence[bool]:
    """The judge admits the destructor, and knows no more of the slot than the model."""
    cache, base, index = begin(case, code)
    known = Constructed(case.table("known", DictTable), case.table("since", DictTable))
    before = case.snapshot(cache.constructed)
    given = run(case, cache, "destruct", base, index)
    case.assume(known.cache.get(given, NULL) == before.get(given, NOBODY), known.since.get(given, 0) > 0)
    try:
        known.destruct(given, cache.number)
    except Refused:
        return [False]
    return [known.cache.get(given, NULL) == NULL, cache.constructed.get(given, NOBODY) == NOBODY]


def gives_back_nothing_constructed(case: Case, code: Code) -> Sequence[bool]:
    """Where a slab goes, no slot of it is constructed any more: each destructor has run, none counts."""
    cache, base, index = begin(case, code)
    homes, places = case.table("homes", DictTable), case.table("places", DictTable)
    one = case.number("one")
    case.assume(is_home(cache, homes, places, one))
    mine = cache.constructed.get(one, NOBODY) == cache.number
    run(case, cache, "shrink", base, index)
    return [implies(mine, homes.get(one, NULL) != base), has(cache.built, base) ^ True]


def an_index_is_a_slot(case: Case, rules: Callable[[Construction, int], bool]) -> Sequence[bool]:
    """CACHE-DESTRUCTED in its own words, of a slot with a slab and an index."""
    cache, _, _ = begin(case, BuiltCache)
    homes, places = case.table("homes", DictTable), case.table("places", DictTable)
    one = case.number("one")
    home, index = homes.get(one, NULL), places.get(one, -1)
    case.assume(cache.constructed.get(one, NOBODY) == cache.number, is_home(cache, homes, places, one))
    assume_slabs(case, cache, [home], [one // P])
    assume_counts(case, cache, home)
    assume_products(case, cache, index, (one - home) // cache.slot)
    return [case.call(rules, cache, one)]


REFUSED: Final[tuple[tuple[str, str, str, Values], ...]] = (
    ("SLAB-PAGES/built_grow", "grow", "SLAB-PAGES", {"base": B}),
    ("SLAB-INSIDE/built_alloc", "alloc", "SLAB-INSIDE", {"i": 3}),
    ("SLAB-LIVE/built_alloc", "alloc", "SLAB-LIVE", {"i": 1}),
    ("CACHE-CONSTRUCTED/alloc", "alloc", "CACHE-CONSTRUCTED", {"base": B + P}),
    ("CACHE-DESTRUCTED/shrink", "shrink", "CACHE-DESTRUCTED", {"base": B + P}),
    ("SLAB-EMPTY/built_shrink", "shrink", "SLAB-EMPTY", {"slabs": {B + 2 * P: 1}}),
    ("SLAB-INSIDE/construct", "construct", "SLAB-INSIDE", {"base": B}),
    ("CACHE-CONSTRUCTED/construct", "construct", "CACHE-CONSTRUCTED", {"constructed": {B + P + 96: 9}}),
    ("SLAB-EMPTY/destruct", "destruct", "SLAB-EMPTY", {"base": B}),
    ("CACHE-DESTRUCTED/destruct", "destruct", "CACHE-DESTRUCTED", {"base": B + 2 * P}),
)
ROWS: Final[Rows] = {
    "SLAB-PAGES/built_grow/refines": (partial(does_as_the_plain_step, step="grow"), BuiltCache),
    "SLAB-LIVE/built_alloc/refines": (partial(does_as_the_plain_step, step="alloc"), BuiltCache),
    "SLAB-EMPTY/built_shrink/refines": (partial(does_as_the_plain_step, step="shrink"), BuiltCache),
    "SLAB-COUNT/construct/refines": (partial(leaves_the_slabs, step="construct"), BuiltCache),
    "SLAB-COUNT/destruct/refines": (partial(leaves_the_slabs, step="destruct"), BuiltCache),
    "SLAB-INSIDE/construct/refines": (constructs_inside, BuiltCache),
    "CACHE-CTOR/alloc/refines": (hands_out_constructed, BuiltCache),
    "CACHE-CTOR-ONCE/construct/refines": (constructs_what_nobody_did, BuiltCache),
    "CACHE-CTOR-OWN/construct/refines": (constructs_no_live_object, BuiltCache),
    "CACHE-CTOR-OWN/construct_beside/refines": (
        partial(leaves_what_others_did, step="construct"),
        BuiltCache,
    ),
    "CACHE-DTOR/destruct/refines": (destructs_what_it_constructed, BuiltCache),
    "CACHE-DTOR/destruct_beside/refines": (partial(leaves_what_others_did, step="destruct"), BuiltCache),
    "CACHE-DTOR/shrink/refines": (gives_back_nothing_constructed, BuiltCache),
    "CACHE-DESTRUCTED/index/implies": (an_index_is_a_slot, constructed_slot_is_in_its_slab),
}
WITNESSES: Final[dict[str, Values]] = {
    "SLAB-PAGES/built_grow/refines": {**BUILT, **ARGUMENTS["grow"]},
    "SLAB-LIVE/built_alloc/refines": {**BUILT, **ARGUMENTS["alloc"]},
    "SLAB-EMPTY/built_shrink/refines": {**BUILT, **ARGUMENTS["shrink"]},
    "SLAB-COUNT/construct/refines": {**BUILT, **ARGUMENTS["construct"]},
    "SLAB-COUNT/destruct/refines": {**BUILT, **ARGUMENTS["destruct"]},
    "SLAB-INSIDE/construct/refines": {**BUILT, **ARGUMENTS["construct"]},
    "CACHE-CTOR/alloc/refines": {**BUILT, **ARGUMENTS["alloc"]},
    "CACHE-CTOR-ONCE/construct/refines": {**BUILT, **ARGUMENTS["construct"]},
    "CACHE-CTOR-OWN/construct/refines": {**BUILT, **ARGUMENTS["construct"]},
    "CACHE-CTOR-OWN/construct_beside/refines": {**BUILT, **ARGUMENTS["construct"]},
    "CACHE-DTOR/destruct/refines": {**BUILT, **ARGUMENTS["destruct"]},
    "CACHE-DTOR/destruct_beside/refines": {**BUILT, **ARGUMENTS["destruct"]},
    "CACHE-DTOR/shrink/refines": {**BUILT, **ARGUMENTS["shrink"]},
    "CACHE-DESTRUCTED/index/implies": {**BUILT, **ARGUMENTS["construct"]},
}


def obligations() -> Iterator[Obligation]:
    """Yield all of them."""
    for clause, claim in PRESERVED.items():
        for step in STEPS:
            yield obligation(
                f"{clause}/{step}/preserved",
                partial(claim, step=step),
                BuiltCache,
                witness={**BUILT, **ARGUMENTS[step]},
                mutants=mutants.STEPS[clause, step],
            )
        yield obligation(
            f"{clause}/empty/initial",
            partial(begins_legal, clause=clause),
            BuiltCache,
            witness={"size": 96, "me": 7, "one": B, "slot": 0},
            mutants=mutants.BEGINNINGS[clause],
        )
    for name, step, clause, arguments in REFUSED:
        yield obligation(
            f"{name}/refused",
            partial(changes_nothing, step=step, clause=clause),
            BuiltCache,
            witness={**BUILT, **ARGUMENTS[step], **arguments},
            mutants=mutants.HASTY,
        )
    yield from listed(ROWS, WITNESSES, {**mutants.REFINES, **mutants.FOLLOWS})
