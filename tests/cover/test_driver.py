"""The driver over a toy target that errs in chosen ways: what the records say."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence

import pytest

from kmem_oracle.script import ID_NULL, ID_ZERO_SIZE, Op, parse
from kmem_oracle.targets.access import LARGEST, PATTERN, Access, Native, first_difference, phase
from kmem_oracle.targets.driver import Driver
from kmem_oracle.targets.model import ModelMemory, open_model
from kmem_oracle.targets.reader import Reader
from kmem_oracle.targets.records import CALLING, DONE, HEADER, PART, RECORD, SKIPPED, SPOILT, TOUCHING, Seen
from kmem_spec.calls import Answer, Call
from kmem_spec.gfp import GFP_KERNEL, ZERO
from kmem_spec.units import PAGE_SIZE, SIZE_MAX, ZERO_SIZE_PTR

K = GFP_KERNEL
BASE = 0x10000
ARENA = 1 << 20
BIGGEST = 1 << 16  # bytes that the driver touches


class Arena:
    """Some bytes at BASE, as a driver reaches them."""

    def __init__(self) -> None:
        self.bytes = bytearray(b"\xee" * ARENA)

    def reachable(self, start: int, length: int) -> bool:
        return start >= BASE and start + length <= BASE + ARENA

    def fill(self, start: int, length: int, identifier: int) -> None:
        at = phase(identifier)
        self.bytes[start - BASE : start - BASE + length] = PATTERN[at : at + length]

    def changed(self, start: int, length: int, identifier: int) -> int:
        at = phase(identifier)
        return first_difference(self.at(start, length), PATTERN[at : at + length])

    def nonzero(self, start: int, begin: int, end: int) -> int:
        found = first_difference(self.at(start + begin, end - begin), bytes(max(0, end - begin)))
        return -1 if found < 0 else begin + found

    def at(self, start: int, length: int) -> bytes:
        return bytes(self.bytes[start - BASE : start - BASE + length])


class Toy:
    """A target that gives one page after the other and never takes one back; krealloc stays in place."""

    def __init__(self, arena: Arena) -> None:
        self.arena = arena
        self.next = BASE
        self.calls: list[tuple[object, ...]] = []
        self.functions: dict[str, Callable[..., int | None]] = {
            "kmalloc": self.kmalloc,
            "kzalloc": lambda size, gfp: self.kmalloc(size, gfp | ZERO),
            "kmalloc_array": lambda n, size, gfp: self.kmalloc(n * size, gfp),
            "kcalloc": lambda n, size, gfp: self.kmalloc(n * size, gfp | ZERO),
            "krealloc": self.krealloc,
            "kfree": self.kfree,
            "ksize": lambda start: PAGE_SIZE if start > ZERO_SIZE_PTR else 0,
            "__get_free_pages": lambda gfp, order: self.kmalloc(PAGE_SIZE << order, gfp),
            "get_zeroed_page": lambda gfp: self.kmalloc(PAGE_SIZE, gfp | ZERO),
            "free_pages": lambda start, order: self.note("free_pages", start, order),
        }

    def note(self, *call: object) -> None:
        self.calls.append(call)

    def kmalloc(self, size: int, gfp: int) -> int:
        self.note("kmalloc", size, gfp)
        if size == 0:
            return ZERO_SIZE_PTR
        if size > ARENA:
            return 0
        start = self.next
        self.next += (size + PAGE_SIZE - 1) // PAGE_SIZE * PAGE_SIZE
        if gfp & ZERO:
            self.arena.bytes[start - BASE : start - BASE + size] = bytes(size)
        return start

    def krealloc(self, start: int, size: int, gfp: int) -> int:
        self.note("krealloc", start, size, gfp)
        if start <= ZERO_SIZE_PTR:
            return self.kmalloc(size, gfp)
        return start if size else ZERO_SIZE_PTR

    def kfree(self, start: int) -> None:
        self.note("kfree", start)


class Bench:
    """A toy, its arena and a driver; `run` gives the records of a script."""

    def __init__(self) -> None:
        self.arena = Arena()
        self.toy = Toy(self.arena)
        self.memory = memoryview(bytearray(HEADER.size + PART))
        self.replace()

    def replace(self, **functions: Callable[..., int | None]) -> None:
        """Start a driver over the toy with some calls done otherwise."""
        self.functions = self.toy.functions | functions
        self.driver = Driver(self.functions, self.arena, self.memory, BIGGEST)

    def without(self, api: str) -> None:
        del self.functions[api]
        self.driver = Driver(self.functions, self.arena, self.memory, BIGGEST)

    def run(self, script: str | Sequence[Op]) -> list[Seen]:
        ops = parse(script) if isinstance(script, str) else list(script)
        self.driver.run(ops, HEADER.size)
        assert HEADER.unpack_from(self.memory)[0] == len(ops)
        end = HEADER.size + len(ops) * RECORD.size
        return [
            (result, usable, nonzero, changed, status)
            for result, usable, nonzero, changed, status, _ in RECORD.iter_unpack(
                self.memory[HEADER.size : end]
            )
        ]

    def last(self, script: str) -> Seen:
        return self.run(script)[-1]

    def spoil(self, start: int, offset: int) -> None:
        """Change one byte of an object."""
        self.arena.bytes[start - BASE + offset] ^= 0xFF


@pytest.fixture
def bench() -> Bench:
    return Bench()


NOTHING: Seen = (0, -1, -1, -1, DONE)
SKIP: Seen = (0, -1, -1, -1, SKIPPED)
PAGE_2 = BASE + PAGE_SIZE


def test_a_correct_target_is_seen_to_be_so(bench: Bench) -> None:
    script = """
        a = kmalloc(100, GFP_KERNEL)
        b = kcalloc(4, 25, GFP_KERNEL)
        a = krealloc(a, 300, GFP_KERNEL)
        c = get_zeroed_page(GFP_KERNEL)
        check(a); ksize(a); kfree(a); kfree(b); free_pages(c, 0)
    """
    assert bench.run(script) == [
        (BASE, PAGE_SIZE, -1, -1, DONE),
        (PAGE_2, PAGE_SIZE, -1, -1, DONE),
        (BASE, PAGE_SIZE, -1, -1, DONE),
        (PAGE_2 + PAGE_SIZE, -1, -1, -1, DONE),
        NOTHING,
        (PAGE_SIZE, -1, -1, -1, DONE),
        NOTHING,
        NOTHING,
        NOTHING,
    ]
    assert bench.toy.calls[-3:] == [("kfree", BASE), ("kfree", PAGE_2), ("free_pages", PAGE_2 + PAGE_SIZE, 0)]


def test_what_it_gets_is_filled_with_a_pattern_of_its_id_over_the_bytes_asked_for(bench: Bench) -> None:
    bench.run("a = kmalloc(100, GFP_KERNEL)\nb = __get_free_pages(GFP_KERNEL, 1)")
    assert bench.arena.at(BASE, 101) == PATTERN[phase(1) : phase(1) + 100] + b"\xee"
    assert bench.arena.at(PAGE_2, 2 * PAGE_SIZE) == PATTERN[phase(2) : phase(2) + 2 * PAGE_SIZE]
    assert PATTERN[phase(1) : phase(1) + 8] != PATTERN[phase(2) : phase(2) + 8]
    assert 0 not in PATTERN


@pytest.mark.parametrize(
    "call",
    ["kzalloc(100, GFP_KERNEL)", "kcalloc(10, 10, GFP_KERNEL)", "kmalloc(100, GFP_KERNEL | __GFP_ZERO)"],
)
def test_a_byte_that_is_not_zero_is_seen_among_those_promised(bench: Bench, call: str) -> None:
    def dirty(at: int) -> Callable[..., int]:
        def make(*args: int) -> int:
            start = bench.toy.kmalloc(100, ZERO)
            bench.spoil(start, at)
            return start

        return make

    for offset, seen in ((0, 0), (99, 99), (100, -1)):
        bench.replace(kzalloc=dirty(offset), kcalloc=dirty(offset), kmalloc=dirty(offset))
        bench.toy.next = BASE
        assert bench.last(f"a = {call}") == (BASE, PAGE_SIZE, seen, -1, DONE)


def test_zeroes_are_not_looked_for_where_none_are_promised(bench: Bench) -> None:
    assert bench.last("a = kmalloc(100, GFP_KERNEL)")[2] == -1
    assert bench.last("a = __get_free_pages(GFP_KERNEL, 0)")[2] == -1
    bench.replace(__get_free_pages=lambda gfp, order: bench.toy.kmalloc(PAGE_SIZE << order, 0))
    assert bench.last("a = __get_free_pages(GFP_KERNEL | __GFP_ZERO, 2)")[2] == 0


def test_a_changed_object_is_seen_before_it_is_freed_or_resized_and_the_call_is_not_made(
    bench: Bench,
) -> None:
    for call in ("kfree(a)", "a = krealloc(a, 300, GFP_KERNEL)"):
        bench.run("a = kmalloc(100, GFP_KERNEL)")
        start = bench.toy.next - PAGE_SIZE
        bench.spoil(start, 99)
        made = len(bench.toy.calls)
        assert bench.run(call) == [(1, -1, -1, 99, SPOILT)]
        assert len(bench.toy.calls) == made
    assert bench.last("check(a)") == (0, -1, -1, 99, DONE)


def test_a_change_beyond_the_request_is_nobodys(bench: Bench) -> None:
    bench.run("a = kmalloc(100, GFP_KERNEL)")
    bench.spoil(BASE, 100)
    assert bench.last("kfree(a)") == NOTHING


def test_a_krealloc_that_loses_contents_is_seen(bench: Bench) -> None:
    def moves(start: int, size: int, gfp: int) -> int:
        new = bench.toy.kmalloc(size, gfp)
        kept = bench.arena.at(start, size)[:90]
        bench.arena.bytes[new - BASE : new - BASE + len(kept)] = kept
        return new

    bench.replace(krealloc=moves)
    assert bench.last("a = kmalloc(100, GFP_KERNEL); a = krealloc(a, 200, GFP_KERNEL)") == (
        PAGE_2,
        PAGE_SIZE,
        -1,
        90,
        DONE,
    )
    assert bench.last("a = kmalloc(100, GFP_KERNEL); a = krealloc(a, 80, GFP_KERNEL)")[3] == -1


def test_a_krealloc_that_fails_is_looked_at_in_its_old_place(bench: Bench) -> None:
    def fails(start: int, _size: int, _gfp: int) -> int:
        bench.spoil(start, 7)
        return 0

    bench.run("a = kmalloc(100, GFP_KERNEL)")
    ops = [Op("krealloc", 1, (1, 200, K))]
    functions = bench.functions
    functions["krealloc"] = lambda *_: 0
    assert bench.run(ops) == [NOTHING]
    functions["krealloc"] = fails
    assert bench.run(ops) == [(0, -1, -1, 7, DONE)]


def test_a_krealloc_to_nothing_ends_the_object(bench: Bench) -> None:
    seen = bench.run("a = kmalloc(100, GFP_KERNEL); a = krealloc(a, 0, GFP_KERNEL); check(a); kfree(a)")
    assert seen[1:] == [(ZERO_SIZE_PTR, -1, -1, -1, DONE), NOTHING, NOTHING]
    assert bench.toy.calls[-1] == ("kfree", ZERO_SIZE_PTR)


def test_a_resize_under_another_name_ends_the_old_name(bench: Bench) -> None:
    seen = bench.run("a = kmalloc(8, GFP_KERNEL); b = krealloc(a, 9, GFP_KERNEL); kfree(a); kfree(b)")
    assert seen[1:] == [(BASE, PAGE_SIZE, -1, -1, DONE), SKIP, NOTHING]


@pytest.mark.parametrize(
    ("steps", "seen"),
    [
        ("a = kzalloc(10, GFP_KERNEL); a = krealloc(a, 20, GFP_KERNEL | __GFP_ZERO)", 10),
        ("a = kzalloc(10, GFP_KERNEL); a = krealloc(a, 20, GFP_KERNEL)", -1),
        ("a = kmalloc(10, GFP_KERNEL); a = krealloc(a, 20, GFP_KERNEL | __GFP_ZERO)", -1),
        (
            "a = kzalloc(10, GFP_KERNEL); a = krealloc(a, 5, GFP_KERNEL | __GFP_ZERO);"
            "a = krealloc(a, 20, GFP_KERNEL | __GFP_ZERO)",
            10,
        ),
        (
            "a = kzalloc(10, GFP_KERNEL); a = krealloc(a, 5, GFP_KERNEL);"
            "a = krealloc(a, 20, GFP_KERNEL | __GFP_ZERO)",
            -1,
        ),
        (
            "a = krealloc(NULL, 10, GFP_KERNEL | __GFP_ZERO); a = krealloc(a, 20, GFP_KERNEL | __GFP_ZERO)",
            10,
        ),
        (
            "a = kmalloc(0, GFP_KERNEL); a = krealloc(a, 10, GFP_KERNEL | __GFP_ZERO);"
            "a = krealloc(a, 20, GFP_KERNEL | __GFP_ZERO)",
            10,
        ),
    ],
)
def test_a_grown_object_is_looked_at_where_zeroes_are_due(bench: Bench, steps: str, seen: int) -> None:
    assert bench.last(steps)[2] == seen


def test_among_dirty_bytes_those_that_no_user_wrote_count_first(bench: Bench) -> None:
    shrunk = "a = kzalloc(10, GFP_KERNEL); a = krealloc(a, 5, GFP_KERNEL | __GFP_ZERO);"
    bench.run(shrunk)
    bench.arena.bytes[10:20] = bytes(10)  # only what the driver itself wrote is left
    assert bench.last("a = krealloc(a, 20, GFP_KERNEL | __GFP_ZERO)")[2] == 5


@pytest.mark.parametrize("pointer", ["NULL", "ZERO_SIZE_PTR", "a"])
def test_a_krealloc_of_nothing_is_a_new_object(bench: Bench, pointer: str) -> None:
    bench.functions["krealloc"] = lambda start, size, gfp: bench.toy.kmalloc(size, 0)
    bench.run("a = kmalloc(0, GFP_KERNEL)")
    (seen,) = bench.run(
        [Op("krealloc", 1, ({"NULL": ID_NULL, "ZERO_SIZE_PTR": ID_ZERO_SIZE, "a": 1}[pointer], 64, K | ZERO))]
    )
    assert seen == (BASE, PAGE_SIZE, 0, -1, DONE)


def test_special_pointers_are_handed_over_as_they_are(bench: Bench) -> None:
    script = "kfree(NULL); kfree(ZERO_SIZE_PTR); free_pages(NULL, 3); a = krealloc(ZERO_SIZE_PTR, 0, 0)"
    assert bench.run(script) == [NOTHING, NOTHING, NOTHING, (ZERO_SIZE_PTR, -1, -1, -1, DONE)]
    assert bench.toy.calls == [
        ("kfree", 0),
        ("kfree", ZERO_SIZE_PTR),
        ("free_pages", 0, 3),
        ("krealloc", ZERO_SIZE_PTR, 0, 0),
        ("kmalloc", 0, 0),
    ]
    assert bench.run("ksize(NULL); ksize(ZERO_SIZE_PTR)") == [NOTHING, NOTHING]


def test_a_call_on_what_does_not_live_is_skipped(bench: Bench) -> None:
    script = "kfree(a); a = krealloc(a, 8, GFP_KERNEL); ksize(a); check(a); free_pages(a, 0)"
    assert bench.run(script) == [SKIP] * 5
    assert bench.toy.calls == []


def test_a_failed_request_leaves_the_name_as_it_was(bench: Bench) -> None:
    seen = bench.run(f"a = kmalloc(8, GFP_KERNEL); a = kmalloc({ARENA + 1}, GFP_KERNEL); kfree(a); kfree(a)")
    assert seen[1:] == [NOTHING, NOTHING, SKIP]


def test_what_cannot_be_memory_is_not_touched(bench: Bench) -> None:
    for start in (1, BASE - 8, BASE + ARENA - 99, SIZE_MAX - 11):
        bench.replace(kmalloc=lambda size, gfp, start=start: start)
        assert bench.last("a = kmalloc(100, GFP_KERNEL | __GFP_ZERO)") == (start, -1, -1, -1, DONE)
        assert bench.last("kfree(a)") == NOTHING


def test_more_than_is_ever_asked_for_is_not_touched(bench: Bench) -> None:
    whole = bytes(bench.arena.bytes)
    assert bench.last(f"a = kmalloc({BIGGEST + 1}, GFP_KERNEL)")[:2] == (BASE, -1)
    bench.replace(__get_free_pages=lambda gfp, order: BASE, kcalloc=lambda n, size, gfp: BASE)
    assert bench.last("b = __get_free_pages(GFP_KERNEL, 2**32 - 1)")[:2] == (BASE, -1)
    assert bench.last("c = kcalloc(2**63, 2**63, GFP_KERNEL)")[:2] == (BASE, -1)
    assert bytes(bench.arena.bytes) == whole


def test_without_ksize_nothing_is_said_of_usable_bytes(bench: Bench) -> None:
    bench.without("ksize")
    assert (
        bench.run("a = kmalloc(8, GFP_KERNEL); a = krealloc(a, 9, GFP_KERNEL)")
        == [(BASE, -1, -1, -1, DONE)] * 2
    )


def test_the_header_says_which_call_is_in_hand_and_what_is_done_with_it(bench: Bench) -> None:
    words: list[tuple[int, ...]] = []
    arena = bench.arena
    plain = arena.fill

    def kmalloc(size: int, gfp: int) -> int:
        words.append(HEADER.unpack_from(bench.memory))
        return bench.toy.kmalloc(size, gfp)

    def fill(start: int, length: int, identifier: int) -> None:
        words.append(HEADER.unpack_from(bench.memory))
        plain(start, length, identifier)

    bench.replace(kmalloc=kmalloc)
    arena.fill = fill  # type: ignore[method-assign]  # to look on
    bench.run("kfree(NULL); a = kmalloc(8, GFP_KERNEL)")
    assert words == [(1, CALLING, HEADER.size), (1, TOUCHING, HEADER.size)]


# From records to events.


def test_ids_become_addresses() -> None:
    reader = Reader()
    events = [
        reader.event(Op("kmalloc", 1, (8, K)), (BASE, 64, -1, -1, DONE, 0)),
        reader.event(Op("krealloc", 2, (1, 9, K)), (PAGE_2, 64, -1, -1, DONE, 0)),
        reader.event(Op("kfree", 0, (2,)), (*NOTHING, 0)),
        reader.event(Op("kfree", 0, (ID_ZERO_SIZE,)), (*NOTHING, 0)),
    ]
    assert events == [
        (Call("kmalloc", (8, K)), Answer(BASE, 64)),
        (Call("krealloc", (BASE, 9, K)), Answer(PAGE_2, 64)),
        (Call("kfree", (PAGE_2,)), Answer(0)),
        (Call("kfree", (ZERO_SIZE_PTR,)), Answer(0)),
    ]


def test_a_skipped_call_is_no_event_and_a_spoilt_object_a_look_at_it() -> None:
    reader = Reader()
    reader.event(Op("kmalloc", 1, (8, K)), (BASE, -1, -1, -1, DONE, 0))
    assert reader.event(Op("kfree", 0, (7,)), (*SKIP, 0)) is None
    assert reader.event(Op("kfree", 0, (1,)), (1, -1, -1, 5, SPOILT, 0)) == (
        Call("check", (BASE,)),
        Answer(0, changed=5),
    )
    assert reader.lost(Op("free_pages", 0, (1, 2)), "hung").call == Call("free_pages", (BASE, 2))
    assert reader.lost(Op("kmalloc", 3, (8, K)), "hung").call == Call("kmalloc", (8, K))


# Access to memory.


@pytest.fixture(params=["native", "model"])
def place(request: pytest.FixtureRequest) -> tuple[Access, int, object]:
    """Return an access, the start of 9 MiB that may be used, and what keeps them alive."""
    size = 2 * LARGEST + PAGE_SIZE
    if request.param == "native":
        buffer = (ctypes.c_ubyte * size)()
        return Native(), ctypes.addressof(buffer), buffer
    model = open_model()
    start = model.functions["__get_free_pages"](K, 10)
    assert isinstance(start, int)
    assert start
    return model.access, start, model


def test_what_was_filled_is_unchanged_until_a_byte_is(place: tuple[Access, int, object]) -> None:
    access, start, _ = place
    for length in (0, 1, 100, LARGEST):
        access.fill(start, length, 3)
        assert access.changed(start, length, 3) == -1
    access.fill(start + 70, 1, 4)
    assert access.changed(start, 100, 3) == 70
    assert access.changed(start, 70, 3) == -1
    assert access.changed(start, 0, 3) == -1


def test_the_first_byte_that_is_not_zero_is_found(place: tuple[Access, int, object]) -> None:
    access, start, _ = place
    access.fill(start, 100, 3)
    assert access.nonzero(start, 0, 100) == 0
    assert access.nonzero(start, 99, 200) == 99
    assert access.nonzero(start, 40, 40) == -1


def test_native_memory_beyond_what_is_compared_at_once() -> None:
    size = 2 * LARGEST + 100
    buffer = (ctypes.c_ubyte * size)()
    start = ctypes.addressof(buffer)
    native = Native()
    assert native.nonzero(start, 0, size) == -1
    buffer[LARGEST + 5] = 1
    assert native.nonzero(start, 0, size) == LARGEST + 5
    native.fill(start, size, 9)
    assert native.changed(start, size, 9) == -1
    buffer[2 * LARGEST + 50] ^= 1
    assert native.changed(start, size, 9) == 2 * LARGEST + 50


def test_only_user_addresses_and_only_the_direct_map_can_be_reached() -> None:
    native = Native()
    assert native.reachable(1 << 20, 4096)
    for start in (0, 16, (1 << 47) - 8, SIZE_MAX - 11):
        assert not native.reachable(start, 64)
    model = open_model().access
    assert isinstance(model, ModelMemory)
    assert not model.reachable(1 << 20, 4096)


@pytest.mark.parametrize("length", [1, 2, 7, 64])
def test_the_first_difference(length: int) -> None:
    one = bytes(length)
    assert first_difference(one, one) == -1
    for index in range(length):
        other = bytearray(one)
        other[index:] = b"\x01" * (length - index)
        assert first_difference(one, bytes(other)) == index


def test_the_model_answers_null_for_the_callers_mistakes_and_lets_its_own_through() -> None:
    model = open_model()
    assert model.profile == "linux-6.1"
    assert model.functions["kfree"](12345 << 12) == 0
    assert model.functions["kmalloc"](8, 0x5) == 0
