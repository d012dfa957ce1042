"""Delete raw events of long ago, in small transactions; rollups and histograms stay for ever.

Only whole weeks go, the longest bucket, so that every bucket is either wholly raw or wholly not.
"""

import sqlite3

from ledger.errors import translated
from ledger.writing import transaction

DAY_MS, WEEK_MS = 86_400_000, 604_800_000
AT_ONCE = 2000
PAGES_AT_ONCE = 500
IS_BEHIND = """
  select last_event_id < (select coalesce(max(id), 0) from usage_events) from rollup_state
"""
# The ids of deleted events may be given again: what is rolled up must end with the newest left.
DELETE = """
  delete from usage_events
  where id in (
    select id
    from usage_events
    where occurred_at < (select raw_complete_from from rollup_state)
    order by occurred_at
    limit :most
  )
"""
NOTE = """
  update rollup_state set
    events_deleted = events_deleted + :deleted,
    last_event_id = min(last_event_id, (select coalesce(max(id), 0) from usage_events))
"""
AUTO_VACUUM_INCREMENTAL = 2


def complete_from(conn: sqlite3.Connection) -> int:
    """Give the instant (ms) from which on raw events are kept; 0 when none was ever deleted."""
    return conn.execute("select raw_complete_from from rollup_state").fetchone()[0]


def cut(conn: sqlite3.Connection, *, keep_days: int, now: int) -> int:
    """Let everything before the last whole weeks be known from rollups alone; 0 days keep all.

    Returns the instant (ms) from which on raw events are kept.
    """
    with transaction(conn):
        kept_from = complete_from(conn)
        wanted = (now - keep_days * DAY_MS) // WEEK_MS * WEEK_MS
        (is_behind,) = conn.execute(IS_BEHIND).fetchone()
        if keep_days <= 0 or is_behind or wanted <= kept_from:
            return kept_from
        conn.execute("update rollup_state set raw_complete_from = ?", (wanted,))
    return wanted


def delete_some(conn: sqlite3.Connection, most: int = AT_ONCE) -> int:
    """Delete some of the events that are not to be kept; give how many, 0 when none is left."""
    if not has_unkept(conn):
        return 0
    with transaction(conn):
        deleted = conn.execute(DELETE, {"most": most}).rowcount
        conn.execute(NOTE, {"deleted": deleted})
    return deleted


def has_unkept(conn: sqlite3.Connection) -> bool:
    """Tell whether an event is left that is not to be kept."""
    sql = """
      select 1 from usage_events
      where occurred_at < (select raw_complete_from from rollup_state)
      limit 1
    """
    return conn.execute(sql).fetchone() is not None


def gives_back(conn: sqlite3.Connection) -> bool:
    """Tell whether the file can shrink step by step."""
    return conn.execute("pragma auto_vacuum").fetchone()[0] == AUTO_VACUUM_INCREMENTAL


def give_back(conn: sqlite3.Connection, pages: int = PAGES_AT_ONCE) -> int:
    """Give free pages at the end of the file back to the disk; give how many are left in it."""
    if gives_back(conn):
        with translated():
            # `execute` would stop after the first page.
            conn.executescript(f"pragma incremental_vacuum({pages:d})")
        return conn.execute("pragma freelist_count").fetchone()[0]
    return 0
