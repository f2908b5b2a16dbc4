"""IndexedSpans gives the answers of Spans, and Spans the answers of a set of bytes."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

import pytest

from kmem_spec.extents import CHUNK_SHIFT, IndexedSpans, Spans, disjoint
from kmem_spec.units import PAGE_SHIFT, PAGE_SIZE

Extent = tuple[int, int]  # start, length
CHUNK = PAGE_SIZE << CHUNK_SHIFT
EDGES = [0, 4, 8, 12, 4084, 4088, 4092, 4096, 4100, 4104, 8184, 8192, 8193, 12288]
BASES = {"first page": 0, "page border": 5 * PAGE_SIZE, "chunk border": CHUNK - PAGE_SIZE}


def extents_between(points: list[int]) -> list[Extent]:
    return [(start, end - start) for start, end in itertools.combinations(points, 2)]


def assert_same(spans: Spans, indexed: IndexedSpans, probes: list[Extent]) -> None:
    assert dict(spans) == dict(indexed)
    for start, length in probes:
        assert spans.apart(start, length) == indexed.apart(start, length), (start, length, dict(spans))


def assert_index_is_empty(indexed: IndexedSpans) -> None:
    assert not indexed
    for chunk in list(indexed.parts_of):  # a uniform page is forgotten when something else asks for it
        assert indexed.apart(chunk << CHUNK_SHIFT + PAGE_SHIFT, PAGE_SIZE << CHUNK_SHIFT)
    assert not (indexed.inside or indexed.parts_of or indexed.pages_of or indexed.odd)


def test_disjoint_is_what_sets_of_bytes_say() -> None:
    for start, length, other, other_length in itertools.product(range(5), range(1, 4), range(5), range(1, 4)):
        mine, theirs = set(range(start, start + length)), set(range(other, other + other_length))
        assert disjoint(start, length, other, other_length) == mine.isdisjoint(theirs)


def test_spans_are_apart_from_all_their_extents() -> None:
    spans = Spans()
    assert spans.apart(0, 1)
    spans.put(8, 8)
    spans.put(32, 1)
    assert spans.apart(0, 8)
    assert spans.apart(16, 16)
    assert not spans.apart(0, 9)
    assert not spans.apart(16, 17)
    spans.drop(32)
    assert spans.apart(16, 17)


@pytest.mark.parametrize("base", BASES.values(), ids=BASES)
def test_exhaustively_around_borders_two_at_a_time(base: int) -> None:
    probes = extents_between([base + edge for edge in EDGES])
    seen = 0
    for first in probes:
        for second in probes:
            spans, indexed = Spans(), IndexedSpans()
            for table in (spans, indexed):
                table.put(*first)
            assert spans.apart(*second) == indexed.apart(*second)
            if not spans.apart(*second):
                continue
            seen += 1
            for table in (spans, indexed):
                table.put(*second)
            assert_same(spans, indexed, probes)
            for table in (spans, indexed):
                table.drop(first[0])
            assert_same(spans, indexed, probes)
            indexed.drop(second[0])
            assert_index_is_empty(indexed)
    assert seen > 1000


@pytest.mark.parametrize("base", BASES.values(), ids=BASES)
def test_exhaustively_all_sets_of_extents_on_few_points(base: int) -> None:
    points = [base + edge for edge in (0, 4, 8, 4088, 4096, 4104, 8192, 12288)]
    probes = extents_between(points)
    spans, indexed = Spans(), IndexedSpans()

    def visit(after: int) -> Iterator[None]:
        """Visit each set of disjoint extents that begin at or after `after`, added to those in the tables."""
        assert_same(spans, indexed, probes)
        yield
        for start, length in probes:
            if start >= after:
                spans.put(start, length)
                indexed.put(start, length)
                yield from visit(start + length)
                spans.drop(start)
                indexed.drop(start)

    assert sum(1 for _ in visit(base)) == 610  # sets of disjoint intervals on 8 points: Fibonacci's 15th
    assert_index_is_empty(indexed)


def any_extent(choose: random.Random, pages: int, odd: float) -> Extent:
    """Return an extent such as allocators give, or one that is none of theirs."""
    kind = choose.randrange(6)
    if kind == 0:  # an object
        size = choose.choice([8, 16, 24, 96, 192, 512, 2048, 4096, 8192])
        extent = choose.randrange(pages * PAGE_SIZE // size) * size, size
    elif kind == 1:  # a block of pages, up to 4 MiB
        order = choose.randrange(11)
        extent = choose.randrange(max(1, pages >> order)) * (PAGE_SIZE << order), PAGE_SIZE << order
    elif kind == 2:  # pages, anywhere, up to more than two chunks
        extent = choose.randrange(pages) * PAGE_SIZE, choose.randint(1, 2500) * PAGE_SIZE
    elif kind == 3:  # words
        extent = choose.randrange(pages * 512) * 8, choose.randint(1, 3000)
    else:  # over a border, or up to one
        border = choose.randrange(1, pages) * PAGE_SIZE
        start = border - 8 * choose.randint(0, 600)
        extent = max(0, start), choose.choice([border - start, 8 * choose.randint(1, 1500)]) or PAGE_SIZE
    return (extent[0] + choose.randint(1, 7), extent[1]) if choose.random() < odd else extent


@pytest.mark.parametrize("odd", [0.0, 0.02, 0.5])
@pytest.mark.parametrize("pages", [3, 40, 5000])
def test_random_histories(pages: int, odd: float) -> None:
    choose = random.Random(f"{pages} {odd}")
    spans, indexed = Spans(), IndexedSpans()
    accepted = 0
    for step in range(6000):
        start, length = any_extent(choose, pages, odd)
        apart = spans.apart(start, length)
        assert indexed.apart(start, length) == apart, (step, start, length)
        if apart and (len(spans) < 40 or choose.random() < 0.3):
            accepted += 1
            spans.put(start, length)
            indexed.put(start, length)
        elif spans and choose.random() < 0.5:
            gone = choose.choice(list(spans))
            spans.drop(gone)
            indexed.drop(gone)
        for near, size in choose.sample(sorted(spans.items()), min(2, len(spans))):
            assert not indexed.apart(near, size)
            for probe in ((near - 8, 8), (near + size, 1), (near + size - 1, 1), (near, 1), (near - 9, 10)):
                if probe[0] >= 0:
                    assert indexed.apart(*probe) == spans.apart(*probe), (step, probe)
    assert accepted > 100
    for start in list(spans):
        indexed.drop(start)
    assert_index_is_empty(indexed)


def test_blocks_of_four_mebibytes_and_over_many_chunks() -> None:
    indexed = IndexedSpans()
    indexed.put(4 * CHUNK, CHUNK)
    indexed.put(5 * CHUNK + 64, 3 * CHUNK)
    assert not indexed.apart(4 * CHUNK, CHUNK)
    assert not indexed.apart(0, 10 * CHUNK)
    assert not indexed.apart(4 * CHUNK + 8000, 8)
    assert indexed.apart(5 * CHUNK, 64)
    assert not indexed.apart(5 * CHUNK, 65)
    assert not indexed.apart(7 * CHUNK - PAGE_SIZE, 2 * PAGE_SIZE)
    assert not indexed.apart(8 * CHUNK + 56, 8)
    assert indexed.apart(8 * CHUNK + 64, CHUNK)
    assert indexed.apart(0, 4 * CHUNK)
    indexed.drop(4 * CHUNK)
    assert indexed.apart(4 * CHUNK, CHUNK + 64)
    indexed.drop(5 * CHUNK + 64)
    assert_index_is_empty(indexed)


@pytest.mark.parametrize("length", [24, 96, 100, 768, 1040, 1360, 2048, 4096, 4104, 6000])
@pytest.mark.parametrize("others", [0.0, 0.1])
def test_runs_of_one_length_across_page_borders(length: int, others: float) -> None:
    source = random.Random(length)
    stride = (length + 7) // 8 * 8
    starts = [3 * PAGE_SIZE + stride * k for k in range(max(16, 5 * PAGE_SIZE // stride))]
    spans, indexed = Spans(), IndexedSpans()
    entered = 0
    for _ in range(4000):
        start, size = source.choice(starts), length
        if source.random() < others:
            start, size = start + source.choice((8, 16, 48)), source.choice((8, length // 2, 2 * length))
        if start in spans:
            spans.drop(start)
            indexed.drop(start)
            continue
        apart = spans.apart(start, size)
        assert indexed.apart(start, size) == apart, (start, size, dict(spans))
        if apart:
            entered += 1
            spans.put(start, size)
            indexed.put(start, size)
    assert entered > 100
    for start in list(spans):
        indexed.drop(start)
    assert_index_is_empty(indexed)


def test_what_is_huge_has_the_same_answers_and_does_not_fill_the_index() -> None:
    indexed = IndexedSpans()
    huge = 1 << 44
    assert indexed.apart(PAGE_SIZE, huge)
    indexed.put(PAGE_SIZE, huge)
    assert not (indexed.inside or indexed.pages_of)
    assert not indexed.apart(huge, 8)
    assert not indexed.apart(0, PAGE_SIZE + 8)
    assert indexed.apart(0, PAGE_SIZE)
    indexed.put(0, PAGE_SIZE)
    indexed.drop(PAGE_SIZE)
    assert indexed.apart(huge, 8)
    assert not indexed.apart(8, huge)
