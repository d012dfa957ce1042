"""Update the rollups whenever events are stored or deleted.

The sums of new events are computed once, as a delta, which is then added to each rollup. Both
happen in the transaction that stores the events, so that the sums are exact at every commit.
"""

import sqlite3
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

from ledger.database import transaction

MEASURES = (
    *("requests", "failed", "cancelled", "input_tokens", "cached_tokens", "cache_write_tokens"),
    *("output_tokens", "reasoning_tokens", "unclassified_tokens"),
    *("cost_microdollars", "saved_microdollars", "unpriced"),
)
SPEEDS = ("timed_ms", "timed_tokens", "streamed_ms", "streamed_tokens")


class Rollup(NamedTuple):
    """A table of sums: its dimensions, the resolutions stored for ever, and one for recent time."""

    table: str
    dimensions: tuple[str, ...]
    permanent: tuple[int, ...]
    recent: int
    measures: tuple[str, ...] = MEASURES


# Resolutions: 1 minute, 2 quarter hour, 3 hour, 4 UTC day, 5 week.
SUMS = (
    Rollup("total_rollup", ("proxy_id",), (2, 3, 4), 1),
    Rollup("model_rollup", ("proxy_id", "model_id"), (2, 4), 1, MEASURES + SPEEDS),
    Rollup("client_rollup", ("proxy_id", "client_id"), (2, 4), 1),
    Rollup("credential_rollup", ("credential_id",), (3, 4), 1),
    Rollup("credential_model_rollup", ("model_id", "credential_id"), (4,), 3),
    Rollup("client_model_rollup", ("client_id", "model_id", "proxy_id"), (4,), 3),
)
HISTOGRAMS = (
    Rollup("latency_rollup", ("proxy_id", "kind", "ms"), (3, 4), 1, ("requests",)),
    Rollup(
        "model_latency_rollup", ("proxy_id", "model_id", "kind", "ms"), (4, 5), 3, ("requests",)
    ),
)
FAILURES = "failure_rollup"

# One row for each event, with the values to add; event_id is null where only a cost changes.
DELTA = f"""
  create temp table if not exists rollup_delta (
    event_id, occurred_at, is_recent, proxy_id, credential_id, model_id, client_id,
    {", ".join(MEASURES)}, {", ".join(SPEEDS)}, latency_bucket, ttft_bucket
  )
"""
FILL = f"""
  insert into temp.rollup_delta
  select
    event_id,
    occurred_at,
    occurred_at >= rollup_state.recent_from,
    credentials.proxy_id,
    credential_id,
    model_id,
    client_id,
    {", ".join(MEASURES)},
    {", ".join(SPEEDS)},
    (select ms from latency_buckets where from_ms <= latency_ms order by from_ms desc limit 1),
    (select ms from latency_buckets where from_ms <= ttft_ms order by from_ms desc limit 1)
  from event_measures
  join credentials on credentials.id = credential_id
  cross join rollup_state
  where event_id > :after
    and event_id <= :until
    -- Older events are in their rollups already, and about to be deleted.
    and occurred_at >= raw_complete_from
"""
NEGATE = "update temp.rollup_delta set " + ", ".join(f"{m} = -{m}" for m in MEASURES + SPEEDS)
# Successful attempts by duration: kind 1 is latency, 2 time to first token.
TIMED = """(
    select *, 1 as kind, latency_bucket as ms from temp.rollup_delta
    where latency_bucket is not null
    union all
    select *, 2, ttft_bucket from temp.rollup_delta
    where ttft_bucket is not null
  )"""
ADD_FAILURES = """
  insert into failure_rollup (
    resolution, bucket_at, proxy_id, status_code, code, requests, cancelled, message
  )
  select
    resolutions.resolution,
    delta.occurred_at - delta.occurred_at % length_ms,
    proxy_id,
    coalesce(status_code, 0),
    coalesce(code, ''),
    sum(delta.requests),
    sum(delta.cancelled),
    max(message)
  from temp.rollup_delta as delta
  join usage_events on usage_events.id = delta.event_id
  left join failure_details on failure_details.event_id = delta.event_id
  join resolutions on resolutions.resolution in (3, 4)
  where delta.failed <> 0
  group by 1, 2, 3, 4, 5
  on conflict do update set
    requests = requests + excluded.requests,
    cancelled = cancelled + excluded.cancelled,
    message = max(coalesce(message, excluded.message), coalesce(excluded.message, message))
"""
ADD_LAST_FAILURES = """
  insert into last_failures (status_code, code, credential_id, last_at)
  select coalesce(status_code, 0), coalesce(code, ''), delta.credential_id, max(delta.occurred_at)
  from temp.rollup_delta as delta
  join usage_events on usage_events.id = delta.event_id
  left join failure_details on failure_details.event_id = delta.event_id
  where delta.failed <> 0
  group by 1, 2, 3
  on conflict do update set last_at = max(last_at, excluded.last_at)
"""
# A maximum cannot be subtracted: it is computed again from the remaining events.
FROM_FAILED_EVENTS = """
  from usage_events indexed by failed_events_by_time
  join credentials on credentials.id = usage_events.credential_id
  left join failure_details on failure_details.event_id = usage_events.id
  where usage_events.failed = 1
    and usage_events.id <= (select last_event_id from rollup_state)
    and usage_events.id not in (select event_id from temp.rollup_delta)
    and coalesce(usage_events.status_code, 0) = stale.status_code
    and coalesce(failure_details.code, '') = stale.code
"""
SUBTRACT_FAILURES = (
    f"""
  update failure_rollup as stale set message = (
    select max(failure_details.message) {FROM_FAILED_EVENTS}
    and credentials.proxy_id = stale.proxy_id
    and usage_events.occurred_at >= stale.bucket_at
    and usage_events.occurred_at < stale.bucket_at + (
      select length_ms from resolutions where resolutions.resolution = stale.resolution
    )
  )
  where (resolution, bucket_at) in (
    select resolutions.resolution, occurred_at - occurred_at % length_ms
    from temp.rollup_delta
    join resolutions on resolutions.resolution in (3, 4)
    where failed <> 0
  )
""",
    "delete from failure_rollup where requests = 0",
    f"""
  insert or replace into last_failures (status_code, code, credential_id, last_at)
  select status_code, code, credential_id, coalesce((
    select max(usage_events.occurred_at) {FROM_FAILED_EVENTS}
    and usage_events.credential_id = stale.credential_id
    and usage_events.occurred_at >= (select raw_complete_from from rollup_state)
  ), 0)
  from last_failures as stale
  where credential_id in (select credential_id from temp.rollup_delta where failed <> 0)
""",
    "delete from last_failures where last_at = 0",
)
HOUR_MS = 3_600_000
RECENT_MS, SLACK_MS = 48 * HOUR_MS, 2 * HOUR_MS
IDS_PER_TRANSACTION = 50_000
BEHIND = """
  select last_event_id, (select coalesce(max(id), 0) from usage_events) from rollup_state
"""


def addition(rollup: Rollup, source: str) -> str:
    """Return the statement that adds the delta, or `source` made from it, to a rollup."""
    sums = [f"sum({measure})" for measure in rollup.measures]
    adds = [f"{measure} = {measure} + excluded.{measure}" for measure in rollup.measures]
    keys = ("resolution", "bucket_at", *rollup.dimensions)
    return f"""
  insert into {rollup.table} ({", ".join((*keys, *rollup.measures))})
  select
    resolutions.resolution,
    occurred_at - occurred_at % length_ms,
    {", ".join((*rollup.dimensions, *sums))}
  from {source} as delta
  join resolutions on resolutions.resolution in ({", ".join(map(str, rollup.permanent))})
    or resolutions.resolution = {rollup.recent} and delta.is_recent
  group by {", ".join(str(position) for position in range(1, len(keys) + 1))}
  on conflict do update set {", ".join(adds)}
"""


@cache
def additions() -> tuple[str, ...]:
    """Return the statements that add the delta to every rollup."""
    return (
        *(addition(rollup, "temp.rollup_delta") for rollup in SUMS),
        *(addition(rollup, TIMED) for rollup in HISTOGRAMS),
        ADD_FAILURES,
    )


def tables() -> tuple[str, ...]:
    """Return the names of the tables of sums."""
    return (*(rollup.table for rollup in SUMS + HISTOGRAMS), FAILURES)


def add(conn: sqlite3.Connection) -> None:
    """Add the next events that are not in the rollups yet, inside the caller's transaction."""
    after, newest = conn.execute(BEHIND).fetchone()
    if newest <= after:
        return
    until = min(newest, after + IDS_PER_TRANSACTION)
    begin_delta(conn)
    conn.execute(FILL, {"after": after, "until": until})
    apply_delta(conn)
    conn.execute(ADD_LAST_FAILURES)
    conn.execute("update rollup_state set last_event_id = ?", (until,))


def subtract(conn: sqlite3.Connection, ids: list[int]) -> None:
    """Subtract events from every rollup, inside the caller's transaction.

    The events are about to be deleted, since a more complete record replaces each of them.
    """
    if not ids:
        return
    (last_event_id,) = conn.execute("select last_event_id from rollup_state").fetchone()
    begin_delta(conn)
    conn.executemany(FILL, [{"after": i - 1, "until": i} for i in ids if i <= last_event_id])
    conn.execute(NEGATE)
    apply_delta(conn)
    for statement in SUBTRACT_FAILURES:
        conn.execute(statement)


def begin_delta(conn: sqlite3.Connection) -> None:
    """Create the temporary table of the delta, or empty it."""
    conn.execute(DELTA)
    conn.execute("delete from temp.rollup_delta")


def apply_delta(conn: sqlite3.Connection) -> None:
    """Add the delta to every rollup, inside the caller's transaction."""
    for statement in additions():
        conn.execute(statement)


def catch_up(conn: sqlite3.Connection, report: Callable[[int, int], None] | None = None) -> None:
    """Add all events that are not in the rollups yet, some thousands in a transaction.

    `report` is called with the number of event ids done and of all.
    """
    while True:
        done, newest = conn.execute(BEHIND).fetchone()
        if report:
            report(done, newest)
        if done >= newest:
            return
        with transaction(conn):
            add(conn)


def reset(conn: sqlite3.Connection, now: int) -> None:
    """Empty every rollup; `catch_up` or the running collector fills it again.

    Buckets of a time whose raw events are deleted stay unchanged.
    """
    complete_from = "(select raw_complete_from from rollup_state)"
    with transaction(conn):
        for table in tables():
            conn.execute(f"delete from {table} where bucket_at >= {complete_from}")
        conn.execute("delete from last_failures")
        conn.execute(
            "update rollup_state set last_event_id = 0, recent_from = ?", (recent_cutoff(now),)
        )


def prune(conn: sqlite3.Connection, now: int) -> None:
    """Delete old buckets of the finest resolution, at most every two hours, in a transaction."""
    (recent_from,) = conn.execute("select recent_from from rollup_state").fetchone()
    if now - recent_from < RECENT_MS + SLACK_MS:
        return
    cutoff = recent_cutoff(now)
    for rollup in SUMS + HISTOGRAMS:
        conn.execute(
            f"delete from {rollup.table} where resolution = ? and bucket_at < ?",
            (rollup.recent, cutoff),
        )
    conn.execute("update rollup_state set recent_from = ?", (cutoff,))


def recent_cutoff(now: int) -> int:
    """Return the instant (ms) from which the buckets of the finest resolution are stored."""
    return (now - RECENT_MS) // HOUR_MS * HOUR_MS
