"""Corruption planted in a legal trace, at places that a seed picks: what kind, at which line, which clause.

Each plant takes the lines of a trace and gives new ones with exactly one error. The line that shows it counts
from 1. A plant is a *suspect* where a bulk call, which emits no event, would make its lines legal.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Final

EVENT: Final = re.compile(r"^(.*?\d: +(?:kmem:)?)(\w+)(: +)(.*)$")
FIELD: Final = re.compile(r"(\w+)=(\S+)")
GIVING: Final = ("kmalloc", "kmem_cache_alloc")
TAKING: Final = ("kfree", "kmem_cache_free")
IN_BULK: Final = "maple_node"  # the cache of which the kernel allocates in bulk


@dataclass(frozen=True, slots=True)
class Event:
    """An event: its line from 0, its name, its fields."""

    at: int
    name: str
    fields: dict[str, str]

    def number(self, name: str) -> int:
        """Return a field as a number."""
        text = self.fields[name]
        return int(text, 16) if name == "ptr" or text.startswith("0x") else int(text)


@dataclass(frozen=True, slots=True)
class Life:
    """An object or block from its allocation to its free."""

    given: Event
    taken: Event


@dataclass(frozen=True, slots=True)
class Planted:
    """A trace with an error: the line that shows it, the clause, how sure a judge can be of it."""

    lines: list[str]
    line: int
    clauses: frozenset[str]
    sure: bool


class Trace:
    """A legal trace and the lives in it."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines
        self.objects: list[Life] = []
        self.blocks: list[Life] = []
        objects: dict[str, Event] = {}
        blocks: dict[str, Event] = {}
        for at, line in enumerate(lines):
            found = EVENT.match(line)
            if found is None:
                continue
            event = Event(at, found[2], dict(FIELD.findall(found[4])))
            if event.name in GIVING:
                objects[event.fields["ptr"]] = event
            elif event.name in TAKING and event.fields["ptr"] in objects:
                self.objects.append(Life(objects.pop(event.fields["ptr"]), event))
            elif event.name == "mm_page_alloc":
                blocks[event.fields["pfn"]] = event
            elif event.name == "mm_page_free" and event.fields["pfn"] in blocks:
                self.blocks.append(Life(blocks.pop(event.fields["pfn"]), event))

    def pick(self, draw: Random, fits: Callable[[Life], bool]) -> Life:
        """Return an object that fits."""
        return draw.choice([life for life in self.objects if fits(life)])

    def block(self, draw: Random, fits: Callable[[Life], bool] = lambda _: True) -> Life:
        """Return a block that fits."""
        return draw.choice([life for life in self.blocks if fits(life)])

    def changed(self, at: int, **fields: str) -> list[str]:
        """Return the lines with other fields in line `at`."""
        lines = list(self.lines)
        lines[at] = changed(lines[at], **fields)
        return lines

    def with_line(self, at: int, line: str) -> list[str]:
        """Return the lines with one more before line `at`."""
        return [*self.lines[:at], line, *self.lines[at:]]


def changed(line: str, **fields: str) -> str:
    """Return a line with other values in its fields."""
    for name, value in fields.items():
        line = re.sub(rf"\b{name}=\S+", f"{name}={value}", line, count=1)
    return line


def renamed(line: str, event: str, fields: str) -> str:
    """Return a line of the same time and task with another event."""
    found = EVENT.match(line)
    assert found is not None
    return f"{found[1]}{event}{found[3]}{fields}"


def _kmalloc(life: Life) -> bool:
    return life.given.name == "kmalloc" and life.taken.at - life.given.at > 3


def _cached(life: Life) -> bool:
    return (
        life.given.name == "kmem_cache_alloc"
        and life.taken.fields.get("name", IN_BULK) != IN_BULK
        and life.taken.at - life.given.at > 3
    )


def _address(value: int) -> str:
    return f"{value:016x}"


def kfree_twice(trace: Trace, draw: Random) -> Planted:
    life = trace.pick(draw, _kmalloc)
    line = trace.lines[life.taken.at]
    return _planted(trace.with_line(life.taken.at + 1, line), life.taken.at + 2, "CALLER-DOUBLE-FREE")


def cache_object_twice(trace: Trace, draw: Random) -> Planted:
    life = trace.pick(draw, _cached)
    line = trace.lines[life.taken.at]
    lines = trace.with_line(life.taken.at + 1, line)
    return _planted(lines, life.taken.at + 2, "CALLER-DOUBLE-FREE", sure=False)


def foreign_free(trace: Trace, draw: Random) -> Planted:
    life = trace.pick(draw, _kmalloc)
    line = changed(trace.lines[life.taken.at], ptr=_address(0xFFFFFFFF81000000 + 64 * draw.randrange(1000)))
    return _planted(trace.with_line(life.taken.at, line), life.taken.at + 1, "CALLER-FREE")


def interior_free(trace: Trace, draw: Random) -> Planted:
    life = trace.pick(draw, lambda each: _kmalloc(each) and each.given.number("bytes_alloc") >= 32)
    within = _address(life.given.number("ptr") + 8)
    line = changed(trace.lines[life.taken.at], ptr=within)
    return _planted(trace.with_line(life.taken.at, line), life.taken.at + 1, "CALLER-FREE")


def kmalloc_memory_to_a_cache(trace: Trace, draw: Random) -> Planted:
    life = trace.pick(draw, _kmalloc)
    at = life.taken.at
    fields = f"call_site=bad+0x1/0x2 ptr={life.given.fields['ptr']} name=dentry"
    line = renamed(trace.lines[at], "kmem_cache_free", fields)
    lines = list(trace.lines)
    lines[at] = line
    return _planted(lines, at + 1, "CALLER-FAMILY")


def object_to_another_cache(trace: Trace, draw: Random) -> Planted:
    names = sorted({life.taken.fields["name"] for life in trace.objects if _cached(life)})
    life = trace.pick(draw, _cached)
    other = draw.choice([name for name in names if name != life.taken.fields["name"]])
    lines = trace.changed(life.taken.at, name=other)
    return _planted(lines, life.taken.at + 1, "CALLER-CACHE", sure=False)


def overlap(trace: Trace, draw: Random) -> Planted:
    life = trace.pick(draw, lambda each: _kmalloc(each) and each.given.number("bytes_alloc") >= 64)
    start = _address(life.given.number("ptr") + 8)
    line = changed(trace.lines[life.given.at], ptr=start, bytes_req="24", bytes_alloc="32")
    at = draw.randrange(life.given.at + 1, life.taken.at)
    return _planted(trace.with_line(at, line), at + 1, "MEM-APART")


def handed_out_twice(trace: Trace, draw: Random) -> Planted:
    life = trace.pick(draw, lambda each: _kmalloc(each) or _cached(each))
    at = draw.randrange(life.given.at + 1, life.taken.at)
    return _planted(trace.with_line(at, trace.lines[life.given.at]), at + 1, "MEM-APART", sure=False)


def crooked_object(trace: Trace, draw: Random) -> Planted:
    life = trace.pick(draw, _kmalloc)
    lines = trace.changed(life.given.at, ptr=_address(life.given.number("ptr") + 4))
    return _planted(lines, life.given.at + 1, "SLAB-ALIGN", "SLAB-ALIGN-POWER")


def crooked_power(trace: Trace, draw: Random) -> Planted:
    life = trace.pick(
        draw, lambda each: _kmalloc(each) and each.given.number("bytes_req") in (64, 128, 256, 512)
    )
    lines = trace.changed(life.given.at, ptr=_address(life.given.number("ptr") + 32))
    return _planted(lines, life.given.at + 1, "SLAB-ALIGN-POWER")


def too_small(trace: Trace, draw: Random) -> Planted:
    life = trace.pick(draw, lambda each: _kmalloc(each) and each.given.number("bytes_req") > 16)
    return _planted(trace.changed(life.given.at, bytes_alloc="16"), life.given.at + 1, "MEM-USABLE")


def wrong_class(trace: Trace, draw: Random) -> Planted:
    life = trace.pick(draw, lambda each: _kmalloc(each) and each.given.number("bytes_alloc") in (32, 64, 128))
    given = {32: "64", 64: "96", 128: "192"}[life.given.number("bytes_alloc")]
    return _planted(trace.changed(life.given.at, bytes_alloc=given), life.given.at + 1, "SLAB-CLASS")


def no_address(trace: Trace, draw: Random) -> Planted:
    life = trace.pick(draw, _kmalloc)
    return _planted(trace.changed(life.given.at, ptr=_address((1 << 64) - 12)), life.given.at + 1, "MEM-NULL")


def page_handed_out_twice(trace: Trace, draw: Random) -> Planted:
    life = trace.block(draw, lambda each: each.taken.at - each.given.at > 2)
    at = draw.randrange(life.given.at + 1, life.taken.at)
    return _planted(trace.with_line(at, trace.lines[life.given.at]), at + 1, "MEM-APART")


def crooked_block(trace: Trace, draw: Random) -> Planted:
    life = trace.block(draw, lambda each: each.given.number("order") > 0)
    pfn = life.given.number("pfn") | 1
    lines = trace.changed(life.given.at, pfn=f"{pfn:#x}", page=_address(0xFFFFEA0000000000 + 64 * pfn))
    return _planted(lines, life.given.at + 1, "PAGE-ALIGN")


def order_too_large(trace: Trace, draw: Random) -> Planted:
    life = trace.block(
        draw, lambda each: each.given.number("order") == 0 and each.given.number("pfn") % 2 == 0
    )
    return _planted(trace.changed(life.taken.at, order="1"), life.taken.at + 1, "CALLER-ORDER")


def order_too_small(trace: Trace, draw: Random) -> Planted:
    life = trace.block(draw, lambda each: each.given.number("order") > 0)
    return _planted(trace.changed(life.taken.at, order="0"), life.taken.at + 1, "CALLER-ORDER", sure=False)


def page_free_twice(trace: Trace, draw: Random) -> Planted:
    life = trace.block(draw)
    lines = trace.with_line(life.taken.at + 1, trace.lines[life.taken.at])
    return _planted(lines, life.taken.at + 2, "CALLER-DOUBLE-FREE", sure=False)


def object_on_a_page_in_use(trace: Trace, draw: Random) -> Planted:
    block = trace.block(
        draw, lambda each: "MOVABLE" in each.given.fields["gfp_flags"] and each.taken.at - each.given.at > 2
    )
    life = trace.pick(draw, _kmalloc)
    at = draw.randrange(block.given.at + 1, block.taken.at)
    start = _address(0xFFFF888000000000 + (block.given.number("pfn") << 12))
    return _planted(trace.with_line(at, changed(trace.lines[life.given.at], ptr=start)), at + 1, "MEM-APART")


def page_under_an_object(trace: Trace, draw: Random) -> Planted:
    life = trace.pick(draw, lambda each: _kmalloc(each) or _cached(each))
    pfn = (life.given.number("ptr") - 0xFFFF888000000000) >> 12
    at = draw.randrange(life.given.at + 1, life.taken.at)
    fields = f"page={_address(0xFFFFEA0000000000 + 64 * pfn)} pfn={pfn:#x} order=0"
    line = renamed(trace.lines[life.given.at], "mm_page_free", fields)
    return _planted(trace.with_line(at, line), at + 1, "CALLER-FAMILY", sure=False)


def live_page_with_the_free_ones(trace: Trace, draw: Random) -> Planted:
    life = trace.block(draw, lambda each: each.taken.at - each.given.at > 2)
    at = draw.randrange(life.given.at + 1, life.taken.at)
    place = f"page={life.given.fields['page']} pfn={life.given.fields['pfn']}"
    fields = f"{place} order=0 migratetype=1 percpu_refill=1"
    line = renamed(trace.lines[life.given.at], "mm_page_alloc_zone_locked", fields)
    return _planted(trace.with_line(at, line), at + 1, "MEM-APART")


def two_zones(trace: Trace, draw: Random) -> Planted:
    life = trace.pick(draw, _kmalloc)
    lines = trace.changed(life.given.at, gfp_flags="GFP_DMA|GFP_DMA32")
    return _planted(lines, life.given.at + 1, "CALLER-GFP")


def sleeps_in_an_interrupt(trace: Trace, draw: Random) -> Planted:
    life = trace.pick(
        draw, lambda each: _kmalloc(each) and each.given.fields["gfp_flags"].startswith("GFP_KERNEL")
    )
    lines = list(trace.lines)
    lines[life.given.at] = re.sub(r"\] \S{5} ", "] d.h1. ", lines[life.given.at], count=1)
    return _planted(lines, life.given.at + 1, "CALLER-CONTEXT")


def user_pages_to_kfree(trace: Trace, draw: Random) -> Planted:
    block = trace.block(
        draw, lambda each: "MOVABLE" in each.given.fields["gfp_flags"] and each.taken.at - each.given.at > 2
    )
    life = trace.pick(draw, _kmalloc)
    at = draw.randrange(block.given.at + 1, block.taken.at)
    start = _address(0xFFFF888000000000 + (block.given.number("pfn") << 12))
    return _planted(
        trace.with_line(at, changed(trace.lines[life.taken.at], ptr=start)), at + 1, "CALLER-FAMILY"
    )


def _planted(lines: list[str], line: int, *clauses: str, sure: bool = True) -> Planted:
    return Planted(lines, line, frozenset(clauses), sure)


PLANTS: Final[tuple[Callable[[Trace, Random], Planted], ...]] = (
    kfree_twice,
    cache_object_twice,
    foreign_free,
    interior_free,
    kmalloc_memory_to_a_cache,
    object_to_another_cache,
    overlap,
    handed_out_twice,
    crooked_object,
    crooked_power,
    too_small,
    wrong_class,
    no_address,
    page_handed_out_twice,
    crooked_block,
    order_too_large,
    order_too_small,
    page_free_twice,
    object_on_a_page_in_use,
    page_under_an_object,
    live_page_with_the_free_ones,
    two_zones,
    sleeps_in_an_interrupt,
    user_pages_to_kfree,
)
