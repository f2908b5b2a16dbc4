"""State changes through steps alone: with a step out of order, the calls that need it fail, and no other.

Each row of the table is a call and the steps that it takes; every step is broken in turn under each row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import pytest

from kmem_model.kernel import Kernel
from kmem_model.slab import BuiltCache, Cache
from kmem_model.zone import Zone
from kmem_spec.apis import APIS, KERNEL_APIS
from kmem_spec.calls import Answer, Call, Event
from kmem_spec.gfp import GFP_KERNEL, GFP_NOWAIT, ZERO
from kmem_spec.judge import Judge
from kmem_spec.ledger import Ledger
from kmem_spec.profile import load
from kmem_spec.table import Refused
from kmem_spec.units import ZERO_SIZE_PTR

BROKEN = "MEM-APART"  # what a step out of order says; a clause that every judge has in force
STEPS: dict[str, tuple[type, str]] = {
    f"{owner.__name__}.{name}": (owner, name)
    for owner, names in (
        (Zone, ("split", "merge", "take", "put")),
        (Cache, ("grow", "alloc", "free", "shrink")),
        (BuiltCache, ("grow", "alloc", "shrink", "construct", "destruct")),
        (Ledger, ("accept", "release")),
    )
    for name in names
}
TAKE, PUT = ("Zone.take", "Zone.split"), ("Zone.put", "Zone.merge")
NEW_SLAB = ("Cache.grow", "Cache.alloc", *TAKE)
NEXT_SLAB = ("Cache.grow", "Cache.alloc", "Zone.take")  # half of what was split for the one before
END_SLAB = ("Cache.shrink", *PUT)
BUILD = ("BuiltCache.grow", "BuiltCache.construct", "BuiltCache.alloc")
RAZE = ("BuiltCache.destruct", "BuiltCache.shrink")
NEW_BLOCK, END_BLOCK = ("Ledger.accept", *TAKE), ("Ledger.release", *PUT)
GIVES_NOTHING = ("free", "free bulk", "destroy", "adjust")
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


@dataclass(frozen=True)
class Row:
    api: str
    prepare: Callable[[Kernel], Arguments]
    args: Arguments
    steps: tuple[str, ...]
    says: str

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
    Row("__get_free_pages", nothing, (GFP_KERNEL, 11), (), "order above the largest"),
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


@pytest.mark.parametrize("broken_step", STEPS, indirect=True)
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
        gives_nothing = APIS[row.api].role in GIVES_NOTHING or args[-1] == 11
        assert (kernel.call(row.api, args) == 0) == gives_nothing


def test_every_call_has_a_row_and_every_step_a_call() -> None:
    assert {row.api for row in ROWS} == set(KERNEL_APIS)
    assert {step for row in ROWS for step in row.steps} == set(STEPS)


HISTORY = [
    ("kmalloc", (64, GFP_KERNEL), 4096, "Ledger.accept"),
    ("krealloc", (4096, 600, GFP_KERNEL), 8192, "Ledger.accept"),
    ("krealloc", (8192, 0, GFP_KERNEL), 16, "Ledger.release"),
    ("kzalloc", (64, GFP_KERNEL | ZERO), 4096, "Ledger.accept"),
    ("kfree", (4096,), 0, "Ledger.release"),
    ("__get_free_pages", (GFP_KERNEL, 0), 4096, "Ledger.accept"),
    ("free_pages", (4096, 0), 0, "Ledger.release"),
]


def events(until: int) -> Iterable[Event]:
    return (Event(Call(api, args), Answer(result)) for api, args, result, _ in HISTORY[:until])


@pytest.mark.parametrize("at", range(len(HISTORY)), ids=[f"{at} {row[0]}" for at, row in enumerate(HISTORY)])
@pytest.mark.parametrize("broken_step", ["Ledger.accept", "Ledger.release"], indirect=True)
def test_the_judge_remembers_through_the_ledger_alone(
    at: int, broken_step: Callable[[], None], request: pytest.FixtureRequest
) -> None:
    judge = Judge(load("contract"))
    assert [finding for event in events(at) if (finding := judge.admit(event))] == []
    api, args, result, step = HISTORY[at]
    event = Event(Call(api, args), Answer(result))
    broken_step()
    broken = request.node.callspec.params["broken_step"]
    assert fails(judge, event) == (broken == step or (api == "krealloc" and result != ZERO_SIZE_PTR))


def fails(judge: Judge, event: Event) -> bool:
    """Say whether the judge does not let an event pass."""
    try:
        return judge.admit(event) is not None
    except Refused:
        return True
