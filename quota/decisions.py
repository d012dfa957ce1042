"""Decide the verdicts and forecasts of accounts, and write them with the end of their validity.

An account is decided again when an observation arrives, when a success lifts a refusal, and when
the validity of its verdict or of a forecast ends. The views show the rows, and call them stale
outside their validity. Every change of a verdict is stored for 60 days.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import fields, replace
from typing import Any, NamedTuple

from ledger import transaction
from quota.cycle_usage import renew_cycle_usage
from quota.forecast import STALE_MS as FORECAST_STALE_MS
from quota.forecast import TOO_EARLY_SHARE, Cycle, Forecast, forecast, recent_ms
from quota.history import Point, is_early
from quota.model import Account, Window
from quota.pools import renew_pools
from quota.providers import PROVIDERS
from quota.refusals import UNCONFIRMED_MS, is_lifted, is_over, lift, load_refusals, successes_after
from quota.verdict import (
    GRACE_MS,
    STALE_MS,
    AccountState,
    Evidence,
    Verdict,
    account_states,
    decide,
)

MAX_VALIDITY_MS = 86_400_000
# A success counts from the end of its request, but the event has the time of the start.
MAX_REQUEST_MS = 1_800_000
RETENTION_MS = 60 * 86_400_000
# A verdict that ended longer ago was not replaced in time, since no worker ran.
LATE_MS = 60_000
ACCOUNT_COLUMNS = tuple(field.name for field in fields(Account))
WINDOW_COLUMNS = tuple(field.name for field in fields(Window))
FLAGS = frozenset(
    {
        "disabled",
        "allowed",
        "limit_reached",
        "credits_has",
        "credits_unlimited",
        "credits_overage_reached",
        "started",
        "gating",
        "assumed",
    }
)
STALENESS = "select value from settings where name = 'quota_stale_ms'"
SET_STALENESS = "insert or replace into settings (name, value) values ('quota_stale_ms', ?)"
MARK = "insert or ignore into quota_undecided (account_id) values (?)"
REFUSED_ACCOUNTS = """
  select account_id, provider
  from quota_refusals
  join known_accounts on known_accounts.id = account_id
  where scope <> 'overage'
  group by account_id
"""
DUE = """
  select account_id from quota_undecided
  union
  select account_id from quota_accounts
  where account_id not in (select account_id from quota_verdicts)
  union
  select account_id from quota_verdicts where valid_until <= :now or decided_at > :now
  union
  select account_id
  from quota_forecasts
  join quota_windows on quota_windows.id = window_id
  where retired_at is null and (valid_until <= :now or decided_at > :now)
"""
ACCOUNT = f"select {', '.join(ACCOUNT_COLUMNS)} from quota_accounts where account_id = ?"
WINDOWS = f"""
  select {", ".join(WINDOW_COLUMNS)}, id, cycle, last_at, last_used, last_resets_at
  from quota_windows
  where account_id = ? and retired_at is null
"""
POINTS = """
  select observed_at, used_percent, resets_at
  from quota_points
  where window_id = :window_id and cycle = :cycle and observed_at < :last_at and (
    observed_at >= :recent or observed_at = (
      select min(observed_at) from quota_points where window_id = :window_id and cycle = :cycle
    )
  )
"""
VERDICTS = """
  select group_name, usable, reason, decided_at, valid_until
  from quota_verdicts
  where account_id = ?
"""
VERDICT_COLUMNS = (
    "account_id",
    "group_name",
    "usable",
    "reason",
    "effective_left",
    "next_usable_at",
    "blocked_by",
    "observed_at",
    "decided_at",
    "valid_until",
)
FORECAST_COLUMNS = (
    "window_id",
    "outcome",
    "reason",
    "percent_per_hour",
    "runs_out_at",
    "left_over_percent",
    "resets_at",
    "first_at",
    "first_used",
    "last_at",
    "last_used",
    "decided_at",
    "valid_until",
)
ADD_VERDICT = f"""
  insert into quota_verdicts ({", ".join(VERDICT_COLUMNS)})
  values ({", ".join("?" * len(VERDICT_COLUMNS))})
"""
ADD_FORECAST = f"""
  insert or replace into quota_forecasts ({", ".join(FORECAST_COLUMNS)})
  values ({", ".join("?" * len(FORECAST_COLUMNS))})
"""
ADD_CHANGE = "insert or replace into quota_verdict_changes values (?, ?, ?, ?, ?)"
PRUNE = """
  delete from quota_verdict_changes
  where since < :oldest and exists (
    select 1
    from quota_verdict_changes as later
    where later.account_id = quota_verdict_changes.account_id
      and later.group_name = quota_verdict_changes.group_name
      and later.since > quota_verdict_changes.since
      and later.since <= :oldest
  )
"""


class StoredWindow(NamedTuple):
    """A window as stored, with its current cycle and the last point of it."""

    window: Window
    window_id: int
    cycle: int
    last: Point | None


def mark_undecided(conn: sqlite3.Connection, account_id: int) -> None:
    """Note that an account has to be decided again, inside the caller's transaction."""
    conn.execute(MARK, (account_id,))


def decide_due(conn: sqlite3.Connection, now: int) -> int:
    """Decide every account that is due; returns how many were."""
    lift_by_successes(conn, now)
    due = [account_id for (account_id,) in conn.execute(DUE, {"now": now})]
    if not due:
        return 0
    renew_cycle_usage(conn, now)
    with transaction(conn):
        stale_ms = staleness(conn)
        for account_id in due:
            decide_account(conn, account_id, now=now, stale_ms=stale_ms)
    renew_pools(conn, now)
    return len(due)


def lift_by_successes(conn: sqlite3.Connection, now: int) -> None:
    """Lift the refusals after which a generation of their scope has succeeded."""
    for account_id, provider in conn.execute(REFUSED_ACCOUNTS).fetchall():
        refusals = [r for r in load_refusals(conn, account_id) if r.scope != "overage"]
        since = now - MAX_REQUEST_MS
        lifted = {
            PROVIDERS[provider].scope_of_model(model): succeeded_at
            for model, succeeded_at in successes_after(conn, account_id, refusals, since=since)
            if provider in PROVIDERS
        }
        lifted = {
            (r.scope, r.scope_key): lifted[r.scope, r.scope_key]
            for r in refusals
            if lifted.get((r.scope, r.scope_key), 0) > r.refused_at
        }
        if lifted:
            with transaction(conn):
                for scope, succeeded_at in lifted.items():
                    lift(conn, account_id, scope, until=succeeded_at)
                mark_undecided(conn, account_id)


def staleness(conn: sqlite3.Connection) -> int:
    """Return the age (ms) after which a value is too old for a verdict of yes."""
    row = conn.execute(STALENESS).fetchone()
    return int(row[0]) if row else STALE_MS


def store_staleness(conn: sqlite3.Connection, stale_ms: int) -> None:
    """Store the age after which a value is too old for a yes; decide every account again."""
    if conn.execute(STALENESS).fetchone() == (str(stale_ms),):
        return
    with transaction(conn):
        conn.execute(SET_STALENESS, (str(stale_ms),))
        conn.execute("insert or ignore into quota_undecided select account_id from quota_accounts")


def decide_account(conn: sqlite3.Connection, account_id: int, *, now: int, stale_ms: int) -> None:
    """Write the verdicts and forecasts of an account, inside the caller's transaction."""
    conn.execute("delete from quota_undecided where account_id = ?", (account_id,))
    row = conn.execute(ACCOUNT, (account_id,)).fetchone()
    if row is None:
        return
    account = Account(**_values(ACCOUNT_COLUMNS, row))
    stored = load_windows(conn, account_id)
    evidence = Evidence(
        account, [each.window for each in stored], now, stale_ms, load_refusals(conn, account_id)
    )
    states = account_states(evidence)
    _delete_ended_refusals(conn, account_id, states.values())
    _write_verdicts(conn, account_id, evidence, states)
    for each in stored:
        _write_forecast(conn, each, now, stale_ms=stale_ms)


def load_windows(conn: sqlite3.Connection, account_id: int) -> list[StoredWindow]:
    """Return the windows of an account that are not retired."""
    size = len(WINDOW_COLUMNS)
    result = []
    for row in conn.execute(WINDOWS, (account_id,)):
        window_id, cycle, last_at, last_used, last_resets_at = row[size:]
        last = None if last_at is None else Point(last_at, last_used, last_resets_at)
        window = Window(**_values(WINDOW_COLUMNS, row[:size]))
        result.append(StoredWindow(window, window_id, cycle, last))
    return result


def prune_changes(conn: sqlite3.Connection, now: int) -> None:
    """Delete verdict changes of more than 60 days ago, inside the caller's transaction."""
    conn.execute(PRUNE, {"oldest": now - RETENTION_MS})


def verdict_valid_until(evidence: Evidence) -> int:
    """Return the first instant at which the verdict may change by time alone."""
    account, windows, now = evidence.account, evidence.windows, evidence.now
    resets = [w.resets_at for w in windows if w.resets_at is not None]
    observed = [at for at in (account.observed_at, *(w.observed_at for w in windows)) if at]
    instants = [
        *resets,
        *(at + GRACE_MS for at in resets),
        *(at + evidence.stale_ms + 1 for at in observed),
        *(r.ends_at for r in evidence.refusals if r.ends_at is not None),
        *(r.refused_at + UNCONFIRMED_MS + 1 for r in evidence.refusals if r.ends_at is None),
    ]
    future = [at for at in instants if at > now]
    return min([*future, now + MAX_VALIDITY_MS])


def forecast_valid_until(cycle: Cycle, now: int) -> int:
    """Return the first instant at which a forecast may change by time alone."""
    instants = [cycle.resets_at] if cycle.resets_at else []
    if cycle.points:
        last = max(point.observed_at for point in cycle.points)
        instants.append(last + cycle.stale_ms + 1)
    if cycle.resets_at and cycle.window_seconds:
        length = cycle.window_seconds * 1000
        instants.append(cycle.resets_at - length + round(TOO_EARLY_SHARE * length) + 1)
    return min([*(at for at in instants if at > now), now + MAX_VALIDITY_MS])


def _values(names: Sequence[str], row: Sequence[Any]) -> dict[str, Any]:
    return {
        name: bool(value) if name in FLAGS and value is not None else value
        for name, value in zip(names, row, strict=True)
    }


def _delete_ended_refusals(
    conn: sqlite3.Connection, account_id: int, states: Iterable[AccountState]
) -> None:
    """Delete the refusals that are over or lifted, so that no later answer restores them."""
    for state in states:
        serves_overage = state.serves_overage()
        for refusal in state.refusals:
            is_ended = is_over(refusal, state.now) or (
                refusal.scope != "overage"
                and is_lifted(refusal, state.account, state.windows, serves_overage=serves_overage)
            )
            if is_ended:
                scope = (refusal.scope, refusal.scope_key)
                lift(conn, account_id, scope, until=refusal.refused_at)


def _write_verdicts(
    conn: sqlite3.Connection,
    account_id: int,
    evidence: Evidence,
    states: dict[str, AccountState],
) -> None:
    before = {row[0]: row[1:] for row in conn.execute(VERDICTS, (account_id,))}
    conn.execute("delete from quota_verdicts where account_id = ?", (account_id,))
    verdicts, valid_until = decide(evidence), verdict_valid_until(evidence)
    for group, verdict in verdicts.items():
        row = (account_id, group, *_verdict_row(verdict, states[group]), evidence.now, valid_until)
        conn.execute(ADD_VERDICT, row)
    for group in before.keys() | verdicts.keys():
        after = verdicts.get(group, Verdict(None, "gone"))
        _write_change(conn, (account_id, group), before.get(group), after=after, now=evidence.now)


def _verdict_row(verdict: Verdict, state: AccountState) -> tuple[Any, ...]:
    observed = [at for at in (state.account.observed_at, *(w.observed_at for w in state.windows))]
    labels = ", ".join(w.label for w in state.blocking()) if verdict.usable is False else ""
    return (
        verdict.usable,
        verdict.reason,
        verdict.effective_left,
        verdict.next_usable_at,
        labels or None,
        max((at for at in observed if at), default=None),
    )


def _write_change(
    conn: sqlite3.Connection,
    key: tuple[int, str],
    before: tuple[Any, ...] | None,
    *,
    after: Verdict,
    now: int,
) -> None:
    """Write a change of a verdict, and when the last one ended without a worker to replace it."""
    is_late = before is not None and before[3] < now - LATE_MS
    if before is not None and is_late:
        conn.execute(ADD_CHANGE, (*key, before[3], None, "not_decided"))
    usable = None if after.usable is None else int(after.usable)
    if before is None or is_late or before[:2] != (usable, after.reason):
        conn.execute(ADD_CHANGE, (*key, now, usable, after.reason))


def _write_forecast(
    conn: sqlite3.Connection, stored: StoredWindow, now: int, *, stale_ms: int
) -> None:
    # With a large pool polls are rare, so a forecast is valid for longer.
    cycle = replace(_cycle(conn, stored), stale_ms=max(FORECAST_STALE_MS, stale_ms))
    result: Forecast = forecast(cycle, now)
    first = min(cycle.points, key=lambda point: point.observed_at, default=None)
    last = stored.last if cycle.points else None
    conn.execute(
        ADD_FORECAST,
        (
            stored.window_id,
            result.outcome,
            result.reason,
            result.percent_per_hour,
            result.runs_out_at,
            result.left_over_percent,
            cycle.resets_at,
            first.observed_at if first else None,
            first.used_percent if first else None,
            last.observed_at if last else None,
            stored.last.used_percent if stored.last else None,
            now,
            forecast_valid_until(cycle, now),
        ),
    )


def _cycle(conn: sqlite3.Connection, stored: StoredWindow) -> Cycle:
    """Return the current cycle with its first point, the recent ones and the last."""
    window, last = stored.window, stored.last
    points: list[Point] = []
    if last is not None and window.used_percent is not None:
        values = {
            "window_id": stored.window_id,
            "cycle": stored.cycle,
            "last_at": last.observed_at,
            "recent": last.observed_at - recent_ms(window.window_seconds),
        }
        points = [*(Point(*row) for row in conn.execute(POINTS, values)), last]
    return Cycle(
        points,
        window.window_seconds,
        last.resets_at if last else None,
        window.started,
        is_early(stored.cycle),
    )
