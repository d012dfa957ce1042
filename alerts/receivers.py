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
# What waits for an address that was taken out goes to those that never had it, while it is so.
PASS_ON = """
  insert into alert_deliveries (alert_id, receiver_id, part, due_at)
  select alert_id, others.id, part, min(due_at)
  from alert_deliveries
  join alerts on alerts.id = alert_id and ended_at is null
  join alert_receivers as gone on gone.id = receiver_id and gone.configured = 0
  join alert_receivers as others on others.configured = 1
  where sent_at is null
    and part = 'begin'
    and not exists (
      select 1
      from alert_deliveries as theirs
      where theirs.alert_id = alert_deliveries.alert_id and theirs.receiver_id = others.id
    )
  group by alert_id, others.id
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
        conn.execute(PASS_ON)
        conn.execute(DROP)
    return numbered


def service(url: str) -> str:
    """Give what may be shown of an address."""
    return url.partition("://")[0].lower()
