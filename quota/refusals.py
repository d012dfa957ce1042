"""Refusals: what a provider refused, until when, and what lifts a refusal.

A refusal, seen in traffic or in a poll, blocks what it names until the earliest of: its end; a
success after it; an allowing answer after it in which the refused windows have room, or credits
or overage are served. An answer `allowed` with the window still spent does not lift it: a new
5-hour window makes chatgpt.com answer that while the week is spent and requests are refused.
"""

import sqlite3
from collections.abc import Iterable, Sequence

from quota.model import Account, Reading, Refusal, Window

# After so long without an end, a success or a lifting answer, a refusal proves nothing.
UNCONFIRMED_MS = 6 * 3_600_000
COLUMNS = ("scope", "scope_key", "reason", "windows", "refused_at", "ends_at", "needs_success")
LOAD = f"select {', '.join(COLUMNS)} from quota_refusals where account_id = ?"
STORE = f"""
  insert into quota_refusals (account_id, {", ".join(COLUMNS)})
  values (?, ?, ?, ?, ?, ?, ?, ?)
  on conflict (account_id, scope, scope_key) do update set
    reason = excluded.reason,
    windows = excluded.windows,
    refused_at = excluded.refused_at,
    ends_at = excluded.ends_at,
    needs_success = excluded.needs_success
  where excluded.refused_at >= quota_refusals.refused_at
"""
LIFT = """
  delete from quota_refusals
  where account_id = ? and scope = ? and scope_key = ? and refused_at <= ?
"""
# The successes of an account after an instant, by model.
SUCCESSES = """
  select known_models.name, max(occurred_at)
  from credentials
  cross join usage_events on usage_events.credential_id = credentials.id
  join known_models on known_models.id = usage_events.model_id
  where credentials.account_id = ? and occurred_at > ? and failed = 0
  group by usage_events.model_id
"""
SPENT_WINDOWS = """
  select window_key, used_percent, resets_at
  from quota_windows
  where account_id = ? and scope = 'account' and gating = 1 and retired_at is null
"""


def is_over(refusal: Refusal, now: int) -> bool:
    """Return whether the announced end of a refusal has passed."""
    return refusal.ends_at is not None and refusal.ends_at <= now


def is_unconfirmed(refusal: Refusal, now: int) -> bool:
    """Return whether a refusal without an end is too old to block."""
    return refusal.ends_at is None and now - refusal.refused_at > UNCONFIRMED_MS


def is_lifted(
    refusal: Refusal, account: Account, windows: Sequence[Window], *, serves_overage: bool
) -> bool:
    """Return whether a later answer about the account lifts a refusal."""
    if refusal.needs_success or account.observed_at is None:
        return False
    if account.observed_at <= refusal.refused_at or account.limit_reached:
        return False
    if account.allowed is False or (account.allowed is None and not refusal.windows):
        return False
    if serves_overage:
        return True
    refused = [w for w in windows if w.scope != "spend" and w.window_key in refusal.windows]
    refused = refused or [w for w in windows if w.scope != "spend"]
    return all(_has_room(w, account.observed_at) for w in refused)


def load_refusals(conn: sqlite3.Connection, account_id: int) -> list[Refusal]:
    """Return the stored refusals of an account."""
    return [
        Refusal(
            scope=scope,
            scope_key=scope_key,
            reason=reason,
            windows=tuple(windows.split()),
            refused_at=refused_at,
            ends_at=ends_at,
            needs_success=bool(needs_success),
        )
        for scope, scope_key, reason, windows, refused_at, ends_at, needs_success in conn.execute(
            LOAD, (account_id,)
        )
    ]


def store_refusals(conn: sqlite3.Connection, account_id: int, reading: Reading) -> None:
    """Lift what a reading's success lifts, then store its refusals."""
    for scope in reading.succeeded:
        lift(conn, account_id, scope, until=reading.observed_at)
    for refusal in reading.refusals:
        ends_at = refusal.ends_at or _end_of_windows(conn, account_id, refusal)
        conn.execute(
            STORE,
            (
                account_id,
                refusal.scope,
                refusal.scope_key,
                refusal.reason,
                " ".join(refusal.windows),
                refusal.refused_at,
                ends_at,
                refusal.needs_success,
            ),
        )


def lift(conn: sqlite3.Connection, account_id: int, scope: tuple[str, str], *, until: int) -> None:
    """Delete the refusal of a scope that was seen up to an instant."""
    conn.execute(LIFT, (account_id, *scope, until))


def successes_after(
    conn: sqlite3.Connection, account_id: int, refusals: Iterable[Refusal], *, since: int
) -> list[tuple[str, int]]:
    """Return the models that succeeded after the oldest refusal, each with its last success.

    Successes before `since` are not looked for.
    """
    oldest = min((refusal.refused_at for refusal in refusals), default=None)
    if oldest is None:
        return []
    return list(conn.execute(SUCCESSES, (account_id, max(oldest, since))))


def _has_room(window: Window, observed_at: int) -> bool:
    has_reset = window.resets_at is not None and window.resets_at <= observed_at
    return has_reset or (window.used_percent is not None and window.used_percent < 100)


def _end_of_windows(conn: sqlite3.Connection, account_id: int, refusal: Refusal) -> int | None:
    """Return the last reset of the refused windows as stored: those named, else the spent ones."""
    if refusal.needs_success or refusal.scope == "group":
        return None
    ends = [
        resets_at
        for key, used, resets_at in conn.execute(SPENT_WINDOWS, (account_id,))
        if (key in refusal.windows if refusal.windows else (used or 0) >= 100)
    ]
    future = [end for end in ends if end is not None and end > refusal.refused_at]
    return max(future) if future and len(future) == len(ends) else None
