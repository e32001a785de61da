"""A headless Chromium for the tests of pages: Debian's chromium and chromium-driver, steered by Selenium.

Nothing is ever downloaded: Selenium is told where both programs are. On a machine that lacks one of them the tests are
skipped, with a reason that names what to install; in CI they fail, so that none is left out unseen.
"""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

PHONE = (390, 844)
"""The width and height of a phone's screen, in CSS pixels."""
DESKTOP = (1280, 1000)

_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_DRIVERS = ("chromedriver",)


def missing() -> str | None:
    """What has to be installed before a browser can be started, in words; None: nothing."""
    lacking = []
    if find_spec("selenium") is None:
        lacking.append('the package selenium (pip install -c constraints.txt -e ".[dev]")')
    if _found(_BROWSERS) is None:
        lacking.append("Chromium (on Debian: apt-get install chromium)")
    if _found(_DRIVERS) is None:
        lacking.append("ChromeDriver (on Debian: apt-get install chromium-driver)")
    return "this test looks at a page in a browser, and lacks " + " and ".join(lacking) if lacking else None


def need() -> None:
    """Skip the test where there is no browser; in CI (the variable CI is set) fail it."""
    if (words := missing()) is not None:
        if os.environ.get("CI"):
            pytest.fail(words, pytrace=False)
        pytest.skip(words)


@contextmanager
def open_browser(
    size: tuple[int, int] = DESKTOP, *, dark: bool = False, downloads: Path | None = None
) -> Iterator[Any]:
    """A Selenium driver of a fresh, private Chromium; `downloads` is where it saves files without asking.

    A width below 500 is a phone's: with touch, and the page's own scale.
    """
    need()
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = _found(_BROWSERS)
    for switch in (
        "--headless=new",
        "--no-sandbox",  # root has none
        "--disable-dev-shm-usage",
        "--disable-gpu",
        "--disable-background-networking",
        "--disable-component-update",
        "--no-first-run",
        "--hide-scrollbars",
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--window-size={size[0]},{size[1]}",
    ):
        options.add_argument(switch)
    if downloads is not None:
        options.add_experimental_option(
            "prefs", {"download.default_directory": str(downloads), "download.prompt_for_download": False}
        )
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(executable_path=_found(_DRIVERS)))
    try:
        driver.set_page_load_timeout(60)
        if size[0] < 500:
            metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 2, "mobile": True}
            driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
            driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True})
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        if downloads is not None:  # headless Chromium asks for it once more
            behaviour = {"behavior": "allow", "downloadPath": str(downloads)}
            driver.execute_cdp_cmd("Browser.setDownloadBehavior", behaviour)
        yield driver
    finally:
        driver.quit()


def requested_hosts(driver: Any) -> set[str]:
    """The hosts that pages asked for anything since this was last called; data: and blob: have none."""
    hosts = set()
    for entry in driver.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            hosts.add(urlsplit(message["params"]["request"]["url"]).hostname or "")
    return hosts - {""}


def complaints(driver: Any) -> list[str]:
    """The errors on the browser's console since this was last called."""
    return [entry["message"] for entry in driver.get_log("browser") if entry["level"] == "SEVERE"]


def full_page(driver: Any, path: Path) -> Path:
    """A picture of the whole page, however long it is, as PNG."""
    import base64

    shot = driver.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True, "format": "png"})
    path.write_bytes(base64.b64decode(shot["data"]))
    return path


def _found(names: tuple[str, ...]) -> str | None:
    return next((path for name in names if (path := shutil.which(name)) is not None), None)
