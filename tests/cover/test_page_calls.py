"""The calls of pages on the model kernel, context and sleeping: what they answer, what they refuse."""

from __future__ import annotations

import pytest
from tests.cover.snapshot import refused, state

from kmem_model.kernel import Kernel
from kmem_model.memory import PAGE_OFFSET
from kmem_model.page import Pages, Zone
from kmem_spec.area import VMALLOC_START
from kmem_spec.gfp import (
    COMP,
    DMA,
    DMA32,
    GFP_ATOMIC,
    GFP_KERNEL,
    GFP_NOWAIT,
    GFP_USER,
    HIGH,
    HIGHMEM,
    MEMALLOC,
    NOFAIL,
    ZERO,
)
from kmem_spec.table import Refused
from kmem_spec.units import PAGE_SIZE, SIZE_MAX
from kmem_spec.zone import Blocks, broken_clauses

MIB = 1 << 20
P = PAGE_SIZE
ILLEGAL = GFP_KERNEL | DMA | DMA32


@pytest.fixture
def kernel() -> Kernel:
    return Kernel(64 * MIB)


def free_pages(kernel: Kernel) -> int:
    return kernel.frames.pages.free_pages


def assert_zones_are_whole(kernel: Kernel) -> None:
    assert [broken_clauses(zone) for zone in kernel.frames.pages.zones] == [[], []]


class TestBlocks:
    @pytest.mark.parametrize("order", range(11))
    def test_alloc_pages_gives_aligned_blocks_that_either_call_frees(
        self, kernel: Kernel, order: int
    ) -> None:
        free = free_pages(kernel)
        one = kernel.call("alloc_pages", (GFP_KERNEL, order))
        other = kernel.call("__get_free_pages", (GFP_KERNEL, order))
        assert one % (P << order) == other % (P << order) == 0
        assert one > PAGE_OFFSET
        assert abs(one - other) >= P << order
        kernel.call("free_pages", (one, order))
        kernel.call("__free_pages", (other, order))
        assert free_pages(kernel) == free

    @pytest.mark.parametrize("order", [11, 64, (1 << 32) - 1])
    def test_no_block_is_larger(self, kernel: Kernel, order: int) -> None:
        before = state(kernel)
        for gfp in (GFP_KERNEL, GFP_KERNEL | NOFAIL):
            assert kernel.call("alloc_pages", (gfp, order)) == 0
            assert not kernel.slept
        assert state(kernel) == before

    def test_high_memory_is_legal_and_nowhere(self, kernel: Kernel) -> None:
        assert kernel.alloc_pages(GFP_USER | HIGHMEM, 0) > PAGE_OFFSET

    def test_zeroes_where_they_are_asked_for(self, kernel: Kernel) -> None:
        p = kernel.alloc_pages(GFP_KERNEL | ZERO, 2)
        assert kernel.memory.first_other(p, 4 * P, 0) is None
        kernel.memory.fill(p, 4 * P, 0x77)
        kernel.free_pages_of(p, 2)
        assert kernel.alloc_pages(GFP_KERNEL, 2) == p
        assert kernel.memory.first_other(p, 4 * P, 0x77) is None

    def test_no_page_is_not_a_page(self, kernel: Kernel) -> None:
        assert refused(kernel, "__free_pages", 0, 0) == "CALLER-FREE"
        assert kernel.call("free_pages", (0, 0)) == 0

    @pytest.mark.parametrize(
        ("size", "order"),
        [(1, 0), (4096, 0), (4097, 1), (8192, 1), (8193, 2), (4 * MIB, 10), (SIZE_MAX, 52), (0, 52)],
    )
    def test_get_order(self, kernel: Kernel, size: int, order: int) -> None:
        assert kernel.call("get_order", (size,)) == order


class TestBulk:
    def test_each_page_is_freed_by_itself(self, kernel: Kernel) -> None:
        free = free_pages(kernel)
        pages = kernel.alloc_pages_bulk(GFP_KERNEL | ZERO, 10)
        assert len(set(pages)) == 10
        assert free_pages(kernel) == free - 10
        assert [kernel.memory.first_other(page, P, 0) for page in pages] == [None] * 10
        for page in pages:
            kernel.free_pages(page, 0)
        assert free_pages(kernel) == free
        assert kernel.call("alloc_pages_bulk", (GFP_KERNEL, 10)) == 10

    @pytest.mark.parametrize("count", [0, -1])
    def test_of_none_there_are_none(self, kernel: Kernel, count: int) -> None:
        assert kernel.alloc_pages_bulk(GFP_KERNEL, count) == []

    def test_it_stops_where_there_is_no_more(self, kernel: Kernel) -> None:
        kernel.fail_nth = 4
        assert len(kernel.alloc_pages_bulk(GFP_KERNEL, 10)) == 3
        free = free_pages(kernel)
        pages = kernel.alloc_pages_bulk(GFP_NOWAIT, 1 << 40)
        assert 0 < len(pages) < free
        assert kernel.alloc_pages(GFP_NOWAIT, 0) == 0
        assert kernel.alloc_pages_bulk(GFP_NOWAIT, 1) == []


class TestSplit:
    @pytest.mark.parametrize("order", [0, 1, 3, 10])
    def test_each_page_is_freed_by_itself(self, kernel: Kernel, order: int) -> None:
        free = free_pages(kernel)
        block = kernel.alloc_pages(GFP_KERNEL, order)
        kernel.memory.write(block + (P << order) - 5, b"whole")
        assert kernel.call("split_page", (block, order)) == 0
        assert kernel.memory.read(block + (P << order) - 5, 5) == b"whole"
        assert free_pages(kernel) == free - (1 << order)
        assert_zones_are_whole(kernel)
        pages = [block + page * P for page in range(1 << order)]
        for page in reversed(pages):
            kernel.free_pages_of(page, 0)
        assert refused(kernel, "__free_pages", pages[-1], 0) == "CALLER-DOUBLE-FREE"
        assert free_pages(kernel) == free
        assert_zones_are_whole(kernel)

    def test_the_block_is_no_more(self, kernel: Kernel) -> None:
        block = kernel.alloc_pages(GFP_KERNEL, 2)
        kernel.split_page(block, 2)
        assert refused(kernel, "free_pages", block, 2) == "CALLER-ORDER"
        assert refused(kernel, "split_page", block, 2) == "CALLER-ORDER"
        kernel.split_page(block + P, 0)
        kernel.free_pages(block, 0)
        assert refused(kernel, "split_page", block, 0) == "CALLER-FREE"

    def test_only_a_block_can_be_split(self, kernel: Kernel) -> None:
        block = kernel.alloc_pages(GFP_KERNEL, 2)
        assert refused(kernel, "split_page", block, 1) == "CALLER-ORDER"
        assert refused(kernel, "split_page", block, 3) == "CALLER-ORDER"
        assert refused(kernel, "split_page", block + P, 0) == "CALLER-FREE"
        assert refused(kernel, "split_page", 0, 0) == "CALLER-FREE"
        assert refused(kernel, "split_page", kernel.kmalloc(20000, GFP_KERNEL), 3) == "CALLER-FAMILY"
        assert refused(kernel, "split_page", kernel.alloc_pages_exact(P, GFP_KERNEL), 0) == "CALLER-FAMILY"


class TestStep:
    def zone(self) -> Zone:
        return Zone("NORMAL", 0, 16, Blocks({8: 8}), Blocks({0: 4, 4: 1, 5: 1, 6: 2}), 8)

    def test_a_block_in_use_becomes_two(self) -> None:
        zone = self.zone()
        zone.divide(0, 4)
        assert zone.used == Blocks({0: 2, 2: 2, 4: 1, 5: 1, 6: 2})
        assert zone.free == Blocks({8: 8})
        assert broken_clauses(zone) == []

    @pytest.mark.parametrize(
        ("head", "pages", "clause"),
        [
            (8, 8, "CALLER-FREE"),
            (2, 2, "CALLER-FREE"),
            (0, 2, "CALLER-ORDER"),
            (0, 8, "CALLER-ORDER"),
            (4, 1, "PAGE-HEAD"),
        ],
    )
    def test_no_other_does(self, head: int, pages: int, clause: str) -> None:
        zone = self.zone()
        with pytest.raises(Refused) as refusal:
            zone.divide(head, pages)
        assert refusal.value.clause == clause
        assert zone == self.zone()

    @pytest.mark.parametrize("pfn", [-1, 16, 99])
    def test_pages_of_no_zone_are_nobody_s(self, pfn: int) -> None:
        with pytest.raises(Refused) as refusal:
            Pages([self.zone()]).divide(pfn, 1)
        assert refusal.value.clause == "CALLER-FREE"


class TestExact:
    @pytest.mark.parametrize(
        ("size", "pages"), [(1, 1), (P, 1), (P + 1, 2), (5 * P, 5), (5 * P - 100, 5), (MIB + 1, 257)]
    )
    def test_only_the_pages_asked_for_are_kept(self, kernel: Kernel, size: int, pages: int) -> None:
        free = free_pages(kernel)
        p = kernel.call("alloc_pages_exact", (size, GFP_KERNEL | ZERO))
        assert kernel.memory.first_other(p, pages * P, 0) is None
        assert free_pages(kernel) == free - pages
        assert_zones_are_whole(kernel)
        if pages % 2:
            assert kernel.alloc_pages(GFP_KERNEL, 0) == p + pages * P  # the next page is anybody's
            kernel.free_pages(p + pages * P, 0)
        kernel.call("free_pages_exact", (p, size))
        assert free_pages(kernel) == free
        assert_zones_are_whole(kernel)

    @pytest.mark.parametrize("size", [0, 4 * MIB + 1, 1 << 40, SIZE_MAX])
    def test_nothing_and_too_much_are_null(self, kernel: Kernel, size: int) -> None:
        before = state(kernel)
        assert kernel.alloc_pages_exact(size, GFP_KERNEL) == 0
        kernel.fail_nth = 1
        assert kernel.alloc_pages_exact(5 * P, GFP_KERNEL) == 0
        assert state(kernel) == before

    def test_four_mebibytes_are_the_most(self, kernel: Kernel) -> None:
        assert kernel.alloc_pages_exact(4 * MIB, GFP_KERNEL) % (4 * MIB) == PAGE_OFFSET % (4 * MIB)

    def test_compound_pages_and_high_memory_are_not_asked_for(self, kernel: Kernel) -> None:
        p = kernel.alloc_pages_exact(3 * P, GFP_KERNEL | COMP | HIGHMEM)
        kernel.free_pages_exact(p, 3 * P)
        assert p != 0

    def test_the_size_must_be_the_same(self, kernel: Kernel) -> None:
        p = kernel.alloc_pages_exact(5 * P, GFP_KERNEL)
        for size in (5 * P - 1, 5 * P + 1, 4 * P, 0):
            assert refused(kernel, "free_pages_exact", p, size) == "CALLER-SIZE"
        assert refused(kernel, "free_pages_exact", p + P, P) == "CALLER-FREE"
        kernel.free_pages_exact(p, 5 * P)
        assert refused(kernel, "free_pages_exact", p, 5 * P) == "CALLER-DOUBLE-FREE"

    def test_each_kind_of_pages_has_its_own_way_back(self, kernel: Kernel) -> None:
        exact, block = kernel.alloc_pages_exact(P, GFP_KERNEL), kernel.alloc_pages(GFP_KERNEL, 0)
        assert refused(kernel, "free_pages", exact, 0) == "CALLER-FAMILY"
        assert refused(kernel, "__free_pages", exact, 0) == "CALLER-FAMILY"
        assert refused(kernel, "kfree", exact) == "CALLER-FAMILY"
        assert refused(kernel, "free_pages_exact", block, P) == "CALLER-FAMILY"

    def test_null_is_not_for_freeing(self, kernel: Kernel) -> None:
        for size in (0, P, P + 1):
            assert refused(kernel, "free_pages_exact", 0, size) == "CALLER-FREE"


MAKING = [  # call, arguments before and behind the mask
    ("kmalloc", (100,), ()),
    ("kmalloc", (20000,), ()),
    ("__get_free_pages", (), (0,)),
    ("get_zeroed_page", (), ()),
    ("alloc_pages", (), (0,)),
    ("alloc_pages_bulk", (), (3,)),
    ("alloc_pages_exact", (5 * P,), ()),
]


class TestContext:
    @pytest.mark.parametrize(("api", "before", "behind"), MAKING)
    def test_a_mask_that_may_sleep_is_for_tasks(
        self, kernel: Kernel, api: str, before: tuple[int, ...], behind: tuple[int, ...]
    ) -> None:
        assert refused(kernel, api, *before, ILLEGAL, *behind) == "CALLER-GFP"
        kernel.call("preempt_disable", ())
        for gfp in (GFP_KERNEL, GFP_USER, GFP_ATOMIC | GFP_KERNEL):
            assert refused(kernel, api, *before, gfp, *behind) == "CALLER-CONTEXT"
        assert refused(kernel, api, *before, ILLEGAL, *behind) == "CALLER-CONTEXT"
        assert refused(kernel, api, *before, GFP_ATOMIC | NOFAIL, *behind) == "CALLER-GFP"
        for gfp in (GFP_ATOMIC, GFP_NOWAIT, 0):
            assert kernel.call(api, (*before, gfp, *behind)) != 0
        kernel.call("preempt_enable", ())
        assert kernel.call(api, (*before, GFP_KERNEL, *behind)) != 0

    def test_contexts_nest(self, kernel: Kernel) -> None:
        for _ in range(2):
            kernel.preempt_disable()
        kernel.preempt_enable()
        assert refused(kernel, "alloc_pages", GFP_KERNEL, 0) == "CALLER-CONTEXT"
        kernel.preempt_enable()
        assert kernel.alloc_pages(GFP_KERNEL, 0) != 0
        assert refused(kernel, "preempt_enable") == "CALLER-CONTEXT"

    def test_pages_are_freed_anywhere(self, kernel: Kernel) -> None:
        block, exact = kernel.alloc_pages(GFP_KERNEL, 1), kernel.alloc_pages_exact(P, GFP_KERNEL)
        kernel.preempt_disable()
        kernel.split_page(block, 1)
        kernel.free_pages(block, 0)
        kernel.free_pages_of(block + P, 0)
        kernel.free_pages_exact(exact, P)
        kernel.preempt_enable()
        assert not kernel.blocks.spans.get(block, 0)


class TestSleeping:
    def pressed(self, reach: int) -> Kernel:
        """Return a machine from which a mask gets no page more without waiting for one."""
        kernel = Kernel(64 * MIB)
        while kernel.alloc_pages(reach, 0):
            pass
        kernel.slept = False
        return kernel

    def test_who_is_served_at_once_does_not_sleep(self, kernel: Kernel) -> None:
        for gfp in (GFP_KERNEL, GFP_USER, GFP_ATOMIC, GFP_NOWAIT):
            assert kernel.call("alloc_pages", (gfp, 3)) != 0
            assert kernel.slept is False
        assert kernel.call("vmalloc", (MIB,)) == VMALLOC_START
        assert kernel.slept is False

    @pytest.mark.parametrize("gfp", [GFP_ATOMIC, GFP_NOWAIT, 0, GFP_NOWAIT | MEMALLOC, HIGH])
    def test_a_mask_that_may_not_sleep_never_does(self, gfp: int) -> None:
        kernel = self.pressed(gfp & ~(HIGH | MEMALLOC))
        while kernel.call("alloc_pages", (gfp, 0)):
            assert kernel.slept is False
        for api, before, behind in MAKING:
            kernel.call(api, (*before, gfp, *behind))
            assert kernel.slept is False

    @pytest.mark.parametrize("gfp", [GFP_KERNEL, GFP_USER, GFP_KERNEL | HIGH, GFP_KERNEL | MEMALLOC])
    def test_a_mask_that_may_sleep_does_in_need(self, gfp: int) -> None:
        kernel = self.pressed(GFP_NOWAIT)
        served = kernel.call("alloc_pages", (gfp, 0)) != 0
        assert kernel.slept is True
        assert served == bool(gfp & (HIGH | MEMALLOC))
        assert kernel.call("vmalloc", (P,)) == 0
        assert kernel.slept is True
        kernel.call("get_order", (1,))
        assert kernel.slept is False

    def test_below_the_low_mark_a_served_request_slept_too(self) -> None:
        kernel = Kernel(64 * MIB)
        slept = []
        while kernel.call("alloc_pages", (GFP_KERNEL, 0)):
            slept.append(kernel.slept)
        assert slept == sorted(slept)
        assert 0 < sum(slept) < len(slept)

    def test_an_injected_failure_is_no_sleep(self, kernel: Kernel) -> None:
        kernel.call("fail_nth", (1,))
        assert kernel.call("alloc_pages", (GFP_KERNEL, 0)) == 0
        assert kernel.slept is False
        kernel.call("fail_nth", (1,))
        assert kernel.call("alloc_pages", (GFP_KERNEL | NOFAIL, 0)) != 0
        assert kernel.call("alloc_pages", (GFP_KERNEL, 0)) == 0


def test_pages_of_every_family_lie_apart(kernel: Kernel) -> None:
    """The ledger would refuse an overlap; here the pages themselves are compared."""
    page = kernel.get_zeroed_page(GFP_KERNEL)
    area = kernel.vmalloc(3 * P)
    exact = kernel.alloc_pages_exact(3 * P, GFP_KERNEL)
    block = kernel.alloc_pages(GFP_KERNEL, 1)
    large = kernel.kmalloc(20000, GFP_KERNEL)
    small = kernel.kmalloc(100, GFP_KERNEL)
    frames = [kernel.vmalloc_to_page(area + k * P) for k in range(3)]
    extents = [(page, 1), *((frame, 1) for frame in frames), (exact, 3), (block, 2), (large, 8)]
    pages = [start + k * P for start, count in extents for k in range(count)] + [small & -P]
    assert len(set(pages)) == len(pages) == 18
