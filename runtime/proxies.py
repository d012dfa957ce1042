"""The proxies of the settings, each with its row in the ledger."""

import json
import sqlite3
from collections.abc import Sequence
from typing import Protocol

from ledger import transaction

INSERT = "insert into proxies (name, address) values (:name, :address)"
BY_NAME = "select id from proxies where name = :name"
# A proxy that is given a name, or a new name, keeps its row.
BY_ADDRESS = """
  select id
  from proxies
  where address = :address collate nocase
    and name not in (select value from json_each(:names))
  order by last_pop_at desc nulls last, id
  limit 1
"""
UPDATE = """
  update proxies set name = :name, address = :address
  where id = :id and (name, address) is not (:name, :address)
"""


class NamedProxy(Protocol):
    """A proxy of the settings."""

    @property
    def name(self) -> str:
        """The name that the user has chosen."""

    @property
    def address(self) -> str:
        """Its address, without scheme."""


def find(conn: sqlite3.Connection, name: str) -> int:
    """Return the id of the proxy that is named by its address (`host:port`), adding a new one."""
    with transaction(conn):
        row = conn.execute(BY_NAME, {"name": name}).fetchone()
        if row:
            return row[0]
        return conn.execute(INSERT, {"name": name, "address": name}).lastrowid or 0


def find_all(conn: sqlite3.Connection, proxies: Sequence[NamedProxy]) -> list[int]:
    """Return the id of each proxy of the settings: the row of its name, else of its address.

    A row's name and address are updated; a new proxy is added.
    """
    names = [proxy.name for proxy in proxies]
    with transaction(conn):
        return [find_or_add(conn, proxy, names) for proxy in proxies]


def find_or_add(conn: sqlite3.Connection, proxy: NamedProxy, names: list[str]) -> int:
    """Return the id of one proxy inside the caller's transaction."""
    values = {"name": proxy.name, "address": proxy.address, "names": json.dumps(names)}
    for sql in (BY_NAME, BY_ADDRESS):
        if row := conn.execute(sql, values).fetchone():
            conn.execute(UPDATE, {**values, "id": row[0]})
            return row[0]
    return conn.execute(INSERT, values).lastrowid or 0
