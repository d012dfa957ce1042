"""Store the forecast of each provider's pool, and of each of its groups of models."""

import sqlite3
from typing import NamedTuple

from ledger import transaction
from quota.forecast import recent_ms
from quota.pool_forecast import PoolAccount, PoolForecast, PoolWindow, forecast_pool

RENEW_MS, VALID_MS = 5 * 60_000, 15 * 60_000
DAY_SECONDS = 86_400
RENEWED_AT = "select cast(value as integer) from settings where name = 'quota_pools_at'"
SET_RENEWED = "insert or replace into settings (name, value) values ('quota_pools_at', ?)"
# Accounts that only a person can open again, or whose state is unknown, carry no load.
VERDICTS = """
  select known_accounts.provider, group_name, account_id, usable, next_usable_at
  from quota_verdicts
  join known_accounts on known_accounts.id = account_id
  join quota_accounts using (account_id)
  where known_accounts.merged_into is null
    and forgotten_at is null
    and valid_until > :now
    and reason not in ('disabled', 'needs_login', 'deactivated')
    and state <> 'no_source'
    and exists (select 1 from credential_files where account_id = quota_verdicts.account_id)
  order by known_accounts.provider, group_name, account_id
"""
WINDOWS = """
  select
    account_id, iif(scope = 'group', scope_key, ''), window_key, used_percent, window_seconds,
    quota_windows.resets_at, percent_per_hour, tokens_per_percent
  from quota_windows
  left join quota_forecasts on quota_forecasts.window_id = quota_windows.id
  left join quota_cycle_sums on quota_cycle_sums.window_id = quota_windows.id
  where gating = 1 and retired_at is null and used_percent is not null
"""
WRITE = """
  insert into quota_pool_forecasts
  values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""


class Verdict(NamedTuple):
    """A valid verdict of an account in a pool."""

    provider: str
    group: str
    account_id: int
    usable: int | None
    next_usable_at: int | None


def renew_pools(conn: sqlite3.Connection, now: int) -> None:
    """Compute and store the forecasts of all pools, unless that was done recently."""
    row = conn.execute(RENEWED_AT).fetchone()
    if row and 0 <= now - row[0] < RENEW_MS:
        return
    windows = load_windows(conn, now)
    pools: dict[tuple[str, str], list[Verdict]] = {}
    for verdict in (Verdict(*row) for row in conn.execute(VERDICTS, {"now": now})):
        pools.setdefault((verdict.provider, verdict.group), []).append(verdict)
    rows = [pool_row(key, verdicts, windows, now=now) for key, verdicts in pools.items()]
    with transaction(conn):
        conn.execute("delete from quota_pool_forecasts")
        conn.executemany(WRITE, rows)
        conn.execute(SET_RENEWED, (str(now),))


def load_windows(conn: sqlite3.Connection, now: int) -> dict[tuple[int, str], list[PoolWindow]]:
    """Return the gating windows of each account and group; "" is those of all groups."""
    windows: dict[tuple[int, str], list[PoolWindow]] = {}
    for account_id, group, key, used, seconds, resets_at, rate, size in conn.execute(WINDOWS):
        is_over = resets_at is not None and resets_at <= now
        window = PoolWindow(
            key=key,
            used_percent=0.0 if is_over else used,
            length_ms=(seconds or 30 * DAY_SECONDS) * 1000,
            resets_at=None if is_over else resets_at,
            percent_per_hour=rate or 0.0,
            measured_ms=recent_ms(seconds),
            size=size or None,
        )
        windows.setdefault((account_id, group), []).append(window)
    return windows


def pool_row(
    key: tuple[str, str],
    verdicts: list[Verdict],
    windows: dict[tuple[int, str], list[PoolWindow]],
    *,
    now: int,
) -> tuple[object, ...]:
    """Return the row of a pool."""
    accounts = [
        PoolAccount(
            [
                *windows.get((verdict.account_id, verdict.group), ()),
                *(windows.get((verdict.account_id, ""), ()) if verdict.group else ()),
            ],
            is_usable=bool(verdict.usable),
            returns_at=verdict.next_usable_at,
        )
        for verdict in verdicts
        if verdict.usable is not None
    ]
    result: PoolForecast = forecast_pool(accounts, now)
    usable = sum(verdict.usable == 1 for verdict in verdicts)
    unknown = sum(verdict.usable is None for verdict in verdicts)
    return (
        *key,
        len(verdicts),
        usable,
        unknown,
        result.outcome,
        result.reason,
        result.out_from,
        result.out_until,
        result.returns_at,
        now,
        now + VALID_MS,
    )
