"""Quota that needs no call: headers and refusals carried by the proxy's usage events.

`response_headers` of usage events of router-for-me/CLIProxyAPI since v7.1.13, and error bodies.
The collector stores them in `quota_signals`; a refusal's family is "refused " and its model.
"""

import json
import sqlite3
from dataclasses import replace
from typing import NamedTuple

from ledger import transaction
from quota.decisions import mark_undecided
from quota.http import first_values
from quota.json_fields import field
from quota.model import HeaderSignal, Reading
from quota.providers import PROVIDERS
from quota.store import load_account, write_reading

REFUSED = "refused "
HAS_SIGNALS = "select 1 from quota_signals where taken = 0 limit 1"
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
MARK_TAKEN = """
  update quota_signals set taken = 1
  where credential_id = :credential_id and family = :family
"""
UNLISTED = """
  select known_accounts.id, known_accounts.provider, min(credentials.auth_type)
  from known_accounts
  join credentials on credentials.account_id = known_accounts.id
  where known_accounts.id not in (select account_id from quota_accounts)
    and forgotten_at is null
  group by known_accounts.id
"""
SET_NO_SOURCE = "update quota_accounts set state = 'no_source' where account_id = ?"


class SignalRow(NamedTuple):
    """A row of `quota_signals`, with the account of its credential."""

    credential_id: int
    family: str
    account_id: int
    provider: str
    headers: str
    failed: int
    status_code: int | None
    observed_at: int
    error: str | None


def take_signals(conn: sqlite3.Connection) -> int:
    """Store the readings of new signals, add accounts of events; returns the count of signals."""
    taken = _store_signals(conn)
    add_unlisted_accounts(conn)
    return taken


def add_unlisted_accounts(conn: sqlite3.Connection) -> None:
    """Add a row for each account known from events only: `never` polled, or `no_source`."""
    rows = conn.execute(UNLISTED).fetchall()
    if not rows:
        return
    with transaction(conn):
        for account_id, provider, auth_type in rows:
            load_account(conn, account_id)
            if provider not in PROVIDERS or auth_type == "apikey":
                conn.execute(SET_NO_SOURCE, (account_id,))
                mark_undecided(conn, account_id)


def read_signal(signal: HeaderSignal) -> Reading | None:
    """Return the reading of a usage event; None when it contains no quota.

    Of failures only 429s and error bodies about quota are read: the proxy leaves one attempt's
    headers to the next, so those of any other failure may be of another account.
    """
    provider = PROVIDERS.get(signal.provider)
    if provider is None or provider.read_headers is None:
        return None
    is_foreign = signal.failed and signal.status_code != 429
    if is_foreign and not field(signal.error, "phrases"):
        return None
    error = signal.error if signal.failed else None
    headers = {} if is_foreign else first_values(signal.headers)
    cleaned = replace(signal, headers=headers, error=error)
    reading = provider.read_headers(cleaned)
    is_empty = reading == Reading(state=None, observed_at=signal.observed_at)
    return None if is_empty else reading


def _store_signals(conn: sqlite3.Connection) -> int:
    if not conn.execute(HAS_SIGNALS).fetchone():
        return 0
    with transaction(conn):
        rows = [SignalRow(*row) for row in conn.execute(SIGNALS)]
        for row in rows:
            reading = read_signal(_signal(row))
            if reading:
                write_reading(conn, row.account_id, reading)
            conn.execute(MARK_TAKEN, row._asdict())
    return len(rows)


def _signal(row: SignalRow) -> HeaderSignal:
    # The collector wrote the JSON, so it can be decoded.
    return HeaderSignal(
        provider=row.provider,
        headers=json.loads(row.headers),
        failed=bool(row.failed),
        status_code=row.status_code,
        observed_at=row.observed_at,
        error=json.loads(row.error) if row.error else None,
        model=row.family.removeprefix(REFUSED) if row.family.startswith(REFUSED) else "",
    )
