"""A user-mode kernel in the dock: it passes; its misuse, its panic and its end are each a clear line."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.cover.behind import MARK, marked

pytestmark = [
    pytest.mark.needs("linux", "make", "gcc", "flex", "bison", "bc", "perl", "apt-get", "dpkg-deb", "xz"),
    pytest.mark.usefixtures("mark"),
]


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "kmem_oracle.cli", *arguments]


def run(*arguments: str) -> tuple[int, str, str]:
    done = subprocess.run(command(*arguments), capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def test_a_kernel_of_linux_passes(built: str, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    status, out, error = run("check", f"linux:{built}", "--calls", "20000", "--json", str(report))
    assert (status, error) == (0, ""), out
    told = json.loads(report.read_text())
    assert told["verdict"] == "pass"
    assert told["calls"] >= 20_000
    judged = [clause for clause, count in told["clauses"].items() if count]
    assert {
        "MEM-APART",
        "MEM-ZERO",
        "SLAB-CLASS",
        "CACHE-CTOR",
        "VM-GUARD",
        "PAGE-ALIGN",
        "GFP-SLEEP",
    } <= set(judged)
    assert "complained" not in out


@pytest.mark.parametrize("option", ["init_on_alloc=1", "slub_nomerge", "slub_debug=FZPU"])
def test_options_of_its_command_line_are_the_target_s(built: str, option: str) -> None:
    status, out, error = run("check", f"linux:{built},{option}", "--calls", "6000")
    assert (status, error) == (0, ""), out
    assert f"linux:{built},{option}: 6," in out


def test_a_script_is_played_on_the_kernel_and_the_model_side_by_side(built: str, tmp_path: Path) -> None:
    script = tmp_path / "x.kmem"
    script.write_text(
        "a = kmalloc(100, GFP_KERNEL | __GFP_ZERO)\nb = krealloc(a, 300, GFP_KERNEL)\n"
        "v = vmalloc(10000)\nvfree(v)\nkfree(b)\n"
    )
    status, out, error = run("run", str(script), "--on", f"linux:{built}", "--on", "model")
    assert (status, error) == (0, ""), out


def test_kvrealloc_of_6_1_is_given_the_old_size_and_none_of_nothing(built: str, tmp_path: Path) -> None:
    script = tmp_path / "kv.kmem"
    grown = "".join(f"a = kvrealloc(a, {size}, GFP_KERNEL | __GFP_ZERO)\n" for size in (50, 9000, 90_000))
    script.write_text(
        f"a = kvmalloc(100, GFP_KERNEL | __GFP_ZERO)\n{grown}a = kvrealloc(a, 0, GFP_KERNEL)\nkvfree(a)\n"
    )
    status, out, error = run("run", str(script), "--on", f"linux:{built}")
    assert (status, error) == (0, ""), out
    assert "kvrealloc(a, 0, GFP_KERNEL)" in out
    assert [line.split()[-1] for line in out.splitlines() if "kvrealloc(a, 0" in line] == ["skipped"]
    assert "done" in next(line for line in out.splitlines() if "kvfree(a)" in line)


def test_what_breaks_a_rule_in_a_kernel_comes_with_a_script(built: str, tmp_path: Path) -> None:
    """No profile of Linux promises kmalloc's memory at whole pages: under one that does, a kernel fails."""
    profile = tmp_path / "pages.toml"
    profile.write_text('promises = ["contract"]\ngfp = "6.1"\nminimum_align = 4096\n')
    status, out, _ = run("check", f"linux:{built}", "--profile", str(profile))
    assert status == 1
    assert "VIOLATION of SLAB-ALIGN" in out
    assert "  script   1 line" in out or "  script   2 lines" in out


def test_a_kernel_that_dies_is_a_finding(built: str, tmp_path: Path) -> None:
    script = tmp_path / "long.kmem"
    script.write_text("repeat 900000 {\n  a = kmalloc(64, GFP_KERNEL)\n  kfree(a) }\n")
    line = command("run", str(script), "--on", f"linux:{built}")
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as running:
        os.kill(working(), signal.SIGSEGV)
        out, _ = running.communicate(timeout=60)
    assert running.returncode == 1
    assert "VIOLATION of MEM-RETURNS" in out
    assert "panic of the kernel" in out
    assert "  console  " in out


def working() -> int:
    """Return a kernel that runs calls: not the first, which is only asked what it is."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        before = guests()
        time.sleep(0.5)
        stayed = [guest for guest in guests() if guest in before]
        if stayed:
            return stayed[0]
    raise AssertionError("no kernel came up")


def guests() -> list[int]:
    """Return the kernels that run for this test."""
    found = []
    for process in marked(os.environ[MARK]):
        with contextlib.suppress(OSError):  # it may have ended
            line = Path(f"/proc/{process}/cmdline").read_bytes()
            if line.split(b"\0")[0].endswith(b"/linux"):
                found.append(process)
    return found


def test_ctrl_c_ends_the_kernel_as_well(built: str) -> None:
    running = subprocess.Popen(
        command("check", f"linux:{built}", "--calls", "100000000"), stdout=subprocess.PIPE, text=True
    )
    with running:
        time.sleep(4)
        running.send_signal(signal.SIGINT)
        out, _ = running.communicate(timeout=30)
    assert running.returncode == 2
    assert "interrupted: the verdict covers the calls judged so far" in out
