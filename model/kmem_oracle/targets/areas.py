"""Calls on pages that are cut from a block or mapped again, and on places in objects."""

from __future__ import annotations

from kmem_oracle.targets.hands import Hands, Held
from kmem_oracle.targets.records import CALLING, DONE, NULL_SEEN, SKIP_SEEN, TOUCHING, Seen
from kmem_spec.units import MAX_ORDER, PAGE_SIZE, SIZE_MAX


class AreaCalls(Hands):
    """split_page, vmap, vmalloc_to_page, is_vmalloc_addr."""

    def split(self, api: str, out: int, args: tuple[int, ...]) -> Seen:
        """Run a split_page; each piece gets the pattern of its own id."""
        pointer, order = args
        held = self.object_at(pointer)
        if held is None:
            return SKIP_SEEN
        if pointer > 0:
            spoilt = self.spoilt(pointer, held)
            if spoilt is not None:
                return spoilt
            self.let_go(pointer, held)
            self.words[1] = CALLING
        self.functions[api](held.start, order)
        self.words[1] = TOUCHING
        for piece in range(min(1 << min(order, MAX_ORDER), held.size // PAGE_SIZE)):
            start = held.start + piece * PAGE_SIZE
            self.access.fill(start, PAGE_SIZE, out + piece)
            self.held[out + piece] = Held(start, PAGE_SIZE, PAGE_SIZE, False)
        return NULL_SEEN

    def map(self, api: str, out: int, args: tuple[int, ...]) -> Seen:
        """Run a vmap, and compare the area with its pages, read and written through either."""
        first, count, flags, prot = args
        pages = self.vector(first, count)
        if pages is None:
            return SKIP_SEEN
        for identifier, held in pages.items():
            spoilt = self.spoilt(identifier, held)
            if spoilt is not None:
                return spoilt
        self.words[1] = CALLING
        area = self.functions[api]([held.start for held in pages.values()], count, flags, prot) or 0
        if area == 0:
            return NULL_SEEN
        self.held[out] = Held(area, 0, 0, False)
        changed = -1
        if self.touchable(area, count * PAGE_SIZE):
            self.words[1] = TOUCHING
            changed = self.alias_differs(area, pages)
        return (area, -1, -1, changed, DONE)

    def alias_differs(self, area: int, pages: dict[int, Held]) -> int:
        """Return the offset of the first byte of the area that is not its page's, or -1."""
        access = self.access
        for place, (identifier, held) in enumerate(pages.items()):
            if held.size == 0:
                continue
            at = place * PAGE_SIZE
            offset = access.changed(area + at, min(held.size, PAGE_SIZE), identifier)
            if offset >= 0:
                return at + offset
            was = access.read(held.start, 1)
            other = bytes((was[0] ^ 0xFF,))
            access.write(area + at, other)
            seen = access.read(held.start, 1)
            access.write(area + at, was)
            access.write(held.start, was)
            if seen != other:
                return at
        return -1

    def locate(self, api: str, _out: int, args: tuple[int, ...]) -> Seen:
        """Run a call that takes a place in an object."""
        pointer, offset = args
        held = self.object_at(pointer)
        if held is None:
            return SKIP_SEEN
        return (self.functions[api](held.start + offset & SIZE_MAX) or 0, -1, -1, -1, DONE)
