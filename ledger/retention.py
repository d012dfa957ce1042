"""Delete old raw events in small transactions; rollups and histograms are never deleted.

Failures by status and code are deleted with their events.
Only whole weeks, the longest bucket, are deleted: a bucket has all of its raw events or none.
"""

import sqlite3

from ledger.database import transaction, translate_errors

DAY_MS, WEEK_MS = 86_400_000, 604_800_000
EVENTS_PER_TRANSACTION = 2000
PAGES_PER_STEP = 500
IS_BEHIND = """
  select last_event_id < (select coalesce(max(id), 0) from usage_events) from rollup_state
"""
# SQLite may assign the ids of deleted events again: `last_event_id` must not exceed the newest id.
DELETE = """
  delete from usage_events
  where id in (
    select id
    from usage_events
    where occurred_at < (select raw_complete_from from rollup_state)
    order by occurred_at
    limit :limit
  )
"""
NOTE = """
  update rollup_state set
    events_deleted = events_deleted + :deleted,
    last_event_id = min(last_event_id, (select coalesce(max(id), 0) from usage_events))
"""
AUTO_VACUUM_INCREMENTAL = 2


def complete_from(conn: sqlite3.Connection) -> int:
    """Return the instant (ms) since which raw events are complete; 0 when none was deleted."""
    return conn.execute("select raw_complete_from from rollup_state").fetchone()[0]


def move_cutoff(conn: sqlite3.Connection, *, keep_days: int, now: int) -> int:
    """Move the cutoff to the week that is `keep_days` old; with 0 days nothing is deleted.

        Returns the cutoff: the instant (ms) from which raw events are complete. It never moves back
    and stays unchanged while some events are not in the rollups yet.
    """
    with transaction(conn):
        current = complete_from(conn)
        cutoff = (now - keep_days * DAY_MS) // WEEK_MS * WEEK_MS
        (is_behind,) = conn.execute(IS_BEHIND).fetchone()
        if keep_days <= 0 or is_behind or cutoff <= current:
            return current
        conn.execute("update rollup_state set raw_complete_from = ?", (cutoff,))
        conn.execute("delete from failure_rollup where bucket_at < ?", (cutoff,))
        conn.execute("delete from last_failures where last_at < ?", (cutoff,))
    return cutoff


def prune_batch(conn: sqlite3.Connection, limit: int = EVENTS_PER_TRANSACTION) -> int:
    """Delete up to `limit` events before the cutoff; returns their number, 0 when none is left."""
    if not has_prunable(conn):
        return 0
    with transaction(conn):
        deleted = conn.execute(DELETE, {"limit": limit}).rowcount
        conn.execute(NOTE, {"deleted": deleted})
    return deleted


def has_prunable(conn: sqlite3.Connection) -> bool:
    """Return whether an event is left before the cutoff."""
    sql = """
      select 1 from usage_events
      where occurred_at < (select raw_complete_from from rollup_state)
      limit 1
    """
    return conn.execute(sql).fetchone() is not None


def can_release_pages(conn: sqlite3.Connection) -> bool:
    """Return whether the file can shrink step by step."""
    return conn.execute("pragma auto_vacuum").fetchone()[0] == AUTO_VACUUM_INCREMENTAL


def release_pages(conn: sqlite3.Connection, pages: int = PAGES_PER_STEP) -> int:
    """Release free pages at the end of the file; returns the number of free pages left in it."""
    if can_release_pages(conn):
        with translate_errors():
            # `execute` would stop after the first page.
            conn.executescript(f"pragma incremental_vacuum({pages:d})")
        return conn.execute("pragma freelist_count").fetchone()[0]
    return 0


def prune(conn: sqlite3.Connection, *, keep_days: int, now: int) -> int:
    """Delete every event older than `keep_days`, in whole weeks; returns their number."""
    move_cutoff(conn, keep_days=keep_days, now=now)
    deleted = 0
    while count := prune_batch(conn):
        deleted += count
    while release_pages(conn):
        pass
    return deleted


def rewrite_file(conn: sqlite3.Connection) -> None:
    """Rewrite a file that cannot shrink step by step, while no worker uses it."""
    conn.execute("pragma journal_mode = delete").fetchone()
    conn.execute("pragma auto_vacuum = incremental")
    conn.execute("vacuum")
    conn.execute("pragma journal_mode = wal").fetchone()
