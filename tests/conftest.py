"""Fixtures that every test may ask for."""

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

pytest.register_assert_rewrite("tests.support")

from demo.fake_proxy import FakeProxy, serving  # noqa: E402
from tests.support.home import KEY, RECORDINGS, Home, recorded  # noqa: E402
from tests.support.sites import client_of, recorded_home  # noqa: E402

if TYPE_CHECKING:
    import httpx
    from playwright.sync_api import Browser


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    """A data folder of the test's own."""
    home = Home(tmp_path)
    yield home
    home.end()


@pytest.fixture
def proxy() -> Iterator[FakeProxy]:
    """A fake proxy that keeps its events for an hour."""
    with serving(FakeProxy(key=KEY, retention=3600)) as served:
        yield served


@pytest.fixture(scope="session")
def all_recorded() -> list[bytes]:
    """Every recorded payload."""
    return [payload for name in RECORDINGS for payload in recorded(name)]


@pytest.fixture(scope="module")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A home whose ledger holds every recorded event, the last of them a second ago."""
    with recorded_home(tmp_path_factory.mktemp("seeded")) as home:
        home.stop_clock()
        yield home


@pytest.fixture(scope="module")
def site(seeded: Home) -> Iterator["httpx.Client"]:
    """An HTTP client for the dashboard of the seeded home."""
    with closing(client_of(seeded)) as client:
        yield client


# Not for the session: while Playwright runs, no other code can run an event loop.
@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    """Chromium."""
    from tests.support.browsing import chromium  # Slow to load, and few tests need it.

    with chromium() as browser:
        yield browser


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Fail the run for a skipped test, where everything must be installed."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") and reporter and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
