"""Work out the cost of stored events anew, and correct the rollups by the difference."""

import sqlite3
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from ledger import retention, rollups
from ledger.database import transaction
from ledger.prices.calculator import NO_PRICE_IDS, Attempt, PriceIds, Prices, price_ids
from ledger.prices.rates import Counts, Rates

EVENTS_PER_TRANSACTION = 20_000
READ = """
  select
    usage_events.id,
    credentials.provider,
    models.name,
    occurred_at,
    coalesce(aliases.name, ''),
    credentials.auth_type,
    coalesce(known_endpoints.name, ''),
    coalesce(requested.name, ''),
    coalesce(answered.name, ''),
    coalesce(known_clients.label, ''),
    known_accounts.label,
    failed,
    warm_up,
    input_tokens,
    cached_tokens,
    cache_write_tokens,
    output_tokens,
    reasoning_tokens,
    total_tokens,
    unclassified_tokens
  from usage_events
  join credentials on credentials.id = usage_events.credential_id
  join known_accounts on known_accounts.id = credentials.account_id
  join known_models as models on models.id = usage_events.model_id
  left join known_models as aliases on aliases.id = usage_events.alias_id
  left join known_endpoints on known_endpoints.id = usage_events.endpoint_id
  left join known_tiers as requested on requested.id = usage_events.tier_id
  left join known_tiers as answered on answered.id = usage_events.answered_tier_id
  left join known_clients on known_clients.id = usage_events.client_id
  where usage_events.id > :after and usage_events.id <= :until
    and occurred_at >= :start and occurred_at < :end
"""
CREATE_REPRICED = """
  create temp table if not exists repriced (
    id integer primary key,
    cost_microdollars integer,
    saved_microdollars integer,
    cost_reason integer,
    price_id integer,
    price_rule_id integer
  )
"""
# What a new price changes of an event's measures.
CHANGED = {
    "cost_microdollars": "coalesce(repriced.cost_microdollars, 0)"
    " - coalesce(usage_events.cost_microdollars, 0)",
    "saved_microdollars": "repriced.saved_microdollars - usage_events.saved_microdollars",
    "unpriced": "(repriced.cost_reason is not null) - (usage_events.cost_reason is not null)",
}
IS_CHANGED = """(
    usage_events.cost_microdollars is not repriced.cost_microdollars
    or usage_events.saved_microdollars <> repriced.saved_microdollars
    or usage_events.cost_reason is not repriced.cost_reason
  )"""
ADD_DIFFERENCES = f"""
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
  where usage_events.id <= last_event_id and {IS_CHANGED}
"""
SUM_CHANGES = f"""
  select
    credentials.provider,
    known_models.name,
    count(*),
    sum(coalesce(usage_events.cost_microdollars, 0)),
    sum(coalesce(repriced.cost_microdollars, 0)),
    sum(usage_events.cost_reason is not null),
    sum(repriced.cost_reason is not null)
  from temp.repriced
  join usage_events on usage_events.id = repriced.id
  join credentials on credentials.id = usage_events.credential_id
  join known_models on known_models.id = usage_events.model_id
  where {IS_CHANGED}
  group by 1, 2
"""
UPDATE = """
  update usage_events set
    cost_microdollars = repriced.cost_microdollars,
    saved_microdollars = repriced.saved_microdollars,
    cost_reason = repriced.cost_reason,
    price_id = repriced.price_id,
    price_rule_id = repriced.price_rule_id
  from temp.repriced
  where repriced.id = usage_events.id
"""

Progress = Callable[[int, int], None]


class Change(NamedTuple):
    """What changed for one provider and model: attempts, micro-dollars and attempts unpriced."""

    attempts: int
    before: int
    after: int
    unpriced_before: int
    unpriced_after: int

    def plus(self, other: "Change") -> "Change":
        """Return the sum of two changes."""
        return Change(*(one + two for one, two in zip(self, other, strict=True)))


NO_CHANGE = Change(0, 0, 0, 0, 0)
Changes = dict[tuple[str, str], Change]


def reprice(
    conn: sqlite3.Connection, prices: Prices, *, start: int, end: int, progress: Progress
) -> Changes:
    """Recompute the events of [start, end) (ms UTC), some thousands in a transaction.

    Costs of a time whose raw events are gone stay as they are. `progress` is called with the
    number of event ids done and of all. Returns what changed by provider and model.
    """
    (newest,) = conn.execute("select coalesce(max(id), 0) from usage_events").fetchone()
    start = max(start, retention.complete_from(conn))
    changes: Changes = {}
    for after in range(0, newest, EVENTS_PER_TRANSACTION):
        bounds = {
            "after": after,
            "until": after + EVENTS_PER_TRANSACTION,
            "start": start,
            "end": end,
        }
        with transaction(conn):
            found = reprice_some(conn, prices, bounds)
        for key, change in found.items():
            changes[key] = changes.get(key, NO_CHANGE).plus(change)
        progress(min(after + EVENTS_PER_TRANSACTION, newest), newest)
    return changes


def reprice_some(conn: sqlite3.Connection, prices: Prices, bounds: dict[str, int]) -> Changes:
    """Recompute a range of ids inside the caller's transaction; return what changed."""
    rollups.begin_delta(conn)
    conn.execute(CREATE_REPRICED)
    conn.execute("delete from temp.repriced")
    rows = list(costs(conn, prices, conn.execute(READ, bounds).fetchall()))
    conn.executemany("insert into temp.repriced values (?, ?, ?, ?, ?, ?)", rows)
    changes = {
        (provider, model): Change(*numbers)
        for provider, model, *numbers in conn.execute(SUM_CHANGES)
    }
    conn.execute(ADD_DIFFERENCES)
    rollups.apply_delta(conn)
    conn.execute(UPDATE)
    return changes


def costs(
    conn: sqlite3.Connection, prices: Prices, events: list[tuple[Any, ...]]
) -> Iterator[tuple[int | None, ...]]:
    """Yield the values of `temp.repriced` for each event."""
    # The rates are kept beside their ids, so that no other object takes their place in memory.
    ids: dict[int, tuple[Rates, PriceIds]] = {}
    for event_id, *values in events:
        *names, fresh, cached, written, output, reasoning, total, unclassified = values
        cost = prices.cost(
            Attempt(*names),
            Counts(fresh, cached, written, output, reasoning),
            total=total,
            unclassified=unclassified,
        )
        found = NO_PRICE_IDS
        if rates := cost.rates:
            if id(rates) not in ids:
                ids[id(rates)] = rates, price_ids(conn, rates)
            found = ids[id(rates)][1]
        yield event_id, cost.microdollars, cost.saved, cost.reason, *found


def summary(changes: Changes) -> Iterator[str]:
    """Yield what a repricing changed, the largest difference first, and in all."""
    if not changes:
        yield "No cost changed."
        return
    total = NO_CHANGE
    for (provider, model), change in sorted(
        changes.items(), key=lambda item: -abs(item[1].after - item[1].before)
    ):
        total = total.plus(change)
        yield line(f"{model} of {provider}", change)
    yield line("all", total)


def line(name: str, change: Change) -> str:
    """Return one change as text, in dollars."""
    unpriced = ""
    if change.unpriced_before != change.unpriced_after:
        unpriced = f", unpriced {change.unpriced_before:,} -> {change.unpriced_after:,}"
    return (
        f"{name}: {change.attempts:,} attempts, "
        f"${change.before / 1e6:,.2f} -> ${change.after / 1e6:,.2f}{unpriced}"
    )
