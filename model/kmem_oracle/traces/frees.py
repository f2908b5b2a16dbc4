"""Frees of what is not known to be live: freed before, no object at all, or of before the trace."""

from __future__ import annotations

from typing import Final

from kmem_oracle.traces.case import Case, forget_oldest
from kmem_oracle.traces.finding import Certainty, shown
from kmem_oracle.traces.live import BULK, SLAB_MAX, Gone, Live, may_be_kfence, told
from kmem_oracle.traces.pages import Pages
from kmem_oracle.traces.sites import Sites
from kmem_spec.units import PAGE_SHIFT, ZERO_SIZE_PTR

KNOWN, UNKNOWN = 0, 1
NAMES: Final = 1 << 16


class Frees:
    """The objects that are gone, and what call sites free.

    gone      objects by address, from their free to the next allocation there
    replaced  lines of objects that are judged no further, whose frees say nothing
    """

    def __init__(self, case: Case, pages: Pages, sites: Sites, live: dict[int, Live]) -> None:
        self.case = case
        self.pages = pages
        self.sites = sites
        self.live = live
        self.on_page = pages.on_page
        self.gone: dict[int, Gone] = {}
        self.replaced: dict[int, int] = {}
        self._freeing: dict[str, list[int]] = {}

    def tidy(self) -> None:
        """Bound the memory of what is gone."""
        forget_oldest(self.gone, len(self.live))
        forget_oldest(self.replaced, len(self.live))

    def count(self, site_text: str, which: int) -> list[int]:
        """Count a kfree of a call site, whether or not its object was known, and return the counts."""
        counts = self._freeing.get(site_text)
        if counts is None:
            counts = [0, 0]
            if len(self._freeing) < NAMES:
                self._freeing[site_text] = counts
        counts[which] += 1
        return counts

    def judge(self, line: int, start: int, by_cache: bool, site_text: str, name: str) -> None:
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
        if self.replaced.pop(start, None) is not None:
            return
        if was is not None:
            hidden = False
            if not by_cache:
                known, unknown = self.count(site_text, UNKNOWN)
                hidden = unknown > 1 and unknown > known
            self._double(line, start, was, by_cache, group, hidden)
            return
        if not by_cache:
            self.count(site_text, UNKNOWN)
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
                sure = not self.case.stale(old.line) and not (by_cache and may_be_kfence(other, old.request))
                certainty: Certainty = "violation" if sure else "suspect"
                where = "within" if within else "no object of the slab of"
                self.case.find(
                    "CALLER-FREE",
                    line,
                    (old.line,),
                    f"{start:#x} is freed: {where} {told(other, old)}",
                    certainty=certainty,
                    group=group,
                    rests="page events",
                    explained="" if sure else f"{BULK}, and pages that change hands",
                )
                return True
        return False
