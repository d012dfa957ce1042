"""What can stand between a process and the ledger."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager


class Unavailable(Exception):
    """Something is away and will come back: wait and try again; its text is one plain sentence."""


class Unwritable(Unavailable):
    """The ledger, its folder or its disk cannot be written now."""


class NewerLedger(Exception):
    """The file was written by a newer version of this program."""


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
def translated() -> Iterator[None]:
    """Turn SQLite's passing troubles into `Unavailable`; leave every other error as it is."""
    try:
        yield
    except sqlite3.OperationalError as error:
        # What is Python's own, such as a text that is not UTF-8, has no code.
        sentence = SENTENCES.get(getattr(error, "sqlite_errorcode", 0) & 0xFF)
        if sentence is None:
            raise
        raise Unwritable(sentence) from error
