"""A headless Chromium that opens pages from disk, and what a test may ask of it."""

from __future__ import annotations

import io
import json
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

NO_BROWSER = "chromium and chromedriver (Debian: chromium, chromium-driver) are not installed"
# Graphics without a graphics card.
ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--hide-scrollbars",
)
PATIENCE_SECONDS = 120.0


@dataclass
class Page:
    """A page in the browser."""

    driver: Any
    url: str
    console: list[str] = field(default_factory=list)

    def run(self, script: str, *arguments: object) -> Any:
        """What a piece of script returns."""
        return self.driver.execute_script(script, *arguments)

    def wait(self, condition: str) -> None:
        """Wait until an expression is true."""
        end = time.monotonic() + PATIENCE_SECONDS
        while not self.run(f"return Boolean({condition})"):
            assert time.monotonic() < end, f"{condition}: {self.errors()}"
            time.sleep(0.05)

    def settle(self) -> None:
        """Wait until what was asked for is drawn."""
        self.driver.execute_async_script(
            "const done = arguments[0];"
            "requestAnimationFrame(() => requestAnimationFrame(() => requestAnimationFrame(done)))"
        )

    def find(self, selector: str) -> Any:
        """The first element of a kind."""
        return self.driver.find_element("css selector", selector)

    def errors(self) -> list[str]:
        """Errors that the console tells, since the page was opened."""
        self.console += [
            entry["message"]
            for entry in self.driver.get_log("browser")
            if entry["level"] == "SEVERE"
        ]
        return self.console

    def requests(self) -> list[str]:
        """Addresses that were asked for since the last call, but for what the page itself holds."""
        messages = [
            json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")
        ]
        asked = [
            message["params"]["request"]["url"]
            for message in messages
            if message["method"] == "Network.requestWillBeSent"
        ]
        return [url for url in asked if url != self.url and not url.startswith(("data:", "blob:"))]

    def picture(self, selector: str) -> NDArray[np.uint8]:
        """Pixels of an element as they are on the screen, shape (H, W, 3)."""
        self.settle()
        content = self.find(selector).screenshot_as_png
        return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


OpenPage = Callable[..., Page]


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """The browser; one process for all tests."""
    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if browser is None or driver is None:
        pytest.skip(NO_BROWSER)
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for argument in ARGUMENTS:
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    running = webdriver.Chrome(options=options, service=Service(driver))
    yield running
    running.quit()


@pytest.fixture
def open_page(chromium: Any) -> Iterator[OpenPage]:
    """Open a file or an address in a window of a size; ``script`` runs before those of the page."""
    ran: list[str] = []

    def open_it(place: Path | str, width: int = 1440, height: int = 1000, script: str = "") -> Page:
        url = place.as_uri() if isinstance(place, Path) else place
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        if script:
            command = "Page.addScriptToEvaluateOnNewDocument"
            ran.append(chromium.execute_cdp_cmd(command, {"source": script})["identifier"])
        for log in ("browser", "performance"):
            chromium.get_log(log)
        chromium.get(url)
        return Page(chromium, url)

    yield open_it
    for identifier in ran:
        command = "Page.removeScriptToEvaluateOnNewDocument"
        chromium.execute_cdp_cmd(command, {"identifier": identifier})
    chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})
    # Frees the graphics that the page held.
    chromium.get("about:blank")
