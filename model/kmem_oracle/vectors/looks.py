"""Where to look further for each clause: scripts for what a fault of its kind needs to show."""

from __future__ import annotations

from typing import Final

from kmem_oracle.vectors.patterns import (
    FREED,
    OF_CACHE,
    PRODUCTS,
    ROUNDS,
    Maker,
    Texts,
    arrays,
    crowd,
    dirty,
    each,
    of_sizes,
    orders,
    resizes,
    rounds,
    several,
    texts,
    with_cache,
    with_old_cache,
)

SIZES: Final = (
    1,
    7,
    8,
    9,
    13,
    16,
    24,
    63,
    64,
    65,
    96,
    97,
    100,
    128,
    192,
    193,
    256,
    512,
    777,
    1024,
    1025,
    4096,
)
LARGE: Final = (4097, 8192, 8193, 20000, 32768)
HUGE: Final = (40000, 131073, 1 << 20, 4 << 20)
IMPOSSIBLE: Final = ("2**47", "2**63", "2**64 - 4096", "2**64 - 1")


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


MORE: Final[dict[str, Maker]] = {
    "MEM-NULL": of_sizes("a = kmalloc(%, GFP_KERNEL); kfree(a)", "a = kvmalloc(%, GFP_KERNEL); kvfree(a)"),
    "MEM-USABLE": _mem_usable,
    "MEM-ZERO": _mem_zero,
    "GFP-ZERO": _gfp_zero,
    "MEM-APART": _mem_apart,
    "MEM-KEEP": _mem_keep,
    "MEM-RETURNS": _mem_returns,
    "MEM-LIVENESS": _mem_liveness,
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
    "PAGE-ORDER-MAX": of_sizes(
        "a = __get_free_pages(GFP_KERNEL, %)", "a = alloc_pages(GFP_KERNEL, %)", sizes=(11, 12, 31, 32, 64)
    ),
    "PAGE-ALIGN": lambda _sizes: [
        orders("__get_free_pages(GFP_KERNEL, %)", "free_pages(a, %)"),
        orders("alloc_pages(GFP_KERNEL, %)", "__free_pages(a, %)"),
        *(crowd(f"__get_free_pages(GFP_KERNEL, {k})", f"free_pages(%, {k})", 16 >> k) for k in range(4)),
    ],
    "PAGE-EXACT": of_sizes(
        "a = alloc_pages_exact(%, GFP_KERNEL); free_pages_exact(a, %)", sizes=(1, 4096, 4097, 12288, 20480)
    ),
    "PAGE-BULK": of_sizes(
        "alloc_pages_bulk(GFP_KERNEL, %, p); repeat % { __free_pages(p[i], 0) }", sizes=(1, 6, 20)
    ),
    "PAGE-ORDER-OF": of_sizes("get_order(%)"),
    "PAGE-FREE-NULL": several(
        of_sizes("free_pages(NULL, %)", sizes=(0, 3)),
        texts(
            "repeat 4 { p[i] = __get_free_pages(GFP_KERNEL, 3) }; free_pages(NULL, 3)\n"
            "repeat 4 { q[i] = __get_free_pages(GFP_KERNEL, 3) }; repeat 4 { check(p[i]) }\n"
            "repeat 4 { free_pages(p[i], 3); free_pages(q[i], 3) }"
        ),
    ),
    "VM-ZERO-SIZE": texts("a = vzalloc(0)", "a = vmalloc_array(0, 8)", "a = __vmalloc(0, GFP_KERNEL)"),
    "VM-MAX": of_sizes("a = vmalloc(%)", "a = vzalloc(%)", "a = __vmalloc(%, GFP_KERNEL)", sizes=IMPOSSIBLE),
    "VM-ARRAY": several(arrays("vmalloc_array", "vfree"), arrays("vcalloc", "vfree")),
    "VM-ALIGN": of_sizes(
        "a = vmalloc(%); b = vmalloc_32(%); vfree(a); vfree(b)", sizes=(1, 4096, 5000, 70000)
    ),
    "VM-GUARD": texts("repeat 6 { p[i] = vmalloc(4096 * (i + 1)) }; repeat 6 { vfree(p[i]) }"),
    "VM-CONTENTS": texts(
        "alloc_pages_bulk(GFP_KERNEL, 3, p); v = vmap(p, 3, VM_MAP, PAGE_KERNEL); vunmap(v)\n"
        "repeat 3 { check(p[i]); __free_pages(p[i], 0) }"
    ),
    "VM-FRAME-OWN": lambda _sizes: [
        "a = vmalloc(81920)\n" + each("vmalloc_to_page(a + 4096 * %)", range(20)) + "\nvfree(a)",
        "a = vmalloc(8192)\n" + each("vmalloc_to_page(a + %)", (100, 4000, 8191)) + "\nvfree(a)",
    ],
    "VM-ADDR": texts(
        "a = vmalloc(8192); is_vmalloc_addr(a); is_vmalloc_addr(a + 8191); vfree(a)",
        "a = kmalloc(64, GFP_KERNEL); is_vmalloc_addr(a); is_vmalloc_addr(a + 63); kfree(a)",
        "a = __get_free_pages(GFP_KERNEL, 0); is_vmalloc_addr(a + 4095); free_pages(a, 0)",
    ),
    "KV-MAX": of_sizes("a = kvmalloc(%, GFP_KERNEL)", sizes=("2**31", "2**32", "2**32 + 64", *IMPOSSIBLE)),
    "KV-ARRAY": several(arrays("kvmalloc_array", "kvfree"), arrays("kvcalloc", "kvfree")),
    "KV-ALIGN": of_sizes("a = kvmalloc(%, GFP_KERNEL); kvfree(a)"),
    "VM-REALLOC-KEEP": several(
        resizes("vrealloc", "vmalloc(%)", "vfree"),
        resizes("kvrealloc", "kvmalloc(%, GFP_KERNEL)", "kvfree"),
    ),
    "VM-REALLOC-ZERO": several(
        resizes("vrealloc", "vzalloc(%)", "vfree", zero=True),
        resizes("kvrealloc", "kvzalloc(%, GFP_KERNEL)", "kvfree", zero=True),
    ),
    "VM-REALLOC-FAIL": texts(
        *(
            f"a = vmalloc(5000); a = vrealloc(a, {size}, GFP_KERNEL); check(a); vfree(a)"
            for size in ("2**50", *IMPOSSIBLE)
        )
    ),
    "GFP-SLEEP": of_sizes(
        "a = kmalloc(64, %); b = __get_free_pages(%, 1); kfree(a); free_pages(b, 1)",
        sizes=("GFP_ATOMIC", "GFP_NOWAIT", "GFP_KERNEL"),
    ),
}
