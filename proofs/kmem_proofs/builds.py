"""A cache with a constructor as claims see it: as in `slabs`, and how far each slab is constructed."""

from __future__ import annotations

from typing import Final

from kmem_model.slab import BuiltCache
from kmem_proofs.case import Case, Values, implies
from kmem_proofs.slabs import CACHE, ORDERS, B, P, assume_slabs
from kmem_spec.cache import NO_SLAB, has_slab
from kmem_spec.construct import NOBODY
from kmem_spec.table import DictTable
from kmem_spec.units import NULL

Code = type[BuiltCache]
STEPS: Final = ("grow", "alloc", "free", "shrink", "construct", "destruct")
TABLES: Final = ("owners", "slabs", "live", "constructed", "built")


def begin(case: Case, code: Code) -> tuple[BuiltCache, int, int]:
    """Return a cache with slots of any size, and the slab and slot that a step is about."""
    slot, objects, number = case.number("size"), case.number("objects"), case.number("me")
    order = case.choose("order", ORDERS)
    owners, slabs, live, constructed, built = (case.table(name, DictTable) for name in TABLES)
    cache = code("c", slot, 1, slot, order, objects, owners, slabs, live, number, constructed, built)
    case.assume(slot >= 1, objects >= 1, objects <= cache.slab_bytes, number != NOBODY)
    base = case.number("base")
    assume_slabs(case, cache, [base])
    assume_counts(case, cache, base)
    return cache, base, case.number("i")


def counts_its_slots(cache: BuiltCache, base: int) -> bool:
    """Say of a slab that no more slots of it count as constructed than it has."""
    count = cache.built.get(base, NO_SLAB)
    return implies(has_slab(cache, base), (count >= 0) & (count <= cache.objects))


def assume_counts(case: Case, cache: BuiltCache, *slabs: int) -> None:
    """Assume of these slabs what CACHE-CONSTRUCTED/*/preserved shows of any."""
    for base in slabs:
        case.assume(counts_its_slots(cache, base))


def run(case: Case, cache: BuiltCache, step: str, base: int, index: int) -> int:
    """Run a step that is not refused; return the address that it returns, NULL for none."""
    if step == "alloc":
        return case.accepted(cache.alloc, base, index)
    if step in ("construct", "destruct"):
        return case.accepted(cache.construct if step == "construct" else cache.destruct, base)
    case.accepted(getattr(cache, step), *([base, index] if step == "free" else [base]))
    return NULL


def is_home(cache: BuiltCache, homes: DictTable[int], places: DictTable[int], address: int) -> bool:
    """Say of a slot, if this cache constructed it, that its ghosts say which it is of which slab."""
    base, index = homes.get(address, NULL), places.get(address, -1)
    counts = has_slab(cache, base) & (index >= 0) & (index < cache.built.get(base, 0))
    mine = cache.constructed.get(address, NOBODY) == cache.number
    return implies(mine, counts & (address == base + index * cache.slot))


BUILT: Final[Values] = {
    **CACHE,
    "owners": {16: B, 17: B + P, 18: B + 2 * P},
    "objects": 3,
    "slabs": {B: 2, B + P: 0, B + 2 * P: 0},
    "me": 7,
    "built": {B: 3, B + P: 1, B + 2 * P: 0},
    "constructed": {B: 7, B + 96: 7, B + 192: 7, B + P: 7, B + 8 * P: 9},
    "homes": {B: B, B + 96: B, B + 192: B, B + P: B + P},
    "places": {B: 0, B + 96: 1, B + 192: 2, B + P: 0},
    "known": {B + P: 7},
    "since": {B + P: 4},
    "one": B,
    "slab": B,
    "slot": 0,
    "place": 0,
    "x": B,
}
ARGUMENTS: Final[dict[str, Values]] = {
    "grow": {"base": B + 4 * P, "i": 0},
    "alloc": {"base": B, "i": 2},
    "free": {"base": B, "i": 1},
    "shrink": {"base": B + 2 * P, "i": 0},
    "construct": {"base": B + P, "i": 0},
    "destruct": {"base": B + P, "i": 0},
}
