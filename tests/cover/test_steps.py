"""State changes through steps alone: with a step out of order, the calls that need it fail, and no other.

Each row of a table is a call and the steps that it takes; every step is broken in turn under each row. A step
or a call without a row is named.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from kmem_model.area import Areas
from kmem_model.kernel import Kernel
from kmem_model.slab import BuiltCache, Cache
from kmem_model.zone import Zone
from kmem_spec.apis import APIS
from kmem_spec.calls import CONSTRUCTED, DESTRUCTED, Answer, Call, Event, Note
from kmem_spec.constructed import Constructed
from kmem_spec.gfp import GFP_KERNEL, GFP_NOWAIT
from kmem_spec.judge import Judge
from kmem_spec.ledger import Ledger
from kmem_spec.profile import load
from kmem_spec.table import Refused
from kmem_spec.units import PAGE_SIZE, ZERO_SIZE_PTR

BROKEN = "MEM-APART"  # what a step out of order says; a clause that every judge has in force
OWNERS: tuple[type, ...] = (Zone, Cache, BuiltCache, Areas, Ledger, Constructed)
NO_STEPS = {
    "Zone.filled": "makes a zone",
    "Zone.extend": "makes a zone",
    "Zone.mergeable": "looks",
    "Zone.settle": "is many a merge",
}
STEPS: dict[str, tuple[type, str]] = {
    f"{owner.__name__}.{name}": (owner, name)
    for owner in OWNERS
    for name, each in vars(owner).items()
    if (callable(each) or isinstance(each, classmethod))
    and not name.startswith("_")
    and f"{owner.__name__}.{name}" not in NO_STEPS
}
KERNELS = {name: step for name, step in STEPS.items() if step[0] is not Constructed}
JUDGES = {name: step for name, step in STEPS.items() if step[0] in (Ledger, Constructed)}
TAKE, PUT = ("Zone.take", "Zone.split"), ("Zone.put", "Zone.merge")
NEW_SLAB = ("Cache.grow", "Cache.alloc", *TAKE)
NEXT_SLAB = ("Cache.grow", "Cache.alloc", "Zone.take")  # half of what was split for the one before
END_SLAB = ("Cache.shrink", *PUT)
BUILD = ("BuiltCache.grow", "BuiltCache.construct", "BuiltCache.alloc")
RAZE = ("BuiltCache.destruct", "BuiltCache.shrink")
NEW_BLOCK, END_BLOCK = ("Ledger.accept", *TAKE), ("Ledger.release", *PUT)
NEW_AREA = ("Areas.map", "Areas.back", *NEW_BLOCK)
END_AREA = ("Areas.unback", "Areas.unmap", *END_BLOCK)
RENEW = ("Ledger.accept", "Ledger.release")
GIVES_NOTHING = ("free", "free bulk", "destroy", "adjust", "split", "set")
Arguments = tuple[object, ...]


def nothing(_: Kernel) -> Arguments:
    return ()


def one(size: int) -> Callable[[Kernel], Arguments]:
    """Prepare an object of `size` bytes, the first argument of the call."""
    return lambda kernel: (kernel.kmalloc(size, GFP_KERNEL),)


def used(size: int) -> Callable[[Kernel], Arguments]:
    """Prepare the class of `size` to have a slab."""

    def prepare(kernel: Kernel) -> Arguments:
        kernel.kmalloc(size, GFP_KERNEL)
        return ()

    return prepare


def block(order: int) -> Callable[[Kernel], Arguments]:
    """Prepare a block of pages, the first argument of the call."""
    return lambda kernel: (kernel.get_free_pages(GFP_KERNEL, order),)


def two(kernel: Kernel) -> Arguments:
    """Prepare two objects, the arguments of a bulk free."""
    return (2, [kernel.kmalloc(64, GFP_KERNEL) for _ in range(2)])


def text(kernel: Kernel) -> Arguments:
    """Prepare a string, the first argument of the call."""
    p = kernel.kmalloc(64, GFP_KERNEL)
    kernel.memory.write(p, b"text\0")
    return (p,)


def either(size: int) -> Callable[[Kernel], Arguments]:
    """Prepare an object of the kv family, the first argument of the call."""
    return lambda kernel: (kernel.kvmalloc(size, GFP_KERNEL),)


def cache(*, objects: int = 0, freed: bool = False, built: bool = False) -> Callable[[Kernel], Arguments]:
    """Prepare a cache with some objects, the first arguments of the call; freed ones are no argument."""

    def prepare(kernel: Kernel) -> Arguments:
        hook = (lambda _: None) if built else None
        handle = kernel.kmem_cache_create_26(b"test", 64, 0, 0, hook, hook)
        made = [kernel.kmem_cache_alloc(handle, GFP_KERNEL) for _ in range(objects)]
        if not freed:
            return (handle, *made)
        for p in made:
            kernel.kmem_cache_free(handle, p)
        return (handle,)

    return prepare


def two_of_cache(kernel: Kernel) -> Arguments:
    """Prepare two objects of a cache, the arguments of a bulk free."""
    handle, *objects = cache(objects=2)(kernel)
    return (handle, 2, objects)


def pool(least: int, *, last: bool = False) -> Callable[[Kernel], Arguments]:
    """Prepare a pool over kmalloc: the first argument of the call, or the last behind an element of it."""

    def prepare(kernel: Kernel) -> Arguments:
        handle = kernel.mempool_create(least, lambda gfp: kernel.kmalloc(64, gfp), kernel.kfree, 64)
        return (kernel.mempool_alloc(handle, GFP_KERNEL), handle) if last else (handle,)

    return prepare


def number_and_functions(kernel: Kernel) -> Arguments:
    """Prepare the arguments of mempool_create."""
    return (2, lambda gfp: kernel.kmalloc(64, gfp), kernel.kfree, 64)


def number_and_cache(kernel: Kernel) -> Arguments:
    """Prepare the arguments of mempool_create_slab_pool."""
    return (2, *cache()(kernel))


def many_empty(kernel: Kernel) -> Arguments:
    """Prepare a class with enough empty slabs that the next is given back, and the object to free for it."""
    objects = [kernel.kmalloc(8192, GFP_KERNEL) for _ in range(4 * 10)]
    for p in objects[4:]:
        kernel.kfree(p)
    for p in objects[1:4]:
        kernel.kfree(p)
    return (objects[0],)


def need(kernel: Kernel) -> Arguments:
    """Prepare a machine whose last free pages lie in an empty slab."""
    kernel.kfree(kernel.kmalloc(8192, GFP_NOWAIT))
    while kernel.frames.pages.alloc(3, GFP_NOWAIT) is not None:
        pass
    return ()


def area(size: int) -> Callable[[Kernel], Arguments]:
    """Prepare an area, the first argument of the call."""
    return lambda kernel: (kernel.vmalloc(size),)


def pages(kernel: Kernel) -> Arguments:
    """Prepare three pages, the first arguments of a vmap."""
    return ([kernel.alloc_pages(GFP_KERNEL, 0) for _ in range(3)], 3)


def shown(kernel: Kernel) -> Arguments:
    """Prepare an area that shows three pages, the first argument of the call."""
    given = [kernel.alloc_pages(GFP_KERNEL, 0) for _ in range(3)]
    return (kernel.vmap(given, 3, 0, 0),)


def exact(kernel: Kernel) -> Arguments:
    """Prepare five pages that were asked for as bytes, the first argument of the call."""
    return (kernel.alloc_pages_exact(5 * PAGE_SIZE, GFP_KERNEL),)


def atomic(kernel: Kernel) -> Arguments:
    """Prepare atomic context."""
    kernel.preempt_disable()
    return ()


def failing(nth: int, prepare: Callable[[Kernel], Arguments] = nothing) -> Callable[[Kernel], Arguments]:
    """Prepare something, and the n-th allocation from then on to fail."""

    def prepare_and_arm(kernel: Kernel) -> Arguments:
        args = prepare(kernel)
        kernel.arm(nth)
        return args

    return prepare_and_arm


@dataclass(frozen=True)
class Row:
    """A call, what prepares it, and its steps; `null` says that it gives NULL here, unlike its kind."""

    api: str
    prepare: Callable[[Kernel], Arguments]
    args: Arguments
    steps: tuple[str, ...]
    says: str
    null: bool = False

    def __str__(self) -> str:
        return f"{self.api}, {self.says}"


ROWS = [
    Row("kmalloc", nothing, (64, GFP_KERNEL), NEW_SLAB, "first of its class"),
    Row("kmalloc", used(64), (64, GFP_KERNEL), ("Cache.alloc",), "slab with room"),
    Row("kmalloc", nothing, (20000, GFP_KERNEL), NEW_BLOCK, "large"),
    Row("kmalloc", nothing, (0, GFP_KERNEL), (), "nothing asked for"),
    Row("kmalloc", need, (8192, GFP_NOWAIT), ("Cache.alloc",), "the empty slab used"),
    Row(
        "__get_free_pages",
        need,
        (GFP_NOWAIT, 3),
        ("Cache.shrink", "Zone.put", "Zone.take", "Ledger.accept"),
        "the empty slab given back",
    ),
    Row("kzalloc", nothing, (64, GFP_KERNEL), NEW_SLAB, "first of its class"),
    Row("kzalloc", nothing, (20000, GFP_KERNEL), NEW_BLOCK, "large"),
    Row("kmalloc_array", nothing, (4, 16, GFP_KERNEL), NEW_SLAB, "first of its class"),
    Row("kmalloc_array", nothing, (4, 5000, GFP_KERNEL), NEW_BLOCK, "large"),
    Row("kcalloc", nothing, (4, 16, GFP_KERNEL), NEW_SLAB, "first of its class"),
    Row("kcalloc", nothing, (4, 5000, GFP_KERNEL), NEW_BLOCK, "large"),
    Row("krealloc", nothing, (0, 64, GFP_KERNEL), NEW_SLAB, "of nothing"),
    Row("krealloc", one(33), (64, GFP_KERNEL), (), "in place"),
    Row(
        "krealloc",
        one(33),
        (65, GFP_KERNEL),
        ("Cache.grow", "Cache.alloc", "Zone.take", "Cache.free"),
        "to another class",
    ),
    Row("krealloc", one(33), (20000, GFP_KERNEL), ("Ledger.accept", "Zone.take", "Cache.free"), "to a block"),
    Row(
        "krealloc",
        one(20000),
        (40000, GFP_KERNEL),
        ("Ledger.accept", "Zone.take", *END_BLOCK),
        "block to block",
    ),
    Row("krealloc", one(33), (0, GFP_KERNEL), ("Cache.free",), "to nothing"),
    Row("kfree", one(64), (), ("Cache.free",), "object"),
    Row(
        "kfree", many_empty, (), ("Cache.free", "Cache.shrink", "Zone.put"), "last object of a slab too many"
    ),
    Row("kfree", one(20000), (), END_BLOCK, "large"),
    Row("ksize", one(64), (), (), "object"),
    Row("ksize", one(20000), (), (), "large"),
    Row("__get_free_pages", nothing, (GFP_KERNEL, 2), NEW_BLOCK, "order 2"),
    Row(
        "__get_free_pages",
        nothing,
        (GFP_KERNEL, 10),
        ("Ledger.accept", "Zone.take"),
        "the largest block whole",
    ),
    Row("__get_free_pages", nothing, (GFP_KERNEL, 11), (), "order above the largest", null=True),
    Row("get_zeroed_page", nothing, (GFP_KERNEL,), NEW_BLOCK, "one page"),
    Row("free_pages", block(2), (2,), END_BLOCK, "order 2"),
    Row("free_pages", block(10), (10,), ("Ledger.release", "Zone.put"), "the largest block"),
    Row("krealloc_array", nothing, (0, 4, 16, GFP_KERNEL), NEW_SLAB, "of nothing"),
    Row("krealloc_array", one(33), (4, 16, GFP_KERNEL), (), "in place"),
    Row("kmemdup", one(64), (8, GFP_KERNEL), NEXT_SLAB, "object"),
    Row("kstrdup", text, (GFP_KERNEL,), NEXT_SLAB, "string"),
    Row("kstrndup", text, (2, GFP_KERNEL), NEXT_SLAB, "two of a string"),
    Row("kfree_sensitive", one(64), (), ("Cache.free",), "object"),
    Row("kfree_sensitive", one(20000), (), END_BLOCK, "large"),
    Row("kfree_bulk", two, (), ("Cache.free",), "two objects"),
    Row("kmalloc_size_roundup", nothing, (100,), (), "a size"),
    Row("kvmalloc", nothing, (64, GFP_KERNEL), NEW_SLAB, "first of its class"),
    Row("kvmalloc", nothing, (20000, GFP_KERNEL), NEW_BLOCK, "large"),
    Row("kvzalloc", nothing, (64, GFP_KERNEL), NEW_SLAB, "first of its class"),
    Row("kvmalloc_array", nothing, (4, 16, GFP_KERNEL), NEW_SLAB, "first of its class"),
    Row("kvcalloc", nothing, (4, 16, GFP_KERNEL), NEW_SLAB, "first of its class"),
    Row("kvrealloc", either(64), (60, GFP_KERNEL), (), "in place"),
    Row("kvrealloc", either(64), (100, GFP_KERNEL), (*NEXT_SLAB, "Cache.free"), "to another class"),
    Row("kvfree", either(64), (), ("Cache.free",), "object"),
    Row("kvfree", either(20000), (), END_BLOCK, "large"),
    Row("kmem_cache_create", nothing, (b"test", 64, 0, 0, None), (), "plain"),
    Row("kmem_cache_create_26", nothing, (b"test", 64, 0, 0, None, None), (), "plain"),
    Row("kmem_cache_alloc", cache(), (GFP_KERNEL,), NEW_SLAB, "first of its cache"),
    Row("kmem_cache_alloc", cache(objects=1, freed=True), (GFP_KERNEL,), ("Cache.alloc",), "slab with room"),
    Row("kmem_cache_alloc", cache(built=True), (GFP_KERNEL,), (*NEW_SLAB, *BUILD), "with constructor"),
    Row("kmem_cache_zalloc", cache(), (GFP_KERNEL,), NEW_SLAB, "first of its cache"),
    Row("kmem_cache_alloc_bulk", cache(), (GFP_KERNEL, 3), NEW_SLAB, "first of its cache"),
    Row("kmem_cache_free", cache(objects=1), (), ("Cache.free",), "object"),
    Row("kmem_cache_free", cache(objects=1, built=True), (), ("Cache.free",), "with destructor"),
    Row("kmem_cache_free_bulk", two_of_cache, (), ("Cache.free",), "two objects"),
    Row("kmem_cache_shrink", cache(), (), (), "no slab"),
    Row("kmem_cache_shrink", cache(objects=1, freed=True), (), END_SLAB, "empty slab"),
    Row(
        "kmem_cache_shrink",
        cache(objects=1, freed=True, built=True),
        (),
        (*END_SLAB, *RAZE),
        "with destructor",
    ),
    Row("kmem_cache_size", cache(), (), (), "plain"),
    Row("kmem_cache_destroy", cache(objects=1, freed=True), (), END_SLAB, "empty slab"),
    Row(
        "kmem_cache_destroy",
        cache(objects=1, freed=True, built=True),
        (),
        (*END_SLAB, *RAZE),
        "with destructor",
    ),
    Row("mempool_create", number_and_functions, (), NEW_SLAB, "over kmalloc"),
    Row("mempool_create_slab_pool", number_and_cache, (), NEW_SLAB, "over a cache"),
    Row("mempool_alloc", pool(0), (GFP_KERNEL,), NEW_SLAB, "from the allocator"),
    Row("mempool_free", pool(0, last=True), (), ("Cache.free",), "to the allocator"),
    Row("mempool_resize", pool(0), (2,), NEW_SLAB, "larger"),
    Row("mempool_resize", pool(3), (2,), ("Cache.free",), "smaller"),
    Row("mempool_destroy", pool(2), (), ("Cache.free",), "with its reserve"),
    Row("alloc_pages", nothing, (GFP_KERNEL, 2), NEW_BLOCK, "order 2"),
    Row("__free_pages", block(2), (2,), END_BLOCK, "order 2"),
    Row("alloc_pages_bulk", nothing, (GFP_KERNEL, 3), NEW_BLOCK, "three pages"),
    Row("split_page", block(2), (2,), ("Zone.divide", *RENEW), "order 2"),
    Row("split_page", block(0), (0,), RENEW, "a single page"),
    Row(
        "alloc_pages_exact",
        nothing,
        (5 * PAGE_SIZE, GFP_KERNEL),
        ("Zone.divide", *NEW_BLOCK, *PUT),
        "five of eight pages",
    ),
    Row("alloc_pages_exact", nothing, (1, GFP_KERNEL), NEW_BLOCK, "a page"),
    Row("free_pages_exact", exact, (5 * PAGE_SIZE,), END_BLOCK, "five pages"),
    Row("get_order", nothing, (5000,), (), "a size"),
    Row("vmalloc", nothing, (20000,), NEW_AREA, "five pages"),
    Row(
        "vmalloc",
        failing(4),
        (20000,),
        ("Areas.map", "Areas.back", "Areas.unback", "Areas.unmap", *TAKE, *PUT),
        "the fourth page not to be had",
        null=True,
    ),
    Row("vzalloc", nothing, (20000,), NEW_AREA, "five pages"),
    Row("vmalloc_user", nothing, (20000,), (*NEW_AREA, "Ledger.release"), "five pages"),
    Row("vmalloc_32", nothing, (20000,), NEW_AREA, "five pages"),
    Row("vmalloc_array", nothing, (4, 5000), NEW_AREA, "five pages"),
    Row("vcalloc", nothing, (4, 5000), NEW_AREA, "five pages"),
    Row("__vmalloc", nothing, (20000, GFP_KERNEL), NEW_AREA, "five pages"),
    Row("vrealloc", nothing, (0, 20000, GFP_KERNEL), NEW_AREA, "of nothing"),
    Row("vrealloc", area(20000), (100, GFP_KERNEL), RENEW, "in place"),
    Row("vrealloc", area(20000), (40000, GFP_KERNEL), (*NEW_AREA, *END_AREA), "to another area"),
    Row("vrealloc", area(20000), (0, GFP_KERNEL), END_AREA, "to nothing", null=True),
    Row("vfree", area(20000), (), END_AREA, "five pages"),
    Row("vmap", pages, (0, 0), ("Areas.map", "Areas.alias", "Ledger.accept"), "three pages"),
    Row("vunmap", shown, (), ("Areas.unalias", "Areas.unmap", "Ledger.release"), "three pages"),
    Row("vmalloc_to_page", area(20000), (), (), "the first page"),
    Row("is_vmalloc_addr", area(20000), (), (), "the first page"),
    Row("kvmalloc", nothing, (5 << 20, GFP_KERNEL), NEW_AREA, "too large for kmalloc"),
    Row("kvrealloc", either(5 << 20), (100, GFP_KERNEL), RENEW, "an area in place"),
    Row("kvrealloc", either(64), (5 << 20, GFP_KERNEL), (*NEW_AREA, "Cache.free"), "to an area"),
    Row("kvfree", either(5 << 20), (), END_AREA, "area"),
    Row(
        "kmem_cache_alloc_bulk",
        failing(2, cache()),
        (GFP_KERNEL, 200),
        (*NEW_SLAB, "Cache.free", *END_SLAB),
        "the second slab not to be had",
        null=True,
    ),
    Row(
        "kmem_cache_alloc_bulk",
        failing(2, cache(built=True)),
        (GFP_KERNEL, 200),
        (*NEW_SLAB, *BUILD, "Cache.free", *END_SLAB, *RAZE),
        "the second slab not to be had, with constructor",
        null=True,
    ),
    Row("kmem_cache_create", failing(1), (b"test", 64, 0, 0, None), (), "no descriptor", null=True),
    Row(
        "mempool_create",
        failing(2, number_and_functions),
        (),
        (),
        "no first element",
        null=True,
    ),
    Row("fail_nth", nothing, (3,), (), "a number"),
    Row("preempt_disable", nothing, (), (), "at first"),
    Row("preempt_enable", atomic, (), (), "at last"),
]


@pytest.fixture
def broken_step(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], None]]:
    """Return a function that breaks the step of the test from then on."""
    owner, name = STEPS[request.param]

    def refuse(*_: object, **__: object) -> None:
        raise Refused(BROKEN)

    yield lambda: monkeypatch.setattr(owner, name, refuse)


@pytest.mark.parametrize("broken_step", KERNELS, indirect=True)
@pytest.mark.parametrize("row", ROWS, ids=str)
def test_a_call_fails_exactly_where_a_step_of_its_is_out_of_order(
    row: Row, broken_step: Callable[[], None], request: pytest.FixtureRequest
) -> None:
    kernel = Kernel(64 << 20)
    args = (*row.prepare(kernel), *row.args)
    step = request.node.callspec.params["broken_step"]
    broken_step()
    if step in row.steps:
        with pytest.raises(Refused) as caught:
            kernel.call(row.api, args)
        assert caught.value.clause == BROKEN
    else:
        gives_nothing = row.null or APIS[row.api].role in GIVES_NOTHING
        assert (kernel.call(row.api, args) == 0) == gives_nothing


def test_every_call_of_the_kernel_has_a_row_and_every_step_a_call() -> None:
    assert set(Kernel(64 << 20).api) - {row.api for row in ROWS} == set(), "calls without a row"
    assert set(KERNELS) - {step for row in ROWS for step in row.steps} == set(), "steps without a row"
    assert {step for row in ROWS for step in row.steps} <= set(KERNELS)


K = GFP_KERNEL
AT, OTHER, FAR = 0x100000, 0x200000, 0x300000
HANDLE = 0x7000_0000
ACCEPT, RELEASE = ("Ledger.accept",), ("Ledger.release",)
BUILT, RAZED = (Note(CONSTRUCTED, HANDLE, AT),), (Note(DESTRUCTED, HANDLE, AT),)


def ev(api: str, *args: int, gives: int = 0, notes: tuple[Note, ...] = ()) -> Event:
    """Return an event: the call, then what came back and what ran."""
    return Event(Call(api, args), Answer(gives, notes=notes))


OBJECT = ev("kmalloc", 64, K, gives=AT)
EITHER = ev("kvmalloc", 64, K, gives=AT)
PAGE = ev("alloc_pages", K, 0, gives=AT)
AREA = ev("vmalloc", 64, gives=AT)
CACHE = ev("kmem_cache_create", 1, 64, 0, 0, 0, gives=HANDLE)
BUILT_CACHE = ev("kmem_cache_create_26", 1, 64, 0, 0, 1, 1, gives=HANDLE)
OF_CACHE = ev("kmem_cache_alloc", HANDLE, K, gives=AT)
POOL = ev("mempool_create", 1, 1, 1, 64, gives=HANDLE)
OF_POOL = ev("mempool_alloc", HANDLE, K, gives=AT)

# Events before the one that is judged, the one, and the steps that the judge takes for it.
JUDGED: list[tuple[tuple[Event, ...], Event, tuple[str, ...]]] = [
    *(
        ((), event, ACCEPT)
        for event in (
            OBJECT,
            ev("kzalloc", 64, K, gives=AT),
            ev("kmalloc_array", 4, 16, K, gives=AT),
            ev("kcalloc", 4, 16, K, gives=AT),
            ev("krealloc", 0, 64, K, gives=AT),
            ev("krealloc_array", 0, 4, 16, K, gives=AT),
            EITHER,
            ev("kvzalloc", 64, K, gives=AT),
            ev("kvmalloc_array", 4, 16, K, gives=AT),
            ev("kvcalloc", 4, 16, K, gives=AT),
            ev("kvrealloc", 0, 64, K, gives=AT),
            PAGE,
            ev("__get_free_pages", K, 0, gives=AT),
            ev("get_zeroed_page", K, gives=AT),
            ev("alloc_pages_exact", 64, K, gives=AT),
            AREA,
            ev("vzalloc", 64, gives=AT),
            ev("vmalloc_user", 64, gives=AT),
            ev("vmalloc_32", 64, gives=AT),
            ev("vmalloc_array", 4, 16, gives=AT),
            ev("vcalloc", 4, 16, gives=AT),
            ev("__vmalloc", 64, K, gives=AT),
            ev("vrealloc", 0, 64, K, gives=AT),
        )
    ),
    ((OBJECT,), ev("kmalloc", 64, K, gives=0), ()),
    ((OBJECT,), ev("krealloc", AT, 600, K, gives=OTHER), (*RELEASE, *ACCEPT)),
    ((OBJECT,), ev("krealloc", AT, 0, K, gives=ZERO_SIZE_PTR), RELEASE),
    ((OBJECT,), ev("krealloc", AT, 600, K, gives=0), ()),
    ((OBJECT,), ev("krealloc_array", AT, 4, 160, K, gives=OTHER), (*RELEASE, *ACCEPT)),
    ((OBJECT,), ev("kmemdup", AT, 8, K, gives=OTHER), ACCEPT),
    ((OBJECT,), ev("kstrdup", AT, K, gives=OTHER), ACCEPT),
    ((OBJECT,), ev("kstrndup", AT, 8, K, gives=OTHER), ACCEPT),
    ((OBJECT,), ev("kfree", AT), RELEASE),
    ((OBJECT,), ev("kfree_sensitive", AT), RELEASE),
    ((OBJECT,), ev("kfree_bulk", 1, 0, AT), RELEASE),
    ((OBJECT,), ev("ksize", AT, gives=64), ()),
    ((OBJECT,), ev("check", AT), ()),
    ((), ev("kmalloc_size_roundup", 64, gives=64), ()),
    ((EITHER,), ev("kvrealloc", AT, 600, K, gives=OTHER), (*RELEASE, *ACCEPT)),
    ((EITHER,), ev("kvfree", AT), RELEASE),
    ((), CACHE, ()),
    ((), BUILT_CACHE, ()),
    ((CACHE,), OF_CACHE, ACCEPT),
    ((CACHE,), ev("kmem_cache_zalloc", HANDLE, K, gives=AT), ACCEPT),
    ((CACHE,), ev("kmem_cache_alloc_bulk", HANDLE, K, 1, 0, gives=1), ()),
    ((CACHE, ev("kmem_cache_alloc_bulk", HANDLE, K, 1, 0, gives=1)), ev("item", 0, gives=AT), ACCEPT),
    ((CACHE, OF_CACHE), ev("kmem_cache_free", HANDLE, AT), RELEASE),
    ((CACHE, OF_CACHE), ev("kmem_cache_free_bulk", HANDLE, 1, 0, AT), RELEASE),
    ((CACHE,), ev("kmem_cache_shrink", HANDLE), ()),
    ((CACHE,), ev("kmem_cache_size", HANDLE, gives=64), ()),
    ((CACHE,), ev("kmem_cache_destroy", HANDLE), ()),
    ((BUILT_CACHE,), OF_CACHE._replace(answer=Answer(AT, notes=BUILT)), ("Constructed.construct", *ACCEPT)),
    (
        (BUILT_CACHE, OF_CACHE._replace(answer=Answer(AT, notes=BUILT))),
        ev("kmem_cache_free", HANDLE, AT, notes=RAZED),
        ("Constructed.destruct", *RELEASE),
    ),
    (
        (
            BUILT_CACHE,
            OF_CACHE._replace(answer=Answer(AT, notes=BUILT)),
            ev("kmem_cache_free", HANDLE, AT),
        ),
        ev("kmem_cache_shrink", HANDLE, notes=RAZED),
        ("Constructed.destruct",),
    ),
    ((PAGE,), ev("free_pages", AT, 0), RELEASE),
    ((PAGE,), ev("__free_pages", AT, 0), RELEASE),
    ((ev("alloc_pages", K, 1, gives=AT),), ev("split_page", AT, 1), (*RELEASE, *ACCEPT)),
    ((), ev("alloc_pages_bulk", K, 1, 0, gives=1), ()),
    ((ev("alloc_pages_exact", 64, K, gives=AT),), ev("free_pages_exact", AT, 64), RELEASE),
    ((), ev("get_order", 64, gives=0), ()),
    ((AREA,), ev("vrealloc", AT, 9000, K, gives=OTHER), (*RELEASE, *ACCEPT)),
    ((AREA,), ev("vfree", AT), RELEASE),
    ((PAGE,), ev("vmap", 0, 1, 0, 0, AT, gives=OTHER), ACCEPT),
    ((PAGE, ev("vmap", 0, 1, 0, 0, AT, gives=OTHER)), ev("vunmap", OTHER), RELEASE),
    ((AREA,), ev("vmalloc_to_page", AT, 0, gives=FAR), ()),
    ((AREA,), ev("is_vmalloc_addr", AT, 0, gives=1), ()),
    ((), POOL, ()),
    ((CACHE,), ev("mempool_create_slab_pool", 1, HANDLE, gives=OTHER), ()),
    ((POOL,), OF_POOL, ACCEPT),
    ((POOL, OF_POOL), ev("mempool_free", AT, HANDLE), RELEASE),
    ((POOL,), ev("mempool_resize", HANDLE, 2), ()),
    ((POOL,), ev("mempool_fail", HANDLE, 1), ()),
    ((POOL,), ev("mempool_destroy", HANDLE), ()),
    ((), ev("fail_nth", 3), ()),
    ((), ev("preempt_disable"), ()),
    ((ev("preempt_disable"),), ev("preempt_enable"), ()),
]


@pytest.mark.parametrize("broken_step", JUDGES, indirect=True)
@pytest.mark.parametrize(
    ("before", "event", "steps"), JUDGED, ids=[f"{at} {row[1].call.api}" for at, row in enumerate(JUDGED)]
)
def test_the_judge_does_not_admit_an_event_where_a_step_of_its_is_out_of_order(
    before: tuple[Event, ...],
    event: Event,
    steps: tuple[str, ...],
    broken_step: Callable[[], None],
    request: pytest.FixtureRequest,
) -> None:
    judge = Judge(load("contract"))
    assert [finding for each in before if (finding := judge.admit(each))] == []
    broken_step()
    assert fails(judge, event) == (request.node.callspec.params["broken_step"] in steps)


def fails(judge: Judge, event: Event) -> bool:
    """Say whether the judge does not let an event pass."""
    try:
        return judge.admit(event) is not None
    except Refused:
        return True


def test_every_call_that_the_judge_takes_has_a_row_and_every_step_an_event() -> None:
    assert set(APIS) - {row[1].call.api for row in JUDGED} == set(), "calls without a row"
    assert set(JUDGES) - {step for row in JUDGED for step in row[2]} == set(), "steps without a row"
