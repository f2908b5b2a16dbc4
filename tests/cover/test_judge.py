"""The judge as a whole: each clause has its rows; losses, leaks, counts, and what the judge must not do."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.cover import (
    test_judge_cache,
    test_judge_caller,
    test_judge_gfp,
    test_judge_kmalloc,
    test_judge_pages,
    test_judge_pool,
    test_judge_vmalloc,
)
from tests.cover.judging import (
    AT,
    CONTRACT,
    LINUX_6_1,
    LINUX_6_12,
    PROFILES,
    ZSP,
    K,
    Row,
    Rows,
    Z,
    admit_all,
    cycle,
    ev,
    gfpages,
    kfree,
    km,
    kre,
)

from kmem_spec.calls import Call, Lost
from kmem_spec.clauses import CLAUSES
from kmem_spec.finding import Finding
from kmem_spec.gfp import DMA, DMA32
from kmem_spec.judge import Judge
from kmem_spec.judging.docket import DEATHS_KEPT
from kmem_spec.units import PAGE_SIZE

FAMILIES = (
    test_judge_kmalloc,
    test_judge_pages,
    test_judge_gfp,
    test_judge_cache,
    test_judge_vmalloc,
    test_judge_pool,
    test_judge_caller,
)
ROWS: Rows = {clause: rows for family in FAMILIES for clause, rows in family.ROWS.items()}


def test_every_judged_clause_is_shown_both_ways() -> None:
    assert len(ROWS) == sum(len(family.ROWS) for family in FAMILIES), "no clause has rows in two places"
    by_hand = {"MEM-RETURNS", "MEM-LIVENESS", "CALLER-LEAK"}
    in_force = {each.id for profile in PROFILES.values() for each in profile.clauses()}
    assert in_force == {each.id for each in CLAUSES.values() if each.promises}
    assert in_force == set(ROWS) | by_hand
    for clause, rows in ROWS.items():
        assert any(not row.clause for row in rows), clause
        shown = {row.clause for row in rows} - {""}
        assert shown <= {clause}
        assert shown or clause in NO_OPS, clause


NO_OPS = {"SLAB-FREE-NULL", "PAGE-FREE-NULL", "VM-FREE-NULL", "CACHE-DESTROY-NULL", "POOL-NULL"}  # see LOSSES


# Leaks.


def test_what_is_live_at_the_end_is_a_leak() -> None:
    judge = Judge(CONTRACT)
    admit_all(judge, (km(64, AT), km(0, ZSP), gfpages(1, 2 * AT), kfree(AT), km(100, AT)))
    leaks = judge.leaks()
    assert [(leak.clause, leak.who, leak.others) for leak in leaks] == [
        ("CALLER-LEAK", "caller", (2,)),
        ("CALLER-LEAK", "caller", (4,)),
    ]
    assert [leak.message for leak in leaks] == [
        "8192 bytes at 0x200000 are never freed",
        "100 bytes at 0x100000 are never freed",
    ]


def test_what_was_freed_is_no_leak_and_leaks_can_be_waived() -> None:
    judge = Judge(CONTRACT, waived=frozenset({"CALLER-LEAK"}))
    admit_all(judge, (km(64, AT), kfree(AT)))
    assert judge.leaks() == []
    judge.admit(km(64, AT))
    assert judge.leaks() == []


# What the judge must not do.


def test_reuse_at_once_or_never_is_both_admitted() -> None:
    for places in ([AT] * 50, [AT + 64 * step for step in range(50)]):
        judge = Judge(LINUX_6_1)
        for at in places:
            assert admit_all(judge, (km(64, at, usable=64), kfree(at))) == [None, None]
        assert judge.leaks() == []


def test_no_size_class_is_demanded_under_contract() -> None:
    judge = Judge(CONTRACT)
    for step, usable in enumerate((100, 101, 104, 112, 128, 4096)):
        assert judge.admit(km(100, AT + step * PAGE_SIZE, usable=usable)) is None
    assert judge.counts().get("SLAB-CLASS", 0) == 0


def test_a_krealloc_in_place_owes_no_alignment() -> None:
    for profile in PROFILES.values():
        judge = Judge(profile)
        at = AT + 96 if profile is not LINUX_6_12 else AT + 32
        events = (
            km(96, at, usable=96),
            kre(at, 64, at, usable=96),
            ev("ksize", at, gives=96),
            kfree(at),
        )
        assert admit_all(judge, events) == [None] * 4, profile.name


def test_zeroing_is_not_judged_after_a_step_without_it() -> None:
    judge = Judge(LINUX_6_1)
    events = (
        km(64, AT, Z),
        kre(AT, 32, AT),
        kre(AT, 64, AT, Z, nonzero=40),
        kre(AT, 128, 2 * AT, Z, nonzero=100),
    )
    assert admit_all(judge, events) == [None] * 4


# Counts, and the judge over more than one run.


def test_counts_say_how_often_each_clause_in_force_was_judged() -> None:
    judge = Judge(LINUX_6_1, looked=True)
    events = (
        km(65, AT, usable=96),
        km(65, 0),
        ev("kzalloc", 64, K, gives=2 * AT, usable=64),
        ev("ksize", AT, gives=96),
        kre(AT, 0, ZSP),
        kfree(2 * AT),
        ev("kfree", 0),
        gfpages(1, 0),
        ev("free_pages", 0, 0),
    )
    assert admit_all(judge, events) == [None] * len(events)
    counts = {clause: count for clause, count in judge.counts().items() if count}
    assert counts == {
        "MEM-NULL": 4,
        "MEM-USABLE": 2,
        "MEM-ZERO": 1,
        "MEM-APART": 2,
        "MEM-RETURNS": len(events),
        "MEM-KEEP": 1,
        "SLAB-ALIGN": 2,
        "SLAB-ALIGN-POWER": 1,
        "SLAB-CLASS": 2,
        "SLAB-KSIZE": 1,
        "SLAB-REALLOC-FREE": 1,
        "SLAB-FREE-NULL": 1,
        "PAGE-FREE-NULL": 1,
    }
    assert set(judge.counts()) == {each.id for each in LINUX_6_1.clauses()}


def test_counts_outlive_the_plans_that_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kmem_spec.judging.docket.PLANS_KEPT", 4)
    judge = Judge(CONTRACT)
    for size in range(1, 30):
        assert judge.admit(km(size, 0)) is None
    assert judge.counts()["MEM-NULL"] == 29


def test_a_judge_starts_over_with_nothing_live_and_keeps_its_counts() -> None:
    judge = Judge(CONTRACT)
    cycle(judge, AT)
    cycle(judge, AT)
    admit_all(judge, (km(64, AT),))
    before = judge.counts()
    judge.start_over()
    assert judge.leaks() == []
    assert judge.counts() == before
    assert judge.admit(km(64, AT)) is None
    assert judge.events == 6
    finding = judge.admit(km(64, AT))
    assert finding is not None
    assert (finding.event, finding.others) == (6, (5,)), "events count on"


def test_an_object_that_changed_is_reported_once_and_its_free_is_not_judged() -> None:
    judge = Judge(CONTRACT)
    judge.admit(km(64, AT))
    finding = judge.admit(ev("check", AT, changed=0))
    assert finding is not None
    assert admit_all(judge, (ev("check", AT, changed=0), kfree(AT), km(64, AT))) == [None] * 3


def test_objects_that_share_bytes_may_be_freed_after_the_finding() -> None:
    judge = Judge(CONTRACT)
    admit_all(judge, (km(64, AT), km(64, AT + 64), km(1024, 2 * AT)))
    finding = judge.admit(km(128, AT))
    assert finding is not None
    assert finding.others == (0, 1)
    assert (
        "shares bytes with the live 64 bytes at 0x100000 from kmalloc; 64 bytes at 0x100040"
        in finding.message
    )
    assert admit_all(judge, (kfree(AT), ev("kfree", AT + 64), kfree(2 * AT))) == [None] * 3


def test_an_address_is_judged_again_once_the_objects_of_a_finding_are_gone() -> None:
    judge = Judge(CONTRACT)
    judge.admit(km(64, AT))
    finding = judge.admit(km(64, AT))
    assert finding is not None
    assert admit_all(judge, (kre(AT, 128, 2 * AT), kfree(AT), kfree(2 * AT))) == [None] * 3
    judge.admit(km(64, AT))
    finding = judge.admit(km(64, AT))
    assert finding is not None
    assert (finding.clause, finding.others) == ("MEM-APART", (5,))


def test_an_address_given_again_before_that_is_not_judged() -> None:
    judge = Judge(CONTRACT)
    assert judge.admit(km(64, AT + 32)) is not None
    again = (km(40, AT + 32), kre(0, 40, AT + 32), km(40, 2 * AT), kre(2 * AT, 48, AT + 32))
    assert admit_all(judge, (*again, *[ev("kfree", AT + 32)] * 4)) == [None] * 8
    finding = judge.admit(ev("kfree", AT + 32))
    assert finding is not None
    assert finding.clause == "CALLER-FREE"


def test_the_death_of_the_target_on_an_object_of_a_finding_is_the_targets() -> None:
    judge = Judge(CONTRACT)
    judge.admit(km(64, AT + 32))
    finding = judge.lose(Lost(Call("kfree", (AT + 32,)), "crashed with SIGSEGV"))
    assert finding is not None
    assert finding.clause == "MEM-RETURNS"


def test_an_illegal_mask_is_the_callers_and_the_object_is_not_judged() -> None:
    mask = K | DMA | DMA32
    judge = Judge(CONTRACT)
    finding = judge.admit(km(64, AT, mask))
    assert finding is not None
    assert finding.clause == "CALLER-GFP"
    assert judge.admit(kfree(AT)) is None
    judge = Judge(CONTRACT, waived=frozenset({"CALLER-GFP"}))
    assert admit_all(judge, (km(64, AT, mask), kre(AT, 96, AT, mask), kfree(AT))) == [None] * 3


def test_a_death_is_remembered_for_long() -> None:
    assert DEATHS_KEPT >= 1 << 20


def show_asked(message: Callable[[Finding], str], row: Row) -> str:
    finding = admit_all(Judge(row.profile), row.events)[-1]
    assert finding is not None
    return message(finding)


@pytest.mark.parametrize(
    ("clause", "message"),
    [
        ("MEM-NULL", "kmalloc(64, GFP_KERNEL) gave 0xfffffffffffffff4"),
        ("MEM-USABLE", "kmalloc(65, GFP_KERNEL) gave 0x100000 with 64 usable bytes"),
        (
            "MEM-ZERO",
            "kzalloc(100, GFP_KERNEL) gave 0x100000; the byte at offset 99 of the 100 promised zero is not",
        ),
        ("SLAB-ZERO-SIZE", "kmalloc(0, GFP_KERNEL) gave NULL"),
        ("MEM-KEEP", "check(0x100000) gave NULL; the byte at offset 63 is not as its owner wrote it"),
        ("CALLER-FREE", "kfree(0x100000): no live allocation starts there"),
        ("CALLER-DOUBLE-FREE", "kfree(0x100000): freed before"),
        ("CALLER-FAMILY", "free_pages(0x100000, 0): it came from kmalloc"),
        ("CALLER-ORDER", "free_pages(0x100000, 2): it was allocated with order 3"),
        ("CALLER-GFP", "kmalloc(64, GFP_KERNEL | __GFP_DMA | __GFP_DMA32) has an illegal mask"),
    ],
)
def test_a_finding_says_what_was_asked_and_what_came(clause: str, message: str) -> None:
    row = next(row for row in ROWS[clause] if row.clause)
    assert show_asked(lambda finding: finding.message, row) == message
