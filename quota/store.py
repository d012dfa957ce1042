"""Store the content of a reading: state and flags of the account, its windows and their history.

The newest observation wins, from any source. A failed poll changes only the state, so that the
last good values stay, with their age.
"""

import sqlite3
from typing import Any, NamedTuple

from ledger import transaction
from ledger.account_names import name_accounts
from quota.decisions import mark_undecided
from quota.history import retire_windows, store_windows
from quota.model import Reading
from quota.refusals import store_refusals

READING_FIELDS = (
    "allowed",
    "limit_reached",
    "reached_type",
    "credits_has",
    "credits_unlimited",
    "credits_overage_reached",
    "credits_balance",
    "reset_credits",
)
CREDIT_FIELDS = tuple(name for name in READING_FIELDS if name.startswith("credits_"))
# The source of a plan with the higher rank is used; the token's claim can be weeks old.
PLAN_SOURCE_RANK = {"endpoint": 3, "header": 2, "token": 1, None: 0}
FIND_ACCOUNT = """
  select
    state, last_success_at, consecutive_failures,
    plan_raw, plan_source, plan_asked_at,
    observed_at, allowed, limit_reached, reached_type,
    credits_has, credits_unlimited, credits_overage_reached, credits_balance, reset_credits
  from quota_accounts
  where account_id = ?
"""
ADD_ACCOUNT = """
  insert into quota_accounts (account_id, state)
  values (?, 'never')
  on conflict (account_id) do nothing
"""
WRITE_POLL = """
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
    retry_after_at = :retry_after_at,
    consecutive_failures = :consecutive_failures,
    plan_asked_at = :plan_asked_at
  where account_id = :account_id
"""
WRITE_FACTS = """
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
    reset_credits = :reset_credits
  where account_id = :account_id
"""
Facts = dict[str, Any]


class PollAttempt(NamedTuple):
    """When and by which source an account was polled, and when it is due again."""

    attempted_at: int
    next_attempt_at: int
    source: str
    fingerprint: str
    asked_for_plan: bool = False
    retry_after_at: int | None = None


def store_reading(
    conn: sqlite3.Connection,
    account_id: int,
    reading: Reading,
    attempt: PollAttempt | None = None,
) -> None:
    """Store one reading in its own transaction; a reading without an attempt is not a poll."""
    with transaction(conn):
        write_reading(conn, account_id, reading, attempt)


def write_reading(
    conn: sqlite3.Connection,
    account_id: int,
    reading: Reading,
    attempt: PollAttempt | None = None,
) -> None:
    """Store one reading inside the caller's transaction."""
    stored = load_account(conn, account_id)
    mark_undecided(conn, account_id)
    if attempt:
        conn.execute(WRITE_POLL, {"account_id": account_id, **_polled(stored, reading, attempt)})
    if reading.state not in (None, "ok"):
        return
    merged = _merged(stored, reading)
    conn.execute(WRITE_FACTS, {"account_id": account_id, **merged})
    if merged["plan_raw"] != stored["plan_raw"]:
        # A plan may be part of a name.
        name_accounts(conn)
    store_windows(conn, account_id, reading.windows)
    store_refusals(conn, account_id, reading)
    if reading.complete:
        retire_windows(conn, account_id, reading.observed_at)


def load_account(conn: sqlite3.Connection, account_id: int) -> Facts:
    """Return the stored columns of an account, adding its row when it is new."""
    conn.execute(ADD_ACCOUNT, (account_id,))
    cursor = conn.execute(FIND_ACCOUNT, (account_id,))
    names = [column[0] for column in cursor.description]
    return dict(zip(names, cursor.fetchone(), strict=True))


def _polled(stored: Facts, reading: Reading, attempt: PollAttempt) -> Facts:
    worked, at = reading.state == "ok", attempt.attempted_at
    return {
        **attempt._asdict(),
        "state": reading.state,
        "http_status": reading.http_status,
        "error_code": reading.error_code,
        "error_text": reading.error_text,
        "last_success_at": at if worked else stored["last_success_at"],
        "consecutive_failures": 0 if worked else stored["consecutive_failures"] + 1,
        "plan_asked_at": at if attempt.asked_for_plan else stored["plan_asked_at"],
    }


def _merged(stored: Facts, reading: Reading) -> Facts:
    """Merge a reading into stored columns: a complete one replaces them, a partial one adds."""
    merged = dict(stored)
    rank, stored_rank = (PLAN_SOURCE_RANK[s] for s in (reading.plan_source, stored["plan_source"]))
    if reading.plan_raw and rank >= stored_rank:
        merged |= {"plan_raw": reading.plan_raw, "plan_source": reading.plan_source}
    if (stored["observed_at"] or 0) > reading.observed_at:
        return merged
    values = {name: getattr(reading, name) for name in READING_FIELDS}
    if reading.keeps_credits:
        values |= {name: stored[name] for name in CREDIT_FIELDS}
    if not reading.complete:
        values = {name: value for name, value in values.items() if value is not None}
    dated = {"observed_at": reading.observed_at} if _has_account_flags(reading) else {}
    return {**merged, **values, **dated}


def _has_account_flags(reading: Reading) -> bool:
    """Return whether a reading is about the account's permission, and not only about windows."""
    flags = (reading.allowed, reading.limit_reached, reading.reached_type)
    return reading.complete or any(flag is not None for flag in flags)
