"""Open the ledger file, in WAL mode, with its schema, views and time zone up to date."""

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ledger import aliases, rollups, schema, zones
from ledger.errors import Unavailable, translated
from ledger.modes import tighten
from ledger.writing import transaction

MINIMUM_SQLITE = (3, 40, 0)
NAME = "ledger.db"
WAL_SECONDS = 10.0
PRAGMAS = """
  pragma busy_timeout = 5000;
  pragma synchronous = full;
  pragma foreign_keys = on;
  pragma journal_size_limit = 67108864;
  -- A batch touches a thousand pages scattered over the rollups: write each back once in a while
  -- (64 MB), not once a batch, and keep them at hand meanwhile.
  pragma wal_autocheckpoint = 16000;
  pragma cache_size = -16000;
"""


def prepare(
    folder: Path, *, timezone: str, names: aliases.Aliases | None = None
) -> sqlite3.Connection:
    """Create or upgrade the ledger in `folder` and open it for writing.

    `timezone` is an IANA name; local days are rewritten when it changed. So are the user's own
    `names` for accounts and client keys; without them those in the file stay.
    Raises `Unavailable` while the file is locked, `NewerLedger` when it is from the future.
    """
    make_private(folder)
    tighten(folder)
    path = folder / NAME
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    path.chmod(0o600)
    with translated(), closed_on_error(connect(path)) as conn:
        schema.migrate(conn, path)
        with transaction(conn):
            zones.keep(conn, timezone)
            if names is not None:
                aliases.keep(conn, aliases.rows(names, folder))
        rollups.catch_up(conn)
    return conn


def make_private(folder: Path) -> None:
    """Create a folder that only its owner can enter, or tighten it.

    Raises `Unavailable` when it cannot be created.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
    except OSError as error:
        raise Unavailable(f"the data folder cannot be used: {error.strerror}") from error


def connect(path: Path) -> sqlite3.Connection:
    """Open an existing file for reading and writing; every statement commits by itself."""
    if sqlite3.sqlite_version_info < MINIMUM_SQLITE:
        raise SystemExit(
            f"This Python brings SQLite {sqlite3.sqlite_version}; "
            "cliproxy-ledger needs 3.40 or newer."
        )
    opened = sqlite3.connect(path, isolation_level=None, timeout=5)
    with translated(), closed_on_error(opened) as conn:
        if path.stat().st_size == 0:
            # Only a new file takes this: so that it can shrink after old events were deleted.
            conn.execute("pragma auto_vacuum = incremental")
        conn.executescript(PRAGMAS)
        switch_to_wal(conn)
    return conn


@contextmanager
def closed_on_error(conn: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Close a connection that something went wrong with inside the block."""
    try:
        yield conn
    except BaseException:
        conn.close()
        raise


def connect_read_only(path: Path) -> sqlite3.Connection:
    """Open an existing file for reading."""
    return sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None, timeout=5)


def switch_to_wal(conn: sqlite3.Connection) -> None:
    """Put the file into WAL mode."""
    deadline = time.monotonic() + WAL_SECONDS
    while True:
        try:
            conn.execute("pragma journal_mode = wal").fetchone()
            return
        except sqlite3.OperationalError as error:
            # SQLite refuses this at once, whatever the busy timeout, when others open the file.
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
