"""Keep the write-ahead log from growing without bound while slow readers overlap."""

import sqlite3
from pathlib import Path

MOST_BYTES = 256 << 20


class Wal:
    """The log of an open ledger file."""

    def __init__(self, conn: sqlite3.Connection, file: Path) -> None:
        self._conn = conn
        self._file = file.with_name(f"{file.name}-wal")

    def trim(self) -> None:
        """Move everything into the ledger file and empty a log that has grown large.

        This waits for readers as long as the busy timeout says, which is longer than the dashboard
        lets a query run; a log that cannot be emptied now is tried again later.
        """
        if self.size() > MOST_BYTES:
            self._conn.execute("pragma wal_checkpoint(truncate)").fetchall()

    def size(self) -> int:
        """Give the log's size in bytes; 0 where there is none."""
        try:
            return self._file.stat().st_size
        except OSError:
            return 0
