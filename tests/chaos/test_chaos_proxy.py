"""What the proxy itself does: restarts, forgets, bans, changes, and serves somebody else."""

import socket
import time
from contextlib import closing

import pytest

from demo.fake_proxy import FakeProxy, serving
from tests.support.chaos_rig import (
    SIZE,
    account,
    events,
    must_add_up,
    nothing_lost,
    record,
    stopped,
)
from tests.support.home import KEY, eventually

pytestmark = pytest.mark.timeout(1200)
HALF = SIZE // 2


def codes(home) -> set[str]:
    """Return the codes of the problems."""
    return {code for code, _ in home.problems()}


def collecting(home, proxy, **more: str):
    """Start a collector and wait for its first pop."""
    home.use(proxy, **more)
    process = home.start("ingest")
    eventually(
        lambda: home.count("proxies") and home.query("select 1 from proxies where last_pop_at")
    )
    return process


def test_a_restart_of_the_proxy(home, proxy):
    process = collecting(home, proxy)
    made = events(SIZE)
    proxy.push(made[:HALF])
    eventually(lambda: not proxy.queued)
    proxy.stop()
    proxy.push(made[HALF:])
    lost = proxy.queued
    proxy.lose_queue()
    eventually(lambda: home.query("select 1 from gaps where ended_at is null"))
    proxy.start()
    eventually(lambda: home.query("select 1 from gaps where ended_at is not null"), within=60)
    stopped(process)
    found = account(home, proxy, SIZE)
    assert found.handed_out + lost == SIZE
    assert (found.torn, found.absent) == (0, 0)
    home.run("ledger", "check")
    [(cause,)] = home.query("select cause from gap_estimates")
    assert cause in ("proxy away", "connection lost")
    record(
        "proxy restarts, which loses its queue",
        f"the gap is recorded; {lost:,} events are lost with the proxy's memory, none later",
        found,
    )


def test_events_that_expire_in_the_queue(home):
    with serving(FakeProxy(key=KEY, retention=1)) as proxy:
        process = collecting(home, proxy)
        made = events(SIZE)
        proxy.push(made[:HALF])
        eventually(lambda: not proxy.queued)
        home.query("select 1")
        stopped(process)
        proxy.push(made[HALF:])
        time.sleep(1.2)
        home.run("ingest", "--once")
        found = account(home, proxy, SIZE)
        assert (found.torn, found.absent, home.count()) == (0, 0, found.handed_out)
        home.run("ledger", "check")
        assert home.query("select max(retention_exceeded) from gap_estimates") == [(1,)]
    record(
        "events expire while no collector runs",
        f"gap marked as longer than the proxy keeps events; {SIZE - found.handed_out:,} expired",
        found,
    )


def test_statistics_that_are_switched_off_and_on(home, proxy):
    home.use(proxy)
    made = events(SIZE)
    proxy.statistics = False
    proxy.push(made[:HALF])
    home.run("ingest", "--once")
    assert "statistics_off" in codes(home)
    proxy.statistics = True
    proxy.push(made[HALF:])
    home.run("ingest", "--once")
    assert "statistics_off" not in codes(home)
    assert home.count() == SIZE - HALF
    assert proxy.discarded == HALF
    record(
        "statistics switched off and on",
        "the page reports both",
        f"{SIZE:,} events: {HALF:,} never queued by the proxy, {SIZE - HALF:,} stored",
    )


def test_a_key_that_changes(home, proxy):
    process = collecting(home, proxy)
    made = events(SIZE)
    proxy.push(made[:HALF])
    eventually(lambda: not proxy.queued)
    proxy.key = "another-management-key"
    proxy.stop()
    proxy.start()
    proxy.push(made[HALF:])
    eventually(lambda: "key_refused" in codes(home), within=30)
    failures = proxy.auth_failures
    stopped(process)
    for _ in range(3):
        home.run("ingest", "--once", status=1)
    home.run("quota", "--once", status=None)
    assert proxy.auth_failures == failures == 1
    home.run("ingest", "--once", status=1)
    home.env["CLIPROXY_MANAGEMENT_KEY"] = "another-management-key"
    home.run("ingest", "--once")
    found = account(home, proxy, SIZE)
    nothing_lost(home, found)
    assert home.query("select count(*) from gaps where ended_at is null") == [(0,)]
    assert home.count("gaps") >= 1
    record(
        "management key changed",
        "one attempt by all workers and four restarts together; collection continues "
        "after the correction",
        found,
    )


def test_a_ban(home, proxy):
    with closing(socket.create_connection(("127.0.0.1", proxy.port))) as other:
        for _ in range(5):
            other.sendall(b"*2\r\n$4\r\nAUTH\r\n$5\r\nwrong\r\n")
            other.recv(200)
    home.use(proxy)
    proxy.push(events(SIZE))
    attempts = proxy.auth_attempts
    for _ in range(3):
        home.run("ingest", "--once", status=1)
    assert proxy.auth_attempts == attempts + 1
    assert "key_refused" in codes(home)
    assert proxy.queued == SIZE
    record(
        "address banned, by another program's wrong keys",
        "the end of the ban is reported; one attempt in three starts",
        f"{SIZE:,} events still in the queue",
    )


@pytest.mark.parametrize("versions", [("v6.10.8", "v7.1.17"), ("v7.1.17", "v7.2.140")])
def test_another_version(home, versions):
    made = events(SIZE)
    with serving(FakeProxy(key=KEY, version=versions[0], retention=3600)) as proxy:
        process = collecting(home, proxy)
        proxy.push(made[:HALF])
        eventually(lambda: not proxy.queued)
        proxy.stop()
        proxy.version = versions[1]
        proxy.start()
        proxy.push(made[HALF:])
        eventually(lambda: home.count() == SIZE, within=90)
        stopped(process)
        found = account(home, proxy, SIZE)
        nothing_lost(home, found)
    record(
        f"proxy changes from {versions[0]} to {versions[1]}",
        "RESP or HTTP is used, whichever the proxy serves; nothing is lost",
        found,
    )


def test_a_second_popper_and_a_subscriber(home, proxy):
    """In short: what others took is not here, and the ledger still adds up; see the counters."""
    process = collecting(home, proxy)
    made = events(SIZE)
    taken = 0
    for at in range(0, SIZE, 100):
        proxy.push(made[at : at + 100])
        taken += len(proxy.queue.pop(37))
    eventually(lambda: not proxy.queued, within=60)
    with closing(socket.create_connection(("127.0.0.1", proxy.port))) as other:
        other.sendall(b"*2\r\n$4\r\nAUTH\r\n$%d\r\n%b\r\n" % (len(KEY), KEY.encode()))
        other.recv(100)
        other.sendall(b"*2\r\n$9\r\nSUBSCRIBE\r\n$5\r\nusage\r\n")
        other.recv(100)
        proxy.push(events(100, part=SIZE // 100 + 1))
    stopped(process)
    home.run("ingest", "--once")
    found = account(home, proxy, SIZE - taken)
    must_add_up(home, found)
    assert home.count() == SIZE - taken
    record(
        "a second program pops, then subscribes",
        f"it got {taken + 100:,} events; every other event is stored once",
        found,
    )
