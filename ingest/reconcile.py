"""Compare the attempts that a proxy has counted since its start with its stored events."""

import sqlite3
from collections import Counter
from typing import NamedTuple

from ingest.management import Attempts
from ledger import transaction

# Longer than any attempt and any clock difference: older events came from an import or a replay.
MAX_ATTEMPT_MS = 86_400_000
NEWEST_ID = "select coalesce(max(id), 0) from usage_events"
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
COUNT_STORED = """
  select credentials.auth_index, count(*)
  from usage_events
  join credentials on credentials.id = usage_events.credential_id
  where usage_events.id > :after
    and usage_events.id <= :until
    and occurred_at >= :since_at
    and credentials.proxy_id = :proxy_id
  group by credentials.auth_index
"""
WRITE_RUN = """
  insert into proxy_runs (proxy_id, since_at, read_at, last_event_id, last_counted, last_stored)
  values (:proxy_id, :since_at, :read_at, :last_event_id, :last_counted, :last_stored)
  on conflict (proxy_id, since_at) do update set
    read_at = max(read_at, excluded.read_at),
    last_event_id = excluded.last_event_id,
    last_counted = excluded.last_counted,
    last_stored = excluded.last_stored
"""
WRITE_READING = """
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
# Of earlier runs, only credentials with attempts are retained.
DELETE_IDLE = """
  delete from counter_readings
  where proxy_id = ? and since_at < ? and counted = first_counted
"""


class Reading(NamedTuple):
    """The proxy's counts by `auth_index`, and the newest event that was stored before the query."""

    attempts: dict[str, Attempts]
    stored_before: int


class Run(NamedTuple):
    """A run of the proxy, from its start to its end, as of the last reading.

    `rejected` counts the records rejected since then, `late` the events that were stored after
    that reading was requested and before it was written.
    """

    since_at: int
    last_event_id: int
    rejected: int
    late: int
    counted: dict[str, int]


class Reconciliation:
    """Writes the readings of one proxy's counters."""

    def __init__(self, conn: sqlite3.Connection, proxy_id: int) -> None:
        self._conn = conn
        self._proxy_id = proxy_id

    def newest_id(self) -> int:
        """Return the id of the newest event."""
        return self._conn.execute(NEWEST_ID).fetchone()[0]

    def write(self, reading: Reading, read_at: int) -> None:
        """Write a reading, once all events that were queued when it was taken are stored."""
        with transaction(self._conn):
            run = self._last_run()
            if run is None or has_restarted(run.counted, reading.attempts):
                self._begin_run(reading, read_at)
            else:
                self._continue_run(run, reading, read_at)

    def _last_run(self) -> Run | None:
        row = self._conn.execute(LAST_RUN, (self._proxy_id,)).fetchone()
        if row is None:
            return None
        since_at, last_event_id, rejected, late = row
        counted = self._conn.execute(LAST_COUNTED, (self._proxy_id, since_at)).fetchall()
        return Run(since_at, last_event_id, rejected, late, dict(counted))

    def _begin_run(self, reading: Reading, read_at: int) -> None:
        """Begin a run, measured from the current counts and events."""
        newest = self.newest_id()
        late = self._stored(reading.stored_before, newest, since_at=read_at)
        self._write_run(read_at, read_at, newest, counted=0, stored=0)
        for index, attempts in reading.attempts.items():
            self._write_reading(
                read_at,
                index,
                attempts,
                first_counted=attempts.total,
                stored=0,
                stored_early=late[index],
                stored_late=late[index],
            )
        self._conn.execute(DELETE_IDLE, (self._proxy_id, read_at))

    def _continue_run(self, run: Run, reading: Reading, read_at: int) -> None:
        """Add the attempts counted and the events stored since the last reading."""
        newest = self.newest_id()
        stored = self._stored(run.last_event_id, newest, since_at=run.since_at)
        late = self._stored(reading.stored_before, newest, since_at=run.since_at)
        growth = sum(
            attempts.total - run.counted.get(index, 0)
            for index, attempts in reading.attempts.items()
        )
        arrived = stored.total() + run.late + run.rejected
        self._write_run(run.since_at, read_at, newest, counted=growth, stored=arrived)
        for index, attempts in reading.attempts.items():
            self._write_reading(
                run.since_at,
                index,
                attempts,
                first_counted=0,
                stored=stored[index],
                stored_early=0,
                stored_late=late[index],
            )

    def _stored(self, after: int, until: int, *, since_at: int) -> Counter[str]:
        """Count the events of a range of ids by `auth_index`."""
        values = {
            "after": after,
            "until": until,
            "since_at": since_at - MAX_ATTEMPT_MS,
            "proxy_id": self._proxy_id,
        }
        return Counter(dict(self._conn.execute(COUNT_STORED, values).fetchall()))

    def _write_run(
        self, since_at: int, read_at: int, newest: int, *, counted: int, stored: int
    ) -> None:
        values = {
            "proxy_id": self._proxy_id,
            "since_at": since_at,
            "read_at": max(read_at, since_at),
            "last_event_id": newest,
            "last_counted": counted,
            "last_stored": stored,
        }
        self._conn.execute(WRITE_RUN, values)

    def _write_reading(self, since_at: int, index: str, attempts: Attempts, **columns: int) -> None:
        values = {
            "proxy_id": self._proxy_id,
            "since_at": since_at,
            "auth_index": index,
            "counted": attempts.total,
            "failed": attempts.failed,
            **columns,
        }
        self._conn.execute(WRITE_READING, values)


def has_restarted(before: dict[str, int], now: dict[str, Attempts]) -> bool:
    """Return whether a count has decreased, which only a restart of the proxy causes."""
    return any(attempts.total < before.get(index, 0) for index, attempts in now.items())
