"""What the judge is owed of slab caches: what a step returns, and what follows from the clauses."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from kmem_model.slab import Cache
from kmem_proofs.case import Case, Values, has, implies, same
from kmem_proofs.mutants import slab as mutants
from kmem_proofs.obligations import Obligation, Rows, listed
from kmem_proofs.rules import rule
from kmem_proofs.slabs import (
    ARGUMENTS,
    CACHE,
    LOOKING,
    TABLES,
    B,
    Code,
    P,
    another_cache,
    arbitrary_cache,
    arbitrary_ghosts,
    assume_objects,
    assume_products,
    assume_slabs,
    begin,
    run,
    slabs_of,
)
from kmem_spec.cache import NO_SLAB, Slabs, has_slab, is_live, object_is_inside_its_slab
from kmem_spec.calls import Answer
from kmem_spec.extents import disjoint
from kmem_spec.kmem_cache import OBJECT
from kmem_spec.table import DictTable
from kmem_spec.units import NULL


def gives_what_was_free(case: Case, code: Code) -> Sequence[bool]:
    """What `alloc` gives was not live and is so now, and it alone."""
    cache, _, base, index = begin(case, code)
    one, before = case.number("one"), case.snapshot(cache.live)
    assume_slabs(case, cache, [base])
    given = case.accepted(cache.alloc, base, index)
    fresh = (before.get(given, NULL) == NULL) & (cache.live.get(given, NULL) == base)
    return [fresh, (one == given) | same(before, cache.live, one)]


def takes_back_one(case: Case, code: Code) -> Sequence[bool]:
    """What `free` was told is not live any more, and it alone."""
    cache, _, base, index = begin(case, code)
    one, before = case.number("one"), case.snapshot(cache.live)
    assume_slabs(case, cache, [base])
    about = run(case, cache, "free", base, index)
    return [has(cache.live, about) ^ True, (one == about) | same(before, cache.live, one)]


def gives_no_live_memory(case: Case, code: Code) -> Sequence[bool]:
    """The judge admits what `alloc` gives: no live object of this or of another cache has a byte of it."""
    cache, ghosts, base, index = begin(case, code)
    one, other = case.number("one"), case.number("other")
    beside = another_cache(case, cache)
    slab = beside.live.get(other, NULL)
    inside = (slab <= other) & (other + beside.slot <= slab + beside.slab_bytes)
    case.assume(implies(is_live(beside, other), has_slab(beside, slab) & inside))
    case.assume(rule("SLAB-PAGES", cache, base, beside, slab))
    assume_objects(case, cache, ghosts, one)
    assume_slabs(case, cache, [base, *slabs_of(cache, one)])
    assume_products(case, cache, index, ghosts.index.get(one, -1))
    was_live = is_live(cache, one)
    given = case.accepted(cache.alloc, base, index)
    return [
        implies(was_live, disjoint(one, cache.slot, given, cache.slot)),
        implies(is_live(beside, other), disjoint(other, beside.slot, given, cache.slot)),
    ]


def finds_the_slab(case: Case, code: Code) -> Sequence[bool]:
    """Of what `alloc` gives, each byte's page names its slab: so kfree finds it."""
    cache, _, base, index = begin(case, code)
    byte = case.number("byte")
    assume_slabs(case, cache, [base], [byte // P])
    assume_products(case, cache, index)
    given = case.accepted(cache.alloc, base, index)
    inside = (given <= byte) & (byte < given + cache.slot)
    return [implies(inside, cache.owners.get(byte // P, NULL) == base)]


def gives_back_no_live_memory(case: Case, code: Code) -> Sequence[bool]:
    """Where a slab goes, no live object has a byte of it."""
    cache, ghosts, base, index = begin(case, code)
    one = case.number("one")
    assume_objects(case, cache, ghosts, one)
    assume_slabs(case, cache, [base, *slabs_of(cache, one)])
    assume_products(case, cache, ghosts.index.get(one, -1))
    length = cache.slab_bytes
    run(case, cache, "shrink", base, index)
    return [implies(is_live(cache, one), disjoint(one, cache.slot, base, length))]


ALIGNS: Final = tuple(1 << shift for shift in range(3, 23))


def objects_are_aligned(case: Case, code: Code) -> Sequence[bool]:
    """The judge admits the address of an object: aligned as its slab and its slots are."""
    align, times = case.choose("align", ALIGNS), case.number("times")
    slot = align * times
    base, index = align * case.number("part"), case.number("i")
    cache = code(
        "c", slot, align, slot, 0, case.number("objects"), *(case.table(t, DictTable) for t in TABLES)
    )
    given = case.accepted(cache.alloc, base, index)
    return [rule("CACHE-ALIGN", OBJECT._replace(minimum=align), Answer(given))]


def slabs_are_aligned(case: Case, code: Code) -> Sequence[bool]:
    """A slab is aligned to its length, and so to every alignment that fits into it."""
    cache, _, base, _ = begin(case, code)
    run(case, cache, "grow", base, 0)
    return [base % cache.slab_bytes == 0, base > NULL]


def slabs_begin_empty(case: Case, code: Code) -> Sequence[bool]:
    """What `grow` makes is a slab of the cache with no live object, and each of its pages names it."""
    cache, _, base, _ = begin(case, code)
    page = case.number("page")
    run(case, cache, "grow", base, 0)
    inside = (base // P <= page) & (page < base // P + (1 << cache.order))
    return [cache.slabs.get(base, NO_SLAB) == 0, implies(inside, cache.owners.get(page, NULL) == base)]


def slabs_leave_nothing(case: Case, code: Code) -> Sequence[bool]:
    """Where a slab went, none is left, and its pages name nobody: so they may be in the next."""
    cache, _, base, _ = begin(case, code)
    first, page = base // P, case.number("page")
    case.assume(first <= page, page < first + (1 << cache.order))
    run(case, cache, "shrink", base, 0)
    return [has_slab(cache, base) ^ True, cache.owners.get(page, NULL) == NULL]


def an_index_is_a_place(case: Case, rules: Callable[[Slabs, int], bool]) -> Sequence[bool]:
    """SLAB-INSIDE in its own words, of an object with an index."""
    cache, ghosts, one = arbitrary_cache(case, Cache), arbitrary_ghosts(case), case.number("one")
    assume_objects(case, cache, ghosts, one)
    index = ghosts.index.get(one, -1)
    (base,) = slabs_of(cache, one)
    assume_products(case, cache, index, (one - base) // cache.slot)
    case.assume(is_live(cache, one))
    return [case.call(rules, cache, one)]


ROWS: Final[Rows] = {
    "SLAB-LIVE/alloc/refines": (gives_what_was_free, Cache),
    "SLAB-LIVE/free/refines": (takes_back_one, Cache),
    "MEM-APART/alloc/refines": (gives_no_live_memory, Cache),
    "SLAB-OWNER/alloc/refines": (finds_the_slab, Cache),
    "SLAB-EMPTY/shrink/refines": (gives_back_no_live_memory, Cache),
    "CACHE-ALIGN/alloc/refines": (objects_are_aligned, Cache),
    "CACHE-ALIGN/grow/refines": (slabs_are_aligned, Cache),
    "SLAB-OWNER/grow/refines": (slabs_begin_empty, Cache),
    "SLAB-OWNER/shrink/refines": (slabs_leave_nothing, Cache),
    "SLAB-INSIDE/index/implies": (an_index_is_a_place, object_is_inside_its_slab),
}
WITNESSES: Final[dict[str, Values]] = {
    "SLAB-LIVE/alloc/refines": {**CACHE, **LOOKING, **ARGUMENTS["alloc"]},
    "SLAB-LIVE/free/refines": {**CACHE, **LOOKING, **ARGUMENTS["free"]},
    "MEM-APART/alloc/refines": {**CACHE, **LOOKING, **ARGUMENTS["alloc"], "other": B + 4 * P + 64},
    "SLAB-OWNER/alloc/refines": {**CACHE, **LOOKING, **ARGUMENTS["alloc"], "byte": B + 200},
    "SLAB-EMPTY/shrink/refines": {**CACHE, **LOOKING, **ARGUMENTS["shrink"]},
    "CACHE-ALIGN/alloc/refines": {
        **CACHE,
        **LOOKING,
        **ARGUMENTS["alloc"],
        "align": 32,
        "times": 3,
        "part": B // 32,
    },
    "CACHE-ALIGN/grow/refines": {**CACHE, **LOOKING, **ARGUMENTS["grow"]},
    "SLAB-OWNER/grow/refines": {**CACHE, **LOOKING, **ARGUMENTS["grow"]},
    "SLAB-OWNER/shrink/refines": {**CACHE, **LOOKING, **ARGUMENTS["shrink"], "page": 17},
    "SLAB-INSIDE/index/implies": {**CACHE, **LOOKING},
}


def obligations() -> Iterator[Obligation]:
    """Yield all of them."""
    yield from listed(ROWS, WITNESSES, {**mutants.REFINES, **mutants.FOLLOWS})
