"""Keep the rollups in step with the events; `rollup.sql` holds the sums."""

import sqlite3
from functools import cache
from pathlib import Path

from ledger.statements import statements

SCRIPT = Path(__file__).with_name("rollup.sql")
FRESH = """
  create temp table if not exists fresh (
    occurred_at, is_recent, proxy_id, credential_id, model_id, client_id,
    requests, failed, input_tokens, cached_tokens, cache_write_tokens,
    output_tokens, reasoning_tokens, unclassified_tokens, cost_microdollars, unpriced,
    timed_ms, timed_tokens, streamed_ms, streamed_tokens, latency_from, ttft_from
  )
"""
ROLLUPS = (
    "total_rollup",
    "model_rollup",
    "client_rollup",
    "credential_rollup",
    "credential_model_rollup",
    "client_model_rollup",
    "latency_rollup",
    "model_latency_rollup",
)
# Grains that are kept only for recent buckets, by rollup.
RECENT_GRAIN = {name: 1 for name in ROLLUPS} | {
    "credential_model_rollup": 3,
    "client_model_rollup": 3,
    "model_latency_rollup": 3,
}
HOUR_MS = 3_600_000
KEPT_MS, SLACK_MS = 48 * HOUR_MS, 2 * HOUR_MS
AT_ONCE = 50_000


@cache
def script() -> list[str]:
    """Give the statements of `rollup.sql`."""
    return list(statements(SCRIPT.read_text("utf-8")))


def roll(conn: sqlite3.Connection) -> None:
    """Add the events that are not in the rollups yet, inside the caller's transaction."""
    (after,) = conn.execute("select last_event_id from rollup_state").fetchone()
    (newest,) = conn.execute("select max(id) from usage_events").fetchone()
    if newest is None or newest <= after:
        return
    conn.execute(FRESH)
    for statement in script():
        conn.execute(statement, {"after": after, "until": newest})


def prune(conn: sqlite3.Connection, now: int) -> None:
    """Drop the finest buckets of long ago; now and then only, inside the caller's transaction."""
    (recent_from,) = conn.execute("select recent_from from rollup_state").fetchone()
    if now - recent_from < KEPT_MS + SLACK_MS:
        return
    cut = (now - KEPT_MS) // HOUR_MS * HOUR_MS
    for name, grain in RECENT_GRAIN.items():
        conn.execute(f"delete from {name} where grain = ? and bucket_at < ?", (grain, cut))
    conn.execute("update rollup_state set recent_from = ?", (cut,))
