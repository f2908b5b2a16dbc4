"""Call sites: who allocates, how much of it lives on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from kmem_oracle.traces.finding import shown

MOST: Final = 1 << 16
OTHERS: Final = "further call sites"


@dataclass(slots=True)
class Site:
    """One call site.

    Units    asked, given, live_bytes in bytes; given as the slots have it
    """

    name: str
    count: int = 0
    asked: int = 0
    given: int = 0
    live: int = 0
    live_bytes: int = 0
    failed: int = 0


class Sites:
    """All call sites; beyond MOST they are counted together."""

    def __init__(self) -> None:
        self.by_text: dict[str, Site] = {}
        self._others = Site(OTHERS)

    def of(self, text: str) -> Site:
        """Return the site that an event names, `call_site=…` perhaps after a function's name."""
        site = self.by_text.get(text)
        if site is None:
            if len(self.by_text) >= MOST:
                return self._others
            site = self.by_text[text] = Site(self.name_of(text))
        return site

    def name_of(self, text: str) -> str:
        """Return the name of a site for people."""
        known = self.by_text.get(text)
        if known is not None:
            return known.name
        before, _, name = text.partition("call_site=")
        before = before.strip()
        return shown(before[1:-1] if before[:1] == "(" and before[-1:] == ")" else name)

    def every(self) -> list[Site]:
        """Return the sites, those with most live bytes first."""
        sites = [*self.by_text.values(), *([self._others] if self._others.count else [])]
        return sorted(sites, key=lambda site: (-site.live_bytes, -site.given, site.name))
