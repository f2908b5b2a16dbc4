"""The calls of the vmalloc family on the model kernel: answers, refusals, and whose bytes are seen."""

from __future__ import annotations

import pytest
from tests.cover.snapshot import refused, state

from kmem_model.kernel import Kernel
from kmem_model.memory import PAGE_OFFSET
from kmem_spec.area import VMALLOC_END, VMALLOC_START, broken_clauses
from kmem_spec.gfp import (
    DIRECT_RECLAIM,
    DMA,
    DMA32,
    GFP_ATOMIC,
    GFP_KERNEL,
    GFP_NOWAIT,
    GFP_USER,
    HIGHMEM,
    MOVABLE,
    NOFAIL,
    NOWARN,
    RECLAIMABLE,
    ZERO,
)
from kmem_spec.units import PAGE_SIZE, SIZE_MAX, ZERO_SIZE_PTR

MIB = 1 << 20
P = PAGE_SIZE
VM_MAP, PAGE_KERNEL = 4, 0x8000000000000163
MAKING = [  # call, arguments for one page, for none, for too many
    ("vmalloc", (100,), (0,), (1 << 40,)),
    ("vzalloc", (100,), (0,), (1 << 40,)),
    ("vmalloc_user", (100,), (0,), (1 << 40,)),
    ("vmalloc_32", (100,), (0,), (1 << 40,)),
    ("vmalloc_array", (10, 10), (10, 0), (1 << 20, 1 << 20)),
    ("vcalloc", (10, 10), (0, 10), (1 << 33, 1 << 33)),
    ("__vmalloc", (100, GFP_KERNEL), (0, GFP_KERNEL), (SIZE_MAX, GFP_KERNEL)),
    ("vrealloc", (0, 100, GFP_KERNEL), (0, 0, GFP_KERNEL), (0, SIZE_MAX, GFP_KERNEL)),
]
APIS = [row[0] for row in MAKING]
ZEROING = {"vzalloc", "vmalloc_user", "vcalloc"}


@pytest.fixture
def kernel() -> Kernel:
    return Kernel(64 * MIB)


def dirty(kernel: Kernel, size: int) -> None:
    """Leave pages that are full of something behind."""
    v = kernel.vmalloc(size)
    kernel.view.fill(v, size, 0x77)
    kernel.vfree(v)


def pages_of(kernel: Kernel, v: int, count: int) -> list[int]:
    return [kernel.vmalloc_to_page(v + page * P) for page in range(count)]


class TestSizes:
    @pytest.mark.parametrize(("api", "one", "none", "many"), MAKING)
    def test_none_and_too_many_give_null_and_change_nothing(
        self, kernel: Kernel, api: str, one: tuple[int, ...], none: tuple[int, ...], many: tuple[int, ...]
    ) -> None:
        before = state(kernel)
        assert kernel.call(api, none) == 0
        assert kernel.call(api, many) == 0
        assert state(kernel) == before
        v = kernel.call(api, one)
        assert v == VMALLOC_START
        assert kernel.view.first_other(v, P, 0 if api in ZEROING else 0xA5) is None

    @pytest.mark.parametrize("size", [64 * MIB, 64 * MIB + 1, 1 << 45, 1 << 63, SIZE_MAX - 4095, SIZE_MAX])
    def test_sizes_do_not_wrap(self, kernel: Kernel, size: int) -> None:
        """RAM itself is tried, in vain: some of it is kept back."""
        before = state(kernel)
        assert kernel.vmalloc(size) == 0
        assert state(kernel) == before

    @pytest.mark.parametrize("api", ["vmalloc_array", "vcalloc"])
    def test_products_are_exact_or_null(self, kernel: Kernel, api: str) -> None:
        wide = [(1 << 33, 1 << 33), (1 << 63, 2), (SIZE_MAX, 2), (1 << 61, 8), (SIZE_MAX, SIZE_MAX)]
        assert [kernel.call(api, pair) for pair in wide] == [0] * 5
        v = kernel.call(api, (3, 2000))
        assert 0 not in pages_of(kernel, v, 2)
        assert kernel.vmalloc_to_page(v + 2 * P) == 0

    @pytest.mark.parametrize(("size", "pages"), [(1, 1), (P, 1), (P + 1, 2), (100000, 25)])
    def test_areas_are_whole_pages_and_a_guard_apart(self, kernel: Kernel, size: int, pages: int) -> None:
        starts = [kernel.vmalloc(size) for _ in range(3)]
        assert starts == [VMALLOC_START + k * (pages + 1) * P for k in range(3)]
        for v in starts:
            assert 0 not in pages_of(kernel, v, pages)
            assert kernel.vmalloc_to_page(v + pages * P) == 0  # the guard

    def test_the_lowest_place_is_used_again(self, kernel: Kernel) -> None:
        starts = [kernel.vmalloc(2 * P) for _ in range(4)]
        kernel.vfree(starts[2])
        kernel.vfree(starts[1])
        assert kernel.vmalloc(5 * P) == starts[1]
        kernel.vfree(starts[0])
        assert kernel.vmalloc(P) == starts[0]


class TestFrames:
    def test_each_page_has_a_frame_of_its_own(self, kernel: Kernel) -> None:
        seen: set[int] = set()
        for size in (1, 5 * P, 100000):
            pages = pages_of(kernel, kernel.vmalloc(size), -(-size // P))
            assert seen.isdisjoint(pages)
            seen |= set(pages)
        assert all(page % P == 0 and PAGE_OFFSET <= page < PAGE_OFFSET + 64 * MIB for page in seen)
        assert broken_clauses(kernel.space.areas) == []

    def test_frames_come_back_when_an_area_goes(self, kernel: Kernel) -> None:
        free = kernel.frames.pages.free_pages
        for _ in range(3):
            v = kernel.vmalloc(30 * MIB)  # twice would be too much
            assert v != 0
            kernel.vfree(v)
        assert kernel.frames.pages.free_pages == free

    def test_pages_of_vmalloc_32_lie_below_4_gib(self) -> None:
        kernel = Kernel(5 << 30)
        low = PAGE_OFFSET + (4 << 30)
        assert kernel.vmalloc_to_page(kernel.vmalloc(P)) >= low
        assert kernel.vmalloc_to_page(kernel.vmalloc_32(P)) < low

    @pytest.mark.parametrize("api", APIS)
    def test_a_failure_at_any_page_is_null_and_changes_nothing(self, kernel: Kernel, api: str) -> None:
        dirty(kernel, 5 * P)
        args = {"vmalloc_array": (5, P), "vcalloc": (5, P), "vrealloc": (0, 5 * P, GFP_KERNEL)}.get(api)
        args = args or (5 * P, *((GFP_KERNEL,) if api == "__vmalloc" else ()))
        before = state(kernel)
        for nth in range(1, 6):
            kernel.fail_nth = nth
            assert kernel.call(api, args) == 0
            assert kernel.fail_nth == 0
            assert state(kernel) == before
        kernel.fail_nth = 6
        assert kernel.call(api, args) != 0
        assert kernel.fail_nth == 1

    def test_with_nofail_no_failure_is_injected(self, kernel: Kernel) -> None:
        kernel.fail_nth = 2
        assert kernel.call("__vmalloc", (3 * P, GFP_KERNEL | NOFAIL)) != 0
        assert kernel.fail_nth == 2

    def test_running_out_of_memory_gives_all_back(self) -> None:
        kernel = Kernel(8 * MIB)
        hog = kernel.vmalloc(5 * MIB)
        before = state(kernel)
        assert hog
        assert kernel.call("vmalloc", (5 * MIB,)) == 0
        assert kernel.slept
        assert state(kernel) == before
        assert kernel.call("vmalloc", (MIB,)) != 0
        assert not kernel.slept


class TestContents:
    @pytest.mark.parametrize("api", APIS)
    def test_zeroes_over_whole_pages_where_they_are_promised_and_nowhere_else(
        self, kernel: Kernel, api: str
    ) -> None:
        dirty(kernel, 3 * P)
        args = {"vmalloc_array": (3, 3000), "vcalloc": (3, 3000), "vrealloc": (0, 9000, GFP_KERNEL)}.get(api)
        args = args or (9000, *((GFP_KERNEL,) if api == "__vmalloc" else ()))
        v = kernel.call(api, args)
        assert kernel.view.first_other(v, 3 * P, 0 if api in ZEROING else 0x77) is None

    @pytest.mark.parametrize("base", [GFP_KERNEL, GFP_USER, DIRECT_RECLAIM, GFP_KERNEL | NOWARN])
    def test_the_mask_asks_for_zeroes(self, kernel: Kernel, base: int) -> None:
        dirty(kernel, 3 * P)
        v = kernel.vmalloc_gfp(9000, base | ZERO)
        assert kernel.view.first_other(v, 3 * P, 0) is None
        kernel.vfree(v)
        dirty(kernel, 3 * P)
        v = kernel.vrealloc(0, 9000, base | ZERO)
        assert kernel.view.first_other(v, 3 * P, 0) is None

    def test_bytes_are_those_of_the_frames(self, kernel: Kernel) -> None:
        kernel.kmalloc(64, GFP_KERNEL)
        v = kernel.vmalloc(3 * P)
        kernel.get_free_pages(GFP_KERNEL, 0)
        data = bytes(range(250)) * 40
        kernel.view.write(v + 100, data)
        pages = pages_of(kernel, v, 3)
        assert kernel.view.read(v + 100, len(data)) == data
        assert kernel.memory.read(pages[1], P) == data[P - 100 : 2 * P - 100]
        kernel.memory.write(pages[2], b"there")
        assert kernel.view.read(v + 2 * P, 5) == b"there"
        assert kernel.view.read(pages[2], 5) == b"there"
        kernel.view.fill(v + P - 8, 16, 0x11)
        assert kernel.memory.read(pages[0] + P - 8, 8) == kernel.memory.read(pages[1], 8) == b"\x11" * 8
        assert kernel.view.first_other(v + P - 8, 17, 0x11) == 16
        assert kernel.view.first_other(v + P - 8, 16, 0x11) is None
        kernel.view.zero(v, 3 * P)
        assert [kernel.memory.first_other(page, P, 0) for page in pages] == [None] * 3

    def test_a_copy_goes_any_way(self, kernel: Kernel) -> None:
        p, v = kernel.kmalloc(8192, GFP_KERNEL), kernel.vmalloc(8192)
        kernel.view.fill(p, 8192, 0x31)
        kernel.view.copy(p, v, 8192)
        assert kernel.view.first_other(v, 8192, 0x31) is None
        kernel.view.write(v, b"12345678")
        kernel.view.copy(v, v + 4, 8188)
        assert kernel.view.read(v, 13) == b"1234123456781"
        kernel.view.copy(v, p, 8)
        assert kernel.view.first_other(p, 8, 0x31) == 1
        assert kernel.memory.read(p, 8) == b"12341234"

    def test_what_is_not_mapped_faults(self, kernel: Kernel) -> None:
        v = kernel.vmalloc(P)
        for touch in (
            lambda: kernel.view.read(v + P - 1, 2),
            lambda: kernel.view.write(v + P - 1, b"12"),
            lambda: kernel.view.fill(v + P, 1, 0),
            lambda: kernel.view.first_other(v + P, 1, 0),
        ):
            before = state(kernel)
            with pytest.raises(LookupError):
                touch()
            assert state(kernel) == before


class TestVrealloc:
    def area(self, kernel: Kernel, size: int) -> int:
        dirty(kernel, 4 * P)
        v = kernel.vmalloc(size)
        kernel.view.fill(v, size, 0x44)
        return v

    def test_to_nothing_it_frees_and_gives_null(self, kernel: Kernel) -> None:
        free = kernel.frames.pages.free_pages
        v = self.area(kernel, 5000)
        assert kernel.vrealloc(v, 0, GFP_KERNEL) == 0
        assert kernel.frames.pages.free_pages == free
        assert refused(kernel, "vfree", v) == "CALLER-DOUBLE-FREE"

    def test_within_the_mapped_pages_it_stays(self, kernel: Kernel) -> None:
        v = self.area(kernel, 5000)
        free = kernel.frames.pages.free_pages
        for size in (8192, 1, 5000, 4096, 8000):
            assert kernel.vrealloc(v, size, GFP_KERNEL) == v
        assert kernel.frames.pages.free_pages == free
        assert kernel.view.first_other(v, 5000, 0x44) is None
        kernel.vfree(v)

    def test_beyond_them_it_moves_and_keeps_what_was_asked_for(self, kernel: Kernel) -> None:
        v = self.area(kernel, 5000)
        new = kernel.vrealloc(v, 8193, GFP_KERNEL | ZERO)
        assert new not in (0, v)
        assert kernel.view.first_other(new, 5000, 0x44) is None
        assert kernel.view.first_other(new + 5000, 3 * P - 5000, 0) is None
        assert kernel.view.read(new + 5000, 1) == b"\0"
        assert refused(kernel, "vfree", v) == "CALLER-DOUBLE-FREE"
        assert 0 not in pages_of(kernel, new, 3)

    def test_zeroing_clears_from_a_smaller_size_to_the_one_before(self, kernel: Kernel) -> None:
        v = self.area(kernel, 5000)
        kernel.view.fill(v, 8192, 0x44)
        assert kernel.vrealloc(v, 3000, GFP_KERNEL | ZERO) == v
        assert kernel.view.read(v, 8192) == b"\x44" * 3000 + bytes(2000) + b"\x44" * 3192
        assert kernel.vrealloc(v, 6000, GFP_KERNEL | ZERO) == v  # growing in place zeroes nothing
        assert kernel.view.read(v + 5000, 1) == b"\x44"

    def test_with_zeroes_at_every_step_the_tail_is_zero(self, kernel: Kernel) -> None:
        dirty(kernel, 4 * P)
        v = kernel.vrealloc(0, 5000, GFP_KERNEL | ZERO)
        kernel.view.fill(v, 5000, 0x44)
        for size in (2000, 7000, 8192, 13000):
            v = kernel.vrealloc(v, size, GFP_KERNEL | ZERO)
        assert kernel.view.first_other(v, 2000, 0x44) is None
        assert kernel.view.first_other(v + 2000, 11000, 0) is None

    @pytest.mark.parametrize("size", [8193, 65 * MIB, SIZE_MAX])
    def test_failing_leaves_the_area(self, kernel: Kernel, size: int) -> None:
        v = self.area(kernel, 5000)
        before = state(kernel)
        kernel.fail_nth = 3
        assert kernel.vrealloc(v, size, GFP_KERNEL) == 0
        kernel.fail_nth = 0
        assert state(kernel) == before
        kernel.vfree(v)


class TestVmap:
    def pages(self, kernel: Kernel, count: int) -> list[int]:
        return list(reversed(kernel.alloc_pages_bulk(GFP_KERNEL, count)))

    def test_an_area_shows_its_pages_in_their_order(self, kernel: Kernel) -> None:
        pages = self.pages(kernel, 3)
        for number, page in enumerate(pages):
            kernel.memory.fill(page, P, 0x31 + number)
        v = kernel.vmap(pages, 3, VM_MAP, PAGE_KERNEL)
        assert pages_of(kernel, v, 4) == [*pages, 0]
        assert kernel.view.read(v, 3 * P) == b"1" * P + b"2" * P + b"3" * P
        kernel.view.write(v + P - 2, b"abcd")
        assert kernel.memory.read(pages[0] + P - 2, 2) + kernel.memory.read(pages[1], 2) == b"abcd"
        assert broken_clauses(kernel.space.areas) == []

    def test_pages_may_be_shown_twice_and_stay_the_caller_s(self, kernel: Kernel) -> None:
        pages = self.pages(kernel, 2)
        free = kernel.frames.pages.free_pages
        one = kernel.vmap([pages[0], *pages], 3, VM_MAP, PAGE_KERNEL)
        other = kernel.vmap(pages, 2, VM_MAP, PAGE_KERNEL)
        assert other == one + 4 * P
        kernel.view.write(one, b"seen")
        assert kernel.view.read(one + P, 4) == kernel.view.read(other, 4) == b"seen"
        kernel.vunmap(one)
        kernel.vunmap(other)
        assert kernel.frames.pages.free_pages == free
        assert kernel.vmalloc_to_page(one) == 0
        for page in pages:
            kernel.free_pages_of(page, 0)

    def test_no_page_and_more_than_there_are_give_null(self, kernel: Kernel) -> None:
        before = state(kernel)
        assert kernel.vmap([], 0, VM_MAP, PAGE_KERNEL) == 0
        assert kernel.vmap([], 64 * MIB // P + 1, VM_MAP, PAGE_KERNEL) == 0
        assert kernel.vmap([], (1 << 32) - 1, VM_MAP, PAGE_KERNEL) == 0
        assert state(kernel) == before

    def test_only_pages_can_be_shown(self, kernel: Kernel) -> None:
        block = kernel.get_free_pages(GFP_KERNEL, 1)
        wrong = {
            kernel.kmalloc(64, GFP_KERNEL): "CALLER-FAMILY",
            kernel.kmalloc(20000, GFP_KERNEL): "CALLER-FAMILY",
            kernel.alloc_pages_exact(P, GFP_KERNEL): "CALLER-FAMILY",
            kernel.vmalloc(P): "CALLER-FAMILY",
            block + P: "CALLER-FREE",
            0: "CALLER-FREE",
        }
        gone = kernel.get_zeroed_page(GFP_KERNEL)
        kernel.free_pages(gone, 0)
        wrong[gone] = "CALLER-FREE"
        assert len(wrong) == 7
        for page, clause in wrong.items():
            assert refused(kernel, "vmap", [block, page], 2, VM_MAP, PAGE_KERNEL) == clause
        assert kernel.vmap([block], 1, VM_MAP, PAGE_KERNEL) != 0


class TestPlaces:
    def test_the_range_is_the_vmalloc_space_whatever_is_mapped(self, kernel: Kernel) -> None:
        v = kernel.vmalloc(P)
        yes = [v, v + P - 1, v + P, VMALLOC_START + (1 << 40), VMALLOC_END - 1]
        no = [
            0,
            ZERO_SIZE_PTR,
            kernel.kmalloc(64, GFP_KERNEL),
            kernel.get_zeroed_page(GFP_KERNEL),
            VMALLOC_END,
        ]
        assert [kernel.is_vmalloc_addr(address) for address in yes + no] == [1] * 5 + [0] * 5

    def test_a_place_elsewhere_has_no_page_to_be_asked_for(self, kernel: Kernel) -> None:
        assert refused(kernel, "vmalloc_to_page", kernel.kmalloc(64, GFP_KERNEL)) == "CALLER-FAMILY"
        assert refused(kernel, "vmalloc_to_page", 12345) == "CALLER-FREE"
        assert kernel.call("vmalloc_to_page", (VMALLOC_START + (1 << 40),)) == 0


class TestCallers:
    @pytest.fixture
    def pointers(self, kernel: Kernel) -> dict[str, int]:
        """Return one pointer of each kind that may not be passed on."""
        page = kernel.get_zeroed_page(GFP_KERNEL)
        given = {
            "area": kernel.vmalloc(2 * P),
            "alias": kernel.vmap([page], 1, VM_MAP, PAGE_KERNEL),
            "freed area": kernel.vmalloc(P),
            "freed alias": kernel.vmap([page], 1, VM_MAP, PAGE_KERNEL),
            "object": kernel.kmalloc(64, GFP_KERNEL),
            "large": kernel.kmalloc(20000, GFP_KERNEL),
            "page": page,
        }
        kernel.vfree(given["freed area"])
        kernel.vunmap(given["freed alias"])
        return given | {
            "inside": given["area"] + P,
            "odd": given["area"] + 8,
            "guard": given["area"] + 2 * P,
            "never given": VMALLOC_START + (1 << 40),
            "zero size": ZERO_SIZE_PTR,
        }

    stray = ("inside", "odd", "guard", "never given", "zero size")
    other = ("object", "large", "page")
    freed = ("freed area", "freed alias")
    errors = [
        *(("vfree", kind, (), "CALLER-FREE") for kind in stray),
        *(("vunmap", kind, (), "CALLER-FREE") for kind in stray),
        *(("vrealloc", kind, (10, GFP_KERNEL), "CALLER-FREE") for kind in (*stray, *freed)),
        *(("vrealloc", kind, (0, GFP_KERNEL), "CALLER-FREE") for kind in (*stray, *freed)),
        *(("vfree", kind, (), "CALLER-DOUBLE-FREE") for kind in freed),
        *(("vunmap", kind, (), "CALLER-DOUBLE-FREE") for kind in freed),
        *(("vfree", kind, (), "CALLER-FAMILY") for kind in (*other, "alias")),
        *(("vunmap", kind, (), "CALLER-FAMILY") for kind in (*other, "area")),
        *(("vrealloc", kind, (10, GFP_KERNEL), "CALLER-FAMILY") for kind in (*other, "alias")),
        *(("kfree", kind, (), "CALLER-FAMILY") for kind in ("area", "alias")),
        *(("ksize", kind, (), "CALLER-FAMILY") for kind in ("area", "alias")),
        *(("free_pages", kind, (0,), "CALLER-FAMILY") for kind in ("area", "alias")),
        ("vrealloc", "area", (10, GFP_NOWAIT), "CALLER-GFP"),
        ("vrealloc", "area", (0, GFP_KERNEL | DMA), "CALLER-GFP"),
        ("vrealloc", "freed area", (10, GFP_NOWAIT), "CALLER-FREE"),
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

    @pytest.mark.parametrize("api", ["vfree", "vunmap"])
    def test_null_is_freed_in_vain(self, kernel: Kernel, api: str) -> None:
        before = state(kernel)
        assert kernel.call(api, (0,)) == 0
        assert state(kernel) == before

    def test_an_area_lent_on_by_another_family_is_not_vmalloc_s(self, kernel: Kernel) -> None:
        v = kernel.vmalloc(P)
        kernel.lent[v] = "kv"
        assert refused(kernel, "vfree", v) == "CALLER-FAMILY"
        assert refused(kernel, "vrealloc", v, 10, GFP_KERNEL) == "CALLER-FAMILY"

    masks = [
        (GFP_KERNEL, True),
        (GFP_USER, True),
        (0xC00, True),
        (0xC40, True),
        (DIRECT_RECLAIM, True),
        (GFP_KERNEL | NOFAIL, True),
        (GFP_KERNEL | ZERO | NOWARN, True),
        (0, False),
        (GFP_ATOMIC, False),
        (GFP_NOWAIT, False),
        (GFP_KERNEL & ~DIRECT_RECLAIM, False),
        (GFP_KERNEL | DMA, False),
        (GFP_KERNEL | DMA32, False),
        (GFP_KERNEL | HIGHMEM, False),
        (GFP_KERNEL | MOVABLE | RECLAIMABLE, False),
    ]

    @pytest.mark.parametrize(("mask", "legal"), masks)
    @pytest.mark.parametrize(("api", "args"), [("__vmalloc", (100,)), ("vrealloc", (0, 100))])
    def test_masks_are_legal_or_refused(
        self, kernel: Kernel, api: str, args: tuple[int, ...], mask: int, legal: bool
    ) -> None:
        if legal:
            assert kernel.call(api, (*args, mask)) != 0
        else:
            assert refused(kernel, api, *args, mask) == "CALLER-GFP"

    @pytest.mark.parametrize(("api", "one", "none", "many"), MAKING)
    def test_in_atomic_context_nothing_is_made(
        self, kernel: Kernel, api: str, one: tuple[int, ...], none: tuple[int, ...], many: tuple[int, ...]
    ) -> None:
        kernel.preempt_disable()
        for args in (one, none, many):
            assert refused(kernel, api, *args) == "CALLER-CONTEXT"
        kernel.preempt_enable()
        assert kernel.call(api, one) != 0

    def test_in_atomic_context_nothing_ends(self, kernel: Kernel) -> None:
        v, page = kernel.vmalloc(P), kernel.get_zeroed_page(GFP_KERNEL)
        alias = kernel.vmap([page], 1, VM_MAP, PAGE_KERNEL)
        kernel.preempt_disable()
        for p in (v, 0):
            assert refused(kernel, "vfree", p) == "CALLER-CONTEXT"
        for p in (alias, 0):
            assert refused(kernel, "vunmap", p) == "CALLER-CONTEXT"
        for count in (1, 1 << 30):
            assert refused(kernel, "vmap", [page], count, VM_MAP, PAGE_KERNEL) == "CALLER-CONTEXT"
        for pointer, gfp in ((v, GFP_KERNEL), (v, GFP_ATOMIC), (page, GFP_KERNEL)):
            assert refused(kernel, "vrealloc", pointer, 10, gfp) == "CALLER-CONTEXT"
        assert refused(kernel, "vfree", page) == "CALLER-CONTEXT"
        assert kernel.call("vmalloc_to_page", (alias,)) == page
        assert kernel.call("is_vmalloc_addr", (v,)) == 1
