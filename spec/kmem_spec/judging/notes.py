"""Notes: what is judged when constructors and destructors run."""

from __future__ import annotations

from typing import Final

from kmem_spec.calls import CONSTRUCTED, DESTRUCTED, Note
from kmem_spec.constructed import Constructed
from kmem_spec.finding import Finding
from kmem_spec.judging.resizes import Resizes
from kmem_spec.kmem_cache import Shape
from kmem_spec.table import DictTable, Refused
from kmem_spec.units import NULL, PAGE_SHIFT

WORD: Final = 8


class Notes(Resizes):
    """Judge which slots are constructed and destructed, and when."""

    def clear(self) -> None:
        """Forget what is live."""
        super().clear()
        self.caches: DictTable[Shape] = DictTable()
        self.constructed = Constructed()
        self.slots: dict[int, set[int]] = {}  # cache, and its constructed slots
        self.deaf = -1  # event in which notes were last lost

    def hear(self, notes: tuple[Note, ...]) -> Finding | None:
        """Judge the constructors and destructors that ran during a call."""
        first = None
        for note in notes:
            if note.kind not in (CONSTRUCTED, DESTRUCTED):  # notes were lost: what is known may be wrong
                self.constructed, self.slots, self.deaf = Constructed(), {}, self.events
                return first
            if note.cache not in self.caches:
                continue
            found = self._constructed(note) if note.kind == CONSTRUCTED else self._destructed(note)
            first = first or found
        return first

    def _constructed(self, note: Note) -> Finding | None:
        """Judge one run of a constructor."""
        _, cache, address = note
        clause = "CACHE-CTOR-OWN"
        self.judged[clause] += 1
        if not self.spans.apart(address, WORD):
            text = f"the constructor of cache {cache:#x} ran at {address:#x}, where an object lives"
            return self._if_in_force(clause, text)
        since = self.constructed.since.get(address, -1)
        elder = any(birth <= since for birth in self.residents.get(address >> PAGE_SHIFT, {}).values())
        last = self.constructed.cache.get(address, NULL)
        owed = last in self.caches and self.caches[last].destructor
        self.judged["CACHE-CTOR-ONCE"] += since >= 0
        try:
            self.constructed.construct(address, cache, self.events, elder, owed)
        except Refused as refused:
            text = f"the constructor of cache {cache:#x} ran again at {address:#x}"
            why = "on a page that lived on"
            if refused.clause == "CACHE-DTOR":
                why = f"with no destructor of cache {last:#x} before"
            return self._if_in_force(refused.clause, f"{text}, {why}", since)
        if last not in (NULL, cache):
            self.slots[last].discard(address)
        self.slots.setdefault(cache, set()).add(address)
        return None

    def _destructed(self, note: Note) -> Finding | None:
        """Judge one run of a destructor."""
        _, cache, address = note
        self.judged["CACHE-DTOR"] += 1
        if not self.spans.apart(address, WORD):
            text = f"the destructor of cache {cache:#x} ran at {address:#x}, where an object lives"
            return self._if_in_force("CACHE-DTOR", text)
        unheard = self.constructed.cache.get(address, NULL) == NULL and self.caches[cache].birth <= self.deaf
        if unheard:
            return None
        try:
            self.constructed.destruct(address, cache)
        except Refused as refused:
            text = f"the destructor of cache {cache:#x} ran at {address:#x}, which is not constructed"
            return self._if_in_force(refused.clause, text)
        self.slots[cache].discard(address)
        return None

    def end_slots(self, cache: int, known: Shape) -> Finding | None:
        """Judge the slots of a cache that is destroyed: no destructor is owed any more."""
        left = self.slots.pop(cache, set())
        for slot in left:
            self.constructed.destruct(slot, cache)
        if not left or not known.destructor:
            return None
        text = f"the end of cache {cache:#x}: no destructor ran for {len(left)} slots, one at {min(left):#x}"
        return self._if_in_force("CACHE-DTOR", text, known.birth)

    def _if_in_force(self, clause: str, text: str, *others: int) -> Finding | None:
        """Make a finding unless the clause is waived."""
        return self.finding(clause, text, *others) if clause in self.in_force else None
