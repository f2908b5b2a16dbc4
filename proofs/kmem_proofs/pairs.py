"""Obligations of the pairs of masks that the judge compares: which they are, and that it may compare them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from kmem_proofs.case import Case, Values
from kmem_proofs.gfp import HARDWALL, MASKS
from kmem_proofs.masks import mask_of, no_bits
from kmem_proofs.mutants import masks as mutants
from kmem_proofs.obligations import Obligation, Rows, listed
from kmem_spec import reach
from kmem_spec.gfp import DIRECT_RECLAIM, HIGH, NOFAIL
from kmem_spec.reach import Pair

PairOf = Callable[[int, int], Pair | None]


def same_mask_pairs(case: Case, code: PairOf) -> Sequence[bool]:
    """A mask is compared with itself only where it must not fail and may wait, and under that rule."""
    mask, (reclaim, nofail) = mask_of(case, DIRECT_RECLAIM, NOFAIL)
    pair = case.call(code, mask, mask)
    return [(pair == "GFP-NOFAIL") == ((reclaim == 1) & (nofail == 1)), pair in ("GFP-NOFAIL", None)]


def deeper_pairs(case: Case, code: PairOf) -> Sequence[bool]:
    """GFP-ATOMIC-REACH compares a mask and that with __GFP_HIGH beside it, in this order, and no others."""
    (one, _), (two, (high,)) = any_and(case, HIGH)
    pair = case.call(code, one, two)
    return [(pair == "GFP-ATOMIC-REACH") == ((high == 0) & (one == two + HIGH))]


def user_pairs(case: Case, code: PairOf) -> Sequence[bool]:
    """GFP-USER compares masks that __GFP_HARDWALL tells apart, and no others."""
    (one, _), (two, (hardwall,)) = any_and(case, HARDWALL)
    pair = case.call(code, one, two)
    with_it, without = (hardwall == 0) & (one == two + HARDWALL), (hardwall == 1) & (one == two - HARDWALL)
    return [(pair == "GFP-USER") == (with_it | without)]


def nofail_pairs(case: Case, code: PairOf) -> Sequence[bool]:
    """GFP-NOFAIL compares no two masks that differ."""
    (one, _), (two, _) = any_and(case, NOFAIL)
    case.assume(one != two)
    return [case.call(code, one, two) != "GFP-NOFAIL"]


def both_ways(case: Case, code: PairOf) -> Sequence[bool]:
    """GFP-USER compares both ways: GFP_USER fails where GFP_KERNEL does, and the other way round."""
    (one, _), (two, _) = any_and(case, HARDWALL)
    upper, lower = case.number("upper"), case.number("lower")
    case.assume(one == upper * HARDWALL + lower, lower >= 0, lower < HARDWALL)
    case.assume(one // HARDWALL == upper)  # GFP-SLEEP/quotient/exact, for cvc5
    return [(case.call(code, one, two) == "GFP-USER") == (case.call(code, two, one) == "GFP-USER")]


def one_way(case: Case, code: PairOf) -> Sequence[bool]:
    """GFP-ATOMIC-REACH compares one way: GFP_NOWAIT may fail where GFP_ATOMIC does not."""
    (one, _), (two, _) = any_and(case, HIGH)
    case.assume(one != two)
    case.assume(case.call(code, one, two) == "GFP-ATOMIC-REACH")
    return [case.call(code, two, one) is None]


def any_and(case: Case, bit: int) -> tuple[tuple[int, list[int]], tuple[int, list[int]]]:
    """Return any two masks; of the second, whether it has the bit."""
    one = case.number("one")
    case.assume(one >= 0, one < MASKS)
    return (one, []), mask_of(case, bit)


ROWS: Final[Rows] = {
    "GFP-NOFAIL/pair_of/exact": (same_mask_pairs, reach.pair_of),
    "GFP-ATOMIC-REACH/pair_of/exact": (deeper_pairs, reach.pair_of),
    "GFP-USER/pair_of/exact": (user_pairs, reach.pair_of),
    "GFP-USER/both_ways/implies": (both_ways, reach.pair_of),
    "GFP-ATOMIC-REACH/one_way/implies": (one_way, reach.pair_of),
    "GFP-NOFAIL/others/implies": (nofail_pairs, reach.pair_of),
}
WITNESSES: Final[dict[str, Values]] = {
    "GFP-NOFAIL/pair_of/exact": no_bits(DIRECT_RECLAIM, NOFAIL),
    "GFP-ATOMIC-REACH/pair_of/exact": {**no_bits(HIGH), "one": HIGH, "upper": 1, "lower": 0},
    "GFP-USER/pair_of/exact": {**no_bits(HARDWALL), "one": HARDWALL, "upper": 1, "lower": 0},
    "GFP-USER/both_ways/implies": {**no_bits(HARDWALL), "one": HARDWALL, "upper": 1, "lower": 0},
    "GFP-ATOMIC-REACH/one_way/implies": {**no_bits(HIGH), "one": HIGH, "upper": 1, "lower": 0},
    "GFP-NOFAIL/others/implies": {**no_bits(NOFAIL), "one": HIGH, "upper": 1, "lower": 0},
}


def obligations() -> Iterator[Obligation]:
    """Yield all of them."""
    yield from listed(ROWS, WITNESSES, mutants.FAULTS)
