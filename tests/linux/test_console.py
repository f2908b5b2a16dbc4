"""What a kernel prints: complaints, those that it owes its caller, and the lines that are shown."""

from __future__ import annotations

import pytest

from kmem_oracle.campaign.campaign import replay
from kmem_oracle.campaign.course import Budget
from kmem_oracle.language.script import parse
from kmem_oracle.targets.console import TAIL, complaints, owed, tail
from kmem_oracle.targets.records import RawNote, Record
from kmem_oracle.targets.run import Run
from kmem_oracle.targets.target import Death, Target

WARNING = "WARNING: CPU: 0 PID: 1 at mm/page_alloc.c:5530 __alloc_pages+0x1f2/0x220"


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (WARNING, "WARNING at mm/page_alloc.c:5530 __alloc_pages"),
        (f"[    0.412345] {WARNING}", "WARNING at mm/page_alloc.c:5530 __alloc_pages"),
        (
            "BUG: Bad page state in process swapper  pfn:00678",
            "BUG: Bad page state in process swapper  pfn:#",
        ),
        (
            "BUG kmalloc-64 (Not tainted): Redzone overwritten",
            "BUG kmalloc-64 (Not tainted): Redzone overwritten",
        ),
        (
            "swapper: page allocation failure: order:0, mode:0x800",
            "swapper: page allocation failure: order:#, mode:#",
        ),
    ],
)
def test_a_complaint_is_the_same_each_time(line: str, complaint: str) -> None:
    assert complaints([f"something else\n{line}\nCall Trace:\n"]) == (complaint,)


def test_what_is_no_complaint_is_none() -> None:
    assert complaints(["Mem-Info:\nactive_anon:0\n", "", "SLUB: HWalign=64\n"]) == ()


def test_some_complaints_are_owed() -> None:
    assert owed("WARNING at mm/page_alloc.c:5530 __alloc_pages") == "an order above the maximum"
    assert owed("WARNING at mm/vmalloc.c:3210 __vmalloc_node_range").startswith("vmalloc of nothing")
    assert owed("BUG: Bad page state in process swapper  pfn:#") == ""
    assert owed("BUG kmalloc-64 (Not tainted): Redzone overwritten") == ""


def test_the_lines_that_are_shown_begin_where_the_trouble_does() -> None:
    before = [f"line {number}" for number in range(40)]
    after = [f"trace {number}" for number in range(40)]
    shown = tail(
        "\n".join([*before, "kernel BUG at mm/slub.c:435!", *after, "", "Kernel panic - not syncing: x"])
    )
    assert shown[0] == "kernel BUG at mm/slub.c:435!"
    assert shown[-1] == "Kernel panic - not syncing: x"
    assert len(shown) == TAIL


def test_a_console_without_trouble_is_shown_from_its_end() -> None:
    assert tail("\n".join(str(number) for number in range(100)))[-1] == "99"
    assert tail("") == []


def printing(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Let every target print a text with its first chunk of calls."""
    finish = Run.finish

    def finish_and_print(run: Run) -> tuple[list[Record], list[RawNote], Death | None]:
        if not run.printed:
            run.printed.append(text)
        return finish(run)

    monkeypatch.setattr(Run, "finish", finish_and_print)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("BUG kmalloc-64 (Not tainted): Redzone overwritten\nCall Trace:\n", True),
        ("WARNING: CPU: 0 PID: 1 at mm/slub.c:4321 free_large_kmalloc+0x1/0x2\n", True),
        ("WARNING: CPU: 0 PID: 1 at kernel/rcu/tree.c:1 rcu+0x1/0x2\n", False),
        (f"{WARNING}\n", False),
        ("", False),
    ],
)
def test_an_error_that_a_kernel_reports_is_a_violation(
    text: str, found: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    printing(monkeypatch, text)
    ops = parse("a = kmalloc(64, GFP_KERNEL)\nkfree(a)\n")
    result = replay(Target("model", "", "model"), ops, profile="", budget=Budget(), waived=frozenset())
    if not found:
        assert result.play is None
        return
    assert result.play is not None
    assert result.play.finding is not None
    assert result.play.finding.clause == "MEM-RETURNS"
    assert text.splitlines()[0].split(" (")[0].split(":")[0] in result.play.finding.message
    assert tail(result.play.console) == text.splitlines()
