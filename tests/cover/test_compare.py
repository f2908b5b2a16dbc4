"""Two targets side by side: what is the same, where they part, what a judge says of each."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.targets import build

from kmem_oracle.campaign.course import Budget
from kmem_oracle.language.outcome import Outcome, Outcomes, alike
from kmem_oracle.language.script import Op, parse
from kmem_oracle.learn.compare import Comparison, compare
from kmem_oracle.reports import side_by_side
from kmem_oracle.targets.target import CouldNotRun, Target
from kmem_spec.apis import APIS
from kmem_spec.calls import Answer, Call
from kmem_spec.gfp import GFP_KERNEL
from kmem_spec.profile import load

K = GFP_KERNEL
MODEL = Target("model", "", "model")
CONTRACT = load("contract")
AT, HANDLE = 0x40000000, 0x70000000
ELSEWHERE = (
    "FIFO",
    "ADDRESS_ORDER",
    "QUARANTINE",
    "TOP_DOWN",
    "KREALLOC_MOVES",
    "COLOURED",
    "LAZY_PURGE",
    "VM_TOP_DOWN",
    "WIDE_GUARD",
)
EVERYTHING = """
a = kmalloc(96, GFP_KERNEL); a = krealloc(a, 80, GFP_KERNEL); a = krealloc(a, 700, GFP_KERNEL | __GFP_ZERO)
b = kzalloc(64, GFP_KERNEL); ksize(b); d = kmemdup(b, 32, GFP_KERNEL); s = kstrndup(b, 64, GFP_KERNEL)
repeat 40 { k[i] = kmalloc(64, GFP_KERNEL) }
repeat 40 { kfree(k[i]) }
repeat 40 { k[i] = kmalloc(64, GFP_KERNEL) }
repeat 40 { kfree(k[i]) }
c = kmem_cache_create("c", 40, 64, 0, ctor); kmem_cache_size(c)
kmem_cache_alloc_bulk(c, GFP_KERNEL, 3, p); kmem_cache_free_bulk(c, 3, p); o = kmem_cache_alloc(c, GFP_KERNEL)
kmem_cache_free(c, o); kmem_cache_destroy(c)
x = __get_free_pages(GFP_KERNEL, 3); free_pages(x, 3); y = alloc_pages(GFP_KERNEL, 2); q = split_page(y, 2)
repeat 4 { __free_pages(q[i], 0) }
v = vmalloc(100000); vmalloc_to_page(v + 4096); is_vmalloc_addr(v + 10); v = vrealloc(v, 200000, GFP_KERNEL)
alloc_pages_bulk(GFP_KERNEL, 3, r); w = vmap(r, 3, VM_MAP, PAGE_KERNEL); vunmap(w); vfree(v)
m = mempool_create(2, mempool_alloc_kmalloc, mempool_free_kmalloc, 64); e = mempool_alloc(m, GFP_KERNEL)
mempool_free(e, m); mempool_destroy(m); z = kmalloc(0, GFP_KERNEL); n = vmalloc(0); kfree(a); kfree(b)
kfree(d); free_pages(r[0], 0); free_pages(r[1], 0); free_pages(r[2], 0); kfree(s); kfree(NULL)
get_order(5000)
"""


def library(path: Path, label: str = "library") -> Target:
    return Target("library", str(path), label)


def compared(one: Target, two: Target, script: str, **options: str) -> Comparison:
    profile, waived = options.get("profile", ""), frozenset(options.get("waive", "").split())
    return compare((one, two), parse(script), profile=profile, budget=Budget(), waived=waived)


def partings(comparison: Comparison) -> list[tuple[int, str, str]]:
    """Return where the sides part: the call's number and both outcomes as text."""
    return [(each.number, str(each.outcomes[0]), str(each.outcomes[1])) for each in comparison.partings]


def rejected(comparison: Comparison) -> list[str]:
    """Return the clause that each side breaks, "" for none."""
    return ["" if side.finding is None else side.finding.clause for side in comparison.sides]


# The same, and not the same.


def test_a_target_beside_itself_does_not_part() -> None:
    comparison = compared(MODEL, MODEL, EVERYTHING)
    assert partings(comparison) == []
    assert rejected(comparison) == ["", ""]
    assert (comparison.calls, comparison.unreached, comparison.lacking) == (len(parse(EVERYTHING)), 0, ())


@pytest.mark.needs("cc")
@pytest.mark.parametrize("variant", ELSEWHERE)
def test_addresses_are_not_compared(variant: str, targets: Path) -> None:
    plain, other = (library(build.library(variant=each, directory=targets)) for each in ("", variant))
    comparison = compared(plain, other, EVERYTHING)
    assert partings(comparison) == []
    assert rejected(comparison) == ["", ""]


@pytest.mark.needs("cc")
def test_sizes_are_compared(targets: Path) -> None:
    fine = library(build.library(variant="FINE_CLASSES", directory=targets))
    comparison = compared(MODEL, fine, "a = kmalloc(300, GFP_KERNEL); b = kmalloc(64, GFP_KERNEL); ksize(a)")
    assert partings(comparison) == [
        (1, "an object, 512 bytes usable", "an object, 304 bytes usable"),
        (3, "512", "304"),
    ]
    assert rejected(comparison) == ["", ""]


@pytest.mark.needs("cc")
def test_what_one_side_cannot_tell_is_no_difference(targets: Path) -> None:
    silent = library(build.library(variant="NO_KSIZE", directory=targets))
    comparison = compared(MODEL, silent, "a = kmalloc(300, GFP_KERNEL); ksize(a); kfree(a)")
    assert comparison.sides[1].outcomes[0][1] == Outcome("an object")
    assert partings(comparison) == []
    assert comparison.lacking == ("ksize",)
    assert comparison.calls == 2


def test_null_on_one_side_parts_and_so_does_what_follows_from_it() -> None:
    small = Target("model", "8", "model:8")
    comparison = compared(
        MODEL, small, "a = kmalloc(8, GFP_KERNEL); v = vmalloc(16 << 20); vfree(v); kfree(a)"
    )
    assert partings(comparison) == [
        (2, "an object", "NULL"),
        (3, "done", "skipped, since what it takes does not live"),
    ]
    assert rejected(comparison) == ["", ""]


def test_calls_that_one_side_lacks_keep_the_others_numbers() -> None:
    malloc = Target("malloc", "", "malloc:")
    script = "fail_nth(0); v = vmalloc(64); preempt_disable(); preempt_enable(); a = kmalloc(100, GFP_KERNEL)"
    comparison = compared(MODEL, malloc, script)
    assert comparison.lacking == ("fail_nth", "preempt_disable", "preempt_enable", "vmalloc")
    assert comparison.calls == 1
    assert [each.number for each in comparison.partings] == [5]


# Bulk calls.


@pytest.mark.needs("cc")
def test_objects_of_a_bulk_call_part_by_themselves(targets: Path) -> None:
    faulty = library(build.library("CACHE_ALIGN_64", directory=targets), "faulty")
    script = 'c = kmem_cache_create("c", 40, 256, 0, NULL); kmem_cache_alloc_bulk(c, GFP_KERNEL, 4, p)'
    comparison = compared(MODEL, faulty, script)
    assert {(each.number, str(each.outcomes[1]).split(",")[0]) for each in comparison.partings} == {
        (2, "an object not aligned to 256")
    }
    assert rejected(comparison) == ["", "CACHE-ALIGN"]
    shown = [line for line in side_by_side.lines(comparison) if line.startswith("call ")]
    assert shown == [
        f"call 2: object {each.item} of kmem_cache_alloc_bulk(cache, GFP_KERNEL, 4, a)"
        for each in comparison.partings
    ]


def test_where_bulk_calls_part_their_objects_say_nothing_more() -> None:
    small = Target("model", "8", "model:8")
    script = 'c = kmem_cache_create("c", 1 << 20, 0, 0, NULL); kmem_cache_alloc_bulk(c, GFP_KERNEL, 12, p)'
    comparison = compared(MODEL, small, script)
    assert partings(comparison) == [(2, "12", "0")]
    assert comparison.calls == 2


# A side that is wrong.


@pytest.mark.needs("cc")
def test_a_side_that_breaks_a_rule_is_rejected_and_runs_on(targets: Path) -> None:
    faulty = library(build.library("KMALLOC_ZERO_NULL", directory=targets), "faulty")
    script = "a = kmalloc(0, GFP_KERNEL); b = kmalloc(8, GFP_KERNEL); kfree(b)"
    comparison = compared(faulty, MODEL, script)
    assert partings(comparison) == [(1, "NULL", "ZERO_SIZE_PTR")]
    assert rejected(comparison) == ["SLAB-ZERO-SIZE", ""]
    assert len(comparison.sides[0].outcomes) == 3
    assert rejected(compared(faulty, MODEL, script, waive="SLAB-ZERO-SIZE")) == ["", ""]


@pytest.mark.needs("cc")
def test_bytes_that_are_wrong_are_seen(targets: Path) -> None:
    faulty = library(build.library("NEIGHBOUR_LINK", directory=targets), "faulty")
    script = "repeat 8 { a[i] = kmalloc(64, GFP_KERNEL) }\nrepeat 8 { kfree(a[i]) }"
    comparison = compared(MODEL, faulty, script)
    assert {(left, right) for _, left, right in partings(comparison)} == {
        ("done", "not made, since its object had changed, byte 0 changed")
    }
    assert rejected(comparison) == ["", "MEM-KEEP"]
    short = library(build.library("KZALLOC_TAIL", directory=targets), "faulty")
    script = "a = kmalloc(64, GFP_KERNEL); kfree(a); b = kzalloc(64, GFP_KERNEL)"
    ((number, _, outcome),) = partings(compared(MODEL, short, script))
    assert (number, outcome) == (3, "an object, byte 56 not zero, 64 bytes usable")


@pytest.mark.needs("cc")
def test_a_side_that_crashes_is_compared_as_far_as_it_came(targets: Path) -> None:
    faulty = library(build.library("CRASH_AT_777", directory=targets), "faulty")
    script = "a = kmalloc(8, GFP_KERNEL); b = kmalloc(777, GFP_KERNEL); kfree(a); kfree(b)"
    comparison = compared(MODEL, faulty, script)
    ((number, left, right),) = partings(comparison)
    assert (number, left) == (2, "an object, 1024 bytes usable")
    assert right.startswith("crashed with SIG")
    assert rejected(comparison) == ["", "MEM-RETURNS"]
    assert (comparison.calls, comparison.unreached) == (2, 2)
    assert "not compared, since one of them was gone: the last 2 calls" in side_by_side.lines(comparison)


@pytest.mark.needs("cc")
def test_a_side_that_cannot_be_loaded_is_no_side(targets: Path) -> None:
    bad = library(build.bad("crashes_on_load", directory=targets), "bad")
    with pytest.raises(CouldNotRun, match="bad: loading it crashed"):
        compared(MODEL, bad, "kfree(NULL)")


def test_a_mistake_of_the_caller_is_both_sides() -> None:
    comparison = compared(MODEL, MODEL, "a = kmalloc(8, __GFP_DMA | __GFP_DMA32)")
    assert rejected(comparison) == ["CALLER-GFP", "CALLER-GFP"]


# Outcomes.


@pytest.mark.parametrize("api", [name for name in APIS if name not in ("kmem_cache_alloc_bulk", "item")])
def test_no_outcome_tells_an_address(api: str) -> None:
    described = APIS[api].role in {"measure", "describe", "compute", "adjust", "bulk"}
    described |= api == "is_vmalloc_addr"
    values = {"gfp": K, "size": 64, "count": 2, "order": 1, "pointer": AT + 64, "source": AT, "cache": HANDLE}
    args = tuple(values.get(kind, 0) for kind in APIS[api].parameters)
    outcomes = {
        Outcomes(CONTRACT).of(Op(api, 1, args), Call(api, args), Answer(result, 64))
        for result in (AT, AT + (1 << 20), AT + (5 << 20))
    }
    assert len(outcomes) == (3 if described else 1)


def test_what_stays_where_it_is_owes_no_alignment() -> None:
    outcomes = Outcomes(CONTRACT)
    stays, moves = (
        outcomes.of(Op("krealloc", 1, (1, 64, K)), Call("krealloc", (at, 64, K)), Answer(AT + 32))
        for at in (AT + 32, AT)
    )
    assert (stays, moves) == (Outcome("an object"), Outcome("an object not aligned to 64"))


def test_what_copies_a_string_owes_no_more_than_the_least_alignment() -> None:
    made = Outcomes(CONTRACT).of(
        Op("kstrndup", 2, (1, 64, K)), Call("kstrndup", (AT, 64, K)), Answer(AT + 8, 8)
    )
    assert made == Outcome("an object", 8)


def test_outcomes_are_alike_as_far_as_both_were_seen() -> None:
    assert alike(Outcome("an object", 64), Outcome("an object", 64))
    assert alike(Outcome("an object", 64), Outcome("an object"))
    assert not alike(Outcome("an object", 64), Outcome("an object", 96))
    assert not alike(Outcome("an object", 64), Outcome("NULL"))


# Reports.


@pytest.mark.needs("cc")
def test_the_report_says_it_in_lines_and_as_data(targets: Path) -> None:
    faulty = library(build.library("KSIZE_NEXT_CLASS", directory=targets), "faulty")
    comparison = compared(MODEL, faulty, "repeat 30 { a[i] = kmalloc(64, GFP_KERNEL) }")
    lines = side_by_side.lines(comparison)
    assert lines[:4] == [
        "30 calls on model and on faulty: 30 with other outcomes",
        "call 1: a = kmalloc(64, GFP_KERNEL)",
        "  model   an object, 64 bytes usable",
        "  faulty  an object, 96 bytes usable",
    ]
    assert lines[-3:-1] == ["and 10 more", "model: PASS under linux-6.1"]
    assert lines[-1].startswith("faulty: VIOLATION of ")
    data = json.loads(json.dumps(side_by_side.as_json(comparison)))
    assert set(data) == {"verdict", "calls", "lacking", "unreached", "partings", "sides"}
    assert (data["verdict"], data["calls"], len(data["partings"])) == ("violation", 30, 30)
    assert data["partings"][1] == {
        "call": 2,
        "script": "b = kmalloc(64, GFP_KERNEL)",
        "outcomes": [{"is": "an object", "usable": 64}, {"is": "an object", "usable": 96}],
    }
    model, other = data["sides"]
    assert model == {"target": "model", "profile": "linux-6.1", "violation": None}
    assert set(other["violation"]) == {"clause", "who", "message"}
