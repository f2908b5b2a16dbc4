"""Events: their fields, turned into what the judge takes. All recorders print them in one order."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from kmem_oracle.traces.fields import order_of, site_of, struct_of
from kmem_oracle.traces.judge import TraceJudge
from kmem_oracle.traces.request import LONGEST, Garbled, ObjectRequest, PageRequest
from kmem_spec.units import PAGE_SIZE

Handler = Callable[[int, str, str], None]
AREA: Final = re.compile(
    r"va_start[:=] ?(0x[0-9a-f]{1,16}|\d{1,20}) size=(\d{1,20}) align=(\d{1,20}) .*failed=(\d)"
)
UNMAPPED: Final = re.compile(r"va_start[:=] ?(0x[0-9a-f]{1,16}|\d{1,20})")
PLACE: Final = re.compile(r"(?:^| )pfn=(\S{1,20}) order=(\d{1,3})(?= |$)")
FLAGS: Final = 1 << 12  # flags of lines that are remembered
TAILS: Final = 1 << 16
TAG: Final = 0xF << 56  # arm64 may keep a tag there, which is no part of the address
WIDE: Final = 1 << 64


class Events:
    """Hands events to the judge, each by the handler of its name: its line, what is before it, its fields.

    unended   the number of a line that has no end, 0 if there is none: it may have been cut
    """

    def __init__(self, judge: TraceJudge) -> None:
        self.judge = judge
        self.unended = 0
        self._old = False  # a kernel before 5.13, which may not align powers of two as since 5.4
        self._context: dict[str, bool] = {}
        self._objects: dict[str, ObjectRequest] = {}
        self._cached: dict[str, ObjectRequest] = {}
        self._blocks: dict[str, PageRequest] = {}
        self._places: dict[str, tuple[int, int]] = {}
        self._free_pages = judge.pages.free
        self._refill_pages = judge.pages.refill
        self.handlers: dict[str, Handler] = {
            "kmalloc": self._kmalloc,
            "kmalloc_node": self._kmalloc,
            "kmem_cache_alloc": self._cache_alloc,
            "kmem_cache_alloc_node": self._cache_alloc,
            "kfree": self._kfree,
            "kmem_cache_free": self._cache_free,
            "mm_page_alloc": self._page_alloc,
            "mm_page_free": self._page_free,
            "mm_page_free_direct": self._page_free,
            "mm_pagevec_free": self._page_batched,
            "mm_page_free_batched": self._nothing,
            "mm_page_alloc_zone_locked": self._refill,
            "mm_page_pcpu_drain": self._drain,
            "mm_page_alloc_extfrag": self._nothing,
            "alloc_vmap_area": self._area_alloc,
            "free_vmap_area_noflush": self._area_free,
            "purge_vmap_area_lazy": self._nothing,
        }

    def _nothing(self, _number: int, _head: str, _fields: str) -> None:
        """Take an event that says nothing new."""

    def _kmalloc(self, number: int, head: str, fields: str) -> None:
        """Take kmalloc's event."""
        before, _, rest = fields.partition(" ptr=")
        pointer, _, tail = rest.partition(" ")
        request = self._objects.get(tail)
        if request is None:
            request = self._request(tail, self._objects, cached=False)
        atomic = request.sleeps and self._atomic(head)
        self.judge.objects.allocate(number, self._place(pointer), site_of(before), request, atomic)

    def _cache_alloc(self, number: int, head: str, fields: str) -> None:
        """Take kmem_cache_alloc's event."""
        before, _, rest = fields.partition(" ptr=")
        pointer, _, tail = rest.partition(" ")
        request = self._cached.get(tail)
        if request is None:
            request = self._request(tail, self._cached, cached=True)
        atomic = request.sleeps and self._atomic(head)
        self.judge.objects.allocate(number, self._place(pointer), site_of(before), request, atomic)

    def _kfree(self, number: int, _head: str, fields: str) -> None:
        """Take kfree's event."""
        before, _, pointer = fields.partition(" ptr=")
        self.judge.objects.free(number, self._place(pointer, number), False, site_of(before), "")

    def _cache_free(self, number: int, _head: str, fields: str) -> None:
        """Take kmem_cache_free's event; kernels before 5.12 or so name no cache."""
        before, _, rest = fields.partition(" ptr=")
        pointer, _, name = rest.partition(" name=")
        start = self._place(pointer, number)
        if len(name) > LONGEST:
            raise Garbled(name[:LONGEST])
        if number == self.unended:
            name = ""
        self.judge.objects.free(number, start, True, site_of(before), name)

    def _page_alloc(self, number: int, head: str, fields: str) -> None:
        """Take mm_page_alloc's event."""
        before, _, rest = fields.partition(" pfn=")
        frame, _, tail = rest.partition(" ")
        request = self._blocks.get(tail)
        if request is None:
            if len(self._blocks) >= TAILS:
                self._blocks.clear()
            request = self._blocks[tail] = PageRequest(tail, self.judge.case.profile)
        struct = struct_of(before)
        pfn = self._frame(frame)
        if (not pfn and not struct) or pfn == WIDE - 1:
            pfn = -1
        atomic = request.sleeps and self._atomic(head)
        self.judge.pages.allocate(number, pfn, struct, request, atomic)

    def _page_free(self, number: int, _head: str, fields: str) -> None:
        """Take mm_page_free's event."""
        _, _, tail = fields.partition(" ")
        place = self._places.get(tail)
        pfn, order = self._place_of(tail) if place is None else place
        self._free_pages(number, pfn, order)

    def _page_batched(self, number: int, _head: str, fields: str) -> None:
        """Take mm_pagevec_free's event."""
        found = PLACE.search(fields)
        if found is None:
            raise Garbled(fields)
        self.judge.pages.batched(number, self._frame(found[1]))

    def _refill(self, number: int, _head: str, fields: str) -> None:
        """Take mm_page_alloc_zone_locked's event."""
        _, _, tail = fields.partition(" ")
        place = self._places.get(tail)
        pfn, order = self._place_of(tail) if place is None else place
        self._refill_pages(number, pfn, order, "taken from the free ones")

    def _drain(self, number: int, _head: str, fields: str) -> None:
        """Take mm_page_pcpu_drain's event."""
        _, _, tail = fields.partition(" ")
        self._refill_pages(number, *self._place_of(tail), "put with the free ones")

    def _place_of(self, tail: str) -> tuple[int, int]:
        """Return page frame number and order from what follows the struct page, and remember them."""
        found = PLACE.search(tail)
        if found is None or len(tail) > LONGEST:
            raise Garbled(tail[:LONGEST])
        place = self._frame(found[1]), order_of(found[2])
        if len(self._places) >= TAILS:
            self._places.clear()
        self._places[tail] = place
        return place

    def _area_alloc(self, number: int, _head: str, fields: str) -> None:
        """Take alloc_vmap_area's event."""
        found = AREA.search(fields)
        if found is None:
            raise Garbled(fields)
        start, size, align = int(found[1], 0), int(found[2]), int(found[3])
        if start + size > WIDE:
            raise Garbled(fields)
        self.judge.areas.allocate(number, start, size, align, found[4] != "0")

    def _area_free(self, number: int, _head: str, fields: str) -> None:
        """Take free_vmap_area_noflush's event."""
        found = UNMAPPED.search(fields)
        if found is None:
            raise Garbled(fields)
        self.judge.areas.free(number, int(found[1], 0))

    def _request(self, tail: str, known: dict[str, ObjectRequest], *, cached: bool) -> ObjectRequest:
        """Return the request that a tail asks for."""
        if " gfp_flags=" not in tail:
            raise Garbled(tail)
        if len(known) >= TAILS:
            self.judge.retire(known.values())
            known.clear()
        request = known[tail] = ObjectRequest(tail, cached, self.judge.case.profile, not self._old)
        if request.cache:
            self.judge.case.modern = True
        return request

    def requests(self) -> list[ObjectRequest]:
        """Return what was asked for."""
        return [*self._objects.values(), *self._cached.values()]

    def _place(self, text: str, number: int = 0) -> int:
        """Return an address.

        Errors   ValueError
        """
        length = len(text)
        if number and number == self.unended and length != (18 if text[:2] == "0x" else 16):
            raise Garbled(text)  # it may have been cut
        if length == 18 or length == 16 or length == 8:
            start = int(text, 16)
            if start < 1 << 32 and start >= PAGE_SIZE and length == 16:
                self.judge.saw_hash()
            elif start >> 60 == 15:
                return start | TAG
            return start
        plain = text.rstrip()
        if plain in ("(null)", "(nil)", "0", "(efault)"):
            return 0
        if plain == "(____ptrval____)":
            raise Garbled(text)
        if not 0 < len(plain.removeprefix("0x")) <= 16:
            raise Garbled(text)
        return int(plain, 16)

    def _frame(self, text: str) -> int:
        """Return a page frame number: hexadecimal, in kernels before 5.13 decimal."""
        if text[:2] == "0x" and len(text) <= 18:
            return int(text, 16)
        if not text.isdecimal() or not text.isascii() or len(text) > 20:
            raise Garbled(text)
        if not self._old:
            self._old = True
            for known in (self._objects, self._cached):
                self.judge.retire(known.values())
                known.clear()
        return int(text)

    def _atomic(self, head: str) -> bool:
        """Say whether ftrace's flags show an interrupt."""
        parts = head.rsplit(None, 2)
        flags = parts[1] if len(parts) == 3 else ""
        known = self._context.get(flags)
        if known is None:
            known = 4 <= len(flags) <= 6 and flags[0] in ".dDbBX" and flags[2] in "hHsZz"
            if len(self._context) < FLAGS:
                self._context[flags] = known
        return known
