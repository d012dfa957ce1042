"""Small integers for the names, keys and credentials that events repeat."""

import sqlite3
from typing import NamedTuple

from ingest.payload import Payload
from ledger.keys import Salt
from ledger.prices import Rates, price_id
from ledger.redaction import EMAIL

NAMED = {
    table: (
        f"insert into {table} (name) values (?) on conflict (name) do nothing",
        f"select id from {table} where name = ?",
    )
    for table in (
        "known_models",
        "known_endpoints",
        "known_executors",
        "known_efforts",
        "known_tiers",
    )
}
FIND_CLIENT = "select id from known_clients where key_hash = ?"
ADD_CLIENT = "insert into known_clients (key_hash, label) values (?, ?)"
LABEL_IS_TAKEN = "select 1 from known_clients where label = ?"
FIND_CREDENTIAL = """
  select credentials.id, known_accounts.id, known_accounts.label
  from credentials
  join known_accounts on known_accounts.id = credentials.account_id
  where proxy_id = ? and auth_index = ? and credentials.provider = ?
"""
ADD_ACCOUNT = "insert into known_accounts (provider, label) values (?, ?)"
ADD_CREDENTIAL = """
  insert into credentials (proxy_id, auth_index, provider, auth_type, account_id)
  values (?, ?, ?, ?, ?)
"""
# Of two accounts with one address nobody can tell which one is meant.
ONLY_ACCOUNT = """
  select min(id)
  from known_accounts
  where provider = ? and label = ?
  having count(*) = 1
"""
RENAME_ACCOUNT = "update known_accounts set label = ? where id = ?"


class Known(NamedTuple):
    """A credential in the file, and its account."""

    credential_id: int
    account_id: int
    label: str


class Label(NamedTuple):
    """What a person sees of an account."""

    text: str
    is_email: bool


class Names:
    """Finds or adds each name once; `forget` after a transaction that was rolled back."""

    def __init__(
        self,
        conn: sqlite3.Connection,
        proxy_id: int,
        salt: Salt,
        *,
        shares_accounts: bool = False,
    ) -> None:
        """`shares_accounts` lets a new credential belong to the only account of its address."""
        self._conn = conn
        self._shares_accounts = shares_accounts
        self._proxy_id = proxy_id
        self._salt = salt
        self._known: dict[object, int] = {}

    def forget(self) -> None:
        """Forget what was found, since it may not be in the file."""
        self._known.clear()

    def named(self, table: str, name: str) -> int | None:
        """Give the id of a name in one of the tables of names; None for the empty one."""
        if not name:
            return None
        found = self._known.get((table, name))
        if found is None:
            add, find = NAMED[table]
            self._conn.execute(add, (name,))
            found = self._known[table, name] = self._conn.execute(find, (name,)).fetchone()[0]
        return found

    def price(self, rates: Rates) -> int:
        """Give the id of what a cost went by."""
        at = (rates.source, rates.version, rates.model)
        found = self._known.get(at)
        if found is None:
            found = self._known[at] = price_id(self._conn, rates)
        return found

    def client(self, key: str) -> int | None:
        """Give the id of a client by its API key; None without one."""
        if not key:
            return None
        found = self._known.get(("client", key))
        if found is None:
            found = self._known["client", key] = self._client(key)
        return found

    def _client(self, text: str) -> int:
        key = self._salt.key(text)
        if row := self._conn.execute(FIND_CLIENT, (key.hash,)).fetchone():
            return row[0]
        label = key.label
        if self._conn.execute(LABEL_IS_TAKEN, (label,)).fetchone():
            label = f"{label} ({key.hash.hex()[:6]})"
        return self._conn.execute(ADD_CLIENT, (key.hash, label)).lastrowid or 0

    def credential(self, payload: Payload) -> int:
        """Give the id of the credential of an attempt; a new one has an account of its own."""
        at = (payload.auth_index, payload.provider, payload.source)
        found = self._known.get(at)
        if found is None:
            found = self._known[at] = self._credential(payload)
        return found

    def _credential(self, payload: Payload) -> int:
        provider, label = payload.provider, account_label(payload, self._salt)
        at = (self._proxy_id, payload.auth_index, provider)
        if row := self._conn.execute(FIND_CREDENTIAL, at).fetchone():
            known = Known(*row)
            if label.is_email and not EMAIL.fullmatch(known.label):
                self._conn.execute(RENAME_ACCOUNT, (label.text, known.account_id))
            return known.credential_id
        row = (*at, payload.auth_type, self._account(provider, label))
        return self._conn.execute(ADD_CREDENTIAL, row).lastrowid or 0

    def _account(self, provider: str, label: Label) -> int:
        """Give a new credential an account."""
        at = (provider, label.text)
        may_share = self._shares_accounts and label.is_email
        only = self._conn.execute(ONLY_ACCOUNT, at).fetchone() if may_share else None
        return only[0] if only else self._conn.execute(ADD_ACCOUNT, at).lastrowid or 0


def account_label(payload: Payload, salt: Salt) -> Label:
    """Name an account by its e-mail address, or by what may be shown of its key.

    An account without address has the client's own key as `source`, which says nothing of it.
    """
    if EMAIL.fullmatch(payload.source):
        return Label(payload.source, True)
    if payload.source and payload.source != payload.api_key:
        return Label(f"{payload.provider} {salt.key(payload.source).label}", False)
    return Label(f"{payload.provider} {payload.auth_index[:8]}".strip(), False)
