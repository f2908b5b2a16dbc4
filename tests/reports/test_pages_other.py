"""The pages of verify and of judge in a real browser."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from tests.reports.browser import NEEDS, browser, complaints, opened, script, text_of

from kmem_oracle.cli import main
from kmem_oracle.reports.html.traces import MOST_FINDINGS, plain, traces_page

pytestmark = pytest.mark.needs(*NEEDS)
HOSTILE: Final = "</script><script>window.broken=1</script><svg onload='window.broken=1'>"


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    with browser(tmp_path_factory.mktemp("browser")) as running:
        yield running


def rows(driver: Chrome, section: str) -> list[list[str]]:
    """Return the cells of a table, row by row."""
    found = driver.find_elements(By.XPATH, f"//section[h2='{section}' or div/h2='{section}']//tbody/tr")
    return [[cell.text for cell in row.find_elements(By.XPATH, "./*")] for row in found]


def trace(findings: int = 1) -> dict[str, object]:
    """Return a small trace whose every text is hostile."""
    found = {
        "clause": "CALLER-DOUBLE-FREE",
        "who": "caller",
        "certainty": "violation",
        "line": 7,
        "others": [3],
        "message": HOSTILE,
        "group": HOSTILE,
    }
    site = {"asked": 100, "given": 128, "live": 1, "failed": 0}
    return {
        "name": HOSTILE,
        "kind": "ftrace",
        "profile": "contract",
        "lines": 10,
        "judged": 9,
        "seconds": 0.1,
        "stopped": HOSTILE,
        "events": {"kmalloc": 8, HOSTILE: 1},
        "findings": [found] * findings,
        "samples": [
            {"line": 1, "time": 0.5, "kmalloc": 0, "caches": 4096, "pages": 0, "areas": 0},
            {"line": 10, "time": 1.5, "kmalloc": 1024, "caches": 1024, "pages": 65536, "areas": 0},
        ],
        "sites": [
            {"name": "few+0x1", "count": 1, "live_bytes": 64, **site},
            {"name": HOSTILE, "count": 9, "live_bytes": 128, **site},
        ],
        "sizes": [{"given": 128, "cached": False, "count": 2, "asked": 200}],
        "unjudged": [HOSTILE],
        "further": 0,
    }


def test_the_page_of_a_trace_shows_what_was_live_and_runs_no_script_of_it(
    driver: Chrome, tmp_path: Path
) -> None:
    path = tmp_path / "trace.html"
    path.write_text(traces_page("violation", [trace()], [HOSTILE]), encoding="utf-8")
    opened(driver, path)
    assert text_of(driver, "h1") == HOSTILE
    assert script(driver, "return [typeof window.broken, document.scripts.length]") == ["undefined", 2]
    assert rows(driver, "Findings") == [["CALLER-DOUBLE-FREE", "violation", "caller", "7", "3", HOSTILE]]
    assert [row[0] for row in rows(driver, "Call sites")] == ["few+0x1", HOSTILE]
    driver.find_element(By.XPATH, "//button[.='bytes live']").click()
    assert [row[0] for row in rows(driver, "Call sites")] == [HOSTILE, "few+0x1"]
    assert rows(driver, "Fragmentation") == [["128", "2", "200 B", "56 B"]]
    now = ".chart-box .now"
    assert text_of(driver, now) == "1.500 s, line 10: 66 KiB (kmalloc 1 KiB, caches 1 KiB, pages 64 KiB)"
    driver.find_element(By.CSS_SELECTOR, "svg.areas").send_keys(Keys.ARROW_LEFT)
    assert text_of(driver, now) == "0.500 s, line 1: 4 KiB (kmalloc 0 B, caches 4 KiB, pages 0 B)"
    driver.find_element(By.XPATH, "//button[contains(@class, 'chip')][.='pages']").click()
    label = str(driver.find_element(By.CSS_SELECTOR, "svg.areas").get_attribute("aria-label"))
    assert "at most 4 KiB at 0.500 s, line 1, at the end 2 KiB" in label
    assert complaints(driver) == []


@dataclass
class Seen:
    """A finding as a trace's judge has it."""

    clause: str
    line: int


@dataclass
class Summed:
    """A summary as a trace's judge has it."""

    name: str
    findings: list[Seen]
    events: Counter[str]
    unjudged: list[str]


def test_a_summary_becomes_plain_data() -> None:
    summary = Summed("t", [Seen("CALLER-DOUBLE-FREE", 7)], Counter({"kfree": 2}), ["lost events"])
    assert plain(summary) == {
        "name": "t",
        "findings": [{"clause": "CALLER-DOUBLE-FREE", "line": 7, "who": "caller"}],
        "events": {"kfree": 2},
        "unjudged": ["lost events"],
    }


def test_the_page_of_a_trace_with_very_many_findings_stays_small(driver: Chrome, tmp_path: Path) -> None:
    path = tmp_path / "trace.html"
    path.write_text(traces_page("violation", [trace(50_000)], []), encoding="utf-8")
    assert path.stat().st_size < 1 << 20
    opened(driver, path)
    assert f"the first {MOST_FINDINGS:,} of 50,000" in text_of(driver, ".tiles")
    assert complaints(driver) == []


@pytest.mark.needs("z3")
def test_the_page_of_verify_has_every_obligation_its_mutants_and_its_time(
    driver: Chrome, tmp_path: Path
) -> None:
    path = tmp_path / "verify.html"
    assert main(["verify", "UNITS/round_up/exact", "UNITS/pages_for/exact", "--html", str(path)]) == 0
    opened(driver, path)
    assert text_of(driver, "h1") == "2 of 2 obligations proved"
    table = rows(driver, "Obligations")
    assert [row[:4] for row in table] == [
        ["UNITS/pages_for/exact", "proved", "A", "1/1"],
        ["UNITS/round_up/exact", "proved", "A", "1/1"],
    ]
    assert all(float(row[-1]) >= 0 for row in table)
    driver.find_element(By.CSS_SELECTOR, "input[type=search]").send_keys("round")
    assert [row[0] for row in rows(driver, "Obligations")] == ["UNITS/round_up/exact"]
    squares = driver.find_elements(By.CSS_SELECTOR, ".squares .square")
    assert [cast("str", square.get_attribute("class")) for square in squares] == ["square A", "square A"]
    assert complaints(driver) == []


def test_a_page_that_cannot_be_written_is_said_before_the_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = str(tmp_path / "none" / "page.html")
    for command in (["check", "model"], ["run", "script.kmem"], ["verify"]):
        assert main([*command, "--html", where]) == 2
        said = capsys.readouterr()
        assert said.out == ""
        assert said.err.startswith(f"kmem-oracle: cannot write {where}: ")
        assert said.err.count("\n") == 1
