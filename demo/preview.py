"""`python -m demo.preview`: a screenshot of the dashboard on made-up traffic, names masked."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ledger.settings import ROOT

SCREENSHOT = ROOT / "docs" / "preview.png"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
WIDTH, HEIGHT = 1280, 1480
TIMEOUT_SECONDS = 120.0
POLL_SECONDS = 0.25
# The quota worker polls one account after the other.
QUOTA_SECONDS = 5.0


def main() -> None:
    """Run a demo of its own, take a screenshot of its dashboard, and end it."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        raise SystemExit("There is no Chromium here: install chromium, then try again.")
    with tempfile.TemporaryDirectory() as folder, running(Path(folder)) as address:
        SCREENSHOT.parent.mkdir(exist_ok=True)
        take_screenshot(browser, f"{address}?mask=1")
    print(f"{SCREENSHOT.relative_to(ROOT)} was written.")


@contextmanager
def running(folder: Path) -> Iterator[str]:
    """Run a demo in a folder inside the block; yield its dashboard's address."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    env = {name: value for name, value in os.environ.items() if "LEDGER" not in name}
    env |= {"LEDGER_DATA_DIR": str(folder), "LEDGER_DASHBOARD_PORT": str(port)}
    demo = subprocess.Popen(
        [sys.executable, "-m", "demo"], cwd=ROOT, env=env, start_new_session=True
    )
    try:
        address = f"http://127.0.0.1:{port}/"
        wait_until_ready(address, demo)
        yield address
    finally:
        os.killpg(demo.pid, signal.SIGINT)
        demo.wait()


def wait_until_ready(address: str, demo: subprocess.Popen[bytes]) -> None:
    """Wait until the dashboard answers and has quotas."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while demo.poll() is None and time.monotonic() < deadline:
        try:
            urllib.request.urlopen(address, timeout=2).close()
            time.sleep(QUOTA_SECONDS)
            return
        except (urllib.error.URLError, TimeoutError):
            time.sleep(POLL_SECONDS)
    raise SystemExit("The demo did not start.")


def take_screenshot(browser: str, address: str) -> None:
    """Save a screenshot of a page."""
    # Imported here, since only the requirements of the tests contain it.
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        page = chromium.new_page(
            viewport={"width": WIDTH, "height": HEIGHT}, locale="en-US", color_scheme="light"
        )
        page.goto(address)
        page.wait_for_selector("#chart-over_time svg")
        page.screenshot(path=SCREENSHOT)
        chromium.close()


if __name__ == "__main__":
    main()
