"""What real kernels answered, line by line, and the model's answers to the same questions.

The kernels were 6.1 and 6.12 on x86-64 and 6.1 as user-mode Linux. Their answers are witnesses, not rules: a
line whose answer depends on configuration or policy says so, and what the model does instead.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from kmem_model.kernel import Kernel
from kmem_spec.area import is_vmalloc_addr
from kmem_spec.gfp import GFP_KERNEL, GFP_NOWAIT, MEMALLOC, NAMES_6_1, NORETRY, ZERO
from kmem_spec.slab_flags import TYPESAFE_BY_RCU
from kmem_spec.table import Refused
from kmem_spec.units import NULL, PAGE_SIZE, SIZE_MAX, ZERO_SIZE_PTR

GFP_ATOMIC = NAMES_6_1["GFP_ATOMIC"]
MIB = 1 << 20
ADDRESS = "address"
CONFIGURED = "configuration"
POLICY = "policy"


@dataclass(frozen=True)
class Line:
    """A line of the tables.

    gives    what `model` gives
    unlike   why that is not what the kernels answered, empty where it is
    """

    asked: str
    answered: str
    model: Callable[[Kernel], object]
    gives: object
    unlike: str = ""

    def __str__(self) -> str:
        return self.asked


@dataclass(frozen=True)
class Elsewhere:
    """A line, or a part of one, about kernels that the model is not."""

    asked: str
    answered: str
    why: str


def or_null(p: int) -> int | str:
    """Return "address" for the address of an object."""
    return ADDRESS if p > ZERO_SIZE_PTR else p


def alignment(kernel: Kernel, size: int) -> int:
    """Return the largest power of two that divides the addresses of 200 objects."""
    together = 0
    for _ in range(200):
        together |= kernel.kmalloc(size, GFP_KERNEL)
    return together & -together


def dirtied(kernel: Kernel, size: int) -> int:
    """Return the address of an object, every usable byte of it written."""
    p = kernel.kmalloc(size, GFP_KERNEL)
    kernel.view.write(p, b"\xa5" * kernel.ksize(p))
    return p


def free_and_again(kernel: Kernel) -> object:
    p = dirtied(kernel, 64)
    kernel.kfree(p)
    again = kernel.kmalloc(64, GFP_KERNEL)
    return again == p, kernel.view.read(again, 64)


def usable_bytes_zeroed(kernel: Kernel) -> object:
    p = dirtied(kernel, 300)
    kernel.kfree(p)
    again = kernel.kzalloc(300, GFP_KERNEL)
    return kernel.view.read(again, kernel.ksize(again))


def resized(kernel: Kernel) -> object:
    p = dirtied(kernel, 100)
    within, less = kernel.krealloc(p, 128, GFP_KERNEL), kernel.krealloc(p, 1, GFP_KERNEL)
    beyond = kernel.krealloc(p, 129, GFP_KERNEL)
    return within == p, less == p, beyond == p, kernel.view.read(beyond, 128)


def resized_to_and_from_nothing(kernel: Kernel) -> object:
    p = kernel.kmalloc(100, GFP_KERNEL)
    return kernel.krealloc(p, 0, GFP_KERNEL), or_null(kernel.krealloc(ZERO_SIZE_PTR, 100, GFP_KERNEL))


def resized_in_vain(kernel: Kernel) -> object:
    p = dirtied(kernel, 100)
    kernel.arm(1)
    return kernel.krealloc(p, 5000, GFP_KERNEL), kernel.ksize(p), kernel.view.read(p, 128)


def resized_with_zeroes(kernel: Kernel) -> object:
    kernel.kfree(dirtied(kernel, 600))
    p = kernel.kzalloc(600, GFP_KERNEL)
    kernel.view.write(p, b"\xa5" * 600)
    same = kernel.krealloc(p, 1000, GFP_KERNEL | ZERO) == p
    return same, kernel.view.read(p + 600, 400)


def constructed(kernel: Kernel) -> object:
    ran: Counter[int] = Counter()

    def count(p: int) -> None:
        ran[p] += 1

    cache = kernel.kmem_cache_create(b"test", 40, 0, 0, count)
    objects = [kernel.kmem_cache_alloc(cache, GFP_KERNEL) for _ in range(100)]
    for p in objects:
        kernel.kmem_cache_free(cache, p)
    first = ran.total()
    again = kernel.kmem_cache_alloc_bulk(cache, GFP_KERNEL, 100)
    return first, ran.total() - first, kernel.room_at(again[0])


def content_after_free(kernel: Kernel) -> object:
    kept = []
    for flags, ctor in ((0, lambda _: None), (TYPESAFE_BY_RCU, None)):
        cache = kernel.kmem_cache_create(b"test", 40, 0, flags, ctor)
        p = kernel.kmem_cache_alloc(cache, GFP_KERNEL)
        kernel.view.write(p, b"\xa5" * 40)
        kernel.kmem_cache_free(cache, p)
        again = kernel.kmem_cache_alloc(cache, GFP_KERNEL)
        kept.append((again == p, kernel.view.read(again, 40)))
    return kept


def constructed_and_zeroed(kernel: Kernel) -> object:
    cache = kernel.kmem_cache_create(b"test", 40, 0, 0, lambda _: None)
    return clause(lambda: kernel.kmem_cache_zalloc(cache, GFP_KERNEL))


def sizes_told(kernel: Kernel) -> object:
    alone = kernel.kmem_cache_size(kernel.kmem_cache_create(b"test", 100, 64, 0, None))
    merging = Kernel(16 * MIB, merge=True)
    merging.kmem_cache_create(b"first", 128, 64, 0, None)
    return alone, merging.kmem_cache_size(merging.kmem_cache_create(b"test", 100, 64, 0, None))


def destroyed_with_a_live_object(kernel: Kernel) -> object:
    cache = kernel.kmem_cache_create(b"test", 40, 0, 0, None)
    kernel.kmem_cache_alloc(cache, GFP_KERNEL)
    alone = clause(lambda: kernel.kmem_cache_destroy(cache))
    merging = Kernel(16 * MIB, merge=True)
    first = merging.kmem_cache_create(b"first", 40, 0, 0, None)
    merged = merging.kmem_cache_create(b"test", 40, 0, 0, None)
    p = merging.kmem_cache_alloc(merged, GFP_KERNEL)
    merging.kmem_cache_destroy(merged)
    merging.kmem_cache_free(first, p)
    return alone, "silent"


def bulks(kernel: Kernel) -> object:
    cache = kernel.kmem_cache_create(b"test", 40, 0, 0, None)
    return [len(kernel.kmem_cache_alloc_bulk(cache, GFP_KERNEL, count)) for count in (16, 0)]


def natural(kernel: Kernel) -> object:
    blocks = [kernel.get_free_pages(GFP_KERNEL, order) for order in range(11)]
    beyond = [kernel.get_free_pages(GFP_KERNEL, order) for order in (11, 12, 63)]
    return [p % (PAGE_SIZE << order) for order, p in enumerate(blocks)], beyond


def exact(kernel: Kernel) -> object:
    before = kernel.frames.pages.free_pages
    p = kernel.alloc_pages_exact(5 * PAGE_SIZE, GFP_KERNEL)
    kernel.view.write(p, b"\xa5" * 5 * PAGE_SIZE)
    return kernel.room_at(p), before - kernel.frames.pages.free_pages


def distances(kernel: Kernel) -> object:
    areas = [(kernel.vmalloc(size), size) for size in (1, 4096, 4097, 20000)]
    ends = [start + size + -size % PAGE_SIZE for start, size in areas]
    return {start - end for end, (start, _) in zip(ends, areas[1:], strict=False)}


def guard_page(kernel: Kernel) -> object:
    start = kernel.vmalloc(PAGE_SIZE)
    with pytest.raises(LookupError):  # the model's page fault
        kernel.view.write(start + PAGE_SIZE, b"\xa5")
    return kernel.vmalloc_to_page(start + PAGE_SIZE)


def zeroed_areas(kernel: Kernel) -> object:
    found = Counter[int]()
    for size in (1, 4096, 4097, 100_000, 2 * MIB, 5 * MIB):
        dirty = kernel.vmalloc(size)
        kernel.view.write(dirty, b"\xa5" * size)
        kernel.vfree(dirty)
        start = kernel.vzalloc(size)
        found.update(kernel.view.read(start, size))
        kernel.vfree(start)
    return set(found)


def reach(*masks: int) -> Callable[[Kernel], object]:
    """Use memory up under one mask after the other, and say whether each reached deeper."""

    def use_up(kernel: Kernel) -> object:
        got = []
        for mask in masks:
            count = 0
            while kernel.get_free_pages(mask, 0) != NULL:
                count += 1
            got.append(count > 0)
        return got

    return use_up


def failures(call: Callable[[Kernel], int], most: int) -> Callable[[Kernel], object]:
    """Fail the n-th allocation of a call, each n in turn on a kernel of its own; say which gave NULL."""

    def fail(_: Kernel) -> object:
        null = []
        for n in range(1, most + 3):
            kernel = Kernel(16 * MIB)
            kernel.arm(n)
            if call(kernel) == NULL:
                null.append(n)
        return null

    return fail


def falls_back(kernel: Kernel) -> object:
    kernel.arm(1)
    return is_vmalloc_addr(kernel.kvmalloc(20000, GFP_KERNEL))


def clause(call: Callable[[], object]) -> str:
    """Return the clause under which a call is refused."""
    with pytest.raises(Refused) as caught:
        call()
    return caught.value.clause


def freed_twice(kernel: Kernel) -> object:
    p = kernel.kmalloc(64, GFP_KERNEL)
    kernel.kfree(p)
    return clause(lambda: kernel.kfree(p))


def freed_twice_later(kernel: Kernel) -> object:
    p, other = kernel.kmalloc(64, GFP_KERNEL), kernel.kmalloc(64, GFP_KERNEL)
    kernel.kfree(p)
    kernel.kfree(other)
    return clause(lambda: kernel.kfree(p))


def freed_inside(kernel: Kernel) -> object:
    p = kernel.kmalloc(64, GFP_KERNEL)
    return clause(lambda: kernel.kfree(p + 8))


def pages_freed_twice(kernel: Kernel) -> object:
    page = kernel.alloc_pages(GFP_KERNEL, 0)
    kernel.free_pages_of(page, 0)
    return clause(lambda: kernel.free_pages_of(page, 0))


def one_byte_past(kernel: Kernel) -> object:
    p = kernel.kmalloc(100, GFP_KERNEL)
    kernel.view.write(p + 100, b"\xa5")
    kernel.kfree(p)
    return "silent"


def areas_wrongly_freed(kernel: Kernel) -> object:
    area = kernel.vmalloc(PAGE_SIZE)
    bad = clause(lambda: kernel.vfree(area + PAGE_SIZE))
    kernel.vfree(area)
    return bad, clause(lambda: kernel.vfree(area))


def freed_to_another_cache(kernel: Kernel) -> object:
    one, two = (kernel.kmem_cache_create(name, 40, 0, 0, None) for name in (b"one", b"two"))
    p = kernel.kmem_cache_alloc(one, GFP_KERNEL)
    return clause(lambda: kernel.kmem_cache_free(two, p))


def page_freed_as_an_object(kernel: Kernel) -> object:
    page = kernel.get_free_pages(GFP_KERNEL, 0)
    return clause(lambda: kernel.kfree(page))


def area_freed_as_an_object(kernel: Kernel) -> object:
    area = kernel.vmalloc(PAGE_SIZE)
    return clause(lambda: kernel.kfree(area))


ASKED = (1, 9, 17, 33, 65, 97, 129, 193, 257, 513, 1025, 2049, 4097, 8193)
USABLE = [8, 16, 32, 64, 96, 128, 192, 256, 512, 1024, 2048, 4096, 8192, 16384]
OVERFLOWS = ((1 << 33, 1 << 33), (1 << 32, 1 << 32), (1 << 63, 2), (SIZE_MAX, 2), (1 << 61, 8))
POWERS = [8 << k for k in range(11)]

KMALLOC = [
    Line(
        "kmalloc, kzalloc, kmalloc_array, kcalloc, kvmalloc of 0",
        "16 (ZERO_SIZE_PTR)",
        lambda k: [
            k.kmalloc(0, GFP_KERNEL),
            k.kzalloc(0, GFP_KERNEL),
            k.kmalloc_array(0, 8, GFP_KERNEL),
            k.kcalloc(8, 0, GFP_KERNEL),
            k.kvmalloc(0, GFP_KERNEL),
        ],
        [16] * 5,
    ),
    Line(
        "kmalloc(0x400000) / +1 / 2^40 / 2^64-1",
        "address / NULL / NULL / NULL",
        lambda k: [or_null(k.kmalloc(n, GFP_KERNEL)) for n in (0x400000, 0x400001, 1 << 40, SIZE_MAX)],
        [ADDRESS, NULL, NULL, NULL],
    ),
    Line(
        "array of (2^33, 2^33), (2^32, 2^32), (2^63, 2), (2^64-1, 2), (2^61, 8)",
        "NULL from kmalloc_array, kcalloc, kvmalloc_array",
        lambda k: {
            make(n, size, GFP_KERNEL)
            for make in (k.kmalloc_array, k.kcalloc, k.kvmalloc_array)
            for n, size in OVERFLOWS
        },
        {NULL},
    ),
    Line(
        "ksize at 1, 9, 17, 33, 65, 97, 129, 193, 257, 513, 1025, 2049, 4097, 8193",
        "8, 16, 32, 64, 96, 128, 192, 256, 512, 1024, 2048, 4096, 8192, 16384",
        lambda k: [k.ksize(k.kmalloc(n, GFP_KERNEL)) for n in ASKED],
        USABLE,
    ),
    Line(
        "ksize above 16384",
        "powers of two to 4 MiB, page-backed",
        lambda k: [k.ksize(k.kmalloc((1 << n) + 1, GFP_KERNEL)) for n in range(14, 22)],
        [2 << n for n in range(14, 22)],
    ),
    Line(
        "alignment over 200 allocations",
        "the size, for powers of two; 32 for 96, 64 for 192",
        lambda k: [alignment(k, size) for size in (*POWERS, 96, 192)],
        [*POWERS, 32, 64],
    ),
    Line(
        "kmalloc_size_roundup(4 MiB + 1)",
        "8 MiB (6.1), 4 MiB + 1 (6.12)",
        lambda k: k.kmalloc_size_roundup(4 * MIB + 1),
        4 * MIB + 1,
        unlike="the versions differ: the model does as 6.12",
    ),
    Line(
        "free, then same size again",
        "same address (LIFO); dirty with init_on_alloc=0",
        free_and_again,
        (True, b"\xa5" * 64),
    ),
    Line("kzalloc(300)", "all 512 usable bytes zero", usable_bytes_zeroed, bytes(512)),
    Line(
        "krealloc within ksize / beyond",
        "same pointer, never shrinks / moves, prefix kept",
        resized,
        (True, True, False, b"\xa5" * 128),
    ),
    Line("krealloc(p, 0); (16, n)", "16; fresh", resized_to_and_from_nothing, (16, ADDRESS)),
    Line("krealloc failing", "NULL and the old object intact", resized_in_vain, (NULL, 128, b"\xa5" * 128)),
    Line(
        "krealloc 600 → 1000 with __GFP_ZERO in place",
        "tail zero when every step asked for zero",
        resized_with_zeroes,
        (True, bytes(400)),
    ),
    Line(
        "kvmalloc up to 4 MiB / 4 MiB + 1",
        "contiguous / vmalloc range",
        lambda k: [is_vmalloc_addr(k.kvmalloc(n, GFP_KERNEL)) for n in (1, 8192, 4 * MIB, 4 * MIB + 1)],
        [False, False, False, True],
    ),
]

CACHES = [
    Line(
        "constructor, 40-byte objects, 100 allocations",
        "170 calls (two slabs), none on reuse; ksize 48",
        constructed,
        (170, 0, 48),
    ),
    Line(
        "dirty free, then alloc, in a constructor or RCU cache",
        "content kept",
        content_after_free,
        [(True, b"\xa5" * 40)] * 2,
    ),
    Line(
        "kmem_cache_zalloc on a constructor cache",
        "not zero with init_on_alloc=1, zero with 0",
        constructed_and_zeroed,
        "CALLER-CTOR-ZERO",
        unlike=f"{CONFIGURED}: since callers cannot rely on either, it is their mistake",
    ),
    Line(
        "size 100 align 64: kmem_cache_size",
        "128 (6.1), 112 (6.12): merged; 100 with slub_nomerge",
        sizes_told,
        (100, 128),
        unlike=f"{CONFIGURED}: which caches there are to merge with; the model merges where it is told to",
    ),
    Line(
        "destroy with a live object",
        'silent if merged; else "Objects remaining", kernel survives',
        destroyed_with_a_live_object,
        ("CALLER-DESTROY", "silent"),
    ),
    Line(
        "create(size 0)",
        "divide error, panic",
        lambda k: clause(lambda: k.kmem_cache_create(b"none", 0, 0, 0, None)),
        "CALLER-CREATE",
    ),
    Line(
        "create(size > 4 MiB)",
        "NULL",
        lambda k: k.kmem_cache_create(b"large", 4 * MIB + 1, 0, 0, None),
        NULL,
    ),
    Line(
        "create(align 24)",
        "accepted",
        lambda k: clause(lambda: k.kmem_cache_create(b"odd", 100, 24, 0, None)),
        "CALLER-CREATE",
        unlike="not checked by the kernel, whose arithmetic assumes a power of two: nothing can be relied on",
    ),
    Line("bulk 16; bulk 0", "16; 0", bulks, [16, 0]),
]

PAGES = [
    Line(
        "orders 0 to 10; 11 and up",
        "naturally aligned and contiguous; NULL",
        natural,
        ([0] * 11, [NULL] * 3),
    ),
    Line("alloc_pages_exact(5 pages)", "5 pages usable", exact, (5 * PAGE_SIZE, 5)),
    Line(
        "vmalloc(0); over RAM; 2^64-1",
        "NULL",
        lambda k: [k.vmalloc(0), k.vmalloc(64 * MIB + 1), k.vmalloc(SIZE_MAX)],
        [NULL] * 3,
    ),
    Line(
        "vmalloc distances",
        "at least one page beyond the end (gaps 4096, 24576, 28672); UML SLUB: exactly one",
        distances,
        {PAGE_SIZE},
        unlike=f"{POLICY}: all legal; the model does as UML",
    ),
    Line("write to the guard page", "oops", guard_page, NULL),
    Line("vzalloc of 1, 4096, 4097, 100000, 2 MiB, 5 MiB", "zero", zeroed_areas, {0}),
]

COUNTS = f"{POLICY}: counts are nobody's contract; that each reaches deeper is"
PRESSURE = [
    Line(
        "6.1 GFP_NOWAIT, then GFP_ATOMIC, then __GFP_MEMALLOC",
        "83,216, +1,782, +622",
        reach(GFP_NOWAIT, GFP_ATOMIC, GFP_NOWAIT | MEMALLOC),
        [True, True, True],
        unlike=COUNTS,
    ),
    Line(
        "6.1 GFP_KERNEL with NORETRY, then GFP_ATOMIC, then __GFP_MEMALLOC",
        "84,612, +418, +621",
        reach(GFP_KERNEL | NORETRY, GFP_ATOMIC, GFP_NOWAIT | MEMALLOC),
        [True, True, True],
        unlike=COUNTS,
    ),
    Line(
        "6.12 GFP_NOWAIT, then GFP_ATOMIC, then __GFP_MEMALLOC",
        "83,077, +1,984, +1,104",
        reach(GFP_NOWAIT, NAMES_6_1["__GFP_HIGH"] | GFP_NOWAIT, GFP_NOWAIT | MEMALLOC),
        [True, True, True],
        unlike=COUNTS,
    ),
    Line(
        "GFP_ATOMIC, then GFP_NOWAIT",
        "GFP_ATOMIC reaches below GFP_NOWAIT, always",
        reach(GFP_ATOMIC, GFP_NOWAIT),
        [True, False],
    ),
]

INSIDE = f"{POLICY}: how many allocations a call needs inside; up to that many it fails, then it succeeds"
INJECTED = [
    Line(
        "vmalloc(20000)",
        "NULL for n = 1 to 3, succeeds from 4",
        failures(lambda k: k.vmalloc(20000), 5),
        [1, 2, 3, 4, 5],
        unlike=f"{INSIDE}. The model's are the five pages, not descriptors",
    ),
    Line("kvmalloc", "falls back to vmalloc at n = 1", falls_back, True),
    Line(
        "kmem_cache_create",
        "NULL for n = 1 to 6",
        failures(lambda k: k.kmem_cache_create(b"test", 40, 0, 0, None), 1),
        [1],
        unlike=f"{INSIDE}. The model's is the descriptor",
    ),
    Line("krealloc", "NULL, old object intact", resized_in_vain, (NULL, 128, b"\xa5" * 128)),
]

# What a kernel does with its caller's mistakes is chance; the model refuses them under a clause.
MISUSE = [
    Line("immediate double kfree", "panic", freed_twice, "CALLER-DOUBLE-FREE"),
    Line("delayed double kfree", "fault on a later allocation", freed_twice_later, "CALLER-DOUBLE-FREE"),
    Line("kfree(p + 8)", "silent", freed_inside, "CALLER-FREE"),
    Line("double __free_pages", "silent", pages_freed_twice, "CALLER-DOUBLE-FREE"),
    Line("one byte past a 100-byte object", "silent", one_byte_past, "silent"),
    Line(
        "vfree of a bad or freed address",
        "WARN, survives",
        areas_wrongly_freed,
        ("CALLER-FREE", "CALLER-DOUBLE-FREE"),
    ),
    Line("wrong-cache free", "WARN, survives", freed_to_another_cache, "CALLER-CACHE"),
    Line("kfree of a page pointer", "WARN, survives", page_freed_as_an_object, "CALLER-FAMILY"),
    Line("kfree(vmalloc pointer)", "panic", area_freed_as_an_object, "CALLER-FAMILY"),
]

LINES = {
    "kmalloc family": KMALLOC,
    "kmem_cache": CACHES,
    "pages and vmalloc": PAGES,
    "pressure": PRESSURE,
    "fault injection": INJECTED,
    "misuse": MISUSE,
}
DEBUGGING = "slub_debug: the model has neither red zones nor poison"
ELSEWHERE = [
    Elsewhere("alignment with slub_debug=FZPU", "6.1 drops 96 and 192 to 8; 6.12 keeps them", DEBUGGING),
    Elsewhere("SLAB (UML)", "smallest class 32: ksize(1 byte) = 32", "another allocator: the model is SLUB"),
    Elsewhere("SLOB (UML), ksize", "rounds to 2; of cache objects meaningless", "another allocator"),
    Elsewhere("SLOB (UML), alignment", "96 and 192 aligned to 8", "another allocator"),
    Elsewhere("SLOB (UML), constructor", "runs at every allocation", "another allocator"),
    Elsewhere("create(size 0) under slub_debug", "succeeds", DEBUGGING),
    Elsewhere("misuse under slub_debug=FZPU", "reported, at the first or each time", DEBUGGING),
]


@pytest.mark.parametrize(
    "line", [pytest.param(line, id=f"{table}: {line}") for table, lines in LINES.items() for line in lines]
)
def test_the_model_answers_as_real_kernels_did(line: Line) -> None:
    given = line.model(Kernel(64 * MIB))
    assert given == line.gives, f"asked {line.asked}, kernels answered {line.answered} {line.unlike}"


def test_each_line_stands_once_and_what_is_left_out_says_why() -> None:
    asked = [line.asked for lines in LINES.values() for line in lines]
    asked += [line.asked for line in ELSEWHERE]
    assert [each for each, count in Counter(asked).items() if count > 1] == []
    assert [line for line in ELSEWHERE if not line.why] == []
