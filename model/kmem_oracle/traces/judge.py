"""The judge of traces: objects, pages and areas together, and what the whole of a trace tells."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from kmem_oracle.traces import classes
from kmem_oracle.traces.areas import Areas
from kmem_oracle.traces.case import Case
from kmem_oracle.traces.direct_map import DirectMap
from kmem_oracle.traces.finding import Docket
from kmem_oracle.traces.objects import Objects
from kmem_oracle.traces.pages import Pages
from kmem_oracle.traces.request import ObjectRequest
from kmem_oracle.traces.sites import Sites
from kmem_oracle.traces.summary import Sample, Size, Summary
from kmem_spec.profile import Profile
from kmem_spec.units import PAGE_SHIFT, PAGE_SIZE

FILTERED: Final = "events that were filtered out"
BY_PERF: Final = "events that perf lost, which it need not mark"


class TraceJudge:
    """Judges the events of one trace in the order of its lines.

    Its parts take the events: `objects`, `pages`, `areas`. `close` settles what only the end shows.
    """

    def __init__(
        self,
        profile: Profile,
        *,
        page_offset: int | None = None,
        whole: bool = False,
        partial: bool = False,
        waived: frozenset[str] = frozenset(),
    ) -> None:
        """Start with nothing known to be live.

        `whole` says that nothing was live before the trace and that what lives at its end is leaked;
        `partial` that some events were filtered out; `page_offset` is the address of page frame 0.
        """
        in_force = frozenset(clause.id for clause in profile.clauses()) | {"SLAB-CLASS"}  # see `classes`
        docket = Docket(in_force - waived, FILTERED if partial else "")
        self.case = Case(profile, docket, DirectMap(page_offset), whole)
        self.sites = Sites()
        self.pages = Pages(self.case)
        self.areas = Areas(self.case)
        self.objects = Objects(self.case, self.pages, self.sites)
        self.pages.areas_over = self.areas.over
        self._retired: dict[tuple[int, bool], Size] = {}

    def lost(self, start: int, end: int) -> None:
        """Take note that events were lost after line `start` and before line `end`."""
        self.case.docket.lost(start, end)

    def saw_perf(self) -> None:
        """Take note that perf recorded this: what rests on no event being missing is a suspect."""
        docket = self.case.docket
        docket.missing = docket.missing or BY_PERF

    def saw_hash(self) -> None:
        """Take note of what looks hashed: if all pointers are, they can be compared, and nothing else."""
        if self.case.map.start is None and not self.objects.live:
            self.case.hashed = True

    def tidy(self) -> None:
        """Bound what is remembered of the past."""
        self.objects.tidy()
        self.pages.tidy()
        self.areas.tidy()

    def sample(self, line: int, time: float | None) -> Sample:
        """Return what is live now."""
        objects = self.objects
        pages = len(self.pages.live) * PAGE_SIZE
        return Sample(line, time, objects.bytes, objects.cache_bytes, pages, self.areas.bytes)

    def retire(self, requests: Iterable[ObjectRequest]) -> None:
        """Add up requests that are forgotten from here on."""
        for request in requests:
            if request.count and 0 < request.given < 1 << 40:
                key = (request.given, request.cached)
                size = self._retired.setdefault(key, Size(*key))
                size.count += request.count
                size.asked += request.asked * request.count

    def close(self, summary: Summary, requests: list[ObjectRequest]) -> None:
        """Settle what only the end shows, and fill the summary."""
        case = self.case
        classes.judge(case, requests)
        self.retire(requests)
        self.pages.close()
        if case.whole:
            self._leaks()
        case.docket.close(summary.lines, summary.count, case.page_free > 0)
        summary.judged = case.judged
        summary.findings = sorted(case.docket.findings, key=lambda found: found.line)
        summary.further = case.docket.further
        summary.sizes = sorted(self._retired.values(), key=lambda size: -size.wasted)
        summary.sites = self.sites.every()
        summary.live_objects = len(self.objects.live)
        summary.live_pages = len(self.pages.live)
        summary.live_areas = len(self.areas.live)
        if case.map.base is not None:
            summary.page_offset = case.map.base << PAGE_SHIFT
            summary.page_offset_from = case.map.how
        summary.unjudged += self._unjudged(summary)

    def _leaks(self) -> None:
        """Report what is live at the end of a whole trace."""
        for start, old in self.objects.live.items():
            message = f"{old.request.asked} bytes at {start:#x} of {old.site.name} are never freed"
            self.case.find("CALLER-LEAK", old.line, (), message, group=old.site.name, rests="events")
        for block in dict.fromkeys(self.pages.live.values()):
            message = f"the block pfn {block.pfn:#x}, order {block.order}, is never freed"
            self.case.find("CALLER-LEAK", block.line, (), message, group=block.request.text, rests="events")
        for area in self.areas.live.values():
            message = f"the area of {area.size} bytes at {area.start:#x} is never unmapped"
            self.case.find("CALLER-LEAK", area.line, (), message, rests="events")

    def _unjudged(self, summary: Summary) -> list[str]:
        """Return what could not be judged and why."""
        case = self.case
        reasons = [f"{what}: {count:,}" for what, count in case.unseen.most_common()]
        if case.hashed:
            reasons.append(
                "pointers are hashed: no overlap, alignment or place, and what is equal is a suspect; "
                "record with `echo 0 > options/hash-ptr`, or boot with no_hash_pointers"
            )
        objects = summary.events["kmalloc"] + summary.events["kmem_cache_alloc"]
        if case.page_events and objects and case.map.base is None and not case.hashed:
            reasons.append(
                "objects against pages: the trace does not show where the direct map begins; "
                "give --page-offset"
            )
        if objects and not case.page_free:
            reasons.append("slabs that change hands: the trace has no frees of pages")
        reasons += [
            f"{clause} of {group or 'several'}: {count:,} lines, too frequent to be errors; "
            "calls that emit no event explain them, or events that were not recorded"
            for (clause, group), count in case.docket.folded.items()
        ]
        return reasons
