"""Keep the rollups in step with the events.

`fresh.sql` works out what events add, `rollup.sql` adds it; both run in the transaction that
stores the events, so that the sums are exact at every commit.
"""

import sqlite3
from collections.abc import Callable
from functools import cache
from pathlib import Path

from ledger.database import split_statements, transaction

HERE = Path(__file__).parent
FRESH = """
  create temp table if not exists fresh (
    occurred_at, is_recent, proxy_id, credential_id, model_id, client_id,
    requests, failed, input_tokens, cached_tokens, cache_write_tokens,
    output_tokens, reasoning_tokens, unclassified_tokens, cost_microdollars, unpriced,
    timed_ms, timed_tokens, streamed_ms, streamed_tokens, latency_from, ttft_from
  )
"""
NEGATE = """
  update temp.fresh set
    requests = -requests,
    failed = -failed,
    input_tokens = -input_tokens,
    cached_tokens = -cached_tokens,
    cache_write_tokens = -cache_write_tokens,
    output_tokens = -output_tokens,
    reasoning_tokens = -reasoning_tokens,
    unclassified_tokens = -unclassified_tokens,
    cost_microdollars = -cost_microdollars,
    unpriced = -unpriced,
    timed_ms = -timed_ms,
    timed_tokens = -timed_tokens,
    streamed_ms = -streamed_ms,
    streamed_tokens = -streamed_tokens
"""
# The grain that each rollup keeps only for recent buckets.
RECENT_GRAINS = {
    "total_rollup": 1,
    "model_rollup": 1,
    "client_rollup": 1,
    "credential_rollup": 1,
    "latency_rollup": 1,
    "credential_model_rollup": 3,
    "client_model_rollup": 3,
    "model_latency_rollup": 3,
}
HOUR_MS = 3_600_000
KEPT_MS, SLACK_MS = 48 * HOUR_MS, 2 * HOUR_MS
AT_ONCE = 50_000
BEHIND = """
  select last_event_id, (select coalesce(max(id), 0) from usage_events) from rollup_state
"""


@cache
def script(name: str) -> list[str]:
    """Give the statements of a file beside this one."""
    return list(split_statements((HERE / name).read_text("utf-8")))


def roll(conn: sqlite3.Connection) -> None:
    """Add the next events that are not in the rollups yet, inside the caller's transaction."""
    after, newest = conn.execute(BEHIND).fetchone()
    if newest <= after:
        return
    until = min(newest, after + AT_ONCE)
    conn.execute(FRESH)
    for statement in script("fresh.sql"):
        conn.execute(statement, {"after": after, "until": until})
    add_fresh(conn)
    conn.execute("update rollup_state set last_event_id = ?", (until,))


def take_back(conn: sqlite3.Connection, ids: list[int]) -> None:
    """Take what events added out of every rollup, inside the caller's transaction.

    For events that are about to be deleted because a better record of them is in.
    """
    if not ids:
        return
    (rolled,) = conn.execute("select last_event_id from rollup_state").fetchone()
    conn.execute(FRESH)
    empty, add = script("fresh.sql")
    conn.execute(empty)
    conn.executemany(add, [{"after": i - 1, "until": i} for i in ids if i <= rolled])
    conn.execute(NEGATE)
    add_fresh(conn)


def add_fresh(conn: sqlite3.Connection) -> None:
    """Add what `temp.fresh` holds to every rollup, inside the caller's transaction."""
    for statement in script("rollup.sql"):
        conn.execute(statement)


def catch_up(conn: sqlite3.Connection, told: Callable[[int, int], None] | None = None) -> None:
    """Add all events that are not in the rollups yet, some thousands in a transaction.

    `told` is called with how many of how many event ids are done.
    """
    while True:
        done, newest = conn.execute(BEHIND).fetchone()
        if told:
            told(done, newest)
        if done >= newest:
            return
        with transaction(conn):
            roll(conn)


def forget(conn: sqlite3.Connection, now: int) -> None:
    """Empty every rollup, to be filled again by `catch_up` or by the collector as it goes.

    Buckets of a time whose raw events are not kept stay as they are.
    """
    kept = "(select raw_complete_from from rollup_state)"
    with transaction(conn):
        for name in RECENT_GRAINS:
            conn.execute(f"delete from {name} where bucket_at >= {kept}")
        conn.execute(
            "update rollup_state set last_event_id = 0, recent_from = ?", (recent_cut(now),)
        )


def prune(conn: sqlite3.Connection, now: int) -> None:
    """Drop the finest buckets of long ago; now and then only, inside the caller's transaction."""
    (recent_from,) = conn.execute("select recent_from from rollup_state").fetchone()
    if now - recent_from < KEPT_MS + SLACK_MS:
        return
    cut = recent_cut(now)
    for name, grain in RECENT_GRAINS.items():
        conn.execute(f"delete from {name} where grain = ? and bucket_at < ?", (grain, cut))
    conn.execute("update rollup_state set recent_from = ?", (cut,))


def recent_cut(now: int) -> int:
    """Give the instant (ms) from which on the finest buckets are kept."""
    return (now - KEPT_MS) // HOUR_MS * HOUR_MS
