"""Prepare the data folder: readable by its owner only, with an upgraded ledger."""

import logging
import os
import shutil
import sqlite3
import stat
from pathlib import Path

from ledger import alert_rules, aliases, rollups, schema, zones
from ledger.account_names import name_accounts
from ledger.database import (
    FILE_NAME,
    Unavailable,
    closed_on_error,
    connect,
    transaction,
    translate_errors,
)
from ledger.settings import Aliases

log = logging.getLogger(__name__)


def prepare(folder: Path, *, timezone: str, names: Aliases | None = None) -> sqlite3.Connection:
    """Create or upgrade the ledger in `folder` and open it for writing.

    `timezone` is an IANA name; the tables of local days are rewritten when it has changed. So is
    the table of the user's `names` for accounts and client keys, unless `names` is None.
    Raises `Unavailable` while the file is locked, `SchemaMismatch` when a newer program wrote it.
    """
    make_private(folder)
    restrict_permissions(folder)
    path = folder / FILE_NAME
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    path.chmod(0o600)
    with translate_errors(), closed_on_error(connect(path)) as conn:
        schema.migrate(conn, path)
        with transaction(conn):
            zones.update(conn, timezone)
            alert_rules.insert_missing(conn)
            if names is not None:
                aliases.update(conn, aliases.table_rows(names, folder))
            name_accounts(conn)
        rollups.catch_up(conn)
    return conn


def make_private(folder: Path) -> None:
    """Create a folder that only its owner can enter, or restrict it.

    Raises `Unavailable` when it cannot be created.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
    except OSError as error:
        raise Unavailable(f"the data folder cannot be used: {error.strerror}") from error


def restrict_permissions(folder: Path) -> int:
    """Remove the rights of others from everything in a folder; returns the number of changes.

    Links, files of other users and files that disappear during the call are skipped.
    """
    changed = sum(restrict(entry) for entry in [folder, *folder.rglob("*")])
    if changed:
        log.warning("removed the rights of others from %d files in the data folder", changed)
    return changed


def restrict(entry: Path) -> bool:
    """Remove the rights of others from a file or folder; returns whether there were any."""
    try:
        mode = entry.lstat().st_mode
        if stat.S_ISLNK(mode) or not mode & 0o077:
            return False
        entry.chmod(0o700 if stat.S_ISDIR(mode) else 0o600)
    except FileNotFoundError:
        # SQLite creates and deletes the log of a ledger as processes use it.
        return False
    except OSError as error:
        log.warning("%s can be read by others: %s", entry.name, error.strerror)
        return False
    return True


def copy_private(source: Path, target: Path) -> None:
    """Copy a small file, if it exists, readable by its owner alone, and wait for the disk."""
    if source.exists():
        descriptor = os.open(target, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
        with open(descriptor, "wb") as copy, source.open("rb") as original:
            os.fchmod(descriptor, 0o600)
            shutil.copyfileobj(original, copy)
        sync(target)


def sync(path: Path) -> None:
    """Wait until a file or folder is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
