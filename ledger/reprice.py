"""Work out the cost of stored events anew, and set the rollups right by the difference."""

import sqlite3
from collections.abc import Callable, Iterator

from ledger import retention, rollups
from ledger.database import transaction
from ledger.prices import Counts, Prices, Spent, price_id

AT_ONCE = 20_000
FIND = """
  select
    usage_events.id,
    credentials.provider,
    known_models.name,
    occurred_at,
    input_tokens,
    cached_tokens,
    cache_write_tokens,
    output_tokens,
    total_tokens,
    unclassified_tokens
  from usage_events
  join credentials on credentials.id = usage_events.credential_id
  join known_models on known_models.id = usage_events.model_id
  where usage_events.id > :after and usage_events.id <= :until
    and occurred_at >= :start and occurred_at < :end
"""
CHANGES = """
  create temp table if not exists repriced (
    id integer primary key, cost_microdollars integer, price_id integer
  )
"""
# What a new price changes of an event's measures.
CHANGED = {
    "cost_microdollars": "coalesce(repriced.cost_microdollars, 0)"
    " - coalesce(usage_events.cost_microdollars, 0)",
    "unpriced": "(repriced.cost_microdollars is null) - (usage_events.cost_microdollars is null)",
}
# What a new price changes of an event's measures.
CHANGED = {
    "cost_microdollars": "coalesce(repriced.cost_microdollars, 0)"
    " - coalesce(usage_events.cost_microdollars, 0)",
    "unpriced": "(repriced.cost_microdollars is null) - (usage_events.cost_microdollars is null)",
}
DIFFERENCES = f"""
  insert into temp.rollup_delta (
    occurred_at, is_recent, proxy_id, credential_id, model_id, client_id,
    {", ".join(rollups.MEASURES)}, {", ".join(rollups.SPEEDS)}
  )
  select
    occurred_at,
    occurred_at >= recent_from,
    credentials.proxy_id,
    credential_id,
    model_id,
    coalesce(client_id, 0),
    {", ".join(CHANGED.get(name, "0") for name in rollups.MEASURES + rollups.SPEEDS)}
  from temp.repriced
  join usage_events on usage_events.id = repriced.id
  join credentials on credentials.id = usage_events.credential_id
  cross join rollup_state
  where usage_events.id <= last_event_id
    and usage_events.cost_microdollars is not repriced.cost_microdollars
"""
KEEP = """
  update usage_events set
    cost_microdollars = repriced.cost_microdollars,
    price_id = repriced.price_id
  from temp.repriced
  where repriced.id = usage_events.id
"""

Told = Callable[[int, int], None]


def reprice(conn: sqlite3.Connection, prices: Prices, *, start: int, end: int, told: Told) -> int:
    """Recompute the events of [start, end) (ms, UTC), some thousands in a transaction.

    Costs of a time whose raw events are not kept stay as they are.
    `told` is called with how many of how many event ids are done. Returns how many costs changed.
    """
    (newest,) = conn.execute("select coalesce(max(id), 0) from usage_events").fetchone()
    changed, start = 0, max(start, retention.complete_from(conn))
    for after in range(0, newest, AT_ONCE):
        span = {"after": after, "until": after + AT_ONCE, "start": start, "end": end}
        with transaction(conn):
            changed += reprice_some(conn, prices, span)
        told(min(after + AT_ONCE, newest), newest)
    return changed


def reprice_some(conn: sqlite3.Connection, prices: Prices, span: dict[str, int]) -> int:
    """Recompute a stretch of ids inside the caller's transaction; returns how many changed."""
    rollups.begin_delta(conn)
    conn.execute(CHANGES)
    conn.execute("delete from temp.repriced")
    rows = list(costs(conn, prices, conn.execute(FIND, span).fetchall()))
    conn.executemany("insert into temp.repriced values (?, ?, ?)", rows)
    changed = conn.execute(DIFFERENCES).rowcount
    rollups.apply_delta(conn)
    conn.execute(KEEP)
    return changed


def costs(
    conn: sqlite3.Connection, prices: Prices, events: list[tuple[object, ...]]
) -> Iterator[tuple[int, int | None, int | None]]:
    """Give (event id, cost in micro-dollars, price id) for each event."""
    ids: dict[int | None, int | None] = {None: None}
    for event_id, provider, model, occurred_at, *tokens in events:
        *counts, total, unclassified = tokens
        spent = Spent(provider, model, occurred_at, total, unclassified)
        cost, rates = prices.cost(spent, Counts(*counts))
        if rates and id(rates) not in ids:
            ids[id(rates)] = price_id(conn, rates)
        yield event_id, cost, ids[rates and id(rates)]
