"""Patterns of scripts: what is done over and over, with other sizes and other calls."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

Text = str | tuple[tuple[int, str], ...]  # a script, or its parts, each to be run so many times
Texts = Iterable[Text]
Maker = Callable[[tuple[int, ...]], Texts]  # from the sizes that a machine has
PRODUCTS: Final = ("2**32, 2**32", "2**61 + 1, 8", "2**64 - 1, 2", "2**33, 2**31 + 1", "8, 2**61 + 2")
ROUNDS: Final = 9000  # after which an allocator that keeps a page a round has lost 32 MiB


def each(template: str, sizes: Iterable[object]) -> str:
    """Return the template once for each size, which stands for `%`."""
    return "\n".join(template.replace("%", str(size)) for size in sizes)


def dirty(make: str, free: str, again: str, sizes: Iterable[object], count: int = 3) -> str:
    """Return a script that uses memory, gives it back, and asks for it by other calls."""
    used = f"repeat {count} {{ p[i] = {make} }}; repeat {count} {{ {free}(p[i]) }}"
    return each(f"{used}; repeat {count} {{ p[i] = {again} }}; repeat {count} {{ {free}(p[i]) }}", sizes)


def crowd(make: str, free: str, count: int) -> str:
    """Return a script with many objects, of which every other goes and comes back."""
    half = count // 2
    return (
        f"repeat {count} {{ p[i] = {make} }}; repeat {half} {{ {free.replace('%', 'p[2 * i]')} }}; "
        f"repeat {half} {{ p[2 * i] = {make} }}; repeat {count} {{ check(p[i]) }}; "
        f"repeat {count} {{ {free.replace('%', 'p[i]')} }}"
    )


def rounds(text: str, times: int = ROUNDS) -> tuple[tuple[int, str], ...]:
    """Return a script of one part that is run many times."""
    return ((times, text),)


CACHE: Final = 'c = kmem_cache_create("c", {}, {}, {}, {})'.format
OF_CACHE: Final = "kmem_cache_alloc(c, GFP_KERNEL)"
FREED: Final = "kmem_cache_free(c, %)"


def with_cache(size: int, body: str, *, align: int = 0, flags: str = "0", ctor: str = "NULL") -> str:
    """Return a script between the making and the end of a cache."""
    return f"{CACHE(size, align, flags, ctor)}\n{body}\nkmem_cache_destroy(c)"


def with_old_cache(size: int, body: str) -> str:
    """Return a script between the making and the end of a cache with a destructor."""
    return f'c = kmem_cache_create_26("c", {size}, 0, 0, ctor, dtor)\n{body}\nkmem_cache_destroy(c)'


def arrays(call: str, free: str) -> Maker:
    """Return scripts of an array call: products that fit, and that do not."""

    def make_texts(_sizes: tuple[int, ...]) -> Texts:
        mask = "" if call.startswith("v") else ", GFP_KERNEL"
        yield each(f"a = {call}(%{mask}); {free}(a)", ("1, 1", "3, 40", "100, 7", "16, 256"))
        yield each(f"a = {call}(%{mask})", PRODUCTS)

    return make_texts


def several(*makers: Maker) -> Maker:
    """Return the scripts of all makers."""
    return lambda sizes: [text for make in makers for text in make(sizes)]


def texts(*texts: str) -> Maker:
    """Return these scripts, whatever the machine."""
    return lambda _sizes: texts


def of_sizes(*templates: str, sizes: Iterable[object] = ()) -> Maker:
    """Return each template for all sizes of the machine, or those given."""
    fixed = tuple(sizes)
    return lambda machine: [each(template, fixed or machine) for template in templates]


def resizes(call: str, make: str, free: str, *, zero: bool = False) -> Maker:
    """Return scripts of a resizing call: up, down, and both through small steps."""
    mask = "GFP_KERNEL | __GFP_ZERO" if zero else "GFP_KERNEL"

    def make_texts(_sizes: tuple[int, ...]) -> Texts:
        for first, second in (
            (1, 64),
            (32, 300),
            (100, 5000),
            (9, 16),
            (300, 20),
            (5000, 100),
            (4096, 20000),
            (777, 778),
        ):
            clean = f"repeat 2 {{ p[i] = {make.replace('zalloc', 'malloc').replace('%', str(second))} }}"
            used = f"{clean}; repeat 2 {{ {free}(p[i]) }}; " if zero else ""
            made = f"{used}a = {make.replace('%', str(first))}; a = {call}(a, {second}, {mask})"
            yield f"{made}; check(a); {free}(a)"

    return make_texts


def orders(call: str, free: str, most: int = 4) -> str:
    """Return a script over the lower orders."""
    return each(f"a = {call}; {free}", range(most))
