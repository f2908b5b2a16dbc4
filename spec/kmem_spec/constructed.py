"""Constructed slots: the steps by which the judge's knowledge of constructors and destructors changes."""

from __future__ import annotations

from dataclasses import dataclass, field

from kmem_spec.table import DictTable, Table, require
from kmem_spec.units import NULL


@dataclass(slots=True)
class Constructed:
    """Slots whose constructor ran: address to cache, and to the event in which it ran last."""

    cache: Table[int] = field(default_factory=DictTable)
    since: Table[int] = field(default_factory=DictTable)

    def construct(self, address: int, cache: int, event: int, elder: bool, owed: bool) -> None:
        """Note that a constructor ran.

        Clause   CACHE-CTOR-ONCE, CACHE-DTOR
        Needs    if this cache's constructor ran here before: no `elder` object, one that has lived on the
                 page since then; if any cache's did: no destructor that is `owed` before
        """
        last = self.cache.get(address, NULL)
        require(not ((last == cache) & elder), "CACHE-CTOR-ONCE")
        require(not ((last != NULL) & owed), "CACHE-DTOR")
        self.cache.put(address, cache)
        self.since.put(address, event)

    def destruct(self, address: int, cache: int) -> None:
        """Note that a destructor ran.

        Clause   CACHE-DTOR
        Needs    this cache's constructor ran here, and no destructor since
        """
        require(self.cache.get(address, NULL) == cache, "CACHE-DTOR")
        self.cache.drop(address)
        self.since.drop(address)
