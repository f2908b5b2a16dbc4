"""The direct map: where page frame 0 lies among the addresses of objects, told or found in the trace."""

from __future__ import annotations

from typing import Final

from kmem_spec.units import PAGE_SHIFT

FOUR_GIB: Final = 20  # pages of 4 GiB, log2
GIB: Final = 18  # pages of 1 GiB, log2: x86-64 moves its direct map by so much
SLOT: Final = 9  # pages of 2 MiB, log2: other architectures place theirs at multiples of this at least
REACH: Final = 34  # pages of the most memory that a direct map spans, 64 TiB, log2
REACH_FIVE: Final = 40  # likewise with five levels of page tables, 4 PiB
IMAGE: Final = 0xFFFFFFFF80000000  # where x86-64 and RISC-V have the kernel itself, and no objects
FOUR_LEVELS: Final = 0xFFFF800000000000  # where kernels with four levels begin
PAGE_STRUCT: Final = 64  # bytes of a struct page
NEAR: Final = 8  # lines between a block of pages and the first object in it
UNMOVED: Final = (  # where struct page 0 lies without KASLR, where memory does from which address on
    (0xFFFFEA0000000000, 0xFFFF888000000000, "x86-64 without KASLR"),
    (0xFFFFEA0000000000, 0xFFFF880000000000, "x86-64 before 4.20 without KASLR"),
    (0xFFD4000000000000, 0xFF11000000000000, "x86-64 with five levels, without KASLR"),
)


class DirectMap:
    """The place of page frame 0.

    base   its address in pages, None while unknown
    how    how it came to be known
    line   the line at which it was
    sure   whether nothing better can come
    start  the first object seen, None for none yet

    What the addresses of struct pages show holds until objects and the pages beneath them show better.
    """

    def __init__(self, page_offset: int | None) -> None:
        self.base = None if page_offset is None else page_offset >> PAGE_SHIFT
        self.how = "" if page_offset is None else "as given"
        self.line = 0
        self._block = (0, 0, 0)  # the last block allocated: line, pfn, order
        self._votes: dict[int, int] = {}
        self._structs: int | None = None
        self.start: int | None = None
        self._most = 1 << FOUR_GIB  # pages that the machine has, as far as page frames show
        self.sure = page_offset is not None

    def reach(self) -> int:
        """Return the most pages that the direct map can span: those of x86-64, the largest there is."""
        return 1 << REACH if (self.base or 0) << PAGE_SHIFT >= FOUR_LEVELS else 1 << REACH_FIVE

    def is_beyond(self, start: int) -> bool:
        """Say whether an address is none of the direct map's: in the other half, or the kernel's image."""
        if self.base is not None:
            return not 0 <= (start >> PAGE_SHIFT) - self.base < self.reach()
        if self.start is None:
            return False
        return start >> 60 != self.start >> 60 or start >= IMAGE > self.start

    def saw_block(self, line: int, pfn: int, order: int, struct: int) -> None:
        """Note a block of pages that was allocated, and the address of its struct page if it was told."""
        self._block = (line, pfn, order)
        if struct:
            self._structs = struct - pfn * PAGE_STRUCT
            self._most = max(self._most, 4 << pfn.bit_length())
            self._unmoved(line)

    def saw_object(self, line: int, start: int, length: int) -> None:
        """Note an object; with the block just before it, it may tell where the map begins."""
        if self.start is None:
            self.start = start
            self._unmoved(line)
        before, pfn, order = self._block
        if self.sure or not before or line - before > NEAR:
            return
        page = start >> PAGE_SHIFT
        whole = length == 1 << PAGE_SHIFT + order and order > 0
        base = page - pfn if whole else page - pfn - ((page - pfn) & ((1 << GIB) - 1))
        if base <= 0 or page - pfn - base >= 1 << order or base & ((1 << SLOT) - 1):
            return
        votes = self._votes[base] = self._votes.get(base, 0) + 1
        if votes > 1 or (whole and not base & ((1 << GIB) - 1)):
            what = "a large kmalloc" if whole else "new slabs"
            self.sure = True
            self._settle(line, base, f"from {what} and the pages beneath, lines {before} and {line}")
        elif len(self._votes) > 1 << 10:
            self._votes.clear()

    def _unmoved(self, line: int) -> None:
        """Take the place that the map has without KASLR, if the struct pages have theirs."""
        if self.base is not None or self.start is None:
            return
        for structs, offset, how in UNMOVED:
            if self._structs == structs and 0 <= (self.start - offset) >> PAGE_SHIFT < self._most:
                self._settle(line, offset >> PAGE_SHIFT, f"{how}, as its struct pages show")
                return

    def _settle(self, line: int, base: int, how: str) -> None:
        self.base, self.how, self.line = base, how, line
