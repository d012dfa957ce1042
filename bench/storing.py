"""How fast the store path alone is: parse, rows, insert, rollups, commit."""

import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.bars import counting
from bench.dataset import copied
from bench.feed import Feed, batches
from bench.figures import Part, Section, at_least, number
from bench.plan import Plan
from bench.workload import DAY, DAYS_OF_LATE, LATE_SHARE, Workload, even
from ingest.parse import parse
from ingest.proxies import ProxyRow
from ingest.spool import Batch
from ingest.store import ADD_EVENT, Store
from ledger.prices import Prices
from runtime.heartbeat import now

BATCH = 500
BAR = 12_000
STEPS = ("parse", "rows, cost, quota headers", "insert", "rollups", "commit", "everything else")


class Clocked:
    """A connection that keeps account of the seconds spent in each kind of statement."""

    def __init__(self, conn: sqlite3.Connection) -> None:
        self._conn = conn
        self.spent: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._conn, name)

    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
        """Run and clock a statement."""
        return self._timed(self._conn.execute, sql, *values)

    def executemany(self, sql: str, *values: Any) -> sqlite3.Cursor:
        """Run and clock a statement with many rows."""
        return self._timed(self._conn.executemany, sql, *values)

    def _timed(self, run: Callable[..., sqlite3.Cursor], sql: str, *values: Any) -> sqlite3.Cursor:
        begun = time.perf_counter()
        cursor = run(sql, *values)
        self.spent[self._kind(sql)] += time.perf_counter() - begun
        return cursor

    def _kind(self, sql: str) -> str:
        if "rollup" in sql or "fresh" in sql:
            return "rollups"
        return {"commit": "commit", ADD_EVENT: "insert"}.get(sql, "everything else")


def measure(home: Path, plan: Plan) -> Part:
    """Store events as dense as the reference workload's on a copy of the full ledger."""
    with copied(home) as folder, Feed(folder, hasty=False) as feed:
        density = plan.events * LATE_SHARE / (DAYS_OF_LATE * DAY)
        spread = rate(feed, plan, seconds=plan.stored / density)
        burst = rate(feed, plan, seconds=plan.stored / plan.rate)
        spent = breakdown(feed, plan, seconds=plan.stored / density)
    per_event = [[step, number(spent[step] * 1e6)] for step in STEPS]
    most = max(STEPS, key=lambda step: spent[step])
    sentences = [
        f"Batches of {BATCH}, half thin and half fat, `synchronous=full`, on top of "
        f"{plan.events:,} events. The figure is for events that lie as far apart as the "
        "reference workload's, so that almost each one touches its own rollup rows; "
        f"{plan.rate} a second at one time go at {number(burst)} events/s.",
        f"Most of an event's time goes into {most}. The table is from a second pass with a clock "
        "around each statement.",
    ]
    return Part(
        [at_least("Store path alone, cost and every rollup", spread, BAR, "events/s")],
        [Section("Store path", sentences, ["step", "µs per event"], per_event)],
    )


def rate(feed: Feed, plan: Plan, *, seconds: float) -> float:
    """Store events that lie within the last `seconds`; gives events a second."""
    made = records(plan, seconds, seed=int(seconds))
    with counting("store path", plan.stored) as bar:
        begun = time.perf_counter()
        for some in made:
            feed.keep(some)
            bar.update(len(some))
        return plan.stored / (time.perf_counter() - begun)


def breakdown(feed: Feed, plan: Plan, *, seconds: float) -> dict[str, float]:
    """Give the seconds that an event spends in each step."""
    conn = Clocked(feed.conn)
    store = Store(conn, feed.proxy_id, feed.salt, Prices({}))  # type: ignore[arg-type]
    last = ProxyRow(feed.conn, feed.proxy_id).last_batch()
    spent, made = dict.fromkeys(STEPS, 0.0), records(plan, seconds, seed=1)
    begun = time.perf_counter()
    for batch_number, some in enumerate(made, start=last + 1):
        before = time.perf_counter()
        parsed = [parse(record) for record in some]
        spent["parse"] += time.perf_counter() - before
        store.write(Batch(batch_number, "resp", now(), some), parsed)
    whole = time.perf_counter() - begun
    spent |= conn.spent
    spent["rows, cost, quota headers"] = whole - sum(spent.values())
    return {step: of_step / plan.stored for step, of_step in spent.items()}


def records(plan: Plan, seconds: float, *, seed: int) -> list[list[bytes]]:
    """Make up the events of the last `seconds`, in batches."""
    ends_at = time.time()
    moments = list(even(plan.stored, ends_at - seconds, ends_at))
    return list(batches(Workload(seed).payloads(moments), BATCH))
