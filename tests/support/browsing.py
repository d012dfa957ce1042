"""A real browser on a real dashboard, and what went wrong in it."""

import os
import re
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.support.home import Home, eventually

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
PATIENCE_MS = 10_000


# Not for the session: while Playwright runs, nobody else can run an event loop.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, which must be there where it counts."""
    if CHROMIUM is None:
        reason = "there is no chromium here: apt-get install chromium"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


def free_port() -> int:
    """Give a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


class Site:
    """A dashboard served from a home, which can be stopped and started again."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        home.env["LEDGER_DASHBOARD_PORT"] = str(self.port)
        self.server = self.start()

    def start(self) -> Any:
        """Start the server and wait until it answers."""
        self.server = self.home.start("runtime.serve")
        eventually(self.answers)
        return self.server

    def stop(self) -> None:
        """Stop the server."""
        self.server.terminate()
        self.server.wait()

    def answers(self) -> bool:
        """Tell whether the server answers."""
        try:
            return httpx.get(f"{self.address}/", trust_env=False, timeout=20).status_code == 200
        except httpx.TransportError:
            return False

    def json(self, path: str, **given: str) -> Any:
        """Ask for JSON."""
        answer = httpx.get(f"{self.address}{path}", params=given, trust_env=False, timeout=20)
        assert answer.status_code == 200, answer.text[:300]
        return answer.json()


class Seen:
    """What a page complained of, and whom it asked."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.asked: list[str] = []
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", self.hear)
        page.on("request", lambda request: self.asked.append(request.url))
        page.on("dialog", lambda dialog: self.complaints.append(f"dialog: {dialog.message}"))

    def hear(self, message: Any) -> None:
        """Note what is said on the console, but for a server that was stopped."""
        if message.type in ("error", "warning") and "ERR_CONNECTION" not in message.text:
            self.complaints.append(message.text)

    def data(self) -> list[str]:
        """Give the requests for data."""
        # Playwright hears of them only while it waits.
        self.page.wait_for_timeout(20)
        return [url for url in self.asked if "/-/page.json" in url]

    def abroad(self) -> list[str]:
        """Give the requests that left this machine."""
        return [url for url in self.asked if not re.match(r"(http://127\.0\.0\.1:|data:)", url)]


@contextmanager
def opened(browser: Browser, site: Site, path: str = "/", **choices: Any) -> Iterator[Page]:
    """Open a page in a fresh browser profile; fail when it complains or asks others."""
    size = choices.pop("size", (1280, 900))
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        locale=choices.pop("locale", "en-US"),
        color_scheme=choices.pop("color_scheme", "light"),
    )
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    page.seen = Seen(page)
    page.goto(f"{site.address}{path}")
    if path.startswith(("/?", "/#")) or path == "/":
        ready(page)
    try:
        yield page
        assert page.seen.complaints == [], page.seen.complaints
        assert page.seen.abroad() == [], page.seen.abroad()
    finally:
        context.close()


def ready(page: Page) -> None:
    """Wait until the page shows its data."""
    page.wait_for_selector("body.is-ready")


def drawn(page: Page, chart: str = "over_time") -> None:
    """Wait until a chart is drawn."""
    page.wait_for_selector(f"#chart-{chart} svg")


def card(page: Page, measure: str) -> str:
    """Give a card's full value."""
    return page.locator(f"[data-measure={measure}] .value").get_attribute("title")


def picture(page: Page, name: str) -> None:
    """Keep a picture of a page where one was asked for."""
    folder = os.environ.get("LEDGERTEST_PICTURES")
    if folder:
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)
