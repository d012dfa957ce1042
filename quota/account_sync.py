"""Link credentials to accounts of the ledger, and store the listed values of each account.

Events are stored by credential, so a merge only points credentials to another account. An account
key made of workspace and person is trusted; where one of them is unknown, the file, or the
credential that the events name, identifies the account.
"""

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from ledger import transaction
from quota.decisions import mark_undecided
from quota.identity import account_key, workspace_field
from quota.model import Credential
from quota.providers import PROVIDERS
from quota.sources import ListedCredential
from quota.store import load_account

BY_KEY = "select id from known_accounts where account_key = ?"
BY_FILE = """
  select known_accounts.id, account_key
  from credential_files
  join known_accounts on known_accounts.id = credential_files.account_id
  where proxy_id = :proxy_id and name = :file_name and credential_files.provider = :provider
"""
BY_INDEX = """
  select known_accounts.id, account_key
  from credentials
  join known_accounts on known_accounts.id = credentials.account_id
  where proxy_id = :proxy_id and auth_index = :auth_index and credentials.provider = :provider
"""
# Only where one file and one credential have that address.
BY_ADDRESS = """
  select max(known_accounts.id), max(account_key)
  from known_accounts
  join credentials on credentials.account_id = known_accounts.id
  where known_accounts.provider = :provider
    and label = :address
    and credentials.proxy_id = :proxy_id
  having count(*) = 1
    and max(known_accounts.id) not in (select account_id from credential_files)
"""
ADD_ACCOUNT = "insert into known_accounts (provider, label, account_key) values (?, ?, ?)"
SET_KEY = "update known_accounts set account_key = ? where id = ? and account_key is null"
# Only an e-mail address replaces another label.
SET_LABEL = """
  update known_accounts set label = :label
  where id = :id and label <> :label and (:label like '%@%' or label not like '%@%')
"""
SET_ACCOUNT = """
  update credentials set account_id = :id
  where proxy_id = :proxy_id and auth_index = :auth_index and provider = :provider
    and account_id <> :id
"""
WRITE_FILE = """
  insert into credential_files (proxy_id, name, provider, account_id, disabled, cooldown_until)
  values (:proxy_id, :file_name, :provider, :id, :disabled, :cooldown_until)
  on conflict (proxy_id, name) do update set
    provider = excluded.provider,
    account_id = excluded.account_id,
    disabled = excluded.disabled,
    cooldown_until = excluded.cooldown_until
"""
DELETE_FILE = "delete from credential_files where proxy_id = ? and name = ?"
DELETE_OTHER_PROXIES = """
  delete from credential_files
  where proxy_id not in (select value from json_each(?))
"""
FILES = "select name from credential_files where proxy_id = ?"
UNREFERENCED = """
  select id
  from known_accounts
  where id not in (select account_id from credentials)
    and id not in (select account_id from credential_files)
"""
WRITE_LISTING = """
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
# The columns of a listing that a verdict depends on.
DECIDING = "select state, disabled from quota_accounts where account_id = ?"
AccountCredentials = dict[int, list[ListedCredential]]


def link_credentials(
    conn: sqlite3.Connection,
    proxy_id: int,
    listed: Iterable[ListedCredential],
    *,
    by_address: bool = False,
) -> AccountCredentials:
    """Link every listed credential to its account; returns the credentials of each account.

    Files that are no longer listed are deleted, in the same transaction. With `by_address`, an
    address that is unique may identify an account whose index is not known: a proxy in a
    container sees other paths, and so other indexes, than those of its files here.
    """
    accounts: AccountCredentials = {}
    credentials = sorted(listed, key=lambda each: each.credential.file_name)
    name_counts = Counter(map(_name, credentials))
    with transaction(conn):
        unlisted = {name for (name,) in conn.execute(FILES, (proxy_id,))}
        for each in credentials:
            name = each.credential.display_name
            is_unique = by_address and name_counts[_name(each)] == 1 and "@" in name
            address = name if is_unique else None
            account_id = _link(conn, proxy_id, each.credential, address=address)
            accounts.setdefault(account_id, []).append(each)
            unlisted.discard(each.credential.file_name)
        conn.executemany(DELETE_FILE, [(proxy_id, name) for name in unlisted])
    return accounts


def delete_other_proxies(conn: sqlite3.Connection, proxies: Iterable[int]) -> None:
    """Delete the credential files of proxies that are no longer in the settings."""
    with transaction(conn):
        conn.execute(DELETE_OTHER_PROXIES, (json.dumps(list(proxies)),))


def store_listing(conn: sqlite3.Connection, accounts: AccountCredentials, source: str) -> None:
    """Store the values of listed accounts: state, plan, expiry, disabled, cooldown."""
    with transaction(conn):
        for account_id, listed in accounts.items():
            state = load_account(conn, account_id)["state"]
            credentials = [each.credential for each in listed]
            values = {"account_id": account_id, "source": source, **_listing_values(credentials)}
            values["state"] = _state(state, credentials)
            before = conn.execute(DECIDING, (account_id,)).fetchone()
            conn.execute(WRITE_LISTING, values)
            if conn.execute(DECIDING, (account_id,)).fetchone() != before:
                mark_undecided(conn, account_id)


def has_source(credential: Credential) -> bool:
    """Return whether a quota can be requested with a credential of this kind."""
    return credential.provider in PROVIDERS and credential.kind == "oauth"


def _name(listed: ListedCredential) -> tuple[str, str]:
    return listed.credential.provider, listed.credential.display_name


def _link(
    conn: sqlite3.Connection, proxy_id: int, credential: Credential, *, address: str | None
) -> int:
    """Link one credential; returns its account."""
    place = {
        "address": address,
        "proxy_id": proxy_id,
        "file_name": credential.file_name,
        "auth_index": credential.auth_index,
        "provider": credential.provider,
    }
    account_id = _find_or_add(conn, credential, place)
    before = conn.execute(BY_INDEX, place).fetchone()
    values = {**place, "id": account_id, "label": credential.display_name}
    conn.execute(SET_LABEL, values)
    conn.execute(SET_ACCOUNT, values)
    values |= {"disabled": credential.disabled, "cooldown_until": credential.cooldown_until}
    conn.execute(WRITE_FILE, values)
    if before and before[0] != account_id:
        _merge_unreferenced(conn, before[0], account_id)
    return account_id


def _find_or_add(
    conn: sqlite3.Connection, credential: Credential, place: Mapping[str, object]
) -> int:
    """Return the account with the credential's key, else one without a key, else a new one."""
    key = credential.account_key if _has_full_key(credential) else None
    row = conn.execute(BY_KEY, (key,)).fetchone() if key else None
    if row:
        return row[0]
    for sql in (BY_FILE, BY_INDEX, BY_ADDRESS):
        account = conn.execute(sql, place).fetchone()
        if account and (account[1] is None or key is None):
            conn.execute(SET_KEY, (key, account[0]))
            return account[0]
    added = conn.execute(ADD_ACCOUNT, (credential.provider, credential.display_name, key))
    return added.lastrowid or 0


def _has_full_key(credential: Credential) -> bool:
    """Return whether the key holds workspace and person: an e-mail alone is not enough."""
    file_name, provider = credential.file_name, credential.provider
    if workspace_field(provider) and not credential.account_id:
        return False
    without_person = account_key(
        provider, account=credential.account_id, person=None, file_name=file_name
    )
    return credential.account_key != without_person


def _merge_unreferenced(conn: sqlite3.Connection, old: int, new: int) -> None:
    """Move the quota of an account without credentials to another, then delete it."""
    if (old,) not in conn.execute(UNREFERENCED).fetchall():
        return
    for table in ("quota_accounts", "quota_windows", "quota_requests", "quota_refusals"):
        conn.execute(
            f"update or ignore {table} set account_id = ? where account_id = ?", (new, old)
        )
    conn.execute("delete from known_accounts where id = ?", (old,))
    mark_undecided(conn, new)


def _state(before: str, credentials: Sequence[Credential]) -> str:
    if not any(map(has_source, credentials)):
        return "no_source"
    return "never" if before == "no_source" else before


def _listing_values(credentials: Sequence[Credential]) -> dict[str, object]:
    with_plan = next((each for each in credentials if each.plan_raw), None)
    expiries = [each.token_expires_at for each in credentials if each.token_expires_at]
    ends = [each.subscription_until for each in credentials if each.subscription_until]
    return {
        "token_expires_at": max(expiries, default=None),
        "subscription_until": max(ends, default=None),
        "plan_raw": with_plan.plan_raw if with_plan else None,
        "plan_source": with_plan.plan_source if with_plan else None,
    }
