"""Read the database of the original script: one row for each request id, with its payload.

File format: table `usage_events` of cliproxyapi-usage-dashboard; `raw_json` is the popped text.
"""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

from ingest.importers.reader import Record, count_rows, fetch

TABLE = "usage_events"
SELECT = "select id, raw_json from usage_events order by id"


class Original:
    """The original script's `usage.sqlite`."""

    origin, program = "original", "the original script"

    def __init__(self, file: Path, conn: sqlite3.Connection) -> None:
        self._name, self._conn = file.name, conn

    def count(self) -> int:
        """Return the number of rows."""
        return count_rows(self._conn, self._name, TABLE)

    def parts(self) -> list[Iterator[Record]]:
        """Return the payload of each row."""
        return [self._records()]

    def _records(self) -> Iterator[Record]:
        for row in fetch(self._conn, self._name, SELECT):
            raw = row["raw_json"]
            content = raw if isinstance(raw, bytes) else str(raw or "").encode()
            yield Record(f"row {row['id']}", content)

    def close(self) -> None:
        """Close the file."""
        self._conn.close()
