"""The ids of the texts, client keys, credentials and prices that events repeat."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from ingest.payload import Payload
from ledger import transaction
from ledger.account_names import name_accounts
from ledger.keys import Key, Salt, tail
from ledger.prices.calculator import PriceIds, price_ids
from ledger.prices.rates import Rates
from ledger.redaction import EMAIL

TEXT_TABLES = (
    "known_models",
    "known_endpoints",
    "known_executors",
    "known_efforts",
    "known_tiers",
)
ADD_TEXT = {
    table: f"insert into {table} (name) values (?) on conflict (name) do nothing"
    for table in TEXT_TABLES
}
FIND_TEXT = {table: f"select id from {table} where name = ?" for table in TEXT_TABLES}
FIND_CLIENT = "select id from known_clients where key_hash = ?"
ADD_CLIENT = "insert into known_clients (key_hash, label) values (?, ?)"
LABEL_IS_TAKEN = "select 1 from known_clients where label = ?"
FIND_CREDENTIAL = """
  select credentials.id, known_accounts.id, known_accounts.label
  from credentials
  join known_accounts on known_accounts.id = credentials.account_id
  where proxy_id = ? and auth_index = ? and credentials.provider = ?
"""
ADD_ACCOUNT = "insert into known_accounts (provider, label) values (:provider, :label)"
ADD_CREDENTIAL = """
  insert into credentials (proxy_id, auth_index, provider, auth_type, account_id)
  values (?, ?, ?, ?, ?)
"""
# With two accounts of one address, the account cannot be determined.
ONLY_ACCOUNT = """
  select min(id)
  from known_accounts
  where provider = :provider and label = :label and merged_into is null
  having count(*) = 1
"""
# The account of a credential file that a proxy lists with this index; else the only account of an
# address, where only events without an index have named it.
LISTED_ACCOUNT = """
  select account_id
  from credential_files
  where proxy_id = :proxy_id and auth_index = :auth_index and provider = :provider
"""
# An index is a hash of the credential file's path: the same one at another proxy.
SAME_INDEX_ACCOUNT = """
  select min(account_id)
  from credentials
  join known_accounts on known_accounts.id = credentials.account_id
  where auth_index = :auth_index
    and credentials.provider = :provider
    and label = :label collate nocase
  having count(distinct account_id) = 1
"""
UNINDEXED_ACCOUNT = """
  select min(known_accounts.id)
  from known_accounts
  join credentials on credentials.account_id = known_accounts.id
  where known_accounts.provider = :provider
    and label = :label collate nocase
    and proxy_id = :proxy_id
  having count(*) = 1 and min(auth_index) like '%@%'
"""
# The credential of an event without an index: the newest one of the only account of its address.
BY_ADDRESS = """
  select max(credentials.id)
  from credentials
  join known_accounts on known_accounts.id = credentials.account_id
  where proxy_id = :proxy_id
    and credentials.provider = :provider
    and known_accounts.label = :label collate nocase
    and auth_index <> ''
    and auth_index not like '%@%'
  having count(distinct account_id) = 1
"""
RENAME_ACCOUNT = "update known_accounts set label = ? where id = ?"


class TextIds(NamedTuple):
    """The ids of an event's texts, named as the columns of `usage_events`."""

    model_id: int
    alias_id: int | None
    endpoint_id: int | None
    executor_id: int | None
    effort_id: int | None
    tier_id: int | None
    answered_tier_id: int | None


class Ids(NamedTuple):
    """All ids of an event, named as the columns of `usage_events`."""

    credential_id: int
    client_id: int | None
    model_id: int
    alias_id: int | None
    endpoint_id: int | None
    executor_id: int | None
    effort_id: int | None
    tier_id: int | None
    answered_tier_id: int | None


class Label(NamedTuple):
    """The name that is shown for an account."""

    text: str
    is_email: bool


class Dimensions:
    """Finds or adds the ids for the events of one proxy, and caches them."""

    def __init__(
        self,
        conn: sqlite3.Connection,
        proxy_id: int,
        salt: Salt,
        *,
        shares_accounts: bool = False,
    ) -> None:
        """With `shares_accounts`, a new credential gets the only account of its e-mail address."""
        self._conn = conn
        self._shares_accounts = shares_accounts
        self._proxy_id = proxy_id
        self._salt = salt
        self._texts: dict[tuple[str, ...], TextIds] = {}
        self._ids: dict[object, int] = {}
        # The cache references the rates, so that no other object gets the same id().
        self._prices: dict[int, tuple[Rates, PriceIds]] = {}

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Write all or nothing; after a rollback the cached ids may not be in the file."""
        try:
            with transaction(self._conn):
                yield
        except BaseException:
            self._texts.clear()
            self._ids.clear()
            self._prices.clear()
            raise

    def ids(self, payload: Payload) -> Ids:
        """Return the ids of an event."""
        credential_id = self.credential_id(payload)
        return Ids(credential_id, self._client_id(payload.api_key), *self._text_ids(payload))

    def credential_id(self, payload: Payload) -> int:
        """Return the id of an event's credential; a new one gets an account of its own."""
        key = (payload.auth_index, payload.provider, payload.source)
        credential_id = self._ids.get(key)
        if credential_id is None:
            credential_id = self._find_credential(payload)
            # The address alone may name another credential tomorrow.
            if payload.auth_index:
                self._ids[key] = credential_id
        return credential_id

    def price_ids(self, rates: Rates) -> PriceIds:
        """Return the ids of the price that a cost was computed with."""
        cached = self._prices.get(id(rates))
        if cached is None:
            cached = self._prices[id(rates)] = rates, price_ids(self._conn, rates)
        return cached[1]

    def client_label(self, payload: Payload) -> str:
        """Return the label of an event's client key; empty without a key."""
        return Key(b"", tail(payload.api_key)).label if payload.api_key else ""

    def account_label(self, payload: Payload) -> str:
        """Return the label of an event's account."""
        return account_label(payload, self._salt).text

    def _text_ids(self, payload: Payload) -> TextIds:
        # A few combinations repeat all the time: one look-up for all seven.
        texts = (
            payload.model or "unknown",
            payload.alias,
            payload.endpoint,
            payload.executor_type,
            payload.reasoning_effort,
            payload.service_tier,
            payload.response_service_tier,
        )
        ids = self._texts.get(texts)
        if ids is None:
            ids = self._texts[texts] = self._find_texts(*texts)
        return ids

    def _find_texts(self, model: str, alias: str, *others: str) -> TextIds:
        endpoint, executor, effort, tier, answered_tier = others
        return TextIds(
            model_id=self._add_text("known_models", model),
            alias_id=self._text_id("known_models", alias if alias != model else ""),
            endpoint_id=self._text_id("known_endpoints", endpoint),
            executor_id=self._text_id("known_executors", executor),
            effort_id=self._text_id("known_efforts", effort),
            tier_id=self._text_id("known_tiers", tier),
            answered_tier_id=self._text_id("known_tiers", answered_tier),
        )

    def _text_id(self, table: str, text: str) -> int | None:
        """Return the id of a text; None for the empty one."""
        return self._add_text(table, text) if text else None

    def _add_text(self, table: str, text: str) -> int:
        text_id = self._ids.get((table, text))
        if text_id is None:
            self._conn.execute(ADD_TEXT[table], (text,))
            row = self._conn.execute(FIND_TEXT[table], (text,)).fetchone()
            text_id = self._ids[table, text] = row[0]
        return text_id

    def _client_id(self, key: str) -> int | None:
        """Return the id of a client by its API key; None without a key."""
        if not key:
            return None
        client_id = self._ids.get(("client", key))
        if client_id is None:
            client_id = self._ids["client", key] = self._find_client(key)
        return client_id

    def _find_client(self, text: str) -> int:
        key = self._salt.key(text)
        if row := self._conn.execute(FIND_CLIENT, (key.hash,)).fetchone():
            return row[0]
        label = key.label
        if self._conn.execute(LABEL_IS_TAKEN, (label,)).fetchone():
            label = f"{label} ({key.hash.hex()[:6]})"
        return self._conn.execute(ADD_CLIENT, (key.hash, label)).lastrowid or 0

    def _find_credential(self, payload: Payload) -> int:
        label = account_label(payload, self._salt)
        if not payload.auth_index and label.is_email:
            return self._credential_of_address(payload, label)
        return self._find_or_add(payload, payload.auth_index, label)

    def _credential_of_address(self, payload: Payload, label: Label) -> int:
        """Return the credential that an event without an index names by its address.

        Where the address has none or several, it is one that has the address in the place of the
        index.
        """
        values = {"proxy_id": self._proxy_id, "provider": payload.provider, "label": label.text}
        row = self._conn.execute(BY_ADDRESS, values).fetchone()
        return row[0] if row else self._find_or_add(payload, label.text.lower(), label)

    def _find_or_add(self, payload: Payload, auth_index: str, label: Label) -> int:
        provider = payload.provider
        key = (self._proxy_id, auth_index, provider)
        if row := self._conn.execute(FIND_CREDENTIAL, key).fetchone():
            credential_id, account_id, old_label = row
            if label.is_email and not EMAIL.fullmatch(old_label):
                self._conn.execute(RENAME_ACCOUNT, (label.text, account_id))
                name_accounts(self._conn, label.text)
            return credential_id
        account_id = self._account_id(provider, auth_index, label)
        values = (*key, payload.auth_type, account_id)
        credential_id = self._conn.execute(ADD_CREDENTIAL, values).lastrowid or 0
        name_accounts(self._conn, label.text)
        return credential_id

    def _account_id(self, provider: str, auth_index: str, label: Label) -> int:
        """Return the id of the account of a new credential."""
        values = {
            "proxy_id": self._proxy_id,
            "provider": provider,
            "auth_index": auth_index,
            "label": label.text,
        }
        queries = [LISTED_ACCOUNT]
        if label.is_email:
            queries += [
                SAME_INDEX_ACCOUNT,
                UNINDEXED_ACCOUNT,
                *([ONLY_ACCOUNT] if self._shares_accounts else []),
            ]
        for sql in queries:
            if row := self._conn.execute(sql, values).fetchone():
                return row[0]
        return self._conn.execute(ADD_ACCOUNT, values).lastrowid or 0


def account_label(payload: Payload, salt: Salt) -> Label:
    """Return an account's e-mail address, or a label made of the end of its key.

    An account without an address has the client's own key as `source`, which does not identify it.
    """
    if EMAIL.fullmatch(payload.source):
        return Label(payload.source, True)
    if payload.source and payload.source != payload.api_key:
        return Label(f"{payload.provider} {salt.key(payload.source).label}", False)
    return Label(f"{payload.provider} {payload.auth_index[:8]}".strip(), False)
