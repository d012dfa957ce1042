"""What is left of proxies that are collected from no longer: a batch in a spool, an open gap."""

import logging
import re
import sqlite3
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from ingest import proxies
from ingest.parse import parse
from ingest.spool import Spool, file_of
from ingest.store import Store
from runtime.heartbeat import now

log = logging.getLogger(__name__)

SPOOL = re.compile(r"ingest-(\d+)\.spool")
# The one spool of versions that knew one proxy.
OLD_SPOOL = "ingest.spool"
LAST = "select id from proxies order by last_pop_at desc nulls last, id limit 1"
KNOWN = "select id, configured from proxies order by id"


def settle(
    conn: sqlite3.Connection,
    folder: Path,
    current: Collection[int],
    make_store: Callable[[int], Store],
) -> None:
    """Store what the spools of former proxies hold, end their gaps, and note who is current.

    Raises `Unavailable` when the ledger cannot be written; nothing is lost then.
    """
    adopt(conn, folder)
    for proxy_id in former(conn, folder, current):
        leave(conn, folder, proxy_id, make_store)
    proxies.configure(conn, current)


def adopt(conn: sqlite3.Connection, folder: Path) -> None:
    """Give the spool of an earlier version to the proxy that it is of: the last one popped."""
    old = folder / OLD_SPOOL
    if not old.exists():
        return
    (last,) = conn.execute(LAST).fetchone()
    target = file_of(folder, last)
    if not target.exists() or not target.stat().st_size:
        old.replace(target)


def former(conn: sqlite3.Connection, folder: Path, current: Collection[int]) -> Iterator[int]:
    """Give the proxies that were taken out of the settings, or left a spool."""
    spools = {int(match[1]) for file in folder.iterdir() if (match := SPOOL.fullmatch(file.name))}
    for proxy_id, is_configured in conn.execute(KNOWN).fetchall():
        if proxy_id not in current and (is_configured or proxy_id in spools):
            yield proxy_id


def leave(
    conn: sqlite3.Connection, folder: Path, proxy_id: int, make_store: Callable[[int], Store]
) -> None:
    """Store the batch in a proxy's spool, put on record what may be lost, and end its gap."""
    collection = proxies.Collection(conn, proxy_id)
    file = file_of(folder, proxy_id)
    spool = Spool(file)
    try:
        batch, torn = spool.read()
        if batch and batch.number > collection.last_batch():
            make_store(proxy_id).keep(batch, map(parse, batch.records))
            log.info("stored %d records of a proxy of earlier settings", len(batch.records))
        if torn or (not batch and proxies.was_killed(conn, proxy_id)):
            collection.open_gap("collector killed", "the settings name it no longer", at_risk=True)
        collection.give_up(now())
        file.unlink()
    finally:
        spool.close()
