"""Take the README's pictures anew, of real runs: `python -m tests.reports.screenshots DIR`.

Needs chromium, chromedriver and a C compiler. `pngquant --force --ext .png --speed 1 DIR/*.png` makes the
pictures small.
"""

from __future__ import annotations

import sys
import tempfile
from contextlib import chdir
from pathlib import Path
from typing import Final

from selenium.webdriver import Chrome
from tests.reports.browser import browser, opened, script
from tests.reports.recorded import mixed_script, recorded
from tests.targets import build

from kmem_oracle.cli import main
from kmem_oracle.reports.html.memory import memory_page

WIDTH: Final = 1280


def take(
    driver: Chrome, page: Path, height: int, picture: Path, *, dark: bool = False, then: str = ""
) -> None:
    """Take a picture of a page."""
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
    size = {"width": WIDTH, "height": height, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    opened(driver, page)
    if then:
        script(driver, then)
    driver.execute_async_script("setTimeout(arguments[0], 800)")
    driver.save_screenshot(str(picture))


def run(folder: Path, driver: Chrome, scratch: Path) -> None:
    """Take all pictures."""
    page = scratch / "page.html"
    library = build.library("EXACT_SHORT", directory=scratch)
    library.rename(scratch / "libexact.so")
    with chdir(scratch):
        main(["check", "./libexact.so", "--html", str(page)])
    take(driver, page, 830, folder / "fault.png")
    page.write_text(
        memory_page(recorded("model", mixed_script(seed=3, room=700, calls=6_000))), encoding="utf-8"
    )
    take(driver, page, 860, folder / "memory.png", dark=True, then="window.picture.go(4_000)")
    main(["verify", "--html", str(page)])
    take(driver, page, 700, folder / "verify.png")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch, browser(Path(scratch) / "browser") as driver:
        run(Path(sys.argv[1]), driver, Path(scratch))
