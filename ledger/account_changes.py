"""Merge, split, rename and forget accounts, where the program cannot decide it itself.

Events belong to credentials, and an account groups credentials: a change assigns credentials anew
and rewrites no event. Every change can be undone until it is confirmed; a confirmed `forget` also
erases the address and the quotas. Account lists respect the changes: a merged account's key leads
to the other account, and a split credential is pinned to its new one.
"""

import json
import sqlite3
from collections.abc import Iterable
from typing import Any, NamedTuple

from ledger.account_names import name_accounts
from ledger.database import transaction

FIND = """
  select known_accounts.id, named_accounts.account, known_accounts.provider
  from named_accounts
  join known_accounts on known_accounts.id = named_accounts.account_id
  where named_accounts.account = :text
    or known_accounts.label = :text
    or named_accounts.provider || ':' || named_accounts.account = :text
    or cast(known_accounts.id as text) = :text
    or exists (
      select 1 from credentials
      where account_id = known_accounts.id and auth_index = :text
    )
    or exists (
      select 1 from credential_files
      where account_id = known_accounts.id and name = :text
    )
  order by named_accounts.account <> :text, known_accounts.id
"""
ALL = "select account_id, account, provider from named_accounts order by account, account_id"
# The sums of days are never deleted and include every stored event.
SUMS = """
  select
    coalesce(sum(requests), 0),
    coalesce(sum(input_tokens + output_tokens + unclassified_tokens), 0),
    coalesce(sum(cost_microdollars), 0)
  from credential_rollup
  join credentials on credentials.id = credential_id
  where resolution = 4 and (:account_id is null or account_id = :account_id)
"""
CREDENTIALS = "select id from credentials where account_id = ? order by id"
FILES = "select proxy_id, name from credential_files where account_id = ?"
MOVE_CREDENTIAL = "update credentials set account_id = ? where id = ?"
MOVE_FILE = "update credential_files set account_id = ? where proxy_id = ? and name = ?"
MERGED = "select id from known_accounts where merged_into = ?"
SET_MERGED = "update known_accounts set merged_into = ? where id = ?"
ADD_CHANGE = """
  insert into account_changes (action, account_id, other_id, made_at, undo)
  values (?, ?, ?, ?, ?)
"""
CHANGES = """
  select id, action, account_id, other_id, made_at, undo
  from account_changes
  where undone_at is null and confirmed_at is null
  order by id desc
"""
# The table and column that a pin's value is of. An index may also be of another provider.
ASSIGN = {
    kind: f"""
  update {table} set account_id = :id
  where proxy_id = :proxy_id
    and {column} = :value
    and provider = (select provider from known_accounts where id = :id)
"""
    for kind, table, column in (
        ("auth_index", "credentials", "auth_index"),
        ("file", "credential_files", "name"),
    )
}
PIN_BEFORE = """
  select account_id from account_pins where proxy_id = ? and kind = ? and value = ?
"""
SPLIT_OFF = """
  insert into known_accounts (provider, label)
  select provider, label from known_accounts where id = ?
  returning id
"""
SET_NAME = "update known_accounts set given_name = ? where id = ?"
SET_FORGOTTEN = "update known_accounts set forgotten_at = ? where id = ?"
MARK_UNDECIDED = """
  insert or ignore into quota_undecided (account_id)
  select account_id from quota_accounts where account_id = ?
"""
QUOTA_TABLES = (
    *("quota_accounts", "quota_windows", "quota_refusals", "quota_verdicts"),
    *("quota_verdict_changes", "quota_undecided", "quota_requests"),
)


class ChangeRefused(Exception):
    """A change that cannot be made; the text gives the reason."""


class Account(NamedTuple):
    """An account; text names it by its name, address, file, index or number."""

    id: int
    name: str
    provider: str

    def __str__(self) -> str:
        return f"{self.name} ({self.provider}, #{self.id})"


class Sums(NamedTuple):
    """Everything that the ledger has of an account, or of all."""

    requests: int
    tokens: int
    cost_microdollars: int


class Change(NamedTuple):
    """A change that is neither undone nor confirmed."""

    id: int
    action: str
    account_id: int
    other_id: int | None
    made_at: int
    undo: dict[str, Any]

    @classmethod
    def from_row(cls, row: tuple[Any, ...]) -> "Change":
        """Return the change in a row of `account_changes`."""
        return cls(**dict(zip(cls._fields, (*row[:-1], json.loads(row[-1])), strict=True)))

    def accounts(self) -> set[int]:
        """Return the ids of the accounts that it concerns."""
        return {self.account_id} | ({self.other_id} if self.other_id else set())


def find_account(conn: sqlite3.Connection, text: str) -> Account:
    """Return the account that a text names. Raises `ChangeRefused` when none or several do."""
    accounts = [Account(*row) for row in conn.execute(FIND, {"text": text})]
    exact = [account for account in accounts if account.name == text]
    accounts = exact if len(exact) == 1 else accounts
    if not accounts:
        raise ChangeRefused(f"no account is called {text}; `account list` has them all")
    if len(accounts) > 1:
        raise ChangeRefused(
            f"several accounts are called {text}; name one by its number: "
            + ", ".join(
                f"{account.id} is {account.name} ({account.provider})" for account in accounts
            )
        )
    return accounts[0]


def all_accounts(conn: sqlite3.Connection) -> list[Account]:
    """Return every account."""
    return [Account(*row) for row in conn.execute(ALL)]


def sums(conn: sqlite3.Connection, account_id: int | None = None) -> Sums:
    """Return the sums of an account, or of the whole ledger."""
    return Sums(*conn.execute(SUMS, {"account_id": account_id}).fetchone())


def open_changes(conn: sqlite3.Connection) -> list[Change]:
    """Return the changes that can be undone, the newest first."""
    return [Change.from_row(row) for row in conn.execute(CHANGES)]


def merge(conn: sqlite3.Connection, source: Account, into: Account, *, now: int) -> int:
    """Merge an account into another of its provider; returns the number of the change."""
    if source.id == into.id:
        raise ChangeRefused(f"{source.name} is that account already")
    if source.provider != into.provider:
        raise ChangeRefused(f"{source} and {into} are of two providers")
    with transaction(conn):
        undo: dict[str, Any] = {
            "credentials": _ids(conn, CREDENTIALS, source.id),
            "files": _files(conn, source.id),
            "merged": [source.id, *_ids(conn, MERGED, source.id)],
        }
        _assign(conn, undo, into.id)
        for account_id in undo["merged"]:
            conn.execute(SET_MERGED, (into.id, account_id))
        return _finish(conn, "merge", (source.id, into.id), undo=undo, now=now)


def split(conn: sqlite3.Connection, account: Account, credential: str, *, now: int) -> int:
    """Split a credential, named by its index or file, off into an account of its own."""
    with transaction(conn):
        pins = _pins(conn, account.id, credential)
        if not pins:
            raise ChangeRefused(f"{account} has no credential {credential}")
        (added,) = conn.execute(SPLIT_OFF, (account.id,)).fetchone()
        before = [(*key, *(conn.execute(PIN_BEFORE, key).fetchone() or (None,))) for key in pins]
        for key in pins:
            _pin(conn, key, added)
        is_empty = not _ids(conn, CREDENTIALS, account.id) and not _files(conn, account.id)
        if is_empty:
            raise ChangeRefused(f"{credential} is the only credential of {account}")
        return _finish(conn, "split", (account.id, added), undo={"pins": before}, now=now)


def rename(conn: sqlite3.Connection, account: Account, name: str, *, now: int) -> int:
    """Set the name of an account; an empty name restores its own."""
    with transaction(conn):
        sql = "select given_name from known_accounts where id = ?"
        (before,) = conn.execute(sql, (account.id,)).fetchone()
        conn.execute(SET_NAME, (name or None, account.id))
        return _finish(conn, "rename", (account.id, None), undo={"name": before}, now=now)


def forget(conn: sqlite3.Connection, account: Account, *, now: int) -> int:
    """Hide the address of an account that no proxy lists; its usage stays in every sum."""
    with transaction(conn):
        if _files(conn, account.id):
            raise ChangeRefused(
                f"a proxy still lists {account}: remove its credential file there first"
            )
        conn.execute(SET_FORGOTTEN, (now, account.id))
        return _finish(conn, "forget", (account.id, None), undo={}, now=now)


def undo(conn: sqlite3.Connection, change_id: int | None, *, now: int) -> Change:
    """Undo a change, by default the newest. Raises `ChangeRefused` when it cannot be."""
    with transaction(conn):
        change = _open_change(conn, change_id)
        later = [item for item in open_changes(conn) if item.id > change.id]
        if blocking := next((c for c in later if c.accounts() & change.accounts()), None):
            raise ChangeRefused(f"undo change {blocking.id} first: it is about the same account")
        _UNDO[change.action](conn, change)
        conn.execute("update account_changes set undone_at = ? where id = ?", (now, change.id))
        _refresh(conn, change.accounts())
        return change


def confirm(conn: sqlite3.Connection, change_id: int | None, *, now: int) -> Change:
    """Confirm a change, by default the newest: it cannot be undone any more."""
    with transaction(conn):
        change = _open_change(conn, change_id)
        if change.action == "forget":
            _erase(conn, change.account_id)
        sql = "update account_changes set confirmed_at = ?, undo = '{}' where id = ?"
        conn.execute(sql, (now, change.id))
        _refresh(conn, change.accounts())
        return change


def _open_change(conn: sqlite3.Connection, change_id: int | None) -> Change:
    changes = open_changes(conn)
    if change_id is None and changes:
        return changes[0]
    change = next((change for change in changes if change.id == change_id), None)
    if change is None:
        number = "" if change_id is None else f" {change_id}"
        raise ChangeRefused(f"there is no change{number} that is neither undone nor confirmed")
    return change


def _assign(conn: sqlite3.Connection, moved: dict[str, Any], account_id: int) -> None:
    conn.executemany(MOVE_CREDENTIAL, [(account_id, id_) for id_ in moved["credentials"]])
    conn.executemany(MOVE_FILE, [(account_id, *key) for key in moved["files"]])


def _pins(conn: sqlite3.Connection, account_id: int, text: str) -> list[tuple[int, str, str]]:
    """Return the keys of a credential and of its file, by the name of either."""
    files = conn.execute(
        "select proxy_id, name, auth_index from credential_files "
        "where account_id = ? and ? in (name, auth_index)",
        (account_id, text),
    ).fetchall()
    indexes = conn.execute(
        "select proxy_id, auth_index from credentials where account_id = ? and auth_index = ?",
        (account_id, text),
    ).fetchall()
    pins = {(proxy_id, "file", name) for proxy_id, name, _ in files}
    pins |= {(proxy_id, "auth_index", index) for proxy_id, _, index in files if index}
    pins |= {(proxy_id, "auth_index", index) for proxy_id, index in indexes}
    return sorted(pins)


def _pin(conn: sqlite3.Connection, key: tuple[int, str, str], account_id: int) -> None:
    """Pin a credential or file to an account, and assign it."""
    conn.execute("insert or replace into account_pins values (?, ?, ?, ?)", (*key, account_id))
    proxy_id, kind, value = key
    values = {"id": account_id, "proxy_id": proxy_id, "value": value}
    conn.execute(ASSIGN[kind], values)


def _finish(
    conn: sqlite3.Connection,
    action: str,
    accounts: tuple[int, int | None],
    *,
    undo: dict[str, Any],
    now: int,
) -> int:
    cursor = conn.execute(ADD_CHANGE, (action, *accounts, now, json.dumps(undo)))
    _refresh(conn, filter(None, accounts))
    return cursor.lastrowid or 0


def _refresh(conn: sqlite3.Connection, accounts: Iterable[int]) -> None:
    """Compute the names of all accounts again, and mark these accounts as undecided."""
    name_accounts(conn)
    for account_id in accounts:
        conn.execute(MARK_UNDECIDED, (account_id,))


def _undo_merge(conn: sqlite3.Connection, change: Change) -> None:
    _assign(conn, change.undo, change.account_id)
    for account_id in change.undo["merged"]:
        merged_into = None if account_id == change.account_id else change.account_id
        conn.execute(SET_MERGED, (merged_into, account_id))


def _undo_split(conn: sqlite3.Connection, change: Change) -> None:
    moved = {
        "credentials": _ids(conn, CREDENTIALS, change.other_id),
        "files": _files(conn, change.other_id),
    }
    _assign(conn, moved, change.account_id)
    before = [pin for pin in change.undo["pins"] if pin[3]]
    conn.executemany("insert or replace into account_pins values (?, ?, ?, ?)", before)
    conn.execute("delete from known_accounts where id = ?", (change.other_id,))


def _undo_rename(conn: sqlite3.Connection, change: Change) -> None:
    conn.execute(SET_NAME, (change.undo["name"], change.account_id))


def _undo_forget(conn: sqlite3.Connection, change: Change) -> None:
    conn.execute(SET_FORGOTTEN, (None, change.account_id))


def _erase(conn: sqlite3.Connection, account_id: int) -> None:
    """Erase the address, the key, the names and the quotas of an account."""
    conn.execute(
        "update known_accounts set label = ?, account_key = null, given_name = null where id = ?",
        (f"forgotten #{account_id}", account_id),
    )
    for table in QUOTA_TABLES:
        conn.execute(f"delete from {table} where account_id = ?", (account_id,))


def _ids(conn: sqlite3.Connection, sql: str, account_id: int | None) -> list[int]:
    return [number for (number,) in conn.execute(sql, (account_id,))]


def _files(conn: sqlite3.Connection, account_id: int | None) -> list[tuple[int, str]]:
    return conn.execute(FILES, (account_id,)).fetchall()


_UNDO = {
    "merge": _undo_merge,
    "split": _undo_split,
    "rename": _undo_rename,
    "forget": _undo_forget,
}
