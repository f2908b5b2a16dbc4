"""The judge that writes down what it reads, and what the model had inside meanwhile."""

from __future__ import annotations

import random
from pathlib import Path
from typing import cast

import pytest
from tests.reports.recorded import BUDGET, heard, mixed_script, recorded, target
from tests.targets import build

from kmem_oracle.campaign.campaign import campaign
from kmem_oracle.campaign.course import Course
from kmem_oracle.campaign.play import play
from kmem_oracle.campaign.recorder import NEVER, History, Recorder
from kmem_oracle.campaign.start import worker_for
from kmem_oracle.language.script import parse
from kmem_oracle.reports.html.chapter import Chapter
from kmem_oracle.reports.html.inside import inside
from kmem_oracle.reports.html.places import BETWEEN, FAR, Places
from kmem_oracle.targets.driver import Driver
from kmem_oracle.targets.model import kernel_of, opened
from kmem_oracle.targets.records import HEADER, PART
from kmem_spec.gfp import NAMES_6_1
from kmem_spec.judge import Judge
from kmem_spec.profile import load
from kmem_spec.units import PAGE_SIZE


def history_of(name: str, script: str, profile: str = "contract") -> History:
    """Return what happened in a run of a script."""
    ((_, history),) = recorded(name, script, profile).histories
    return history


def test_a_recorder_judges_as_a_judge_does_and_keeps_every_life() -> None:
    run = heard("model", mixed_script())
    judge = Judge(run.profile, looked=True)
    assert all(judge.take(*event) is None for event in run.events)
    ((_, history),) = run.result.histories
    left = {life.start: life for life in history.lives if life.death == NEVER}
    assert {start: life.length + life.guard for start, life in left.items()} == dict(judge.spans)
    assert {start: life.birth for start, life in left.items()} == {
        start: live.birth for start, live in judge.records.items()
    }
    assert {life.start for life in history.makers if life.death == NEVER} == {*judge.caches, *judge.pools}


def test_only_the_last_events_are_kept_with_all_that_lives_then() -> None:
    where, profile = target("model"), load("contract")
    script = "k = kmalloc(8, GFP_KERNEL)\n" + "a = kmalloc(64, GFP_KERNEL); kfree(a)\n" * 500
    judge = Recorder(profile, looked=True, most=100)
    with worker_for(BUDGET, where) as worker:
        history = play(worker, where, parse(script), judge).history
    assert history is not None
    assert (history.first, len(history.ops), len(history.answers)) == (901, 100, 100)
    assert len(history.lives) == 51  # k, and what the last hundred calls made and freed
    assert (history.lives[0].birth, history.lives[0].death) == (0, NEVER)
    assert all(life.death >= history.first for life in history.lives[1:])


@pytest.mark.needs("cc")
def test_both_owners_live_on_in_the_history_of_a_violation(targets: Path) -> None:
    library = build.library("EXACT_SHORT", directory=targets)
    script = "a = alloc_pages_exact(9000, GFP_KERNEL); b = alloc_pages_exact(1, GFP_KERNEL)"
    history = history_of(str(library), script)
    assert history.finding is not None
    assert history.blamed is not None
    old, new = history.lives
    assert (old.death, new.death, old.item, new.item) == (NEVER, NEVER, 1, 2)
    assert old.start <= new.start < old.start + old.length
    assert history.lives[history.blamed.life] is new
    assert history.finding.others == (old.birth,)


@pytest.mark.needs("cc")
def test_a_call_that_did_not_return_is_the_last_of_a_history(targets: Path) -> None:
    library = build.library("CRASH_AT_777", directory=targets)
    history = history_of(str(library), "a = kmalloc(64, GFP_KERNEL); b = kmalloc(777, GFP_KERNEL)")
    assert [answer is None for answer in history.answers] == [False, True]
    chapter = Chapter("", history, NAMES_6_1)
    assert cast("str", chapter.data(Places(chapter.extents))["gave"]).split("\n") == ["", "did not return"]


@pytest.mark.needs("cc")
def test_a_campaign_keeps_the_history_of_its_reduced_script(targets: Path) -> None:
    where = target(str(build.library("EXACT_SHORT", directory=targets)))
    result = campaign(
        where,
        profile="",
        seed=1,
        budget=BUDGET,
        waived=frozenset(),
        progress=lambda *_: None,
        course=Course(history=True),
    )
    (found,) = result.found
    assert found.play.history is not None
    assert [op for op in found.play.history.ops if op.api != "item"] == list(found.play.ops)
    assert found.play.history.finding is not None
    assert found.play.history.finding.clause == "MEM-APART"
    assert result.histories == []


def test_the_inside_shown_is_that_of_a_kernel_at_the_same_call() -> None:
    history = history_of("model:64", mixed_script(calls=300))
    chapter = Chapter("", history, NAMES_6_1)
    within = inside("model:64", chapter)
    assert within is not None
    places = Places([*chapter.extents, *within.extents])
    data = cast("dict[str, dict[str, list[int]]]", within.data(places))
    kernel = kernel_of("64")
    subject = opened(kernel)
    memory = memoryview(bytearray(HEADER.size + PART))
    driver = Driver(subject.functions, subject.access, memory, subject.largest, watched=True)
    states = set(random.Random(1).sample(range(len(chapter.calls)), 60))
    state = compared = 0
    for op in history.ops:
        if op.api != "item":
            if state in states:
                compared += 1

                def seen(name: str, *columns: str, at: int = state) -> set[tuple[int, ...]]:
                    part = data[name]
                    rows = zip(part["from"], part["to"], *(part[each] for each in columns), strict=True)
                    return {tuple(rest) for first, last, *rest in rows if first <= at < last}

                zones = kernel.frames.pages.zones
                free = {(h, n.bit_length() - 1) for zone in zones for h, n in zone.free.items()}  # type: ignore[attr-defined] # a dict here
                assert seen("free", "pfn", "order") == free
                slabs = {(places.of(at), each.cache.order) for at, each in kernel.caches.slab_at.items()}
                assert seen("slabs", "at", "order") == slabs
                behind = kernel.space.areas.frames.items()  # type: ignore[attr-defined] # likewise
                assert seen("frames", "at", "page") == {(places.of(f), places.of(p)) for p, f in behind}
            state += 1
        driver.run([op], HEADER.size)
    assert compared == 60
    assert inside("./some.so", chapter) is None


def test_places_keep_distances_within_a_region_and_bring_regions_together() -> None:
    low, high = 0x1000, 0xFFFF_FFFF_FFFF_0000
    places = Places([(low + 5, 8), (low + FAR // 2, 4096), (high, 64)])
    assert places.of(low + 5) == 5
    assert places.of(low + FAR // 2) == FAR // 2
    assert places.of(high) % PAGE_SIZE == high % PAGE_SIZE
    assert FAR // 2 < places.of(high) < FAR // 2 + 4 * BETWEEN
    assert [base for _, base in places.table()] == [f"{low:x}", f"{high:x}"]
