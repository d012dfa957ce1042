"""The database of the original script: one row for each request id, its payload whole beside it.

File format: table `usage_events` of cliproxyapi-usage-dashboard; `raw_json` is the popped text.
"""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

from ingest.importers import databases
from ingest.importers.reader import Found

READ = "select id, raw_json from usage_events order by id"


class Original:
    """The original script's `usage.sqlite`."""

    origin, program = "original", "the original script"

    def __init__(self, file: Path, conn: sqlite3.Connection) -> None:
        self._name, self._conn = file.name, conn

    def count(self) -> int:
        """Tell how many rows there are."""
        return databases.count(self._conn, self._name, "usage_events")

    def parts(self) -> list[Iterator[Found]]:
        """Give the payload of each row."""
        return [self._records()]

    def _records(self) -> Iterator[Found]:
        for row in databases.rows(self._conn, self._name, READ):
            raw = row["raw_json"]
            content = raw if isinstance(raw, bytes) else str(raw or "").encode()
            yield Found(f"row {row['id']}", content)

    def close(self) -> None:
        """Let go of the file."""
        self._conn.close()
