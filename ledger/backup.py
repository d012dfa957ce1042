"""Back up the ledger while it is in use, and restore a backup.

A backup is a reader's snapshot, which never blocks a writer. A copy of the salt is stored with it:
without the salt the ledger would treat every client as a new one.
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

from ledger.data_folder import copy_private, make_private, sync
from ledger.database import (
    FILE_NAME,
    Damaged,
    Unavailable,
    connect_read_only,
    translate_errors,
)
from ledger.integrity import require_intact
from ledger.keys import SALT_NAME
from ledger.locks import exclusive

FOLDER = "backups"
PAGES_PER_STEP, PAUSE_SECONDS = 256, 0.002
BACKUP = re.compile(r"ledger-\d{8}T\d{6}Z\.db")
LEDGER_FILES = (FILE_NAME, f"{FILE_NAME}-wal", f"{FILE_NAME}-shm")

# Called with the number of pages copied and of all.
Progress = Callable[[int, int], None]


def backup(data: Path, target: Path, *, keep: int, progress: Progress) -> Path:
    """Copy the ledger of `data` into the folder `target`, keeping the newest `keep` copies there.

    Raises `Unavailable` when it cannot be written, `Damaged` when the copy is not intact.
    """
    make_private(target)
    name = time.strftime("ledger-%Y%m%dT%H%M%SZ.db", time.gmtime())
    draft, file = target / f"{name}.partial", target / name
    try:
        # An interrupted backup may have left a partial copy.
        for old in target.glob("ledger-*.partial*"):
            old.unlink()
        os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        with translate_errors():
            copy_database(data / FILE_NAME, draft, progress)
        require_intact(draft)
        copy_private(data / SALT_NAME, file.with_suffix(".salt"))
        sync(draft)
        draft.rename(file)
    except OSError as error:
        raise Unavailable(f"the backup cannot be written: {error.strerror}") from error
    rotate(target, keep)
    return file


def copy_database(source: Path, target: Path, progress: Progress) -> None:
    """Copy a snapshot of an open ledger, some pages at a time, into a file without a log."""

    def report(status: int, remaining: int, pages: int) -> None:
        progress(pages - remaining, pages)
        time.sleep(PAUSE_SECONDS)

    with closing(connect_read_only(source)) as original, closing(sqlite3.connect(target)) as copy:
        # The transaction holds one snapshot; without it every commit would restart the copy.
        original.execute("begin")
        original.execute("select 1 from sqlite_schema").fetchone()
        original.backup(copy, pages=PAGES_PER_STEP, progress=report)
        original.execute("commit")
        copy.execute("pragma journal_mode = delete").fetchone()


def backups(folder: Path) -> list[Path]:
    """Return the backups in a folder, newest first."""
    return sorted((file for file in folder.iterdir() if BACKUP.fullmatch(file.name)), reverse=True)


def rotate(folder: Path, keep: int) -> None:
    """Delete all but the newest `keep` backups."""
    for old in backups(folder)[keep:]:
        for file in (old, old.with_suffix(".salt")):
            with contextlib.suppress(FileNotFoundError):
                file.unlink()


def restore(file: Path, data: Path) -> Path | None:
    """Restore the backup `file` into the folder `data`; returns the new path of the old ledger.

    Raises `Damaged` when the backup is not intact, `LockHeld` while a worker runs, `Unavailable`
    when the folder cannot be written.
    """
    if not file.is_file():
        raise Damaged(f"there is no file {file}")
    require_intact(file)
    make_private(data)
    try:
        with exclusive(data):
            draft = data / f"{FILE_NAME}.restoring"
            descriptor = os.open(draft, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
            with open(descriptor, "wb") as opened, file.open("rb") as source:
                shutil.copyfileobj(source, opened)
            require_intact(draft)
            sync(draft)
            old = move_aside(data)
            draft.rename(data / FILE_NAME)
            copy_private(file.with_suffix(".salt"), data / SALT_NAME)
            sync(data)
            return old
    except OSError as error:
        raise Unavailable(f"the backup cannot be restored: {error.strerror}") from error


def move_aside(data: Path) -> Path | None:
    """Move the ledger of a folder and its log, with a copy of its salt, into a new folder in it."""
    if not (data / FILE_NAME).exists():
        return None
    aside = data / time.strftime("before-restore-%Y%m%dT%H%M%SZ", time.gmtime())
    aside.mkdir(mode=0o700)
    copy_private(data / SALT_NAME, aside / SALT_NAME)
    for name in LEDGER_FILES:
        if (data / name).exists():
            (data / name).rename(aside / name)
    return aside / FILE_NAME
