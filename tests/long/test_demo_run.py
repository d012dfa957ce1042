"""`make demo`, as a new user starts it."""

import os
import signal
import sqlite3
from contextlib import closing

import httpx
import pytest

from ledger.data_folder import prepare
from tests.support.home import Home, eventually
from tests.support.sites import free_port


class Demo:
    """A running `make demo` in a home."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.port = free_port()
        home.env |= {"LEDGER_DASHBOARD_PORT": str(self.port), "CLIPROXY_MANAGEMENT_KEY": ""}
        self.make = home.make("demo")

    def accounts(self) -> list[dict]:
        """Return the accounts of 30 days from the dashboard, none before it answers."""
        address = f"http://127.0.0.1:{self.port}/ledger/accounts.json?window=30d&_shape=array"
        try:
            return httpx.get(address, trust_env=False, timeout=120).json()
        except httpx.ConnectError:
            return []

    def end(self) -> str:
        """Press Ctrl-C and return the output."""
        os.killpg(self.make.pid, signal.SIGINT)
        return self.make.communicate(timeout=300)[0]


@pytest.fixture
def demo_home(tmp_path):
    """A home without any settings of a real proxy."""
    home = Home(tmp_path)
    yield home
    home.end()


def test_the_demo_shows_thirty_days_and_streams_on_without_refilling(demo_home):
    first = Demo(demo_home)
    accounts = eventually(first.accounts, within=100)
    assert sum(row["requests"] for row in accounts) >= 20_000
    assert len({row["provider"] for row in accounts}) >= 5
    states = "select state, count(*) from quota_accounts group by state"
    expected = {"ok": 10, "needs_login": 1, "no_source": 1}
    eventually(lambda: dict(demo_home.query(states)) == expected)
    assert demo_home.count("quota_points") > 5000
    output = first.end()
    assert "30 days of history" in output
    stored = demo_home.count()
    days = demo_home.query("select count(*) from days_by_window where window = '30d'")
    assert days[0][0] >= 30

    second = Demo(demo_home)
    eventually(second.accounts, within=30)
    output = second.end()
    assert "days of history" not in output
    assert demo_home.count() - stored < 1000
    assert demo_home.query("select sum(duplicate), sum(rejected) from ingest_ledger") == [(0, 0)]
    demo_home.run("ledger", "check")


def test_the_demo_leaves_a_real_ledger_alone(demo_home):
    prepare(demo_home.data, timezone="UTC").close()
    with closing(sqlite3.connect(demo_home.data / "ledger.db")) as conn:
        conn.execute("insert into proxies (name) values ('192.0.2.1:8317')")
        conn.commit()
    output = demo_home.run("demo", status=1)
    assert "real proxy" in output
