"""The calls of the model kernel: what it answers, what it refuses, what that changes.

The tables are those of real kernels' answers, 6.1 and 6.12 with SLUB on x86-64, for these calls.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable

import pytest

from kmem_model.kernel import Kernel
from kmem_model.memory import DIRTY, PAGE_OFFSET
from kmem_spec.apis import KERNEL_APIS
from kmem_spec.clauses import CLAUSES
from kmem_spec.gfp import (
    DMA,
    DMA32,
    GFP_ATOMIC,
    GFP_KERNEL,
    GFP_NOWAIT,
    GFP_USER,
    HIGHMEM,
    MOVABLE,
    NOFAIL,
    RECLAIMABLE,
    ZERO,
)
from kmem_spec.judge import CHAPTERS
from kmem_spec.slab import CLASS_SIZES
from kmem_spec.table import DictTable, Refused
from kmem_spec.units import PAGE_SIZE, ZERO_SIZE_PTR

MIB = 1 << 20
ILLEGAL = GFP_KERNEL | DMA | DMA32
ALLOCATING = [  # call, arguments before the mask
    ("kmalloc", (100,)),
    ("kzalloc", (100,)),
    ("kmalloc_array", (10, 10)),
    ("kcalloc", (10, 10)),
    ("krealloc", (0, 100)),
    ("kmalloc", (20000,)),
]


@pytest.fixture
def kernel() -> Kernel:
    return Kernel(64 * MIB)


def refused(kernel: Kernel, api: str, *args: int) -> str:
    """Return the clause under which a call is refused, having seen that it changed nothing."""
    before = state(kernel)
    with pytest.raises(Refused) as caught:
        kernel.call(api, args)
    assert state(kernel) == before
    return caught.value.clause


def state(kernel: Kernel) -> object:
    """Return a copy of everything that calls can change."""
    lists = kernel.caches.every
    return copy.deepcopy(
        (
            kernel.memory.pages,
            kernel.memory.filled,
            [(zone.free, zone.used, zone.nfree) for zone in kernel.frames.pages.zones],
            [(each.cache.slabs, each.cache.live) for each in lists],
            [(each.active, list(each.partial), each.waiting) for each in lists],
            kernel.caches.owners,
            list(kernel.caches.slab_at),
            kernel.blocks.spans,
            kernel.blocks.records,
            kernel.freed,
            kernel.fail_nth,
        )
    )


def dirty(kernel: Kernel, sizes: Iterable[int]) -> None:
    """Leave memory of each size freed and full of something."""
    for size in sizes:
        p = kernel.kmalloc(size, GFP_KERNEL)
        kernel.memory.fill(p, kernel.ksize(p), 0x77)
        kernel.kfree(p)


def test_every_call_of_the_language_is_there(kernel: Kernel) -> None:
    assert tuple(kernel.api)[: len(KERNEL_APIS)] == KERNEL_APIS
    with pytest.raises(KeyError):
        kernel.call("kmem_cache_reap", (1,))


class TestSizes:
    asked = [1, 9, 17, 33, 65, 97, 129, 193, 257, 513, 1025, 2049, 4097, 8193, 16385, 2 * MIB + 1]
    given = [8, 16, 32, 64, 96, 128, 192, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 4 * MIB]

    def test_ksize_is_the_class_or_the_block(self, kernel: Kernel) -> None:
        assert [kernel.ksize(kernel.kmalloc(size, GFP_KERNEL)) for size in self.asked] == self.given
        assert [kernel.ksize(kernel.kmalloc(size, GFP_KERNEL)) for size in self.given] == self.given

    @pytest.mark.parametrize("size", [*CLASS_SIZES, 16384, 65536])
    def test_alignment_is_the_largest_power_of_two_that_divides_the_class(
        self, kernel: Kernel, size: int
    ) -> None:
        align = {96: 32, 192: 64}.get(size, size)
        assert {kernel.kmalloc(size, GFP_KERNEL) % align for _ in range(200)} == {0}

    @pytest.mark.parametrize("api", ["kmalloc", "kzalloc"])
    def test_four_mebibytes_are_the_most(self, kernel: Kernel, api: str) -> None:
        assert kernel.call(api, (4 * MIB, GFP_KERNEL)) % (4 * MIB) == PAGE_OFFSET % (4 * MIB)
        for size in (4 * MIB + 1, 1 << 40, (1 << 64) - 1):
            assert kernel.call(api, (size, GFP_KERNEL)) == 0

    @pytest.mark.parametrize("api", ["kmalloc_array", "kcalloc"])
    def test_products_are_exact_or_null(self, kernel: Kernel, api: str) -> None:
        for n, size in (
            (1 << 33, 1 << 33),
            (1 << 32, 1 << 32),
            (1 << 63, 2),
            ((1 << 64) - 1, 2),
            (1 << 61, 8),
        ):
            assert kernel.call(api, (n, size, GFP_KERNEL)) == 0
        assert kernel.ksize(kernel.call(api, (3, 50, GFP_KERNEL))) == 192
        assert kernel.call(api, ((1 << 64) - 1, 1, GFP_KERNEL)) == 0

    def test_nothing_asked_for_is_a_pointer_to_nothing(self, kernel: Kernel) -> None:
        calls = [("kmalloc", (0,)), ("kzalloc", (0,)), ("kmalloc_array", (0, 5)), ("kcalloc", (5, 0))]
        assert {kernel.call(api, (*args, GFP_KERNEL)) for api, args in calls} == {ZERO_SIZE_PTR}
        assert kernel.kmalloc_array(0, (1 << 64) - 1, GFP_KERNEL) == ZERO_SIZE_PTR

    @pytest.mark.parametrize("nothing", [0, ZERO_SIZE_PTR])
    def test_nothing_is_freed_and_measured_in_vain(self, kernel: Kernel, nothing: int) -> None:
        before = state(kernel)
        assert kernel.call("kfree", (nothing,)) == 0
        assert kernel.ksize(nothing) == 0
        assert state(kernel) == before


class TestContents:
    sizes = (8, 96, 300, 8192, 20000)

    @pytest.mark.parametrize("size", sizes)
    def test_fresh_and_reused_memory_is_dirty(self, kernel: Kernel, size: int) -> None:
        p = kernel.kmalloc(size, GFP_KERNEL)
        assert kernel.memory.first_other(p, size, DIRTY) is None
        kernel.memory.fill(p, size, 0x77)
        kernel.kfree(p)
        assert kernel.kmalloc(size, GFP_KERNEL) == p  # the last freed is the next given
        assert kernel.memory.first_other(p, size, 0x77) is None

    @pytest.mark.parametrize("base", [GFP_KERNEL, GFP_ATOMIC, GFP_NOWAIT, GFP_USER, 0])
    @pytest.mark.parametrize(("api", "args"), ALLOCATING)
    def test_zeroing_clears_all_usable_bytes(
        self, kernel: Kernel, api: str, args: tuple[int, ...], base: int
    ) -> None:
        dirty(kernel, (100, 20000))
        p = kernel.call(api, (*args, base | ZERO))
        assert kernel.memory.first_other(p, kernel.ksize(p), 0) is None
        q = kernel.call(api, (*args, base))
        assert (kernel.memory.read(q, 1) == b"\0") == (api in {"kzalloc", "kcalloc"})

    def test_zeroing_touches_nobody_else(self, kernel: Kernel) -> None:
        near = [kernel.kmalloc(96, GFP_KERNEL) for _ in range(3)]
        for p in near:
            kernel.memory.fill(p, 96, 0x33)
        kernel.kfree(near[1])
        assert kernel.kzalloc(65, GFP_KERNEL) == near[1]
        assert kernel.memory.first_other(near[0], 96, 0x33) is None
        assert kernel.memory.first_other(near[2], 96, 0x33) is None


class TestKrealloc:
    @pytest.mark.parametrize("nothing", [0, ZERO_SIZE_PTR])
    def test_of_nothing_is_kmalloc(self, kernel: Kernel, nothing: int) -> None:
        assert kernel.ksize(kernel.krealloc(nothing, 100, GFP_KERNEL)) == 128
        assert kernel.krealloc(nothing, 0, GFP_KERNEL) == ZERO_SIZE_PTR

    @pytest.mark.parametrize("size", [100, 20000])
    def test_to_nothing_frees(self, kernel: Kernel, size: int) -> None:
        p = kernel.kmalloc(size, GFP_KERNEL)
        assert kernel.krealloc(p, 0, GFP_KERNEL) == ZERO_SIZE_PTR
        assert refused(kernel, "kfree", p) == "CALLER-DOUBLE-FREE"

    @pytest.mark.parametrize(("size", "room"), [(100, 128), (20000, 32768)])
    def test_within_the_object_it_stays(self, kernel: Kernel, size: int, room: int) -> None:
        p = kernel.kmalloc(size, GFP_KERNEL)
        kernel.memory.fill(p, room, 0x44)
        for asked in (room, 1, size):
            assert kernel.krealloc(p, asked, GFP_KERNEL) == p
        assert kernel.ksize(p) == room
        assert kernel.memory.first_other(p, room, 0x44) is None

    @pytest.mark.parametrize(("size", "larger"), [(100, 129), (100, 20000), (20000, 32769)])
    def test_beyond_it_moves_and_keeps_every_byte(self, kernel: Kernel, size: int, larger: int) -> None:
        p = kernel.kmalloc(size, GFP_KERNEL)
        held = kernel.ksize(p)
        kernel.memory.fill(p, held, 0x44)
        q = kernel.krealloc(p, larger, GFP_KERNEL)
        assert q != p
        assert kernel.memory.first_other(q, held, 0x44) is None
        assert refused(kernel, "ksize", p) == "CALLER-FREE"

    def test_failing_leaves_the_old_object(self, kernel: Kernel) -> None:
        p = kernel.kmalloc(100, GFP_KERNEL)
        kernel.memory.write(p, b"kept")
        before = state(kernel)
        kernel.fail_nth = 1
        assert kernel.krealloc(p, 20000, GFP_KERNEL) == 0
        assert kernel.krealloc(p, 4 * MIB + 1, GFP_KERNEL) == 0
        assert state(kernel) == before
        assert kernel.krealloc(p, 20000, GFP_KERNEL) != 0

    def test_zeroing_in_place_clears_from_the_size_on(self, kernel: Kernel) -> None:
        p = kernel.kmalloc(512, GFP_KERNEL)
        kernel.memory.fill(p, 512, 0x44)
        assert kernel.krealloc(p, 300, GFP_KERNEL | ZERO) == p
        assert kernel.memory.read(p, 512) == b"\x44" * 300 + bytes(212)
        assert kernel.krealloc(p, 512, GFP_KERNEL | ZERO) == p
        assert kernel.memory.first_other(p, 512, 0x44) == 300

    def test_zeroing_and_moving_clears_what_is_new(self, kernel: Kernel) -> None:
        dirty(kernel, [1000])
        p = kernel.kzalloc(200, GFP_KERNEL)
        kernel.memory.fill(p, 200, 0x44)
        q = kernel.krealloc(p, 1000, GFP_KERNEL | ZERO)
        assert kernel.memory.read(q, 1024) == b"\x44" * 200 + bytes(824)

    def test_with_zeroes_at_every_step_the_tail_is_zero(self, kernel: Kernel) -> None:
        dirty(kernel, [600, 1000])
        p = kernel.kzalloc(600, GFP_KERNEL)
        assert kernel.krealloc(p, 1000, GFP_KERNEL | ZERO) == p
        assert kernel.memory.first_other(p, 1000, 0) is None


class TestPages:
    def test_blocks_of_every_order_are_naturally_aligned(self, kernel: Kernel) -> None:
        for order in range(11):
            address = kernel.call("__get_free_pages", (GFP_KERNEL, order))
            assert address > PAGE_OFFSET
            assert address % (PAGE_SIZE << order) == 0

    @pytest.mark.parametrize("order", [11, 12, 64, (1 << 32) - 1])
    def test_no_block_is_larger(self, kernel: Kernel, order: int) -> None:
        before = state(kernel)
        assert kernel.get_free_pages(GFP_KERNEL, order) == 0
        assert state(kernel) == before

    def test_zeroes_only_where_they_are_asked_for(self, kernel: Kernel) -> None:
        for order in (0, 3):
            block = kernel.get_free_pages(GFP_KERNEL, order)
            assert kernel.memory.first_other(block, PAGE_SIZE << order, 0) == 0
            kernel.free_pages(block, order)
            assert kernel.get_free_pages(GFP_KERNEL | ZERO, order) == block
            assert kernel.memory.first_other(block, PAGE_SIZE << order, 0) is None
        page = kernel.get_zeroed_page(GFP_KERNEL)
        assert kernel.memory.first_other(page, PAGE_SIZE, 0) is None

    @pytest.mark.parametrize("order", [0, 10, 999])
    def test_address_0_is_freed_in_vain(self, kernel: Kernel, order: int) -> None:
        before = state(kernel)
        assert kernel.call("free_pages", (0, order)) == 0
        assert state(kernel) == before

    def test_the_mask_picks_the_zone(self, kernel: Kernel) -> None:
        low = PAGE_OFFSET + 16 * MIB
        assert kernel.get_free_pages(GFP_KERNEL | DMA, 0) < low
        assert kernel.get_free_pages(GFP_KERNEL, 0) >= low
        assert kernel.kmalloc(64, GFP_KERNEL | DMA) < low
        assert kernel.kmalloc(64, GFP_KERNEL) >= low
        assert kernel.kmalloc(20000, GFP_KERNEL | DMA) < low
        assert kernel.kmalloc(20000, GFP_KERNEL | DMA32) >= low  # no slab memory for DMA32
        assert kernel.get_free_pages(GFP_KERNEL | HIGHMEM, 0) >= low


class TestCallers:
    @pytest.fixture
    def pointers(self, kernel: Kernel) -> dict[str, int]:
        """Return one pointer of each kind that may not be passed on."""
        kernel.kmalloc(96, GFP_KERNEL)
        given = {
            "object": kernel.kmalloc(96, GFP_KERNEL),
            "large": kernel.kmalloc(20000, GFP_KERNEL),
            "block": kernel.get_free_pages(GFP_KERNEL, 1),
            "freed object": kernel.kmalloc(96, GFP_KERNEL),
            "freed large": kernel.kmalloc(20000, GFP_KERNEL),
            "freed block": kernel.get_free_pages(GFP_KERNEL, 1),
        }
        kernel.kfree(given["freed object"])
        kernel.kfree(given["freed large"])
        kernel.free_pages(given["freed block"], 1)
        return given | {
            "inside object": given["object"] + 8,
            "inside large": given["large"] + PAGE_SIZE,
            "inside block": given["block"] + PAGE_SIZE,
            "never given": given["object"] + 96 * 10,
            "beyond memory": PAGE_OFFSET + (1 << 40),
            "below memory": 0x1000,
        }

    stray = ("inside object", "inside large", "inside block", "never given", "beyond memory", "below memory")
    freed = ("freed object", "freed large", "freed block")
    errors = [
        *(("kfree", kind, (), "CALLER-FREE") for kind in stray),
        *(("free_pages", kind, (1,), "CALLER-FREE") for kind in stray),
        *(("ksize", kind, (), "CALLER-FREE") for kind in (*stray, *freed)),
        *(("krealloc", kind, (10, GFP_KERNEL), "CALLER-FREE") for kind in (*stray, *freed)),
        *(("krealloc", kind, (0, GFP_KERNEL), "CALLER-FREE") for kind in (*stray, *freed)),
        *(("kfree", kind, (), "CALLER-DOUBLE-FREE") for kind in freed),
        *(("free_pages", kind, (1,), "CALLER-DOUBLE-FREE") for kind in freed),
        ("kfree", "block", (), "CALLER-FAMILY"),
        ("ksize", "block", (), "CALLER-FAMILY"),
        ("krealloc", "block", (10, GFP_KERNEL), "CALLER-FAMILY"),
        ("free_pages", "object", (0,), "CALLER-FAMILY"),
        ("free_pages", "large", (3,), "CALLER-FAMILY"),
        ("free_pages", "block", (0,), "CALLER-ORDER"),
        ("free_pages", "block", (2,), "CALLER-ORDER"),
        ("free_pages", "block", (99,), "CALLER-ORDER"),
        ("krealloc", "object", (10, ILLEGAL), "CALLER-GFP"),
        ("krealloc", "object", (0, ILLEGAL), "CALLER-GFP"),
        ("krealloc", "freed object", (10, ILLEGAL), "CALLER-FREE"),
    ]

    @pytest.mark.parametrize(("api", "kind", "args", "clause"), errors)
    def test_a_wrong_pointer_is_refused_and_changes_nothing(
        self,
        kernel: Kernel,
        pointers: dict[str, int],
        api: str,
        kind: str,
        args: tuple[int, ...],
        clause: str,
    ) -> None:
        assert refused(kernel, api, pointers[kind], *args) == clause

    masks = [
        (GFP_KERNEL | DMA | DMA32, False),
        (GFP_KERNEL | MOVABLE | RECLAIMABLE, False),
        (GFP_ATOMIC | NOFAIL, False),
        (GFP_KERNEL | NOFAIL, True),
        (GFP_KERNEL | DMA, True),
        (0, True),
    ]

    @pytest.mark.parametrize(("mask", "legal"), masks)
    @pytest.mark.parametrize(
        ("api", "args"),
        [*ALLOCATING, ("kmalloc", (0,)), ("kmalloc", (1 << 40,)), ("kcalloc", (1 << 40, 1 << 40))],
    )
    def test_masks_are_legal_or_refused(
        self, kernel: Kernel, api: str, args: tuple[int, ...], mask: int, legal: bool
    ) -> None:
        if legal:
            assert (kernel.call(api, (*args, mask)) == 0) == (max(args) == 1 << 40)
        else:
            assert refused(kernel, api, *args, mask) == "CALLER-GFP"

    def test_pages_take_the_mask_first(self, kernel: Kernel) -> None:
        assert refused(kernel, "__get_free_pages", ILLEGAL, 0) == "CALLER-GFP"
        assert refused(kernel, "__get_free_pages", ILLEGAL, 11) == "CALLER-GFP"
        assert refused(kernel, "get_zeroed_page", ILLEGAL) == "CALLER-GFP"

    def test_what_was_given_again_may_be_freed_again(self, kernel: Kernel) -> None:
        p = kernel.kmalloc(64, GFP_KERNEL)
        kernel.kfree(p)
        assert kernel.kmalloc(64, GFP_KERNEL) == p
        kernel.kfree(p)
        assert refused(kernel, "kfree", p) == "CALLER-DOUBLE-FREE"

    def test_every_refusal_is_under_a_clause_of_the_callers(self) -> None:
        assert CHAPTERS
        assert {CLAUSES[clause].who for *_, clause in self.errors} == {"caller"}


class TestNeed:
    @pytest.mark.parametrize(("api", "args"), ALLOCATING)
    def test_a_failure_is_null_and_changes_nothing(
        self, kernel: Kernel, api: str, args: tuple[int, ...]
    ) -> None:
        before = state(kernel)
        kernel.fail_nth = 1
        assert kernel.call(api, (*args, GFP_KERNEL)) == 0
        assert state(kernel) == before
        assert kernel.call(api, (*args, GFP_KERNEL)) != 0

    def test_the_nth_page_allocation_fails_and_no_other(self, kernel: Kernel) -> None:
        kernel.fail_nth = 3
        assert [kernel.get_zeroed_page(GFP_KERNEL) != 0 for _ in range(5)] == [True, True, False, True, True]
        assert kernel.fail_nth == 0

    def test_objects_need_pages_only_now_and_then(self, kernel: Kernel) -> None:
        kernel.kmalloc(64, GFP_KERNEL)
        kernel.fail_nth = 1
        assert kernel.kmalloc(64, GFP_KERNEL) != 0
        assert kernel.fail_nth == 1

    def test_memory_runs_out_and_comes_back(self) -> None:
        kernel = Kernel(8 * MIB)
        rounds = []
        for _ in range(3):
            objects = []
            while p := kernel.kmalloc(4096, GFP_KERNEL):
                objects.append(p)
            rounds.append(len(objects))
            for p in objects:
                kernel.kfree(p)
        assert rounds[0] == rounds[1] == rounds[2]
        assert rounds[0] > 1000

    def test_empty_slabs_are_no_loss_to_anybody(self) -> None:
        kernel = Kernel(8 * MIB)
        free = kernel.frames.pages.free_pages

        def fill() -> list[int]:
            blocks = []
            while block := kernel.get_free_pages(GFP_NOWAIT, 3):
                blocks.append(block)
            return blocks

        first = fill()
        for block in first:
            kernel.free_pages(block, 3)
        dirty(kernel, CLASS_SIZES)
        assert kernel.frames.pages.free_pages < free
        assert len(fill()) == len(first)
        assert isinstance(kernel.caches.owners, DictTable)
        assert not kernel.caches.owners
