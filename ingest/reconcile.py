"""Compare what the proxy counted with what was stored of it, for as long as the proxy runs."""

import sqlite3
from collections import Counter
from typing import NamedTuple

from ingest.counters import Counted
from ledger import transaction

# Longer than any attempt takes and clocks differ: what is older came from an import or a replay.
LONGEST_ATTEMPT_MS = 86_400_000
NEWEST = "select coalesce(max(id), 0) from usage_events"
LAST_RUN = """
  select
    since_at,
    min(last_event_id, (select coalesce(max(id), 0) from usage_events)),
    (
      select count(*)
      from rejected_events
      where rejected_events.proxy_id = proxy_runs.proxy_id and received_at >= read_at - 120000
    ),
    (
      select coalesce(sum(stored_late), 0)
      from counter_readings
      where counter_readings.proxy_id = proxy_runs.proxy_id
        and counter_readings.since_at = proxy_runs.since_at
    )
  from proxy_runs
  where proxy_id = ?
  order by since_at desc
  limit 1
"""
LAST_COUNTED = """
  select auth_index, counted from counter_readings where proxy_id = ? and since_at = ?
"""
STORED = """
  select credentials.auth_index, count(*)
  from usage_events
  join credentials on credentials.id = usage_events.credential_id
  where usage_events.id > :after
    and usage_events.id <= :until
    and occurred_at >= :since_at
    and credentials.proxy_id = :proxy_id
  group by credentials.auth_index
"""
KEEP_RUN = """
  insert into proxy_runs (proxy_id, since_at, read_at, last_event_id, last_counted, last_stored)
  values (:proxy_id, :since_at, :read_at, :last_event_id, :last_counted, :last_stored)
  on conflict (proxy_id, since_at) do update set
    read_at = max(read_at, excluded.read_at),
    last_event_id = excluded.last_event_id,
    last_counted = excluded.last_counted,
    last_stored = excluded.last_stored
"""
KEEP_READING = """
  insert into counter_readings (
    proxy_id, since_at, auth_index, first_counted, counted, failed,
    stored, stored_early, stored_late
  )
  values (
    :proxy_id, :since_at, :auth_index, :first_counted, :counted, :failed,
    :stored, :stored_early, :stored_late
  )
  on conflict (proxy_id, since_at, auth_index) do update set
    counted = excluded.counted,
    failed = excluded.failed,
    stored = stored + excluded.stored,
    stored_late = excluded.stored_late
"""
# A run that is over is kept where it counted something.
FORGET_IDLE = """
  delete from counter_readings
  where proxy_id = ? and since_at < ? and counted = first_counted
"""


class Reading(NamedTuple):
    """The proxy's counts by auth_index, and the newest event that was stored before asking."""

    counts: dict[str, Counted]
    stored_before: int


class Run(NamedTuple):
    """A run of the proxy: its first reading, the last event counted, the last counts.

    `rejected` are records since the last reading; `late` is what was stored just before it.
    """

    since_at: int
    last_event_id: int
    rejected: int
    late: int
    counted: dict[str, int]


class Reconciliation:
    """Keeps the readings of one proxy's counters."""

    def __init__(self, conn: sqlite3.Connection, proxy_id: int) -> None:
        self._conn = conn
        self._id = proxy_id

    def newest(self) -> int:
        """Give the newest event's id."""
        return self._conn.execute(NEWEST).fetchone()[0]

    def keep(self, reading: Reading, at: int) -> None:
        """Keep a reading, once everything that was queued when it was taken has been stored."""
        with transaction(self._conn):
            run = self._run()
            if run is None or has_restarted(run.counted, reading.counts):
                self._begin(reading, at)
            else:
                self._go_on(run, reading, at)

    def _run(self) -> Run | None:
        row = self._conn.execute(LAST_RUN, (self._id,)).fetchone()
        if row is None:
            return None
        counted = self._conn.execute(LAST_COUNTED, (self._id, row[0])).fetchall()
        return Run(*row, dict(counted))

    def _begin(self, reading: Reading, at: int) -> None:
        """Begin a run: what was counted and stored until now is where it starts from."""
        newest = self.newest()
        late = self._stored(reading.stored_before, newest, at)
        self._keep_run(at, at, newest, (0, 0))
        for index, counts in reading.counts.items():
            row = {"first_counted": counts.all, "stored": 0, "stored_early": late[index]}
            self._keep_reading(at, index, counts, {**row, "stored_late": late[index]})
        self._conn.execute(FORGET_IDLE, (self._id, at))

    def _go_on(self, run: Run, reading: Reading, at: int) -> None:
        """Add what was counted and stored since the last reading."""
        newest = self.newest()
        stored = self._stored(run.last_event_id, newest, run.since_at)
        late = self._stored(reading.stored_before, newest, run.since_at)
        growth = sum(
            counts.all - run.counted.get(index, 0) for index, counts in reading.counts.items()
        )
        here = stored.total() + run.late + run.rejected
        self._keep_run(run.since_at, at, newest, (growth, here))
        for index, counts in reading.counts.items():
            row = {"first_counted": 0, "stored": stored[index], "stored_early": 0}
            self._keep_reading(run.since_at, index, counts, {**row, "stored_late": late[index]})

    def _stored(self, after: int, until: int, since_at: int) -> Counter[str]:
        """Count the events of a stretch of ids by auth_index."""
        span = {"after": after, "until": until, "proxy_id": self._id}
        span["since_at"] = since_at - LONGEST_ATTEMPT_MS
        return Counter(dict(self._conn.execute(STORED, span).fetchall()))

    def _keep_run(self, since_at: int, at: int, newest: int, last: tuple[int, int]) -> None:
        row = {"proxy_id": self._id, "since_at": since_at, "read_at": max(at, since_at)}
        row |= {"last_event_id": newest, "last_counted": last[0], "last_stored": last[1]}
        self._conn.execute(KEEP_RUN, row)

    def _keep_reading(
        self, since_at: int, index: str, counts: Counted, row: dict[str, int]
    ) -> None:
        at = {"proxy_id": self._id, "since_at": since_at, "auth_index": index}
        counted = {"counted": counts.all, "failed": counts.failed}
        self._conn.execute(KEEP_READING, {**at, **counted, **row})


def has_restarted(before: dict[str, int], now: dict[str, Counted]) -> bool:
    """Tell whether a count went down, which it only does when the proxy begins anew."""
    return any(counts.all < before.get(index, 0) for index, counts in now.items())
