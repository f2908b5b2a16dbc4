"""Processes as targets: they are judged as libraries are."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.cover.behind import NONE, command
from tests.targets import build, drivers

from kmem_oracle.campaign.campaign import campaign, replay
from kmem_oracle.campaign.course import Budget
from kmem_oracle.language.script import parse
from kmem_oracle.learn.compare import compare
from kmem_oracle.targets.target import Target

pytestmark = [pytest.mark.needs("linux"), pytest.mark.usefixtures("mark")]  # it looks for processes in /proc
EVERY_FAMILY = """
c = kmem_cache_create("c", 40, 8, SLAB_HWCACHE_ALIGN, ctor)
d = kmem_cache_create_26("d", 72, 8, 0, ctor, dtor)
o = kmem_cache_alloc(c, GFP_KERNEL); e = kmem_cache_alloc(d, GFP_KERNEL)
kmem_cache_free(c, o); kmem_cache_free(d, e)
kmem_cache_alloc_bulk(c, GFP_KERNEL, 16, p); kmem_cache_free_bulk(c, 16, p)
kmem_cache_size(c); kmem_cache_shrink(c); kmem_cache_destroy(c); kmem_cache_destroy(d)
a = kmalloc(100, GFP_KERNEL); a = krealloc(a, 3000, GFP_KERNEL | __GFP_ZERO); ksize(a)
s = kstrdup(a, GFP_KERNEL); t = kstrndup(a, 5, GFP_KERNEL); u = kmemdup(a, 50, GFP_KERNEL)
check(a); kfree(s); kfree(t); kfree_sensitive(u); kfree(a); kmalloc_size_roundup(100)
repeat 3 { q[i] = kzalloc(8, GFP_KERNEL) }
kfree_bulk(3, q)
l = kmalloc_array(2**64 - 1, 2**64 - 1, GFP_KERNEL); h = kcalloc(9, 1000, GFP_KERNEL); kfree(h)
g = alloc_pages(GFP_KERNEL, 2); split_page_of = split_page(g, 2)
v = vmap(split_page_of, 4, VM_MAP, PAGE_KERNEL); vmalloc_to_page(v + 4096); is_vmalloc_addr(v + 10); vunmap(v)
repeat 4 { __free_pages(split_page_of[i], 0) }
alloc_pages_bulk(GFP_KERNEL, 5, b); repeat 5 { __free_pages(b[i], 0) }
w = vzalloc(300000); check(w); vfree(w); x = kvmalloc(5000000, GFP_KERNEL); kvfree(x); y = vmalloc(0)
z = alloc_pages_exact(9000, GFP_KERNEL); free_pages_exact(z, 9000); get_order(5000)
m = mempool_create(4, mempool_alloc_kmalloc, mempool_free_kmalloc, 64)
mempool_fail(m, 1); f = mempool_alloc(m, GFP_NOWAIT); mempool_free(f, m)
mempool_resize(m, 2); mempool_destroy(m)
kfree(NULL); kfree(ZERO_SIZE_PTR)
"""


@pytest.mark.needs("cc")
def test_a_process_does_what_the_library_and_the_model_do(targets: Path) -> None:
    process = command(str(drivers.in_c(directory=targets)))
    library = Target("library", str(build.library(directory=targets)), "library")
    failing = (
        "fail_nth(1); n = kmalloc(64, GFP_KERNEL); r = kmalloc(64, GFP_KERNEL)"  # which of both, differs
    )
    for other, more in ((library, failing), (Target("model", "", "model"), "")):
        ops = parse(EVERY_FAMILY + more)
        sides = compare((process, other), ops, profile="linux-6.1", budget=Budget(), waived=NONE)
        assert [side.finding for side in sides.sides] == [None, None]
        assert sides.calls == len(ops)
        assert sides.lacking == ()
        words = [[(op, outcome.words) for op, outcome in side.outcomes] for side in sides.sides]
        assert words[0] == words[1]
        if other is library:
            assert sides.partings == ()


@pytest.mark.needs("rustc", "cc")
def test_drivers_in_other_languages_do_the_same(targets: Path) -> None:
    script = (
        'c = kmem_cache_create("c", 40, 8, 0, ctor); repeat 200 { o[i] = kmem_cache_alloc(c, GFP_KERNEL) }\n'
        "repeat 200 { kmem_cache_free(c, o[i]) }; kmem_cache_size(c); kmem_cache_destroy(c)\n"
        "a = kzalloc(100, GFP_KERNEL); a = krealloc(a, 300000, GFP_KERNEL); check(a); kfree(a)\n"
        "p = get_zeroed_page(GFP_KERNEL); q = __get_free_pages(GFP_KERNEL, 9); free_pages(q, 9)"
    )
    rust, process = (
        command(str(made)) for made in (drivers.in_rust(directory=targets), drivers.in_c(directory=targets))
    )
    sides = compare((rust, process), parse(script), profile="", budget=Budget(), waived=NONE)
    assert [side.finding for side in sides.sides] == [None, None]
    assert sides.partings == ()


def checked(target: Target, calls: int) -> tuple[int, str]:
    """Return how many calls a campaign judged, and the clause that it found broken."""
    budget = Budget(calls=calls, seconds=60, shrink=1.0)
    done = campaign(target, profile="", seed=1, budget=budget, waived=NONE, progress=lambda *_: None)
    finding = None if done.play is None else done.play.finding
    return done.calls, "" if finding is None else finding.clause


def test_a_driver_in_python_passes() -> None:
    calls, clause = checked(command(drivers.PYTHON), 3000)
    assert (calls >= 3000, clause) == (True, "")


@pytest.mark.needs("rustc")
def test_a_driver_in_rust_passes(targets: Path) -> None:
    calls, clause = checked(command(str(drivers.in_rust(directory=targets))), 4000)
    assert (calls >= 4000, clause) == (True, "")


@pytest.mark.needs("cc")
@pytest.mark.parametrize(
    ("fault", "clause", "script"),
    [
        (
            "KZALLOC_TAIL",
            "MEM-ZERO",
            "repeat 3 { a = kmalloc(64, GFP_KERNEL); kfree(a) }; b = kzalloc(64, GFP_KERNEL)",
        ),
        ("KMALLOC_ZERO_NULL", "SLAB-ZERO-SIZE", "a = kmalloc(0, GFP_KERNEL)"),
        (
            "KREALLOC_COPY_SHORT",
            "SLAB-REALLOC-KEEP",
            "a = kmalloc(64, GFP_KERNEL); a = krealloc(a, 300, GFP_KERNEL)",
        ),
        ("CRASH_AT_777", "MEM-RETURNS", "a = kmalloc(777, GFP_KERNEL)"),
        ("VM_SHORT", "MEM-RETURNS", "a = vmalloc(32769)"),
        (
            "CTOR_LAST_SLOT",
            "CACHE-CTOR",
            'c = kmem_cache_create("c", 40, 0, 0, ctor)\n'
            "repeat 300 { a[i] = kmem_cache_alloc(c, GFP_KERNEL) }",
        ),
        (
            "DTOR_NOT_AT_DESTROY",
            "CACHE-DTOR",
            'c = kmem_cache_create_26("c", 40, 0, 0, ctor, dtor)\n'
            "a = kmem_cache_alloc(c, GFP_KERNEL); kmem_cache_free(c, a); kmem_cache_destroy(c)",
        ),
        (
            "NEIGHBOUR_LINK",
            "MEM-KEEP",
            "repeat 9 { a[i] = kmalloc(32, GFP_KERNEL) }; repeat 9 { kfree(a[i]) }",
        ),
    ],
)
def test_faults_are_found_through_the_process(targets: Path, fault: str, clause: str, script: str) -> None:
    faulty, sound = (command(str(drivers.in_c(name, directory=targets))) for name in (fault, ""))
    done = replay(faulty, parse(script), profile="", budget=Budget(), waived=NONE)
    assert done.play is not None
    assert done.play.finding is not None
    assert done.play.finding.clause == clause
    assert replay(sound, parse(script), profile="", budget=Budget(), waived=NONE).play is None


@pytest.mark.needs("cc")
def test_a_campaign_finds_a_fault_through_the_process(targets: Path) -> None:
    _, clause = checked(command(str(drivers.in_c("KMALLOC_ABOVE_MAX", directory=targets))), 5000)
    assert clause == "SLAB-MAX"
    calls, clause = checked(command(str(drivers.in_c(directory=targets))), 5000)
    assert (calls >= 5000, clause) == (True, "")
