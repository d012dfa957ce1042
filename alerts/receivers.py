"""Whom to tell: each address as the ledger knows it, by a salted hash and its service."""

import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path

from ledger import transaction
from ledger.keys import load_salt

FORGET = "update alert_receivers set configured = 0"
KEEP = """
  insert into alert_receivers (url_hash, service)
  values (:url_hash, :service)
  on conflict (url_hash) do update set
    configured = 1,
    next_try_at = 0
  returning id
"""
# Nobody is left to be told.
DROP = """
  delete from alert_deliveries
  where sent_at is null
    and receiver_id in (select id from alert_receivers where configured = 0)
"""


def keep(conn: sqlite3.Connection, urls: Iterable[str], folder: Path) -> Mapping[int, str]:
    """Give the addresses by their numbers in the ledger, adding new ones. Raises `Unavailable`."""
    found = dict.fromkeys(urls)
    salt = load_salt(folder) if found else None
    with transaction(conn):
        conn.execute(FORGET)
        numbered = {}
        for url in found:
            row = {"url_hash": salt.key(url).hash, "service": service(url)}
            numbered[conn.execute(KEEP, row).fetchone()[0]] = url
        conn.execute(DROP)
    return numbered


def service(url: str) -> str:
    """Give what may be shown of an address."""
    return url.partition("://")[0].lower()
