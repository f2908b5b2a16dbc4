"""Size classes as a trace itself shows them: requests that got another size than all the others."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable

from kmem_oracle.traces.case import Case
from kmem_oracle.traces.request import ObjectRequest

MANY = 8  # requests that got one size, for each that got another


def judge(case: Case, requests: Iterable[ObjectRequest]) -> None:
    """Report what got another size than the same request, or than larger and smaller ones, got otherwise.

    A profile with size classes judges each request as it comes; without one, the trace is its own profile,
    and what differs is a suspect: some of the caches may be debugged, which makes their slots larger.
    """
    by_kind: defaultdict[str, list[ObjectRequest]] = defaultdict(list)
    for request in requests:
        if not request.cached and request.count and not request.wrong:
            by_kind[request.kind].append(request)
    for kind in by_kind.values():
        _judge_kind(case, kind)


def _judge_kind(case: Case, requests: list[ObjectRequest]) -> None:
    """Judge the requests of one kind of caches."""
    got: defaultdict[int, Counter[int]] = defaultdict(Counter)
    for request in requests:
        got[request.asked][request.given] += request.count
    usual = {asked: given.most_common(1)[0] for asked, given in got.items()}
    sizes = sorted(usual)
    for request in requests:
        given, count = usual[request.asked]
        if request.given != given and count >= MANY * got[request.asked][request.given]:
            _report(case, request, f"{count} others of that size got {given}")
            continue
        place = sizes.index(request.asked)
        if 0 < place < len(sizes) - 1 and request.given == given:
            below, above = usual[sizes[place - 1]], usual[sizes[place + 1]]
            if below[0] == above[0] != given and min(below[1], above[1]) >= MANY * count:
                _report(case, request, f"{sizes[place - 1]} and {sizes[place + 1]} got {below[0]}")


def _report(case: Case, request: ObjectRequest, why: str) -> None:
    times = f", {request.count} times" if request.count > 1 else ""
    case.find(
        "SLAB-CLASS",
        request.first,
        (request.last,) if request.last != request.first else (),
        f"{request.asked} bytes asked for, {request.given} given{times}; {why}",
        certainty="suspect",
        explained="a debugged cache beside others that are not",
    )
