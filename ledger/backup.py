"""Copy the ledger while it is in use, prove the copy, keep the newest ones.

The copy is of one moment: a reader's snapshot, which never holds up a writer. Beside each copy lies
the salt, without which the ledger would take every client for a new one.
"""

import contextlib
import os
import re
import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from ledger import schema
from ledger.errors import Unavailable, translated
from ledger.file import NAME, connect_read_only, make_private
from ledger.keys import SALT_NAME

FOLDER = "backups"
PAGES_AT_ONCE, REST_SECONDS = 256, 0.002
BACKUP = re.compile(r"ledger-\d{8}T\d{6}Z\.db")

Told = Callable[[int, int], None]


class Damaged(Exception):
    """A file is no sound ledger; the text says why."""


def backup(data: Path, target: Path, *, keep: int, told: Told) -> Path:
    """Copy the ledger of `data` into the folder `target`, keeping the newest `keep` copies there.

    Raises `Unavailable` when it cannot be written, `Damaged` when the copy does not prove sound.
    """
    make_private(target)
    name = time.strftime("ledger-%Y%m%dT%H%M%SZ.db", time.gmtime())
    draft, file = target / f"{name}.partial", target / name
    try:
        # A copy that was broken off earlier may lie there.
        for old in target.glob("ledger-*.partial*"):
            old.unlink()
        os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        with translated():
            copy(data / NAME, draft, told)
        prove(draft)
        private_copy(data / SALT_NAME, file.with_suffix(".salt"))
        keep_safe(draft)
        draft.rename(file)
    except OSError as error:
        raise Unavailable(f"the backup cannot be written: {error.strerror}") from error
    rotate(target, keep)
    return file


def copy(source: Path, target: Path, told: Told) -> None:
    """Copy one moment of an open ledger, some pages at a time, into a file that needs no log."""

    def progress(status: int, remaining: int, pages: int) -> None:
        told(pages - remaining, pages)
        time.sleep(REST_SECONDS)

    with closing(connect_read_only(source)) as read, closing(sqlite3.connect(target)) as written:
        # Inside a transaction the copy is of one snapshot; else every commit would start it anew.
        read.execute("begin")
        read.execute("select 1 from sqlite_schema").fetchone()
        read.backup(written, pages=PAGES_AT_ONCE, progress=progress)
        read.execute("commit")
        written.execute("pragma journal_mode = delete").fetchone()


def prove(file: Path) -> None:
    """Raise `Damaged` unless a file is an intact ledger that this program can read."""
    try:
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as conn:
            found = [row[0] for row in conn.execute("pragma integrity_check(5)")]
            version = schema.version(conn)
            conn.execute("select count(*) from ingest_ledger").fetchone()
    except sqlite3.DatabaseError as error:
        raise Damaged(f"{file.name} is no ledger: {error}") from error
    if found != ["ok"]:
        raise Damaged(f"{file.name} is damaged: {'; '.join(found)}")
    if not 0 < version <= schema.steps()[-1][0]:
        raise Damaged(f"{file.name} was written by a newer cliproxy-ledger")


def private_copy(source: Path, target: Path) -> None:
    """Copy a small file, readable by its owner alone, if it is there."""
    if source.exists():
        with open(os.open(target, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "wb") as opened:
            os.fchmod(opened.fileno(), 0o600)
            shutil.copyfileobj(source.open("rb"), opened)
        keep_safe(target)


def keep_safe(file: Path) -> None:
    """Wait until a file is on the disk."""
    descriptor = os.open(file, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def backups(folder: Path) -> list[Path]:
    """Give the copies in a folder, newest first."""
    found = (entry for entry in folder.iterdir() if BACKUP.fullmatch(entry.name))
    return sorted(found, reverse=True)


def rotate(folder: Path, keep: int) -> None:
    """Delete all but the newest copies, of those that `backup` made."""
    for old in backups(folder)[keep:]:
        for file in (old, old.with_suffix(".salt")):
            with contextlib.suppress(FileNotFoundError):
                file.unlink()
