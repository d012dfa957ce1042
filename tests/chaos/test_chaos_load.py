"""Slow readers beside a fast writer, and a long run: the log, memory and handles stay bounded."""

import sqlite3
import threading
import time
from contextlib import closing, suppress

import psutil
import pytest

from tests.support.chaos_rig import LARGE, SIZE, account, events, nothing_lost, pushing, record
from tests.support.home import eventually

pytestmark = pytest.mark.timeout(3600)
RATE = 5000
MAX_LOG_BYTES = 512 << 20
LONG = 2_000_000 if LARGE else 20_000
SLOW = """
  with recursive n (i) as (select 1 union all select i + 1 from n where i < 20000000)
  select (select count(*) from usage_events), max(i) from n
"""


def reading(file, stop: threading.Event) -> None:
    """Hold a snapshot as long as the dashboard lets a query run, repeatedly."""
    while not stop.is_set():
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as conn:
            ends = time.monotonic() + 2.5
            conn.set_progress_handler(
                lambda ends=ends: time.monotonic() > ends or stop.is_set(), 5000
            )
            with suppress(sqlite3.OperationalError):
                conn.execute(SLOW).fetchall()


def test_eight_slow_readers_beside_a_fast_writer(home, proxy):
    home.use(proxy)
    process = home.start("ingest")
    eventually(lambda: home.count("heartbeats"))
    made = events(max(SIZE, 20_000) if not LARGE else 4 * SIZE)
    stop, largest, behind = threading.Event(), 0, 0
    file = home.data / "ledger.db"
    readers = [threading.Thread(target=reading, args=(file, stop)) for _ in range(8)]
    for reader in readers:
        reader.start()
    began = time.monotonic()
    with pushing(proxy, made, rate=RATE) as done:
        while done() < len(made):
            largest = max(largest, log_size(file))
            behind = max(behind, proxy.queued)
            time.sleep(0.1)
    pushed_in = time.monotonic() - began
    eventually(lambda: not proxy.queued, within=120)
    caught_up = time.monotonic() - began - pushed_in
    stop.set()
    for reader in readers:
        reader.join()
    eventually(lambda: home.count() == len(made))
    process.terminate()
    process.communicate()
    assert largest <= MAX_LOG_BYTES, largest
    found = account(home, proxy, len(made))
    nothing_lost(home, found)
    record(
        f"8 readers running slow SQL while up to {RATE:,} events/s arrive",
        f"log at most {largest / 1e6:.0f} MB; {len(made) / pushed_in:,.0f} events/s arrived, at "
        f"most {behind:,} waited, caught up {caught_up:.1f} s after the last",
        found,
    )


def log_size(file) -> int:
    """Return the size of the write-ahead log."""
    try:
        return file.with_name("ledger.db-wal").stat().st_size
    except FileNotFoundError:
        return 0


def test_a_long_run_keeps_memory_and_handles(home, proxy):
    home.use(proxy)
    proxy.records = False
    process = home.start("ingest")
    watched = psutil.Process(process.pid)
    eventually(lambda: home.count("heartbeats"))
    part = min(50_000, LONG // 4)
    samples: list[tuple[int, float, int]] = []
    began = time.monotonic()
    for number in range(LONG // part):
        proxy.push(events_of(number, part))
        eventually(lambda: not proxy.queued, within=300)
        samples.append(((number + 1) * part, watched.memory_info().rss / 1e6, watched.num_fds()))
    took = time.monotonic() - began
    eventually(lambda: home.count() == LONG, within=60)
    process.terminate()
    process.communicate()
    home.run("ledger", "check")
    later = samples[len(samples) // 4 :]
    growth = slope([(done / 1e6, memory) for done, memory, _ in later])
    handles = {fds for _, _, fds in later}
    assert max(handles) - min(handles) <= 3, handles
    if LARGE:
        assert abs(growth) < 10, samples
    record(
        f"{LONG:,} events at full speed",
        f"memory {later[0][1]:.0f} to {later[-1][1]:.0f} MB, {growth:+.1f} MB for each million "
        f"events; {min(handles)} to {max(handles)} file handles",
        f"{LONG:,} stored in {took:.0f} s",
    )


def events_of(number: int, part: int) -> list[bytes]:
    """Return the events of one part, distinct from those of all other parts."""
    made = events(part)
    mark = f'"request_id": "{number:08x}", '.encode()
    return [b"{" + mark + event[1:] for event in made]


def slope(points: list[tuple[float, float]]) -> float:
    """Return the slope of the straight line through points, by least squares."""
    xs, ys = [x for x, _ in points], [y for _, y in points]
    middle_x, middle_y = sum(xs) / len(xs), sum(ys) / len(ys)
    spread = sum((x - middle_x) ** 2 for x in xs) or 1.0
    return sum((x - middle_x) * (y - middle_y) for x, y in points) / spread
