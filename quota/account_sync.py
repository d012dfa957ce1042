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
from ledger.account_names import name_accounts
from quota.decisions import mark_undecided
from quota.identity import account_key, names_workspace, workspace_field
from quota.model import Credential
from quota.providers import PROVIDERS
from quota.sources import ListedCredential
from quota.store import load_account

BY_PIN = """
  select account_id
  from account_pins
  where proxy_id = :proxy_id
    and ((kind = 'file' and value = :file_name)
      or (kind = 'auth_index' and value = :auth_index))
  order by kind
"""
BY_KEY = "select coalesce(merged_into, id) from known_accounts where account_key = :key"
# An address that differs shows another login under an old name.
SAME_ADDRESS = """
    and (label not like '%@%' or :name not like '%@%' or label = :name collate nocase)
"""
BY_FILE = f"""
  select known_accounts.id, account_key
  from credential_files
  join known_accounts on known_accounts.id = credential_files.account_id
  where proxy_id = :proxy_id
    and credential_files.name = :file_name
    and credential_files.provider = :provider
{SAME_ADDRESS}
"""
BY_INDEX = f"""
  select known_accounts.id, account_key
  from credentials
  join known_accounts on known_accounts.id = credentials.account_id
  where proxy_id = :proxy_id and auth_index = :auth_index and credentials.provider = :provider
{SAME_ADDRESS}
"""
# The same file at another proxy.
ELSEWHERE = """
  select known_accounts.id, account_key
  from credential_files
  join known_accounts on known_accounts.id = credential_files.account_id
  where proxy_id <> :proxy_id
    and credential_files.name = :file_name
    and credential_files.provider = :provider
    and label = :name collate nocase
"""
# The accounts of an address, first those that an account list has had.
OF_ADDRESS = """
  select
    known_accounts.id,
    account_key,
    exists (select 1 from quota_accounts where account_id = known_accounts.id and source <> '')
      or exists (select 1 from credential_files where account_id = known_accounts.id) as listed
  from known_accounts
  where provider = :provider
    and label = :name collate nocase
    and merged_into is null
  order by listed desc, id
"""
IS_SPLIT = """
  select 1
  from account_pins
  join known_accounts on known_accounts.id = account_pins.account_id
  where provider = :provider and label = :name collate nocase
  limit 1
"""
# Only where one file and one credential have that address.
BY_ADDRESS = """
  select max(known_accounts.id), max(account_key)
  from known_accounts
  join credentials on credentials.account_id = known_accounts.id
  where known_accounts.provider = :provider
    and label = :address
    and merged_into is null
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
  insert into credential_files (
    proxy_id, name, provider, account_id, disabled, cooldown_until, auth_index
  )
  values (
    :proxy_id, :file_name, :provider, :id, :disabled, :cooldown_until, :auth_index
  )
  on conflict (proxy_id, name) do update set
    provider = excluded.provider,
    auth_index = excluded.auth_index,
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
    and id not in (select account_id from account_pins)
    and id not in (select merged_into from known_accounts where merged_into is not null)
    and merged_into is null
"""
MOVE_ALL = tuple(
    f"update {table} set account_id = :new where account_id = :old"
    for table in ("credentials", "credential_files")
)
KEY = "select account_key from known_accounts where id = ?"
# How many files with the address each proxy has that lists an account.
FILE_COUNTS = """
  select count(*)
  from credential_files
  join known_accounts on known_accounts.id = credential_files.account_id
  where credential_files.provider = :provider
    and label = :name collate nocase
    and proxy_id in (select proxy_id from credential_files where account_id = :id)
  group by proxy_id
"""
# The index is a hash of the file's path: the same path and address at another proxy.
SHARES_INDEX = """
  select 1
  from credentials
  join credentials as others
    on others.auth_index = credentials.auth_index and others.provider = credentials.provider
  where credentials.account_id = :account_id and others.account_id = :id
"""
# Events without an index are stored under their address.
SET_UNINDEXED = """
  update credentials set account_id = :id
  where proxy_id = :proxy_id
    and auth_index = :name collate nocase
    and provider = :provider
    and account_id <> :id
"""
UNINDEXED = """
  select account_id
  from credentials
  where proxy_id = :proxy_id and auth_index = :name collate nocase and provider = :provider
"""
# An account that was forgotten and is listed again is back.
REMEMBER = """
  update known_accounts set forgotten_at = null where id = ? and forgotten_at is not null
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
    credentials = sorted(listed, key=lambda each: each.credential.file_name)
    linker = Linker(conn, proxy_id, credentials, by_address=by_address)
    with transaction(conn):
        unlisted = {name for (name,) in conn.execute(FILES, (proxy_id,))}
        accounts = linker.link_all()
        unlisted -= {each.credential.file_name for each in credentials}
        conn.executemany(DELETE_FILE, [(proxy_id, name) for name in unlisted])
        name_accounts(conn)
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
        # A plan may be part of a name.
        name_accounts(conn)


def has_source(credential: Credential) -> bool:
    """Return whether a quota can be requested with a credential of this kind."""
    return credential.provider in PROVIDERS and credential.kind == "oauth"


class Linker:
    """Links the credentials that a proxy lists to accounts, inside the caller's transaction."""

    def __init__(
        self,
        conn: sqlite3.Connection,
        proxy_id: int,
        credentials: Sequence[ListedCredential],
        *,
        by_address: bool,
    ) -> None:
        self._conn = conn
        self._proxy_id = proxy_id
        self._listed = credentials
        self._by_address = by_address
        self._name_counts = Counter(map(_name, credentials))
        self._held: set[int] = set()

    def link_all(self) -> AccountCredentials:
        """Link every credential; returns those of each account."""
        found = {each.credential.file_name: self._find(each.credential) for each in self._listed}
        self._held = {account_id for account_id in found.values() if account_id}
        self._new_names = Counter(
            _name(each) for each in self._listed if not found[each.credential.file_name]
        )
        accounts: AccountCredentials = {}
        for each in self._listed:
            credential = each.credential
            account_id = found[credential.file_name] or self._guess_or_add(each)
            self._link(credential, account_id)
            accounts.setdefault(account_id, []).append(each)
        for account_id, members in accounts.items():
            self._absorb(account_id, members[0])
        self._link_unindexed(accounts)
        return accounts

    def _address_identifies(self, place: Mapping[str, object]) -> bool:
        """Return whether an address names one login, as far as its user has not split it."""
        if names_workspace(str(place["provider"])):
            return False
        return self._conn.execute(IS_SPLIT, place).fetchone() is None

    def _is_only_login(self, each: ListedCredential) -> bool:
        """Return whether an address identifies a login, and this one is the only one listed."""
        if "@" not in each.credential.display_name or self._name_counts[_name(each)] > 1:
            return False
        return self._address_identifies(self._place(each.credential))

    def _absorb(self, account_id: int, each: ListedCredential) -> None:
        """Merge the accounts of the same login into one: of events alone, or of other proxies."""
        place = {**self._place(each.credential), "account_id": account_id}
        is_only = self._is_only_login(each)
        (key,) = self._conn.execute(KEY, (account_id,)).fetchone()
        for other, other_key, listed in self._conn.execute(OF_ADDRESS, place).fetchall():
            if other == account_id or other in self._held or (key and other_key):
                continue
            if not self._is_same({**place, "id": other}, listed=listed, is_only=is_only):
                continue
            self._move_all(other, account_id)
            self._conn.execute(SET_KEY, (other_key, account_id))
        if self._by_address and self._name_counts[_name(each)] == 1:
            self._absorb_events(account_id, place)

    def _absorb_events(self, account_id: int, place: Mapping[str, object]) -> None:
        """Merge the account of events whose index is of another path, as from a container."""
        name = str(place["name"])
        row = self._conn.execute(BY_ADDRESS, {**place, "address": name}).fetchone()
        if "@" in name and row and row[0] and row[1] is None:
            self._move_all(row[0], account_id)

    def _move_all(self, old: int, new: int) -> None:
        for sql in MOVE_ALL:
            self._conn.execute(sql, {"old": old, "new": new})
        _merge_unreferenced(self._conn, old, new)

    def _is_same(self, place: Mapping[str, object], *, listed: int, is_only: bool) -> bool:
        """Return whether another account of the address is of the same login."""
        if not listed and self._conn.execute(SHARES_INDEX, place).fetchone():
            return self._conn.execute(IS_SPLIT, place).fetchone() is None
        files = [row[0] for row in self._conn.execute(FILE_COUNTS, place)]
        return is_only and (not listed or (bool(files) and max(files) == 1))

    def _place(self, credential: Credential) -> dict[str, object]:
        return {
            "proxy_id": self._proxy_id,
            "file_name": credential.file_name,
            "auth_index": credential.auth_index,
            "provider": credential.provider,
            "name": credential.display_name,
            "key": credential.account_key if _has_full_key(credential) else None,
        }

    def _find(self, credential: Credential) -> int | None:
        """Return the account that a pin, the credential's key or its known file names."""
        place = self._place(credential)
        for sql in (BY_PIN, *([BY_KEY] if place["key"] else [])):
            if row := self._conn.execute(sql, place).fetchone():
                return row[0]
        return self._fitting(BY_FILE, place)

    def _fitting(self, sql: str, place: Mapping[str, object]) -> int | None:
        """Return the account that a query finds, unless its key is another; it gets the key."""
        account = self._conn.execute(sql, place).fetchone()
        if account is None or account[0] is None or (account[1] and place["key"]):
            return None
        self._conn.execute(SET_KEY, (place["key"], account[0]))
        return account[0]

    def _guess_or_add(self, each: ListedCredential) -> int:
        """Return the account of a new file: the same file or login elsewhere, else a new one."""
        credential, place = each.credential, self._place(each.credential)
        is_address = "@" in credential.display_name
        # Another file of this list may have added the account just now.
        account_id = self._find(credential)
        may_guess = is_address and self._address_identifies(place)
        if account_id is None and may_guess:
            account_id = self._fitting(ELSEWHERE, place) or self._same_login(each, place)
        account_id = account_id or self._fitting(BY_INDEX, place)
        if account_id is None and self._by_address and self._name_counts[_name(each)] == 1:
            address = credential.display_name if is_address else None
            account_id = self._fitting(BY_ADDRESS, {**place, "address": address})
        if account_id is None:
            values = (credential.provider, credential.display_name, place["key"])
            account_id = self._conn.execute(ADD_ACCOUNT, values).lastrowid or 0
        self._held.add(account_id)
        return account_id

    def _same_login(self, each: ListedCredential, place: Mapping[str, object]) -> int | None:
        """Return the account of a login that was renamed, or that another proxy has too.

        Only where a single new file and a single account that this proxy does not list otherwise
        have the address: two files at once may be two workspaces.
        """
        if self._new_names[_name(each)] > 1:
            return None
        candidates = [
            (account_id, listed)
            for account_id, key, listed in self._conn.execute(OF_ADDRESS, place)
            if account_id not in self._held and not (key and place["key"])
        ]
        was_listed = [account_id for account_id, listed in candidates if listed]
        possible = was_listed or [account_id for account_id, _ in candidates]
        if len(possible) != 1:
            return None
        self._conn.execute(SET_KEY, (place["key"], possible[0]))
        return possible[0]

    def _link(self, credential: Credential, account_id: int) -> None:
        place = {**self._place(credential), "id": account_id}
        before = self._conn.execute(BY_INDEX, place).fetchone()
        self._conn.execute(SET_LABEL, {**place, "label": credential.display_name})
        self._conn.execute(SET_ACCOUNT, place)
        flags = {"disabled": credential.disabled, "cooldown_until": credential.cooldown_until}
        self._conn.execute(WRITE_FILE, place | flags)
        self._conn.execute(REMEMBER, (account_id,))
        if before and before[0] != account_id:
            _merge_unreferenced(self._conn, before[0], account_id)

    def _link_unindexed(self, accounts: AccountCredentials) -> None:
        """Link the events without an index to the only account of their address."""
        names: dict[tuple[str, str], set[int]] = {}
        for account_id, credentials in accounts.items():
            for each in credentials:
                names.setdefault(_name(each), set()).add(account_id)
        for (provider, name), ids in names.items():
            place = {"proxy_id": self._proxy_id, "provider": provider, "name": name}
            before = self._conn.execute(UNINDEXED, place).fetchone() if len(ids) == 1 else None
            account_id = min(ids)
            if before and before[0] != account_id:
                self._conn.execute(SET_UNINDEXED, {**place, "id": account_id})
                _merge_unreferenced(self._conn, before[0], account_id)


def _name(listed: ListedCredential) -> tuple[str, str]:
    return listed.credential.provider, listed.credential.display_name


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
