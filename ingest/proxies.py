"""The row of a proxy that we collect from, and the gaps in its collection."""

import json
import sqlite3
from collections.abc import Collection as Some

from ingest.management import Status
from ledger import transaction

# What a proxy keeps when it does not say otherwise.
DEFAULT_RETENTION_SECONDS = 60
KEEP_STATUS = """
  update proxies set
    version = :version,
    statistics_enabled = :statistics_enabled,
    retention_seconds = coalesce(:retention_seconds, retention_seconds),
    asked_at = :asked_at
  where id = :id
"""
NOTE_POP = """
  update proxies set
    first_pop_at = coalesce(first_pop_at, :at),
    last_pop_at = max(coalesce(last_pop_at, 0), :at),
    source = :source
  where id = :id
"""
OPEN_GAP = """
  insert into gaps (proxy_id, started_at, cause, detail)
  select id, last_pop_at, :cause, :detail
  from proxies
  where id = :id
    and last_pop_at is not null
    and not exists (select 1 from gaps where proxy_id = :id and ended_at is null)
"""
ADD_RISK = """
  update gaps set batches_at_risk = batches_at_risk + 1, detail = coalesce(:detail, detail)
  where proxy_id = :id and ended_at is null
"""
CLOSE_GAP = """
  update gaps set
    ended_at = max(:at, started_at),
    retention_exceeded = :at - started_at > 1000 * (
      select coalesce(retention_seconds, :default_retention) from proxies where id = :id
    )
  where proxy_id = :id and ended_at is null
"""
# Before there could be several proxies, the row of the one collector named none.
LAST_WORD = """
  select state
  from heartbeats
  where role = 'ingest' and (proxy_id = ? or proxy_id is null)
  order by proxy_id is null, beat_at desc
  limit 1
"""
# The gap of a proxy that was taken out of the settings ends there, but nothing was popped since.
GO_ON = """
  update gaps set ended_at = null, retention_exceeded = 0
  where id in (
    select max(gaps.id)
    from gaps
    join proxies on proxies.id = gaps.proxy_id
    where configured = 0
      and proxies.id in (select value from json_each(:ids))
      and gaps.started_at = proxies.last_pop_at
    group by proxies.id
  )
"""
CONFIGURE = """
  update proxies set configured = id in (select value from json_each(:ids))
  where configured is not (id in (select value from json_each(:ids)))
"""


def was_killed(conn: sqlite3.Connection, proxy_id: int) -> bool:
    """Tell whether the last collector of a proxy ended without a word."""
    row = conn.execute(LAST_WORD, (proxy_id,)).fetchone()
    return row is not None and row[0] != "stopped"


def configure(conn: sqlite3.Connection, ids: Some[int]) -> None:
    """Note which proxies the settings name; the gap of one that is back goes on."""
    values = {"ids": json.dumps(list(ids))}
    with transaction(conn):
        conn.execute(GO_ON, values)
        conn.execute(CONFIGURE, values)


class Collection:
    """What the ledger knows of the collection from one proxy."""

    def __init__(self, conn: sqlite3.Connection, proxy_id: int) -> None:
        self._conn = conn
        self._id = proxy_id

    def last_batch(self) -> int:
        """Give the number of the last batch that was committed."""
        sql = "select last_batch from proxies where id = ?"
        return self._conn.execute(sql, (self._id,)).fetchone()[0]

    def keep_status(self, status: Status, asked_at: int) -> None:
        """Keep what the proxy said of itself."""
        with transaction(self._conn):
            values = {"id": self._id, "asked_at": asked_at, **status._asdict()}
            self._conn.execute(KEEP_STATUS, values)

    def note_pop(self, at: int, source: str) -> None:
        """Note that a pop succeeded, though it may have brought nothing; this ends a gap."""
        with transaction(self._conn):
            self._close_gap(at)
            self._conn.execute(NOTE_POP, {"id": self._id, "at": at, "source": source})

    def give_up(self, at: int) -> None:
        """End a gap though nothing was popped: the settings name the proxy no longer."""
        with transaction(self._conn):
            self._close_gap(at)

    def open_gap(self, cause: str, detail: str | None, at_risk: bool) -> None:
        """Begin a gap at the last good pop, if there was one, unless a gap is open."""
        values = {"id": self._id, "cause": cause, "detail": detail}
        with transaction(self._conn):
            self._conn.execute(OPEN_GAP, values)
            if at_risk:
                self._conn.execute(ADD_RISK, values)

    def _close_gap(self, at: int) -> None:
        values = {"id": self._id, "at": at, "default_retention": DEFAULT_RETENTION_SECONDS}
        self._conn.execute(CLOSE_GAP, values)
