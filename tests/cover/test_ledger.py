"""The ledger: what it accepts, what it refuses, and that a refusal changes nothing."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial

import pytest

from kmem_spec.extents import IndexedSpans, Spans
from kmem_spec.ledger import Ledger
from kmem_spec.table import DictTable, Refused

KINDS: list[type[Spans]] = [Spans, IndexedSpans]


@pytest.fixture(params=KINDS)
def ledger(request: pytest.FixtureRequest) -> Ledger[str]:
    kind: type[Spans] = request.param
    return Ledger(kind(), DictTable())


def state(ledger: Ledger[str]) -> tuple[dict[int, int], dict[int, str]]:
    spans, records = ledger.spans, ledger.records
    assert isinstance(spans, Spans)
    assert isinstance(records, DictTable)
    return dict(spans), dict(records)


def assert_refused(ledger: Ledger[str], clause: str, step: Callable[[], None]) -> None:
    before = state(ledger)
    with pytest.raises(Refused) as refusal:
        step()
    assert refusal.value.clause == clause
    assert state(ledger) == before


def test_an_extent_lives_from_accept_to_release(ledger: Ledger[str]) -> None:
    ledger.accept(4096, 64, "first")
    assert state(ledger) == ({4096: 64}, {4096: "first"})
    ledger.accept(4160, 64, "next to it")
    ledger.release(4096)
    assert state(ledger) == ({4160: 64}, {4160: "next to it"})
    ledger.accept(4096, 64, "again")
    assert state(ledger) == ({4096: 64, 4160: 64}, {4096: "again", 4160: "next to it"})


@pytest.mark.parametrize("length", [0, -1, -4096])
def test_nothing_has_no_bytes(ledger: Ledger[str], length: int) -> None:
    assert_refused(ledger, "MEM-USABLE", lambda: ledger.accept(4096, length, "empty"))


@pytest.mark.parametrize("start", [4096 - 63, 4096, 4096 + 8, 4096 + 63, 4096 - 64])
def test_no_byte_has_two_owners(ledger: Ledger[str], start: int) -> None:
    ledger.accept(4096, 64, "first")
    if start == 4096 - 64:
        ledger.accept(start, 64, "just before")
        assert len(state(ledger)[0]) == 2
    else:
        assert_refused(ledger, "MEM-APART", lambda: ledger.accept(start, 64, "second"))


@pytest.mark.parametrize("start", [0, 4095, 4097, 4104, 4160])
def test_release_needs_the_start_of_a_live_extent(ledger: Ledger[str], start: int) -> None:
    ledger.accept(4096, 64, "first")
    assert_refused(ledger, "CALLER-FREE", lambda: ledger.release(start))
    ledger.release(4096)
    assert_refused(ledger, "CALLER-FREE", lambda: ledger.release(4096))


def test_random_histories_agree_with_a_set_of_owned_bytes(ledger: Ledger[str]) -> None:
    choose = random.Random(20)
    owned: dict[int, int] = {}  # byte to start
    refusals = 0
    for step in range(3000):
        start, length = choose.randrange(0, 400, choose.choice([1, 8, 8])), choose.randint(1, 40)
        wanted = range(start, start + length)
        if choose.random() < 0.4:
            if owned.get(start) == start:
                ledger.release(start)
                owned = {byte: owner for byte, owner in owned.items() if owner != start}
            else:
                refusals += 1
                assert_refused(ledger, "CALLER-FREE", partial(ledger.release, start))
        elif any(byte in owned for byte in wanted):
            refusals += 1
            with pytest.raises(Refused):
                ledger.accept(start, length, f"{step}")
        else:
            ledger.accept(start, length, f"{step}")
            owned |= dict.fromkeys(wanted, start)
        spans, records = state(ledger)
        assert spans.keys() == records.keys() == set(owned.values())
    assert 500 < refusals < 2900
