"""Write a batch into the ledger: its events, its rejected records and its counts, or nothing."""

import sqlite3
from collections.abc import Iterable
from typing import NamedTuple

from ingest.events import Events
from ingest.kept import kept_record
from ingest.names import Names
from ingest.parse import Rejected, Usage
from ingest.rows import Rows
from ingest.signals import keep_signals
from ingest.spool import Batch
from ledger import retention, rollups, transaction
from ledger.keys import Salt
from ledger.prices import Prices

HOUR_MS = 3_600_000
UNKEPT = "timestamp: older than the events that keep_events_days keeps"
KEEP_REJECTED = """
  insert into rejected_events (proxy_id, received_at, reason, form, record)
  values (?, ?, ?, ?, ?)
"""
MARK_REPLAYED = """
  update rejected_events set replayed_at = ? where id = ? and replayed_at is null
"""
KEEP_COUNTS = """
  insert into ingest_ledger
    (hour_at, proxy_id, source, batches, received, stored, duplicate, rejected)
  values (:hour_at, :proxy_id, :source, 1, :received, :stored, :duplicate, :rejected)
  on conflict (hour_at, proxy_id, source) do update set
    batches = batches + 1,
    received = received + excluded.received,
    stored = stored + excluded.stored,
    duplicate = duplicate + excluded.duplicate,
    rejected = rejected + excluded.rejected
"""
KEEP_POP = """
  update proxies set
    last_batch = max(last_batch, :number),
    first_pop_at = coalesce(first_pop_at, :popped_at),
    last_pop_at = max(coalesce(last_pop_at, 0), :popped_at),
    source = :source
  where id = :proxy_id
"""


class Counts(NamedTuple):
    """What became of a batch; the first is the sum of the others."""

    received: int
    stored: int
    duplicate: int
    rejected: int


class Store:
    """Writes the batches of one proxy."""

    def __init__(self, conn: sqlite3.Connection, proxy_id: int, salt: Salt, prices: Prices) -> None:
        self._conn = conn
        self._proxy_id = proxy_id
        self._salt = salt
        self._rows = Rows(Names(conn, proxy_id, salt), prices)
        self._events = Events(conn, self._rows)

    def keep(self, batch: Batch, records: Iterable[Usage | Rejected]) -> Counts:
        """Write a batch, its number and its counts in one transaction.

        Raises `Unavailable` when the file cannot be written now; nothing of the batch is in then.
        """
        try:
            with transaction(self._conn):
                return self._keep(batch, records)
        except BaseException:
            self._rows.forget()
            raise

    def replay(self, batch: Batch, usages: list[Usage], ids: list[tuple[int]]) -> Counts:
        """Write rejected records that are understood now, and mark them as such by their ids.

        Those that another replay has marked meanwhile are left out.
        """
        try:
            with transaction(self._conn):
                left = [self._mark(batch.popped_at, number) for (number,) in ids]
                usages = [usage for usage, is_left in zip(usages, left, strict=True) if is_left]
                stored = self._events.keep(usages).stored
                counts = Counts(len(usages), stored, len(usages) - stored, 0)
                self._keep_counts(batch, counts)
                return counts
        except BaseException:
            self._rows.forget()
            raise

    def _mark(self, at: int, number: int) -> bool:
        return self._conn.execute(MARK_REPLAYED, (at, number)).rowcount > 0

    def _keep(self, batch: Batch, records: Iterable[Usage | Rejected]) -> Counts:
        usages, rejected = self._sorted(batch, records)
        stored = self._events.keep(usages).stored
        keep_signals(
            self._conn, usages, credential=self._rows.credential, popped_at=batch.popped_at
        )
        self._conn.executemany(
            KEEP_REJECTED, [self._rejected_row(batch, record) for record in rejected]
        )
        counts = Counts(len(usages) + len(rejected), stored, len(usages) - stored, len(rejected))
        self._conn.execute(KEEP_POP, self._keep_counts(batch, counts))
        rollups.prune(self._conn, batch.popped_at)
        return counts

    def _keep_counts(self, batch: Batch, counts: Counts) -> dict[str, object]:
        """Count what became of a batch; give the values by name."""
        where = {"proxy_id": self._proxy_id, **batch._asdict(), **counts._asdict()}
        del where["records"]
        where["hour_at"] = batch.popped_at // HOUR_MS * HOUR_MS
        if counts.received:
            self._conn.execute(KEEP_COUNTS, where)
        return where

    def _sorted(
        self, batch: Batch, records: Iterable[Usage | Rejected]
    ) -> tuple[list[Usage], list[Rejected]]:
        """Tell what can be stored from what cannot, events from before the kept ones included."""
        kept_from = retention.complete_from(self._conn)
        usages: list[Usage] = []
        rejected: list[Rejected] = []
        for raw, record in zip(batch.records, records, strict=True):
            if isinstance(record, Rejected):
                rejected.append(record)
            elif record.occurred_at < kept_from:
                rejected.append(Rejected(UNKEPT, raw))
            else:
                usages.append(record)
        return usages, rejected

    def _rejected_row(self, batch: Batch, record: Rejected) -> tuple[object, ...]:
        form, kept = kept_record(record.raw, self._salt.replaced)
        return (self._proxy_id, batch.popped_at, record.reason, form, kept)
