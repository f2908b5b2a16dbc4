"""Objects in traces: what is judged, how surely, and what a legal kernel explains."""

from __future__ import annotations

import pytest
from tests.traces.telling import (
    AT,
    BASE,
    SLAB,
    USER,
    Told,
    area,
    brief,
    cache_alloc,
    cache_free,
    event,
    kfree,
    kmalloc,
    pages,
    pages_freed,
)

MANY = 1100  # lines after which a trace without events of pages was not asked for any


def test_a_life_breaks_nothing(told: Told) -> None:
    summary = told(kmalloc(AT), kfree(AT), kmalloc(AT), kfree(AT), kfree(0), kfree(16), whole=True)
    assert summary.findings == []
    assert summary.judged == summary.count == 6
    assert summary.unjudged == ["slabs that change hands: the trace has no frees of pages"]


def test_kfree_twice_is_a_violation_since_kmalloc_has_no_bulk_form(told: Told) -> None:
    summary = told(kmalloc(AT), kfree(AT), kfree(AT))
    assert brief(summary.findings) == [("CALLER-DOUBLE-FREE", "violation", 3, (1, 2))]
    assert summary.findings[0].who == "caller"


def test_a_cache_may_have_allocated_in_bulk_between_two_frees(told: Told) -> None:
    summary = told(cache_alloc(AT), cache_free(AT), cache_free(AT))
    assert brief(summary.findings) == [("CALLER-DOUBLE-FREE", "suspect", 3, (1, 2))]


def test_a_trace_that_begins_in_mid_life_frees_what_it_never_saw(told: Told) -> None:
    summary = told(kfree(AT), cache_free(AT + 64), pages_freed(7), kmalloc(AT))
    assert summary.findings == []
    assert len([reason for reason in summary.unjudged if "not in the trace" in reason]) == 2


def test_a_whole_trace_has_no_such_frees_and_no_leaks(told: Told) -> None:
    summary = told(kfree(AT), kmalloc(AT), pages(9), area(0xFFFFC90000000000, 8192), whole=True)
    found = [
        ("CALLER-FREE", "violation", 1, ()),
        ("CALLER-LEAK", "violation", 2, ()),
        ("CALLER-LEAK", "violation", 3, ()),
        ("CALLER-LEAK", "violation", 4, ()),
    ]
    assert brief(summary.findings) == found


def test_the_same_address_twice_may_be_a_bulk_free(told: Told) -> None:
    summary = told(kmalloc(AT), kmalloc(AT))
    assert brief(summary.findings) == [("MEM-APART", "suspect", 2, (1,))]
    assert summary.live_objects == 1


def test_a_large_object_is_freed_with_its_pages_so_twice_is_sure(told: Told) -> None:
    summary = told(kmalloc(AT, 16384, 16384), kmalloc(AT, 16384, 16384))
    assert brief(summary.findings) == [("MEM-APART", "violation", 2, (1,))]


def test_new_kernels_tell_of_a_large_kmalloc_twice(told: Told) -> None:
    inner = kmalloc(AT, 9000, 16384, site="__kmalloc_noprof+0x4ad/0x5b0")
    summary = told(inner, kmalloc(AT, 9000, 16384, site="pipe_resize_ring+0x30/0x1a0"), kfree(AT), whole=True)
    assert summary.findings == []
    assert [(site.name, site.count) for site in summary.sites if site.count] == [
        ("pipe_resize_ring+0x30/0x1a0", 1)
    ]
    assert summary.asked == 9000
    raw = [kmalloc(AT, 9000, 16384, site=f"ffffffff8112345{at}") for at in range(2)]
    assert told(*raw).findings == []


def test_a_call_site_that_frees_what_no_event_tells_of(told: Told) -> None:
    hidden = [event("kfree", f"call_site=skb+0x1/0x2 ptr={AT + 2048 * at:016x}") for at in range(4)]
    summary = told(kmalloc(AT), kfree(AT), *hidden[1:], hidden[0])
    assert [(found.certainty, found.line) for found in summary.findings] == [("suspect", 6)]
    assert "such as this call site" in summary.findings[0].explained
    other = told(kmalloc(AT), kfree(AT), *hidden[1:], kfree(AT))
    assert [found.certainty for found in other.findings] == ["violation"]


def test_kernels_that_name_the_cache_let_kfree_take_its_objects(told: Told) -> None:
    named = cache_alloc(AT).replace(" bytes_req", " name=maple_node bytes_req")
    assert told(named, kfree(AT), whole=True).findings == []
    again = told(named, named)
    assert [(found.certainty, found.group) for found in again.findings] == [("suspect", "maple_node")]


def test_masks_that_are_blank(told: Told) -> None:
    """As options/hash-ptr=0 leaves them on 6.1."""
    lines = [line.replace("GFP_KERNEL", "") for line in (kmalloc(AT), kfree(AT), cache_alloc(AT))]
    block = pages(8).replace(USER, "")
    summary = told(*lines, cache_free(AT, ""), block, kmalloc(BASE + (8 << 12)), page_offset=BASE)
    assert summary.findings == []
    assert summary.garbled == 0


def test_an_overlap_needs_a_page_that_changes_hands(told: Told) -> None:
    summary = told(kmalloc(AT + 64), kmalloc(AT + 96, 32, 32))
    assert brief(summary.findings) == [("MEM-APART", "violation", 2, (1,))]
    assert summary.findings[0].who == "allocator"


def test_where_pages_are_not_recorded_an_overlap_is_a_suspect(told: Told) -> None:
    others = [line for _ in range(MANY) for line in (kmalloc(AT - 4096), kfree(AT - 4096))]
    summary = told(kmalloc(AT + 64), *others, kmalloc(AT + 96, 32, 32))
    assert [found.certainty for found in summary.findings] == ["suspect"]
    assert "pages" in summary.findings[0].explained


def test_where_frees_of_pages_are_not_recorded_nothing_of_pages_is_sure(told: Told) -> None:
    summary = told(*(pages(at % 7) for at in range(MANY)))
    assert summary.findings == []
    assert any("too frequent" in reason for reason in summary.unjudged)


def test_where_frees_of_objects_are_not_recorded_nothing_of_them_is_sure(told: Told) -> None:
    lines = [kmalloc(AT + 64 * (at % 50), site=f"f{at % 300}+0x1/0x2") for at in range(5000)]
    summary = told(*lines)
    assert len(summary.findings) * 100 <= summary.lines


def test_a_page_freed_before_the_direct_map_is_known_explains_an_overlap(told: Told) -> None:
    summary = told(kmalloc(AT + 64), pages_freed(77), kmalloc(AT + 96, 32, 32))
    assert [found.certainty for found in summary.findings] == ["suspect"]


def test_a_slab_that_went_and_came_back_has_other_objects(told: Told) -> None:
    pfn = (AT - BASE) >> 12
    summary = told(
        pages(pfn, 0, SLAB),
        kmalloc(AT + 64),
        kfree(AT + 64),
        pages_freed(pfn),
        pages(pfn, 0, SLAB),
        kmalloc(AT + 96, 96, 96),
        page_offset=BASE,
    )
    assert summary.findings == []


def test_a_page_under_a_live_object_may_have_been_freed_in_bulk(told: Told) -> None:
    pfn = (AT - BASE) >> 12
    summary = told(kmalloc(AT + 64), pages_freed(pfn), page_offset=BASE)
    assert brief(summary.findings) == [("CALLER-FAMILY", "suspect", 2, (1,))]
    assert summary.live_objects == 0


def test_a_block_handed_out_over_a_live_object(told: Told) -> None:
    pfn = (AT - BASE) >> 12
    summary = told(kmalloc(AT + 64), pages(pfn), page_offset=BASE)
    assert brief(summary.findings) == [("MEM-APART", "violation", 2, (1,))]


def test_an_object_in_a_block_of_which_no_slab_can_be(told: Told) -> None:
    pfn = (AT - BASE) >> 12
    assert told(pages(pfn, 0, SLAB), kmalloc(AT), page_offset=BASE).findings == []
    assert told(pages(pfn, 0, "GFP_KERNEL"), kmalloc(AT), page_offset=BASE).findings == []
    summary = told(pages(pfn), kmalloc(AT), page_offset=BASE)
    assert brief(summary.findings) == [("MEM-APART", "violation", 2, (1,))]


def test_a_large_kmalloc_shows_the_direct_map(told: Told) -> None:
    base = 0xFFFF9D3A40000000
    start = base + (0x1234 << 12)
    lines = [pages(0x1234, 2, "GFP_KERNEL|__GFP_COMP"), kmalloc(start, 9000, 16384)]
    summary = told(*lines, pages(0x1236))
    assert summary.page_offset == base
    assert ("MEM-APART", "violation", 3, (1,)) in brief(summary.findings)
    alone = told(pages(0x1236), kmalloc(start + 4096))
    assert alone.page_offset is None
    assert any("--page-offset" in reason for reason in alone.unjudged)


def test_a_zeroed_large_kmalloc_owns_its_block(told: Told) -> None:
    start = BASE + (0x1234 << 12)
    mask = "GFP_KERNEL|__GFP_COMP|__GFP_ZERO"
    lines = [pages(0x1234, 2, mask), kmalloc(start, 9000, 16384, mask), kfree(start), pages_freed(0x1234, 2)]
    assert told(*lines, page_offset=BASE, whole=True).findings == []


def test_frees_within_objects_and_between_them(told: Told) -> None:
    three = [kmalloc(AT), kmalloc(AT + 64), kmalloc(AT + 192)]
    for wrong in (AT + 8, AT + 72, AT + 136):
        summary = told(*three, kfree(wrong))
        assert [found.clause for found in summary.of("violation")] == ["CALLER-FREE"], hex(wrong)
        assert summary.findings[0].line == 4
    assert told(*three, kfree(AT + 128)).findings == []  # a slot that may be live


@pytest.mark.parametrize(
    "wrong", [AT + 1, 0xDEADBEEFDEADBEE8, 0xFFFFFFFF81234560, 0x7F0000001000, 0xDEADBEE8]
)
@pytest.mark.parametrize("page_offset", [BASE, None])
def test_frees_of_what_no_object_is(told: Told, wrong: int, page_offset: int | None) -> None:
    summary = told(kmalloc(AT), kfree(wrong), page_offset=page_offset)
    assert brief(summary.findings) == [("CALLER-FREE", "violation", 2, ())]


def test_tags_of_arm64_are_no_part_of_the_address(told: Told) -> None:
    """KASAN gives each hand-out a tag of its own; a second free may have it or not."""
    one, two = 0xF5FF000001234000, 0xF3FF000001234000
    summary = told(
        kmalloc(one), kfree(one), kmalloc(two), kmalloc(two + 64), kfree(two), kfree(two + 64), whole=True
    )
    assert summary.findings == []
    over = told(kmalloc(one), kmalloc(two + 32, 20, 32))
    assert brief(over.findings) == [("MEM-APART", "violation", 2, (1,))]


def test_kfree_of_pages_and_of_areas(told: Told) -> None:
    user, start = pages(0x1234), 0xFFFFC90000000000
    summary = told(user, kfree(BASE + (0x1234 << 12)), area(start, 8192), kfree(start), page_offset=BASE)
    assert brief(summary.findings) == [
        ("CALLER-FAMILY", "violation", 2, (1,)),
        ("CALLER-FAMILY", "violation", 4, (3,)),
    ]


def test_kfree_of_a_cache_object_is_legal_since_6_4(told: Told) -> None:
    lines = [cache_alloc(AT), kfree(AT)]
    assert told(*lines, profile="linux-6.12").findings == []
    assert [found.certainty for found in told(*lines).findings] == ["suspect"]
    summary = told(*lines, profile="linux-6.1")
    assert brief(summary.findings) == [("CALLER-FAMILY", "violation", 2, (1,))]


def test_kmalloc_memory_to_a_cache(told: Told) -> None:
    summary = told(kmalloc(AT), cache_free(AT, "dentry"))
    assert brief(summary.findings) == [("CALLER-FAMILY", "violation", 2, (1,))]
    merged = told(kmalloc(AT), cache_free(AT, "kmalloc-64"))
    assert [found.certainty for found in merged.findings] == ["suspect"]


def test_an_object_freed_to_the_cache_of_another_page(told: Told) -> None:
    lines = [cache_alloc(AT), cache_alloc(AT + 64), cache_alloc(AT + 128), cache_free(AT, "dentry")]
    assert told(*lines, cache_free(AT + 64, "dentry")).findings == []
    summary = told(*lines, cache_free(AT + 64, "filp"))
    assert brief(summary.findings) == [("CALLER-CACHE", "violation", 5, (2, 4))]


def test_sizes_against_the_profile(told: Told) -> None:
    lines = [kmalloc(AT, 40, 96)]
    assert told(*lines).findings == []
    summary = told(*lines, profile="linux-6.1")
    assert brief(summary.findings) == [("SLAB-CLASS", "violation", 1, ())]
    assert brief(told(kmalloc(AT, 65, 64)).findings) == [("MEM-USABLE", "violation", 1, ())]


def test_sizes_against_the_rest_of_the_trace(told: Told) -> None:
    usual = [kmalloc(AT + 4096 * at, 40, 64) for at in range(20)]
    summary = told(*usual, kmalloc(AT - 4096, 40, 96))
    assert brief(summary.findings) == [("SLAB-CLASS", "suspect", 21, ())]
    around = [kmalloc(AT + 4096 * at, asked, 64) for at, asked in enumerate([36, 60] * 20)]
    summary = told(*around, kmalloc(AT - 4096, 48, 96))
    assert brief(summary.findings) == [("SLAB-CLASS", "suspect", 41, ())]
    debugged = [kmalloc(AT + 4096 * at, 40, 192) for at in range(20)]  # slub_debug makes all slots larger
    assert told(*debugged).findings == []


def test_alignment(told: Told) -> None:
    assert brief(told(kmalloc(AT + 4)).findings) == [("SLAB-ALIGN-POWER", "violation", 1, ())]
    assert brief(told(kmalloc(AT + 4, 40)).findings) == [("SLAB-ALIGN", "violation", 1, ())]
    assert brief(told(cache_alloc(AT + 4)).findings) == [("CACHE-ALIGN", "violation", 1, ())]
    crooked = [kmalloc(AT + 32), kfree(AT + 32)]
    assert brief(told(*crooked).findings) == [
        ("SLAB-ALIGN-POWER", "violation", 1, ())
    ]  # its free is no error
    assert told(kmalloc(AT + 48, 96, 96)).findings == []
    divisor = told(kmalloc(AT + 48, 96, 96), profile="linux-6.12")
    assert brief(divisor.findings) == [("SLAB-ALIGN-DIVISOR", "violation", 1, ())]


def test_results_that_are_no_addresses(told: Told) -> None:
    for wrong in (16, 0xFFF, (1 << 64) - 12):
        assert brief(told(kmalloc(wrong)).findings) == [("MEM-NULL", "violation", 1, ())]
    assert told(kmalloc(0)).findings == []


def test_sizes_above_the_maximum(told: Told) -> None:
    huge = kmalloc(AT, (4 << 20) + 1, 8 << 20)
    assert brief(told(huge).findings) == [("SLAB-MAX", "violation", 1, ())]
    assert told(kmalloc(0, 1 << 40, 0)).findings == []
    assert [found.clause for found in told(kmalloc(AT, 1 << 62, (1 << 64) - 1)).findings] == ["SLAB-MAX"]


def test_a_request_that_must_not_fail(told: Told) -> None:
    must = "GFP_KERNEL|__GFP_NOFAIL"
    failed = kmalloc(0, mask=must)
    assert told(failed).findings == []
    summary = told(failed, kmalloc(AT, mask=must))
    assert brief(summary.findings) == [("GFP-NOFAIL", "violation", 1, (2,))]


def test_masks(told: Told) -> None:
    assert told(kmalloc(AT, mask="GFP_KERNEL|GFP_DMA")).findings == []
    two = told(kmalloc(AT, mask="GFP_DMA|GFP_DMA32"))
    assert brief(two.findings) == [("CALLER-GFP", "violation", 1, ())]
    assert told(kmalloc(AT, mask="GFP_DMA|GFP_DMA32|__GFP_WHATEVER")).findings == []


def test_contexts(told: Told) -> None:
    fields = kmalloc(AT).partition("kmalloc: ")[2]
    for flags, sure in (
        ("d.h1.", True),
        ("..s1.", True),
        ("d..1.", False),
        (".N.2.", False),
        ("d...", False),
    ):
        summary = told(event("kmalloc", fields, flags=flags))
        assert [found.clause for found in summary.findings] == ["CALLER-CONTEXT"] * sure, flags
    atomic = event("kmalloc", fields.replace("GFP_KERNEL", "GFP_ATOMIC"), flags="d.h1.")
    assert told(atomic).findings == []


def test_kfence_has_a_page_for_each_object_at_either_end_of_it(told: Told) -> None:
    left, right = kmalloc(AT, 100, 128), kmalloc(AT + 4096 - 64, 64, 64)
    assert told(left, kfree(AT), right, kfree(AT + 4096 - 64), whole=True).findings == []
    over = told(
        kmalloc(AT, 4000, 4096), kmalloc(AT + 4096 - 64, 64, 64)
    )  # the first was freed in bulk, perhaps
    assert [found.certainty for found in over.findings] == ["suspect"]


def test_krealloc_in_place_and_moved(told: Told) -> None:
    moved = [kmalloc(AT), kmalloc(AT + 4096, 128, 128), kfree(AT), kfree(AT + 4096)]
    assert told(*moved, whole=True).findings == []


def test_what_a_finding_speaks_of_is_not_judged_further(told: Told) -> None:
    summary = told(kmalloc(AT), kmalloc(AT + 8, 24, 32), kfree(AT + 8), kfree(AT))
    assert brief(summary.findings) == [("MEM-APART", "violation", 2, (1,))]


def test_fragmentation_and_call_sites(told: Told) -> None:
    summary = told(kmalloc(AT, 40), kmalloc(AT + 64, 50, site="other+0x1/0x2"), cache_alloc(AT + 4096, 60))
    assert (summary.asked, summary.given) == (150, 192)
    assert [(size.given, size.cached, size.count, size.wasted) for size in summary.sizes] == [
        (64, False, 2, 38),
        (64, True, 1, 4),
    ]
    assert [(site.name, site.live, site.live_bytes) for site in summary.sites] == [
        ("c+0x1/0x2", 1, 64),
        ("f+0x1/0x2", 1, 64),
        ("other+0x1/0x2", 1, 64),
    ]
