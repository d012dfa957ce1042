"""A ledger that is locked, full, read-only, deleted or replaced while events arrive."""

import os
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from tests.support.chaos_rig import LARGE, SIZE, account, events, nothing_lost, record, stopped
from tests.support.home import eventually

pytestmark = pytest.mark.timeout(1200)
LOCKED_SECONDS = 60 if LARGE else 8


def mounts() -> bool:
    """Return whether this user may mount a small disk, for example in a container."""
    return os.geteuid() == 0 and shutil.which("mount") is not None


@pytest.fixture
def disk(home):
    """A small disk of its own below the data folder."""
    if not mounts():
        pytest.skip("needs the right to mount a small disk")
    home.data.mkdir(parents=True)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m,mode=700", "tmpfs", str(home.data)], check=False
    )
    if done.returncode:
        pytest.skip("needs the right to mount a small disk")
    yield home.data
    home.end()
    subprocess.run(["umount", str(home.data)], check=True)


def waiting(home) -> str:
    """Return the detail of the collector's heartbeat: what it waits for."""
    rows = home.query("select detail from heartbeats where worker = 'ingest' and state = 'waiting'")
    return rows[0][0] if rows else ""


def has_asked(home) -> bool:
    """Return whether the collector has finished its start and only pops."""
    asked = "select 1 from proxies where last_pop_at and asked_at"
    return bool(home.count("proxies") and home.query(asked))


@contextmanager
def filled(disk: Path) -> Iterator[None]:
    """Leave no room on a disk while the block runs."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as opened, suppress(OSError):
        while opened.write(bytes(4096)):
            pass
    yield
    ballast.unlink()


def test_a_ledger_locked_by_another_process(home, proxy):
    home.use(proxy)
    process = home.start("ingest")
    eventually(lambda: has_asked(home))
    with closing(sqlite3.connect(home.data / "ledger.db", isolation_level=None)) as locker:
        locker.execute("begin immediate")
        proxy.push(events(SIZE))
        eventually(lambda: proxy.popped)
        began = time.monotonic()
        while time.monotonic() - began < LOCKED_SECONDS:
            assert len(proxy.popped) == 1
            time.sleep(0.2)
        locker.execute("commit")
    eventually(lambda: home.count() == SIZE, within=180)
    output = stopped(process)
    assert "locked by another process" in output
    assert output.count("locked by another process") <= 2
    found = account(home, proxy, SIZE)
    nothing_lost(home, found)
    assert home.query("select distinct cause from gaps where ended_at") == [("ledger locked",)]
    record(
        f"ledger locked for {LOCKED_SECONDS} s",
        "one batch is popped and is in the spool, then nothing is popped; one line is "
        "logged; collection continues by itself",
        found,
    )


def test_a_full_disk(home, proxy, disk):
    home.use(proxy)
    process = home.start("ingest")
    eventually(lambda: home.count("heartbeats"))
    made = events(SIZE)
    proxy.push(made[: SIZE // 2])
    with filled(disk):
        proxy.push(made[SIZE // 2 :])
        popped = len(proxy.popped)
        time.sleep(3)
        # The batch on its way, and the one that the spool had room for.
        assert len(proxy.popped) - popped <= 2
        queued = proxy.queued
    eventually(lambda: home.count() == SIZE, within=180)
    output = stopped(process)
    assert "disk is full" in output or "No space left" in output
    found = account(home, proxy, SIZE)
    nothing_lost(home, found)
    record(
        "disk full (a disk of 24 MB)",
        f"nothing is popped that could not be stored ({queued:,} events waited in the queue); "
        "collection continues by itself",
        found,
    )


def test_a_full_disk_and_a_stop_in_the_midst_of_it(home, proxy, disk):
    home.use(proxy)
    process = home.start("ingest")
    eventually(lambda: home.count("heartbeats"))
    with filled(disk):
        proxy.push(events(SIZE))
        time.sleep(2)
        stopped(process)
    home.run("ingest", "--once")
    found = account(home, proxy, SIZE)
    nothing_lost(home, found)
    record(
        "disk full, and the collector stopped during that time",
        "the popped batch is in the spool",
        found,
    )


def test_a_folder_that_becomes_read_only(home, proxy, disk):
    home.use(proxy)
    process = home.start("ingest")
    eventually(lambda: home.count("heartbeats"))
    made = events(SIZE)
    proxy.push(made[: SIZE // 2])
    eventually(lambda: home.count() == SIZE // 2)
    locks = subprocess.run(
        ["mount", "-o", "remount,ro", str(disk)], check=False, capture_output=True
    )
    if locks.returncode:
        # Files are open for writing: what can be had is a folder where nothing new can be made.
        disk.chmod(0o500)
    proxy.push(made[SIZE // 2 :])
    time.sleep(2)
    subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=False, capture_output=True)
    disk.chmod(0o700)
    eventually(lambda: home.count() == SIZE, within=180)
    stopped(process)
    found = account(home, proxy, SIZE)
    nothing_lost(home, found)
    how = "open files are still written" if locks.returncode else "waits with a sentence"
    record("folder made read-only while running", f"{how}; nothing lost", found)


def test_a_start_on_a_read_only_folder_waits_with_a_sentence(home, proxy, disk):
    home.use(proxy)
    home.run("ingest", "--once")
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    proxy.push(events(SIZE))
    process = home.start("ingest")
    output = process.stdout.readline()
    assert "waiting" in output
    assert proxy.queued == SIZE
    subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
    eventually(lambda: home.count() == SIZE, within=180)
    stopped(process)
    found = account(home, proxy, SIZE)
    nothing_lost(home, found)
    record(
        "started on a read-only folder",
        "waits with a sentence, pops nothing, then continues",
        found,
    )


def test_a_ledger_file_that_is_deleted_and_put_back(home, proxy):
    home.use(proxy)
    process = home.start("ingest")
    made = events(SIZE)
    eventually(lambda: home.count("heartbeats"))
    proxy.push(made[: SIZE // 2])
    eventually(lambda: home.count() > 0)
    file, aside = home.data / "ledger.db", home.data / "aside.db"
    file.rename(aside)
    proxy.push(made[SIZE // 2 :])
    time.sleep(1)
    queued = proxy.queued
    assert queued > 0
    aside.rename(file)
    eventually(lambda: home.count() == SIZE, within=180)
    assert "was deleted while in use" in stopped(process)
    found = account(home, proxy, SIZE)
    nothing_lost(home, found)
    record(
        "ledger file moved away and put back while running",
        f"nothing is popped in that time ({queued:,} events waited), which is reported; "
        "collection continues by itself",
        found,
    )


def test_a_ledger_file_that_is_replaced(home, proxy):
    """Another ledger in its place, as after a restore by hand: what follows goes into that one."""
    home.use(proxy)
    home.run("ingest", "--once")
    file = home.data / "ledger.db"
    other = home.data / "other.db"
    with closing(sqlite3.connect(file)) as conn, closing(sqlite3.connect(other)) as copied:
        conn.backup(copied)
    other.chmod(0o600)
    process = home.start("ingest")
    eventually(lambda: home.query("select 1 from heartbeats where state = 'working'"))
    made = events(SIZE)
    proxy.push(made[: SIZE // 2])
    eventually(lambda: home.count() == SIZE // 2)
    # A file is never replaced together with a log that belongs to the old one.
    for name in ("ledger.db-wal", "ledger.db-shm"):
        (home.data / name).unlink()
    other.rename(file)
    proxy.push(made[SIZE // 2 :])
    eventually(lambda: not proxy.queued, within=60)
    eventually(lambda: home.count() >= SIZE // 2, within=60)
    output = stopped(process)
    assert "another file has replaced the ledger" in output
    home.run("ledger", "check")
    assert SIZE // 2 <= home.count() <= SIZE
    record(
        "ledger file replaced by another while running",
        "restarts with the new file, which has all later events",
        f"{SIZE:,} events, {home.count():,} in the new file, the others in the old one",
    )
