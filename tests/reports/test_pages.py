"""Pages in a real browser: they open, slide and filter, show what happened, and take no text for a script."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final, cast

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.select import Select
from selenium.webdriver.support.wait import WebDriverWait
from tests.reports.browser import NEEDS, browser, complaints, opened, script, text_of
from tests.reports.recorded import Heard, big_script, heard, mixed_script, recorded
from tests.targets import build

from kmem_oracle.campaign.recorder import MOST
from kmem_oracle.campaign.result import Found, Result
from kmem_oracle.cli import main
from kmem_oracle.reports.html.memory import memory_page
from kmem_spec.judge import Judge

pytestmark = pytest.mark.needs(*NEEDS)
STATES: Final = 100
LIVE: Final = """
const { chapter, map, k } = window.picture;
map.paint();
const ids = chapter.live(k);
return {
  state: k,
  live: ids.map((id) => [
    chapter.hex(chapter.at[id]), chapter.length[id] + chapter.guard[id], chapter.size[id],
    FAMILIES[chapter.family[id]],
  ]),
  drawn: [...new Set(map.shown)].sort((a, b) => a - b),
  ids: ids.sort((a, b) => a - b),
};
"""
Row = tuple[str, int, int, str]
HOSTILE: Final = "</script><script>window.broken=1</script><img src=x onerror='window.broken=1'>\u2028${1}"


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    with browser(tmp_path_factory.mktemp("browser")) as running:
        yield running


def shown(driver: Chrome, text: str, folder: Path) -> Chrome:
    """Open a page that is given as text."""
    path = folder / "page.html"
    path.write_text(text, encoding="utf-8")
    return opened(driver, path)


def go(driver: Chrome, state: int) -> dict[str, list[object]]:
    """Go to a state and return what the page has and draws there."""
    script(driver, "window.picture.go(arguments[0])", state)
    return cast("dict[str, list[object]]", script(driver, LIVE))


def replayed(history: Heard, states: set[int]) -> dict[int, list[Row]]:
    """Return what is live in some states by the judge's tables, the events read one by one."""
    judge = Judge(history.profile, looked=True)
    found: dict[int, list[Row]] = {}
    state = 0
    for op, event in [*zip(history.ops, history.events, strict=True), (None, None)]:
        if op is None or op.api != "item":
            if state in states:
                found[state] = [
                    (hex(start), length, judge.records[start].asked.size, judge.records[start].asked.family)
                    for start, length in sorted(judge.spans.items())
                ]
            state += 1
        if event is not None:
            assert judge.take(*event) is None
    return found


@pytest.mark.parametrize("make", [mixed_script, lambda: mixed_script(seed=2, room=4)])
def test_at_100_random_calls_the_page_shows_what_the_judges_tables_hold(
    driver: Chrome, tmp_path: Path, make: Callable[[], str]
) -> None:
    history = heard("model", make())
    shown(driver, memory_page(history.result), tmp_path)
    calls = sum(op.api != "item" for op in history.ops)
    states = random.Random(1).sample(range(calls + 1), STATES)
    expected = replayed(history, set(states))
    assert sum(len(rows) for rows in expected.values()) > 20 * STATES
    for state in states:  # in no order: seeking is tested as well
        seen = go(driver, state)
        assert [tuple(cast("list[object]", row)) for row in seen["live"]] == expected[state], state
        assert seen["drawn"] == seen["ids"], state
    assert complaints(driver) == []


def test_the_table_says_what_the_picture_shows(driver: Chrome, tmp_path: Path) -> None:
    shown(
        driver,
        memory_page(recorded("model", "a = kmalloc(100, GFP_KERNEL); v = vmalloc(9000); kfree(a)")),
        tmp_path,
    )
    go(driver, 2)
    script(driver, "window.picture.showSlow()")
    rows = [row.text.split() for row in driver.find_elements(By.CSS_SELECTOR, ".table tbody tr")]
    assert [row[0] for row in rows] == ["a", "b"]
    assert rows[1][2:5] == ["12,288", "9,000", "vmalloc"]
    assert "kmalloc 1 object, 128 B; vmalloc 1 object, 12 KiB" in str(
        driver.find_element(By.CSS_SELECTOR, "canvas[role=img]").get_attribute("aria-label")
    )
    go(driver, 3)
    script(driver, "window.picture.showSlow()")
    assert [row.text.split()[0] for row in driver.find_elements(By.CSS_SELECTOR, ".table tbody tr")] == ["b"]


@pytest.mark.needs("cc")
def test_a_fault_is_open_at_its_call_with_both_owners_marked(
    driver: Chrome, tmp_path: Path, targets: Path
) -> None:
    library = build.library("EXACT_SHORT", directory=targets)
    lines = "a = alloc_pages_exact(8193, GFP_KERNEL); b = alloc_pages_exact(1, GFP_KERNEL)"
    shown(driver, memory_page(recorded(str(library), lines)), tmp_path)
    assert text_of(driver, "h1") == "MEM-APART broken by the allocator"
    assert text_of(driver, ".rule") == "No two live allocations share a byte, each at its usable size."
    said = str(driver.find_element(By.CSS_SELECTOR, "svg.scene").get_attribute("aria-label"))
    assert re.fullmatch(
        r"b: 4,096 bytes \(1 asked for\) from alloc_pages_exact, call 2, at 0x[0-9a-f]+; "
        r"a: 12,288 bytes( \(8193 asked for\))? from alloc_pages_exact, call 1, at 0x[0-9a-f]+; "
        r"they share 4,096 bytes from 0x[0-9a-f]+",
        said,
    ), said
    assert script(driver, "return window.picture.k") == 2
    assert len(go(driver, 2)["live"]) == 2
    faulty = driver.find_element(By.CSS_SELECTOR, ".call.faulty")
    assert "b = alloc_pages_exact(1, GFP_KERNEL)" in faulty.text
    driver.find_element(By.XPATH, "//button[starts-with(., '1: a = ')]").click()
    assert script(driver, "return window.picture.k") == 1
    driver.find_element(By.TAG_NAME, "body").send_keys("f")
    assert script(driver, "return window.picture.k") == 2
    assert complaints(driver) == []


def test_slider_keys_filter_and_search_move_the_picture(driver: Chrome, tmp_path: Path) -> None:
    shown(driver, memory_page(recorded("model", mixed_script())), tmp_path)
    slider = driver.find_element(By.ID, "slider")
    go(driver, 10)
    slider.send_keys(Keys.ARROW_RIGHT)
    assert script(driver, "return window.picture.k") == 11
    assert str(slider.get_attribute("aria-valuetext")).startswith("call 11 of ")
    ActionChains(driver).send_keys("jjk").perform()
    assert script(driver, "return window.picture.k") == 12
    before = script(driver, "return window.picture.calls.calls.length")
    chip = driver.find_element(By.CSS_SELECTOR, ".chip.kmalloc")
    chip.click()
    WebDriverWait(driver, 5).until(lambda _: chip.get_attribute("aria-pressed") == "false")
    after = script(driver, "return window.picture.calls.calls.length")
    assert cast("int", after) < cast("int", before)
    chip.click()
    ActionChains(driver).send_keys("/").perform()
    search = driver.find_element(By.ID, "search")
    assert driver.switch_to.active_element == search
    search.send_keys("vmalloc(", Keys.ENTER)
    assert "vmalloc(" in text_of(driver, ".now")
    search.clear()
    search.send_keys("b", Keys.ENTER)
    assert script(driver, "return window.picture.chapter.label[window.picture.selected]") == "b"
    assert complaints(driver) == []


def test_arrow_keys_go_from_object_to_object_and_say_so(driver: Chrome, tmp_path: Path) -> None:
    shown(driver, memory_page(recorded("model", "repeat 3 { a[i] = kmalloc(64, GFP_KERNEL) }")), tmp_path)
    go(driver, 3)
    picture = driver.find_element(By.CSS_SELECTOR, ".map")
    picture.send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    assert text_of(driver, "[aria-live=polite]").startswith("b: 64 bytes at 0xffff8880")
    calls = driver.find_element(By.CSS_SELECTOR, ".calls")
    calls.send_keys(Keys.HOME)
    assert script(driver, "return window.picture.k") == 1


def test_everything_that_is_used_has_a_name(driver: Chrome, tmp_path: Path) -> None:
    shown(driver, memory_page(recorded("model", mixed_script())), tmp_path)
    nameless = script(
        driver,
        """const named = (each) => each.ariaLabel || each.textContent.trim() || each.labels?.length;
        const used = "button, input, select, canvas:not([aria-hidden]), section, [role]";
        return [...document.querySelectorAll(used)]
        .filter((each) => !each.closest("[hidden]") && each.role !== "status" && !named(each))
        .map((each) => each.outerHTML.slice(0, 80))""",
    )
    assert nameless == []


def test_light_and_dark_follow_the_reader(driver: Chrome, tmp_path: Path) -> None:
    shown(driver, memory_page(recorded("model", "a = kmalloc(64, GFP_KERNEL)")), tmp_path)
    grounds = []
    for scheme in ("light", "dark"):
        feature = {"name": "prefers-color-scheme", "value": scheme}
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
        grounds.append(
            script(
                driver,
                """window.picture.map.paint();
                const { canvas } = window.picture.map;
                const pixel = canvas.getContext("2d").getImageData(canvas.width - 30, 10, 1, 1).data;
                return [getComputedStyle(document.documentElement).backgroundColor, [...pixel].join()]""",
            )
        )
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    light, dark = cast("list[list[str]]", grounds)
    assert light[0] == "rgb(255, 255, 255)"
    assert dark[0] != light[0]
    assert dark[1] != light[1]


def test_a_hostile_name_message_or_phase_runs_no_script(driver: Chrome, tmp_path: Path) -> None:
    text = memory_page(
        _hostile(recorded("model", "a = kmalloc(64, GFP_KERNEL | GFP_ATOMIC | __GFP_DMA | __GFP_HIGHMEM)"))
    )
    shown(driver, text, tmp_path)
    assert HOSTILE.split("$")[0].strip() in text_of(driver, ".seen")
    assert script(driver, "return [typeof window.broken, document.images.length]") == ["undefined", 0]
    assert script(driver, "return document.scripts.length") == 2
    assert complaints(driver) == []


def test_the_policy_stops_what_would_get_in(driver: Chrome, tmp_path: Path) -> None:
    shown(driver, memory_page(recorded("model", "a = kmalloc(64, GFP_KERNEL)")), tmp_path)
    script(
        driver,
        """const late = document.createElement("script");
        late.textContent = "window.broken = 1";
        document.body.append(late);
        const picture = document.createElement("img");
        picture.src = "data:image/gif;base64,R0lGODlhAQABAAAAACw=";
        document.body.append(picture);""",
    )
    assert script(driver, "return typeof window.broken") == "undefined"
    stopped = complaints(driver)
    assert len(stopped) == 2
    assert all("Content Security Policy" in each for each in stopped), stopped


def test_a_history_of_100_000_calls_opens_and_slides(driver: Chrome, tmp_path: Path) -> None:
    result = recorded("model", big_script(MOST + 5_000))
    text = memory_page(result)
    assert len(text) < 6 << 20
    shown(driver, text, tmp_path)
    assert script(driver, "return window.picture.chapter.count") == MOST
    assert script(driver, "return window.picture.chapter.first") == 5_000
    live = [len(go(driver, state)["live"]) for state in (0, MOST, 50_000, 49_999)]
    assert live[0] > 200
    assert abs(live[2] - live[3]) == 1
    assert complaints(driver) == []


def _hostile(result: Result) -> Result:
    """Return a result all of whose texts from outside are hostile."""
    (found,) = result.found
    assert found.play.finding is not None
    assert found.play.history is not None
    finding = replace(found.play.finding, message=HOSTILE)
    history = replace(found.play.history, finding=finding)
    play = replace(found.play, finding=finding, history=history)
    return replace(result, target=HOSTILE, found=[Found(play, HOSTILE)], phase=HOSTILE)


def test_of_several_violations_one_is_chosen(driver: Chrome, tmp_path: Path) -> None:
    one = recorded("model", "a = kmalloc(64, __GFP_DMA | __GFP_HIGHMEM)")
    lines = 'c = kmem_cache_create("c", 8, 0, 0, NULL); a = kmem_cache_alloc(c, GFP_KERNEL)'
    two = recorded("model", f"{lines}; kmem_cache_destroy(c)")
    shown(driver, memory_page(replace(one, found=[*one.found, *two.found])), tmp_path)
    assert text_of(driver, "h1") == "CALLER-GFP broken by the caller"
    Select(driver.find_element(By.ID, "chapter")).select_by_index(1)
    assert text_of(driver, "h1") == "CALLER-DESTROY broken by the caller"
    assert "kmem_cache_destroy(cache)" in text_of(driver, ".now")
    assert complaints(driver) == []


def test_of_a_campaign_each_phase_can_be_seen(driver: Chrome, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    assert main(["check", "model:64", "--calls", "1500", "--html", str(path)]) == 0
    opened(driver, path)
    choice = Select(driver.find_element(By.ID, "chapter"))
    names = [option.text for option in choice.options]
    assert len(names) > 1
    assert re.fullmatch(r"boundaries \([\d,]+ calls\)", names[0])
    choice.select_by_index(len(names) - 1)
    count = cast("int", script(driver, "return window.picture.chapter.count"))
    assert f"({count:,} calls)" in names[-1]
    assert go(driver, count)["ids"] == go(driver, count)["drawn"]
    assert complaints(driver) == []


def test_a_page_asks_for_nothing_from_a_network(tmp_path: Path) -> None:
    text = memory_page(recorded("model", "a = kmalloc(64, GFP_KERNEL)"))
    assert "default-src 'none'" in text
    addresses = set(re.findall(r"https?://[^\s\"']+", text))
    assert addresses == {"http://www.w3.org/2000/svg"}  # the name of a language, not a place
