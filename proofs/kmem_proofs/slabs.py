"""A slab cache as claims see it: of any slot size, with what a proof keeps beside it.

Products of an index and the slot size are all that is not linear here. So an object has a ghost beside it,
its index, in place of a remainder; and of each two indices a claim is told how their products compare
(`assume_products`, which UNITS/product/exact proves).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Final, cast

from kmem_model.slab import Cache
from kmem_proofs.case import Case, Values, implies
from kmem_proofs.rules import rule
from kmem_spec.cache import NO_SLAB, Sample, has_slab, is_live
from kmem_spec.table import DictTable, Table
from kmem_spec.units import MAX_ORDER, NULL, PAGE_SIZE

Code = type[Cache]
STEPS: Final = ("grow", "alloc", "free", "shrink")
TABLES: Final = ("owners", "slabs", "live")
P: Final = PAGE_SIZE
ORDERS: Final = tuple(range(MAX_ORDER + 1))


@dataclass(frozen=True, slots=True)
class Ghosts:
    """What a proof keeps beside a cache.

    index    of each live object, the slot that it is in
    rank     of each live object, its number among those of its slab, 0 to count - 1
    ranked   of each slab's base plus a number, the object that has it
    waits    of each slab's base plus an index, 1 if some free list has that slot
    """

    index: Table[int]
    rank: Table[int]
    ranked: Table[int]
    waits: Table[int]


def arbitrary_cache(case: Case, code: Code) -> Cache:
    """Return a cache with slots of any size, any number of which a slab of any order holds."""
    slot, objects = case.number("size"), case.number("objects")
    cache = code(
        "c",
        slot,
        1,
        slot,
        case.choose("order", ORDERS),
        objects,
        *(case.table(name, DictTable) for name in TABLES),
    )
    case.assume(slot >= 1, objects >= 1, objects <= cache.slab_bytes)  # UNITS/objects_per_slab/exact
    return cache


def arbitrary_ghosts(case: Case) -> Ghosts:
    """Return any ghosts."""
    return Ghosts(*(case.table(name, DictTable) for name in ("index", "rank", "ranked", "waits")))


def another_cache(case: Case, cache: Cache) -> Sample:
    """Return a cache with slots of any size and slabs of any length, beside the one given."""
    slot, length = case.number("beside.size"), case.number("beside.bytes")
    case.assume(slot >= 1, length > 0, length % P == 0)
    slabs, live = case.table("beside.slabs", DictTable), case.table("beside.live", DictTable)
    owners = cast("DictTable[int]", cache.owners)
    return Sample(slabs, live, owners, slot=slot, slab_bytes=length)


def assume_products(case: Case, cache: Cache, *indices: int) -> None:
    """Assume that the slots are in the slab, and of an index times their size what follows from the index."""
    size, objects = cache.slot, cache.objects
    case.assume(objects * size <= cache.slab_bytes)
    for one in indices:
        within = implies(one < objects, one * size + size <= objects * size)
        case.assume(implies(one >= 0, one * size >= 0), within)
    for one, other in permutations(indices, 2):
        case.assume(implies(one < other, one * size + size <= other * size))


def is_placed(cache: Cache, ghosts: Ghosts, address: int) -> bool:
    """Say of an object, if it is live, that its index says where in its slab it is."""
    index, base = ghosts.index.get(address, -1), cache.live.get(address, NULL)
    inside = (index >= 0) & (index < cache.objects) & (address == base + index * cache.slot)
    return implies(is_live(cache, address), inside)


def is_numbered(cache: Cache, ghosts: Ghosts, address: int) -> bool:
    """Say of an object, if it is live, that it has a number below its slab's count, and it alone."""
    rank, base = ghosts.rank.get(address, -1), cache.live.get(address, NULL)
    counts = (rank >= 0) & (rank < cache.slabs.get(base, NO_SLAB))
    return implies(is_live(cache, address), counts & (ghosts.ranked.get(base + rank, NULL) == address))


def is_base(address: int) -> bool:
    """Say whether a slab can begin here; SLAB-COUNT/*/preserved has it of every slab."""
    return (address > NULL) & (address % P == 0)


def is_counted(cache: Cache, ghosts: Ghosts, base: int, number: int) -> bool:
    """Say of a slab that each number below its count is that of a live object of it."""
    count, address = cache.slabs.get(base, NO_SLAB), ghosts.ranked.get(base + number, NULL)
    mine = (cache.live.get(address, NULL) == base) & (address != NULL)
    mine = mine & (ghosts.rank.get(address, -1) == number)
    numbered = implies((number >= 0) & (number < count), mine)
    return implies(has_slab(cache, base), is_base(base) & (count <= cache.objects) & numbered)


def assume_objects(case: Case, cache: Cache, ghosts: Ghosts, *addresses: int) -> None:
    """Assume of objects, and of pairs of them, where they are."""
    for address in addresses:
        case.assume(is_placed(cache, ghosts, address), rule("SLAB-EMPTY", cache, address))
    for one, other in permutations(addresses, 2):
        case.assume(rule("SLAB-APART", cache, one, other))


def assume_slabs(case: Case, cache: Cache, slabs: Sequence[int], pages: Sequence[int] = ()) -> None:
    """Assume of slabs, and of pairs of them, where they are, and of pages that they name their slabs."""
    for base in slabs:
        case.assume(implies(has_slab(cache, base), is_base(base)))
        for page in pages:
            case.assume(rule("SLAB-OWNER", cache, base, page))
    for one, other in permutations(slabs, 2):
        case.assume(rule("SLAB-PAGES", cache, one, cache, other))


def run(case: Case, cache: Cache, step: str, base: int, index: int) -> int:
    """Run a step that is not refused; return the object that it is about, NULL if none."""
    if step == "alloc":
        return case.accepted(cache.alloc, base, index)
    if step == "free":
        case.accepted(cache.free, base, index)
        return base + index * cache.slot
    case.accepted(getattr(cache, step), base)
    return NULL


def begin(case: Case, code: Code) -> tuple[Cache, Ghosts, int, int]:
    """Return a cache, its ghosts, and the slab and slot that a step is about."""
    cache = arbitrary_cache(case, code)
    return cache, arbitrary_ghosts(case), case.number("base"), case.number("i")


def slabs_of(cache: Cache, *objects: int) -> list[int]:
    """Return the slabs of live objects."""
    return [cache.live.get(address, NULL) for address in objects]


B: Final = 16 * P
CACHE: Final[Values] = {
    "size": 96,
    "order": 0,
    "objects": 42,
    "owners": {16: B, 17: B + P, 20: B + 4 * P},
    "slabs": {B: 2, B + P: 0},
    "live": {B: B, B + 96: B},
    "index": {B: 0, B + 96: 1},
    "rank": {B: 0, B + 96: 1},
    "ranked": {B: B, B + 1: B + 96},
    "waits": {B + 2: 1},
    "beside.size": 64,
    "beside.bytes": P,
    "beside.slabs": {B + 4 * P: 1},
    "beside.live": {B + 4 * P + 64: B + 4 * P},
}
LOOKING: Final[Values] = {
    "one": B,
    "other": B + 96,
    "slab": B,
    "second": B + P,
    "slot": 2,
    "page": 16,
    "number": 0,
    "x": B,
}
ARGUMENTS: Final[dict[str, Values]] = {
    "grow": {"base": B + 2 * P, "i": 0},
    "alloc": {"base": B, "i": 2},
    "free": {"base": B, "i": 1},
    "shrink": {"base": B + P, "i": 0},
}
