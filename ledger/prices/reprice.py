"""Compute the cost of stored events again, and correct the rollups by the difference."""

import sqlite3
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from ledger import retention, rollups
from ledger.database import transaction
from ledger.prices.calculator import (
    NO_PRICE_IDS,
    NOTHING,
    WITHOUT_USAGE,
    Attempt,
    Plan,
    PriceIds,
    Prices,
    is_free,
    price_ids,
)
from ledger.prices.rates import Rates

EVENTS_PER_TRANSACTION = 20_000
READ = """
  select
    id,
    credential_id,
    model_id,
    alias_id,
    endpoint_id,
    tier_id,
    answered_tier_id,
    client_id,
    occurred_at,
    failed,
    warm_up,
    input_tokens,
    cached_tokens,
    cache_write_tokens,
    output_tokens,
    reasoning_tokens,
    unclassified_tokens
  from usage_events
  where id > :after and id <= :until and occurred_at >= :start and occurred_at < :end
"""
CREDENTIALS = """
  select credentials.id, credentials.provider, credentials.auth_type, known_accounts.label
  from credentials
  join known_accounts on known_accounts.id = credentials.account_id
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
UPDATE = f"""
  update usage_events set
    cost_microdollars = repriced.cost_microdollars,
    saved_microdollars = repriced.saved_microdollars,
    cost_reason = repriced.cost_reason,
    price_id = repriced.price_id,
    price_rule_id = repriced.price_rule_id
  from temp.repriced
  where repriced.id = usage_events.id
    and (
      {IS_CHANGED}
      or usage_events.price_id is not repriced.price_id
      or usage_events.price_rule_id is not repriced.price_rule_id
    )
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

    Costs of a time whose raw events are deleted stay unchanged. `progress` is called with the
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
            batch_changes = reprice_some(conn, prices, bounds)
        for key, change in batch_changes.items():
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
    names = Names(conn)
    plans: dict[tuple[int | None, ...], tuple[Plan, Attempt]] = {}
    # The dictionary references the rates, so that no other object gets the same id().
    ids: dict[int, tuple[Rates, PriceIds]] = {}
    for event_id, credential, model, alias, endpoint, asked, answered, client, at, *more in events:
        key = (credential, model, alias, endpoint, asked, answered, client)
        if key not in plans:
            attempt = names.attempt(*key)
            plans[key] = prices.plan(attempt), attempt
        plan, attempt = plans[key]
        failed, warm_up, *counts = more
        cost = plan.cost(at, tuple(counts))
        if cost is WITHOUT_USAGE and is_free(attempt._replace(failed=failed, is_warm_up=warm_up)):
            cost = NOTHING
        found = NO_PRICE_IDS
        if rates := cost.rates:
            if id(rates) not in ids:
                ids[id(rates)] = rates, price_ids(conn, rates)
            found = ids[id(rates)][1]
        yield event_id, cost.microdollars, cost.saved, cost.reason, *found


class Names:
    """The texts of the ids that events have."""

    def __init__(self, conn: sqlite3.Connection) -> None:
        self._models, self._endpoints, self._tiers = (
            dict(conn.execute(f"select id, name from known_{name}"))
            for name in ("models", "endpoints", "tiers")
        )
        self._clients = dict(conn.execute("select id, label from known_clients"))
        self._credentials = {row[0]: row[1:] for row in conn.execute(CREDENTIALS)}

    def attempt(self, credential: int, model: int, *others: int | None) -> Attempt:
        """Return what decides a price besides the time: the ids are those of `READ`."""
        alias, endpoint, asked, answered, client = others
        provider, auth_type, account = self._credentials[credential]
        return Attempt(
            provider,
            self._models[model],
            0,
            alias=self._models.get(alias, ""),
            auth_type=auth_type,
            endpoint=self._endpoints.get(endpoint, ""),
            requested_tier=self._tiers.get(asked, ""),
            answered_tier=self._tiers.get(answered, ""),
            client=self._clients.get(client, ""),
            account=account,
        )


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
