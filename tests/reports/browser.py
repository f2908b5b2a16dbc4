"""A real browser without a window, and a page of ours in it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

NEEDS: Final = ("chromium", "chromedriver")
FLAGS: Final = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1400,1000",
)
LONG: Final = 120  # seconds; a machine may have other things to do


@contextmanager
def browser(folder: Path) -> Iterator[Chrome]:
    """Run a browser with a profile of its own in `folder`, which logs what its console says."""
    options = ChromeOptions()
    for flag in (*FLAGS, f"--user-data-dir={folder}"):
        options.add_argument(flag)
    options.binary_location = shutil.which("chromium") or ""
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = Chrome(options=options, service=Service(shutil.which("chromedriver")))
    try:
        driver.set_script_timeout(LONG)
        yield driver
    finally:
        driver.quit()


def opened(driver: Chrome, path: Path) -> Chrome:
    """Open a page and wait until it is drawn."""
    complaints(driver)
    driver.get(path.resolve().as_uri())
    drawn = "return document.body.dataset.ready === 'yes'"
    WebDriverWait(driver, LONG).until(lambda each: script(each, drawn))
    return driver


def script(driver: Chrome, text: str, *arguments: object) -> object:
    """Run a script in the page."""
    result: object = driver.execute_script(text, *arguments)
    return result


def complaints(driver: Chrome) -> list[str]:
    """Return what the console has said since this was last asked."""
    entries: list[dict[str, object]] = driver.get_log("browser")  # type: ignore[no-untyped-call] # selenium's
    return [str(entry["message"]) for entry in entries]


def text_of(driver: Chrome, selector: str) -> str:
    """Return the text of the first element that a selector finds."""
    return str(driver.find_element(By.CSS_SELECTOR, selector).text)
