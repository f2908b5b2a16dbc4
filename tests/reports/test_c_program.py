"""A saved C program shows the fault on the library that has it, and none on a correct one."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest
from tests.reports.saving import Shown, crooked, forged, played, run_c
from tests.targets import build

from kmem_oracle.reports.c_program import c_program

pytestmark = pytest.mark.needs("cc")
POOL: Final = (
    "pool = mempool_create(1, mempool_alloc_kmalloc, mempool_free_kmalloc, 1); mempool_fail(pool, 1)"
)
CACHE: Final = 'c = kmem_cache_create_26("c", 1, 0, 0, ctor, dtor)'
SHORT_OF_PAGES: Final = "repeat 504 { a = __get_free_pages(GFP_ATOMIC, 5) }"
# For each fault a script that shows it, one at least for each way in which a program looks.
SCRIPTS: Final = {
    "ARRAY_CHECK_WEAK": "a = kcalloc(2, 2**63 + 1, GFP_KERNEL)",
    "ATOMIC_SHALLOW": f"""{SHORT_OF_PAGES}; repeat 301 {{ b[i] = __get_free_pages(GFP_ATOMIC, 0) }}
        repeat 16 {{ b[300] = __get_free_pages(GFP_ATOMIC, 0); c = __get_free_pages(GFP_NOWAIT, 0) }}""",
    "ATOMIC_SLEEPS": "repeat 514 { a = __get_free_pages(GFP_ATOMIC, 5) }",
    "BULK_PART": """fail_nth(4); c = kmem_cache_create("c", 1, 0, 0, NULL)
        kmem_cache_alloc_bulk(c, GFP_KERNEL, 3, a)""",
    "CACHE_ALIGN_64": """c = kmem_cache_create("c", 1, 128, 0, NULL)
        a = kmem_cache_alloc(c, GFP_KERNEL); b = kmem_cache_alloc(c, GFP_KERNEL)""",
    "CACHE_SIZE_LESS": 'c = kmem_cache_create("c", 257, 0, 0, NULL); a = kmem_cache_alloc(c, GFP_KERNEL)',
    "COUNTER_8_BITS": """c = kmem_cache_create("c1", 1, 0, SLAB_HWCACHE_ALIGN, NULL)
        repeat 257 { a[i] = kmem_cache_alloc(c, GFP_KERNEL) }
        kmem_cache_free(c, a[0]); b = kmem_cache_alloc(c, GFP_KERNEL); d = kmem_cache_alloc(c, GFP_KERNEL)""",
    "CTOR_AGAIN": f"""{CACHE}; a = kmem_cache_alloc(c, GFP_KERNEL)
        kmem_cache_free(c, a); b = kmem_cache_alloc(c, GFP_KERNEL)""",
    "CTOR_LINK_INSIDE": f"{CACHE}; a = kmem_cache_alloc(c, GFP_KERNEL)",
    "CTOR_OTHER_CACHE": """c = kmem_cache_create("c", 1, 0, 0, ctor)
        d = kmem_cache_create("d", 1, 0, 0, ctor)
        a = kmem_cache_alloc(c, GFP_KERNEL)""",
    "DTOR_NOT_AT_DESTROY": f"{CACHE}; a = kmem_cache_alloc(c, GFP_KERNEL); kmem_cache_free(c, a)\n"
    "kmem_cache_destroy(c)",
    "FREE_PAGES_HALF": """repeat 16 { a[i] = __get_free_pages(GFP_KERNEL, 10) }
        repeat 16 { free_pages(a[i], 10) }; repeat 16 { b = __get_free_pages(GFP_KERNEL, 10) }""",
    "GET_ORDER_EXACT": "get_order(4096)",
    "HEADER_BEFORE_OBJECT": "a = kmalloc(16, GFP_KERNEL)",
    "KFREE_NULL_CRASH": "kfree(NULL)",
    "KMEMDUP_SHORT": "a = kmalloc(1, GFP_KERNEL); b = kmemdup(a, 1, GFP_KERNEL)",
    "KREALLOC_FAIL_FREES": "a = kzalloc(1, GFP_KERNEL); a = krealloc(a, 4194305, GFP_KERNEL)",
    "KREALLOC_SHRINK_LOSES": "a = kzalloc(1, GFP_KERNEL); a = krealloc(a, 1, GFP_KERNEL)",
    "KREALLOC_ZERO_NULL": "a = kcalloc(1, 1, GFP_KERNEL); a = krealloc(a, 0, GFP_KERNEL)",
    "KREALLOC_ZERO_TAIL": """a = kmalloc(0, GFP_KERNEL); a = krealloc(a, 513, GFP_KERNEL)
        a = krealloc(a, 1025, GFP_KERNEL); b = kmalloc(1, GFP_KERNEL | __GFP_ZERO)
        b = krealloc(b, 513, GFP_KERNEL | __GFP_ZERO)""",
    "KSIZE_NULL": "ksize(NULL)",
    "KSTRDUP_NO_NUL": "a = kmalloc(1, GFP_KERNEL); b = kstrdup(a, GFP_KERNEL)",
    "KZALLOC_TAIL": "a = kzalloc(1, GFP_KERNEL)",
    "PAGES_BULK_TWICE": "alloc_pages_bulk(GFP_KERNEL, 6, a)",
    "POISON_BEYOND": "a = kmalloc(9, GFP_KERNEL); b = kmalloc(9, GFP_KERNEL); kfree(a); kfree(b)",
    "POOL_NULL_EARLY": f"{POOL}; a = mempool_alloc(pool, GFP_NOWAIT)",
    "ROUNDUP_193": "kmalloc_size_roundup(193)",
    "VMAP_REVERSED": """repeat 3 { a[i] = alloc_pages(GFP_KERNEL, 0) }
        b = vmap(a, 3, VM_MAP, PAGE_KERNEL)""",
    "VM_ADDR_LAST": "a = vmalloc(1); is_vmalloc_addr(a + 4095)",
    "VM_NO_GUARD": "a = vmalloc(1); b = vzalloc(1)",
    "VM_SHARED_FRAME": "a = vmalloc(61441); vmalloc_to_page(a + 57344); vmalloc_to_page(a + 61440)",
    "VM_SHORT": "a = vmalloc(32769)",
}
# Scripts that the correct library passes, under clauses that no fault breaks: no program may see one.
FORGED: Final = {
    "CACHE-CTOR-ONCE": f"{CACHE}; repeat 300 {{ a[i] = kmem_cache_alloc(c, GFP_KERNEL) }}\n"
    "repeat 300 { kmem_cache_free(c, a[i]) }; kmem_cache_shrink(c); a[0] = kmem_cache_alloc(c, GFP_KERNEL)",
    "CACHE-MAX": 'c = kmem_cache_create("c", 8388608, 0, 0, NULL)',
    "CACHE-SIZE": 'c = kmem_cache_create("c", 300, 0, 0, NULL); kmem_cache_size(c)',
    "GFP-NOFAIL": "repeat 3 { a = __get_free_pages(GFP_KERNEL | __GFP_NOFAIL, 2) }",
    "KV-ALIGN": "a = kvmalloc(20000, GFP_KERNEL)",
    "MEM-LIVENESS": "repeat 70 { a[i] = kmalloc(1048576, GFP_KERNEL) }",
    "MEM-NULL": "a = kzalloc(64, GFP_KERNEL)",
    "PAGE-BULK": "alloc_pages_bulk(GFP_KERNEL, 4, a); repeat 4 { free_pages(a[i], 0) }\n"
    "alloc_pages_bulk(GFP_KERNEL, 2, b)",
    "PAGE-EXACT": "a = alloc_pages_exact(5000, GFP_KERNEL)",
    "SLAB-ALIGN": "a = kmalloc(7, GFP_KERNEL)",
    "SLAB-KSIZE": "a = kmalloc(7, GFP_KERNEL); ksize(a)",
    "VM-ALIGN": "a = vmalloc(7)",
    "VM-FRAME-OWN": "alloc_pages_bulk(GFP_KERNEL, 2, p); v = vmap(p, 2, VM_MAP, PAGE_KERNEL)\n"
    "vmalloc_to_page(v + 4096)",
    "VM-REALLOC-FREE": "a = vmalloc(7); a = vrealloc(a, 0, GFP_KERNEL)",
}
CROOKED: Final = {
    "CACHE-CTOR-ONCE": 'c = kmem_cache_create("c", 1, 0, 0, ctor)\n'
    "repeat 3 { a[i] = kmem_cache_alloc(c, GFP_KERNEL) }",
    "CACHE-MAX": FORGED["CACHE-MAX"],
    "CACHE-SIZE": FORGED["CACHE-SIZE"],
    "GFP-NOFAIL": "a = __get_free_pages(GFP_KERNEL | __GFP_NOFAIL, 2)\n"
    "b = __get_free_pages(GFP_KERNEL | __GFP_NOFAIL, 2)",
    "KV-ALIGN": FORGED["KV-ALIGN"],
    "MEM-NULL": FORGED["MEM-NULL"],
    "PAGE-BULK": "alloc_pages_bulk(GFP_KERNEL, 2, b)",
    "PAGE-EXACT": FORGED["PAGE-EXACT"],
    "SLAB-ALIGN": FORGED["SLAB-ALIGN"],
    "SLAB-ALIGN-DIVISOR": "a = kmalloc(48, GFP_KERNEL)",
    "SLAB-CLASS": "a = kmalloc(48, GFP_KERNEL)",
    "VM-ALIGN": FORGED["VM-ALIGN"],
    "VM-REALLOC-FREE": FORGED["VM-REALLOC-FREE"],
}
OVER_MALLOC: Final = """a = kmalloc(0, GFP_KERNEL); kfree(a); a = kmalloc(100, GFP_KERNEL | __GFP_ZERO)
    b = kzalloc(4096, GFP_KERNEL); c = kmalloc_array(2**62, 5, GFP_KERNEL)
    c = kmalloc_array(5, 5, GFP_KERNEL)
    d = kcalloc(0, 9, GFP_KERNEL); e = kcalloc(3, 9, GFP_KERNEL); f = kcalloc(4, 16, GFP_KERNEL)
    a = krealloc(a, 200, GFP_KERNEL | __GFP_ZERO); a = krealloc(a, 512, GFP_KERNEL | __GFP_ZERO)
    a = krealloc(a, 4194305, GFP_KERNEL); a = krealloc(a, 0, GFP_KERNEL); ksize(NULL); ksize(b)
    g = __get_free_pages(GFP_KERNEL | __GFP_ZERO, 3); h = get_zeroed_page(GFP_KERNEL)
    j = __get_free_pages(GFP_KERNEL, 11); kfree(b); kfree(c); kfree(NULL); free_pages(g, 3)
    k = krealloc(NULL, 77, GFP_KERNEL)"""


@pytest.mark.parametrize("fault", SCRIPTS)
def test_the_program_shows_the_fault_and_nothing_on_a_correct_library(
    fault: str, targets: Path, tmp_path: Path
) -> None:
    faulty, correct = build.library(fault, directory=targets), build.library(directory=targets)
    result = played(faulty, SCRIPTS[fault])
    assert result.play is not None
    assert result.play.finding is not None
    source = tmp_path / "reproducer.c"
    source.write_text(c_program(result, source.name), encoding="utf-8")
    shown = run_c(source, faulty)
    assert shown.status == 1, shown
    assert shown.text.startswith(f"{result.play.finding.clause}: ")
    assert shown.text.count("\n") == 1
    assert run_c(source, correct).status == 0


@pytest.mark.parametrize("clause", FORGED)
def test_a_correct_library_shows_nothing_whatever_the_clause(
    clause: str, targets: Path, tmp_path: Path
) -> None:
    correct = build.library(directory=targets)
    source = tmp_path / "reproducer.c"
    source.write_text(c_program(forged(correct, FORGED[clause], clause), source.name), encoding="utf-8")
    shown = run_c(source, correct)
    assert (shown.status, shown.text) == (0, "")


@pytest.mark.parametrize("clause", CROOKED)
def test_what_no_fault_of_the_library_breaks_is_looked_for_too(clause: str, tmp_path: Path) -> None:
    library = crooked(tmp_path)
    result = forged(library, CROOKED[clause], clause, "linux-6.1")
    source = tmp_path / "reproducer.c"
    source.write_text(c_program(result, source.name), encoding="utf-8")
    shown = run_c(source, library)
    assert shown.status == 1, shown
    assert shown.text.startswith(f"{clause}: ")


def test_the_calls_are_put_over_a_malloc_library(tmp_path: Path) -> None:
    source = tmp_path / "reproducer.c"
    text = c_program(forged("malloc:", OVER_MALLOC, "MEM-APART"), source.name)
    assert " * cc -g -o reproducer reproducer.c && ./reproducer\n" in text
    source.write_text(text, encoding="utf-8")
    assert run_c(source) == Shown(0, "")
    result = forged("malloc:libx.so", "a = kmalloc(256, GFP_KERNEL)", "SLAB-ALIGN-POWER")
    text = c_program(result, source.name)
    assert " * cc -g -o reproducer reproducer.c libx.so && ./reproducer\n" in text
    source.write_text(text, encoding="utf-8")
    shown = run_c(source, crooked(tmp_path))
    assert shown.status == 1
    assert shown.text.startswith("SLAB-ALIGN-POWER: a = kmalloc(256, GFP_KERNEL) gave 0x")


def test_a_program_has_the_numbers_prototypes_and_functions_that_it_uses_and_no_others(
    targets: Path, tmp_path: Path
) -> None:
    library = build.library("KZALLOC_TAIL", directory=targets)
    text = c_program(played(library, "a = kzalloc(1, GFP_KERNEL)"), "x.c")
    assert "#define GFP_KERNEL 0xcc0u\n" in text
    assert "void *kzalloc(size_t size, gfp_t gfp);\n" in text
    assert "\ttake(&a, kzalloc(1, GFP_KERNEL), 1, true);\n" in text
    assert f"cc -g -o reproducer x.c {library} && ./reproducer" in text
    for absent in ("GFP_ATOMIC", "kmalloc(", "kmem_cache", "give(", "pointers", "//"):
        assert absent not in text


def test_what_repeats_is_a_loop(targets: Path) -> None:
    library = build.library("DOUBLE_HAND_OUT", directory=targets)
    script = "repeat 300 { a[i] = kmalloc(1, GFP_KERNEL) }; repeat 300 { kfree(a[i]) }"
    text = c_program(played(library, f"{script}; repeat 2 {{ b[i] = kmalloc(1, GFP_KERNEL) }}"), "x.c")
    assert text.count("for (int i = 0; i < 300; i++) {") == 2
    assert "struct object a[300], b, c;" in text
