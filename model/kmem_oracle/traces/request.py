"""Requests: what the tail of an event says was asked and given, parsed once for all events that share it."""

from __future__ import annotations

import re
from typing import Final

from kmem_oracle.traces import masks
from kmem_oracle.traces.finding import shown
from kmem_spec import gfp
from kmem_spec.profile import Profile
from kmem_spec.slab import size_class
from kmem_spec.units import is_power_of_two, power_of_two_divisor

FIELD: Final = re.compile(r"(\w+)=(\S+)")
LONGEST: Final = 1 << 10  # characters of the fields that events share, and of names
MOST: Final = 1 << 64


class Garbled(ValueError):
    """A line of an event whose fields are not those of it."""


def fields_of(tail: str) -> dict[str, str]:
    """Return the fields of the end of a line.

    Errors   Garbled for what is longer than any event
    """
    if len(tail) > LONGEST:
        raise Garbled(tail[:LONGEST])
    return dict(FIELD.findall(tail))


def number(fields: dict[str, str], name: str) -> int:
    """Return a field that is a number, not negative and below 2^64.

    Errors   Garbled
    """
    text = fields.get(name, "")
    if len(text) > 20 or not text.isdecimal() or not text.isascii() or int(text) >= MOST:
        raise Garbled(name)
    return int(text)


class ObjectRequest:
    """What an object's allocation asks for.

    Units    asked and given in bytes
    wrong    clauses that it breaks wherever the object lies, each with what to say
    align    alignment minus 1, a mask, and the clause that demands it
    kind     of kmalloc's caches the one that the mask selects: "normal", "dma", "reclaimable"
    cache    name of the cache, which kernels since 6.17 tell
    count    how many events had this tail, `first` and `last` the lines of them
    """

    __slots__ = (
        "align",
        "align_clause",
        "asked",
        "cache",
        "cached",
        "count",
        "first",
        "given",
        "kind",
        "last",
        "mask",
        "nofail",
        "sleeps",
        "text",
        "wrong",
    )

    def __init__(self, tail: str, cached: bool, profile: Profile, natural: bool) -> None:
        """Parse a tail.

        Needs    `natural` says that this kernel aligns powers of two
        Errors   Garbled
        """
        fields = fields_of(tail)
        self.asked = number(fields, "bytes_req")
        self.given = number(fields, "bytes_alloc")
        text = fields.get("gfp_flags", "")
        self.text = shown(text)
        self.mask = mask = masks.parse(text)
        self.cached = cached
        self.cache = shown(fields.get("name", ""))
        self.count = self.first = self.last = 0
        self.sleeps = mask.bits & gfp.DIRECT_RECLAIM != 0
        self.nofail = self.sleeps and mask.bits & gfp.NOFAIL != 0
        self.kind = "dma" if mask.bits & gfp.DMA else "normal"
        if mask.bits & gfp.RECLAIMABLE:
            self.kind = "reclaimable"
        self.wrong = tuple(self._wrong(profile))
        self.align, self.align_clause = self._align(profile, natural)

    def _wrong(self, profile: Profile) -> list[tuple[str, str]]:
        """Return what is wrong with the request wherever the object lies."""
        wrong = []
        largest = "CACHE-MAX" if self.cached else "SLAB-MAX"
        if self.asked > profile.kmalloc_max or self.given > 2 * profile.kmalloc_max:
            wrong.append((largest, f"{self.asked} bytes, and {self.given} given, are above the maximum"))
        elif self.given < self.asked:
            wrong.append(("MEM-USABLE", f"{self.asked} bytes asked for, {self.given} given"))
        elif not self.cached and self.asked and "size-classes" in profile.promises:
            due = size_class(self.asked, profile.smallest_class)
            if self.given != due:
                wrong.append(("SLAB-CLASS", f"{self.asked} bytes asked for, {self.given} given, not {due}"))
        if self.mask.whole and not gfp.mask_is_legal(self.mask.bits):
            wrong.append(("CALLER-GFP", f"the mask {self.text} is not legal"))
        return wrong

    def _align(self, profile: Profile, natural: bool) -> tuple[int, str]:
        """Return the strongest alignment due, minus 1, and its clause."""
        if self.cached:
            return 7, "CACHE-ALIGN"
        due, clause = profile.minimum_align, "SLAB-ALIGN"
        if natural and self.asked and is_power_of_two(self.asked) and self.asked > due:
            due, clause = self.asked, "SLAB-ALIGN-POWER"
        elif self.asked and "linux-6.12" in profile.promises:
            divisor = power_of_two_divisor(self.asked)
            if divisor > due:
                due, clause = divisor, "SLAB-ALIGN-DIVISOR"
        return due - 1, clause


class PageRequest:
    """What a block's allocation asks for.

    slabs    whether slabs may be made of it
    wrong    as in ObjectRequest; it needs the block's place only for PAGE-ZONE, which `zone_end` is for
    """

    __slots__ = ("count", "mask", "nofail", "order", "slabs", "sleeps", "text", "wrong", "zone_end")

    def __init__(self, tail: str, profile: Profile) -> None:
        """Parse a tail.

        Errors   Garbled
        """
        fields = fields_of(tail)
        self.order = number(fields, "order")
        if self.order > 63:
            raise Garbled("order")
        text = fields.get("gfp_flags", "")
        self.text = shown(text)
        self.mask = mask = masks.parse(text)
        self.count = 0
        self.sleeps = mask.bits & gfp.DIRECT_RECLAIM != 0
        self.nofail = self.sleeps and mask.bits & gfp.NOFAIL != 0
        self.slabs = masks.may_hold_objects(mask, self.order)
        self.wrong: tuple[tuple[str, str], ...] = ()
        if mask.whole and not gfp.mask_is_legal(mask.bits):
            self.wrong = (("CALLER-GFP", f"the mask {self.text} is not legal"),)
        if self.order > profile.max_order:
            self.wrong += (("PAGE-ORDER-MAX", f"order {self.order} is above {profile.max_order}"),)
        legal = mask.whole and gfp.zone_is_legal(mask.bits)
        zone = gfp.highest_zone(mask.bits) if legal else gfp.ZONE_NORMAL
        ends = {gfp.ZONE_DMA: profile.dma_end, gfp.ZONE_DMA32: profile.dma32_end}
        self.zone_end = ends.get(zone, 0)
