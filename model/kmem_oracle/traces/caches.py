"""Caches: an object goes back to the cache that it is of, as far as a trace shows which that is."""

from __future__ import annotations

from typing import Final

from kmem_oracle.traces.case import Case
from kmem_oracle.traces.finding import shown
from kmem_oracle.traces.live import BULK, Live, Slab, told
from kmem_oracle.traces.sites import Sites
from kmem_spec.units import PAGE_SHIFT

KNOWN_SLOTS: Final = 8  # objects after which the slot of a cache is believed
NAMES: Final = 1 << 16


class Caches:
    """What frees have told of caches: by name, the bytes of an object, and how many objects told so."""

    def __init__(self, case: Case, on_page: dict[int, Slab], sites: Sites) -> None:
        self.case = case
        self.on_page = on_page
        self.sites = sites
        self._slots: dict[str, list[int]] = {}

    def take(self, line: int, start: int, old: Live, name: str) -> None:
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
                    f"{told(start, old)} is freed to {shown(name)}; its page is of {shown(slab.name)}",
                    certainty="suspect" if self.case.stale(old.line) else "violation",
                    group=shown(name),
                    rests="page events",
                    explained="pages that change hands" if self.case.stale(old.line) else "",
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
                f"{told(start, old)} is freed to {shown(name)}, whose objects have {slot[0]} bytes",
                certainty="suspect",
                group=shown(name),
                explained="a second cache of that name",
            )
            slab.name = ""

    def of_kmalloc(self, line: int, old: Live, name: str) -> None:
        """Report kmalloc memory that goes to a cache; those merged with kmalloc's have their names."""
        merged = name.startswith("kmalloc") or self.case.stale(old.line)
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

    def by_kfree(self, line: int, old: Live, site_text: str) -> None:
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
