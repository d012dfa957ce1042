"""Write events into the ledger, each once, whichever way they came before."""

import sqlite3
from typing import NamedTuple

from ingest import matching
from ingest.matching import LIVE, Known, Row
from ingest.parse import Usage
from ingest.rows import Rows
from ledger import rollups, zones

NEWEST = "select coalesce(max(id), 0) from usage_events"
# Only what was brought in from poorer records can be known already when it comes from the queue.
IMPORTED_UNTIL = """
  select coalesce(max(last_at), 0)
  from imports
  where origin in ('keeper', 'export')
"""
KEEP_EVENTS = """
  insert into usage_events (
    occurred_at, event_hash, credential_id, model_id, alias_id, client_id,
    endpoint_id, executor_id, effort_id, tier_id,
    failed, warm_up, status_code, latency_ms, ttft_ms,
    input_tokens, cached_tokens, cache_write_tokens,
    output_tokens, reasoning_tokens, unclassified_tokens, total_tokens,
    request_id, cost_microdollars, price_id, import_id
  ) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
  on conflict (occurred_at, event_hash) do nothing
"""
KEEP_FAILURE = """
  insert into failure_details (event_id, code, message)
  select id, ?, ? from usage_events where occurred_at = ? and event_hash = ?
  on conflict (event_id) do nothing
"""


class Kept(NamedTuple):
    """What became of events: those known from a poorer record before are among the duplicates."""

    stored: int
    duplicate: int
    improved: int


class Events:
    """Writes the events of one proxy that came one way, inside the caller's transaction."""

    def __init__(self, conn: sqlite3.Connection, rows: Rows, *, origin: str = LIVE) -> None:
        self._conn = conn
        self._rows = rows
        self._origin = origin
        matching.begin(conn)

    def keep(self, usages: list[Usage]) -> Kept:
        """Store the events that the ledger does not have, with their sums.

        Where it has one from a poorer record, the better one takes its place.
        """
        if not usages:
            return Kept(0, 0, 0)
        received, times = len(usages), [usage.occurred_at for usage in usages]
        zones.cover(self._conn, min(times), max(times))
        poorer: list[Known] = []
        if self._may_be_known(min(times)):
            usages, rows, poorer = self._unknown(different(usages))
        else:
            rows = [self._rows.row(usage) for usage in usages]
        written = self._write(usages, rows)
        self._replace(poorer)
        rollups.roll(self._conn)
        stored = written - len(poorer)
        return Kept(stored, received - stored, len(poorer))

    def _unknown(self, usages: list[Usage]) -> tuple[list[Usage], list[Row], list[Known]]:
        """Give the events that the ledger lacks, with their rows, and the events they replace."""
        rows = [self._rows.row(usage) for usage in usages]
        found = matching.find(self._conn, usages, rows, origin=self._origin)
        left = [
            at
            for at, known in enumerate(found)
            if known is None or matching.is_better(self._origin, known, usages[at])
        ]
        poorer = [known for at in left if (known := found[at])]
        return [usages[at] for at in left], [rows[at] for at in left], poorer

    def _may_be_known(self, earliest: int) -> bool:
        if self._origin != LIVE:
            return True
        return earliest <= self._conn.execute(IMPORTED_UNTIL).fetchone()[0]

    def _write(self, usages: list[Usage], rows: list[Row]) -> int:
        """Insert events with what their failures said; give how many were new."""
        # Only a file can have an attempt that this run has brought already.
        is_claimed = self._origin != LIVE
        before = self._conn.execute(NEWEST).fetchone()[0] if is_claimed else 0
        written = self._conn.executemany(KEEP_EVENTS, rows).rowcount if rows else 0
        self._conn.executemany(
            KEEP_FAILURE,
            [
                (usage.failure.code, usage.failure.message, usage.occurred_at, usage.hash)
                for usage in usages
                if usage.failure
            ],
        )
        if is_claimed:
            matching.claim_after(self._conn, before)
        return written

    def _replace(self, poorer: list[Known]) -> None:
        """Take the poorer rows and their sums out again, now that the better ones are in."""
        ids = [known.id for known in poorer]
        rollups.take_back(self._conn, ids)
        self._conn.executemany(
            "delete from usage_events where id = ?", [(event_id,) for event_id in ids]
        )


def different(usages: list[Usage]) -> list[Usage]:
    """Keep one of several events with the same bytes."""
    return list({(usage.occurred_at, usage.hash): usage for usage in usages}.values())
