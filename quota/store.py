"""Keep what a reading says about an account: its state and flags, its windows and their past.

The newest observation wins, wherever it came from. A failed poll changes the state alone, so
that the last good values stay, with their age.
"""

import sqlite3
from typing import Any, NamedTuple

from ledger import transaction
from quota.history import keep_windows, retire_windows
from quota.model import Reading

FLAGS = (
    "allowed",
    "limit_reached",
    "reached_type",
    "credits_has",
    "credits_unlimited",
    "credits_overage_reached",
    "credits_balance",
    "reset_credits",
)
# Which source of a plan is believed before another; the token's claim can be weeks old.
TRUST = {"endpoint": 3, "header": 2, "token": 1, None: 0}
FIND = """
  select
    state, last_success_at, consecutive_failures,
    plan_raw, plan_source, plan_asked_at,
    observed_at, allowed, limit_reached, reached_type,
    credits_has, credits_unlimited, credits_overage_reached, credits_balance, reset_credits,
    exhausted_until, exhausted_at
  from quota_accounts
  where account_id = ?
"""
ADD = """
  insert into quota_accounts (account_id, state)
  values (?, 'never')
  on conflict (account_id) do nothing
"""
KEEP = """
  update quota_accounts set
    state = :state,
    http_status = :http_status,
    error_code = :error_code,
    error_text = :error_text,
    source = :source,
    fingerprint = :fingerprint,
    last_attempt_at = :attempted_at,
    last_success_at = :last_success_at,
    next_attempt_at = :next_attempt_at,
    consecutive_failures = :consecutive_failures,
    plan_asked_at = :plan_asked_at
  where account_id = :account_id
"""
KEEP_FACTS = """
  update quota_accounts set
    plan_raw = :plan_raw,
    plan_source = :plan_source,
    observed_at = :observed_at,
    allowed = :allowed,
    limit_reached = :limit_reached,
    reached_type = :reached_type,
    credits_has = :credits_has,
    credits_unlimited = :credits_unlimited,
    credits_overage_reached = :credits_overage_reached,
    credits_balance = :credits_balance,
    reset_credits = :reset_credits,
    exhausted_until = :exhausted_until,
    exhausted_at = :exhausted_at
  where account_id = :account_id
"""
Facts = dict[str, Any]


class Attempt(NamedTuple):
    """When and how an account was asked, and when it is due again."""

    attempted_at: int
    next_attempt_at: int
    source: str
    fingerprint: str
    asked_for_plan: bool = False


def keep(
    conn: sqlite3.Connection, account_id: int, reading: Reading, attempt: Attempt | None = None
) -> None:
    """Keep one reading in a transaction of its own; without an attempt it was no poll."""
    with transaction(conn):
        write(conn, account_id, reading, attempt)


def write(
    conn: sqlite3.Connection, account_id: int, reading: Reading, attempt: Attempt | None = None
) -> None:
    """Keep one reading inside the caller's transaction."""
    known = facts(conn, account_id)
    if attempt:
        conn.execute(KEEP, {"account_id": account_id, **_polled(known, reading, attempt)})
    if reading.state not in (None, "ok"):
        return
    conn.execute(KEEP_FACTS, {"account_id": account_id, **_merged(known, reading)})
    keep_windows(conn, account_id, reading.windows)
    if reading.complete:
        retire_windows(conn, account_id, reading)


def facts(conn: sqlite3.Connection, account_id: int) -> Facts:
    """Give what is known of an account as a whole, adding it when it is new."""
    conn.execute(ADD, (account_id,))
    cursor = conn.execute(FIND, (account_id,))
    names = [column[0] for column in cursor.description]
    return dict(zip(names, cursor.fetchone(), strict=True))


def _polled(known: Facts, reading: Reading, attempt: Attempt) -> Facts:
    worked = reading.state == "ok"
    failures = 0 if worked else known["consecutive_failures"] + 1
    return {
        **attempt._asdict(),
        "state": reading.state,
        "http_status": reading.http_status,
        "error_code": reading.error_code,
        "error_text": reading.error_text,
        "last_success_at": attempt.attempted_at if worked else known["last_success_at"],
        "consecutive_failures": failures,
        "plan_asked_at": (
            attempt.attempted_at if attempt.asked_for_plan else known["plan_asked_at"]
        ),
    }


def _merged(known: Facts, reading: Reading) -> Facts:
    """Lay a reading over older facts: a complete one replaces them, a partial one adds."""
    merged = dict(known)
    if reading.plan_raw and TRUST[reading.plan_source] >= TRUST[known["plan_source"]]:
        merged |= {"plan_raw": reading.plan_raw, "plan_source": reading.plan_source}
    if (known["exhausted_at"] or 0) <= reading.observed_at:
        merged |= _exhaustion(reading)
    if (known["observed_at"] or 0) > reading.observed_at:
        return merged
    told = {name: getattr(reading, name) for name in FLAGS}
    told = {name: value for name, value in told.items() if reading.complete or value is not None}
    dated = {"observed_at": reading.observed_at} if _is_dated(reading) else {}
    return {**merged, **told, **dated}


def _exhaustion(reading: Reading) -> Facts:
    if reading.exhausted_until is not None:
        return {"exhausted_until": reading.exhausted_until, "exhausted_at": reading.observed_at}
    return dict.fromkeys(("exhausted_until", "exhausted_at")) if reading.complete else {}


def _is_dated(reading: Reading) -> bool:
    """Tell whether a reading speaks of the account's permission, and not of windows alone."""
    flags = (reading.allowed, reading.limit_reached, reading.reached_type)
    return reading.complete or any(flag is not None for flag in flags)
