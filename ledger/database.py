"""The ledger file as a database: connections, transactions, errors, its log and its identity."""

import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FILE_NAME = "ledger.db"
MINIMUM_SQLITE = (3, 40, 0)
WAL_SECONDS = 10.0
PRAGMAS = """
  pragma busy_timeout = 5000;
  pragma synchronous = full;
  pragma foreign_keys = on;
  pragma journal_size_limit = 67108864;
  -- A batch touches a thousand pages scattered over the rollups: write them back only when
  -- the log has 64 MB, not after each batch, and cache them until then.
  pragma wal_autocheckpoint = 16000;
  pragma cache_size = -16000;
"""
MAX_WAL_BYTES = 256 << 20


class Unavailable(Exception):
    """A resource is unavailable for now: wait and retry; the text is one plain sentence."""


class Unwritable(Unavailable):
    """The ledger, its folder or its disk cannot be written now."""


class SchemaMismatch(Exception):
    """The file is of a newer version of this program, or of one too old to convert."""


class Damaged(Exception):
    """A file is not an intact ledger; the text gives the reason."""


class Replaced(Exception):
    """Another file has replaced the open one: everything must be opened again."""


LOCKED = "the ledger is locked by another process"
SENTENCES = {
    sqlite3.SQLITE_BUSY: LOCKED,
    sqlite3.SQLITE_LOCKED: LOCKED,
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_READONLY: "the ledger or its folder is read-only",
    sqlite3.SQLITE_CANTOPEN: "the ledger file cannot be opened",
    sqlite3.SQLITE_IOERR: "the disk refuses to read or write",
}


@contextmanager
def translate_errors() -> Iterator[None]:
    """Raise SQLite's temporary errors as `Unwritable`, and every other error as it is."""
    try:
        yield
    except sqlite3.OperationalError as error:
        # Python's own errors, such as a text that is not UTF-8, have no code.
        sentence = SENTENCES.get(getattr(error, "sqlite_errorcode", 0) & 0xFF)
        if sentence is None:
            raise
        raise Unwritable(sentence) from error


def connect(path: Path) -> sqlite3.Connection:
    """Open an existing file for reading and writing; every statement commits by itself.

    Raises `Unwritable` while that is not possible.
    """
    if sqlite3.sqlite_version_info < MINIMUM_SQLITE:
        raise SystemExit(
            f"This Python contains SQLite {sqlite3.sqlite_version}; "
            "cliproxy-ledger needs 3.40 or newer."
        )
    opened = sqlite3.connect(path, isolation_level=None, timeout=5)
    with translate_errors(), closed_on_error(opened) as conn:
        if path.stat().st_size == 0:
            # Only a new file accepts this, which lets it shrink after old events were deleted.
            conn.execute("pragma auto_vacuum = incremental")
        conn.executescript(PRAGMAS)
        switch_to_wal(conn)
    return conn


def connect_read_only(path: Path) -> sqlite3.Connection:
    """Open an existing file for reading."""
    return sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None, timeout=5)


@contextmanager
def closed_on_error(conn: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Close a connection when the block raises an error."""
    try:
        yield conn
    except BaseException:
        conn.close()
        raise


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


# The threads of a process share a lock: with SQLite's own lock, a thread that writes continuously
# can keep the others waiting without end.
WRITER, WRITER_SECONDS = threading.RLock(), 5.0


@contextmanager
def transaction(conn: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Write all or nothing. Raises `Unwritable` when the file is locked or the disk is full."""
    with only_writer(), translate_errors():
        conn.execute("begin immediate")
        try:
            yield conn
            conn.execute("commit")
        except BaseException:
            # A full disk may have rolled back already.
            if conn.in_transaction:
                conn.execute("rollback")
            raise


@contextmanager
def only_writer() -> Iterator[None]:
    """Exclude the other threads of this process from writing, after a wait as long as SQLite's."""
    if not WRITER.acquire(timeout=WRITER_SECONDS):
        raise Unwritable(LOCKED)
    try:
        yield
    finally:
        WRITER.release()


def split_statements(script: str) -> Iterator[str]:
    """Return a script's statements one by one; `executescript` would commit between them."""
    pending = ""
    for line in script.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            yield pending
            pending = ""
    if pending.strip():
        yield pending


class Wal:
    """The write-ahead log of an open ledger, which grows while slow readers overlap."""

    def __init__(self, conn: sqlite3.Connection, file: Path) -> None:
        self._conn = conn
        self._file = file.with_name(f"{file.name}-wal")

    def trim(self) -> None:
        """Move a large log into the ledger file and empty it.

        This waits for readers up to the busy timeout, which is longer than the dashboard lets a
        query run; a log that cannot be emptied now is left for the next call.
        """
        if self.size() > MAX_WAL_BYTES:
            self._conn.execute("pragma wal_checkpoint(truncate)").fetchall()

    def size(self) -> int:
        """Return the log's size in bytes; 0 when there is none."""
        try:
            return self._file.stat().st_size
        except OSError:
            return 0


class FileIdentity:
    """The device and inode of the file that was opened as the ledger.

    SQLite continues to use a file that was deleted or replaced, and every commit would be lost at
    the end of the process.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._opened = device_and_inode(path)

    def check(self) -> None:
        """Raise `Unwritable` while the file is gone, `Replaced` when another one is there."""
        try:
            current = device_and_inode(self._path)
        except FileNotFoundError:
            raise Unwritable(
                "the ledger file was deleted while in use: put it back, or stop and start again "
                "to begin a new ledger"
            ) from None
        except OSError as error:
            raise Unwritable(f"the ledger file cannot be reached: {error.strerror}") from error
        if current != self._opened:
            raise Replaced


def device_and_inode(path: Path) -> tuple[int, int]:
    """Return the identity of a file, which does not depend on its name."""
    stat = os.stat(path)
    return stat.st_dev, stat.st_ino
