"""The one way to write."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from ledger.errors import LOCKED, Unwritable, translated

# Threads of one process take turns: SQLite itself lets one starve while another writes on and on.
TURN, TURN_SECONDS = threading.RLock(), 5.0


@contextmanager
def turn() -> Iterator[None]:
    """Wait for one's turn to write, no longer than SQLite waits for another process."""
    if not TURN.acquire(timeout=TURN_SECONDS):
        raise Unwritable(LOCKED)
    try:
        yield
    finally:
        TURN.release()


@contextmanager
def transaction(conn: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Write all or nothing. Raises `Unavailable` when the file is locked or the disk is full."""
    with turn(), translated():
        conn.execute("begin immediate")
        try:
            yield conn
            conn.execute("commit")
        except BaseException:
            # A full disk may have rolled back already.
            if conn.in_transaction:
                conn.execute("rollback")
            raise
