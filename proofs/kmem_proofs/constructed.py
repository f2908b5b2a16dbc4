"""Obligations of what the judge knows of constructors and destructors: the steps of `Constructed`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Final

from kmem_proofs.case import Case, Values, has, same
from kmem_proofs.mutants import construct as mutants
from kmem_proofs.obligations import Obligation, obligation
from kmem_proofs.slabs import B
from kmem_spec.constructed import Constructed
from kmem_spec.table import DictTable, Refused
from kmem_spec.units import NULL


def arbitrary_knowledge(case: Case, code: type[Constructed], x: int) -> Constructed:
    """Return what the judge may know: at x, an event if and only if a cache, and no cache is NULL."""
    known = code(case.table("known", DictTable), case.table("since", DictTable))
    for point in (x, case.number("address")):
        case.assume(has(known.cache, point) == has(known.since, point), known.cache.get(point, 1) != NULL)
    return known


def knows_when(case: Case, code: type[Constructed], step: str) -> Sequence[bool]:
    """A step of the judge's knowledge keeps an event by each cache, and changes nothing but its slot."""
    x, address, cache = case.number("x"), case.number("address"), case.number("cache")
    known = arbitrary_knowledge(case, code, x)
    before = case.snapshot(known.cache)
    case.assume(cache != NULL)
    if step == "construct":
        elder, owed = case.number("elder") != 0, case.number("owed") != 0
        case.accepted(known.construct, address, cache, case.number("event"), elder, owed)
        noted = known.cache.get(address, NULL) == cache
    else:
        case.accepted(known.destruct, address, cache)
        noted = has(known.cache, address) ^ True
    others = (x == address) | same(before, known.cache, x)
    return [has(known.cache, x) == has(known.since, x), noted, others]


def says_when_it_must_not(case: Case, code: type[Constructed], step: str) -> Sequence[bool]:
    """The judge admits exactly what the clauses' sentences let pass, and names the clause that is broken."""
    address, cache = case.number("address"), case.number("cache")
    known = arbitrary_knowledge(case, code, address)
    last = known.cache.get(address, NULL)
    case.assume(cache != NULL)
    elder, owed = case.number("elder") != 0, case.number("owed") != 0
    again, early = (last == cache) & elder, (last != NULL) & owed
    try:
        if step == "construct":
            case.call(known.construct, address, cache, case.number("event"), elder, owed)
        else:
            case.call(known.destruct, address, cache)
    except Refused as refusal:
        if step == "destruct":
            return [refusal.clause == "CACHE-DTOR", last != cache]
        return [again if refusal.clause == "CACHE-CTOR-ONCE" else early]
    return [last == cache] if step == "destruct" else [again ^ True, early ^ True]


def knowledge_stays(case: Case, code: type[Constructed], step: str, clause: str) -> Sequence[bool]:
    """A refused step leaves what the judge knows as it was."""
    x, address, cache = case.number("x"), case.number("address"), case.number("cache")
    known = arbitrary_knowledge(case, code, x)
    before = [case.snapshot(known.cache), case.snapshot(known.since)]
    case.assume(cache != NULL)
    if step == "construct":
        elder, owed = case.number("elder") != 0, case.number("owed") != 0
        case.refused(clause, known.construct, address, cache, case.number("event"), elder, owed)
    else:
        case.refused(clause, known.destruct, address, cache)
    return [same(before[0], known.cache, x), same(before[1], known.since, x)]


KNOWN: Final[Values] = {
    "known": {B: 7},
    "since": {B: 4},
    "x": B,
    "address": B,
    "cache": 7,
    "event": 9,
    "elder": 0,
    "owed": 0,
}


def obligations() -> Iterator[Obligation]:
    """Yield all of them."""
    for step, faults in mutants.KNOWS.items():
        yield obligation(
            f"CACHE-DTOR/judge_{step}/preserved",
            partial(knows_when, step=step),
            Constructed,
            witness=KNOWN,
            mutants=faults,
        )
    for clause, step in (("CACHE-CTOR-ONCE", "construct"), ("CACHE-DTOR", "destruct")):
        yield obligation(
            f"{clause}/judge_{step}/refines",
            partial(says_when_it_must_not, step=step),
            Constructed,
            witness=KNOWN,
            mutants=mutants.JUDGES[step],
        )
    for clause, step, arguments in (
        ("CACHE-CTOR-ONCE", "construct", {"elder": 1}),
        ("CACHE-DTOR", "construct", {"owed": 1}),
        ("CACHE-DTOR", "destruct", {"cache": 8}),
    ):
        yield obligation(
            f"{clause}/judge_{step}/refused",
            partial(knowledge_stays, step=step, clause=clause),
            Constructed,
            witness={**KNOWN, **arguments},
            mutants=[("it changes a table before it asks", mutants.HastyConstructed)],
        )
