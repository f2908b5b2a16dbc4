"""Objects: kmalloc memory and objects of caches, allocated and freed as a trace shows them.

A line that no order of legal calls explains is a violation. The kernel frees and allocates in bulk without
an event, which explains that a slot is handed out twice, or taken back twice from a cache; it cannot make
a slab of another: that takes events of pages.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from kmem_oracle.traces.case import Case, forget_oldest
from kmem_oracle.traces.finding import Certainty, shown
from kmem_oracle.traces.pages import Pages, Slab
from kmem_oracle.traces.request import ObjectRequest
from kmem_oracle.traces.sites import Site, Sites
from kmem_spec.units import MAX_ERRNO, PAGE_SHIFT, PAGE_SIZE, SIZE_MAX, ZERO_SIZE_PTR

TOLD_TWICE: Final = 16  # lines between two events of one large kmalloc
SLAB_MAX: Final = 8192  # bytes; what kmalloc gives beyond is a block of pages
BULK: Final = "bulk calls, which emit no event"
KNOWN, UNKNOWN = 0, 1
KNOWN_SLOTS: Final = 8  # objects after which the slot of a cache is believed
NAMES: Final = 1 << 16


class Live(NamedTuple):
    """An object: the line that gave it, what was asked, by whom."""

    line: int
    request: ObjectRequest
    site: Site


def _group(request: ObjectRequest, site: Site) -> str:
    """Return whose object it is: its cache, or where that is not known the call site."""
    return request.cache or site.name


class Gone(NamedTuple):
    """An object that was freed: the lines, 0 where the allocation was not seen; the families."""

    allocated: int
    freed: int
    by_cache: bool
    of_cache: bool


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
        self.gone: dict[int, Gone] = {}
        self._replaced: dict[int, int] = {}
        self._slots: dict[str, list[int]] = {}
        self._refused: dict[tuple[str, str], int] = {}
        self._freeing: dict[str, list[int]] = {}
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
            self._wrong(line, start, site, request, atomic)
        length = request.given
        if not 4096 <= start <= SIZE_MAX - MAX_ERRNO or not 0 < length <= 2 * case.profile.kmalloc_max:
            self._none(line, start, site, request)
            return
        if self._refused and request.nofail:
            self._granted(line, site, request)
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
            self._unknown(line, start, by_cache, site_text, name)
            return
        self.case.judged += 1
        request = old.request
        if by_cache:
            if not request.cached:
                self._not_of_cache(line, old, name)
            elif name:
                self._of_cache(line, start, old, name)
        else:
            self._freed_by(site_text, KNOWN)
            if request.cached and not self.case.modern and "linux-6.12" not in self.case.profile.promises:
                self._cached_by_kfree(line, old, site_text)
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
        forget_oldest(self.gone, len(self.live))
        forget_oldest(self._replaced, len(self.live))

    def evict(self, line: int, page: int) -> None:
        """Take note that a page was given back under the objects that are on it."""
        for start in list(self.on_page[page].starts):
            old = self.live[start]
            self.case.find(
                "CALLER-FAMILY",
                line,
                (old.line,),
                f"the page of {_object(start, old)} is given back while it is live",
                certainty="suspect",
                group=_group(old.request, old.site),
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

    def _wrong(self, line: int, start: int, site: Site, request: ObjectRequest, atomic: bool) -> None:
        """Report what is wrong with a request wherever the object lies."""
        for clause, message in request.wrong:
            if start or clause.startswith("CALLER"):
                self.case.find(clause, line, (), f"{message}, at {site.name}", group=site.name)
        if atomic and request.sleeps:
            message = f"{shown(request.text)} may sleep, in an interrupt, at {site.name}"
            self.case.find("CALLER-CONTEXT", line, (), message, group=site.name)

    def _none(self, line: int, start: int, site: Site, request: ObjectRequest) -> None:
        """Take a request that gave no address."""
        if start == 0:
            self.case.failed = True
            site.failed += 1
            if request.nofail and len(self._refused) < NAMES:
                self._refused[site.name, f"{request.asked} {request.text}"] = line
        elif not 4096 <= start <= SIZE_MAX - MAX_ERRNO and not self.case.hashed:
            message = f"{request.asked} bytes asked for at {site.name}, {start:#x} given: no address"
            self.case.find("MEM-NULL", line, (), message, group=site.name)

    def _granted(self, line: int, site: Site, request: ObjectRequest) -> None:
        """See whether the same request, which must not fail, has failed before."""
        before = self._refused.pop((site.name, f"{request.asked} {request.text}"), 0)
        if before:
            message = (
                f"{request.asked} bytes with {shown(request.text)} at {site.name} gave NULL; the same "
                f"request succeeds at line {line}"
            )
            self.case.find("GFP-NOFAIL", before, (line,), message, group=site.name)

    def _misaligned(self, line: int, start: int, site: Site, request: ObjectRequest) -> None:
        """Report an object that is not aligned."""
        message = (
            f"{request.asked} bytes asked for at {site.name} lie at {start:#x}, no multiple of "
            f"{request.align + 1}"
        )
        self.case.find(request.align_clause, line, (), message, group=site.name)
        self._replaced[start] = line

    def _twice(self, line: int, start: int, old: Live, site: Site, request: ObjectRequest) -> None:
        """Take an object whose address is that of a live one."""
        paged = old.request.given > SLAB_MAX
        if paged and line - old.line < TOLD_TWICE and old.request is request and _is_within_kmalloc(old.site):
            old.site.count -= 1
            request.count -= 1
        else:
            sure = paged and not self._stale(old.line) and not _is_within_kmalloc(old.site)
            self.case.find(
                "MEM-APART",
                line,
                (old.line,),
                f"{_object(start, old)} is handed out again, to {site.name}, without a free",
                certainty="violation" if sure else "suspect",
                group=_group(request, site),
                rests="page events",
                explained="" if sure else BULK,
            )
        self._drop(start, old)

    def _stale(self, line: int) -> bool:
        """Say whether the page of an object of that line may have changed hands unnoticed."""
        return self.case.unmapped_free > line

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
            sure = not self._stale(old.line) and not (
                _may_be_kfence(other, old.request) and _may_be_kfence(start, request)
            )
            self.case.find(
                "MEM-APART",
                line,
                (old.line,),
                f"{request.given} bytes at {start:#x} overlap {_object(other, old)}",
                certainty="violation" if sure else "suspect",
                rests="page events",
                explained="" if sure else f"{BULK}, and pages that change hands",
            )
            surely |= sure
            if not sure:
                self._drop(other, old)
                self._replaced[other] = line
        return surely

    def _withdraw(self, start: int, last: int) -> None:
        """Take an object out that surely overlaps others on page `last`: it is not judged any further."""
        for page in range(start >> PAGE_SHIFT, last):
            starts = self.on_page[page].starts
            starts.pop(start, None)
            if not starts:
                del self.on_page[page]
        self._replaced[start] = last

    def _of_cache(self, line: int, start: int, old: Live, name: str) -> None:
        """Compare the cache that an object is freed to with what is known of its page and of the cache."""
        given = old.request.given
        slot = self._slots.get(name)
        slab = self.on_page.get(start >> PAGE_SHIFT, Slab(0))
        if slab.name and slab.name != name:
            first = self._slots.get(slab.name)
            if first is None or first[0] == given:
                self.case.find(
                    "CALLER-CACHE",
                    line,
                    (old.line, slab.told),
                    f"{_object(start, old)} is freed to {shown(name)}; its page is of {shown(slab.name)}",
                    certainty="suspect" if self._stale(old.line) else "violation",
                    group=shown(name),
                    rests="page events",
                    explained="pages that change hands" if self._stale(old.line) else "",
                )
                return
        slab.name, slab.told = name, line
        if slot is None:
            if len(self._slots) < NAMES:
                self._slots[name] = [given, 1]
        elif slot[0] == given:
            slot[1] += 1
        elif slot[1] < KNOWN_SLOTS:
            slot[:] = [given, 1]
        else:
            self.case.find(
                "CALLER-CACHE",
                line,
                (old.line,),
                f"{_object(start, old)} is freed to {shown(name)}, whose objects have {slot[0]} bytes",
                certainty="suspect",
                group=shown(name),
                explained="a second cache of that name",
            )
            slab.name = ""

    def _not_of_cache(self, line: int, old: Live, name: str) -> None:
        """Report kmalloc memory that goes to a cache; those merged with kmalloc's have their names."""
        merged = name.startswith("kmalloc") or self._stale(old.line)
        self.case.find(
            "CALLER-FAMILY",
            line,
            (old.line,),
            f"kmalloc memory of {old.site.name} is freed to the cache {shown(name)}",
            certainty="suspect" if merged else "violation",
            group=shown(name),
            rests="page events",
            explained=f"{BULK}, of a cache merged with kmalloc's" if merged else "",
        )

    def _cached_by_kfree(self, line: int, old: Live, site_text: str) -> None:
        """Report an object of a cache that kfree takes, which kernels permit since 6.4."""
        sure = bool(self.case.profile.promises & {"linux-6.1", "linux-2.6"})
        where = self.sites.name_of(site_text)
        self.case.find(
            "CALLER-FAMILY",
            line,
            (old.line,),
            f"an object of a cache, of {old.site.name}, is freed by kfree at {where}",
            certainty="violation" if sure else "suspect",
            group=where,
            rests="events",
            explained="" if sure else "a kernel since 6.4, which permits it",
        )

    def _freed_by(self, site_text: str, which: int) -> list[int]:
        """Count a kfree of a call site, whether or not its object was known, and return the counts."""
        counts = self._freeing.get(site_text)
        if counts is None:
            counts = [0, 0]
            if len(self._freeing) < NAMES:
                self._freeing[site_text] = counts
        counts[which] += 1
        return counts

    def _unknown(self, line: int, start: int, by_cache: bool, site_text: str, name: str) -> None:
        """Judge the free of what is not known to be live."""
        case = self.case
        if start in (0, ZERO_SIZE_PTR):
            case.judged += not by_cache
            return
        group = shown(name) if by_cache else self.sites.name_of(site_text)
        was = self.gone.pop(start, None)
        self.gone[start] = Gone(
            was.allocated if was else 0, line, by_cache, was.of_cache if was else by_cache
        )
        if self._replaced.pop(start, None) is not None:
            return
        if was is not None:
            hidden = False
            if not by_cache:
                known, unknown = self._freed_by(site_text, UNKNOWN)
                hidden = unknown > 1 and unknown > known
            self._double(line, start, was, by_cache, group, hidden)
            return
        if not by_cache:
            self._freed_by(site_text, UNKNOWN)
        found = None if case.hashed else self.pages.not_an_object(start)
        if found is not None:
            clause, others, why = found
            message = f"{start:#x} is freed by {'kmem_cache_free' if by_cache else 'kfree'}: {why}"
            case.find(clause, line, others, message, group=group, rests="events" if others else "nothing")
        elif not case.hashed and self._inside(line, start, by_cache, group):
            pass
        elif case.whole:
            message = f"{start:#x} is freed, which was never allocated"
            case.find("CALLER-FREE", line, (), message, group=group, rests="events")
        else:
            case.unseen["frees of objects whose allocation is not in the trace"] += 1
            return
        case.judged += 1

    def _double(self, line: int, start: int, was: Gone, by_cache: bool, group: str, hidden: bool) -> None:
        """Report a second free; `hidden` says that its call site frees what no event tells of."""
        case = self.case
        case.judged += 1
        sure = was.allocated > 0 and not was.of_cache and not was.by_cache and not by_cache
        explained = BULK
        if sure and case.map.base is not None:
            block = self.pages.live.get((start >> PAGE_SHIFT) - case.map.base)
            sure = block is None or block.line < was.freed
        if sure and max(case.page_alloc, 0) > was.freed:
            sure = False
        if hidden:
            sure, explained = False, "allocations without an event, such as this call site has freed before"
        if case.hashed:
            sure, explained = False, f"{BULK}, or two pointers that share a hash"
        others = (was.allocated, was.freed) if was.allocated else (was.freed,)
        what = "kmem_cache_free" if by_cache else "kfree"
        case.find(
            "CALLER-DOUBLE-FREE",
            line,
            others,
            f"{what} of {start:#x} ({group}) again, and no allocation since line {was.freed}",
            certainty="violation" if sure else "suspect",
            group=group,
            rests="events",
            explained="" if sure else explained,
        )

    def _inside(self, line: int, start: int, by_cache: bool, group: str) -> bool:
        """Report the free of a place within a live object, or between the objects of a slab."""
        slab = self.on_page.get(start >> PAGE_SHIFT)
        if slab is None:
            return False
        for other, length in slab.starts.items():
            old = self.live[other]
            within = other < start < other + length
            between = slab.grid and length <= SLAB_MAX and (start - other) % length and len(slab.starts) > 1
            if within or between:
                sure = not self._stale(old.line) and not (by_cache and _may_be_kfence(other, old.request))
                certainty: Certainty = "violation" if sure else "suspect"
                where = "within" if within else "no object of the slab of"
                self.case.find(
                    "CALLER-FREE",
                    line,
                    (old.line,),
                    f"{start:#x} is freed: {where} {_object(other, old)}",
                    certainty=certainty,
                    group=group,
                    rests="page events",
                    explained="" if sure else f"{BULK}, and pages that change hands",
                )
                return True
        return False


def _object(start: int, old: Live) -> str:
    """Return an object for people."""
    return f"the {old.request.given} bytes at {start:#x} of {old.site.name}"


def _is_within_kmalloc(site: Site) -> bool:
    """Say whether a call site is kmalloc's own, or an address that may be.

    Of a large kmalloc kernels since 6.13 or so tell twice: at __kmalloc, then at its caller.
    """
    return site.name.lstrip("_").startswith(("kmalloc", "kvmalloc")) or "+" not in site.name


def _may_be_kfence(start: int, request: ObjectRequest) -> bool:
    """Say whether KFENCE may have placed the object, which has a page to itself, at either end of it.

    Source   mm/kfence/core.c: kfence_guarded_alloc
    """
    offset = start & (PAGE_SIZE - 1)
    left = PAGE_SIZE - offset - request.asked
    return request.asked <= PAGE_SIZE and (offset == 0 or 0 <= left < max(64, request.given & -request.given))
