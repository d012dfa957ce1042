"""Processes that are killed, stopped or cut from power while events arrive at full speed."""

import os
import random
import shutil
import signal
import sqlite3
import struct
import time
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from tests.support.chaos_rig import LARGE, SIZE, account, events, must_add_up, nothing_lost, record
from tests.support.home import Home, eventually
from tests.support.run import Run
from tests.support.sites import free_port

pytestmark = pytest.mark.timeout(1200)
KILLS = 100 if LARGE else 10
COPIES = 20 if LARGE else 4


def test_kill_9_of_the_collector(home, proxy):
    chance = random.Random(2026)
    home.use(proxy, LEDGER_BATCH_SIZE="100")
    made, part = events(SIZE), SIZE // KILLS
    for number in range(KILLS):
        proxy.push(made[number * part : (number + 1) * part])
        popped = len(proxy.popped)
        process = home.start("ingest")
        wanted = popped + chance.randrange(1, max(part // 100, 2))
        eventually(lambda wanted=wanted: len(proxy.popped) >= wanted or not proxy.queued)
        time.sleep(chance.random() * 0.01)
        process.kill()
        process.communicate()
        if number % 10 == 0:
            home.run("ledger", "check")
    proxy.push(made[KILLS * part :])
    home.run("ingest", "--once")
    found = account(home, proxy, len(made))
    must_add_up(home, found)
    assert found.at_risk <= KILLS
    assert home.spool().read_bytes() == b""
    record(
        f"`kill -9` of ingest, {KILLS} random moments",
        "each batch is stored whole and once, or missing; every missing batch is "
        "recorded as at risk",
        found,
    )


def test_kill_9_of_the_dashboard_and_the_quota_worker(home, proxy):
    made = events(SIZE)
    home.use(proxy, LEDGER_DASHBOARD_PORT=str(free_port()))
    collector = home.start("ingest")
    eventually(lambda: home.count("heartbeats"))
    for module in ("runtime.serve", "quota"):
        killed = home.start(module)
        proxy.push(made[: SIZE // 2] if module == "quota" else made[SIZE // 2 :])
        time.sleep(0.5)
        killed.kill()
        killed.communicate()
        assert collector.poll() is None
    eventually(lambda: home.count() == SIZE, within=120)
    home.env["LEDGER_DASHBOARD_PORT"] = str(free_port())
    again = [home.start("runtime.serve"), home.start("quota")]
    time.sleep(1)
    assert [process.poll() for process in again] == [None, None]
    collector.terminate()
    collector.communicate()
    found = account(home, proxy, SIZE)
    nothing_lost(home, found)
    record(
        "`kill -9` of datasette and quota, as services",
        "ingest is not affected, both are restarted",
        found,
    )


ENDINGS = {
    "Ctrl-C": lambda run: os.killpg(run.make.pid, signal.SIGINT),
    "SIGTERM": lambda run: run.make.terminate(),
    "terminal closed": lambda run: os.killpg(run.make.pid, signal.SIGHUP),
    "honcho killed": lambda run: run.honcho().kill(),
    "`kill -9` of datasette": lambda run: named(run, "runtime.serve").kill(),
    "`kill -9` of quota": lambda run: named(run, "quota").kill(),
}


def named(run: Run, module: str) -> psutil.Process:
    """Find the process of a module."""
    return next(process for process in run.look() if module in process.cmdline()[-1:])


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_ending_of_make_run(home, proxy, ending):
    home.use(proxy)
    made = events(SIZE)
    run = Run(home)
    eventually(lambda: home.count("heartbeats") and run.is_up(), within=60)
    run.look()
    proxy.push(made)
    eventually(lambda: len(proxy.popped) > 2)
    began = time.monotonic()
    ENDINGS[ending](run)
    # What kill -9 left of one process is noticed at the next look, a second later at the most.
    eventually(lambda: not run.left(), within=6)
    took = time.monotonic() - began
    run.make.communicate()
    assert home.spool().read_bytes() == b""
    home.run("ingest", "--once")
    found = account(home, proxy, SIZE)
    nothing_lost(home, found)
    record(
        f"`make run`: {ending}",
        f"all stopped after {took:.1f} s, the spool is empty, no process is left, the "
        "restart is clean",
        found,
    )


def test_a_power_cut(home, proxy, tmp_path):
    """Copy the files while the collector stands still, tear what was not committed, start again."""
    chance = random.Random(7)
    home.use(proxy, LEDGER_BATCH_SIZE="100")
    made = events(SIZE)
    process = home.start("ingest")
    eventually(lambda: home.count("heartbeats"))
    proxy.push(made)
    lost: list[int] = []
    for number in range(COPIES):
        if process.poll() is None and proxy.queued:
            seen = len(proxy.popped)
            eventually(lambda seen=seen: len(proxy.popped) > seen or not proxy.queued)
        time.sleep(chance.random() * 0.02)
        process.send_signal(signal.SIGSTOP)
        time.sleep(0.01)
        out = sum(map(len, proxy.popped))
        batches = len(proxy.popped)
        copied = Home(tmp_path / f"copy{number}")
        shutil.copytree(home.data, copied.data, ignore=shutil.ignore_patterns("*-shm", "*.lock"))
        process.send_signal(signal.SIGCONT)
        tear(copied.data / "ledger.db-wal", chance)
        lost.append(restarted(copied, proxy, out, batches))
        copied.end()
    eventually(lambda: home.count() == SIZE, within=120)
    process.terminate()
    process.communicate()
    nothing_lost(home, account(home, proxy, SIZE))
    assert max(lost) <= 1
    record(
        f"power cut, {COPIES} copies of a stopped collector, log torn after the last commit",
        "each copy opens, is intact and adds up; at most one batch is lost",
        f"{SIZE:,} events; batches lost: {lost.count(0)} times none, {lost.count(1)} times one",
    )


def tear(log: Path, chance: random.Random) -> None:
    """Damage what follows the last commit in a write-ahead log, as a power cut may."""
    content = bytearray(log.read_bytes())
    if len(content) < 32:
        return
    (page,) = struct.unpack(">I", content[8:12])
    salt, at, end = content[16:24], 32, 32
    while at + 24 + page <= len(content) and content[at + 8 : at + 16] == salt:
        at += 24 + page
        if struct.unpack(">I", content[at - page - 20 : at - page - 16])[0]:
            end = at
    tail = chance.randrange(0, 3 * (24 + page))
    log.write_bytes(bytes(content[:end]) + chance.randbytes(tail))


def restarted(copied: Home, proxy, out: int, batches: int) -> int:
    """Start a copy against an empty proxy; give how many batches it lacks of those handed out."""
    from demo.fake_proxy import FakeProxy, serving

    with serving(FakeProxy(key=proxy.key, retention=3600)) as empty:
        # The ledger knows a proxy by its address: the copy goes on with the same row.
        with closing(sqlite3.connect(copied.data / "ledger.db")) as conn, conn:
            assert conn.execute("pragma integrity_check").fetchone() == ("ok",)
            conn.execute("update proxies set name = ?", (f"127.0.0.1:{empty.port}",))
        copied.use(empty)
        copied.run("ingest", "--once")
    copied.run("ledger", "check")
    missing = out - copied.count()
    assert 0 <= missing <= 100, (missing, out, batches)
    return -(-missing // 100)
