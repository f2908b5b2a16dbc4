"""Memory: bytes are what was last written to them, and never zero by luck."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kmem_model.memory import DIRTY, PAGE_OFFSET, Memory, address_of, pfn_of
from kmem_spec.units import PAGE_SIZE

START = PAGE_OFFSET + 7 * PAGE_SIZE
ROOM = 3 * PAGE_SIZE  # what the model below keeps track of


def test_the_direct_map_goes_there_and_back() -> None:
    assert address_of(0) == 0xFFFF888000000000
    assert [pfn_of(address_of(pfn) + inside) for pfn in (0, 1, 1 << 20) for inside in (0, 4095)] == [
        pfn for pfn in (0, 1, 1 << 20) for _ in range(2)
    ]
    assert pfn_of(PAGE_OFFSET - 1) < 0


def test_memory_that_nobody_wrote_holds_no_zero() -> None:
    memory = Memory()
    fresh = memory.read(START - 10, PAGE_SIZE + 20)
    assert set(fresh) == {DIRTY}
    assert 0 not in fresh
    assert not memory.pages


def test_zeroing_whole_pages_keeps_a_note_and_no_bytes() -> None:
    memory = Memory()
    memory.zero(START, 1 << 22)
    assert not memory.pages
    assert memory.first_other(START, 1 << 22, 0) is None
    memory.write(START + 5000, b"\x01")
    assert memory.first_other(START, 1 << 22, 0) == 5000
    assert len(memory.pages) == 1


def test_filling_a_page_with_what_it_is_full_of_needs_no_bytes() -> None:
    memory = Memory()
    memory.zero(START, PAGE_SIZE)
    memory.zero(START + 8, 64)
    memory.fill(START + PAGE_SIZE, 8, DIRTY)
    assert not memory.pages
    assert memory.read(START, 100) == bytes(100)


def test_the_first_other_byte_is_counted_from_the_start() -> None:
    memory = Memory()
    memory.zero(START, 64)
    assert memory.first_other(START, 64, 0) is None
    assert memory.first_other(START, 65, 0) == 64
    assert memory.first_other(START, 65, DIRTY) == 0


def test_copies_overlap_as_if_through_a_third_place() -> None:
    memory = Memory()
    memory.write(START, bytes(range(100)))
    memory.copy(START, START + 10, 100)
    assert memory.read(START, 110) == bytes(range(10)) + bytes(range(100))


places = st.integers(0, ROOM - 1)
lengths = st.one_of(st.integers(0, 40), st.integers(0, ROOM), st.sampled_from([PAGE_SIZE, 2 * PAGE_SIZE]))
changes = st.one_of(
    st.tuples(st.just("write"), places, st.binary(max_size=50)),
    st.tuples(st.just("fill"), places, st.tuples(lengths, st.integers(0, 255))),
    st.tuples(st.just("copy"), places, st.tuples(lengths, places)),
)


@given(st.lists(changes, max_size=12))
def test_memory_is_an_array_of_bytes(script: list[tuple[str, int, bytes | tuple[int, int]]]) -> None:
    memory = Memory()
    flat = bytearray([DIRTY]) * ROOM
    for change, at, what in script:
        if isinstance(what, bytes):
            data = what[: ROOM - at]
            memory.write(START + at, data)
            flat[at : at + len(data)] = data
            continue
        length = min(what[0], ROOM - at)
        if change == "fill":
            memory.fill(START + at, length, what[1])
            flat[at : at + length] = bytes([what[1]]) * length
        else:
            length = min(length, ROOM - what[1])
            memory.copy(START + at, START + what[1], length)
            flat[what[1] : what[1] + length] = flat[at : at + length]
    assert memory.read(START, ROOM) == flat
    assert all(memory.read(START + at, 9) == flat[at : at + 9] for at in range(0, ROOM - 9, 511))
    assert not memory.pages.keys() & memory.filled.keys()
