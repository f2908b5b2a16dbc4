"""Lives of objects cut out of a script, and the crowds that fill memory."""

from __future__ import annotations

from kmem_oracle.language.render import lines_of
from kmem_oracle.language.script import Op, parse
from kmem_oracle.shrink.lifecycles import FILLED, MOST_BYTES, life_of, repeated_lives

K = "GFP_KERNEL"


def lives(text: str, at: int = 0) -> list[str]:
    """Return the life of what a call of a script makes, as lines."""
    life = life_of(parse(text), at)
    return [] if life is None else lines_of(life)


def test_a_life_has_the_calls_on_its_object_alone() -> None:
    text = f"a = kmalloc(8, {K}); b = kmalloc(9, {K}); a = krealloc(a, 20, {K}); kfree(b); check(a); kfree(a)"
    assert lives(text) == [
        "a = kmalloc(8, GFP_KERNEL)",
        "a = krealloc(a, 20, GFP_KERNEL)",
        "check(a)",
        "kfree(a)",
    ]


def test_a_life_has_what_is_made_of_its_object() -> None:
    text = f"p = alloc_pages({K}, 1); q = split_page(p, 1); __free_pages(q[1], 0); __free_pages(q[0], 0)"
    assert [line.partition("(")[0] for line in lives(text)] == [
        "a = alloc_pages",
        "b = split_page",
        "__free_pages",
        "__free_pages",
    ]


def test_a_life_has_what_is_freed_with_its_object_and_what_it_needs() -> None:
    text = f"a[0] = kmalloc(8, {K}); a[1] = kmalloc(9, {K}); kfree_bulk(2, a)"
    assert lives(text)[-1] == "kfree_bulk(2, a)"
    assert len(lives(text)) == 3
    text = f'c = kmem_cache_create("c", 8, 0, 0, NULL); a = kmem_cache_alloc(c, {K}); kmem_cache_free(c, a)'
    assert lives(text, 1)[-1] == "kmem_cache_destroy(cache)"


def test_what_nothing_ends_is_ended() -> None:
    assert lives(f"a = kmalloc(8, {K})") == ["a = kmalloc(8, GFP_KERNEL)", "kfree(a)"]


def test_a_life_that_is_too_long_is_none() -> None:
    text = f"a = kmalloc(8, {K}); repeat 50 {{ a = krealloc(a, 9, {K}) }} kfree(a)"
    assert life_of(parse(text), 0) is None


def test_lives_of_most_kinds_of_calls_come_first_and_crowds_follow() -> None:
    text = f"repeat 8 {{ a[i] = __get_free_pages({K}, 0) }} repeat 8 {{ free_pages(a[i], 0) }} "
    text += f"b = kzalloc(8, {K}); b = krealloc(b, 9, {K}); kfree(b)"
    scripts = list(repeated_lives(parse(text)))
    assert [op.api for op in scripts[0][:3]] == ["kzalloc", "krealloc", "kfree"]
    crowds = [script for script in scripts if len(lines_of(script)) == 5]
    assert crowds
    assert len(crowds[0]) == 16 * FILLED


def test_failing_memory_comes_between_what_works() -> None:
    text = f"fail_nth(3); a = kzalloc(8, {K}); fail_nth(0); kfree(a)"
    first = next(repeated_lives(parse(text)))
    assert first[:2] == [Op("kzalloc", 1, (8, 3264)), Op("kfree", 0, (1,))]
    assert Op("fail_nth", 0, (3,)) in first


def test_a_life_of_many_bytes_has_as_many_rounds_as_these_allow() -> None:
    size = 40 << 20
    longest = max(repeated_lives(parse(f"a = vmalloc({size}); vfree(a)")), key=len)
    assert len(longest) == 2 * (MOST_BYTES // size)
    assert MOST_BYTES // size >= FILLED
    assert list(repeated_lives(parse(f"a = vmalloc({2 * size}); vfree(a)"))) == []
