"""/proc/buddyinfo, /proc/slabinfo, /proc/vmallocinfo, as 6.1 prints them for this machine.

One node, one CPU. What the model has not is left out where the format permits that: callers of an area,
pages for its list of pages.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from kmem_model.caches import FreeLists
from kmem_model.core import Core
from kmem_spec.table import Table
from kmem_spec.units import MAX_ORDER

NAMES: Final = {"DMA": "DMA", "DMA32": "DMA32", "NORMAL": "Normal"}  # of zones, as printed
SLABINFO_HEAD: Final = (
    "slabinfo - version: 2.1\n"
    "# name            <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab>"
    " : tunables <limit> <batchcount> <sharedfactor>"
    " : slabdata <active_slabs> <num_slabs> <sharedavail>\n"
)


def buddyinfo(kernel: Core) -> str:
    """Return how many free blocks of each order each zone has.

    Source   mm/vmstat.c: frag_show_print
    """
    lines = []
    for zone in kernel.frames.pages.zones:
        blocks = Counter(_entries(zone.free).values())
        counts = "".join(f"{blocks[1 << order]:6} " for order in range(MAX_ORDER + 1))
        lines.append(f"Node 0, zone {NAMES[zone.name]:>8} {counts}\n")
    return "".join(lines)


def slabinfo(kernel: Core) -> str:
    """Return the objects and slabs of each cache, the newest cache first.

    Source   mm/slab_common.c: print_slabinfo_header, cache_show; mm/slub.c: get_slabinfo
    """
    return SLABINFO_HEAD + "".join(map(_cache, reversed(kernel.caches.every)))


def _cache(lists: FreeLists) -> str:
    """Return the line of a cache; free objects of the slab that serves next count as active, as in SLUB."""
    cache, slabs = lists.cache, len(lists.waiting)
    objects = slabs * cache.objects
    active = objects - sum(len(lists.waiting[base]) for base in lists.partial)
    return (
        f"{cache.name:<17} {active:6} {objects:6} {cache.slot:6} {cache.objects:4} {1 << cache.order:4}"
        f" : tunables {0:4} {0:4} {0:4} : slabdata {slabs:6} {slabs:6} {0:6}\n"
    )


def vmallocinfo(kernel: Core) -> str:
    """Return the areas by address, guard page counted in; then those that wait for a purge.

    Source   mm/vmalloc.c: s_show, show_purge_info
    """
    areas = _entries(kernel.space.areas.areas)
    waiting = set(kernel.space.waiting)
    lines = [_area(start, areas[start], _uses(kernel, start)) for start in sorted(areas.keys() - waiting)]
    lines += [_area(start, areas[start], ["unpurged vm_area"]) for start in kernel.space.waiting]
    return "".join(lines)


def _area(start: int, length: int, uses: Iterable[str]) -> str:
    """Return the line of an area."""
    return " ".join([f"0x{start:016x}-0x{start + length:016x} {length:7}", *uses]) + "\n"


def _uses(kernel: Core, start: int) -> Iterator[str]:
    """Yield what there is to say of an area that is in use."""
    block = kernel.block_at(start)
    if block.family == "vmap":  # its pages are counted with whom they belong to
        yield "vmap"
        return
    pages = kernel.space.mapped(start)
    yield f"pages={pages} vmalloc"
    if block.user:
        yield "user"
    yield f"N0={pages}"


def _entries(table: Table[int]) -> dict[int, int]:
    """Return what a table holds."""
    entries: dict[int, int] = {}

    def note(key: int, value: int) -> bool:
        entries[key] = value
        return True

    table.every(note)
    return entries


FILES: Final[dict[str, Callable[[Core], str]]] = {
    "/proc/buddyinfo": buddyinfo,
    "/proc/slabinfo": slabinfo,
    "/proc/vmallocinfo": vmallocinfo,
}
