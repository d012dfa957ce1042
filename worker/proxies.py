"""The proxy as every worker knows it: where it is, and which row of the ledger it has."""

import sqlite3
from urllib.parse import urlsplit

from ledger import transaction


def address(host: str, port: int) -> str:
    """Give the proxy's base URL; a host with a scheme may bring its own port."""
    if "://" not in host:
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    given = urlsplit(host)
    with_port = given.netloc if given.port else f"{given.netloc}:{port}"
    return f"{given.scheme}://{with_port}{given.path.rstrip('/')}"


def find(conn: sqlite3.Connection, name: str) -> int:
    """Give the id of the proxy of that name (`host:port`), adding it when it is new."""
    with transaction(conn):
        conn.execute("insert into proxies (name) values (?) on conflict do nothing", (name,))
    return conn.execute("select id from proxies where name = ?", (name,)).fetchone()[0]
