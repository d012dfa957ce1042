"""Write a batch into the ledger: its events, its rejected records and its counts, or nothing."""

import sqlite3
from collections.abc import Iterable
from typing import NamedTuple

from ingest.dimensions import Dimensions, Ids
from ingest.matching import LIVE, Stored, find_stored, is_better, mark_added, start_matching
from ingest.parse import Rejected, Usage
from ingest.quota_signals import store_signals
from ingest.rejected import redact_record
from ingest.spool import Batch
from ingest.tokens import Tokens
from ledger import retention, rollups, zones
from ledger.keys import Salt
from ledger.prices.calculator import (
    NO_PRICE_IDS,
    NOTHING,
    WITHOUT_USAGE,
    Attempt,
    Plan,
    PriceIds,
    Prices,
    is_free,
)

HOUR_MS = 3_600_000
# Combinations of names whose price is remembered.
MAX_PLANS = 50_000
TOO_OLD = "timestamp: older than the events that keep_events_days keeps"
# The columns of `usage_events` in the order of `EventWriter._row`.
EVENT_COLUMNS = (
    "occurred_at",
    "event_hash",
    *Ids._fields,
    "failed",
    "cancelled",
    "warm_up",
    "status_code",
    "latency_ms",
    "ttft_ms",
    *(f"{field}_tokens" for field in Tokens._fields),
    "total_tokens",
    "request_id",
    "cost_microdollars",
    "saved_microdollars",
    "cost_reason",
    *PriceIds._fields,
    "import_id",
)
ADD_EVENT = f"""
  insert into usage_events ({", ".join(EVENT_COLUMNS)})
  values ({", ".join("?" for _ in EVENT_COLUMNS)})
  on conflict (occurred_at, event_hash) do nothing
"""
ADD_FAILURE = """
  insert into failure_details (event_id, code, message)
  select id, ?, ? from usage_events where occurred_at = ? and event_hash = ?
  on conflict (event_id) do nothing
"""
DELETE_EVENT = "delete from usage_events where id = ?"
NEWEST_ID = "select coalesce(max(id), 0) from usage_events"
# An attempt from the queue can be in the ledger already only through an import of these less
# complete records.
IMPORTED_UNTIL = """
  select coalesce(max(last_at), 0)
  from imports
  where origin in ('keeper', 'export')
"""
ADD_REJECTED = """
  insert into rejected_events (proxy_id, received_at, reason, form, record)
  values (?, ?, ?, ?, ?)
"""
MARK_REPLAYED = """
  update rejected_events set replayed_at = ? where id = ? and replayed_at is null
"""
ADD_COUNTS = """
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
NOTE_BATCH = """
  update proxies set
    last_batch = max(last_batch, :number),
    first_pop_at = coalesce(first_pop_at, :popped_at),
    last_pop_at = max(coalesce(last_pop_at, 0), :popped_at),
    source = :source
  where id = :proxy_id
"""


class BatchCounts(NamedTuple):
    """Numbers of records of a batch: `received` is the sum of the others."""

    received: int
    stored: int
    duplicate: int
    rejected: int


class EventCounts(NamedTuple):
    """Numbers of events; `improved` events replaced a less complete record, and are duplicates."""

    stored: int
    duplicate: int
    improved: int


class EventWriter:
    """Writes the events of one proxy and one origin, inside the caller's transaction."""

    def __init__(
        self,
        conn: sqlite3.Connection,
        dimensions: Dimensions,
        prices: Prices,
        *,
        origin: str = LIVE,
        import_id: int | None = None,
    ) -> None:
        self._conn = conn
        self._dimensions = dimensions
        self._prices = prices
        self._origin = origin
        self._import_id = import_id
        self._plans: dict[tuple[str | int | None, ...], Plan] = {}
        self._lists = prices.listed
        start_matching(conn)

    def write(self, usages: list[Usage]) -> EventCounts:
        """Add the events that the ledger lacks to it and to every rollup.

        An event that it has from a less complete record is replaced.
        """
        if not usages:
            return EventCounts(0, 0, 0)
        if self._prices.listed is not self._lists or len(self._plans) > MAX_PLANS:
            self._lists = self._prices.listed
            self._plans.clear()
        received, times = len(usages), [usage.occurred_at for usage in usages]
        zones.extend(self._conn, min(times), max(times))
        replaced: list[Stored] = []
        ids = [self._dimensions.ids(usage.payload) for usage in usages]
        if self._may_be_stored(min(times)):
            usages, ids, replaced = self._missing(usages, ids)
        added = self._add(usages, ids)
        self._remove(replaced)
        rollups.add(self._conn)
        stored = added - len(replaced)
        return EventCounts(stored, received - stored, len(replaced))

    def _may_be_stored(self, earliest: int) -> bool:
        """Return whether the ledger may have an event from another program's record."""
        if self._origin != LIVE:
            return True
        return earliest <= self._conn.execute(IMPORTED_UNTIL).fetchone()[0]

    def _missing(
        self, usages: list[Usage], ids: list[Ids]
    ) -> tuple[list[Usage], list[Ids], list[Stored]]:
        """Return the events to add, with their ids, and the events that they replace."""
        # Of several events with the same bytes, one is enough.
        different = {(usage.occurred_at, usage.hash): n for n, usage in enumerate(usages)}
        usages, ids = [usages[n] for n in different.values()], [ids[n] for n in different.values()]
        stored = find_stored(self._conn, usages, ids, origin=self._origin)
        missing = [
            n
            for n, event in enumerate(stored)
            if event is None or is_better(self._origin, event, usages[n])
        ]
        replaced = [event for n in missing if (event := stored[n])]
        return [usages[n] for n in missing], [ids[n] for n in missing], replaced

    def _add(self, usages: list[Usage], ids: list[Ids]) -> int:
        """Insert events and the details of their failures; return how many were new."""
        # Only a file can contain an attempt that this run has added already.
        is_import = self._origin != LIVE
        newest = self._conn.execute(NEWEST_ID).fetchone()[0] if is_import else 0
        rows = [self._row(usage, of) for usage, of in zip(usages, ids, strict=True)]
        added = self._conn.executemany(ADD_EVENT, rows).rowcount if rows else 0
        self._conn.executemany(
            ADD_FAILURE,
            [
                (usage.failure.code, usage.failure.message, usage.occurred_at, usage.hash)
                for usage in usages
                if usage.failure
            ],
        )
        if is_import:
            mark_added(self._conn, newest)
        return added

    def _remove(self, events: list[Stored]) -> None:
        """Delete events that were replaced, and subtract them from the rollups."""
        ids = [event.id for event in events]
        rollups.subtract(self._conn, ids)
        self._conn.executemany(DELETE_EVENT, [(event_id,) for event_id in ids])

    def _row(self, usage: Usage, ids: Ids) -> tuple[object, ...]:
        """Return the values of `EVENT_COLUMNS`."""
        payload = usage.payload
        return (
            usage.occurred_at,
            usage.hash,
            *ids,
            payload.failed,
            usage.failure is not None and usage.failure.cancelled,
            payload.generate is False,
            usage.failure.status if usage.failure else None,
            payload.latency_ms,
            payload.ttft_ms or None,
            *usage.tokens,
            usage.tokens.total,
            payload.request_id or None,
            *self._cost(usage, ids),
            self._import_id,
        )

    def _cost(self, usage: Usage, ids: Ids) -> tuple[int | None, ...]:
        """Return the cost, what the cache saved, the reason of a missing cost, and the price."""
        # By ids, since the texts of each event are new objects whose hashes take time.
        credential, client, model, alias, endpoint, _, _, asked, answered = ids
        key = (
            usage.payload.provider,
            usage.payload.auth_type,
            model,
            alias,
            endpoint,
            asked,
            answered,
            client if self._prices.needs_client else None,
            credential if self._prices.needs_account else None,
        )
        plan = self._plans.get(key)
        if plan is None:
            plan = self._plans[key] = self._prices.plan(self._attempt(usage))
        cost = plan.cost(usage.occurred_at, usage.tokens)
        if cost is WITHOUT_USAGE and is_free(self._attempt(usage)):
            cost = NOTHING
        rates = cost.rates
        price_id, rule_id = self._dimensions.price_ids(rates) if rates else NO_PRICE_IDS
        return cost.microdollars, cost.saved, cost.reason, price_id, rule_id

    def _attempt(self, usage: Usage) -> Attempt:
        """Return the properties of an event, besides its tokens, that its cost depends on."""
        payload, prices = usage.payload, self._prices
        return Attempt(
            payload.provider,
            payload.model,
            usage.occurred_at,
            payload.alias,
            payload.auth_type,
            payload.endpoint,
            payload.service_tier,
            payload.response_service_tier,
            self._dimensions.client_label(payload) if prices.needs_client else "",
            self._dimensions.account_label(payload) if prices.needs_account else "",
            payload.failed,
            payload.generate is False,
        )


class Store:
    """Writes the batches of one proxy."""

    def __init__(self, conn: sqlite3.Connection, proxy_id: int, salt: Salt, prices: Prices) -> None:
        self._conn = conn
        self._proxy_id = proxy_id
        self._salt = salt
        self._dimensions = Dimensions(conn, proxy_id, salt)
        self._events = EventWriter(conn, self._dimensions, prices)

    def write(self, batch: Batch, records: Iterable[Usage | Rejected]) -> BatchCounts:
        """Write a batch, its number and its counts in one transaction.

        Raises `Unavailable` when the file cannot be written now; then nothing is written.
        """
        with self._dimensions.transaction():
            usages, rejected = self._partition(batch, records)
            stored = self._events.write(usages).stored
            store_signals(
                self._conn,
                usages,
                credential_id=self._dimensions.credential_id,
                popped_at=batch.popped_at,
            )
            self._conn.executemany(
                ADD_REJECTED, [self._rejected_row(batch, record) for record in rejected]
            )
            counts = BatchCounts(
                received=len(usages) + len(rejected),
                stored=stored,
                duplicate=len(usages) - stored,
                rejected=len(rejected),
            )
            self._conn.execute(NOTE_BATCH, self._add_counts(batch, counts))
            rollups.prune(self._conn, batch.popped_at)
            return counts

    def replay(self, batch: Batch, usages: list[Usage], ids: list[int]) -> BatchCounts:
        """Write rejected records that are valid now, and mark them as replayed by their ids.

        Records that another process has marked in the meantime are left out.
        """
        with self._dimensions.transaction():
            marked = [self._mark_replayed(record_id, batch.popped_at) for record_id in ids]
            usages = [usage for usage, is_ours in zip(usages, marked, strict=True) if is_ours]
            stored = self._events.write(usages).stored
            counts = BatchCounts(len(usages), stored, len(usages) - stored, 0)
            self._add_counts(batch, counts)
            return counts

    def _mark_replayed(self, record_id: int, replayed_at: int) -> bool:
        return self._conn.execute(MARK_REPLAYED, (replayed_at, record_id)).rowcount > 0

    def _add_counts(self, batch: Batch, counts: BatchCounts) -> dict[str, object]:
        """Add the counts of a batch to those of its hour; return the values by name."""
        values: dict[str, object] = {
            "proxy_id": self._proxy_id,
            "number": batch.number,
            "source": batch.source,
            "popped_at": batch.popped_at,
            "hour_at": batch.popped_at // HOUR_MS * HOUR_MS,
            **counts._asdict(),
        }
        if counts.received:
            self._conn.execute(ADD_COUNTS, values)
        return values

    def _partition(
        self, batch: Batch, records: Iterable[Usage | Rejected]
    ) -> tuple[list[Usage], list[Rejected]]:
        """Return the events to store, and the records to reject as invalid or too old."""
        oldest = retention.complete_from(self._conn)
        usages: list[Usage] = []
        rejected: list[Rejected] = []
        for raw, record in zip(batch.records, records, strict=True):
            if isinstance(record, Rejected):
                rejected.append(record)
            elif record.occurred_at < oldest:
                rejected.append(Rejected(TOO_OLD, raw))
            else:
                usages.append(record)
        return usages, rejected

    def _rejected_row(self, batch: Batch, record: Rejected) -> tuple[object, ...]:
        form, content = redact_record(record.raw, self._salt.placeholder)
        return (self._proxy_id, batch.popped_at, record.reason, form, content)
