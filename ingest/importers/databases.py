"""Open another program's SQLite file without changing it."""

import sqlite3
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from urllib.parse import quote

from ingest.importers.reader import Unreadable, readable

AT_ONCE = 1000
# Who reads a database with a log has to write a file beside it.
NOT_WRITABLE = {
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_READONLY_CANTINIT,
    sqlite3.SQLITE_READONLY_DIRECTORY,
}


def open_database(file: Path) -> sqlite3.Connection:
    """Open a file for reading, also where another program has it open or the folder is read-only.

    Raises `Unreadable`.
    """
    where = f"file:{quote(str(file.absolute()))}?mode=ro"
    log = file.with_name(f"{file.name}-wal")
    has_log = log.exists() and log.stat().st_size > 0
    trouble: sqlite3.Error | None = None
    # An immutable file's log is not looked at: its newest rows would be missing.
    for way in (where,) if has_log else (where, f"{where}&immutable=1"):
        conn = sqlite3.connect(way, uri=True, timeout=10)
        conn.row_factory = sqlite3.Row
        # A text that is not UTF-8 costs one character, not the rest of the file.
        conn.text_factory = partial(str, encoding="utf-8", errors="replace")
        try:
            conn.execute("select count(*) from sqlite_schema").fetchone()
            return conn
        except sqlite3.DatabaseError as error:
            conn.close()
            trouble = trouble or error
    if has_log and trouble and trouble.sqlite_errorcode in NOT_WRITABLE:
        raise Unreadable(
            f"{file.name} cannot be read where nothing can be written, for its newest rows are in "
            f"{log.name}: copy both into a folder of yours and import the copy."
        )
    raise Unreadable(f"{file.name} cannot be read: {trouble}.")


def columns(conn: sqlite3.Connection, table: str) -> set[str]:
    """Give the names of a table's columns; none when there is no such table."""
    return {row[0] for row in conn.execute("select name from pragma_table_info(?)", (table,))}


def rows(conn: sqlite3.Connection, name: str, sql: str) -> Iterator[sqlite3.Row]:
    """Give the rows of a query one by one. Raises `Unreadable` where the file is damaged."""
    with readable(name):
        cursor = conn.execute(sql)
        while some := cursor.fetchmany(AT_ONCE):
            yield from some


def count(conn: sqlite3.Connection, name: str, table: str) -> int:
    """Count the rows of a table that the caller names in code."""
    with readable(name):
        return conn.execute(f'select count(*) from "{table}"').fetchone()[0]
