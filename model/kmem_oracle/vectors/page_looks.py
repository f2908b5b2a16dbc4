"""Where to look further for the clauses of pages, vmalloc and kvmalloc."""

from __future__ import annotations

from typing import Final

from kmem_oracle.vectors.patterns import Maker, arrays, crowd, each, of_sizes, orders, resizes, several, texts
from kmem_oracle.vectors.sizes import IMPOSSIBLE

PAGE: Final[dict[str, Maker]] = {
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
