"""The row of each proxy, the gaps in its collection, and the spools of removed proxies."""

import json
import logging
import re
import sqlite3
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from ingest.management import Status
from ingest.parse import parse
from ingest.spool import Spool, spool_file
from ingest.store import Store
from ledger import transaction
from runtime.heartbeat import now

log = logging.getLogger(__name__)

# The proxy's default, used where its setting is not known.
DEFAULT_RETENTION_SECONDS = 60
SPOOL_NAME = re.compile(r"ingest-(\d+)\.spool")
# Versions that supported only one proxy had this spool.
OLD_SPOOL_NAME = "ingest.spool"
LAST_BATCH = "select last_batch from proxies where id = ?"
LAST_POPPED = "select id from proxies order by last_pop_at desc nulls last, id limit 1"
ALL_PROXIES = "select id, configured from proxies order by id"
WRITE_STATUS = """
  update proxies set
    version = :version,
    statistics_enabled = :statistics_enabled,
    retention_seconds = coalesce(:retention_seconds, retention_seconds),
    asked_at = :asked_at
  where id = :id
"""
NOTE_POP = """
  update proxies set
    first_pop_at = coalesce(first_pop_at, :popped_at),
    last_pop_at = max(coalesce(last_pop_at, 0), :popped_at),
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
ADD_BATCH_AT_RISK = """
  update gaps set batches_at_risk = batches_at_risk + 1, detail = coalesce(:detail, detail)
  where proxy_id = :id and ended_at is null
"""
CLOSE_GAP = """
  update gaps set
    ended_at = max(:ended_at, started_at),
    retention_exceeded = :ended_at - started_at > 1000 * (
      select coalesce(retention_seconds, :default_retention) from proxies where id = :id
    )
  where proxy_id = :id and ended_at is null
"""
# The heartbeat of versions that supported only one proxy has no proxy_id.
LAST_STATE = """
  select state
  from heartbeats
  where role = 'ingest' and (proxy_id = ? or proxy_id is null)
  order by proxy_id is null, beat_at desc
  limit 1
"""
# Removing a proxy from the settings closes its gap, but nothing was popped since.
REOPEN_GAPS = """
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
MARK_CONFIGURED = """
  update proxies set configured = id in (select value from json_each(:ids))
  where configured is not (id in (select value from json_each(:ids)))
"""

MakeStore = Callable[[int], Store]


class ProxyRow:
    """The row of one proxy, and its gaps."""

    def __init__(self, conn: sqlite3.Connection, proxy_id: int) -> None:
        self._conn = conn
        self._id = proxy_id

    def last_batch(self) -> int:
        """Return the number of the last committed batch."""
        return self._conn.execute(LAST_BATCH, (self._id,)).fetchone()[0]

    def write_status(self, status: Status, asked_at: int) -> None:
        """Write the proxy's version and settings."""
        values = {"id": self._id, "asked_at": asked_at, **status._asdict()}
        with transaction(self._conn):
            self._conn.execute(WRITE_STATUS, values)

    def note_pop(self, popped_at: int, source: str) -> None:
        """Note a successful pop, which may have returned nothing; it closes a gap."""
        values = {"id": self._id, "popped_at": popped_at, "source": source}
        with transaction(self._conn):
            self._close_gap(popped_at)
            self._conn.execute(NOTE_POP, values)

    def open_gap(self, cause: str, detail: str | None, *, at_risk: bool) -> None:
        """Open a gap at the last successful pop, unless there was none or a gap is open."""
        values = {"id": self._id, "cause": cause, "detail": detail}
        with transaction(self._conn):
            self._conn.execute(OPEN_GAP, values)
            if at_risk:
                self._conn.execute(ADD_BATCH_AT_RISK, values)

    def close_gap(self, ended_at: int) -> None:
        """Close a gap without a pop: the proxy was removed from the settings."""
        with transaction(self._conn):
            self._close_gap(ended_at)

    def _close_gap(self, ended_at: int) -> None:
        values = {
            "id": self._id,
            "ended_at": ended_at,
            "default_retention": DEFAULT_RETENTION_SECONDS,
        }
        self._conn.execute(CLOSE_GAP, values)


def was_killed(conn: sqlite3.Connection, proxy_id: int) -> bool:
    """Return whether the last collector of a proxy ended without noting that it stopped."""
    row = conn.execute(LAST_STATE, (proxy_id,)).fetchone()
    return row is not None and row[0] != "stopped"


def settle_removed(
    conn: sqlite3.Connection, folder: Path, current: Collection[int], make_store: MakeStore
) -> None:
    """Settle the proxies that are no longer `current`, and mark the current ones.

    Raises `Unavailable` when the ledger cannot be written; nothing is lost then.
    """
    assign_old_spool(conn, folder)
    for proxy_id in removed_proxies(conn, folder, current):
        settle_proxy(conn, folder, proxy_id, make_store)
    mark_configured(conn, current)


def assign_old_spool(conn: sqlite3.Connection, folder: Path) -> None:
    """Rename the spool of an earlier version for the proxy that was popped last."""
    old = folder / OLD_SPOOL_NAME
    if not old.exists():
        return
    (proxy_id,) = conn.execute(LAST_POPPED).fetchone()
    target = spool_file(folder, proxy_id)
    if not target.exists() or not target.stat().st_size:
        old.replace(target)


def removed_proxies(
    conn: sqlite3.Connection, folder: Path, current: Collection[int]
) -> Iterator[int]:
    """Return the proxies outside `current` that are marked as configured or have a spool."""
    matches = (SPOOL_NAME.fullmatch(file.name) for file in folder.iterdir())
    spools = {int(match[1]) for match in matches if match}
    for proxy_id, is_configured in conn.execute(ALL_PROXIES).fetchall():
        if proxy_id not in current and (is_configured or proxy_id in spools):
            yield proxy_id


def settle_proxy(
    conn: sqlite3.Connection, folder: Path, proxy_id: int, make_store: MakeStore
) -> None:
    """Store the batch in a proxy's spool, note a batch that may be lost, and close the gap."""
    row = ProxyRow(conn, proxy_id)
    file = spool_file(folder, proxy_id)
    spool = Spool(file)
    try:
        batch, is_torn = spool.read()
        if batch and batch.number > row.last_batch():
            make_store(proxy_id).write(batch, map(parse, batch.records))
            log.info("stored %d records of a removed proxy", len(batch.records))
        if is_torn or (not batch and was_killed(conn, proxy_id)):
            row.open_gap("collector killed", "removed from the settings", at_risk=True)
        row.close_gap(now())
        file.unlink()
    finally:
        spool.close()


def mark_configured(conn: sqlite3.Connection, ids: Collection[int]) -> None:
    """Mark the proxies of the settings, and open the gap of a proxy that was added again."""
    values = {"ids": json.dumps(list(ids))}
    with transaction(conn):
        conn.execute(REOPEN_GAPS, values)
        conn.execute(MARK_CONFIGURED, values)
