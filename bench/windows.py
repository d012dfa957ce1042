"""What rollups save: each window from raw events against the canned query."""

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

from bench.bars import counting
from bench.dataset import read_only
from bench.figures import Figure, Part, Section, number
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
  from event_pieces
  where window = :window and from_day = '' and to_day = ''
  group by {key}
"""
RUNS = 5
Sums = set[tuple[int, int, int]]


def measure(home: Path) -> Part:
    """Time both ways to each window, and compare what they say."""
    pairs = [(window, name) for name in GROUPED for window in WINDOWS]
    rows, same = [], True
    with closing(read_only(home)) as conn, counting("raw against rollups", len(pairs)) as bar:
        for window, name in pairs:
            raw, summed = timed(partial(by_events, conn, name, window))
            rolled, answered = fastest(partial(by_rollups, conn, name, window))
            same = same and summed == answered
            rows.append([f"{name}, {window}", number(raw), number(rolled), number(raw / rolled)])
            bar.update()
    sentences = [
        "Plain SQLite in one process, no HTTP, no traffic. Raw sums every event of the window; the "
        "rollups answer with whole days, smaller buckets beside them and the events of the edges.",
    ]
    columns = ["query", "raw ms", "rollups ms", "times faster"]
    return Part(
        [Figure("Rollups give the same sums as raw events", "yes" if same else "no", "yes", same)],
        [Section("Raw events against rollups", sentences, columns, rows)],
    )


def by_events(conn: sqlite3.Connection, name: str, window: str) -> Sums:
    """Sum up the events of a window."""
    cursor = conn.execute(RAW.format(key=GROUPED[name]), {"window": window})
    return {(row[0], row[1], row[8]) for row in cursor if row[0]}


def by_rollups(conn: sqlite3.Connection, name: str, window: str) -> Sums:
    """Ask the canned query."""
    query = queries()[name]
    given = {**dict.fromkeys(query.parameters, ""), "window": window}
    cursor = conn.execute(query.sql, given)
    at = [column[0] for column in cursor.description].index
    shown = at("requests"), at("failed"), at("total_tokens")
    return {tuple(row[place] for place in shown) for row in cursor if row[shown[0]]}


def timed(work: Callable[[], Sums]) -> tuple[float, Sums]:
    """Give how many ms it took, and the answer."""
    begun = time.perf_counter()
    answer = work()
    return (time.perf_counter() - begun) * 1000, answer


def fastest(work: Callable[[], Sums]) -> tuple[float, Sums]:
    """Give the shortest of several runs, and the last answer."""
    runs = [timed(work) for _ in range(RUNS)]
    return min(took for took, _ in runs), runs[-1][1]
