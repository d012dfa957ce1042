"""Code shared by all importers: the reader's protocol, errors, another program's SQLite file."""

import re
import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple, Protocol
from urllib.parse import quote

FETCH_SIZE = 1000
# Reading a database that has a write-ahead log creates a file in its folder.
NOT_WRITABLE = {
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_READONLY_CANTINIT,
    sqlite3.SQLITE_READONLY_DIRECTORY,
}
# For an attempt without a client key, the proxy's own statistics record the provider or the path in
# its place, and keeper copies that.
PROVIDERS = {
    *("claude", "codex", "gemini", "gemini-cli", "vertex", "aistudio", "antigravity"),
    *("kimi", "xai", "qwen", "iflow", "openai", "unknown"),
}
ENDPOINT = re.compile(r"[A-Z]+ /")


class Unreadable(Exception):
    """A file cannot be read; the text is a sentence for the user."""


class Record(NamedTuple):
    """One record of a file: its place, for messages, and its event as the proxy's JSON."""

    place: str
    raw: bytes


class Reader(Protocol):
    """An open file. Its records raise `Unreadable` where the file is damaged."""

    @property
    def origin(self) -> str:
        """The kind of the file, as in `imports.origin`."""

    @property
    def program(self) -> str:
        """The program that wrote the file, for messages."""

    def count(self) -> int:
        """Return the number of records."""

    def parts(self) -> list[Iterator[Record]]:
        """Return all records; an attempt may be in several parts, but only once in each."""

    def close(self) -> None:
        """Close the file."""


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Raise `Unreadable` for the errors of reading a file."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise Unreadable(
            f"{name} is damaged or busy: {error}. `sqlite3 FILE .recover` may recover its rows."
        ) from error
    except (OSError, EOFError, zlib.error) as error:
        raise Unreadable(f"{name} cannot be read: {error}.") from error


def is_client_key(text: str) -> bool:
    """Return whether a text may be a client's key."""
    return bool(text) and text not in PROVIDERS and not ENDPOINT.match(text)


def open_database(file: Path) -> sqlite3.Connection:
    """Open a SQLite file for reading, even while it is in use or in a read-only folder.

    Raises `Unreadable`.
    """
    url = f"file:{quote(str(file.absolute()))}?mode=ro"
    log = file.with_name(f"{file.name}-wal")
    has_log = log.exists() and log.stat().st_size > 0
    first_error: sqlite3.Error | None = None
    # `immutable` ignores the write-ahead log, and with it the newest rows.
    for candidate in (url,) if has_log else (url, f"{url}&immutable=1"):
        conn = sqlite3.connect(candidate, uri=True, timeout=10)
        conn.row_factory = sqlite3.Row
        # In a text that is not UTF-8, only the invalid bytes are replaced; the import continues.
        conn.text_factory = partial(str, encoding="utf-8", errors="replace")
        try:
            conn.execute("select count(*) from sqlite_schema").fetchone()
            return conn
        except sqlite3.DatabaseError as error:
            conn.close()
            first_error = first_error or error
    if has_log and first_error and first_error.sqlite_errorcode in NOT_WRITABLE:
        raise Unreadable(
            f"{file.name} cannot be read in a folder that is not writable, since its newest rows "
            f"are in {log.name}: copy both into a folder of yours and import the copy."
        )
    raise Unreadable(f"{file.name} cannot be read: {first_error}.")


def columns(conn: sqlite3.Connection, table: str) -> set[str]:
    """Return the names of a table's columns; none when there is no such table."""
    return {row[0] for row in conn.execute("select name from pragma_table_info(?)", (table,))}


def fetch(conn: sqlite3.Connection, name: str, sql: str) -> Iterator[sqlite3.Row]:
    """Return the rows of a query one by one. Raises `Unreadable` where the file is damaged."""
    with reading(name):
        cursor = conn.execute(sql)
        while rows := cursor.fetchmany(FETCH_SIZE):
            yield from rows


def count_rows(conn: sqlite3.Connection, name: str, table: str) -> int:
    """Return the number of rows of a table. Raises `Unreadable` where the file is damaged."""
    with reading(name):
        return conn.execute(f'select count(*) from "{table}"').fetchone()[0]
