"""The pytest plugin: a test for each clause, on the targets that the command line or a module names."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

import pytest
from tests.targets import build

from kmem_oracle.campaign.conformance import Terms, judged_clauses, replay, verdicts

pytest_plugins = ["pytester"]
CALLS: Final = 20_000
SMALL: Final = ("--kmem-calls", "300", "--kmem-target")


def outcomes(run: pytest.RunResult, *, failed: int) -> None:
    """Assert that each clause has one outcome, and that so many failed."""
    counts = run.parseoutcomes()
    assert counts.get("failed", 0) == failed, run.stdout.str()
    assert sum(counts.get(kind, 0) for kind in ("passed", "failed", "skipped")) == len(judged_clauses())
    assert counts["passed"] > 0


@pytest.mark.needs("cc")
def test_each_clause_is_a_test_and_the_message_is_the_report(
    pytester: pytest.Pytester, targets: Path
) -> None:
    library = build.library("ZEROED_PAGE_DIRTY", directory=targets)
    report = pytester.path / "junit.xml"
    options = (f"--kmem-target={library}", f"--kmem-calls={CALLS}", f"--junitxml={report}", "-rs")
    run = pytester.runpytest_subprocess(*options)
    assert run.ret == 1
    outcomes(run, failed=1)
    run.stdout.fnmatch_lines(["*VIOLATION of MEM-ZERO by the allocator", "*script*", "*(GFP_*"])
    run.stdout.fnmatch_lines(["SKIPPED*profile contract does not promise it"])
    cases = {case.get("name"): case for case in ElementTree.parse(report).iter("testcase")}
    assert set(cases) == set(judged_clauses())
    failure = cases["MEM-ZERO"].find("failure")
    assert failure is not None
    assert "VIOLATION of MEM-ZERO" in (failure.get("message") or "")


def test_what_was_not_exercised_or_has_no_call_is_skipped_with_the_reason(
    pytester: pytest.Pytester,
) -> None:
    run = pytester.runpytest_subprocess(*SMALL, "malloc:", "-rs", "--kmem-waive=MEM-KEEP")
    assert run.ret == 0
    outcomes(run, failed=0)
    run.stdout.fnmatch_lines(["SKIPPED*waived"])
    run.stdout.fnmatch_lines(["SKIPPED*the target has no call that it is about"])
    run.stdout.fnmatch_lines(["SKIPPED*never exercised in 300 calls"])


def test_a_module_has_its_own_tests_of_a_target(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        from kmem_oracle.pytest_plugin import conformance

        test_mine = conformance("model", calls=300, seed=3, profile="linux-6.1", waived=("MEM-LIVENESS",))
        """
    )
    run = pytester.runpytest_subprocess("-v", "-k", "MEM-ZERO or LIVENESS")
    run.assert_outcomes(passed=1, skipped=1)
    run.stdout.fnmatch_lines(["*::test_mine[[]MEM-ZERO[]] PASSED*"])


def test_one_campaign_serves_all_tests_of_a_target_also_in_several_processes(
    pytester: pytest.Pytester,
) -> None:
    pytester.makeconftest(
        """
        import pathlib
        from kmem_oracle.campaign import conformance

        judge = conformance.campaign.campaign

        def counted(*args, **rest):
            with pathlib.Path("campaigns").open("a") as file:
                file.write("one\\n")
            return judge(*args, **rest)

        conformance.campaign.campaign = counted
        """
    )
    for processes in ("0", "2"):
        run = pytester.runpytest_subprocess(*SMALL, "model", "-n", processes)
        assert run.ret == 0, run.stdout.str()
        outcomes(run, failed=0)
    assert (pytester.path / "campaigns").read_text(encoding="utf-8").split() == ["one", "one"]


def test_named_files_run_on_the_target_and_get_no_tests_beside(pytester: pytest.Pytester) -> None:
    file = pytester.makepyfile(
        "def test_it(pytestconfig): assert pytestconfig.option.kmem_target == ['model']"
    )
    pytester.runpytest_subprocess(*SMALL, "model", file).assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--kmem-target=nothing.so", "nothing.so: no such file"),
        ("--kmem-waive=X", "unknown clause to waive: X"),
    ],
)
def test_a_wrong_option_is_an_error_in_one_line(option: str, said: str, pytester: pytest.Pytester) -> None:
    run = pytester.runpytest_subprocess("--kmem-target=model", option)
    assert run.ret == pytest.ExitCode.USAGE_ERROR
    assert said in run.stderr.str()
    assert len(run.stderr.str().strip().splitlines()) == 1


def test_what_cannot_be_judged_fails_in_one_line(pytester: pytest.Pytester) -> None:
    library = pytester.path / "text.so"
    library.write_text("no library", encoding="utf-8")
    run = pytester.runpytest_subprocess(*SMALL, str(library), "-k", "MEM-ZERO")
    run.assert_outcomes(failed=1)
    run.stdout.fnmatch_lines(["kmem-oracle: *text.so: not a shared library that can be loaded*"])


@pytest.mark.needs("cc")
def test_a_clause_that_was_broken_early_keeps_no_other_from_its_verdict(targets: Path) -> None:
    library = build.library("KMALLOC_ZERO_NULL", directory=targets)
    found = verdicts(Terms(str(library), calls=CALLS))
    assert found["SLAB-ZERO-SIZE"].status == "broken"
    assert found["MEM-APART"].status == "held"
    assert [clause for clause, verdict in found.items() if verdict.status == "broken"] == ["SLAB-ZERO-SIZE"]


@pytest.mark.needs("cc")
def test_what_an_early_end_left_out_has_not_held(targets: Path) -> None:
    library = build.library("KMALLOC_ZERO_NULL", directory=targets)
    found = verdicts(Terms(str(library), calls=CALLS, broken=1))
    assert {verdict.status for verdict in found.values()} == {"broken", "open"}
    assert found["MEM-APART"].text == "not judged to the end: SLAB-ZERO-SIZE were broken before"


def test_verdicts_are_the_same_under_the_same_seed() -> None:
    terms = Terms("model", calls=2000, seed=5)
    assert verdicts(terms) == verdicts(terms)


def test_a_replay_reports_a_violation_or_nothing() -> None:
    assert replay("a = kmalloc(64, GFP_KERNEL); kfree(a)", "model") is None
    report = replay("a = kmalloc(64, GFP_KERNEL); kfree(a); b = kmalloc(8, GFP_DMA | __GFP_DMA32)", "model")
    assert "VIOLATION of CALLER-GFP by the caller" in (report or "")


def test_the_core_needs_no_pytest_and_the_plugin_imports_no_rules() -> None:
    core = (
        "import sys; sys.modules['pytest'] = None; import kmem_oracle.campaign.conformance, kmem_oracle.cli"
    )
    plugin = "import sys, kmem_oracle.pytest_plugin; assert 'kmem_spec' not in sys.modules"
    for program in (core, plugin):
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
