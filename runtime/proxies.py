"""The proxy as every worker knows it: where it is, and which row of the ledger it has."""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Protocol

from ledger import transaction

ADD = "insert into proxies (name, address) values (:name, :address)"
BY_NAME = "select id from proxies where name = :name"
# A proxy that had no name of its own, or another one, goes on under the new one.
BY_ADDRESS = """
  select id
  from proxies
  where address = :address collate nocase
    and name not in (select value from json_each(:names))
  order by last_pop_at desc nulls last, id
  limit 1
"""
KEEP = """
  update proxies set name = :name, address = :address
  where id = :id and (name, address) is not (:name, :address)
"""


class Placed(Protocol):
    """A proxy of the settings."""

    @property
    def name(self) -> str:
        """What its user calls it."""

    @property
    def address(self) -> str:
        """Where it is, without scheme."""


def find(conn: sqlite3.Connection, name: str) -> int:
    """Give the id of the proxy that is named by its address (`host:port`), adding a new one."""
    with transaction(conn):
        row = conn.execute(BY_NAME, {"name": name}).fetchone()
        return row[0] if row else conn.execute(ADD, {"name": name, "address": name}).lastrowid or 0


def find_all(conn: sqlite3.Connection, pool: Sequence[Placed]) -> list[int]:
    """Give the id of each proxy of the settings: the row of its name, else of its address.

    A row's name and address are brought up to date; a proxy that is new gets a row.
    """
    names = json.dumps([proxy.name for proxy in pool])
    found = []
    with transaction(conn):
        for proxy in pool:
            at = {"name": proxy.name, "address": proxy.address, "names": names}
            found.append(placed(conn, at))
    return found


def placed(conn: sqlite3.Connection, at: Mapping[str, str]) -> int:
    """Give the id of one proxy inside the caller's transaction."""
    for sql in (BY_NAME, BY_ADDRESS):
        if row := conn.execute(sql, at).fetchone():
            conn.execute(KEEP, {**at, "id": row[0]})
            return row[0]
    return conn.execute(ADD, at).lastrowid or 0
