"""A toy target over some bytes, with every call of the API, and a driver over it.

The toy gives one page after the other and takes back nothing but objects of caches, so that a test can
let any call err in a way of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from kmem_oracle.campaign.play import runnable
from kmem_oracle.language.script import Op, parse
from kmem_oracle.targets.access import PATTERN, first_difference, phase
from kmem_oracle.targets.driver import Driver
from kmem_oracle.targets.opened import Function
from kmem_oracle.targets.reader import Reader
from kmem_oracle.targets.records import COUNT, HEADER, NOTE, NOTES_AT, PART, RECORD, RawNote, Record, Seen
from kmem_spec.apis import APIS
from kmem_spec.calls import Answer, Call
from kmem_spec.gfp import ZERO
from kmem_spec.units import PAGE_SIZE, ZERO_SIZE_PTR

BASE = 0x10000
ARENA = 1 << 20
BIGGEST = 1 << 16  # bytes that the driver touches
HANDLES = 0x9000_0000
AREAS = 0x5000_0000  # where pages are mapped again
Hook = Callable[[int], None]


class Arena:
    """Some bytes at BASE, as a driver reaches them; pages of AREAS show pages there."""

    def __init__(self) -> None:
        self.bytes = bytearray(b"\xee" * ARENA)
        self.shown: dict[int, int] = {}

    def reachable(self, start: int, length: int) -> bool:
        if start >= AREAS:
            return start // PAGE_SIZE in self.shown
        return start >= BASE and start + length <= BASE + ARENA

    def fill(self, start: int, length: int, identifier: int) -> None:
        at = phase(identifier)
        self.write(start, PATTERN[at : at + length])

    def changed(self, start: int, length: int, identifier: int) -> int:
        at = phase(identifier)
        return first_difference(self.read(start, length), PATTERN[at : at + length])

    def nonzero(self, start: int, begin: int, end: int) -> int:
        found = first_difference(self.read(start + begin, end - begin), bytes(max(0, end - begin)))
        return -1 if found < 0 else begin + found

    def read(self, start: int, length: int) -> bytes:
        at = self.behind(start) - BASE
        return bytes(self.bytes[at : at + length])

    def write(self, start: int, data: bytes) -> None:
        at = self.behind(start) - BASE
        self.bytes[at : at + len(data)] = data

    def behind(self, start: int) -> int:
        """Return the address in the arena behind an address."""
        page = self.shown.get(start // PAGE_SIZE)
        return start if page is None else page + start % PAGE_SIZE

    def spoil(self, start: int, offset: int) -> None:
        """Change one byte of an object."""
        self.bytes[self.behind(start) - BASE + offset] ^= 0xFF


@dataclass
class Slab:
    """A cache of the toy: objects that it has constructed, and those of them that are free."""

    size: int
    ctor: Hook | None
    dtor: Hook | None
    built: list[int] = field(default_factory=list)
    free: list[int] = field(default_factory=list)


@dataclass
class Pool:
    """A pool of the toy."""

    least: int
    give: Callable[[int], int]
    take_back: Hook
    reserve: list[int]


class Toy:
    """A target that is correct but for what it never takes back; `calls` lists what it was asked for."""

    def __init__(self, arena: Arena) -> None:
        self.arena = arena
        self.next = BASE
        self.calls: list[tuple[object, ...]] = []
        self.slabs: dict[int, Slab] = {}
        self.pools: dict[int, Pool] = {}
        self.functions: dict[str, Function] = {
            "kmalloc": self.kmalloc,
            "kzalloc": lambda size, gfp: self.kmalloc(size, gfp | ZERO),
            "kmalloc_array": lambda n, size, gfp: self.kmalloc(n * size, gfp),
            "kcalloc": lambda n, size, gfp: self.kmalloc(n * size, gfp | ZERO),
            "krealloc": self.krealloc,
            "krealloc_array": lambda start, n, size, gfp: self.krealloc(start, n * size, gfp),
            "kfree": self.kfree,
            "kfree_sensitive": self.noted("kfree_sensitive"),
            "kfree_bulk": self.noted("kfree_bulk"),
            "ksize": lambda start: PAGE_SIZE if start > ZERO_SIZE_PTR else 0,
            "kmalloc_size_roundup": lambda size: size + -size % PAGE_SIZE,
            "kmemdup": self.kmemdup,
            "kstrdup": lambda start, gfp: self.kstrndup(start, 1 << 40, gfp),
            "kstrndup": self.kstrndup,
            "kvmalloc": self.kmalloc,
            "kvzalloc": lambda size, gfp: self.kmalloc(size, gfp | ZERO),
            "kvmalloc_array": lambda n, size, gfp: self.kmalloc(n * size, gfp),
            "kvcalloc": lambda n, size, gfp: self.kmalloc(n * size, gfp | ZERO),
            "kvrealloc": self.krealloc,
            "kvfree": self.noted("kvfree"),
            "__get_free_pages": self.pages,
            "alloc_pages": self.pages,
            "get_zeroed_page": lambda gfp: self.pages(gfp | ZERO, 0),
            "free_pages": self.noted("free_pages"),
            "__free_pages": self.noted("__free_pages"),
            "alloc_pages_bulk": lambda gfp, count: [self.pages(gfp, 0) for _ in range(count)],
            "split_page": self.noted("split_page"),
            "get_order": lambda size: max(0, (size - 1) // PAGE_SIZE).bit_length(),
            "alloc_pages_exact": self.kmalloc,
            "free_pages_exact": self.noted("free_pages_exact"),
            "vmalloc": lambda size: self.kmalloc(size, 0),
            "vzalloc": lambda size: self.kmalloc(size, ZERO),
            "vmalloc_user": lambda size: self.kmalloc(size, ZERO),
            "vmalloc_32": lambda size: self.kmalloc(size, 0),
            "vmalloc_array": lambda n, size: self.kmalloc(n * size, 0),
            "vcalloc": lambda n, size: self.kmalloc(n * size, ZERO),
            "__vmalloc": self.kmalloc,
            "vrealloc": lambda start, size, gfp: self.krealloc(start, size, gfp) if size else 0,
            "vfree": self.noted("vfree"),
            "vmap": self.vmap,
            "vunmap": self.noted("vunmap"),
            "vmalloc_to_page": lambda address: self.arena.behind(address) // PAGE_SIZE * PAGE_SIZE,
            "is_vmalloc_addr": lambda address: int(address >= AREAS),
            "kmem_cache_create": lambda name, size, align, flags, ctor: self.create(name, size, ctor, None),
            "kmem_cache_create_26": lambda name, size, offset, flags, ctor, dtor: self.create(
                name, size, ctor, dtor
            ),
            "kmem_cache_alloc": self.cache_alloc,
            "kmem_cache_zalloc": lambda cache, gfp: self.cache_alloc(cache, gfp | ZERO),
            "kmem_cache_alloc_bulk": lambda cache, gfp, n: [self.cache_alloc(cache, gfp) for _ in range(n)],
            "kmem_cache_free": self.cache_free,
            "kmem_cache_free_bulk": self.cache_free_bulk,
            "kmem_cache_shrink": self.shrink,
            "kmem_cache_size": lambda cache: self.slabs[cache].size,
            "kmem_cache_destroy": self.cache_destroy,
            "mempool_create": self.pool_create,
            "mempool_create_slab_pool": lambda least, cache: self.pool_create(
                least,
                lambda gfp: self.cache_alloc(cache, gfp),
                lambda start: self.cache_free(cache, start),
                0,
            ),
            "mempool_alloc": self.pool_alloc,
            "mempool_free": self.pool_free,
            "mempool_resize": lambda pool, least: 0 if least < 100 else -12,
            "mempool_destroy": self.noted("mempool_destroy"),
            "fail_nth": self.noted("fail_nth"),
            "preempt_disable": self.noted("preempt_disable"),
            "preempt_enable": self.noted("preempt_enable"),
        }

    def note(self, *call: object) -> None:
        self.calls.append(call)

    def noted(self, name: str) -> Function:
        """Return a call that does nothing but to be listed."""
        return lambda *args: self.note(name, *args)

    def handle(self) -> int:
        return HANDLES + 64 * (len(self.slabs) + len(self.pools))

    def kmalloc(self, size: int, gfp: int) -> int:
        self.note("kmalloc", size, gfp)
        if size == 0:
            return ZERO_SIZE_PTR
        if size > ARENA:
            return 0
        start = self.next
        self.next += (size + PAGE_SIZE - 1) // PAGE_SIZE * PAGE_SIZE
        if gfp & ZERO:
            self.arena.write(start, bytes(size))
        return start

    def krealloc(self, start: int, size: int, gfp: int) -> int:
        self.note("krealloc", start, size, gfp)
        if start <= ZERO_SIZE_PTR:
            return self.kmalloc(size, gfp)
        return start if size else ZERO_SIZE_PTR

    def kfree(self, start: int) -> None:
        self.note("kfree", start)

    def kmemdup(self, start: int, size: int, gfp: int) -> int:
        copy = self.kmalloc(size, gfp)
        self.arena.write(copy, self.arena.read(start, size))
        return copy

    def kstrndup(self, start: int, most: int, gfp: int) -> int:
        if start == 0:
            return 0
        text = self.arena.read(start, min(most, ARENA)).split(b"\0")[0]
        copy = self.kmalloc(len(text) + 1, gfp)
        self.arena.write(copy, text + b"\0")
        return copy

    def pages(self, gfp: int, order: int) -> int:
        return self.kmalloc(PAGE_SIZE << order, gfp)

    def vmap(self, pages: list[int], count: int, _flags: int, _prot: int) -> int:
        self.note("vmap", pages, count)
        start = AREAS + len(self.arena.shown) * PAGE_SIZE
        self.arena.shown |= {start // PAGE_SIZE + place: page for place, page in enumerate(pages)}
        return start

    def create(self, name: bytes | None, size: int, ctor: Hook | None, dtor: Hook | None) -> int:
        handle = self.handle()
        self.note("create", name, size, ctor is not None, dtor is not None)
        self.slabs[handle] = Slab(size, ctor, dtor)
        return handle

    def cache_alloc(self, cache: int, gfp: int) -> int:
        slab = self.slabs[cache]
        if not slab.free:
            start = self.kmalloc(slab.size, 0)
            slab.free.append(start)
            slab.built.append(start)
            if slab.ctor is not None:
                slab.ctor(start)
        start = slab.free.pop()
        if gfp & ZERO:
            self.arena.write(start, bytes(slab.size))
        return start

    def cache_free(self, cache: int, start: int) -> None:
        self.note("kmem_cache_free", cache, start)
        if cache in self.slabs:
            self.slabs[cache].free.append(start)

    def cache_free_bulk(self, cache: int, count: int, starts: list[int]) -> None:
        self.note("kmem_cache_free_bulk", cache, count, starts)
        self.slabs[cache].free += starts

    def shrink(self, cache: int) -> int:
        slab = self.slabs[cache]
        for start in slab.free:
            slab.built.remove(start)
            if slab.dtor is not None:
                slab.dtor(start)
        slab.free.clear()
        return int(bool(slab.built))

    def cache_destroy(self, cache: int) -> None:
        self.note("kmem_cache_destroy", cache)
        if cache:
            self.shrink(cache)

    def pool_create(self, least: int, give: Callable[[int], int], take_back: Hook, size: int) -> int:
        self.note("mempool_create", least, size)
        handle = self.handle()
        self.pools[handle] = Pool(least, give, take_back, [give(0) for _ in range(least)])
        return handle

    def slab_pool_create(self, least: int, cache: int) -> int:
        def give(gfp: int) -> int:
            return self.cache_alloc(cache, gfp)

        return self.pool_create(least, give, lambda start: self.cache_free(cache, start), 0)

    def pool_alloc(self, pool: int, gfp: int) -> int:
        known = self.pools[pool]
        return known.give(gfp) or (known.reserve.pop() if known.reserve else 0)

    def pool_free(self, start: int, pool: int) -> None:
        self.note("mempool_free", start, pool)
        if start and pool in self.pools:
            self.pools[pool].take_back(start)


class Bench:
    """A toy, its arena and a driver; `run` gives the records of a script."""

    def __init__(self, *, watched: bool = False) -> None:
        self.arena = Arena()
        self.toy = Toy(self.arena)
        self.memory = memoryview(bytearray(HEADER.size + PART))
        self.watched = watched
        self.replace()

    def replace(self, **functions: Function) -> None:
        """Start a driver over the toy with some calls done otherwise."""
        self.functions: dict[str, Function] = self.toy.functions | functions
        self.driver = Driver(self.functions, self.arena, self.memory, BIGGEST, watched=self.watched)

    def without(self, api: str) -> None:
        del self.functions[api]
        self.driver = Driver(self.functions, self.arena, self.memory, BIGGEST, watched=self.watched)

    def records(self, script: str | Sequence[Op]) -> tuple[list[Op], list[Record], list[RawNote]]:
        """Run a script; return the calls, those for the objects of bulk calls too, and what was seen."""
        ops = list(runnable(parse(script) if isinstance(script, str) else script, APIS))
        self.driver.run(ops, HEADER.size)
        assert HEADER.unpack_from(self.memory)[0] == len(ops)
        end = HEADER.size + len(ops) * RECORD.size
        begin = HEADER.size + NOTES_AT
        count = COUNT.unpack_from(self.memory, begin)[0]
        begin += COUNT.size
        notes = list(NOTE.iter_unpack(self.memory[begin : begin + count * NOTE.size]))
        return ops, list(RECORD.iter_unpack(self.memory[HEADER.size : end])), notes

    def run(self, script: str | Sequence[Op]) -> list[Seen]:
        """Run a script; return the records without their last word."""
        return [
            (one, two, three, four, status) for one, two, three, four, status, _ in self.records(script)[1]
        ]

    def last(self, script: str | Sequence[Op]) -> Seen:
        return self.run(script)[-1]

    def events(self, script: str) -> list[tuple[Call, Answer]]:
        """Run a script; return what is said of it to a judge."""
        ops, records, notes = self.records(script)
        reader = Reader()
        reader.begin(notes)
        events = (reader.event(op, record) for op, record in zip(ops, records, strict=True))
        return [event for event in events if event is not None]

    def spoil(self, start: int, offset: int) -> None:
        """Change one byte of an object."""
        self.arena.spoil(start, offset)
