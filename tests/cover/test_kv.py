"""What is built on kmalloc: its further calls, copies and strings, and the kv family."""

from __future__ import annotations

import pytest
from tests.kernels import refused, state

from kmem_model.kernel import Kernel
from kmem_spec.area import is_vmalloc_addr
from kmem_spec.gfp import DMA, DMA32, GFP_ATOMIC, GFP_KERNEL, GFP_NOWAIT, MEMALLOC, NOFAIL, ZERO
from kmem_spec.slab import CLASS_SIZES
from kmem_spec.units import PAGE_SIZE, SIZE_MAX, ZERO_SIZE_PTR

MIB = 1 << 20
ILLEGAL = GFP_KERNEL | DMA | DMA32
NOTHING = (0, ZERO_SIZE_PTR)


@pytest.fixture
def kernel() -> Kernel:
    return Kernel(64 * MIB)


def text(kernel: Kernel, data: bytes, room: int = 64) -> int:
    """Return an object of `room` bytes that begins with `data`, with no NUL of its own."""
    p = kernel.kmalloc(room, GFP_KERNEL)
    kernel.memory.fill(p, kernel.ksize(p), 0x2E)
    kernel.memory.write(p, data)
    return p


class TestKmallocKin:
    def test_krealloc_array_is_krealloc_of_the_product(self, kernel: Kernel) -> None:
        p = kernel.krealloc_array(0, 3, 50, GFP_KERNEL)
        assert kernel.ksize(p) == 192
        kernel.memory.fill(p, 192, 0x44)
        q = kernel.krealloc_array(p, 3, 100, GFP_KERNEL)
        assert kernel.memory.first_other(q, 192, 0x44) is None
        assert kernel.krealloc_array(q, 0, 100, GFP_KERNEL) == ZERO_SIZE_PTR
        assert refused(kernel, "kfree", q) == "CALLER-DOUBLE-FREE"

    @pytest.mark.parametrize(("n", "size"), [(1 << 33, 1 << 33), (SIZE_MAX, 2), (1 << 61, 8)])
    def test_krealloc_array_leaves_the_object_where_the_product_does_not_fit(
        self, kernel: Kernel, n: int, size: int
    ) -> None:
        p = kernel.kmalloc(50, GFP_KERNEL)
        before = state(kernel)
        assert kernel.krealloc_array(p, n, size, GFP_KERNEL) == 0
        assert state(kernel) == before
        assert refused(kernel, "krealloc_array", p, n, size, ILLEGAL) == "CALLER-GFP"
        assert refused(kernel, "krealloc_array", p + 8, n, size, GFP_KERNEL) == "CALLER-FREE"

    @pytest.mark.parametrize("size", [96, 20000])
    def test_kfree_sensitive_leaves_zeroes_alone(self, kernel: Kernel, size: int) -> None:
        p = text(kernel, b"secret", size)
        room = kernel.ksize(p)
        kernel.kfree_sensitive(p)
        assert kernel.memory.first_other(p, room, 0) is None
        assert refused(kernel, "kfree_sensitive", p) == "CALLER-DOUBLE-FREE"
        assert refused(kernel, "kfree_sensitive", p + 8) == "CALLER-FREE"

    def test_kfree_leaves_the_bytes(self, kernel: Kernel) -> None:
        p = text(kernel, b"secret")
        kernel.kfree(p)
        assert kernel.memory.read(p, 6) == b"secret"

    @pytest.mark.parametrize("nothing", NOTHING)
    def test_kfree_sensitive_of_nothing_does_nothing(self, kernel: Kernel, nothing: int) -> None:
        before = state(kernel)
        kernel.kfree_sensitive(nothing)
        assert state(kernel) == before

    def test_kfree_bulk_frees_the_first_so_many(self, kernel: Kernel) -> None:
        objects = [kernel.kmalloc(size, GFP_KERNEL) for size in (8, 100, 20000, 8)]
        kernel.kfree_bulk(3, objects)
        assert [kernel.family_at(p) for p in objects] == [None, None, None, "kmalloc"]
        kernel.kfree_bulk(0, objects)

    @pytest.mark.parametrize(
        ("wrong", "clause"),
        [
            ("nothing", "CALLER-FREE"),
            ("zero size", "CALLER-FREE"),
            ("inside", "CALLER-FREE"),
            ("again", "CALLER-DOUBLE-FREE"),
            ("block", "CALLER-FAMILY"),
        ],
    )
    def test_kfree_bulk_frees_all_or_none(self, kernel: Kernel, wrong: str, clause: str) -> None:
        good = kernel.kmalloc(100, GFP_KERNEL)
        pointers = {
            "nothing": 0,
            "zero size": ZERO_SIZE_PTR,
            "inside": good + 8,
            "again": good,
            "block": kernel.get_zeroed_page(GFP_KERNEL),
        }
        assert refused(kernel, "kfree_bulk", 2, [good, pointers[wrong]]) == clause
        kernel.kfree_bulk(1, [good, pointers[wrong]])

    def test_roundup_is_what_ksize_will_say(self, kernel: Kernel) -> None:
        for size in (1, *CLASS_SIZES, 65, 8193, 100000, 4 * MIB):
            assert kernel.kmalloc_size_roundup(size) == kernel.ksize(kernel.kmalloc(size, GFP_KERNEL))

    def test_roundup_of_what_cannot_be_is_the_size_itself(self, kernel: Kernel) -> None:
        assert [kernel.kmalloc_size_roundup(n) for n in (0, 4 * MIB + 1, SIZE_MAX)] == [
            0,
            4 * MIB + 1,
            SIZE_MAX,
        ]


class TestCopies:
    def test_kmemdup_copies_the_bytes_asked_for(self, kernel: Kernel) -> None:
        p = text(kernel, b"abcdef")
        q = kernel.kmemdup(p, 4, GFP_KERNEL)
        assert kernel.memory.read(q, 5) == b"abcd\xa5"
        assert kernel.memory.read(p, 6) == b"abcdef"

    @pytest.mark.parametrize("source", [0, ZERO_SIZE_PTR, 0x1234])
    def test_kmemdup_of_no_bytes_reads_nothing(self, kernel: Kernel, source: int) -> None:
        assert kernel.kmemdup(source, 0, GFP_KERNEL) == ZERO_SIZE_PTR
        assert refused(kernel, "kmemdup", source, 1, GFP_KERNEL) == "CALLER-FREE"

    def test_sources_are_of_any_family(self, kernel: Kernel) -> None:
        cache = kernel.kmem_cache_create(b"test", 64, 0, 0, None)
        sources = [
            kernel.kmem_cache_alloc(cache, GFP_KERNEL),
            kernel.get_free_pages(GFP_KERNEL, 0),
            kernel.vmalloc(100),
            kernel.kvmalloc(100, GFP_KERNEL),
            kernel.kmalloc(20000, GFP_KERNEL),
        ]
        for source in sources:
            kernel.view.write(source, b"same\0")
            assert kernel.memory.read(kernel.kmemdup(source, 5, GFP_KERNEL), 5) == b"same\0"
            assert kernel.memory.read(kernel.kstrdup(source, GFP_KERNEL), 5) == b"same\0"

    def test_kstrdup_copies_up_to_the_nul(self, kernel: Kernel) -> None:
        q = kernel.kstrdup(text(kernel, b"hello\0rest"), GFP_KERNEL)
        assert kernel.memory.read(q, 8) == b"hello\0\xa5\xa5"
        assert kernel.ksize(q) == 8
        empty = kernel.kstrdup(text(kernel, b"\0"), GFP_KERNEL)
        assert kernel.memory.read(empty, 1) == b"\0"

    @pytest.mark.parametrize(("most", "copied"), [(0, b""), (3, b"hel"), (5, b"hello"), (99, b"hello")])
    def test_kstrndup_copies_no_more_than_it_may_and_ends_with_a_nul(
        self, kernel: Kernel, most: int, copied: bytes
    ) -> None:
        q = kernel.kstrndup(text(kernel, b"hello\0rest"), most, GFP_KERNEL)
        assert kernel.memory.read(q, len(copied) + 1) == copied + b"\0"

    def test_kstrndup_needs_no_nul_within_its_limit(self, kernel: Kernel) -> None:
        p = text(kernel, b"", 64)
        assert kernel.memory.read(kernel.kstrndup(p, 64, GFP_KERNEL), 65) == b"." * 64 + b"\0"
        assert refused(kernel, "kstrndup", p, 65, GFP_KERNEL) == "CALLER-BOUNDS"
        assert refused(kernel, "kstrdup", p, GFP_KERNEL) == "CALLER-BOUNDS"
        assert refused(kernel, "kmemdup", p, 65, GFP_KERNEL) == "CALLER-BOUNDS"

    def test_a_string_that_is_null_gives_null(self, kernel: Kernel) -> None:
        assert kernel.kstrdup(0, GFP_KERNEL) == kernel.kstrndup(0, 5, GFP_KERNEL) == 0

    calls = [("kmemdup", (4, GFP_KERNEL)), ("kstrdup", (GFP_KERNEL,)), ("kstrndup", (4, GFP_KERNEL))]

    @pytest.mark.parametrize(("api", "args"), calls)
    def test_failing_changes_nothing(self, kernel: Kernel, api: str, args: tuple[int, ...]) -> None:
        p = text(kernel, b"abcdefgh\0")
        before = state(kernel)
        kernel.fail_nth = 1
        assert kernel.call(api, (p, *args)) == 0
        assert state(kernel) == before
        assert kernel.call(api, (p, *args)) != 0

    @pytest.mark.parametrize(("api", "args"), calls)
    def test_wrong_sources_masks_and_contexts_are_refused(
        self, kernel: Kernel, api: str, args: tuple[int, ...]
    ) -> None:
        p, gone = text(kernel, b"abc\0"), text(kernel, b"abc\0")
        kernel.kfree(gone)
        assert refused(kernel, api, gone, *args) == "CALLER-FREE"
        assert refused(kernel, api, p + 8, *args) == "CALLER-FREE"
        assert refused(kernel, api, p, *args[:-1], ILLEGAL) == "CALLER-GFP"
        kernel.preempt_disable()
        assert refused(kernel, api, p, *args) == "CALLER-CONTEXT"


class TestKvmalloc:
    calls = [
        ("kvmalloc", (100,)),
        ("kvzalloc", (100,)),
        ("kvmalloc_array", (10, 10)),
        ("kvcalloc", (10, 10)),
        ("kvrealloc", (0, 100)),
    ]

    @pytest.mark.parametrize(("api", "args"), calls)
    def test_small_ones_are_kmallocs_or_null(self, kernel: Kernel, api: str, args: tuple[int, ...]) -> None:
        p = kernel.call(api, (*args, GFP_KERNEL))
        assert kernel.room_at(p) == 128
        assert kernel.family_at(p) == "kv"
        kernel.kvfree(p)
        assert kernel.family_at(p) is None
        assert kernel.lent == {}
        exhaust(kernel, 0)
        while kernel.kmalloc(128, GFP_KERNEL):
            pass
        assert kernel.call(api, (*args, GFP_KERNEL)) == 0

    @pytest.mark.parametrize(("api", "zero"), [("kvmalloc", False), ("kvzalloc", True)])
    @pytest.mark.parametrize("size", [100, 20000])
    def test_zeroes_only_where_they_are_asked_for(
        self, kernel: Kernel, api: str, zero: bool, size: int
    ) -> None:
        for fail in (0, 1) if size > PAGE_SIZE else (0,):
            kernel.fail_nth = fail
            p = kernel.call(api, (size, GFP_KERNEL))
            assert is_vmalloc_addr(p) == bool(fail)
            assert (kernel.view.first_other(p, size, 0) is None) == zero

    def test_large_ones_fall_back_to_an_area(self, kernel: Kernel) -> None:
        kernel.fail_nth = 1
        p = kernel.kvmalloc(20000, GFP_KERNEL | NOFAIL)
        assert is_vmalloc_addr(p)
        assert kernel.fail_nth == 0
        assert kernel.room_at(p) == 20480
        assert kernel.family_at(p) == "kv"
        kernel.kvfree(p)
        assert kernel.family_at(p) is None

    def test_more_than_kmalloc_has_comes_from_an_area(self, kernel: Kernel) -> None:
        assert not is_vmalloc_addr(kernel.kvmalloc(4 * MIB, GFP_KERNEL))
        assert is_vmalloc_addr(kernel.kvmalloc(4 * MIB + 1, GFP_KERNEL))

    @pytest.mark.parametrize("gfp", [GFP_NOWAIT, GFP_ATOMIC])
    def test_who_may_not_sleep_gets_no_area(self, kernel: Kernel, gfp: int) -> None:
        assert kernel.kvmalloc(4 * MIB + 1, gfp) == 0
        kernel.fail_nth = 1
        assert kernel.kvmalloc(20000, gfp) == 0
        assert kernel.kvmalloc(20000, gfp) != 0

    def test_a_page_gets_no_area(self, kernel: Kernel) -> None:
        kernel.fail_nth = 1
        assert kernel.kvmalloc(PAGE_SIZE, GFP_KERNEL) == 0

    @pytest.mark.parametrize("size", [1 << 31, 1 << 40, SIZE_MAX])
    def test_nothing_is_larger_than_int_max(self, size: int) -> None:
        kernel = Kernel(4 << 30)
        before = state(kernel)
        assert kernel.kvmalloc(size, GFP_KERNEL) == 0
        assert state(kernel) == before

    @pytest.mark.parametrize("api", ["kvmalloc_array", "kvcalloc"])
    def test_products_are_exact_or_null(self, kernel: Kernel, api: str) -> None:
        assert kernel.call(api, (1 << 33, 1 << 33, GFP_KERNEL)) == 0
        assert kernel.call(api, (SIZE_MAX, 2, GFP_KERNEL)) == 0
        assert kernel.room_at(kernel.call(api, (3, 50, GFP_KERNEL))) == 192
        assert refused(kernel, api, SIZE_MAX, 2, ILLEGAL) == "CALLER-GFP"

    def test_nothing_asked_for_is_a_pointer_to_nothing(self, kernel: Kernel) -> None:
        assert kernel.kvmalloc(0, GFP_KERNEL) == kernel.kvcalloc(0, 5, GFP_KERNEL) == ZERO_SIZE_PTR
        assert kernel.lent == {}

    @pytest.mark.parametrize("nothing", NOTHING)
    def test_nothing_is_freed_in_vain(self, kernel: Kernel, nothing: int) -> None:
        before = state(kernel)
        kernel.kvfree(nothing)
        assert state(kernel) == before


class TestKvfree:
    def test_takes_what_kmalloc_and_vmalloc_gave(self, kernel: Kernel) -> None:
        for p in (kernel.kmalloc(100, GFP_KERNEL), kernel.kmalloc(20000, GFP_KERNEL), kernel.vmalloc(100)):
            kernel.kvfree(p)
            assert kernel.family_at(p) is None
            assert refused(kernel, "kvfree", p) == "CALLER-DOUBLE-FREE"

    @pytest.mark.parametrize("fail", [0, 1])
    def test_what_it_frees_goes_no_other_way(self, kernel: Kernel, fail: int) -> None:
        kernel.fail_nth = fail
        p = kernel.kvmalloc(20000, GFP_KERNEL)
        for api in ("kfree", "kfree_sensitive", "ksize", "vfree"):
            assert refused(kernel, api, p) == "CALLER-FAMILY"
        assert refused(kernel, "krealloc", p, 10, GFP_KERNEL) == "CALLER-FAMILY"
        assert refused(kernel, "vrealloc", p, 10, GFP_KERNEL) == "CALLER-FAMILY"
        assert refused(kernel, "kvfree", p + PAGE_SIZE) == "CALLER-FREE"
        kernel.kvfree(p)
        assert refused(kernel, "kvfree", p) == "CALLER-DOUBLE-FREE"
        assert refused(kernel, "kvrealloc", p, 10, GFP_KERNEL) == "CALLER-FREE"

    def test_others_are_refused(self, kernel: Kernel) -> None:
        cache = kernel.kmem_cache_create(b"test", 64, 0, 0, None)
        page = kernel.get_zeroed_page(GFP_KERNEL)
        for p in (kernel.kmem_cache_alloc(cache, GFP_KERNEL), page, kernel.vmap([page], 1, 4, 0)):
            assert refused(kernel, "kvfree", p) == "CALLER-FAMILY"
            assert refused(kernel, "kvrealloc", p, 10, GFP_KERNEL) == "CALLER-FAMILY"

    def test_it_may_sleep(self, kernel: Kernel) -> None:
        p = kernel.kvmalloc(100, GFP_KERNEL)
        kernel.preempt_disable()
        assert refused(kernel, "kvfree", p) == "CALLER-CONTEXT"
        assert refused(kernel, "kvmalloc", 100, GFP_KERNEL) == "CALLER-CONTEXT"
        assert refused(kernel, "kvrealloc", p, 10, GFP_KERNEL) == "CALLER-CONTEXT"
        assert kernel.kvrealloc(p, 1000, GFP_ATOMIC) != 0


class TestKvrealloc:
    def filled(self, kernel: Kernel, size: int, *, area: bool) -> int:
        kernel.fail_nth = 1 if area else 0
        p = kernel.kvmalloc(size, GFP_KERNEL)
        assert is_vmalloc_addr(p) == area
        kernel.view.fill(p, size, 0x44)
        return p

    @pytest.mark.parametrize(("size", "asked"), [(100, 128), (100, 1), (20000, 32768)])
    def test_stays_where_it_fits(self, kernel: Kernel, size: int, asked: int) -> None:
        p = self.filled(kernel, size, area=False)
        assert kernel.kvrealloc(p, asked, GFP_KERNEL) == p
        assert kernel.family_at(p) == "kv"
        assert kernel.memory.first_other(p, min(size, asked), 0x44) is None

    @pytest.mark.parametrize(("size", "asked"), [(100, 129), (100, 20000), (20000, 6 * MIB)])
    def test_moves_with_its_bytes(self, kernel: Kernel, size: int, asked: int) -> None:
        p = self.filled(kernel, size, area=False)
        q = kernel.kvrealloc(p, asked, GFP_KERNEL)
        assert q != p
        assert kernel.view.first_other(q, size, 0x44) is None
        assert kernel.family_at(p) is None
        assert list(kernel.lent) == [q]
        assert is_vmalloc_addr(q) == (asked > 4 * MIB)
        kernel.kvfree(q)

    def test_falls_back_to_an_area(self, kernel: Kernel) -> None:
        p = self.filled(kernel, 3000, area=False)
        for page in exhaust(kernel, 0)[::2]:
            kernel.free_pages(page, 0)  # no two together
        q = kernel.kvrealloc(p, 9000, GFP_KERNEL)
        assert is_vmalloc_addr(q)
        assert kernel.view.first_other(q, 3000, 0x44) is None

    @pytest.mark.parametrize("area", [False, True])
    def test_failing_leaves_the_object(self, kernel: Kernel, area: bool) -> None:
        p = self.filled(kernel, 20000, area=area)
        exhaust(kernel, 0)
        before = state(kernel)
        assert kernel.kvrealloc(p, 3 * MIB, GFP_KERNEL) == 0
        assert kernel.kvrealloc(p, 1 << 40, GFP_KERNEL) == 0
        assert state(kernel) == before
        assert kernel.family_at(p) == "kv"
        kernel.kvfree(p)

    def test_an_area_grows_with_its_bytes(self, kernel: Kernel) -> None:
        p = self.filled(kernel, 20000, area=True)
        q = kernel.kvrealloc(p, 40000, GFP_KERNEL)
        assert kernel.view.first_other(q, 20000, 0x44) is None
        assert list(kernel.lent) == [q]

    @pytest.mark.parametrize(("area", "end"), [(False, ZERO_SIZE_PTR), (True, 0)])
    def test_to_nothing_frees(self, kernel: Kernel, area: bool, end: int) -> None:
        p = self.filled(kernel, 20000, area=area)
        assert kernel.kvrealloc(p, 0, GFP_KERNEL) == end
        assert refused(kernel, "kvfree", p) == "CALLER-DOUBLE-FREE"
        assert kernel.lent == {}

    @pytest.mark.parametrize("nothing", NOTHING)
    def test_of_nothing_is_kvmalloc(self, kernel: Kernel, nothing: int) -> None:
        p = kernel.kvrealloc(nothing, 6 * MIB, GFP_KERNEL | ZERO)
        assert kernel.view.first_other(p, 6 * MIB, 0) is None

    def test_takes_what_kmalloc_and_vmalloc_gave(self, kernel: Kernel) -> None:
        for p in (kernel.kmalloc(100, GFP_KERNEL), kernel.vmalloc(100)):
            assert kernel.kvrealloc(p, 90, GFP_KERNEL) == p
            assert kernel.family_at(p) == "kv"
        assert refused(kernel, "kvrealloc", p, 10, ILLEGAL) == "CALLER-GFP"


def exhaust(kernel: Kernel, order: int) -> list[int]:
    """Take and return every block of that order, those kept in reserve too."""
    blocks = []
    while block := kernel.get_free_pages(GFP_KERNEL | MEMALLOC, order):
        blocks.append(block)
    return blocks
