"""What others left for the quota worker: quota headers of usage events, and "refresh now"."""

import json
import sqlite3
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from ledger import transaction
from quota.headers import Signal, read
from quota.store import facts, write

UNTAKEN = "select 1 from quota_signals where taken = 0 limit 1"
SIGNALS = """
  select
    credential_id, family, account_id, provider,
    headers, failed, status_code, observed_at, error
  from quota_signals
  join credentials on credentials.id = credential_id
  where taken = 0
  order by observed_at
  limit 500
"""
TAKE = """
  update quota_signals set taken = 1
  where credential_id = :credential_id and family = :family
"""
REQUESTS = "select id, account_id from quota_requests where answered_at is null order by id"
ANSWER = """
  update quota_requests set answered_at = :now, outcome = :outcome
  where id = :id and answered_at is null
"""
UNLISTED = """
  select known_accounts.id, known_accounts.provider, min(credentials.auth_type)
  from known_accounts
  join credentials on credentials.account_id = known_accounts.id
  where known_accounts.id not in (select account_id from quota_accounts)
  group by known_accounts.id
"""
NO_SOURCE = "update quota_accounts set state = 'no_source' where account_id = ?"


class Kept(NamedTuple):
    """A signal as it lies in the ledger."""

    credential_id: int
    family: str
    account_id: int
    provider: str
    headers: str
    failed: int
    status_code: int | None
    observed_at: int
    error: str | None


class Wish(NamedTuple):
    """A request to refresh one account, or all of them."""

    id: int
    account_id: int | None


def take_signals(conn: sqlite3.Connection) -> int:
    """Keep what untaken signals say of their accounts; give how many there were."""
    if not conn.execute(UNTAKEN).fetchone():
        return 0
    with transaction(conn):
        signals = [Kept(*row) for row in conn.execute(SIGNALS)]
        for kept in signals:
            reading = read(signal(kept))
            if reading:
                write(conn, kept.account_id, reading)
            conn.execute(TAKE, kept._asdict())
    return len(signals)


def signal(kept: Kept) -> Signal:
    """Read a signal's JSON; the collector wrote it, so it can be read."""
    return Signal(
        provider=kept.provider,
        headers=json.loads(kept.headers),
        failed=bool(kept.failed),
        status_code=kept.status_code,
        observed_at=kept.observed_at,
        error=json.loads(kept.error) if kept.error else None,
    )


def wishes(conn: sqlite3.Connection) -> list[Wish]:
    """Give the requests that nobody has answered."""
    return [Wish(*row) for row in conn.execute(REQUESTS)]


def answer(conn: sqlite3.Connection, outcomes: Mapping[int, str], *, now: int) -> None:
    """Answer requests, each with a sentence."""
    with transaction(conn):
        for wish_id, outcome in outcomes.items():
            conn.execute(ANSWER, {"id": wish_id, "outcome": outcome, "now": now})


def note_unlisted(conn: sqlite3.Connection, providers: Iterable[str]) -> None:
    """Give accounts that only events named their row: `never` read, or of no quota source."""
    rows = conn.execute(UNLISTED).fetchall()
    if not rows:
        return
    known = set(providers)
    with transaction(conn):
        for account_id, provider, auth_type in rows:
            facts(conn, account_id)
            if provider not in known or auth_type == "apikey":
                conn.execute(NO_SOURCE, (account_id,))
