"""Which account of the ledger a credential belongs to; credentials of one account are merged.

Events are kept by credential, so a merge only points credentials to another account. A key made
of the workspace and the person is believed; where one of them is unknown, the file, or the
credential that the events name, stands for the account.
"""

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping

from ledger import transaction
from quota.identity import WORKSPACES, Credential, key
from quota.source import Found

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
ADD = "insert into known_accounts (provider, label, account_key) values (?, ?, ?)"
CLAIM = "update known_accounts set account_key = ? where id = ? and account_key is null"
# Only an address is a better name than the one it has.
NAME = """
  update known_accounts set label = :label
  where id = :id and label <> :label and (:label like '%@%' or label not like '%@%')
"""
POINT = """
  update credentials set account_id = :id
  where proxy_id = :proxy_id and auth_index = :auth_index and provider = :provider
    and account_id <> :id
"""
KEEP_FILE = """
  insert into credential_files (proxy_id, name, provider, account_id, disabled, cooldown_until)
  values (:proxy_id, :file_name, :provider, :id, :disabled, :cooldown_until)
  on conflict (proxy_id, name) do update set
    provider = excluded.provider,
    account_id = excluded.account_id,
    disabled = excluded.disabled,
    cooldown_until = excluded.cooldown_until
"""
FORGET_FILE = "delete from credential_files where proxy_id = ? and name = ?"
FORGET_OTHERS = """
  delete from credential_files
  where proxy_id not in (select value from json_each(?))
"""
FILES = "select name from credential_files where proxy_id = ?"
ORPHANS = """
  select id
  from known_accounts
  where id not in (select account_id from credentials)
    and id not in (select account_id from credential_files)
"""
Members = dict[int, list[Found]]


def bind(
    conn: sqlite3.Connection, proxy_id: int, found: Iterable[Found], *, by_address: bool = False
) -> Members:
    """Point every listed credential to its account, and give the credentials of each account.

    Files that are listed no longer are forgotten, in the same transaction. With `by_address`, an
    address that is unique may stand for an account whose index is not known: a proxy in a
    container sees other paths, and so other indexes, than those of its files here.
    """
    members: Members = {}
    listed = sorted(found, key=lambda each: each.credential.file_name)
    named = Counter(map(_named, listed))
    with transaction(conn):
        gone = {name for (name,) in conn.execute(FILES, (proxy_id,))}
        for each in listed:
            name = each.credential.display_name
            is_alone = by_address and named[_named(each)] == 1 and "@" in name
            address = name if is_alone else None
            account_id = _bound(conn, proxy_id, each.credential, address=address)
            members.setdefault(account_id, []).append(each)
            gone.discard(each.credential.file_name)
        conn.executemany(FORGET_FILE, [(proxy_id, name) for name in gone])
    return members


def forget_others(conn: sqlite3.Connection, proxies: Iterable[int]) -> None:
    """Forget the credential files of proxies that the settings name no longer."""
    with transaction(conn):
        conn.execute(FORGET_OTHERS, (json.dumps(list(proxies)),))


def _named(found: Found) -> tuple[str, str]:
    return found.credential.provider, found.credential.display_name


def _bound(
    conn: sqlite3.Connection, proxy_id: int, credential: Credential, *, address: str | None
) -> int:
    at = {
        "address": address,
        "proxy_id": proxy_id,
        "file_name": credential.file_name,
        "auth_index": credential.auth_index,
        "provider": credential.provider,
    }
    account_id = _account(conn, credential, at)
    before = conn.execute(BY_INDEX, at).fetchone()
    values = {**at, "id": account_id, "label": credential.display_name}
    conn.execute(NAME, values)
    conn.execute(POINT, values)
    values |= {"disabled": credential.disabled, "cooldown_until": credential.cooldown_until}
    conn.execute(KEEP_FILE, values)
    if before and before[0] != account_id:
        _hand_over(conn, before[0], account_id)
    return account_id


def _account(conn: sqlite3.Connection, credential: Credential, at: Mapping[str, object]) -> int:
    """Find the account by its key, else by what has no other key yet, else make one."""
    told = credential.account_key if _is_sure(credential) else None
    row = conn.execute(BY_KEY, (told,)).fetchone() if told else None
    if row:
        return row[0]
    for sql in (BY_FILE, BY_INDEX, BY_ADDRESS):
        known = conn.execute(sql, at).fetchone()
        if known and (known[1] is None or told is None):
            conn.execute(CLAIM, (told, known[0]))
            return known[0]
    added = conn.execute(ADD, (credential.provider, credential.display_name, told))
    return added.lastrowid or 0


def _is_sure(credential: Credential) -> bool:
    """Tell whether the key names both workspace and person: an e-mail alone names no account."""
    file_name, provider = credential.file_name, credential.provider
    if provider in WORKSPACES and not credential.account_id:
        return False
    by_file = key(provider, account=credential.account_id, person=None, file_name=file_name)
    return credential.account_key != by_file


def _hand_over(conn: sqlite3.Connection, old: int, new: int) -> None:
    """Move the quota of an account that nothing points to any more, then forget it."""
    if (old,) not in conn.execute(ORPHANS).fetchall():
        return
    for table in ("quota_accounts", "quota_windows", "quota_requests"):
        conn.execute(
            f"update or ignore {table} set account_id = ? where account_id = ?", (new, old)
        )
    conn.execute("delete from known_accounts where id = ?", (old,))
