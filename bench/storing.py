"""The speed of storing events, alone and from the queue, and their size on the disk."""

import sqlite3
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from bench.ledgers import Feed, batches, copied, open_read_only
from bench.plan import Plan
from bench.processes import Commits, Place, ProxyProcess, end, free_port, per_second, proxy_process
from bench.processes import running as running_process
from bench.report import Part, Section, at_least, at_most, none_lost, number, progress
from bench.workload import DAY, RECENT_DAYS, RECENT_SHARE, Kind, Workload, even
from ingest.parse import parse
from ingest.proxies import ProxyRow
from ingest.spool import Batch
from ingest.store import ADD_EVENT, Store
from ledger.database import FILE_NAME
from ledger.prices.calculator import Prices
from runtime.heartbeat import now

BATCH = 500
STORE_LIMIT, QUEUE_LIMIT, DISK_LIMIT = 12_000, 8_000, 240
STEPS = ("parse", "rows, cost, quota headers", "insert", "rollups", "commit", "everything else")
KINDS: tuple[Kind, ...] = ("thin", "fat")
TABLES_SHOWN = 12
SIZES = """
  select name, pgsize
  from dbstat
  where aggregate = true
  order by pgsize desc
"""


class TimedConnection:
    """A connection that adds up the seconds spent in each kind of statement."""

    def __init__(self, conn: sqlite3.Connection) -> None:
        self._conn = conn
        self.seconds: dict[str, float] = defaultdict(float)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._conn, name)

    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
        """Run and time a statement."""
        return self._timed(self._conn.execute, sql, *values)

    def executemany(self, sql: str, *values: Any) -> sqlite3.Cursor:
        """Run and time a statement with many rows."""
        return self._timed(self._conn.executemany, sql, *values)

    def _timed(self, run: Callable[..., sqlite3.Cursor], sql: str, *values: Any) -> sqlite3.Cursor:
        started_at = time.perf_counter()
        cursor = run(sql, *values)
        self.seconds[self._step(sql)] += time.perf_counter() - started_at
        return cursor

    def _step(self, sql: str) -> str:
        if "rollup" in sql:
            return "rollups"
        return {"commit": "commit", ADD_EVENT: "insert"}.get(sql, "everything else")


def measure_store_path(home: Path, plan: Plan) -> Part:
    """Store events at the density of the reference workload, on a copy of the full ledger."""
    with copied(home) as folder, Feed(folder, unsafe=False) as feed:
        density = plan.events * RECENT_SHARE / (RECENT_DAYS * DAY)
        spread = store_rate(feed, plan, seconds=plan.stored / density)
        burst = store_rate(feed, plan, seconds=plan.stored / plan.rate)
        seconds = store_steps(feed, plan, seconds=plan.stored / density)
    rows = [[step, number(seconds[step] * 1e6)] for step in STEPS]
    slowest = max(STEPS, key=lambda step: seconds[step])
    sentences = [
        f"Batches of {BATCH}, half of them thin events and half fat ones, `synchronous=full`, on "
        f"top of {plan.events:,} events. The figure is for events as far apart as in the reference "
        "workload, so that almost every event has its own rollup rows; with events of "
        f"{plan.rate} a second it is {number(burst)} events/s.",
        f"The slowest step is {slowest}. The table is from a second pass in which every statement "
        "is timed.",
    ]
    return Part(
        [at_least("Store path alone, cost and every rollup", spread, STORE_LIMIT, "events/s")],
        [Section("Store path", sentences, ["step", "µs per event"], rows)],
    )


def store_rate(feed: Feed, plan: Plan, *, seconds: float) -> float:
    """Store the events of the last `seconds`; return the events stored a second."""
    records = generate(plan, seconds, seed=int(seconds))
    with progress("store path", plan.stored) as bar:
        started_at = time.perf_counter()
        for batch in records:
            feed.store(batch)
            bar.update(len(batch))
        return plan.stored / (time.perf_counter() - started_at)


def store_steps(feed: Feed, plan: Plan, *, seconds: float) -> dict[str, float]:
    """Return the seconds that an event takes in each step."""
    conn = TimedConnection(feed.conn)
    store = Store(conn, feed.proxy_id, feed.salt, Prices({}))  # type: ignore[arg-type]
    last = ProxyRow(feed.conn, feed.proxy_id).last_batch()
    by_step, records = dict.fromkeys(STEPS, 0.0), generate(plan, seconds, seed=1)
    started_at = time.perf_counter()
    for batch_number, batch in enumerate(records, start=last + 1):
        before = time.perf_counter()
        parsed = [parse(record) for record in batch]
        by_step["parse"] += time.perf_counter() - before
        store.write(Batch(batch_number, "resp", now(), batch), parsed)
    total = time.perf_counter() - started_at
    by_step |= conn.seconds
    by_step["rows, cost, quota headers"] = total - sum(by_step.values())
    return {step: of_step / plan.stored for step, of_step in by_step.items()}


def generate(plan: Plan, seconds: float, *, seed: int) -> list[list[bytes]]:
    """Generate the events of the last `seconds`, in batches."""
    ends_at = time.time()
    moments = list(even(plan.stored, ends_at - seconds, ends_at))
    return list(batches(Workload(seed).payloads(moments), BATCH))


def measure_queue(home: Path, plan: Plan) -> Part:
    """Let the collector empty a full queue of thin events, then one of fat events."""
    with (
        proxy_process() as proxy,
        copied(home, proxy=proxy.name) as folder,
        closing(Commits(folder)) as commits,
    ):
        place = Place(folder, proxy.port, free_port())
        rates = {
            kind: queue_rate(proxy, place, commits, kind=kind, count=plan.queued) for kind in KINDS
        }
        pushed = proxy.progress().pushed
        lost = pushed - commits.stored()
    slowest = min(rates.values())
    rows = [[kind, number(rate)] for kind, rate in rates.items()]
    sentences = [
        f"`python -m ingest` empties a queue of {plan.queued:,} events of each kind, which a fake "
        "proxy in a process of its own has filled before: pop, spool, parse, store, commit. Timed "
        "from its first commit to its last.",
        "In addition to the store path, this has the pop, the spool and the fake proxy, which all "
        "run on the same machine; a fat event has four times the bytes of a thin one to pop, "
        "spool, hash and decode, and it has quota headers.",
    ]
    return Part(
        [
            at_least("From the socket to the commit, with spool", slowest, QUEUE_LIMIT, "events/s"),
            none_lost(f"Events lost of {pushed:,}", lost),
        ],
        [Section("Socket to commit", sentences, ["payload", "events/s"], rows)],
    )


def queue_rate(
    proxy: ProxyProcess, place: Place, commits: Commits, *, kind: Kind, count: int
) -> float:
    """Fill the queue and let the collector empty it; return the events stored a second."""
    target = proxy.fill(kind, count).pushed
    with running_process("ingest", place) as collector:
        followed = commits.follow(lambda stored: stored >= target, collector)
        end(collector)
    return per_second(followed)


def measure_disk(home: Path, plan: Plan) -> Part:
    """Measure the file after a checkpoint, and each table and index in it."""
    size = (home / FILE_NAME).stat().st_size
    sizes = table_sizes(home)
    rows = [[name, number(count / plan.events)] for name, count in sizes[:TABLES_SHOWN]]
    if sizes:
        others = sum(count for _, count in sizes[TABLES_SHOWN:])
        rows.append([f"{len(sizes) - TABLES_SHOWN} smaller ones", number(others / plan.events)])
    sentences = [f"The file has {number(size / 1e6)} MB for {plan.events:,} events."]
    return Part(
        [at_most("Disk, everything included", size / plan.events, DISK_LIMIT, "bytes/event")],
        [Section("Disk", sentences, ["table or index", "bytes per event"], rows)],
    )


def table_sizes(home: Path) -> list[tuple[str, int]]:
    """Return the bytes of each table and index, largest first; empty without dbstat."""
    with closing(open_read_only(home)) as conn:
        try:
            return conn.execute(SIZES).fetchall()
        except sqlite3.OperationalError:
            # Not every build of SQLite has dbstat.
            return []
