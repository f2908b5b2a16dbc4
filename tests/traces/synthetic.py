"""A small legal machine whose events are written as each recorder writes them.

It makes slabs of pages, objects of slabs, blocks for users, areas; it allocates in bulk where the kernel
emits nothing, moves pages through the lists of a CPU, and can begin and end in mid-life.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Final

CLASSES: Final = (8, 16, 32, 64, 96, 128, 192, 256, 512, 1024, 2048, 4096, 8192)
CACHES: Final = {"dentry": 192, "filp": 256, "vm_area_struct": 152, "names_cache": 4096, "cred_jar": 184}
SLOTS: Final = {"cred_jar": 192}
BULK: Final = "maple_node"
SLAB_MASK: Final = "GFP_KERNEL|__GFP_NOWARN|__GFP_NORETRY|__GFP_COMP"
USER_MASK: Final = "GFP_HIGHUSER_MOVABLE|__GFP_COMP"
PAGE: Final = 4096
BASE: Final = 0xFFFF888000000000  # without KASLR
STRUCTS: Final = 0xFFFFEA0000000000
Fields = dict[str, str | int]


@dataclass(frozen=True, slots=True)
class Event:
    """What a recorder sees."""

    name: str
    fields: Fields
    task: str = "worker-7"
    flags: str = "....."


@dataclass
class Slab:
    """The slots of one slab that are free."""

    pfn: int
    order: int
    size: int
    free: list[int]
    total: int


@dataclass
class Machine:
    """The machine; `base` is the address of page frame 0."""

    draw: Random
    base: int = BASE
    structs: int = STRUCTS
    frames: list[int] = field(default_factory=list)
    blocks: list[int] = field(default_factory=list)
    slabs: dict[str, list[Slab]] = field(default_factory=dict)
    owner: dict[int, tuple[str, Slab]] = field(default_factory=dict)
    large: dict[int, tuple[int, int]] = field(default_factory=dict)
    user: list[tuple[int, int]] = field(default_factory=list)
    areas: dict[int, int] = field(default_factory=dict)
    next_area: int = 0xFFFFC90000000000

    def __post_init__(self) -> None:
        self.frames = self.draw.sample(range(0x1000, 0x3000), 4096)
        self.blocks = [0x8000 + 16 * each for each in range(1024)]

    def events(self, steps: int) -> Iterator[Event]:
        """Yield the events of so many calls."""
        calls: list[tuple[int, Callable[[], Iterator[Event]]]] = [
            (8, self.kmalloc),
            (8, self.kfree),
            (6, self.cache_alloc),
            (6, self.cache_free),
            (3, self.user_page),
            (3, self.user_free),
            (1, self.large_kmalloc),
            (1, self.nothing_freed),
            (1, self.bulk),
            (1, self.area),
        ]
        weights = [weight for weight, _ in calls]
        for _, call in self.draw.choices(calls, weights, k=steps):
            yield from call()

    def pages(self, order: int, mask: str) -> tuple[int, list[Event]]:
        """Return a block and its event."""
        pool = self.blocks if order else self.frames
        pfn = pool.pop(self.draw.randrange(len(pool)))
        place: Fields = {"page": self.structs + 64 * pfn, "pfn": pfn, "order": order, "migratetype": 0}
        events = [Event("mm_page_alloc", place | {"gfp_flags": mask})]
        if order == 0 and self.draw.random() < 0.5:
            events.insert(0, Event("mm_page_alloc_zone_locked", place | {"percpu_refill": 1}))
        return pfn, events

    def pages_freed(self, pfn: int, order: int) -> list[Event]:
        """Return the events of a block that is freed."""
        (self.blocks if order else self.frames).append(pfn)
        place: Fields = {"page": self.structs + 64 * pfn, "pfn": pfn, "order": order}
        return [Event("mm_page_free", place)]

    def slot(self, cache: str, size: int) -> tuple[int, list[Event]]:
        """Return the address of a free slot, and the events if a slab had to be made."""
        events: list[Event] = []
        slabs = self.slabs.setdefault(cache, [])
        usable = [slab for slab in slabs if slab.free]
        if usable:
            slab = self.draw.choice(usable)
        else:
            order = 0 if size <= 512 else 3
            pfn, events = self.pages(order, SLAB_MASK)
            start = self.base + pfn * PAGE
            slots = list(range(start, start + (PAGE << order) - size + 1, size))
            slab = Slab(pfn, order, size, slots, len(slots))
            slabs.append(slab)
        start = slab.free.pop(self.draw.randrange(len(slab.free)))
        self.owner[start] = (cache, slab)
        return start, events

    def release(self, start: int) -> list[Event]:
        """Return a slot, and the events if its slab goes."""
        cache, slab = self.owner.pop(start)
        slab.free.append(start)
        if len(slab.free) < slab.total or self.draw.random() < 0.5:
            return []
        self.slabs[cache].remove(slab)
        return self.pages_freed(slab.pfn, slab.order)

    def kmalloc(self) -> Iterator[Event]:
        asked = self.draw.choice((7, 24, 64, 72, 100, 128, 200, 256, 1000, 4096, 5000))
        given = next(each for each in CLASSES if asked <= each)
        start, events = self.slot(f"kmalloc-{given}", given)
        yield from events
        yield _given("kmalloc", f"user_{asked}+0x10/0x20", start, asked, given)

    def large_kmalloc(self) -> Iterator[Event]:
        if len(self.large) > 8:
            start = self.draw.choice(list(self.large))
            yield _taken("kfree", start)
            yield from self.pages_freed(*self.large.pop(start))
            return
        pfn, events = self.pages(2, "GFP_KERNEL|__GFP_COMP|__GFP_ZERO")
        yield from events
        start = self.base + pfn * PAGE
        self.large[start] = pfn, 2
        yield _given("kmalloc", "big+0x1/0x2", start, 3 * PAGE, 4 * PAGE, "GFP_KERNEL|__GFP_COMP|__GFP_ZERO")

    def kfree(self) -> Iterator[Event]:
        mine = [start for start, (cache, _) in self.owner.items() if cache.startswith("kmalloc")]
        if len(mine) > 40:
            start = self.draw.choice(mine)
            yield _taken("kfree", start)
            yield from self.release(start)

    def nothing_freed(self) -> Iterator[Event]:
        yield _taken("kfree", 0)

    def cache_alloc(self) -> Iterator[Event]:
        name = self.draw.choice(list(CACHES))
        asked = CACHES[name]
        given = SLOTS.get(name, asked)
        start, events = self.slot(name, given)
        yield from events
        yield _given("kmem_cache_alloc", f"new_{name}+0x5/0x9", start, asked, given)

    def cache_free(self) -> Iterator[Event]:
        mine = [start for start, (cache, _) in self.owner.items() if cache in CACHES]
        if len(mine) > 40:
            start = self.draw.choice(mine)
            yield _taken("kmem_cache_free", start, self.owner[start][0])
            yield from self.release(start)

    def bulk(self) -> Iterator[Event]:
        for _ in range(3):
            start, events = self.slot(BULK, 256)
            yield from events  # the objects have no event
            yield _taken("kmem_cache_free", start, BULK)
            yield from self.release(start)

    def user_page(self) -> Iterator[Event]:
        order = self.draw.choice((0, 0, 0, 1))
        pfn, events = self.pages(order, USER_MASK if order == 0 else "GFP_KERNEL_ACCOUNT|__GFP_ZERO")
        self.user.append((pfn, order))
        yield from events

    def user_free(self) -> Iterator[Event]:
        if len(self.user) > 20:
            pfn, order = self.user.pop(self.draw.randrange(len(self.user)))
            events = self.pages_freed(pfn, order)
            yield from events
            if order == 0:
                yield Event("mm_page_free_batched", events[0].fields)

    def area(self) -> Iterator[Event]:
        if len(self.areas) > 4:
            start = self.draw.choice(list(self.areas))
            del self.areas[start]
            yield Event("free_vmap_area_noflush", {"va_start": start, "nr_lazy": 3, "nr_lazy_max": 8192})
            return
        start, size = self.next_area, PAGE * self.draw.randrange(2, 6)
        self.next_area += size
        self.areas[start] = size
        fields: Fields = {"va_start": start, "size": size, "align": 1, "vstart": 1, "vend": 2, "failed": 0}
        yield Event("alloc_vmap_area", fields)


def _given(name: str, site: str, start: int, asked: int, given: int, mask: str = "GFP_KERNEL") -> Event:
    fields: Fields = {"call_site": site, "ptr": start, "bytes_req": asked, "bytes_alloc": given}
    return Event(name, fields | {"gfp_flags": mask, "node": -1, "accounted": "false"})


def _taken(name: str, start: int, cache: str = "") -> Event:
    fields: Fields = {"call_site": "put+0x3/0x30", "ptr": start}
    return Event(name, fields | ({"name": cache} if cache else {}))


def _value(name: str, value: str | int, prefix: str) -> str:
    if name in ("ptr", "page"):
        return f"{value:016x}" if not prefix else f"{value:#x}"
    if name in ("pfn", "vstart", "vend"):
        return f"{value:#x}"
    return str(value)


def _fields(event: Event, prefix: str = "") -> str:
    text = " ".join(f"{name}={_value(name, value, prefix)}" for name, value in event.fields.items())
    return text.replace("va_start=", "va_start: ", 1) if event.name == "alloc_vmap_area" else text


def ftrace(events: list[Event]) -> list[str]:
    """Return the lines of /sys/kernel/tracing/trace."""
    head = ["# tracer: nop", "#", "#           TASK-PID     CPU#  |||||  TIMESTAMP  FUNCTION"]
    return head + [
        f"{each.task:>16}      [000] {each.flags} {7 + at * 1e-6:12.6f}: {each.name}: {_fields(each)}"
        for at, each in enumerate(events)
    ]


def trace_cmd(events: list[Event]) -> list[str]:
    """Return the lines of `trace-cmd report`."""
    return ["cpus=1"] + [
        f"{each.task:>16}    [000] {7 + at * 1e-6:12.6f}: {each.name + ':':21} {_sited(each)}"
        for at, each in enumerate(events)
    ]


def perf(events: list[Event]) -> list[str]:
    """Return the lines of `perf script`."""
    return [
        f"{each.task.rpartition('-')[0]:>16} {each.task.rpartition('-')[2]:>5} [000] {7 + at * 1e-6:12.6f}: "
        f"{_system(each) + each.name + ':':>28} {_sited(each)}"
        for at, each in enumerate(events)
    ]


def _system(event: Event) -> str:
    return "vmalloc:" if "vmap" in event.name else "kmem:"


def _sited(event: Event) -> str:
    """Return the fields as libtraceevent writes them, the function before the address of the call site."""
    site = event.fields.get("call_site")
    if site is None:
        return _fields(event, "0x")
    address = Event(event.name, event.fields | {"call_site": "ffffffff81234567"})
    return f"({str(site).rpartition('/')[0]}) {_fields(address, '0x')}"


def old(events: list[Event]) -> list[str]:
    """Return the lines of a kernel of 2011: other names, decimal frames, no flags, no names of caches."""
    names = {"mm_page_free": "mm_page_free_direct", "mm_page_free_batched": "mm_pagevec_free"}
    lines = []
    for at, each in enumerate(events):
        if "vmap" in each.name:
            continue
        left = {
            name: value for name, value in each.fields.items() if name not in ("accounted", "name", "node")
        }
        text = " ".join(
            f"{name}={'ffffffff81234567' if name == 'call_site' else _old_value(name, value)}"
            for name, value in left.items()
        )
        name = names.get(each.name, each.name)
        lines.append(f"{each.task:>16}  [000] {7 + at * 1e-6:12.6f}: {name}: {text}")
    return lines


def _old_value(name: str, value: str | int) -> str:
    return str(value) if name == "pfn" else _value(name, value, "")


def machine_events(seed: int, steps: int, *, base: int = BASE, skip: int = 0) -> list[Event]:
    """Return the events of a machine, without the first `skip`: then it is recorded from mid-life on."""
    structs = STRUCTS if base == BASE else 0xFFFFF1B400000000
    return list(Machine(Random(seed), base, structs).events(steps))[skip:]
