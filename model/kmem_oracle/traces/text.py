"""Lines of ftrace text, `trace-cmd report` and `perf script`, turned into what the judge takes.

All three print `TASK … TIME: EVENT: FIELDS`, and the fields of an event in one order. Most lines are cut
at fixed words; the few that this does not understand are looked at by pattern.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from typing import Final

from kmem_oracle.traces.judge import TraceJudge
from kmem_oracle.traces.request import LONGEST, Garbled, ObjectRequest, PageRequest
from kmem_spec.units import PAGE_SIZE

Handler = Callable[[int, str, str], None]
LINE: Final = re.compile(
    r"^\s*.{1,24}?-?\d+\s+(?:\([^)]{1,16}\)\s+)?\[\d+\]\s+(?:\S{1,8}\s+)?[\d.]+: +"
    r"(?:kmem:|vmalloc:)?(\w+): *(.*)$"
)
CUT: Final = 4096  # characters of a line that a pattern looks at
LOST: Final = re.compile(r"^CPU:(\d+) \[(?:LOST )?(\d*) ?EVENTS(?: DROPPED)?\]")
PERF_LOST: Final = re.compile(r"\[(\d+)\].*PERF_RECORD_LOST.*?lost (\d+)")
AREA: Final = re.compile(
    r"va_start[:=] ?(0x[0-9a-f]{1,16}|\d{1,20}) size=(\d{1,20}) align=(\d{1,20}) .*failed=(\d)"
)
UNMAPPED: Final = re.compile(r"va_start[:=] ?(0x[0-9a-f]{1,16}|\d{1,20})")
WRITTEN: Final = re.compile(r"^# entries-in-buffer/entries-written: (\d{1,18})/(\d{1,18}) +#P:(\d{1,6})")
CPU: Final = re.compile(r"\[\d{3,4}\]")
CPUS: Final = 1 << 13
HEADS: Final = 16  # lines in which a head tells how much was written
PLACE: Final = re.compile(r"(?:^| )pfn=(\S{1,20}) order=(\d{1,3})(?= |$)")
TIME: Final = re.compile(r"(\d{1,12}\.\d{1,9}):")
BACK: Final = 1000  # lines looked back at for the last one of a CPU
KINDS: Final = 1 << 12  # names of events, and tails, that are remembered
TAILS: Final = 1 << 16
TAG: Final = 0xF << 56  # arm64 may keep a tag there, which is no part of the address
WIDE: Final = 1 << 64


class TextReader:
    """Hands the events of lines to the judge.

    garbled   lines of known events that make no sense; first_garbled is the first of them
    others    events of other systems
    foreign   lines that are neither events nor known heads
    begins    line from which on a full buffer has all events, 0 if it has lost none
    lost      events that markers say are lost, and how many markers
    """

    def __init__(self, judge: TraceJudge) -> None:
        self.judge = judge
        self.garbled = 0
        self.first_garbled = 0
        self.foreign = 0
        self.others = 0
        self.lost = 0
        self.markers = 0
        self.begins = 0
        self._old = False  # a kernel before 5.13, which may not align powers of two as since 5.4
        self._base = self._unended = 0
        self._heads = HEADS
        self._awaited: set[str] = set()
        self._lines: list[str] = []
        self._context: dict[str, bool] = {}
        self._objects: dict[str, ObjectRequest] = {}
        self._cached: dict[str, ObjectRequest] = {}
        self._blocks: dict[str, PageRequest] = {}
        self._places: dict[str, tuple[int, int]] = {}
        self._free_pages = judge.pages.free
        self._refill_pages = judge.pages.refill
        self._known: dict[str, Handler] = {
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
        self._marks = [f"{name}: " for name in self._known]
        self._handlers = dict(self._known)
        self._counts = dict.fromkeys(self._known, 0)

    def read(self, lines: list[str], number: int, *, cut: bool = False) -> None:
        """Take lines, of which the first is line `number` + 1; `cut` says that the last one has no end."""
        self._base, self._lines, self._unended = number, lines, 0
        if cut:
            self._unended = number + len(lines)
        if self._awaited or self._heads:
            self._look_for_cpus(lines)
        get = self._handlers.get
        counts = self._counts
        for line in lines:
            number += 1
            try:
                head, name, fields = line.split(": ", 2)
                handle = get(name)
                if handle is not None:
                    handle(number, head, fields)
                    counts[name] += 1
                    continue
            except ValueError:
                self._again(line, number)
                continue
            self._odd(line, number, name)

    def events(self) -> Counter[str]:
        """Return how many events of each name there were."""
        total: Counter[str] = Counter()
        for name, count in self._counts.items():
            if plain_name(name) in self._known:
                total[plain_name(name)] += count
        return +total

    def time_of(self, line: str) -> float | None:
        """Return the time that a line tells, in seconds."""
        found = TIME.search(line[:CUT])
        return float(found[1]) if found else None

    def _odd(self, line: str, number: int, name: str) -> None:
        """Take a line whose event is not known by its name as it stands."""
        plain = plain_name(name)
        if ":" in name and plain != name.strip():  # the others name no system
            self.judge.saw_perf()
        if plain in self._known and len(name) < 64 and len(self._handlers) < KINDS:
            self._handlers[name] = self._known[plain]
            self._counts[name] = 0
            self._again(line, number)
        else:
            self._again(line, number)

    def _again(self, line: str, number: int) -> None:
        """Look at a line by pattern: a task's name may hold what looks like an event's."""
        found = LINE.match(line) if len(line) <= CUT else None
        if found is None:
            if marker := _marker(line):
                self._gap(number, marker)
            elif not line or line[0] == "#" or line.isspace():
                pass
            elif any(mark in line[:CUT] for mark in self._marks):
                self._garble(number)
            else:
                self.foreign += 1
            return
        name = found[1]
        handle = self._known.get(name)
        if handle is None:
            self.others += 1
            as_it_stands = line.split(": ", 2)[1]
            if as_it_stands.endswith(name) and len(as_it_stands) < 64 and len(self._handlers) < KINDS:
                self._handlers[as_it_stands] = self._other
                self._counts[as_it_stands] = 0
            return
        try:
            handle(number, line[: found.start(1)], found[2])
        except ValueError:
            self._garble(number)
        else:
            self._counts[name] += 1

    def _garble(self, number: int) -> None:
        self.garbled += 1
        self.first_garbled = self.first_garbled or number

    def _gap(self, number: int, marker: re.Match[str]) -> None:
        """Take note of lost events: after the last line of that CPU, or of any where that is far back."""
        self.markers += 1
        self.lost += int(marker[2]) if marker[2] and len(marker[2]) < 20 else 0
        here = number - self._base - 1
        cpu = f"[{int(marker[1]):03d}]" if len(marker[1]) < 6 else "no CPU"
        back = next((back for back in range(1, min(BACK, here) + 1) if cpu in self._lines[here - back]), 0)
        self.judge.lost(number - back if back else 0, number)

    def _look_for_cpus(self, lines: list[str]) -> None:
        """Look for the first line of each CPU where a full buffer has lost the oldest events.

        Each CPU has a buffer of its own: until its first line, any of its events may be missing.
        """
        if self._heads:
            heads = lines[: self._heads]
            self._heads -= len(heads)
            for line in heads:
                if (found := WRITTEN.match(line)) and int(found[1]) < int(found[2]):
                    self._awaited = {f"[{cpu:03d}]" for cpu in range(min(int(found[3]), CPUS))}
        for at, line in enumerate(lines if self._awaited else ()):
            found = CPU.search(line[:CUT])
            if found and found[0] in self._awaited:
                self._awaited.discard(found[0])
                self.begins = self._base + at + 1
                self.judge.lost(0, self.begins)
                if not self._awaited:
                    break

    def _other(self, _number: int, _head: str, _fields: str) -> None:
        """Take an event of another system."""
        self.others += 1

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
        self.judge.objects.allocate(number, self._place(pointer), self._site(before), request, atomic)

    def _cache_alloc(self, number: int, head: str, fields: str) -> None:
        """Take kmem_cache_alloc's event."""
        before, _, rest = fields.partition(" ptr=")
        pointer, _, tail = rest.partition(" ")
        request = self._cached.get(tail)
        if request is None:
            request = self._request(tail, self._cached, cached=True)
        atomic = request.sleeps and self._atomic(head)
        self.judge.objects.allocate(number, self._place(pointer), self._site(before), request, atomic)

    def _kfree(self, number: int, _head: str, fields: str) -> None:
        """Take kfree's event."""
        before, _, pointer = fields.partition(" ptr=")
        self.judge.objects.free(number, self._place(pointer, number), False, self._site(before), "")

    def _cache_free(self, number: int, _head: str, fields: str) -> None:
        """Take kmem_cache_free's event; kernels before 5.12 or so name no cache."""
        before, _, rest = fields.partition(" ptr=")
        pointer, _, name = rest.partition(" name=")
        start = self._place(pointer, number)
        if len(name) > LONGEST:
            raise Garbled(name[:LONGEST])
        if number == self._unended:
            name = ""
        self.judge.objects.free(number, start, True, self._site(before), name)

    def _page_alloc(self, number: int, head: str, fields: str) -> None:
        """Take mm_page_alloc's event."""
        before, _, rest = fields.partition(" pfn=")
        frame, _, tail = rest.partition(" ")
        request = self._blocks.get(tail)
        if request is None:
            if len(self._blocks) >= TAILS:
                self._blocks.clear()
            request = self._blocks[tail] = PageRequest(tail, self.judge.case.profile)
        struct = self._struct(before)
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
        place = self._frame(found[1]), self._order(found[2])
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

    def _site(self, before: str) -> str:
        """Return the call site's text.

        Errors   Garbled where it does not begin as one does
        """
        if len(before) > LONGEST:
            raise Garbled(before[:LONGEST])
        if before.startswith("call_site="):
            return before
        plain = before.lstrip()
        if not plain.startswith(("call_site=", "(")) or "call_site=" not in plain:
            raise Garbled(before)
        return plain

    def _place(self, text: str, number: int = 0) -> int:
        """Return an address.

        Errors   ValueError
        """
        length = len(text)
        if number and number == self._unended and length != (18 if text[:2] == "0x" else 16):
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

    def _order(self, text: str) -> int:
        """Return an order; what is above 63 is none."""
        order = int(text) if len(text) < 4 else 64
        if not 0 <= order < 64:
            raise Garbled(text)
        return order

    def _struct(self, before: str) -> int:
        """Return the address of a struct page, 0 for none."""
        text = before.lstrip().removeprefix("page=")
        if len(text) == len(before.lstrip()):
            raise Garbled(before)
        if text in ("(null)", "(nil)", "0"):
            return 0
        if len(text) > 18:
            raise Garbled(before)
        return int(text, 16)

    def _atomic(self, head: str) -> bool:
        """Say whether ftrace's flags show an interrupt."""
        parts = head.rsplit(None, 2)
        flags = parts[1] if len(parts) == 3 else ""
        known = self._context.get(flags)
        if known is None:
            known = 4 <= len(flags) <= 6 and flags[0] in ".dDbBX" and flags[2] in "hHsZz"
            if len(self._context) < KINDS:
                self._context[flags] = known
        return known


def _marker(line: str) -> re.Match[str] | None:
    """Return what says that events were lost, if the line does."""
    if line.startswith("CPU:"):
        return LOST.match(line)
    return PERF_LOST.search(line[:CUT]) if "PERF_RECORD_LOST" in line else None


def plain_name(name: str) -> str:
    """Return an event's name without its system and the blanks before it."""
    return name.strip().removeprefix("kmem:").removeprefix("vmalloc:")
