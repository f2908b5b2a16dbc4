"""Objects: kmalloc memory and objects of caches, allocated and freed as a trace shows them.

A line that no order of legal calls explains is a violation. The kernel frees and allocates in bulk without
an event, which explains that a slot is handed out twice, or taken back twice from a cache; it cannot make
a slab of another: that takes events of pages.
"""

from __future__ import annotations

from typing import Final

from kmem_oracle.traces.asked import Asked
from kmem_oracle.traces.caches import Caches
from kmem_oracle.traces.case import Case
from kmem_oracle.traces.frees import KNOWN, Frees
from kmem_oracle.traces.live import (
    BULK,
    SLAB_MAX,
    Gone,
    Live,
    Slab,
    group_of,
    is_within_kmalloc,
    may_be_kfence,
    told,
)
from kmem_oracle.traces.pages import Pages
from kmem_oracle.traces.request import ObjectRequest
from kmem_oracle.traces.sites import Site, Sites
from kmem_spec.units import MAX_ERRNO, PAGE_SHIFT, SIZE_MAX

TOLD_TWICE: Final = 16  # lines between two events of one large kmalloc


class Objects:
    """The objects that are live."""

    def __init__(self, case: Case, pages: Pages, sites: Sites) -> None:
        self.case = case
        self.pages = pages
        self.sites = sites
        self.live: dict[int, Live] = {}
        self.on_page = pages.on_page
        self.bytes = 0
        self.cache_bytes = 0
        self.frees = Frees(case, pages, sites, self.live)
        self.gone = self.frees.gone
        self.caches = Caches(case, pages.on_page, sites)
        self.asked = Asked(case)
        # What every event comes by is at hand here.
        self._refused = self.asked.refused
        self._freed_by = self.frees.count
        self._to_cache = self.caches.take
        pages.evict = self.evict
        pages.clear = self.clear

    def allocate(self, line: int, start: int, site_text: str, request: ObjectRequest, atomic: bool) -> None:
        """Judge an object that was handed out, NULL for a request that failed."""
        case = self.case
        site = self.sites.of(site_text)
        case.judged += 1
        request.count += 1
        request.last = line
        if request.count == 1:
            request.first = line
        if request.wrong or atomic:
            at = f", at {site.name}"
            self.asked.judge(line, request, site.name, at, given=start != 0, atomic=atomic)
        length = request.given
        if not 4096 <= start <= SIZE_MAX - MAX_ERRNO or not 0 < length <= 2 * case.profile.kmalloc_max:
            self._none(line, start, site, request)
            return
        if self._refused and request.nofail:
            self.asked.grant(line, _refusal(request, site), site.name)
        if not case.hashed:
            if start & request.align and (start & 3 or start >> 32 or request.align > 7):
                self._misaligned(line, start, site, request)  # 32-bit machines may align to 4
                return
            if not case.map.sure:
                case.map.saw_object(line, start, length)
            if case.map.base is not None:
                block = self.pages.live.get((start >> PAGE_SHIFT) - case.map.base)
                if block is not None and not block.request.slabs:
                    self.pages.meet(line, start, length, block)
        old = self.live.get(start)
        if old is not None:
            self._twice(line, start, old, site, request)
        page = start >> PAGE_SHIFT
        last = (start + length - 1) >> PAGE_SHIFT
        grid = length * length + start % length
        while not case.hashed:
            slab = self.on_page.get(page)
            if slab is None:
                slab = self.on_page[page] = Slab(grid)
            elif slab.grid != grid:
                if self._overlaps(line, page, start, request):
                    self._withdraw(start, page)
                    return
                slab = self.on_page.setdefault(page, Slab(0))
                slab.grid = 0 if slab.starts else grid
            slab.starts[start] = length
            if page == last:
                break
            page += 1
        self.live[start] = Live(line, request, site)
        self.gone.pop(start, None)
        site.count += 1
        site.asked += request.asked
        site.given += length
        site.live += 1
        site.live_bytes += length
        if request.cached:
            self.cache_bytes += length
        else:
            self.bytes += length

    def free(self, line: int, start: int, by_cache: bool, site_text: str, name: str) -> None:
        """Judge an object that is given back, through kmem_cache_free (`by_cache`) or kfree."""
        old = self.live.get(start)
        if old is None:
            self.frees.judge(line, start, by_cache, site_text, name)
            return
        self.case.judged += 1
        request = old.request
        if by_cache:
            if not request.cached:
                self.caches.of_kmalloc(line, old, name)
            elif name:
                self._to_cache(line, start, old, name)
        else:
            self._freed_by(site_text, KNOWN)
            if request.cached and not self.case.modern and "linux-6.12" not in self.case.profile.promises:
                self.caches.by_kfree(line, old, site_text)
        self._drop(start, old)
        self.gone[start] = Gone(old.line, line, by_cache, request.cached)

    def _drop(self, start: int, old: Live) -> None:
        """Take an object out of the books."""
        request = old.request
        length = request.given
        del self.live[start]
        page = start >> PAGE_SHIFT
        last = (start + length - 1) >> PAGE_SHIFT
        while page in self.on_page:
            starts = self.on_page[page].starts
            starts.pop(start, None)
            if not starts:
                del self.on_page[page]
            if page == last:
                break
            page += 1
        site = old.site
        site.live -= 1
        site.live_bytes -= length
        if request.cached:
            self.cache_bytes -= length
        else:
            self.bytes -= length

    def tidy(self) -> None:
        """Bound the memory of what is gone."""
        self.frees.tidy()

    def evict(self, line: int, page: int) -> None:
        """Take note that a page was given back under the objects that are on it."""
        for start in list(self.on_page[page].starts):
            old = self.live[start]
            self.case.find(
                "CALLER-FAMILY",
                line,
                (old.line,),
                f"the page of {told(start, old)} is given back while it is live",
                certainty="suspect",
                group=group_of(old.request, old.site),
                explained=BULK,
            )
            self._drop(start, old)

    def clear(self, page: int) -> list[int]:
        """Take all objects on a page out of the books, and return their lines."""
        lines = []
        for start in list(self.on_page[page].starts):
            old = self.live[start]
            lines.append(old.line)
            self._drop(start, old)
        return sorted(lines)

    def _none(self, line: int, start: int, site: Site, request: ObjectRequest) -> None:
        """Take a request that gave no address."""
        if start == 0:
            self.case.failed = True
            site.failed += 1
            if request.nofail:
                self.asked.refuse(line, _refusal(request, site))
        elif not 4096 <= start <= SIZE_MAX - MAX_ERRNO and not self.case.hashed:
            message = f"{request.asked} bytes asked for at {site.name}, {start:#x} given: no address"
            self.case.find("MEM-NULL", line, (), message, group=site.name)

    def _misaligned(self, line: int, start: int, site: Site, request: ObjectRequest) -> None:
        """Report an object that is not aligned."""
        message = (
            f"{request.asked} bytes asked for at {site.name} lie at {start:#x}, no multiple of "
            f"{request.align + 1}"
        )
        self.case.find(request.align_clause, line, (), message, group=site.name)
        self.frees.replaced[start] = line

    def _twice(self, line: int, start: int, old: Live, site: Site, request: ObjectRequest) -> None:
        """Take an object whose address is that of a live one."""
        paged = old.request.given > SLAB_MAX
        if paged and line - old.line < TOLD_TWICE and old.request is request and is_within_kmalloc(old.site):
            old.site.count -= 1
            request.count -= 1
        else:
            sure = paged and not self.case.stale(old.line) and not is_within_kmalloc(old.site)
            self.case.find(
                "MEM-APART",
                line,
                (old.line,),
                f"{told(start, old)} is handed out again, to {site.name}, without a free",
                certainty="violation" if sure else "suspect",
                group=group_of(request, site),
                rests="page events",
                explained="" if sure else BULK,
            )
        self._drop(start, old)

    def _overlaps(self, line: int, page: int, start: int, request: ObjectRequest) -> bool:
        """Say whether an object surely overlaps others, on a page whose objects lie on another grid.

        What only may overlap it is gone, and leaves the books.
        """
        surely = False
        end = start + request.given
        starts = self.on_page[page].starts
        met = [other for other, length in starts.items() if other < end and start < other + length]
        for other in met:
            old = self.live[other]
            sure = not self.case.stale(old.line) and not (
                may_be_kfence(other, old.request) and may_be_kfence(start, request)
            )
            self.case.find(
                "MEM-APART",
                line,
                (old.line,),
                f"{request.given} bytes at {start:#x} overlap {told(other, old)}",
                certainty="violation" if sure else "suspect",
                rests="page events",
                explained="" if sure else f"{BULK}, and pages that change hands",
            )
            surely |= sure
            if not sure:
                self._drop(other, old)
                self.frees.replaced[other] = line
        return surely

    def _withdraw(self, start: int, last: int) -> None:
        """Take an object out that surely overlaps others on page `last`: it is not judged any further."""
        for page in range(start >> PAGE_SHIFT, last):
            starts = self.on_page[page].starts
            starts.pop(start, None)
            if not starts:
                del self.on_page[page]
        self.frees.replaced[start] = last


def _refusal(request: ObjectRequest, site: Site) -> str:
    """Return the words that a request failed."""
    return f"{request.asked} bytes with {request.text} at {site.name} gave NULL"
