"""The call language: what it means, where it says what is wrong, and that rendered scripts read back."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kmem_oracle.expression import MOST_BITS, ScriptError
from kmem_oracle.render import lines_of
from kmem_oracle.script import ID_NULL, ID_ZERO_SIZE, MOST_CALLS, Op, parse
from kmem_spec.apis import APIS
from kmem_spec.gfp import GFP_KERNEL, NAMES, ZERO
from kmem_spec.units import SIZE_MAX

K = GFP_KERNEL
CHAPTER = Path(__file__).parents[2] / "spec" / "script.md"


def km(out: int, size: int = 8) -> Op:
    return Op("kmalloc", out, (size, K))


def kf(item: int) -> Op:
    return Op("kfree", 0, (item,))


def size_of(expression: str, **names: int) -> int:
    """Return what an expression is worth, as the size of an object."""
    (op,) = parse(f"a = kmalloc({expression}, 0)", names or NAMES["6.1"])
    return op.args[0]


# What scripts mean.


def test_every_call_has_its_arguments_in_the_kernels_order() -> None:
    text = """
        a = kmalloc(1, 2)
        b = kzalloc(3, 4)
        c = kmalloc_array(5, 6, 7)
        d = kcalloc(8, 9, 10)
        a = krealloc(a, 11, 12)
        kfree(a); ksize(b)
        e = __get_free_pages(13, 14)
        f = get_zeroed_page(15)
        free_pages(e, 14)
        check(f)
    """
    assert parse(text) == [
        Op("kmalloc", 1, (1, 2)),
        Op("kzalloc", 2, (3, 4)),
        Op("kmalloc_array", 3, (5, 6, 7)),
        Op("kcalloc", 4, (8, 9, 10)),
        Op("krealloc", 1, (1, 11, 12)),
        Op("kfree", 0, (1,)),
        Op("ksize", 0, (2,)),
        Op("__get_free_pages", 5, (13, 14)),
        Op("get_zeroed_page", 6, (15,)),
        Op("free_pages", 0, (5, 14)),
        Op("check", 0, (6,)),
    ]
    assert {op.api for op in parse(text)} == set(APIS)


def test_null_and_zero_size_ptr_are_pointers() -> None:
    assert parse("kfree(NULL); kfree(ZERO_SIZE_PTR); a = krealloc(NULL, 8, 0)") == [
        Op("kfree", 0, (ID_NULL,)),
        Op("kfree", 0, (ID_ZERO_SIZE,)),
        Op("krealloc", 1, (ID_NULL, 8, 0)),
    ]


def test_nothing_comments_and_separators_are_no_calls() -> None:
    for text in (
        "",
        "\n\n",
        " ; ;; ",
        "# a comment",
        "// another { } = (",
        "#",
        "repeat 3 { }",
        "repeat 3 { # }\n }",
    ):
        assert parse(text) == [], text


def test_comments_end_with_their_line() -> None:
    assert parse("a = kmalloc(8, GFP_KERNEL) # first }\nkfree(a) // second {\n#third\nkfree(a)") == [
        km(1),
        kf(1),
        kf(1),
    ]


def test_a_division_is_no_comment() -> None:
    assert size_of("64 / 2") == 32
    assert parse("a = kmalloc(64 / 2, 0) // 2") == [Op("kmalloc", 1, (32, 0))]


def test_names_of_masks_are_those_of_the_version() -> None:
    assert parse("a = kmalloc(8, GFP_ATOMIC)")[0].args[1] == 0xA20
    assert parse("a = kmalloc(8, GFP_ATOMIC)", NAMES["6.12"])[0].args[1] == 0x820
    assert parse("a = kmalloc(8, GFP_KERNEL | __GFP_ZERO)")[0].args[1] == K | ZERO
    assert parse("a = kmalloc(8, GFP_KERNEL & ~__GFP_IO)")[0].args[1] == K & ~0x40


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("7", 7),
        ("0x10", 16),
        ("2 + 3", 5),
        ("5 - 2", 3),
        ("5 * 3", 15),
        ("7 / 2", 3),
        ("7 // 2", 3),
        ("7 % 4", 3),
        ("1 << 5", 32),
        ("64 >> 2", 16),
        ("12 | 3", 15),
        ("12 & 6", 4),
        ("2**10", 1024),
        ("-3 + 10", 7),
        ("~0", 0xFFFFFFFF),
        ("~0xF0 & 0xFF", 0x0F),
        ("2 + 3 * 4", 14),
        ("(2 + 3) * 4", 20),
        ("2**64 - 1", SIZE_MAX),
        (f"2**{MOST_BITS} >> 100", 1 << 28),
    ],
)
def test_every_operator(expression: str, value: int) -> None:
    if "//" in expression:  # in a script it begins a comment
        with pytest.raises(ScriptError):
            size_of(expression)
    else:
        assert size_of(expression) == value


def test_a_repeat_comes_as_often_as_it_says_and_counts_from_0() -> None:
    assert parse("repeat 3 { a = kmalloc(8 * i + 8, GFP_KERNEL); kfree(a) }") == [
        call for k in range(3) for call in (km(1, 8 * k + 8), kf(1))
    ]
    assert parse("repeat 0 { a = kmalloc(8, 0) }") == []
    assert parse("repeat 1 + 1 { kfree(NULL) }") == [kf(0), kf(0)]


def test_a_nested_repeat_counts_for_itself() -> None:
    inner = "\trepeat i + 1 { b[i] = kmalloc(9, GFP_KERNEL) }\n"
    text = f"repeat 2 {{\n a[i] = kmalloc(i, GFP_KERNEL)\n{inner} kfree(a[i])\n}}"
    assert parse(text) == [km(1, 0), km(2, 9), kf(1), km(3, 1), km(2, 9), km(4, 9), kf(3)]


def test_an_index_names_one_of_many() -> None:
    text = "repeat 3 { p[i] = kmalloc(8, GFP_KERNEL) }\nrepeat 3 { kfree(p[2 - i]) }\nkfree(p[1]); kfree(p)"
    assert parse(text) == [km(1), km(2), km(3), kf(3), kf(2), kf(1), kf(2), kf(4)]


def test_a_name_without_an_index_is_another_than_with_any_index() -> None:
    text = "a = kmalloc(8, GFP_KERNEL)\nrepeat 3 { kfree(a[i - 1]) }"
    assert len({op.out or op.args[0] for op in parse(text)}) == 4


def test_the_examples_of_the_chapter_are_scripts() -> None:
    blocks = CHAPTER.read_text(encoding="utf-8").split("```c\n")[1:]
    assert blocks
    for block in blocks:
        assert parse(block.partition("```")[0])


# Where they say what is wrong.


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        ("kmalloc(8, 0)", 1, 1, "kmalloc returns an object: name it, as in `a = …`"),
        ("a = kfree(NULL)", 1, 1, "kfree returns no object"),
        ("  krealloc(NULL, 8, 0)", 1, 3, "krealloc returns an object"),
        ("kfree(NULL)\n\n  vfree(NULL)", 3, 3, "unknown call vfree: known are kmalloc, "),
        ("kfree(NULL); kfree()", 1, 14, "kfree takes (pointer)"),
        ("a = kcalloc(8, 0)", 1, 1, "kcalloc takes (count, size, gfp)"),
        ("a = kmalloc(size=8, gfp=0)", 1, 1, "'a = kmalloc(size=8, gfp=0)' is no call"),
        ("kfree", 1, 1, "'kfree' is no call"),
        ("a.kfree(b)", 1, 1, "'a.kfree(b)' is no call"),
        ("kfree(a", 1, 1, "cannot read 'kfree(a'"),
        ("kfree(a))", 1, 1, "cannot read 'kfree(a))'"),
        ("a == kmalloc(8, 0)", 1, 1, "cannot read"),
        ("= kmalloc(8, 0)", 1, 1, "cannot read ''"),
        ("a b = kmalloc(8, 0)", 1, 1, "cannot read 'a b'"),
        ("a = kmalloc(8, GFP_NONE)", 1, 1, "unknown name GFP_NONE"),
        ("a = kmalloc(i, 0)", 1, 1, None),
        ("a = kmalloc(8.5, 0)", 1, 1, "cannot use 8.5 here"),
        ("a = kmalloc(True, 0)", 1, 1, "cannot use True here"),
        ("a = kmalloc('8', 0)", 1, 1, "cannot use '8' here"),
        ("a = kmalloc(8 ^ 1, 0)", 1, 1, "cannot use 8 ^ 1 here"),
        ("a = kmalloc(not 1, 0)", 1, 1, "cannot use not 1 here"),
        ("a = kmalloc(+1, 0)", 1, 1, "cannot use +1 here"),
        ("a = kmalloc(f(1), 0)", 1, 1, "cannot use f(1) here"),
        ("a = kmalloc(*x, 0)", 1, 1, "cannot use *x here"),
        ("a = kmalloc(1 / 0, 0)", 1, 1, "division by zero"),
        ("a = kmalloc(1 % 0, 0)", 1, 1, "division by zero"),
        ("a = kmalloc(1 << 129, 0)", 1, 1, "129 is not from 0 to 128"),
        ("a = kmalloc(1 >> -1, 0)", 1, 1, "-1 is not from 0 to 128"),
        ("a = kmalloc(2**129, 0)", 1, 1, "129 is not from 0 to 128"),
        ("a = kmalloc(2**-1, 0)", 1, 1, "-1 is not from 0 to 128"),
        ("a = kmalloc(-1, 0)", 1, 1, f"size -1 is not from 0 to {SIZE_MAX}"),
        ("a = kmalloc(2**64, 0)", 1, 1, f"size {1 << 64} is not from 0 to {SIZE_MAX}"),
        ("a = kcalloc(2**64, 1, 0)", 1, 1, f"count {1 << 64} is not from 0"),
        ("a = kmalloc(8, 2**32)", 1, 1, f"gfp {1 << 32} is not from 0 to 4294967295"),
        ("a = __get_free_pages(0, 2**32)", 1, 1, f"order {1 << 32} is not from 0"),
        ("free_pages(NULL, -1)", 1, 1, "order -1 is not from 0"),
        ("NULL = kmalloc(8, 0)", 1, 1, "NULL and ZERO_SIZE_PTR are no names"),
        ("ZERO_SIZE_PTR = kmalloc(8, 0)", 1, 1, "NULL and ZERO_SIZE_PTR are no names"),
        ("GFP_KERNEL = kmalloc(8, 0)", 1, 1, "GFP_KERNEL is no name for an object"),
        ("repeat 2 { i = kmalloc(8, 0) }", 1, 12, "i is no name for an object"),
        ("7 = kmalloc(8, 0)", 1, 1, "7 is no name for an object"),
        ("kfree(7)", 1, 1, "7 is no name for an object"),
        ("kfree(a + 8)", 1, 1, "a + 8 is no name for an object"),
        ("kfree(a[b])", 1, 1, "unknown name b"),
        ("kfree(a[0][1])", 1, 1, "a[0] is no name for an object"),
        ("{ kfree(NULL) }", 1, 1, "a { belongs after `repeat N`"),
        ("kfree(NULL) {", 1, 13, "a { belongs after `repeat N`"),
        ("kfree(NULL) }", 1, 13, "a } without its {"),
        ("\n repeat 2 {\n repeat 3 { }", 2, 2, "this repeat is never closed"),
        ("repeat 2 { repeat 3 { }", 1, 1, "this repeat is never closed"),
        ("repeat { }", 1, 8, "cannot read ''"),
        ("  repeat 2 3 { }", 1, 10, "cannot read '2 3'"),
        ("repeat n { }", 1, 1, "unknown name n"),
        ("repeat -1 { kfree(NULL) }", 1, 1, "cannot repeat -1 times"),
        ("repeat 2 kfree(NULL)", 1, 1, "cannot read 'repeat 2 kfree(NULL)'"),
        ("a = kmalloc(8,\n0)", 1, 1, "cannot read"),
        ("repeat 10**7 + 1 { }", 1, 1, "cannot repeat 10000001 times"),
        ("a = kmalloc(2**128 * 2**128, 0)", 1, 1, "a number of more than 256 bits"),
        ("a = kmalloc((2**128)**128, 0)", 1, 1, "a number of more than 256 bits"),
        (f"a = kmalloc({'9' * 4000}, 0)", 1, 1, "a number of more than 256 bits"),
    ],
)
def test_an_error_has_its_line_and_column(text: str, line: int, column: int, message: str | None) -> None:
    if message is None:  # outside of a repeat the one round has number 0
        assert parse(text) == [Op("kmalloc", 1, (0, 0))]
        return
    with pytest.raises(ScriptError) as caught:
        parse(text)
    assert (caught.value.line, caught.value.column) == (line, column)
    assert str(caught.value).startswith(f"line {line}, column {column}: {message}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "repeat 1 { " * 3000 + "}" * 3000,
        f"a = kmalloc({'(' * 5000}1{')' * 5000}, 0)",
        f"a = kmalloc({'-' * 5000}1, 0)",
        f"a = kmalloc({'1 + ' * 5000}1, 0)",
        f"a = kmalloc({'9' * 5000}, 0)",
        "a = kmalloc(8\0, 0)",
    ],
    ids=["repeats", "parentheses", "signs", "terms", "digits", "a null byte"],
)
def test_what_is_nested_too_deeply_or_too_long_is_an_error_as_well(text: str) -> None:
    with pytest.raises(ScriptError) as caught:
        parse(text)
    assert caught.value.line == 1
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    "text",
    [
        "repeat 30 { repeat 30 { kfree(NULL) } }",
        "repeat 500 { repeat 500 { } }",
        "repeat 30 { repeat 30 { repeat 0 { kfree(NULL) } } }",
    ],
)
def test_a_script_has_a_longest_length_whatever_it_repeats(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert MOST_CALLS == 10_000_000
    monkeypatch.setattr("kmem_oracle.script.MOST_CALLS", 800)
    with pytest.raises(ScriptError, match="line 1, column 1: more than 800 calls once its repeats are"):
        parse(text)


# Round trip.


Step = tuple[str, tuple[int, ...], bool]


def played(ops: Sequence[Op], fails: int) -> list[Step]:
    """Return what a script does, object by object: each call, and whether it was made or skipped.

    Objects are numbered as they are made; the k-th request fails if bit k % 64 of `fails` is set. Scripts
    that differ in their ids alone do the same, whatever fails.
    """
    held: dict[int, int] = {}
    steps: list[Step] = []
    asked = made = 0
    for op in ops:
        api = APIS[op.api]
        args = list(op.args)
        pointer = 0
        if "pointer" in api.parameters:
            at = api.parameters.index("pointer")
            pointer = args[at]
            args[at] = held.get(pointer, -9) if pointer > 0 else pointer
        skipped = pointer > 0 and pointer not in held
        steps.append((op.api, tuple(args), skipped))
        if skipped:
            continue
        if api.role == "free":
            held.pop(pointer, None)
        elif op.out:
            asked += 1
            if not fails >> (asked % 64) & 1:
                made += 1
                held.pop(pointer, None)
                held[op.out] = made
    return steps


IDS = st.one_of(st.integers(1, 6), st.integers(1, 300))
VALUES = {
    "size": st.sampled_from([0, 1, 8, 64, 100, 1 << 24, (1 << 31) - 1, 1 << 63, SIZE_MAX]),
    "count": st.sampled_from([0, 1, 3, 1 << 32, SIZE_MAX]),
    "gfp": st.sampled_from([0, K, K | ZERO, 0xA20, 0x820, 0x800, 0x2800, 1 << 31, 0xFFFFFFFF]),
    "order": st.sampled_from([0, 1, 10, 11, 0xFFFFFFFF]),
    "pointer": st.one_of(IDS, IDS, st.sampled_from([ID_NULL, ID_ZERO_SIZE])),
}


@st.composite
def single_ops(draw: st.DrawFn) -> Op:
    api = APIS[draw(st.sampled_from(sorted(APIS)))]
    out = draw(IDS) if api.role in {"allocate", "resize"} else 0
    return Op(api.name, out, tuple(draw(VALUES[kind]) for kind in api.parameters))


@st.composite
def repeated_ops(draw: st.DrawFn) -> list[Op]:
    """Return a few calls again and again, the ids at each place moving on evenly."""
    body = draw(st.lists(single_ops(), min_size=1, max_size=4))
    steps = draw(st.lists(st.integers(-2, 2), min_size=8, max_size=8))
    rounds = []
    for k in range(draw(st.integers(1, 6))):
        moved = iter(steps)
        for op in body:
            kinds = APIS[op.api].parameters
            args = tuple(
                max(1, arg + k * next(moved)) if kind == "pointer" and arg > 0 else arg
                for kind, arg in zip(kinds, op.args, strict=True)
            )
            rounds.append(op._replace(out=max(1, op.out + k * next(moved)) if op.out else 0, args=args))
    return rounds


SCRIPTS = st.lists(repeated_ops(), max_size=5).map(lambda parts: [op for part in parts for op in part])
TOGETHER = [op for k in range(1, 4) for op in (km(1), kf(k))]
LONG = [op for _ in range(4) for k in range(1, 13) for op in (km(k), kf(14 - k))]


@settings(max_examples=400, deadline=None, derandomize=True, database=None)
@given(SCRIPTS, st.sampled_from(["6.1", "6.12"]), st.integers(0, (1 << 64) - 1))
@example(TOGETHER, "6.1", 0)
@example(LONG, "6.1", 0)
@example([op for k in range(5) for op in (km(5 - k), kf(k + 1))], "6.1", 0)
@example([kf(1), kf(2), kf(3), km(1)] * 3, "6.1", 0)
@example([op for k in range(1, 5) for op in (kf(k), km(k))], "6.1", 0)
@example([op for k in range(1, 5) for op in (km(k), Op("ksize", 0, (k,)))], "6.1", 0b1010)
def test_a_rendered_script_reads_back(ops: list[Op], version: str, fails: int) -> None:
    lines = lines_of(ops, NAMES[version])
    again = parse("\n".join(lines), NAMES[version])
    assert played(again, fails) == played(ops, fails)
    assert len(lines) <= len(ops)


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(SCRIPTS, st.integers(0, 40), st.integers(0, 40))
def test_any_part_of_a_script_is_a_script(ops: list[Op], begin: int, length: int) -> None:
    part = ops[begin : begin + length]
    assert played(parse("; ".join(lines_of(part)).replace("{;", "{")), 0) == played(part, 0)
