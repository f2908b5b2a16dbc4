"""Pages and areas in traces, lost events, hashed pointers."""

from __future__ import annotations

import pytest
from tests.traces.telling import (
    AT,
    Told,
    area,
    brief,
    event,
    kfree,
    kmalloc,
    pages,
    pages_freed,
    refill,
    unmapped,
)

from kmem_oracle.traces import reading

AREA = 0xFFFFC90000000000


def test_a_block_is_handed_out_once_since_every_free_has_an_event(told: Told) -> None:
    assert told(pages(8, 3), pages_freed(8, 3), pages(8, 3), pages_freed(8, 3), whole=True).findings == []
    summary = told(pages(8, 3), pages(12, 0))
    assert brief(summary.findings) == [("MEM-APART", "violation", 2, (1,))]
    assert summary.findings[0].who == "allocator"


def test_a_live_page_among_the_free_ones(told: Told) -> None:
    drain = refill(8).replace("mm_page_alloc_zone_locked", "mm_page_pcpu_drain")
    for line in (refill(8), drain):
        assert brief(told(pages(8), line).findings) == [("MEM-APART", "violation", 2, (1,))]
        assert told(pages(8), pages_freed(8), line).findings == []


def test_pages_may_be_allocated_in_bulk_between_two_frees(told: Told) -> None:
    summary = told(pages(8), pages_freed(8), pages_freed(8))
    assert brief(summary.findings) == [("CALLER-DOUBLE-FREE", "suspect", 3, (2,))]
    assert told(pages(8), pages_freed(8), refill(8), pages_freed(8)).findings == []


def test_the_events_of_lists_come_besides_those_of_frees(told: Told) -> None:
    batched = pages_freed(8).replace("mm_page_free", "mm_page_free_batched")
    summary = told(pages(8), pages_freed(8), batched, pages(8), pages_freed(8), whole=True)
    assert summary.findings == []


def test_lists_of_kernels_before_2_6_37_have_only_their_own_event(told: Told) -> None:
    batched = event("mm_pagevec_free", "page=ffffea0000000200 pfn=8 order=0 cold=0")
    assert told(pages(8), batched, pages(8), batched, whole=True).findings == []


def test_orders(told: Told) -> None:
    wrong = told(pages(8), pages_freed(8, 2))
    assert brief(wrong.findings) == [("CALLER-ORDER", "violation", 2, (1,))]
    along = told(pages(9), pages_freed(8, 2))
    assert brief(along.findings) == [("CALLER-ORDER", "violation", 2, (1,))]
    crooked = told(pages_freed(9, 1))
    assert brief(crooked.findings) == [("CALLER-ORDER", "violation", 1, ())]
    assert [found.clause for found in told(pages_freed(0, 40)).findings] == ["CALLER-ORDER"]
    assert [found.clause for found in told(pages(1 << 20, 11)).findings] == ["PAGE-ORDER-MAX"]
    assert [found.clause for found in told(pages(8, 63)).findings] == ["PAGE-ORDER-MAX"]
    assert brief(told(pages(9, 1)).findings) == [("PAGE-ALIGN", "violation", 1, ())]
    assert len(told(pages(9, 1), pages_freed(9, 1)).findings) == 1


def test_split_blocks_are_freed_page_by_page(told: Told) -> None:
    split = [pages(8, 2, "GFP_KERNEL"), *(pages_freed(pfn) for pfn in (8, 9, 10, 11))]
    assert told(*split, whole=True).findings == []


def test_alloc_pages_exact_gives_the_surplus_back(told: Told) -> None:
    exact = [pages(8, 2, "GFP_KERNEL"), pages_freed(11)]
    assert told(*exact).findings == []
    assert told(*exact, *(pages_freed(pfn) for pfn in (8, 9, 10)), whole=True).findings == []


def test_a_block_freed_with_too_small_an_order_loses_its_rest(told: Told) -> None:
    lost = told(pages(8, 1, "GFP_KERNEL"), pages_freed(8))
    assert brief(lost.findings) == [("CALLER-ORDER", "suspect", 2, (1,))]
    again = told(pages(8, 1, "GFP_KERNEL"), pages_freed(8), pages(9))
    assert brief(again.findings) == [("CALLER-ORDER", "violation", 2, (1, 3))]


def test_zones_where_the_profile_says_where_they_end(told: Told) -> None:
    profile = told.file.with_name("zones.toml")
    profile.write_text('promises = ["contract"]\ndma_end = 0x1000000\n', encoding="utf-8")
    high = pages(0x1000, 0, "GFP_KERNEL|GFP_DMA")
    assert brief(told(high, profile=str(profile)).findings) == [("PAGE-ZONE", "violation", 1, ())]
    assert told(pages(0xFFF, 0, "GFP_KERNEL|GFP_DMA"), profile=str(profile)).findings == []
    assert told(high).findings == []


def test_a_page_request_that_must_not_fail(told: Told) -> None:
    fields = "page=0000000000000000 pfn=0x0 order=0 migratetype=0 gfp_flags=GFP_KERNEL|__GFP_NOFAIL"
    failed = event("mm_page_alloc", fields)
    assert told(failed).findings == []
    again = told(failed, pages(8, 0, "GFP_KERNEL|__GFP_NOFAIL"))
    assert brief(again.findings) == [("GFP-NOFAIL", "violation", 1, (2,))]


def test_areas(told: Told) -> None:
    good = [area(AREA, 8192), area(AREA + 8192, 8192), unmapped(AREA), area(AREA, 4096), unmapped(AREA)]
    assert told(*good, unmapped(AREA + 8192), whole=True).findings == []
    over = told(area(AREA, 12288), area(AREA + 4096, 8192))
    assert brief(over.findings) == [("MEM-APART", "violation", 2, (1,))]
    guard = told(area(AREA, 12288), area(AREA + 8192, 8192))
    assert brief(guard.findings) == [("VM-GUARD", "violation", 2, (1,))]
    crooked = told(area(AREA + 8, 8192))
    assert brief(crooked.findings) == [("VM-ALIGN", "violation", 1, ())]
    wide = told(area(AREA + 4096, 8192, 8192))
    assert brief(wide.findings) == [("VM-ALIGN", "violation", 1, ())]
    inside = told(area(AREA, 12288), unmapped(AREA + 4096))
    assert brief(inside.findings) == [("CALLER-FREE", "violation", 2, (1,))]
    twice = told(area(AREA, 12288), unmapped(AREA), unmapped(AREA))
    assert brief(twice.findings) == [("CALLER-DOUBLE-FREE", "suspect", 3, (2,))]
    assert told(area(AREA, 8192, failed=1), area(AREA, 8192), whole=False).findings == []


def test_the_event_of_an_unmap_may_come_after_the_space_is_taken_again(told: Told) -> None:
    late = [area(AREA, 8192), area(AREA, 12288), unmapped(AREA)]
    assert told(*late).findings == []
    after_failure = told(area(AREA, 4096, failed=1), area(AREA, 8192), area(AREA, 12288))
    assert [found.certainty for found in after_failure.findings] == ["suspect"]


@pytest.mark.parametrize(
    "marker",
    [
        "CPU:0 [LOST 12 EVENTS]",
        "CPU:0 [12 EVENTS DROPPED]",
        "CPU:0 [EVENTS DROPPED]",
        "worker     7 [000]     7.000003: PERF_RECORD_LOST lost 12",
    ],
)
def test_lost_events_may_explain_anything(told: Told, marker: str) -> None:
    between = told(kmalloc(AT), kfree(AT), marker, kfree(AT))
    assert [(found.certainty, found.explained) for found in between.findings] == [("suspect", "lost events")]
    assert any("lost" in reason for reason in between.unjudged)
    page = told(pages(8), marker, pages(8))
    assert [found.certainty for found in page.findings] == ["suspect"]
    after = told(marker, kmalloc(AT), kfree(AT), kfree(AT))
    assert [found.certainty for found in after.findings] == ["violation"]
    whatever = told(marker, kmalloc(AT + 4))  # no missing event makes this right
    assert [found.certainty for found in whatever.findings] == ["violation"]


def test_a_marker_tells_of_the_time_since_the_last_line_of_its_cpu(told: Told) -> None:
    other = "CPU:1 [LOST 12 EVENTS]"
    lines = [kmalloc(AT, cpu=1), kfree(AT), kfree(AT)]
    assert [found.certainty for found in told(*lines, other).findings] == ["suspect"]
    seen_since = told(*lines, kmalloc(AT + 64, cpu=1), other)
    assert [found.certainty for found in seen_since.findings] == ["violation"]


def test_a_full_buffer_lost_what_a_cpu_did_before_its_first_line(told: Told) -> None:
    full = "# tracer: nop\n#\n# entries-in-buffer/entries-written: 4/900   #P:2"
    whole = "# tracer: nop\n#\n# entries-in-buffer/entries-written: 4/4   #P:2"
    lines = [kmalloc(AT), kfree(AT), kfree(AT), kmalloc(AT + 64, cpu=1)]
    assert [found.certainty for found in told(full, *lines).findings] == ["suspect"]
    assert any("before line 7" in reason for reason in told(full, *lines).unjudged)
    assert [found.certainty for found in told(whole, *lines).findings] == ["violation"]
    later = told(full, kmalloc(AT + 64, cpu=1), *lines[:3])
    assert [found.certainty for found in later.findings] == ["violation"]


def test_a_filtered_trace_is_told_to_be_so(told: Told) -> None:
    lines = [kmalloc(AT), kfree(AT), kfree(AT)]
    assert [found.certainty for found in told(*lines, partial=True).findings] == ["suspect"]


def test_hashed_pointers_can_only_be_compared(told: Told) -> None:
    one, two = 0x1A2B3C4D, 0x1A2B3C4E
    summary = told(kmalloc(one), kmalloc(two), kfree(one), kfree(two), kfree(two))
    assert brief(summary.findings) == [("CALLER-DOUBLE-FREE", "suspect", 5, (2, 4))]
    assert "share a hash" in summary.findings[0].explained
    assert any("hash" in reason for reason in summary.unjudged)


def test_pointers_of_32_bits_are_not_hashed(told: Told) -> None:
    lines = [kmalloc(0xC1234560), kfree(0xC1234560)]
    summary = told(*(line.replace("ptr=00000000", "ptr=") for line in lines), whole=True)
    assert brief(summary.findings) == [("SLAB-ALIGN-POWER", "violation", 1, ())]
    assert not any("hash" in reason for reason in summary.unjudged)


def test_what_is_too_frequent_explains_itself(told: Told) -> None:
    bulk = "call_site=h+0x3/0x4 ptr={:016x} name=maple_node"
    lines = [event("kmem_cache_free", bulk.format(AT + 256 * (at % 4))) for at in range(400)]
    summary = told(*lines)
    assert summary.findings == []
    assert any("CALLER-DOUBLE-FREE of maple_node: 396 lines" in reason for reason in summary.unjudged)


def test_the_series_of_what_is_live_is_bounded(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "STRIDE", 16)
    lines = [line for at in range(8000) for line in (pages(at), pages_freed(at))]
    summary = told(*lines, *(kmalloc(AT + 64 * at) for at in range(200)))
    assert 128 < len(summary.samples) <= 512
    assert summary.samples[-1].time == pytest.approx(7.64235)
    assert [sample.line for sample in summary.samples] == sorted({sample.line for sample in summary.samples})
