"""Fixtures that every test may ask for."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.register_assert_rewrite("tests.support")

from demo.fake_proxy import FakeProxy, serving  # noqa: E402
from tests.support.home import KEY, RECORDINGS, Home, recorded  # noqa: E402


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


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Let a skipped test fail the run where everything must be there."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") and reporter and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
