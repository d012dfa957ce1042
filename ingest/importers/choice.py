"""Choose the proxy that imported events are of."""

import sqlite3
from typing import NamedTuple

from ledger import transaction
from ledger.settings import Proxy
from runtime.proxies import find_all

SEVERAL = (
    "The settings name several proxies: say which one the events are of, with --proxy {names}. "
    "Another name makes a new one, which nothing is collected from."
)
FIND = "select id from proxies where name = ?"
ADD = "insert into proxies (name, configured) values (?, 0)"


class Chosen(NamedTuple):
    """A proxy of the ledger."""

    id: int
    name: str


def chosen_proxy(conn: sqlite3.Connection, pool: list[Proxy], name: str | None) -> Chosen:
    """Give the proxy that is named, or the only one of the settings; a new name makes a new one.

    Raises `SystemExit` with a sentence where it is not clear which one is meant.
    """
    ids = dict(zip((proxy.name for proxy in pool), find_all(conn, pool), strict=True))
    if name:
        return Chosen(ids.get(name) or named(conn, name), name)
    if len(ids) > 1:
        raise SystemExit(SEVERAL.format(names=" or ".join(map(repr, ids))))
    ((only, proxy_id),) = ids.items()
    return Chosen(proxy_id, only)


def named(conn: sqlite3.Connection, name: str) -> int:
    """Give the id of the proxy of a name, adding one that nothing is collected from."""
    with transaction(conn):
        row = conn.execute(FIND, (name,)).fetchone()
        return row[0] if row else conn.execute(ADD, (name,)).lastrowid or 0
