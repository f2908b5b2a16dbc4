"""Extents of memory, and the table of live ones with its rule: no two share a byte.

`Spans` states the guard as the rule reads, over every live extent; that form is proved. `IndexedSpans`
is its twin for long histories: the same answers from a bitmap of the words of each page, and of the
pages of each chunk. The two are compared exhaustively on a small memory, and at random on a large one,
in tests/cover/test_extents.py.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, Protocol

from kmem_spec.table import DictTable, Table
from kmem_spec.units import PAGE_SHIFT, PAGE_SIZE

WORD: Final = 8  # bytes
CHUNK_SHIFT: Final = 10  # pages to a chunk, log2
IN_CHUNK: Final = (1 << CHUNK_SHIFT) - 1
IN_PAGE: Final = PAGE_SIZE - 1
PAGE_WORDS: Final = PAGE_SIZE // WORD
HUGE: Final = 1 << 36  # bytes of an extent above which it is kept apart from the bits, which would be many
FEW: Final = 1 << CHUNK_SHIFT  # pages of an extent whose chunks are kept
ONES: Final = [(1 << words) - 1 for words in range(PAGE_WORDS + 1)]  # masks of the first words


def disjoint(start: int, length: int, other: int, other_length: int) -> bool:
    """Say whether two extents of positive length share no byte."""
    return (start + length <= other) | (other + other_length <= start)


class SpanTable(Table[int], Protocol):
    """A table of extents, start to length in bytes, that knows what is apart from all of them."""

    def apart(self, start: int, length: int) -> bool:
        """Say whether the extent shares no byte with any in the table."""


class Spans(DictTable[int]):
    """The guard as the rule reads."""

    __slots__ = ()

    def apart(self, start: int, length: int) -> bool:
        """Say whether the extent shares no byte with any in the table."""
        return self.every(lambda other, other_length: disjoint(start, length, other, other_length))


class IndexedSpans(Spans):
    """The same table with the same answers, in time that does not grow with it.

    Most pages are slabs: their extents have one length and starts that agree modulo it. Two such are the
    same or apart, so on a *uniform* page the table itself answers. Other pages have a bit for each word.
    Words are exact as long as extents start on words: then two of them share a byte if and only if they
    share a word. The rare others, and what is HUGE, go to `odd`, a plain table that is asked as well.

    `inside` says of a page what lies in it without covering it whole: a bit for each word, or if the page is
    uniform minus (length * 4096 + start modulo length), though all its extents may be gone again; `parts_of`
    has a bit for each page of a chunk that is in `inside`; `pages_of` one for each page of a chunk that lies
    whole within one extent of a page or more.
    """

    __slots__ = ("_length", "_start", "inside", "odd", "pages_of", "parts_of")

    def __init__(self) -> None:
        super().__init__()
        self.inside: dict[int, int] = {}
        self.parts_of: dict[int, int] = {}
        self.pages_of: dict[int, int] = {}
        self.odd = Spans()
        self._start = self._length = -1  # the extent last found apart on a uniform page of its kind

    def apart(self, start: int, length: int) -> bool:
        """Say whether the extent shares no byte with any in the table."""
        if start & 7 or length > HUGE or self.odd:
            return super().apart(start, length)
        offset = start & IN_PAGE
        if length >= PAGE_SIZE or offset + length > PAGE_SIZE:
            return self._apart_over_pages(start, length)
        page = start >> PAGE_SHIFT
        used = self.inside.get(page)
        if used is not None:
            if used == -length * PAGE_SIZE - start % length:
                self._start, self._length = start, length
                return start not in self
            if used < 0:
                used = self._settle(page, -used)
        if used is not None:
            return not (used >> (offset >> 3)) & ONES[(length + 7) >> 3]
        whole = self.pages_of.get(page >> CHUNK_SHIFT)
        return whole is None or not (whole >> (page & IN_CHUNK)) & 1

    def put(self, key: int, value: int) -> None:
        """Add the extent of `value` bytes at `key`, apart from all others."""
        if key == self._start and value == self._length:
            self[key] = value
            return
        self._start = -1
        offset = key & IN_PAGE
        if key & 7 or value > HUGE:
            self.odd[key] = value
        elif value >= PAGE_SIZE or offset + value > PAGE_SIZE:
            self._put_over_pages(key, value)
        else:
            page = key >> PAGE_SHIFT
            used = self.inside.get(page)
            code = -value * PAGE_SIZE - key % value
            if used != code:
                if used is not None and used < 0:
                    used = self._settle(page, -used)
                if used is None:
                    self._begin(page, code)
                else:
                    self.inside[page] = used | (ONES[(value + 7) >> 3] << (offset >> 3))
        self[key] = value

    def drop(self, key: int) -> None:
        """Remove the extent at `key`."""
        value = self.pop(key)
        page = key >> PAGE_SHIFT
        used = self.inside.get(page, 0)
        if key & 7 or value > HUGE:
            del self.odd[key]
        elif used < 0:
            return  # on a uniform page the table is all there is
        elif value >= PAGE_SIZE or (key & IN_PAGE) + value > PAGE_SIZE:
            self._drop_over_pages(key, value)
        else:
            self._clear_words(page, used ^ (ONES[(value + 7) >> 3] << ((key & IN_PAGE) >> 3)))

    def _settle(self, page: int, code: int) -> int | None:
        """Give a uniform page bits for the extents that it still has, or forget it if it has none."""
        self._start = -1
        length, phase = divmod(code, PAGE_SIZE)
        begin = page << PAGE_SHIFT
        words = 0
        for start in range(begin + (phase - begin) % length, begin + PAGE_SIZE - length + 1, length):
            if self.get(start) == length:
                words |= ONES[(length + 7) >> 3] << ((start & IN_PAGE) >> 3)
        self._clear_words(page, words)
        return words or None

    def _settle_over(self, start: int, length: int) -> None:
        """Settle the uniform pages that an extent touches."""
        for chunk, mask in _chunks(start & ~IN_PAGE, length + (start & IN_PAGE) + IN_PAGE):
            parts = self.parts_of.get(chunk, 0) & mask
            while parts:
                bit = parts & -parts
                parts ^= bit
                page = (chunk << CHUNK_SHIFT) + bit.bit_length() - 1
                if self.inside[page] < 0:
                    self._settle(page, -self.inside[page])

    def _apart_over_pages(self, start: int, length: int) -> bool:
        """Answer for an extent that covers a page, or touches more than one."""
        if (start | length) & IN_PAGE == 0:
            return self._apart_whole(start, length)
        self._settle_over(start, length)
        for page, mask in _parts(start, length):
            whole = self.pages_of.get(page >> CHUNK_SHIFT, 0)
            if self.inside.get(page, 0) & mask or (whole >> (page & IN_CHUNK)) & 1:
                return False
        return not any(
            (self.pages_of.get(chunk, 0) | self.parts_of.get(chunk, 0)) & mask
            for chunk, mask in _chunks(start, length)
        )

    def _apart_whole(self, start: int, length: int) -> bool:
        """Answer for an extent of whole pages."""
        for chunk, mask in _chunks(start, length):
            if self.pages_of.get(chunk, 0) & mask:
                return False
            if self.parts_of.get(chunk, 0) & mask:
                self._settle_over(start, length)
                if self.parts_of.get(chunk, 0) & mask:
                    return False
        return True

    def _put_over_pages(self, start: int, length: int) -> None:
        """Add an extent that covers a page, or touches more than one."""
        if (start | length) & IN_PAGE:
            self._settle_over(start, length)
        for page, mask in _parts(start, length) if (start | length) & IN_PAGE else ():
            used = self.inside.get(page)
            if used is None:
                self._begin(page, mask)
            else:
                self.inside[page] = used | mask
        for chunk, mask in _chunks(start, length):
            if self.parts_of.get(chunk, 0) & mask:
                self._settle_over(start, length)
            self.pages_of[chunk] = self.pages_of.get(chunk, 0) | mask

    def _drop_over_pages(self, start: int, length: int) -> None:
        """Remove an extent that covers a page, or touches more than one."""
        for page, mask in _parts(start, length) if (start | length) & IN_PAGE else ():
            self._clear_words(page, self.inside[page] ^ mask)
        for chunk, mask in _chunks(start, length):
            _clear(self.pages_of, chunk, mask)

    def _begin(self, page: int, state: int) -> None:
        """Enter a page of which nothing was known."""
        self.inside[page] = state
        chunk = page >> CHUNK_SHIFT
        self.parts_of[chunk] = self.parts_of.get(chunk, 0) | (1 << (page & IN_CHUNK))

    def _clear_words(self, page: int, left: int) -> None:
        """Leave a page these words, and forget it if they are none."""
        if left:
            self.inside[page] = left
            return
        del self.inside[page]
        _clear(self.parts_of, page >> CHUNK_SHIFT, 1 << (page & IN_CHUNK))


def _clear(bits: dict[int, int], key: int, mask: int) -> None:
    """Clear bits that are set, and forget the key when none is left."""
    left = bits[key] ^ mask
    if left:
        bits[key] = left
    else:
        del bits[key]


def _parts(start: int, length: int) -> list[tuple[int, int]]:
    """Return the pages that the extent covers in part, each with the mask of its words."""
    end = start + length
    head, tail = (start & IN_PAGE) // WORD, (end & IN_PAGE) + WORD - 1 >> 3
    first, last = start >> PAGE_SHIFT, (end - 1) >> PAGE_SHIFT
    if first == last:
        return []  # the whole page
    parts = []
    if head:
        parts.append((first, ONES[PAGE_WORDS - head] << head))
    if tail:
        parts.append((last, ONES[tail]))
    return parts


def _chunks(start: int, length: int) -> tuple[tuple[int, int], ...]:
    """Return the chunks with whole pages of the extent, each with the mask of those pages."""
    first, end = (start + IN_PAGE) >> PAGE_SHIFT, (start + length) >> PAGE_SHIFT
    return _few_chunks(first, end) if end - first <= FEW else _all_chunks(first, end)


def _all_chunks(first: int, end: int) -> tuple[tuple[int, int], ...]:
    """Return the chunks of the pages from `first` to `end` - 1, each with the mask of those pages."""
    chunks = []
    while first < end:
        stop = min(end, ((first >> CHUNK_SHIFT) + 1) << CHUNK_SHIFT)
        chunks.append((first >> CHUNK_SHIFT, ((1 << (stop - first)) - 1) << (first & IN_CHUNK)))
        first = stop
    return tuple(chunks)


_few_chunks = lru_cache(maxsize=1 << 12)(_all_chunks)  # an extent is looked at, entered and dropped
