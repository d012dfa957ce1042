"""What the listing says of each account: who may be asked, and what needs no asking."""

import sqlite3
from collections.abc import Iterable, Sequence

from ledger import transaction
from quota.accounts import Members
from quota.identity import Credential, token_state
from quota.providers import PROVIDERS
from quota.schedule import Standing
from quota.source import Found
from quota.store import facts

KEEP = """
  update quota_accounts set
    state = :state,
    source = :source,
    disabled = (select min(disabled) from credential_files where account_id = :account_id),
    cooldown_until = (
      select max(cooldown_until) from credential_files where account_id = :account_id
    ),
    token_expires_at = :token_expires_at,
    subscription_until = :subscription_until,
    plan_raw = case when plan_source in ('endpoint', 'header') then plan_raw else :plan_raw end,
    plan_source =
      case when plan_source in ('endpoint', 'header') then plan_source else :plan_source end
  where account_id = :account_id
"""
STANDINGS = """
  select
    account_id, state, fingerprint, last_attempt_at, next_attempt_at, consecutive_failures,
    plan_asked_at,
    (
      select count(*)
      from credential_files
      where credential_files.account_id = quota_accounts.account_id
        and credential_files.proxy_id <> ?
        and credential_files.disabled = 0
    )
  from quota_accounts
"""
LISTED = "select proxy_id, account_id from credential_files"
EXPIRE = """
  update quota_accounts set state = 'token_expired', error_code = null, error_text = null
  where account_id = ?
"""


def keep_members(conn: sqlite3.Connection, members: Members, source: str) -> None:
    """Keep what a listing says of its accounts, beside what their quota is."""
    with transaction(conn):
        for account_id, found in members.items():
            known = facts(conn, account_id)
            listed = [each.credential for each in found]
            values = {"account_id": account_id, "source": source, **_told(listed)}
            values["state"] = _state(known["state"], listed)
            conn.execute(KEEP, values)


def keep_expired(conn: sqlite3.Connection, known: Standing) -> None:
    """Note that an account's token has expired, which no call is needed to learn."""
    if known.state != "token_expired":
        with transaction(conn):
            conn.execute(EXPIRE, (known.account_id,))


def standings(conn: sqlite3.Connection, proxy_id: int) -> dict[int, Standing]:
    """Give what is known of every account's last polls, as the poller of a proxy sees it."""
    return {row[0]: Standing(*row) for row in conn.execute(STANDINGS, (proxy_id,))}


def listed(conn: sqlite3.Connection, proxies: Iterable[int]) -> dict[int, set[int]]:
    """Give the accounts that each proxy listed at its last look."""
    found: dict[int, set[int]] = {proxy_id: set() for proxy_id in proxies}
    for proxy_id, account_id in conn.execute(LISTED):
        found.setdefault(proxy_id, set()).add(account_id)
    return found


def is_askable(found: Found) -> bool:
    """Tell whether a credential may be asked for its quota at all."""
    credential = found.credential
    return not credential.disabled and _has_source(credential)


def is_expired(found: Found, now: int) -> bool:
    """Tell whether a credential's token is known to be of no use any more."""
    return token_state(found.credential, now) == "token_expired"


def _has_source(credential: Credential) -> bool:
    return credential.provider in PROVIDERS and credential.kind == "oauth"


def _state(known: str, listed: Sequence[Credential]) -> str:
    if not any(map(_has_source, listed)):
        return "no_source"
    return "never" if known == "no_source" else known


def _told(listed: Sequence[Credential]) -> dict[str, object]:
    planned = next((each for each in listed if each.plan_raw), None)
    return {
        "token_expires_at": max(
            filter(None, (each.token_expires_at for each in listed)), default=None
        ),
        "subscription_until": max(
            filter(None, (each.subscription_until for each in listed)), default=None
        ),
        "plan_raw": planned.plan_raw if planned else None,
        "plan_source": planned.plan_source if planned else None,
    }
