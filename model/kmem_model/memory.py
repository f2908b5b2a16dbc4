"""Bytes of memory, sparse and real: what an object holds is there to be read, also after it was freed.

No page is promised to be zero before somebody zeroes it, so a page that was never written reads as a
pattern without a zero byte: where zeroing was forgotten, it shows.
"""

from __future__ import annotations

from typing import Final

from kmem_spec.units import PAGE_SHIFT, PAGE_SIZE

PAGE_OFFSET: Final = 0xFFFF_8880_0000_0000  # where the direct map of x86-64 begins
DIRTY: Final = 0xA5  # every byte of a page that was never written
IN_PAGE: Final = PAGE_SIZE - 1


def address_of(pfn: int) -> int:
    """Return the address of a page frame in the direct map.

    Source   arch/x86/include/asm/page_types.h: PAGE_OFFSET
    """
    return PAGE_OFFSET + (pfn << PAGE_SHIFT)


def pfn_of(address: int) -> int:
    """Return the page frame that holds `address`, negative below the direct map."""
    return (address - PAGE_OFFSET) >> PAGE_SHIFT


class Memory:
    """Bytes by address.

    `pages` holds the bytes of a page, by page number (address / 4096); `filled` the byte that a whole
    page is full of, so that zeroing megabytes costs a note for each page. A page is in one of them at
    most; a page in neither is full of DIRTY.
    """

    __slots__ = ("filled", "pages")

    def __init__(self) -> None:
        self.pages: dict[int, bytearray] = {}
        self.filled: dict[int, int] = {}

    def read(self, start: int, length: int) -> bytes:
        """Return the bytes of an extent."""
        offset = start & IN_PAGE
        end = offset + length
        if end <= PAGE_SIZE:
            page = self.pages.get(start >> PAGE_SHIFT)
            if page is None:
                return bytes((self.filled.get(start >> PAGE_SHIFT, DIRTY),)) * length
            return bytes(page[offset:end])
        return b"".join(self.read(at, part) for at, part in _by_page(start, length))

    def write(self, start: int, data: bytes) -> None:
        """Set the bytes from `start` on."""
        offset = start & IN_PAGE
        end = offset + len(data)
        if end <= PAGE_SIZE:
            number = start >> PAGE_SHIFT
            page = self.pages.get(number)
            if page is None:
                page = self._unfold(number)
            page[offset:end] = data
            return
        done = 0
        for at, part in _by_page(start, len(data)):
            self.write(at, data[done : done + part])
            done += part

    def fill(self, start: int, length: int, byte: int) -> None:
        """Set each byte of an extent to `byte`."""
        offset = start & IN_PAGE
        end = offset + length
        if end > PAGE_SIZE:
            for at, part in _by_page(start, length):
                self.fill(at, part, byte)
            return
        number = start >> PAGE_SHIFT
        if length == PAGE_SIZE:
            self.pages.pop(number, None)
            self.filled[number] = byte
            return
        page = self.pages.get(number)
        if page is None:
            if self.filled.get(number, DIRTY) == byte:
                return
            page = self._unfold(number)
        page[offset:end] = bytes((byte,)) * length

    def zero(self, start: int, length: int) -> None:
        """Set each byte of an extent to zero."""
        self.fill(start, length, 0)

    def copy(self, source: int, target: int, length: int) -> None:
        """Set the `length` bytes at `target` to what those at `source` were, also where they overlap."""
        self.write(target, self.read(source, length))

    def first_other(self, start: int, length: int, byte: int) -> int | None:
        """Return the offset of the first byte of an extent that is not `byte`, or None."""
        if (start & IN_PAGE) + length <= PAGE_SIZE:
            data, one = self.read(start, length), bytes((byte,))
            return None if data == one * length else length - len(data.lstrip(one))
        for at, part in _by_page(start, length):
            offset = self.first_other(at, part, byte)
            if offset is not None:
                return at - start + offset
        return None

    def _unfold(self, number: int) -> bytearray:
        """Give a page bytes of its own, the same as it read before."""
        page = self.pages[number] = bytearray((self.filled.pop(number, DIRTY),)) * PAGE_SIZE
        return page


def _by_page(start: int, length: int) -> list[tuple[int, int]]:
    """Return the extent in pieces, start and length, none of which crosses into another page."""
    pieces = []
    end = start + length
    while start < end:
        stop = min(end, (start | IN_PAGE) + 1)
        pieces.append((start, stop - start))
        start = stop
    return pieces
