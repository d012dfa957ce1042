"""A real browser on a real dashboard, and the errors that it reports."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.support.sites import Site

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
TIMEOUT_MS = 60_000


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run Chromium; where it is missing, skip the test, or fail it in CI."""
    if CHROMIUM is None:
        reason = "there is no chromium here: apt-get install chromium"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


class Seen:
    """The errors that a page reported, and the addresses that it requested."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.errors: list[str] = []
        self.requested: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", self.record)
        page.on("request", lambda request: self.requested.append(request.url))
        page.on("dialog", lambda dialog: self.errors.append(f"dialog: {dialog.message}"))

    def record(self, message: Any) -> None:
        """Record an error of the console, but for those about a server that was stopped."""
        if message.type in ("error", "warning") and "ERR_CONNECTION" not in message.text:
            self.errors.append(message.text)

    def data(self) -> list[str]:
        """Return the requests for data."""
        # Playwright handles events only while it waits.
        self.page.wait_for_timeout(20)
        return [url for url in self.requested if "/-/page.json" in url]

    def external(self) -> list[str]:
        """Return the requests that left this machine."""
        return [url for url in self.requested if not re.match(r"(http://127\.0\.0\.1:|data:)", url)]


@contextmanager
def opened(browser: Browser, site: Site, path: str = "/", **options: Any) -> Iterator[Page]:
    """Open a page in a new browser profile; fail on an error or a request to another machine."""
    width, height = options.pop("size", (1280, 900))
    context = browser.new_context(
        viewport={"width": width, "height": height},
        locale=options.pop("locale", "en-US"),
        color_scheme=options.pop("color_scheme", "light"),
    )
    context.set_default_timeout(TIMEOUT_MS)
    page = context.new_page()
    page.seen = Seen(page)
    page.goto(f"{site.address}{path}")
    if path.startswith(("/?", "/#")) or path == "/":
        ready(page)
    try:
        yield page
        assert page.seen.errors == [], page.seen.errors
        assert page.seen.external() == [], page.seen.external()
    finally:
        context.close()


def ready(page: Page) -> None:
    """Wait until the page shows its data."""
    page.wait_for_selector("body.is-ready")


def drawn(page: Page, chart: str = "over_time") -> None:
    """Wait until a chart is drawn."""
    page.wait_for_selector(f"#chart-{chart} svg")


def card(page: Page, measure: str) -> str:
    """Return a card's full value."""
    return page.locator(f"[data-measure={measure}] .value").get_attribute("title")


def number_in(text: str) -> int:
    """Parse a number as the page writes it."""
    return int(re.sub(r"\D", "", text))


def picture(page: Page, name: str) -> None:
    """Save a screenshot of a page if the environment asks for one."""
    folder = os.environ.get("LEDGERTEST_PICTURES")
    if folder:
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)
