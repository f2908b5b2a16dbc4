"""What --save writes: a script, a C program, a pytest function, a KUnit test; each shows the fault again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest
from tests.reports.saving import forged, played, run_c
from tests.targets import build

from kmem_oracle.campaign.result import Found
from kmem_oracle.cli import main
from kmem_oracle.language.script import parse
from kmem_oracle.reports.kunit import kunit, why_not
from kmem_oracle.reports.saved import save

SCRIPT: Final = "a = kmalloc(0, GFP_KERNEL)\n"
PROFILE: Final = "contract"
# A script for each family, and a clause that it might break.
KERNEL: Final = {
    "SLAB-REALLOC-ZERO": "a = kzalloc(8, GFP_KERNEL); a = krealloc(a, 90, GFP_KERNEL | __GFP_ZERO)",
    "SLAB-COPY": "a = kmalloc(8, GFP_KERNEL); b = kstrdup(a, GFP_KERNEL); c = kmemdup(a, 3, GFP_KERNEL)",
    "MEM-APART": """repeat 20 { a[i] = kmalloc(8, GFP_ATOMIC) }; kfree_bulk(20, a)
        repeat 20 { b = kvmalloc(70000, GFP_KERNEL); kvfree(b) }""",
    "MEM-LIVENESS": "repeat 30 { a = __get_free_pages(GFP_KERNEL, 3); free_pages(a, 3) }",
    "CACHE-CTOR-ONCE": """c = kmem_cache_create("c", 100, 8, SLAB_HWCACHE_ALIGN | SLAB_PANIC, ctor)
        kmem_cache_alloc_bulk(c, GFP_KERNEL, 16, p); kmem_cache_free_bulk(c, 16, p)
        kmem_cache_shrink(c); a = kmem_cache_alloc(c, GFP_KERNEL)""",
    "VM-CONTENTS": """alloc_pages_bulk(GFP_KERNEL, 3, p); v = vmap(p, 3, VM_MAP, PAGE_KERNEL)
        is_vmalloc_addr(v + 5000); vunmap(v); b = alloc_pages(GFP_KERNEL, 1); s = split_page(b, 1)
        v = vmap(s, 2, VM_MAP, PAGE_KERNEL)""",
    "VM-FRAME-OWN": "a = vmalloc(9000); vmalloc_to_page(a + 4096); b = alloc_pages_exact(5000, GFP_KERNEL)",
    "POOL-RESERVE": """m = mempool_create(4, mempool_alloc_kmalloc, mempool_free_kmalloc, 64)
        mempool_fail(m, 1); e = mempool_alloc(m, GFP_NOWAIT); mempool_free(e, m); mempool_resize(m, 9)
        e = mempool_alloc(m, GFP_NOWAIT)""",
    "GFP-SLEEP": "preempt_disable(); a = kmalloc(64, GFP_ATOMIC); preempt_enable(); b = kmalloc(7, 0)",
    "CACHE-MAX": 'c = kmem_cache_create("c", 8388608, 0, 0, NULL)',
    "SLAB-KSIZE": "a = kmalloc(64, GFP_KERNEL); ksize(a)",
}


@pytest.mark.needs("cc")
def test_every_form_shows_the_fault_and_passes_on_a_correct_library(targets: Path, tmp_path: Path) -> None:
    faulty, correct = build.library("KMALLOC_ZERO_NULL", directory=targets), build.library(directory=targets)
    files = [Path(file) for file in save(str(tmp_path), played(faulty, SCRIPT), PROFILE)]
    assert [file.name for file in files] == [
        "slab-zero-size-seed-0.kmem",
        "slab-zero-size-seed-0.c",
        "slab_zero_size_seed_0_kunit.c",
        "test_slab_zero_size_seed_0.py",
    ]
    script, program, _, function = files
    assert main(["run", str(script), "--on", str(faulty)]) == 1
    assert main(["run", str(script), "--on", str(correct)]) == 0
    assert [run_c(program, library).status for library in (faulty, correct)] == [1, 0]
    failed = run_pytest(function)
    assert failed.returncode == 1, failed.stdout
    assert "VIOLATION of SLAB-ZERO-SIZE by the allocator" in failed.stdout
    passed = run_pytest(function, "--kmem-target", str(correct))
    assert passed.returncode == 0, passed.stdout
    assert "1 passed" in passed.stdout


def run_pytest(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run pytest on a saved function, away from this project's settings."""
    command = [sys.executable, "-m", "pytest", "-q", *map(str, arguments)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    folder = Path(str(arguments[0])).parent
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment)


def test_a_misuse_on_another_target_fails_no_function_of_an_allocators_fault(tmp_path: Path) -> None:
    script = 'c = kmem_cache_create("c", 8, 0, 0, NULL); a = kmem_cache_alloc(c, GFP_KERNEL)\n'
    result = forged("model", script + "kmem_cache_destroy(c)", "MEM-LIVENESS")
    (function,) = [Path(file) for file in save(str(tmp_path), result, "") if file.endswith(".py")]
    assert main(["run", str(tmp_path / "mem-liveness-seed-1.kmem"), "--on", "model"]) == 1
    assert run_pytest(function).returncode == 0


@pytest.mark.needs("cc")
def test_the_reports_list_all_files(
    targets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    faulty = build.library("KSIZE_NULL", directory=targets)
    script, report = tmp_path / "in.kmem", tmp_path / "report.json"
    script.write_text("ksize(NULL)", encoding="utf-8")
    command = ["run", str(script), "--on", str(faulty), "--json", str(report)]
    assert main([*command, "--save", str(tmp_path / "found")]) == 1
    files = json.loads(report.read_text(encoding="utf-8"))["violation"]["files"]
    assert len(files) == 5
    assert all(Path(file).is_file() for file in files)
    assert [line.split()[1] for line in capsys.readouterr().out.splitlines() if "saved" in line] == files


def test_what_is_no_library_has_no_program_and_what_the_kernel_lacks_no_kunit_test(tmp_path: Path) -> None:
    made = save(str(tmp_path), forged(tmp_path / "gone.so", "fail_nth(1); ksize(NULL)", "SLAB-KSIZE"), "")
    assert [Path(file).suffix for file in made] == [".kmem", ".py"]
    dtor = 'c = kmem_cache_create_26("c", 8, 0, 0, ctor, dtor)'
    assert why_not(parse(dtor)) == "no cache has a destructor there"
    assert why_not(parse(dtor.replace("dtor", "NULL"))) is None


def test_all_violations_that_were_found_are_saved_each_under_its_own_name(tmp_path: Path) -> None:
    one = forged(tmp_path / "gone.so", "ksize(NULL)", "SLAB-KSIZE")
    two = forged(tmp_path / "gone.so", "a = kmalloc(9, GFP_KERNEL); ksize(a)", "SLAB-KSIZE")
    plays = [play for play in (one.play, two.play) if play is not None]
    files = save(str(tmp_path), replace(one, found=[Found(play, "") for play in plays]), "")
    assert [Path(file).name for file in files if file.endswith(".kmem")] == [
        "slab-ksize-seed-1.kmem",
        "slab-ksize-seed-1-2.kmem",
    ]
    assert len(set(files)) == 6
    assert "kmalloc" in Path(files[3]).read_text(encoding="utf-8")


def test_a_profile_in_a_file_is_found_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    save("here", forged(tmp_path / "gone.so", "ksize(NULL)", "SLAB-KSIZE"), "mine.toml")
    text = (tmp_path / "here" / "test_slab_ksize_seed_1.py").read_text(encoding="utf-8")
    assert f"PROFILE = {str(tmp_path / 'mine.toml')!r}" in text


def test_a_kunit_test_makes_the_same_calls_and_gives_back_what_is_left() -> None:
    text = kunit(
        forged(Path("lib.so"), KERNEL["MEM-LIVENESS"] + "; a = kzalloc(8, GFP_KERNEL)", "MEM-ZERO"), "x"
    )
    assert text.startswith("// SPDX-License-Identifier: GPL-2.0\n")
    assert "take(&a, (void *)__get_free_pages(GFP_KERNEL, 3), 32768, false);" in text
    assert "if (a.live)\n\t\tfree_pages((unsigned long)give(&a), 3);" in text
    assert "KUNIT_ASSERT_TRUE_MSG" in text
    assert "kunit_test_suite(x_suite);" in text
    assert "_exit" not in text


def test_a_kunit_test_leaves_it_to_the_kernel_to_say_what_sleeps() -> None:
    text = kunit(forged(Path("lib.so"), KERNEL["GFP-SLEEP"], "GFP-SLEEP"), "x")
    assert "CONFIG_DEBUG_ATOMIC_SLEEP" in text
    assert "\tfault(" not in text.partition("(struct kunit *test)")[2]


def test_kunit_tests_compile_with_the_headers_of_the_distribution(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    built = sorted(Path("/lib/modules").glob("*/build/Makefile"))
    if not built or build.cc_missing():
        request.node.user_properties.append(("needs", "linux-headers"))
        pytest.skip("needs the headers of a kernel, and a C compiler")
    objects = []
    for clause, script in KERNEL.items():
        stem = clause.lower().replace("-", "_")
        text = kunit(forged(Path("lib.so"), script, clause), stem)
        (tmp_path / f"{stem}_kunit.c").write_text(text, encoding="utf-8")
        objects.append(f"{stem}_kunit.o")
    (tmp_path / "Makefile").write_text(f"obj-m += {' '.join(objects)}\n", encoding="utf-8")
    command = ["make", "-C", str(built[0].parent), f"M={tmp_path}", *objects]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "warning" not in done.stdout + done.stderr
