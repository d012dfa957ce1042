"""`python -m demo.preview`: a picture of the dashboard on made-up traffic, names masked."""

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

from ledger.config import ROOT

PICTURE = ROOT / "docs" / "preview.png"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
SIZE = {"width": 1280, "height": 1480}
PATIENCE_SECONDS = 120.0
POLL_SECONDS = 0.25


def main() -> None:
    """Run a demo of its own, picture its dashboard, and end it."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        raise SystemExit("There is no Chromium here: install chromium, then try again.")
    with tempfile.TemporaryDirectory() as folder, running(Path(folder)) as address:
        PICTURE.parent.mkdir(exist_ok=True)
        picture(browser, f"{address}?mask=1")
    print(f"{PICTURE.relative_to(ROOT)} is new.")


@contextmanager
def running(folder: Path) -> Iterator[str]:
    """Run a demo in a folder for the length of the block; give its dashboard's address."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    env = {name: value for name, value in os.environ.items() if "LEDGER" not in name}
    env |= {"LEDGER_DATA_DIR": str(folder), "LEDGER_DASHBOARD_PORT": str(port)}
    demo = subprocess.Popen(
        [sys.executable, "-m", "demo"], cwd=ROOT, env=env, start_new_session=True
    )
    try:
        address = f"http://127.0.0.1:{port}/"
        wait(address, demo)
        yield address
    finally:
        os.killpg(demo.pid, signal.SIGINT)
        demo.wait()


def wait(address: str, demo: subprocess.Popen[bytes]) -> None:
    """Wait until the dashboard answers."""
    until = time.monotonic() + PATIENCE_SECONDS
    while demo.poll() is None and time.monotonic() < until:
        try:
            urllib.request.urlopen(address, timeout=2).close()
            # The first quotas are asked one by one.
            time.sleep(5)
            return
        except (urllib.error.URLError, TimeoutError):
            time.sleep(POLL_SECONDS)
    raise SystemExit("The demo did not start.")


def picture(browser: str, address: str) -> None:
    """Save what a browser shows there."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        page = chromium.new_page(viewport=SIZE, locale="en-US", color_scheme="light")
        page.goto(address)
        page.wait_for_selector("#chart-over_time svg")
        page.screenshot(path=PICTURE)
        chromium.close()


if __name__ == "__main__":
    main()
