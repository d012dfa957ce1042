"""Let go of raw events that are older than the settings keep, while the queue is empty."""

import sqlite3
import time

from ledger import retention
from runtime.heartbeat import now

EVERY_SECONDS = 3600.0


class Thinning:
    """Deletes a little at a time; nothing at all unless the settings say so."""

    def __init__(self, conn: sqlite3.Connection, keep_days: int) -> None:
        self._conn = conn
        self._keep_days = keep_days
        self._due = 0.0
        self._is_done = keep_days <= 0

    def after_empty_pop(self) -> None:
        """Delete some events, or give some space back once all are deleted."""
        if self._keep_days and time.monotonic() >= self._due:
            self._due = time.monotonic() + EVERY_SECONDS
            retention.cut(self._conn, keep_days=self._keep_days, now=now())
            self._is_done = False
        if not self._is_done and not retention.delete_some(self._conn):
            self._is_done = not retention.give_back(self._conn)
