"""Where to look further for the clauses of kmalloc, caches and mempools."""

from __future__ import annotations

from typing import Final

from kmem_oracle.vectors.patterns import (
    FREED,
    OF_CACHE,
    PRODUCTS,
    Maker,
    Texts,
    arrays,
    crowd,
    each,
    of_sizes,
    resizes,
    several,
    texts,
    with_cache,
    with_old_cache,
)
from kmem_oracle.vectors.sizes import IMPOSSIBLE


def _cache_align(_sizes: tuple[int, ...]) -> Texts:
    for size, align in ((40, 0), (40, 64), (9, 16), (100, 256), (8, 4096), (500, 1024)):
        yield with_cache(size, crowd(OF_CACHE, FREED, 8), align=align)
    for size in (8, 24, 33, 40, 64, 65, 100):
        yield with_cache(size, crowd(OF_CACHE, FREED, 8), flags="SLAB_HWCACHE_ALIGN")


def _cache_ctor(_sizes: tuple[int, ...]) -> Texts:
    for size in (16, 40, 300, 1000):
        yield with_cache(size, crowd(OF_CACHE, FREED, 64), ctor="ctor")
        bulk = "kmem_cache_alloc_bulk(c, GFP_KERNEL, 16, p); kmem_cache_free_bulk(c, 16, p)\n"
        yield with_cache(size, bulk * 2, ctor="ctor")


def _cache_dtor(_sizes: tuple[int, ...]) -> Texts:
    for size in (40, 300):
        yield with_old_cache(size, crowd(OF_CACHE, FREED, 32))
        held = f"repeat 40 {{ p[i] = {OF_CACHE} }}; repeat 39 {{ kmem_cache_free(c, p[i]) }}"
        yield with_old_cache(size, f"{held}; kmem_cache_shrink(c); kmem_cache_free(c, p[39])")


OBJECT: Final[dict[str, Maker]] = {
    "SLAB-ZERO-SIZE": texts(
        "a = kzalloc(0, GFP_KERNEL); kfree(a)",
        "a = kmalloc_array(0, 8, GFP_KERNEL); kfree(a); a = kcalloc(8, 0, GFP_KERNEL); kfree(a)",
        "a = krealloc(NULL, 0, GFP_KERNEL); kfree(a); a = krealloc(ZERO_SIZE_PTR, 0, GFP_KERNEL); kfree(a)",
        "a = kvmalloc(0, GFP_KERNEL); kvfree(a)",
    ),
    "SLAB-MAX": of_sizes("a = kmalloc(%, GFP_KERNEL)", "a = kzalloc(%, GFP_KERNEL)", sizes=IMPOSSIBLE),
    "SLAB-ARRAY": several(arrays("kmalloc_array", "kfree"), arrays("kcalloc", "kfree")),
    "SLAB-ALIGN": of_sizes("repeat 3 { p[i] = kmalloc(%, GFP_KERNEL) }; repeat 3 { kfree(p[i]) }"),
    "SLAB-ALIGN-POWER": lambda sizes: [
        each(
            "repeat 5 { p[i] = kmalloc(%, GFP_KERNEL) }; repeat 5 { kfree(p[i]) }",
            [1 << k for k in range(16)],
        ),
        each(
            "a = kzalloc(%, GFP_KERNEL); a = krealloc(a, 2 * %, GFP_KERNEL); kfree(a)",
            [1 << k for k in range(14)],
        ),
        each("a = kmalloc(%, GFP_KERNEL); kfree(a)", [size for size in sizes if size & (size - 1) == 0]),
    ],
    "SLAB-ALIGN-DIVISOR": of_sizes("repeat 5 { p[i] = kmalloc(%, GFP_KERNEL) }; repeat 5 { kfree(p[i]) }"),
    "SLAB-CLASS": of_sizes("a = kmalloc(%, GFP_KERNEL); ksize(a); kfree(a)"),
    "SLAB-KSIZE": several(
        of_sizes("a = kmalloc(%, GFP_KERNEL); ksize(a); ksize(a); kfree(a)"),
        texts("ksize(NULL)", "ksize(ZERO_SIZE_PTR)"),
    ),
    "SLAB-REALLOC-KEEP": resizes("krealloc", "kmalloc(%, GFP_KERNEL)", "kfree"),
    "SLAB-REALLOC-ZERO": resizes("krealloc", "kzalloc(%, GFP_KERNEL)", "kfree", zero=True),
    "SLAB-REALLOC-FAIL": texts(
        *(
            f"a = kmalloc(100, GFP_KERNEL); a = krealloc(a, {size}, GFP_KERNEL); check(a); kfree(a)"
            for size in IMPOSSIBLE
        ),
        *(
            f"a = kmalloc(100, GFP_KERNEL); a = krealloc_array(a, {product}, GFP_KERNEL); check(a); kfree(a)"
            for product in PRODUCTS
        ),
    ),
    "SLAB-REALLOC-FREE": of_sizes(
        "a = kmalloc(%, GFP_KERNEL); a = krealloc(a, 0, GFP_KERNEL); kfree(a)", sizes=(1, 64, 5000, 20000)
    ),
    "SLAB-COPY": of_sizes(
        "a = kmalloc(%, GFP_KERNEL); b = kmemdup(a, %, GFP_KERNEL); kfree(a); kfree(b)",
        "a = kmalloc(%, GFP_KERNEL); b = kstrdup(a, GFP_KERNEL); kfree(a); kfree(b)",
        "a = kmalloc(%, GFP_KERNEL); b = kstrndup(a, 5, GFP_KERNEL); kfree(a); kfree(b)",
        sizes=(7, 8, 9, 64, 65, 300),
    ),
    "SLAB-ROUNDUP": of_sizes("kmalloc_size_roundup(%)"),
    "SLAB-FREE-NULL": texts(
        "kfree(NULL)", "kfree(ZERO_SIZE_PTR)", "kvfree(NULL)", "kfree_sensitive(ZERO_SIZE_PTR)"
    ),
    "CACHE-ALIGN": _cache_align,
    "CACHE-CTOR": _cache_ctor,
    "CACHE-CTOR-ONCE": _cache_ctor,
    "CACHE-DTOR": _cache_dtor,
    "CACHE-BULK": lambda _sizes: [
        with_cache(
            size, f"kmem_cache_alloc_bulk(c, GFP_KERNEL, {count}, p); kmem_cache_free_bulk(c, {count}, p)"
        )
        for size, count in ((40, 1), (40, 16), (300, 30), (4096, 12))
    ],
    "CACHE-SIZE": lambda _sizes: [with_cache(size, "kmem_cache_size(c)") for size in (1, 40, 257, 300, 5000)],
    "POOL-RESERVE": texts(
        "m = mempool_create(4, mempool_alloc_kmalloc, mempool_free_kmalloc, 300)\n"
        "mempool_fail(m, 1)\n"
        "repeat 3 { repeat 4 { p[i] = mempool_alloc(m, GFP_NOWAIT) }; repeat 4 { mempool_free(p[i], m) } }\n"
        "mempool_destroy(m)",
        'c = kmem_cache_create("c", 40, 0, 0, NULL)\n'
        "m = mempool_create_slab_pool(3, c)\n"
        "repeat 3 { p[i] = mempool_alloc(m, GFP_ATOMIC) }; repeat 3 { mempool_free(p[i], m) }\n"
        "mempool_resize(m, 2); mempool_destroy(m); kmem_cache_destroy(c)",
    ),
}
