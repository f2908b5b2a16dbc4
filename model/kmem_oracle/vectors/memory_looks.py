"""Where to look further for the clauses about memory of every kind."""

from __future__ import annotations

from typing import Final

from kmem_oracle.vectors.patterns import (
    FREED,
    OF_CACHE,
    ROUNDS,
    Maker,
    Texts,
    crowd,
    dirty,
    each,
    of_sizes,
    rounds,
    with_cache,
)
from kmem_oracle.vectors.sizes import SIZES


def _mem_zero(sizes: tuple[int, ...]) -> Texts:
    some = [size for size in sizes if size <= 1 << 17]
    yield dirty("kmalloc(%, GFP_KERNEL)", "kfree", "kzalloc(%, GFP_KERNEL)", some)
    yield dirty("kmalloc(3 * %, GFP_KERNEL)", "kfree", "kcalloc(3, %, GFP_KERNEL)", SIZES)
    page = "a = __get_free_pages(GFP_KERNEL, 0); free_pages(a, 0)"
    yield f"{page}; a = get_zeroed_page(GFP_KERNEL); free_pages(a, 0)"
    yield dirty("vmalloc(%)", "vfree", "vzalloc(%)", (100, 5000, 20000))
    yield dirty("vmalloc(%)", "vfree", "vmalloc_user(%)", (5000,))
    yield dirty("vmalloc(10 * %)", "vfree", "vcalloc(10, %)", (500, 2000))
    yield dirty("kvmalloc(%, GFP_KERNEL)", "kvfree", "kvzalloc(%, GFP_KERNEL)", (100, 5000, 40000))
    body = f"repeat 9 {{ p[i] = {OF_CACHE} }}; repeat 9 {{ kmem_cache_free(c, p[i]) }}\n"
    body += "repeat 9 { p[i] = kmem_cache_zalloc(c, GFP_KERNEL) }; repeat 9 { kmem_cache_free(c, p[i]) }"
    for size in (9, 40, 300):
        yield with_cache(size, body)


def _gfp_zero(sizes: tuple[int, ...]) -> Texts:
    some = [size for size in sizes if size <= 1 << 17]
    for mask in ("GFP_KERNEL", "GFP_ATOMIC", "GFP_NOIO"):
        yield dirty("kmalloc(%, GFP_KERNEL)", "kfree", f"kmalloc(%, {mask} | __GFP_ZERO)", some)
    yield dirty("kmalloc(3 * %, GFP_KERNEL)", "kfree", "kmalloc_array(3, %, GFP_USER | __GFP_ZERO)", SIZES)
    for order in range(4):
        first = f"repeat 3 {{ p[i] = __get_free_pages(GFP_KERNEL, {order}) }}"
        again = f"repeat 3 {{ p[i] = __get_free_pages(GFP_KERNEL | __GFP_ZERO, {order}) }}"
        free = f"repeat 3 {{ free_pages(p[i], {order}) }}"
        yield f"{first}; {free}; {again}; {free}"
    yield dirty("vmalloc(%)", "vfree", "__vmalloc(%, GFP_KERNEL | __GFP_ZERO)", (5000, 20000))
    yield dirty("kvmalloc(%, GFP_KERNEL)", "kvfree", "kvmalloc(%, GFP_KERNEL | __GFP_ZERO)", (100, 40000))


def _mem_apart(sizes: tuple[int, ...]) -> Texts:
    for size in SIZES:
        count = 600 if size == 8 else 80 if size <= 128 else 24  # 600: more than a byte counts
        yield crowd(f"kmalloc({size}, GFP_KERNEL)", "kfree(%)", count)
    for order in range(4):
        yield crowd(f"__get_free_pages(GFP_KERNEL, {order})", f"free_pages(%, {order})", 48 >> order)
    yield crowd("vmalloc(10000)", "vfree(%)", 12)
    yield crowd("kvmalloc(20000, GFP_KERNEL)", "kvfree(%)", 8)
    for size in (12289, 20480):
        yield crowd(f"alloc_pages_exact({size}, GFP_KERNEL)", f"free_pages_exact(%, {size})", 8)
    for size in (9, 40, 52, 300, 1000):
        yield with_cache(size, crowd(OF_CACHE, FREED, 64))
        bulk = "kmem_cache_alloc_bulk(c, GFP_KERNEL, 16, p); repeat 16 { check(p[i]) }"
        yield with_cache(size, f"{bulk}; kmem_cache_free_bulk(c, 16, p)\n" * 2)
    yield "alloc_pages_bulk(GFP_KERNEL, 8, p); repeat 8 { check(p[i]) }; repeat 8 { __free_pages(p[i], 0) }"
    twins = "repeat 20 { p[i] = kmem_cache_alloc(c, GFP_KERNEL); q[i] = kmem_cache_alloc(d, GFP_KERNEL) }\n"
    twins += "repeat 20 { kmem_cache_free(c, p[i]); check(q[i]) }; repeat 20 { kmem_cache_free(d, q[i]) }"
    yield with_cache(64, f'd = kmem_cache_create("d", 64, 0, 0, NULL)\n{twins}\nkmem_cache_destroy(d)')


def _mem_keep(sizes: tuple[int, ...]) -> Texts:
    for size in SIZES:
        for free in ("kfree", "kfree_sensitive"):
            pairs = f"repeat 16 {{ p[i] = kmalloc({size}, GFP_KERNEL) }}; repeat 8 {{ {free}(p[2 * i + 1]) }}"
            yield f"{pairs}; repeat 8 {{ check(p[2 * i]); kfree(p[2 * i]) }}"
    held = (
        f"repeat 40 {{ p[i] = {OF_CACHE} }}; repeat 39 {{ kmem_cache_free(c, p[i]) }}; kmem_cache_shrink(c)"
    )
    for size in (40, 300, 1000):
        yield with_cache(size, f"{held}; check(p[39]); kmem_cache_free(c, p[39])")


def _mem_usable(sizes: tuple[int, ...]) -> Texts:
    four = "repeat 4 { p[i] = kmalloc(%, GFP_KERNEL) }; repeat 4 { ksize(p[i]) }"
    yield each(f"{four}; repeat 4 {{ check(p[i]); kfree(p[i]) }}", SIZES)
    yield each("a = kmalloc(%, GFP_KERNEL); ksize(a); check(a); kfree(a)", sizes)
    grown = "a = krealloc(a, 2 * %, GFP_KERNEL); ksize(a); kfree(a)"
    yield each(f"a = kmalloc(%, GFP_KERNEL); {grown}", [size for size in sizes if size <= 16384])


def _mem_returns(sizes: tuple[int, ...]) -> Texts:
    yield "repeat 1300 { a = kmalloc(i + 1, GFP_KERNEL); kfree(a) }"
    yield each("a = kmalloc(%, GFP_KERNEL); kfree(a)", sizes)
    yield "repeat 100 { p[i] = kmalloc(96, GFP_KERNEL) }; repeat 100 { kfree(p[i]) }"
    yield each("a = vmalloc(%); kfree(NULL); vfree(a)", (1, 4096, 32769, 36864, 66000))


def _mem_liveness(_sizes: tuple[int, ...]) -> Texts:
    """Each of these loses 32 MiB before it ends, where a round loses what is likely: a page, half a block."""
    for size in (4096, 8193):
        yield rounds(f"a = kmalloc({size}, GFP_KERNEL); kfree(a)")
        yield rounds(
            f"a = kmalloc({size}, GFP_KERNEL); a = krealloc(a, {3 * size}, GFP_KERNEL); kfree(a)", 3000
        )
    yield rounds("a = kmalloc(2000, GFP_KERNEL); a = krealloc(a, 0, GFP_KERNEL)", 2 * ROUNDS)
    for order in range(4):
        yield rounds(
            f"a = __get_free_pages(GFP_KERNEL, {order}); free_pages(a, {order})", ROUNDS >> max(order - 1, 0)
        )
    split = "s = split_page(a, 2); repeat 4 { free_pages(s[i], 0) }"
    yield rounds(f"a = __get_free_pages(GFP_KERNEL, 2); {split}", 3000)
    yield rounds("a = alloc_pages_exact(20481, GFP_KERNEL); free_pages_exact(a, 20481)")
    yield rounds("a = vmalloc(65536); vfree(a)", 1200)
    yield rounds("a = kvmalloc(65536, GFP_KERNEL); kvfree(a)", 1200)
    yield rounds("repeat 8 { p[i] = kmalloc(4096, GFP_KERNEL) }; kfree_bulk(8, p)")
    many = "repeat 64 { p[i] = kmem_cache_alloc(c, GFP_KERNEL) }; repeat 64 { kmem_cache_free(c, p[i]) }"
    yield rounds(with_cache(300, many), 2000)
    bulk = "kmem_cache_alloc_bulk(c, GFP_KERNEL, 16, p); kmem_cache_free_bulk(c, 16, p)"
    yield rounds(with_cache(300, bulk), 6000)
    pool = "m = mempool_create(4, mempool_alloc_kmalloc, mempool_free_kmalloc, 4096)"
    yield rounds(f"{pool}; mempool_destroy(m)", 3000)
    yield rounds(f"{pool}; mempool_resize(m, 1); mempool_destroy(m)", 3000)


MEMORY: Final[dict[str, Maker]] = {
    "MEM-NULL": of_sizes("a = kmalloc(%, GFP_KERNEL); kfree(a)", "a = kvmalloc(%, GFP_KERNEL); kvfree(a)"),
    "MEM-USABLE": _mem_usable,
    "MEM-ZERO": _mem_zero,
    "GFP-ZERO": _gfp_zero,
    "MEM-APART": _mem_apart,
    "MEM-KEEP": _mem_keep,
    "MEM-RETURNS": _mem_returns,
    "MEM-LIVENESS": _mem_liveness,
}
