"""Libraries as targets: what they have is called with the kernel's types, and what they lack is not."""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.targets import build

from kmem_oracle.campaign.play import Play, play
from kmem_oracle.campaign.play import runnable as runnable_ops
from kmem_oracle.language.script import parse
from kmem_oracle.targets.driver import Driver, runnable
from kmem_oracle.targets.library import open_library
from kmem_oracle.targets.linked import own
from kmem_oracle.targets.model import open_model
from kmem_oracle.targets.opened import Opened, Unusable
from kmem_oracle.targets.process import Worker
from kmem_oracle.targets.prototypes import Adapters
from kmem_oracle.targets.reader import Reader
from kmem_oracle.targets.records import HEADER, PART, RECORD
from kmem_oracle.targets.target import Target
from kmem_spec.apis import APIS, KERNEL_APIS
from kmem_spec.calls import Answer
from kmem_spec.judge import Judge
from kmem_spec.profile import load

pytestmark = pytest.mark.needs("cc")

PLAIN = """
#include <stdlib.h>
void *kmalloc(size_t n, unsigned gfp)
{ (void)gfp; return n ? aligned_alloc(4096, (n + 4095) & -4096) : (void *)16; }
"""
Compile = Callable[..., Path]


@pytest.fixture
def compiled(tmp_path: Path) -> Compile:
    """Return what compiles a source into a library."""

    def compile_(source: str, *options: str, name: str = "made") -> Path:
        text, made = tmp_path / f"{name}.c", tmp_path / f"lib{name}.so"
        text.write_text(source)
        command = [*build.compiler(), "-shared", "-fPIC", "-o", str(made), str(text), *options]
        subprocess.run(command, check=True)
        return made

    return compile_


def answers(opened: Opened, script: str) -> list[Answer]:
    """Return what a driver says of a script on a library in this process."""
    memory = memoryview(bytearray(HEADER.size + PART))
    watched = opened.watch is not None
    driver = Driver(opened.functions, opened.access, memory, opened.largest, watched=watched)
    if opened.watch is not None:
        opened.watch(driver.notes.asleep)
    ops = list(runnable_ops(parse(script), APIS))
    driver.run(ops, HEADER.size)
    reader = Reader()
    records = RECORD.iter_unpack(memory[HEADER.size : HEADER.size + len(ops) * RECORD.size])
    events = [reader.event(op, record) for op, record in zip(ops, records, strict=True)]
    return [event[1] for event in events if event is not None]


def test_the_whole_api_is_found_by_the_kernels_names(targets: Path) -> None:
    opened = open_library(str(build.library(directory=targets)))
    assert set(opened.functions) == {*KERNEL_APIS, "fail_nth"}
    assert set(runnable(opened.functions)) == set(opened.functions)
    assert opened.profile == ""


EVERY_CALL = """
a = kmalloc(100, GFP_KERNEL); b = kzalloc(100, GFP_ATOMIC); d = kmalloc_array(4, 25, GFP_KERNEL)
e = kcalloc(4, 25, GFP_KERNEL); a = krealloc(a, 300, GFP_KERNEL); d = krealloc_array(d, 5, 25, GFP_KERNEL)
f = kmemdup(a, 32, GFP_KERNEL); g = kstrdup(b, GFP_KERNEL); h = kstrndup(a, 10, GFP_KERNEL)
kfree(a); kfree_sensitive(b); ksize(d); kmalloc_size_roundup(100); get_order(5000)
k[0] = kmalloc(8, GFP_KERNEL); k[1] = kmalloc(9, GFP_KERNEL); kfree_bulk(2, k)
l = kvmalloc(100, GFP_KERNEL); m = kvzalloc(100000, GFP_KERNEL); n = kvmalloc_array(2, 9, GFP_KERNEL)
o = kvcalloc(2, 9, GFP_KERNEL); l = kvrealloc(l, 200, GFP_KERNEL); kvfree(l); kvfree(m); kvfree(n); kvfree(o)
c = kmem_cache_create("c", 40, 8, SLAB_HWCACHE_ALIGN, ctor)
x = kmem_cache_create_26("x", 64, 0, 0, ctor, dtor); y = kmem_cache_create(NULL, 64, 0, 0, NULL)
p = kmem_cache_alloc(c, GFP_KERNEL); q = kmem_cache_alloc(x, GFP_KERNEL); r = kmem_cache_zalloc(y, GFP_KERNEL)
kmem_cache_alloc_bulk(c, GFP_KERNEL, 5, s); kmem_cache_free(c, s[2]); kmem_cache_free(x, q)
kmem_cache_shrink(x); kmem_cache_size(c); kmem_cache_destroy(x); kmem_cache_destroy(NULL)
repeat 3 { z[i] = kmem_cache_alloc(c, GFP_KERNEL) }; kmem_cache_free_bulk(c, 3, z)
aa = __get_free_pages(GFP_KERNEL, 1); ab = get_zeroed_page(GFP_KERNEL); ac = alloc_pages(GFP_KERNEL, 2)
free_pages(aa, 1); alloc_pages_bulk(GFP_KERNEL, 4, ad); ae = split_page(ac, 2); __free_pages(ae[1], 0)
af = vmap(ad, 4, VM_MAP, PAGE_KERNEL); vmalloc_to_page(af + 4097); is_vmalloc_addr(af + 10); vunmap(af)
ag = alloc_pages_exact(5000, GFP_KERNEL); free_pages_exact(ag, 5000); __free_pages(NULL, 0)
ah = vmalloc(5000); ai = vzalloc(5000); aj = vmalloc_user(5000); ak = vmalloc_32(5000)
al = vmalloc_array(2, 9); am = vcalloc(2, 9); an = __vmalloc(9, GFP_KERNEL)
ah = vrealloc(ah, 90000, GFP_KERNEL); vfree(ah); vfree(ai)
ao = mempool_create(4, mempool_alloc_kmalloc, mempool_free_kmalloc, 64); ap = mempool_create_slab_pool(4, y)
mempool_fail(ao, 1); aq = mempool_alloc(ao, GFP_NOWAIT); mempool_free(aq, ao)
ar = mempool_alloc(ap, GFP_NOWAIT); mempool_fail(ao, 0); mempool_resize(ao, 2); mempool_destroy(ao); check(ar)
"""


def test_every_call_through_a_library_comes_to_what_the_model_does(targets: Path) -> None:
    assert all(f"{api}(" in EVERY_CALL for api in KERNEL_APIS)
    model = answers(open_model(), EVERY_CALL)
    library = answers(open_library(str(build.library(directory=targets))), EVERY_CALL)
    assert len(library) == len(model)
    for one, two in zip(library, model, strict=True):
        assert (one.result == two.result) or min(one.result, two.result) > 1 << 20
        assert one[1:5] == two[1:5]
        assert one[2:4] == (-1, -1)
        assert [note.kind for note in one.notes] == [note.kind for note in two.notes]


def test_a_library_of_one_call_is_judged_by_it(compiled: Compile) -> None:
    path = compiled(PLAIN)
    opened = open_library(str(path))
    assert set(opened.functions) == {"kmalloc"}
    assert opened.watch is None
    with Worker(call_seconds=5.0, memory_limit=0) as worker:
        target = Target("library", str(path), "it")
        script = parse("repeat 9 { a[i] = kmalloc(100, GFP_KERNEL); check(a[i]); kfree(a[i]) }")
        assert play(worker, target, script, Judge(load("contract"), looked=True)) == Play(18)


def test_a_library_linked_to_an_allocator_is_none(compiled: Compile) -> None:
    allocator = compiled(PLAIN, name="plain")
    folder = str(allocator.parent)
    user = compiled(
        "void *kmalloc(unsigned long, unsigned); void *use(void) { return kmalloc(8, 0); }",
        f"-L{folder}",
        f"-Wl,-rpath,{folder}",
        "-lplain",
        name="user",
    )
    assert hasattr(ctypes.CDLL(str(user)), "kmalloc")
    with pytest.raises(Unusable, match="exports none of the kernel's allocator calls"):
        open_library(str(user))
    assert own(ctypes.CDLL(str(user)), "kmalloc") is None
    assert own(ctypes.CDLL(str(user)), "use") is not None


def test_where_nobody_tells_whose_a_symbol_is_it_counts(
    compiled: Compile, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = ctypes.CDLL(str(compiled(PLAIN)))
    for missing in ({}, {"dlinfo": lambda *_: -1, "dladdr": lambda *_: 0}):
        calls = {name: ctypes.CFUNCTYPE(ctypes.c_int)(call) for name, call in missing.items()}

        class Loader(dict[str, object]):
            def __missing__(self, name: str) -> object:
                raise AttributeError(name)

        monkeypatch.setattr(ctypes, "CDLL", lambda _, calls=calls: Loader(calls))
        assert own(library, "kmalloc") is not None
        assert own(library, "kzalloc") is None


def test_memory_of_a_bulk_call_that_cannot_be_touched_is_that_calls(compiled: Compile) -> None:
    wild = """
    void *page_address(void *p) { return p; }
    unsigned long alloc_pages_bulk(unsigned gfp, unsigned long n, void **pages)
    {
        (void)gfp;
        for (unsigned long i = 0; i < n; i++) pages[i] = (void *)(0x10000000000 + 4096 * i);
        return n;
    }
    """
    target = Target("library", str(compiled(PLAIN + wild)), "it")
    with Worker(call_seconds=5.0, memory_limit=0) as worker:
        script = parse("a = kmalloc(8, GFP_KERNEL); alloc_pages_bulk(GFP_KERNEL, 3, p); check(p[0])")
        done = play(worker, target, script, Judge(load("contract"), looked=True))
    assert done.finding is not None
    assert done.finding.clause == "MEM-RETURNS"
    assert "touching it crashed with SIGSEGV" in done.finding.message
    assert done.ops == tuple(script[:2])
    assert done.calls == 2


def test_calls_for_pages_need_the_way_from_a_page_to_its_address(compiled: Compile) -> None:
    pages = """
    struct page; struct page *alloc_pages(unsigned gfp, unsigned order) { (void)gfp; (void)order; return 0; }
    void __free_pages(struct page *p, unsigned order) { (void)p; (void)order; }
    """
    ways = "void *page_address(void *p) { return p; } void *virt_to_page(void *p) { return p; }"
    assert set(open_library(str(compiled(PLAIN + pages, name="without"))).functions) == {"kmalloc"}
    complete = open_library(str(compiled(PLAIN + pages + ways, name="with"))).functions
    assert set(complete) == {"kmalloc", "alloc_pages", "__free_pages"}


def test_hooks_reset_name_a_profile_tell_of_sleep_and_switch_the_context(compiled: Compile) -> None:
    hooks = """
    static int resets, depth; static void (*asleep)(void); static unsigned left;
    void kmem_oracle_reset(void) { resets++; }
    const char *kmem_oracle_profile(void) { return resets == 1 ? "linux-6.1" : "contract"; }
    void kmem_oracle_on_sleep(void (*hook)(void)) { asleep = hook; }
    void kmem_oracle_fail_nth(unsigned n) { left = n; }
    void preempt_disable(void) { depth++; }
    void preempt_enable(void) { depth--; }
    void *kzalloc(size_t n, unsigned gfp) {
        if (left && !--left) return 0;
        if (!depth) asleep();
        return kmalloc(n, gfp);
    }
    """
    opened = open_library(str(compiled(PLAIN + hooks)))
    assert opened.profile == "linux-6.1"
    assert set(opened.functions) == {"kmalloc", "kzalloc", "fail_nth", "preempt_disable", "preempt_enable"}
    script = """
        a = kmalloc(8, GFP_KERNEL); b = kzalloc(8, GFP_KERNEL); preempt_disable(); c = kzalloc(8, GFP_ATOMIC)
        fail_nth(2); d = kzalloc(8, GFP_ATOMIC); e = kzalloc(8, GFP_ATOMIC); preempt_enable()
    """
    seen = answers(opened, script)
    assert [answer.slept for answer in seen] == [0, 1, 0, 0, 0, 0, 0, 0]
    assert [answer.result != 0 for answer in seen] == [True, True, False, True, False, True, False, False]


def test_a_call_gets_the_types_of_its_prototype(compiled: Compile) -> None:
    takers = """
    void *kmem_cache_create(const char *name, unsigned size, unsigned align, unsigned flags,
                            void (*ctor)(void *))
    { return (void *)(0x1000ul * (name && !ctor) + size + 16ul * align + 256ul * flags); }
    int kmem_cache_shrink(void *c) { return (long)c ? -1 : 0; }
    unsigned kmem_cache_size(void *c) { (void)c; return -1; }
    _Bool is_vmalloc_addr(const void *p) { return (unsigned long)p > 1; }
    """
    functions = open_library(str(compiled(PLAIN + takers))).functions
    assert functions["kmem_cache_create"](b"c", 1, 2, 3, None) == 0x1000 + 1 + 32 + 768
    assert functions["kmem_cache_create"](None, 1, 2, 3, lambda start: None) == 1 + 32 + 768
    assert functions["kmem_cache_shrink"](1) == -1
    assert functions["kmem_cache_size"](1) == (1 << 32) - 1
    assert functions["is_vmalloc_addr"](1 << 40) == 1


@pytest.mark.parametrize(
    ("told", "given"), [(0, []), (2, [7, 7]), (3, [7, 7, 7]), (4, [7, 7, 7, 0]), (-1, [7, 7, 7, 0])]
)
def test_a_bulk_call_gives_what_it_says_and_one_more_where_that_cannot_be(
    told: int, given: list[int]
) -> None:
    def bulk(_cache: int, _gfp: int, count: int, array: ctypes.Array[ctypes.c_uint64]) -> int:
        array[:] = [7] * count
        return told

    adapters = Adapters({"kmem_cache_alloc_bulk": bulk})  # type: ignore[dict-item]  # stands for a symbol
    assert adapters.alloc_bulk(1, 0, 3) == given
