"""The usage of the ledger's events in the current cycles of windows, stored for quick reading.

The view `quota_cycle_usage` reads every event of those cycles. Its answer is stored at
intervals: usage changes slowly, and events arrive all the time.
"""

import sqlite3

from ledger import transaction

RENEW_MS = 15 * 60_000
COLUMNS = (
    *("window_id", "first_at", "last_at", "moved_percent", "requests", "total_tokens"),
    *("cost_microdollars", "unpriced", "tokens_per_percent", "dollars_per_percent"),
    *("outside_percent", "outside_share_percent"),
)
RENEWED_AT = "select cast(value as integer) from settings where name = 'quota_usage_at'"
SET_RENEWED = "insert or replace into settings (name, value) values ('quota_usage_at', ?)"
COMPUTE = f"select {', '.join(COLUMNS)} from quota_cycle_usage"
WRITE = f"insert into quota_cycle_sums values ({', '.join('?' * len(COLUMNS))})"


def renew_cycle_usage(conn: sqlite3.Connection, now: int) -> None:
    """Compute and store the usage of all current cycles, unless that was done recently."""
    row = conn.execute(RENEWED_AT).fetchone()
    if row and 0 <= now - row[0] < RENEW_MS:
        return
    # Computed before the transaction, which makes other writers wait.
    rows = conn.execute(COMPUTE).fetchall()
    with transaction(conn):
        conn.execute("delete from quota_cycle_sums")
        conn.executemany(WRITE, rows)
        conn.execute(SET_RENEWED, (str(now),))
