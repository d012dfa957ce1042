"""The speed of rollups: each window summed from raw events, and by the canned query."""

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

from bench.ledgers import open_read_only
from bench.report import Part, Section, must_hold, number, progress
from ledger.queries import queries

WINDOWS = ("1h", "24h", "7d", "30d", "90d")
GROUPED = {"summary": "''", "accounts": "credential_id", "models": "model_id"}
# The same window and the same sums, from the events one by one.
RAW = """
  select
    sum(requests) as requests,
    sum(failed) as failed,
    sum(input_tokens) as input_tokens,
    sum(cached_tokens) as cached_tokens,
    sum(cache_write_tokens) as cache_write_tokens,
    sum(output_tokens) as output_tokens,
    sum(reasoning_tokens) as reasoning_tokens,
    sum(unclassified_tokens) as unclassified_tokens,
    sum(input_tokens + output_tokens + unclassified_tokens) as total_tokens,
    sum(cost_microdollars) as cost_microdollars,
    sum(unpriced) as unpriced
  from event_measures
  cross join windows
  where window = :window and occurred_at >= starts_at and occurred_at < ends_at
  group by {key}
"""
RUNS = 5
Sums = set[tuple[int, int, int]]


def measure(home: Path) -> Part:
    """Time both ways for each window, and compare their sums."""
    pairs = [(window, name) for name in GROUPED for window in WINDOWS]
    rows, are_equal = [], True
    with closing(open_read_only(home)) as conn, progress("raw events, rollups", len(pairs)) as bar:
        for window, name in pairs:
            raw_ms, raw_sums = timed(partial(sum_events, conn, name, window))
            rollup_ms, rollup_sums = fastest(partial(sum_rollups, conn, name, window))
            are_equal = are_equal and raw_sums == rollup_sums
            ratio = number(raw_ms / rollup_ms)
            rows.append([f"{name}, {window}", number(raw_ms), number(rollup_ms), ratio])
            bar.update()
    sentences = [
        "Plain SQLite in one process, without HTTP and traffic. `raw` sums every event of the "
        "window; the rollups answer from whole days, smaller buckets around them, and the events "
        "before the first and after the last bucket.",
    ]
    columns = ["query", "raw ms", "rollups ms", "times faster"]
    return Part(
        [must_hold("Rollups give the same sums as raw events", are_equal)],
        [Section("Raw events against rollups", sentences, columns, rows)],
    )


def sum_events(conn: sqlite3.Connection, name: str, window: str) -> Sums:
    """Return the sums of a window's events by group."""
    cursor = conn.execute(RAW.format(key=GROUPED[name]), {"window": window})
    return {(row[0], row[1], row[8]) for row in cursor if row[0]}


def sum_rollups(conn: sqlite3.Connection, name: str, window: str) -> Sums:
    """Return the same sums from the canned query."""
    query = queries()[name]
    parameters = {**dict.fromkeys(query.parameters, ""), "window": window}
    cursor = conn.execute(query.sql, parameters)
    index = [column[0] for column in cursor.description].index
    requests, failed, tokens = index("requests"), index("failed"), index("total_tokens")
    return {(row[requests], row[failed], row[tokens]) for row in cursor if row[requests]}


def timed(work: Callable[[], Sums]) -> tuple[float, Sums]:
    """Return the milliseconds of a run, and its sums."""
    started_at = time.perf_counter()
    answer = work()
    return (time.perf_counter() - started_at) * 1000, answer


def fastest(work: Callable[[], Sums]) -> tuple[float, Sums]:
    """Return the shortest time of several runs, and the sums of the last."""
    runs = [timed(work) for _ in range(RUNS)]
    return min(milliseconds for milliseconds, _ in runs), runs[-1][1]
